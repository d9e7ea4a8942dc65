//! How a sealing key is told from others.

use std::fmt;

use base64::Engine as _;
use sha2::{Digest as _, Sha256};
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::item::hex;

/// SHA-256 of a public key's SubjectPublicKeyInfo: equal for a certificate, for a renewed certificate of the same key, and
/// for the private key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Of a SubjectPublicKeyInfo in DER.
    pub fn of_spki(spki: &[u8]) -> Self {
        Self(Sha256::digest(spki).into())
    }

    /// Reads 64 hexadecimal digits, in any case, with or without colons, a `sha256:` before them allowed.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text
            .get(..7)
            .filter(|head| head.eq_ignore_ascii_case("sha256:"))
            .map_or(text, |head| &text[head.len()..]);
        let mut digits = text.bytes().filter(|byte| *byte != b':');
        let mut digit = || char::from(digits.next()?).to_digit(16);
        let mut bytes = [0; 32];
        for byte in &mut bytes {
            *byte = (digit()? * 16 + digit()?) as u8;
        }
        digits.next().is_none().then_some(Self(bytes))
    }

    /// The first 16 hexadecimal digits: what a hint names a key by.
    pub fn short(&self) -> String {
        hex(&self.0[..8])
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// `SHA256:...` as `ssh-keygen -l` prints it and the stock controller names its keys; `None` for what is no RSA key.
pub(crate) fn ssh(spki: &[u8]) -> Option<String> {
    let (_, info) = SubjectPublicKeyInfo::from_der(spki).ok()?;
    let Ok(PublicKey::RSA(key)) = info.parsed() else {
        return None;
    };
    let mut wire = Sha256::new();
    for field in [b"ssh-rsa", key.exponent, key.modulus] {
        wire.update((field.len() as u32).to_be_bytes());
        wire.update(field);
    }
    let digest = base64::engine::general_purpose::STANDARD_NO_PAD.encode(wire.finalize());
    Some(format!("SHA256:{digest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_read_as_people_write_them() {
        let print = Fingerprint::of_spki(b"x");
        let text = print.to_string();
        assert_eq!(text.len(), 64);
        assert_eq!(Fingerprint::parse(&text), Some(print));
        assert_eq!(
            Fingerprint::parse(&format!(" SHA256:{} ", text.to_uppercase())),
            Some(print)
        );
        let colons: Vec<&str> = (0..32).map(|at| &text[2 * at..2 * at + 2]).collect();
        assert_eq!(Fingerprint::parse(&colons.join(":")), Some(print));
        for wrong in [
            "",
            "12",
            &text[1..],
            &format!("{text}0"),
            &text.replace('a', "g")[..63],
        ] {
            assert_eq!(Fingerprint::parse(wrong), None);
        }
        assert!(text.starts_with(&print.short()));
    }
}
