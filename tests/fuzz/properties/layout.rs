//! The `layout` field: it says how values are spelled, and never what they are, whatever it says.

use std::sync::LazyLock;

use document::{Form, Format};
use sops::{Checks, Metadata, seal_layout};

use super::choice::Choice;
use super::envelope::{key, metadata, read_metadata, seal};
use super::meaning::{Meaning, parse};

/// Something of everything that has more than one spelling.
const AUTHOR: &str = "a: &x\n  p: 0x1F # note\n  q: 'it''s'\nb: *x\nc:\n  <<: *x\n  r: |+\n    two\n    lines\n\n\
    # above\nl:\n- *x\n- &y plain\n- *y\n- {*y : 1.50, k: [~, \"\\x41\"]}\nt: 2024-01-02\nf: >-\n  folded\n  text\n\
    u_unencrypted: |\n  clear";

struct Sample {
    sealed: Vec<u8>,
    metadata: Metadata,
    meaning: Option<Vec<Meaning>>,
}

static SAMPLE: LazyLock<Sample> = LazyLock::new(|| {
    let author = parse(Format::Yaml, Form::Plain, AUTHOR.as_bytes()).expect("YAML");
    let mut everything = metadata(&mut Choice::of(b""));
    everything.rules = sops::Rules::default();
    let sealed = seal(&author, everything, true, None).expect("can be sealed");
    let document = parse(Format::Yaml, Form::Sealed, sealed.bytes.expose()).expect("a sealed file reads");
    Sample {
        sealed: sealed.bytes.expose().to_vec(),
        metadata: read_metadata(&document).expect("metadata"),
        meaning: Meaning::of(&author),
    }
});

/// All that must hold of `data` as the content of the field.
pub(crate) fn check(data: &[u8]) {
    let sample = &*SAMPLE;
    let document = parse(Format::Yaml, Form::Sealed, &sample.sealed).expect("it was read before");
    let mut metadata = sample.metadata.clone();
    metadata.layout = Some(seal_layout(&key(), &[9; 12], data));
    let checks = Checks {
        mac: false,
        ..Checks::default()
    };
    let opened = sops::open(&document, &metadata, &key(), &checks).expect("spellings are never fatal");
    let again = parse(Format::Yaml, Form::Sealed, opened.plaintext.expose());
    let again = again.unwrap_or_else(|error| {
        panic!(
            "the opened file does not read: {error}\n{}",
            opened.plaintext.expose().escape_ascii()
        )
    });
    assert_eq!(
        Meaning::of(&again),
        sample.meaning,
        "{}",
        opened.plaintext.expose().escape_ascii()
    );
}
