//! `ssh-ed25519`: the Ed25519 key turned into an X25519 key, and bound to the SSH key by a tweak.

use ::age::{DecryptError, EncryptError};
use age_core::format::{FILE_KEY_BYTES, FileKey};
use age_core::primitives::{aead_decrypt, aead_encrypt, hkdf};
use age_core::secrecy::ExposeSecret as _;
use base64::prelude::{BASE64_STANDARD_NO_PAD, Engine as _};
use curve25519_dalek::edwards::CompressedEdwardsY;
use sha2::{Digest as _, Sha512};
use zeroize::Zeroizing;

use crate::ProviderError;
use crate::age::x25519::{agree, public};

const LABEL: &[u8] = b"age-encryption.org/v1/ssh-ed25519";

pub(super) struct Recipient {
    /// The public key as a point of the Montgomery curve.
    point: [u8; 32],
}

pub(super) struct Identity {
    secret: Zeroizing<[u8; 32]>,
    point: [u8; 32],
}

impl Recipient {
    pub(super) fn new(key: &[u8; 32]) -> Result<Self, String> {
        let edwards = CompressedEdwardsY(*key)
            .decompress()
            .ok_or("the SSH key is not a point of its curve")?;
        // Nobody holds such a key, and everybody could open what is wrapped for it.
        if edwards.is_small_order() {
            return Err("it is a point of low order".to_owned());
        }
        Ok(Self {
            point: edwards.to_montgomery().to_bytes(),
        })
    }

    /// The share and the body of a new stanza.
    pub(super) fn wrap(&self, blob: &[u8], file_key: &FileKey) -> Result<(String, Vec<u8>), EncryptError> {
        let failed = || EncryptError::Io(std::io::Error::other(ProviderError::NoRandomness));
        let mut ephemeral = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *ephemeral).map_err(|_| failed())?;
        let share = public(&ephemeral);
        let key = wrapping_key(&ephemeral, &self.point, blob, &share, &self.point).ok_or_else(failed)?;
        let body = aead_encrypt(&key, file_key.expose_secret());
        Ok((BASE64_STANDARD_NO_PAD.encode(share), body))
    }
}

impl Identity {
    pub(super) fn new(seed: &[u8; 32]) -> Self {
        let hash = Zeroizing::new(<[u8; 64]>::from(Sha512::digest(seed)));
        let mut secret = Zeroizing::new([0; 32]);
        secret.copy_from_slice(&hash[..32]);
        Self {
            point: public(&secret),
            secret,
        }
    }

    pub(super) fn unwrap(&self, blob: &[u8], share: &str, body: &[u8]) -> Result<FileKey, DecryptError> {
        let share: [u8; 32] = BASE64_STANDARD_NO_PAD
            .decode(share)
            .ok()
            .and_then(|share| share.try_into().ok())
            .ok_or(DecryptError::InvalidHeader)?;
        let key = wrapping_key(&self.secret, &share, blob, &share, &self.point)
            .ok_or(DecryptError::InvalidHeader)?;
        let plain = Zeroizing::new(
            aead_decrypt(&key, FILE_KEY_BYTES, body).map_err(|_| DecryptError::DecryptionFailed)?,
        );
        Ok(FileKey::init_with_mut(|key| key.copy_from_slice(&plain)))
    }
}

/// The public half of the key pair that grows from `seed`.
pub(super) fn public_of(seed: &[u8; 32]) -> [u8; 32] {
    let identity = Identity::new(seed);
    let point = curve25519_dalek::EdwardsPoint::mul_base_clamped(*identity.secret);
    point.compress().to_bytes()
}

/// The key that a body is under: both sides come to it with their own `secret` and the other's `point`.
fn wrapping_key(
    secret: &[u8; 32],
    point: &[u8; 32],
    blob: &[u8],
    share: &[u8; 32],
    recipient: &[u8; 32],
) -> Option<Zeroizing<[u8; 32]>> {
    let tweak = Zeroizing::new(hkdf(blob, LABEL, &[]));
    let shared = agree(&tweak, &*agree(secret, point)?)?;
    let salt = [share.as_slice(), recipient].concat();
    Some(Zeroizing::new(hkdf(&salt, LABEL, &*shared)))
}
