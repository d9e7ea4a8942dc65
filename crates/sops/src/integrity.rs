//! The `integrity` field: what sops' own MAC leaves open, closed by a field that sops ignores.
//!
//! ```text
//! IK, SK = HKDF-SHA256(data key, salt "", info "sealwright/sops/{integrity,marks}/v1")    32 and 16 bytes
//! s(x)   = u32be(len) || x
//! body   = HMAC-SHA256(IK, "body" 00 || items)              items: see IntegrityBuilder
//! head   = HMAC-SHA256(IK, "head" 00 || body || fields)
//! fields = s(name) s(value) of the flattened metadata, sorted by name, without `mac`, `integrity`, and
//!          without every `enc` and `created_at` of a key
//! fmarks = per field the first 2 bytes of SipHash-2-4(SK, s(name) s(value)), in that order
//! marks  = per leaf or comment the first 2 bytes of its SipHash, see IntegrityBuilder; may be left out
//!
//! v1:base64(head):base64(body):base64(fmarks):base64(marks)
//! ```
//!
//! An HMAC proves that someone who holds the data key wrote the file, not who. `enc` stays outside so that the
//! search over bad shares works; a wrong one cannot give a key that verifies. Neither kind of mark is trusted:
//! they only name the place once a hash has failed.

mod builder;
mod fields;
mod keys;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::DataKey;
use crate::metadata::Metadata;

pub use builder::{Body, IntegrityBuilder, IntegrityMode, Place};
pub use fields::{Change, FieldMismatch};
pub(crate) use keys::derive;

/// Why an `integrity` field cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IntegrityError {
    /// Written by a newer version.
    #[error("sops.integrity has a version that this program does not know")]
    UnknownVersion,
    /// Not the four parts in base64.
    #[error("sops.integrity does not read")]
    Malformed,
}

/// The content of the file is not what was sealed; exit code 51.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the content of the file is not what was sealed")]
pub struct BodyMismatch {
    /// The ordinal of the first leaf or comment whose mark differs, for [`IntegrityBuilder::locating`]. It may
    /// lie just behind the last one, if something at the end was removed; `None` if the marks cannot tell.
    pub first: Option<usize>,
}

/// An `integrity` field that was read from a file and is yet to be verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Integrity {
    head: [u8; 32],
    body: [u8; 32],
    field_marks: Vec<u16>,
    marks: Option<Vec<u16>>,
}

/// The field for a file with this `body` and `metadata`. `metadata` must already hold everything else that will
/// be written; its own `mac` and `integrity` do not count.
pub fn seal_integrity(key: &DataKey, body: &Body, metadata: &Metadata) -> String {
    seal(key, &body.body, body.marks.as_deref(), metadata)
}

fn seal(key: &DataKey, body: &[u8; 32], marks: Option<&[u16]>, metadata: &Metadata) -> String {
    let fields = fields::of(metadata);
    let head = fields::head(key, body, &fields);
    let field_marks = fields::marks(key, &fields);
    let pack = |marks: &[u16]| {
        marks
            .iter()
            .flat_map(|mark| mark.to_be_bytes())
            .collect::<Vec<u8>>()
    };
    let marks = marks.map(pack).unwrap_or_default();
    let [head, body, field_marks, marks] =
        [&head[..], body, &pack(&field_marks), &marks].map(|part| STANDARD.encode(part));
    format!("v1:{head}:{body}:{field_marks}:{marks}")
}

impl Integrity {
    /// Reads the field.
    ///
    /// # Errors
    /// See [`IntegrityError`].
    pub fn parse(field: &str) -> Result<Self, IntegrityError> {
        let parts = match field.split_once(':') {
            Some(("v1", parts)) => parts,
            Some((version, _)) if is_version(version) => return Err(IntegrityError::UnknownVersion),
            _ => return Err(IntegrityError::Malformed),
        };
        let mut parts = parts.split(':').map(|part| STANDARD.decode(part).ok());
        let mut part = || parts.next().flatten();
        let read = (|| {
            let head = part()?.try_into().ok()?;
            let body = part()?.try_into().ok()?;
            let field_marks = unpack(&part()?)?;
            let marks = unpack(&part()?)?;
            Some(Self {
                head,
                body,
                field_marks,
                marks: (!marks.is_empty()).then_some(marks),
            })
        })();
        read.filter(|_| parts.next().is_none())
            .ok_or(IntegrityError::Malformed)
    }

    /// Whether `metadata` is what was sealed. Comes first when reading: the selection rules, recipients and
    /// the threshold are not to be believed before.
    ///
    /// # Errors
    /// The first field that differs, as far as the marks tell; exit code 51.
    pub fn verify_head(&self, key: &DataKey, metadata: &Metadata) -> Result<(), FieldMismatch> {
        let fields = fields::of(metadata);
        if secret::ct_eq(&fields::head(key, &self.body, &fields), &self.head) {
            return Ok(());
        }
        Err(fields::first_difference(
            &fields,
            &fields::marks(key, &fields),
            &self.field_marks,
        ))
    }

    /// Whether the content is what was sealed. Means nothing before [`Self::verify_head`] succeeded.
    ///
    /// # Errors
    /// The first mark that differs.
    pub fn verify_body(&self, body: &Body) -> Result<(), BodyMismatch> {
        if secret::ct_eq(&body.body, &self.body) {
            return Ok(());
        }
        let first = match (&self.marks, &body.marks) {
            (Some(sealed), Some(found)) => first_difference(sealed, found),
            _ => None,
        };
        Err(BodyMismatch { first })
    }

    /// The field for changed `metadata` over the same content: what `updatekeys` and `groups` write, without
    /// opening a value. Verify the head of the file as it was read before.
    pub fn reseal_head(&self, key: &DataKey, metadata: &Metadata) -> String {
        seal(key, &self.body, self.marks.as_deref(), metadata)
    }
}

fn is_version(text: &str) -> bool {
    text.strip_prefix('v')
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

fn unpack(bytes: &[u8]) -> Option<Vec<u16>> {
    let (marks, rest) = bytes.as_chunks::<2>();
    rest.is_empty()
        .then(|| marks.iter().map(|mark| u16::from_be_bytes(*mark)).collect())
}

/// The first position at which two sequences differ, one behind the end of the shorter one included.
fn first_difference(one: &[u16], other: &[u16]) -> Option<usize> {
    let common = one.len().min(other.len());
    let differs = one.iter().zip(other).position(|(one, other)| one != other);
    differs.or((one.len() != other.len()).then_some(common))
}

#[cfg(test)]
mod tests;
