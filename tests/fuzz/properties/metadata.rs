//! The `sops` block: what is read from one is written and read again unchanged, in every format.

use document::{Document, Edits, Form, Format, Value};
use sops::{Metadata, block_value};

use super::envelope::{nested, read_metadata};
use super::meaning::parse;

const FORMATS: [Format; 5] = [
    Format::Yaml,
    Format::Json,
    Format::Dotenv,
    Format::Ini,
    Format::Binary,
];

/// Documents that a nested block is put into. A flat one stays in its format: names that are fine in one cannot be written
/// in another.
const HOSTS: [(Format, &str); 2] = [(Format::Yaml, "a: b\n"), (Format::Json, "{\n\t\"a\": \"b\"\n}")];

/// All that must hold of the block of `data`, in whichever formats it reads.
pub(crate) fn check(data: &[u8]) {
    for format in FORMATS {
        if let Ok(document) = parse(format, Form::Sealed, data) {
            check_document(&document);
        }
    }
}

fn check_document(document: &Document) {
    let Some(metadata) = read_metadata(document) else {
        return;
    };
    // Written in alphabetical order, whatever the order was.
    let again = Metadata::from_value(&metadata.to_value()).map(|again| again.to_value());
    assert_eq!(again, Ok(metadata.to_value()), "written and read");
    let _ = metadata.threshold();
    if document.format() != Format::Binary {
        rewritten(document, &metadata, "in its own place");
    }
    if matches!(document.format(), Format::Dotenv | Format::Ini) {
        return;
    }
    for (format, text) in HOSTS {
        if let Ok(host) = parse(format, Form::Sealed, text.as_bytes()) {
            rewritten(&host, &metadata, format.word());
        }
    }
}

/// Writes `metadata` into `document`: it reads back, and written once more it changes nothing.
fn rewritten(document: &Document, metadata: &Metadata, place: &str) {
    let mut edits = Edits::default();
    let block = block_value(document, metadata);
    if document.set_block(&block, &mut edits).is_err() {
        return;
    }
    let text = document.render(&edits);
    let again = parse(document.format(), Form::Sealed, text.expose());
    let again = again.unwrap_or_else(|error| panic!("{place}: does not read: {error}"));
    let found = again.block().expect("a block that reads").expect("a block");
    assert_eq!(
        meant(document.format(), &found),
        meant(document.format(), &block),
        "{place}"
    );
    let mut edits = Edits::default();
    again
        .set_block(&block, &mut edits)
        .expect("it was written before");
    let text = again.source();
    assert_eq!(again.render(&edits).expose(), text, "{place}: written once more");
}

/// The metadata that a block says, in alphabetical order.
fn meant(format: Format, block: &Value) -> Option<Value> {
    let nested = nested(format, block.clone())?;
    Some(Metadata::from_value(&nested).ok()?.to_value())
}
