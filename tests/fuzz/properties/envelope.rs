//! Sealing and opening under a fixed data key, with a counter in place of the random source.

use document::{Document, Form, Format, Value};
use secret::SecretBytes;
use sops::shamir::RandomFailed;
use sops::{
    BlockText, Checks, DataKey, KeyEntry, MasterKey, Metadata, Opened, Reuse, Rules, Sealed, Sealing,
};

use super::choice::Choice;
use super::meaning::{limits, parse};

/// The data key of every file here.
pub(crate) fn key() -> DataKey {
    DataKey::new([7; 32])
}

/// Metadata for a new file, with rules of the input's choice.
pub(crate) fn metadata(choice: &mut Choice) -> Metadata {
    let key = MasterKey::Age {
        recipient: "age1test".into(),
    };
    let enc = "-----BEGIN AGE ENCRYPTED FILE-----\nAA==\n-----END AGE ENCRYPTED FILE-----\n";
    let entry = KeyEntry::new(key, String::new(), enc.into());
    let pattern = || Some("^(a|.*pass.*)$".to_owned());
    let rules = match choice.below(16) {
        0 => Rules {
            encrypted_regex: pattern(),
            ..Rules::default()
        },
        1 => Rules {
            unencrypted_regex: pattern(),
            ..Rules::default()
        },
        2 => Rules {
            encrypted_comment_regex: Some("a".into()),
            ..Rules::default()
        },
        3 => Rules {
            unencrypted_comment_regex: Some("^ a".into()),
            ..Rules::default()
        },
        _ => Rules::default(),
    };
    let mut metadata = Metadata::new(vec![vec![entry]], rules, String::new(), "3.11.0".into());
    metadata.mac_only_encrypted = choice.below(4) == 0;
    metadata
}

/// Seals an author's document; what was kept of an earlier form of it is used again.
pub(crate) fn seal(
    document: &Document,
    metadata: Metadata,
    fields: bool,
    kept: Option<(Reuse, BlockText)>,
) -> Result<Sealed, sops::Error> {
    let (mut reuse, block) = kept.unzip();
    let key = key();
    let sealing = Sealing {
        key: &key,
        now: "2026-01-02T03:04:05Z",
        fields,
        reuse: reuse.as_mut(),
        block: block.as_ref(),
        limits: &limits(),
    };
    let mut count = 0_u8;
    let mut random = |buffer: &mut [u8]| -> Result<(), RandomFailed> {
        count = count.wrapping_add(1);
        buffer.fill(count);
        Ok(())
    };
    sops::seal(document, metadata, sealing, &mut random)
}

/// The metadata of a sealed document, if it has some that reads.
pub(crate) fn read_metadata(document: &Document) -> Option<Metadata> {
    let block = document.block().ok()??;
    Metadata::from_value(&nested(document.format(), block)?).ok()
}

/// The nested form of a block.
pub(crate) fn nested(format: Format, block: Value) -> Option<Value> {
    let (Format::Dotenv | Format::Ini, Value::Map(fields)) = (format, &block) else {
        return Some(block);
    };
    let fields: Vec<(String, String)> = fields
        .iter()
        .filter_map(|(name, value)| match value {
            Value::Str(text) => Some((name.clone(), text.clone())),
            _ => None,
        })
        .collect();
    sops::unflatten(&fields).ok()
}

/// Opens what [`seal`] made: it must read, say of itself what it was told, and open with all checks.
pub(crate) fn open(format: Format, sealed: &Sealed, require_integrity: bool) -> Opened {
    let document = reread(format, &sealed.bytes);
    let metadata = read_metadata(&document).expect("the metadata of a sealed file reads");
    assert_eq!(metadata, sealed.metadata, "the block says what it was told");
    assert!(sops::is_data_key(&metadata, &key()), "the MAC opens");
    let damage = sops::check(&document, &metadata).expect("the rule was used to seal it");
    assert!(damage.is_empty(), "{damage:?}");
    let checks = Checks {
        require_integrity,
        keep_texts: true,
        ..Checks::default()
    };
    sops::open(&document, &metadata, &key(), &checks).expect("a sealed file opens")
}

fn reread(format: Format, sealed: &SecretBytes) -> Document {
    let read = parse(format, Form::Sealed, sealed.expose());
    read.expect("a sealed file reads")
}
