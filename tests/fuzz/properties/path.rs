//! Paths as `set`, `unset` and `get` take them: a line that is one, then the document that it is used on.

use document::emit::{self, Options};
use document::{Document, Form, Format, Path, Step};

use super::choice::Choice;
use super::edits;
use super::meaning::{Meaning, parse};

/// All that must hold of `data`: a path up to the first line break, and a document.
pub(crate) fn check(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == b'\n');
    let (Some(line), rest) = (parts.next(), parts.next()) else {
        return;
    };
    let Some(path) = std::str::from_utf8(line)
        .ok()
        .and_then(|text| Path::parse_sops(text).ok())
    else {
        return;
    };
    assert_eq!(
        Path::parse_sops(&notation(&path)),
        Ok(path.clone()),
        "printed and read"
    );
    let shown = path.to_string();
    assert!(
        !shown.is_empty() && !shown.contains(char::is_control),
        "shown as {shown:?}"
    );
    for format in [Format::Yaml, Format::Json, Format::Dotenv, Format::Ini] {
        if let Ok(document) = parse(format, Form::Plain, rest.unwrap_or_default()) {
            selected(&document, &path);
            if document.block_key().is_some() || names_block(&document, &path) {
                continue;
            }
            edits::edit(&document, &path, &mut Choice::of(data));
        }
    }
}

/// Whether the path leads into the block, which is not to be edited.
fn names_block(document: &Document, path: &Path) -> bool {
    matches!(path.0.first(), Some(Step::Key(key)) if document.is_block_key(key.as_bytes()))
}

/// sops' notation.
fn notation(path: &Path) -> String {
    let step = |step: &Step| match step {
        Step::Key(key) => format!("[\"{key}\"]"),
        Step::Index(index) => format!("[{index}]"),
    };
    path.0.iter().map(step).collect()
}

/// What is selected is what the path names.
fn selected(document: &Document, path: &Path) {
    let Some(meaning) = Meaning::of(document) else {
        return;
    };
    let items = emit::from_document(document, usize::MAX, |_| None).expect("it was taken apart above");
    let found = emit::select(&items, path);
    let expected = meaning.first().and_then(|first| first.get(&path.0)).cloned();
    assert_eq!(
        found.map(Meaning::of_items),
        expected.map(|one| vec![one]),
        "{path}"
    );
    if let Some(found) = found {
        let _ = emit::emit_value(document.format(), found, &Options::default());
    }
}
