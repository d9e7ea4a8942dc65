//! `age1pq1...` and `AGE-SECRET-KEY-PQ-1...`: recipients that withstand quantum computers (C2SP age, the
//! mlkem768x25519 recipient type; age 1.3, SOPS 3.12).
//!
//! ```text
//! -> mlkem768x25519 SHARE       what the key encapsulation sends, 1120 bytes
//! BODY                          the file key, sealed with HPKE
//! ```
//!
//! Stanzas of this type may not stand beside ones that do not withstand quantum computers; in SOPS files every
//! recipient has an age file of its own, so none ever does.

mod hpke;
mod kem;

use std::collections::HashSet;

use ::age::{DecryptError, EncryptError};
use age_core::format::{FILE_KEY_BYTES, FileKey, Stanza};
use age_core::primitives::{bech32_decode, bech32_encode};
use age_core::secrecy::ExposeSecret as _;
use base64::prelude::{BASE64_STANDARD_NO_PAD, Engine as _};
use bech32::Hrp;
use secret::SecretBytes;
use zeroize::{Zeroize as _, Zeroizing};

use super::recipient::fault;
use crate::ProviderError;

const TAG: &str = "mlkem768x25519";
const INFO: &[u8] = b"age-encryption.org/mlkem768x25519";
const RECIPIENT: Hrp = Hrp::parse_unchecked("age1pq");
const IDENTITY: Hrp = Hrp::parse_unchecked("age-secret-key-pq-");
/// Length of a body.
const BODY: usize = FILE_KEY_BYTES + hpke::OVERHEAD;

/// Someone to wrap for.
pub(super) struct Recipient(kem::PublicKey);

/// Opens what was wrapped for its recipient.
pub(super) struct Identity(kem::PrivateKey);

impl Recipient {
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        if !text.starts_with("age1pq1") {
            return Err("it does not start with age1pq1");
        }
        let bytes = decode(text, RECIPIENT)?;
        let bytes = bytes
            .as_slice()
            .try_into()
            .map_err(|_| "it does not hold 1216 bytes")?;
        kem::PublicKey::read(bytes)
            .map(Self)
            .ok_or("it is not a sound ML-KEM key")
    }
}

impl ::age::Recipient for Recipient {
    fn wrap_file_key(&self, file_key: &FileKey) -> Result<(Vec<Stanza>, HashSet<String>), EncryptError> {
        let failed = |error| EncryptError::Io(std::io::Error::other(error));
        let (share, secret) = self.0.encapsulate().map_err(failed)?;
        let body = hpke::seal(&secret, kem::ID, INFO, file_key.expose_secret());
        let stanza = Stanza {
            tag: TAG.to_owned(),
            args: vec![BASE64_STANDARD_NO_PAD.encode(share)],
            body,
        };
        Ok((vec![stanza], HashSet::from(["postquantum".to_owned()])))
    }
}

impl Identity {
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        if !text.starts_with("AGE-SECRET-KEY-PQ-1") {
            return Err("it does not start with AGE-SECRET-KEY-PQ-1");
        }
        let seed = decode(text, IDENTITY)?;
        let seed = seed
            .as_slice()
            .try_into()
            .map_err(|_| "it does not hold 32 bytes")?;
        Ok(Self(kem::PrivateKey::from_seed(seed)))
    }

    /// The text of its recipient.
    pub(super) fn recipient(&self) -> String {
        bech32_encode(RECIPIENT, &self.0.public_key())
    }
}

impl ::age::Identity for Identity {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        if stanza.tag != TAG {
            return None;
        }
        let share = match stanza.args.as_slice() {
            [share] => BASE64_STANDARD_NO_PAD.decode(share).ok(),
            _ => None,
        };
        let secret = share
            .as_deref()
            .and_then(|share| share.try_into().ok())
            .filter(|_| stanza.body.len() == BODY)
            .and_then(|share| self.0.decapsulate(share));
        let Some(secret) = secret else {
            return Some(Err(DecryptError::InvalidHeader));
        };
        // The encapsulation gives a key in any case; whether it is the right one, the body tells.
        let plain = hpke::open(&secret, kem::ID, INFO, &stanza.body)?;
        Some(Ok(FileKey::init_with_mut(|key| key.copy_from_slice(&plain))))
    }
}

/// A new identity: its text (one line without a line end) and its recipient. Random bytes come from the operating
/// system.
pub fn generate() -> Result<(SecretBytes, String), ProviderError> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *seed).map_err(|_| ProviderError::NoRandomness)?;
    let recipient = Identity(kem::PrivateKey::from_seed(&seed)).recipient();
    let mut text = bech32_encode(IDENTITY, &*seed);
    text.make_ascii_uppercase();
    Ok((SecretBytes::new(text.into_bytes()), recipient))
}

/// The bytes of a Bech32 text of unlimited length, which has exactly one spelling in either case.
fn decode(text: &str, prefix: Hrp) -> Result<Zeroizing<Vec<u8>>, &'static str> {
    let bytes = bech32_decode(
        text,
        |_| fault(text),
        |found| (found == prefix).then_some(()).ok_or("it is of another kind"),
        |_, bytes| Ok(Zeroizing::new(bytes.collect::<Vec<u8>>())),
    )?;
    let mut again = bech32_encode(prefix, &bytes);
    let same = secret::ct_eq(again.as_bytes(), text.to_ascii_lowercase().as_bytes());
    again.zeroize();
    match same {
        true => Ok(bytes),
        false => Err("its padding is wrong"),
    }
}

#[cfg(test)]
mod tests;
