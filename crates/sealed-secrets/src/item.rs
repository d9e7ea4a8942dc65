//! One sealed value, as text and as bytes.

use std::ops::Range;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use sha2::{Digest as _, Sha256};

/// Length of the tag of AES-256-GCM in bytes.
pub(crate) const TAG: usize = 16;
/// Moduli that keys may have, in bytes.
pub(crate) const MODULUS: Range<usize> = 256..1025;

/// As Go reads it: padding is due, bits behind the last byte may be anything.
const READING: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// A sealed value, taken apart.
///
/// ```text
/// +--------+---------------------+----------------------+-----------+
/// | 2      | n                   | length of the value  | 16        |
/// | n, big | RSA-OAEP-SHA256 of  | AES-256-GCM, nonce 0 | GCM tag   |
/// | endian | the session key     |                      |           |
/// +--------+---------------------+----------------------+-----------+
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    blob: Vec<u8>,
    modulus: usize,
}

/// Why a text is no sealed value. It tells lengths, never content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ItemError {
    /// Not base64 at all: probably a value that was never sealed.
    #[error("not base64, so it was never sealed")]
    NotBase64,
    /// Base64 without the length that it should have.
    #[error("base64 that is cut off: its length is no multiple of four")]
    Padding,
    /// Too short to hold what it says that it holds.
    #[error(
        "too short: {found} bytes, where a sealed value with this head has at least {needed}; it was cut off"
    )]
    TooShort {
        /// Bytes that there are.
        found: usize,
        /// Bytes that there should be.
        needed: usize,
    },
    /// The head names a key size that no sealing key has.
    #[error(
        "no sealed value: its head says {0} bytes for the session key, and sealing keys make 256 to 1,024"
    )]
    Head(usize),
}

impl Item {
    /// Reads the text of an item. Line breaks are passed over wherever they stand, as Go's decoder does.
    ///
    /// # Errors
    /// When it is not base64, or shorter than its head says.
    pub fn parse(text: &[u8]) -> Result<Self, ItemError> {
        Self::from_blob(decode(text)?)
    }

    /// Reads the bytes of an item.
    ///
    /// # Errors
    /// When there are fewer than the head says.
    pub fn from_blob(blob: Vec<u8>) -> Result<Self, ItemError> {
        let found = blob.len();
        let Some(&[high, low]) = blob.first_chunk() else {
            return Err(ItemError::TooShort {
                found,
                needed: 2 + MODULUS.start + TAG,
            });
        };
        let modulus = usize::from(u16::from_be_bytes([high, low]));
        if !MODULUS.contains(&modulus) {
            return Err(ItemError::Head(modulus));
        }
        let needed = 2 + modulus + TAG;
        if found < needed {
            return Err(ItemError::TooShort { found, needed });
        }
        Ok(Self { blob, modulus })
    }

    /// The wrapped session key; as long as the modulus of its key.
    pub(crate) fn wrapped_key(&self) -> &[u8] {
        &self.blob[2..2 + self.modulus]
    }

    /// The ciphertext with its tag.
    pub(crate) fn body(&self) -> &[u8] {
        &self.blob[2 + self.modulus..]
    }

    /// Length of the plaintext in bytes.
    pub fn plaintext_len(&self) -> usize {
        self.body().len() - TAG
    }

    /// Length in bytes of the modulus of the key that it is sealed for.
    pub fn modulus_len(&self) -> usize {
        self.modulus
    }
}

/// Base64 as Go reads it.
pub(crate) fn decode(text: &[u8]) -> Result<Vec<u8>, ItemError> {
    let is_break = |byte: &u8| matches!(byte, b'\r' | b'\n');
    let decoded = if text.iter().any(is_break) {
        let joined: Vec<u8> = text.iter().copied().filter(|byte| !is_break(byte)).collect();
        READING.decode(joined)
    } else {
        READING.decode(text)
    };
    decoded.map_err(|error| match error {
        base64::DecodeError::InvalidByte(..) => ItemError::NotBase64,
        _ => ItemError::Padding,
    })
}

/// The text of an item, made from its bytes.
pub(crate) fn encode(blob: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(blob)
}

/// The first eight hexadecimal digits of the SHA-256 of an item's text, by which a hint knows the item again.
pub fn short_hash(text: &[u8]) -> String {
    hex(&Sha256::digest(text)[..4])
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(modulus: u16, rest: usize) -> Vec<u8> {
        let mut blob = modulus.to_be_bytes().to_vec();
        blob.resize(2 + rest, 7);
        blob
    }

    #[test]
    fn every_malformed_head_is_an_error(/* CR-14 */) {
        assert_eq!(
            Item::from_blob(Vec::new()),
            Err(ItemError::TooShort {
                found: 0,
                needed: 274
            })
        );
        assert_eq!(Item::from_blob(blob(0, 600)), Err(ItemError::Head(0)));
        assert_eq!(Item::from_blob(blob(65_535, 600)), Err(ItemError::Head(65_535)));
        assert_eq!(Item::from_blob(blob(255, 600)), Err(ItemError::Head(255)));
        let whole = blob(512, 512 + TAG);
        assert_eq!(Item::from_blob(whole.clone()).expect("whole").plaintext_len(), 0);
        for cut in 0..whole.len() {
            Item::from_blob(whole[..cut].to_vec()).expect_err("cut off");
        }
    }

    #[test]
    fn base64_reads_as_go_reads_it() {
        let text = encode(&blob(256, 256 + TAG + 2));
        let item = Item::parse(text.as_bytes()).expect("whole");
        let (head, tail) = text.split_at(70);
        let folded = format!("{head}\r\n{tail}\n");
        assert_eq!(Item::parse(folded.as_bytes()).expect("folded"), item);
        assert_eq!(decode(b"AAB=").expect("bits behind the end"), [0, 0]);
        assert_eq!(decode(b"AAB"), Err(ItemError::Padding));
        assert_eq!(decode(b"AA B="), Err(ItemError::NotBase64));
        assert_eq!(decode(b"AA-_"), Err(ItemError::NotBase64));
    }
}
