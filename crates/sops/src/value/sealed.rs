//! The text form of a sealed value, taken apart but not yet opened.

use crate::value::{ValueError, ValueType};

/// What every sealed text begins with.
pub(super) const PREFIX: &[u8] = b"ENC[AES256_GCM,";

/// A sealed text taken apart:
///
/// ```text
/// ENC[AES256_GCM,data:<base64>,iv:<base64>,tag:<base64>,type:<word>]
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Sealed<'a> {
    /// The ciphertext, as base64; never empty.
    pub data: &'a [u8],
    /// The nonce, as base64; of any length but zero.
    pub iv: &'a [u8],
    /// The tag, as base64 of 16 bytes.
    pub tag: &'a [u8],
    /// What the plaintext is.
    pub ty: ValueType,
}

impl<'a> Sealed<'a> {
    /// Takes `text` apart; `None` if it does not claim to be sealed, that is, does not begin with
    /// `ENC[AES256_GCM,`.
    ///
    /// # Errors
    /// When it claims to be sealed and is not well-formed to the last byte.
    pub fn parse(text: &'a [u8]) -> Result<Option<Self>, ValueError> {
        let Some(rest) = text.strip_prefix(PREFIX) else {
            return Ok(None);
        };
        match Self::fields(rest) {
            // Nothing well-formed holds a bracket before its end, so this is only asked of what is not.
            Err(_) if rest.iter().rev().skip(1).any(|byte| *byte == b']') => Err(ValueError::Trailing),
            read => read.map(Some),
        }
    }

    /// Reads what follows the prefix, from the end, where the short fields are.
    fn fields(rest: &'a [u8]) -> Result<Self, ValueError> {
        let rest = rest.strip_suffix(b"]").ok_or(ValueError::Fields)?;
        let mut fields = rest.rsplitn(4, |byte| *byte == b',');
        let mut field = |name: &[u8]| {
            let field = fields.next().ok_or(ValueError::Fields)?;
            field.strip_prefix(name).ok_or(ValueError::Fields)
        };
        let (ty, tag, iv, data) = (
            field(b"type:")?,
            field(b"tag:")?,
            field(b"iv:")?,
            field(b"data:")?,
        );
        let ty = ValueType::parse(ty).ok_or(ValueError::UnknownType)?;
        if ty == ValueType::Bytes {
            return Err(ValueError::Bytes);
        }
        if decoded_len(data).is_none() {
            let one_field = !data.contains(&b',');
            return Err(if one_field {
                ValueError::Base64("data")
            } else {
                ValueError::Fields
            });
        }
        decoded_len(iv).ok_or(ValueError::Base64("iv"))?;
        match decoded_len(tag) {
            Some(16) => Ok(Self { data, iv, tag, ty }),
            Some(_) => Err(ValueError::TagLength),
            None => Err(ValueError::Base64("tag")),
        }
    }
}

/// How many bytes `text` decodes to, if it is canonical padded base64 of at least one byte.
pub(super) fn decoded_len(text: &[u8]) -> Option<usize> {
    if text.is_empty() || !text.len().is_multiple_of(4) {
        return None;
    }
    let padding = text
        .iter()
        .rev()
        .take(2)
        .take_while(|byte| **byte == b'=')
        .count();
    let body = &text[..text.len() - padding];
    // Without early exit and without branches, so that the compiler can compare many bytes at once.
    let foreign = body.iter().fold(0, |foreign, byte| {
        let letter = (byte | 0x20).wrapping_sub(b'a') < 26;
        let digit = byte.wrapping_sub(b'0') < 10;
        foreign | u8::from(!(letter | digit | (*byte == b'+') | (*byte == b'/')))
    });
    let clean = foreign == 0;
    // The bits of the last digit that no byte uses must be zero.
    let canonical: &[u8] = match padding {
        0 => return clean.then_some(text.len() / 4 * 3),
        1 => b"AEIMQUYcgkosw048",
        _ => b"AQgw",
    };
    let last = body.last()?;
    (clean && canonical.contains(last)).then_some(text.len() / 4 * 3 - padding)
}
