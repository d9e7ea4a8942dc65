//! The head: the metadata that is bound, and which field of it differs.

use std::fmt;
use std::hash::Hasher as _;

use hmac::Mac as _;
use siphasher::sip::SipHasher24;

use crate::DataKey;
use crate::integrity::keys::{self, derive};
use crate::metadata::{Metadata, flatten};

/// The metadata is not what was sealed; exit code 51.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{change}")]
pub struct FieldMismatch {
    /// What happened to which field.
    pub change: Change,
}

/// The first difference between the sealed metadata and the metadata at hand, fields as `sops.age[0].recipient`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// This field has another value, or took the place of another one.
    Changed(String),
    /// This field, and perhaps more behind it, was added.
    Added(String),
    /// At least one field was removed that stood, in the order of names, before this one; or, for `None`, last.
    RemovedBefore(Option<String>),
    /// The field `integrity` itself was changed, or the data key is not the file's own.
    Integrity,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed(field) => write!(f, "{field} is not what was sealed"),
            Self::Added(field) => write!(f, "{field} was added after the file was sealed"),
            Self::RemovedBefore(Some(field)) => {
                write!(f, "a field before {field} was removed after the file was sealed")
            }
            Self::RemovedBefore(None) => {
                f.write_str("the last field of sops was removed after the file was sealed")
            }
            Self::Integrity => f.write_str("sops.integrity does not belong to this file"),
        }
    }
}

pub(super) type Fields = Vec<(String, String)>;

/// The bound fields of `metadata`, sorted by flat name.
pub(super) fn of(metadata: &Metadata) -> Fields {
    let mut fields = flatten(&metadata.to_value());
    fields.retain(|(name, _)| {
        let unbound = ["mac", "integrity"].contains(&name.as_str());
        !unbound && !name.ends_with("__map_enc") && !name.ends_with("__map_created_at")
    });
    fields
}

/// HMAC-SHA256(IK, "head" 00 || body || s(name) s(value) ...)
pub(super) fn head(key: &DataKey, body: &[u8; 32], fields: &Fields) -> [u8; 32] {
    let mut hmac = keys::hmac(&*derive::<32>(key, "integrity"));
    hmac.update(b"head\0");
    hmac.update(body);
    for text in fields.iter().flat_map(|(name, value)| [name, value]) {
        hmac.update(&length(text.len()));
        hmac.update(text.as_bytes());
    }
    hmac.finalize().into_bytes().into()
}

pub(super) fn marks(key: &DataKey, fields: &Fields) -> Vec<u16> {
    let marks_key = derive::<16>(key, "marks");
    let mark = |(name, value): &(String, String)| {
        let mut hasher = SipHasher24::new_with_key(&marks_key);
        for text in [name, value] {
            hasher.write(&length(text.len()));
            hasher.write(text.as_bytes());
        }
        mark_of(&hasher)
    };
    fields.iter().map(mark).collect()
}

/// The first two bytes of a hash as SipHash's reference writes it, least significant first.
pub(super) fn mark_of(hasher: &SipHasher24) -> u16 {
    let [first, second, ..] = hasher.finish().to_le_bytes();
    u16::from_be_bytes([first, second])
}

/// The length in s(x). No text of a file reaches 4 GiB: documents end at 1 GiB.
pub(super) fn length(len: usize) -> [u8; 4] {
    u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes()
}

/// Names the first difference: `found` are the marks of `fields`, `sealed` those of the file.
pub(super) fn first_difference(fields: &Fields, found: &[u16], sealed: &[u16]) -> FieldMismatch {
    let name = |at: usize| fields.get(at).map(|(name, _)| readable(name));
    let change = super::first_difference(found, sealed).map_or(Change::Integrity, |at| match name(at) {
        Some(field) if found.len() > sealed.len() => Change::Added(field),
        field if found.len() < sealed.len() => Change::RemovedBefore(field),
        Some(field) => Change::Changed(field),
        None => Change::Integrity,
    });
    FieldMismatch { change }
}

/// `age__list_0__map_recipient` as `sops.age[0].recipient`.
fn readable(flat: &str) -> String {
    let mut readable = String::from("sops.");
    for (at, part) in flat.split("__list_").enumerate() {
        if at == 0 {
            readable.push_str(&part.replace("__map_", "."));
        } else {
            let (index, rest) = part
                .split_once("__map_")
                .map_or((part, None), |(index, rest)| (index, Some(rest)));
            readable.push_str(&format!("[{index}]"));
            if let Some(rest) = rest {
                readable.push('.');
                readable.push_str(&rest.replace("__map_", "."));
            }
        }
    }
    readable
}
