//! Documents: they keep their bytes, edits do what they say, printed values read back, and what is sealed opens again.

use document::emit::{self, Options};
use document::{Document, Edits, Form, Format};
use sops::Checks;

use super::choice::Choice;
use super::meaning::{Meaning, parse};
use super::{edits, envelope};

const FORMATS: [Format; 5] = [
    Format::Yaml,
    Format::Json,
    Format::Dotenv,
    Format::Ini,
    Format::Binary,
];

/// All that must hold of `data` as a document of `format`.
pub(crate) fn check(format: Format, data: &[u8]) {
    if let Ok(document) = parse(format, Form::Sealed, data) {
        as_sealed(&document);
    }
    let Ok(document) = parse(format, Form::Plain, data) else {
        return;
    };
    let mut choice = Choice::of(data);
    unchanged(&document);
    printed(&document);
    // A file with a block is no author's: it is neither edited nor sealed.
    if document.block_key().is_none() {
        let changed = edited(&document, &mut choice);
        sealed(&document, changed, &mut choice);
    }
}

/// Without edits every byte is kept.
fn unchanged(document: &Document) {
    let rendered = document.render(&Edits::default());
    assert_eq!(rendered.expose(), document.source(), "parsed and rendered");
}

/// Whatever a sealed file may be: nothing panics, and its block can be written, read and taken away.
fn as_sealed(document: &Document) {
    unchanged(document);
    let mut away = Edits::default();
    document.remove_block(&mut away);
    document.render(&away);
    document.block_key();
    let Some(metadata) = envelope::read_metadata(document) else {
        return;
    };
    let _ = sops::check(document, &metadata);
    let draft = Checks {
        mac: false,
        allow_plaintext: true,
        keep_texts: true,
        ..Checks::default()
    };
    for checks in [Checks::default(), draft] {
        let _ = sops::open(document, &metadata, &envelope::key(), &checks);
    }
}

/// What is printed from a document reads back as the same values. Only what sops prints is a law for INI, even where it
/// reads back as something else.
fn printed(document: &Document) {
    let Some(meaning) = Meaning::of(document) else {
        return;
    };
    let items = emit::from_document(document, usize::MAX, |_| None).expect("it was taken apart above");
    for format in FORMATS {
        let Ok(text) = emit::emit(format, &items, &Options::default()) else {
            continue;
        };
        let same_format = format == document.format() && format != Format::Ini;
        let other_is_block = format != document.format() && meaning.iter().any(|root| root.has(b"sops"));
        if !same_format && (format != Format::Yaml || other_is_block) {
            continue;
        }
        // A binary file is printed as what was in it.
        let form = if format == Format::Binary {
            Form::Plain
        } else {
            Form::Sealed
        };
        let again = parse(format, form, text.expose());
        let again = again.unwrap_or_else(|error| panic!("printed as {}: {error}", format.word()));
        let found: Vec<Meaning> = Meaning::of(&again).expect("as large as before");
        // Only YAML has several documents; of others the first is printed.
        let count = if format == Format::Yaml { meaning.len() } else { 1 };
        let printed = |all: &[Meaning]| {
            all.iter()
                .take(count)
                .map(Meaning::as_printed)
                .collect::<Vec<_>>()
        };
        assert_eq!(printed(&found), printed(&meaning), "printed as {}", format.word());
    }
}

/// The source after one edit of the input's choice.
fn edited(document: &Document, choice: &mut Choice) -> Option<Vec<u8>> {
    let paths = Meaning::of(document)?.first()?.paths();
    if paths.is_empty() {
        return None;
    }
    let mut path = choice.pick(&paths).clone();
    match choice.below(8) {
        0 => path.0.push(document::Step::Key("new".into())),
        1 => path.0.push(document::Step::Index(0)),
        2 => {
            path.0.pop();
            path.0.push(document::Step::Key("new".into()));
        }
        _ => {}
    }
    edits::edit(document, &path, choice)
}

/// What is sealed opens again to the same bytes; so does what is changed and sealed with the texts that were kept.
fn sealed(document: &Document, changed: Option<Vec<u8>>, choice: &mut Choice) {
    let format = document.format();
    let metadata = envelope::metadata(choice);
    let fields = choice.below(4) > 0;
    let Ok(sealed) = envelope::seal(document, metadata.clone(), fields, None) else {
        return;
    };
    let opened = envelope::open(format, &sealed, fields);
    if !fields {
        let again = parse(format, Form::Plain, opened.plaintext.expose()).expect("an opened file reads");
        let said = |document: &Document| {
            let meaning = Meaning::of(document)?;
            Some(meaning.iter().map(Meaning::as_printed).collect::<Vec<_>>())
        };
        assert_eq!(said(&again), said(document), "sealed and opened without layout");
        return;
    }
    assert_same(opened.plaintext.expose(), document.source());
    let Some(Ok(document)) = changed.map(|changed| parse(format, Form::Plain, &changed)) else {
        return;
    };
    if document.block_key().is_some() {
        return;
    }
    if let Ok(sealed) = envelope::seal(&document, sealed.metadata, true, opened.kept) {
        let opened = envelope::open(format, &sealed, true);
        assert_same(opened.plaintext.expose(), document.source());
    }
}

fn assert_same(found: &[u8], expected: &[u8]) {
    assert!(
        found == expected,
        "opened to\n{}\ninstead of\n{}",
        found.escape_ascii(),
        expected.escape_ascii()
    );
}
