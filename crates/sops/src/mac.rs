//! The MAC of a file: SHA-512 over the plaintext of its leaves, sealed under the data key.
//!
//! It binds neither keys nor structure, nor nulls, comments or metadata: that is the format, and what the
//! `integrity` field is for.

use document::Timestamp;
use secret::SecretBytes;
use sha2::{Digest, Sha512};

use crate::value::{Cipher, Sealed, ValueError, ValueType};

/// SHA-256 of `sops`, which is hashed first when only sealed values are.
const ONLY_ENCRYPTED: [u8; 32] = [
    0x8a, 0x3f, 0xd2, 0xad, 0x54, 0xce, 0x66, 0x52, 0x7b, 0x10, 0x34, 0xf3, 0xd1, 0x47, 0xbe, 0x0b, //
    0x0b, 0x97, 0x5b, 0x3b, 0xf4, 0x4f, 0x72, 0xc6, 0xfd, 0xad, 0xec, 0x81, 0x76, 0xf2, 0x7d, 0x69,
];

/// Why the sealed MAC of a file cannot be had; all are exit code 51.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MacError {
    /// `lastmodified` is not a time.
    #[error("sops.lastmodified does not read as a time")]
    LastModified,
    /// `mac` is no sealed text.
    #[error("sops.mac is not a sealed value")]
    NotSealed,
    /// `mac` does not open.
    #[error("sops.mac: {0}")]
    Value(#[from] ValueError),
}

/// The running hash, one for all documents of a file. Cheap to clone before a leaf that versions of sops
/// hash differently.
#[derive(Clone)]
pub struct Mac(Sha512);

impl std::fmt::Debug for Mac {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mac(***)")
    }
}

impl Mac {
    /// Begins; `only_encrypted` is the file's `mac_only_encrypted`.
    pub fn new(only_encrypted: bool) -> Self {
        let mut hash = Sha512::new();
        if only_encrypted {
            hash.update(ONLY_ENCRYPTED);
        }
        Self(hash)
    }

    /// Adds the next leaf, as [`crate::value::plaintext`] gives it; no nulls, no comments.
    pub fn leaf(&mut self, plaintext: &[u8]) {
        self.0.update(plaintext);
    }

    /// 128 upper-case hexadecimal digits.
    pub fn finish(self) -> String {
        const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
        let hash = self.0.finalize();
        let digit = |value: u8| char::from(DIGITS[usize::from(value)]);
        hash.iter()
            .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
            .collect()
    }

    /// Whether the file says `expected`, in constant time.
    #[must_use]
    pub fn verify(self, expected: &[u8]) -> bool {
        secret::ct_eq(self.finish().as_bytes(), expected)
    }
}

/// Seals `mac` for the metadata block. `lastmodified` must be the very text that the block will hold, in
/// sops' own form `YYYY-MM-DDTHH:MM:SSZ`.
pub fn seal_mac(cipher: &Cipher, mac: &str, lastmodified: &str, iv: &[u8; 32]) -> String {
    let mut out = Vec::with_capacity(300);
    cipher.seal_into(
        ValueType::Str,
        mac.as_bytes(),
        lastmodified.as_bytes(),
        iv,
        &mut out,
    );
    String::from_utf8(out).expect("a sealed text is ASCII")
}

/// Opens the `mac` of a metadata block.
///
/// # Errors
/// When `lastmodified` is not a time, or `sealed` is not a text sealed under this key with it.
pub fn open_mac(cipher: &Cipher, sealed: &str, lastmodified: &str) -> Result<SecretBytes, MacError> {
    let aad = lastmodified_aad(lastmodified).ok_or(MacError::LastModified)?;
    let sealed = Sealed::parse(sealed.as_bytes())?.ok_or(MacError::NotSealed)?;
    if sealed.ty != ValueType::Str {
        return Err(MacError::NotSealed);
    }
    let mut mac = SecretBytes::default();
    cipher.open_into(&sealed, aad.as_bytes(), mac.expose_mut())?;
    Ok(mac)
}

/// The text under which a MAC is sealed: `lastmodified` read as Go reads RFC 3339 and printed again in whole
/// seconds. The offset stays as it is, but zero prints as `Z`; `None` if it is no time.
pub fn lastmodified_aad(lastmodified: &str) -> Option<String> {
    let time = Timestamp::parse_rfc3339_leniently(lastmodified)?;
    Some(Timestamp { nanos: 0, ..time }.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DataKey;

    #[test]
    fn the_hash_of_nothing_and_of_only_sealed_values() {
        let empty = Mac::new(false).finish();
        assert!(empty.starts_with("CF83E1357EEFB8BDF1542850D66D8007D620E4050B5715DC83F4A921D36CE9CE"));
        assert_eq!(empty.len(), 128);
        assert_eq!(ONLY_ENCRYPTED[..], sha2::Sha256::digest(b"sops")[..]);
        let mut only = Mac::new(true);
        only.leaf(b"a");
        let mut plain = Mac::new(false);
        plain.leaf(&ONLY_ENCRYPTED);
        plain.leaf(b"a");
        let expected = plain.finish();
        assert!(only.clone().verify(expected.as_bytes()));
        assert!(!only.clone().verify(&expected.as_bytes()[1..]));
        assert!(!only.verify(expected.to_lowercase().as_bytes()));
    }

    #[test]
    fn lastmodified_is_bound_in_sops_own_form() {
        for (text, aad) in [
            ("2024-01-02T03:04:05Z", Some("2024-01-02T03:04:05Z")),
            ("2024-01-02T03:04:05.123+00:00", Some("2024-01-02T03:04:05Z")),
            ("2024-01-02T03:04:05.123+02:30", Some("2024-01-02T03:04:05+02:30")),
            ("2024-01-02T3:04:05,5-00:00", Some("2024-01-02T03:04:05Z")),
            ("2024-01-02T03:04:05-24:60", Some("2024-01-02T03:04:05-25:00")),
            ("2024-01-02T03:04:60Z", None),
            ("99999-01-01T00:00:00Z", None),
            ("", None),
        ] {
            assert_eq!(lastmodified_aad(text).as_deref(), aad, "{text}");
        }
    }

    #[test]
    fn a_mac_opens_only_with_its_lastmodified() {
        let cipher = Cipher::new(&DataKey::new([7; 32]));
        let mac = Mac::new(false).finish();
        let sealed = seal_mac(&cipher, &mac, "2024-01-02T03:04:05Z", &[9; 32]);
        let open = |sealed: &str, lastmodified| {
            open_mac(&cipher, sealed, lastmodified).map(|mac| mac.expose().to_vec())
        };
        assert_eq!(open(&sealed, "2024-01-02T03:04:05.9+00:00"), Ok(mac.into_bytes()));
        let changed = Err(MacError::Value(ValueError::Authentication));
        assert_eq!(open(&sealed, "2024-01-02T03:04:06Z"), changed);
        assert_eq!(open(&sealed, "2024-01-02T03:04:05+02:00"), changed);
        assert_eq!(open(&sealed, "yesterday"), Err(MacError::LastModified));
        assert_eq!(open("CF83E1", "2024-01-02T03:04:05Z"), Err(MacError::NotSealed));
        let retyped = sealed.replace("type:str", "type:int");
        assert_eq!(open(&retyped, "2024-01-02T03:04:05Z"), Err(MacError::NotSealed));
    }
}
