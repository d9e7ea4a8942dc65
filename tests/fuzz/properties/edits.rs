//! `set` and `unset`: what they write means what was asked for, and nothing else changes.

use document::{Document, Edits, Event, Form, Format, Path, Step};

use super::choice::Choice;
use super::meaning::{Meaning, parse};

/// The values that are set.
const VALUES: [&str; 12] = [
    "\"v\"",
    "\"\"",
    "5",
    "-1.5",
    "true",
    "null",
    "\"two\\nlines\\n\"",
    "\" a: b # c \"",
    "\"0x1F\"",
    "{\"k\":[1,\"x\",{}],\"l\":{\"m\":\"n\"}}",
    "[]",
    "[\"x\",[2]]",
];

/// Sets or unsets what `path` names, by the input's choice, and returns the changed source.
pub(crate) fn edit(document: &Document, path: &Path, choice: &mut Choice) -> Option<Vec<u8>> {
    let before = Meaning::of(document)?;
    let mut expected = before.clone();
    let first = expected.first_mut()?;
    let mut edits = Edits::default();
    let what = if choice.below(4) == 0 {
        document.unset(path, &mut edits).ok()?;
        first.unset(&path.0).expect("what was taken away was there");
        "unset"
    } else {
        let text = *choice.pick(&VALUES);
        let value = parse(
            Format::Json,
            Form::Plain,
            format!("{{\"value\":{text}}}").as_bytes(),
        );
        let value = value.expect("JSON");
        document.set(path, &value, &mut edits).ok()?;
        let mut new = Meaning::of(&value)?[0].get(&[Step::Key("value".into())])?.clone();
        if !matches!(document.format(), Format::Yaml | Format::Json) {
            new = new.as_text();
        }
        // Below an empty value with a tag, which is no null, there may be something all the same.
        first.set(&path.0, new)?;
        text
    };
    let changed = document.render(&edits).expose().to_vec();
    // An alias stands for its anchor: what is changed in one place then changes in others.
    if has_aliases(document) {
        return Some(changed);
    }
    let again = parse(document.format(), Form::Plain, &changed);
    let again = again.unwrap_or_else(|error| panic!("{what} at {path}: does not read: {error}"));
    let found = Meaning::of(&again).expect("as large as before");
    match document.format() {
        Format::Ini => assert_eq!(sections(&found), sections(&expected), "{what} at {path}"),
        _ => assert_eq!(found, expected, "{what} at {path}"),
    }
    Some(changed)
}

fn has_aliases(document: &Document) -> bool {
    let source = document.source();
    document.format() == Format::Yaml
        && document.walk().any(|event| match event {
            Event::Alias(_) => true,
            Event::Key(_, span) => source[span.range()].starts_with(b"*"),
            _ => false,
        })
}

/// INI files have a part without a header, named or not, and a new key of it stands before the sections.
fn sections(documents: &[Meaning]) -> Vec<Meaning> {
    let is_empty =
        |section: &(Vec<u8>, Meaning)| section.0 == b"DEFAULT" && section.1 == Meaning::Map(Vec::new());
    let mut documents: Vec<_> = documents.iter().map(Meaning::unordered).collect();
    for document in &mut documents {
        if let Meaning::Map(sections) = document {
            sections.retain(|section| !is_empty(section));
        }
    }
    documents
}
