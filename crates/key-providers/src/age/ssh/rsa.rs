//! `ssh-rsa`: RSA-OAEP with SHA-256. Keys from 2048 bits, as age asks for, to 8192, as far as aws-lc goes.

use ::age::{DecryptError, EncryptError};
use age_core::format::{FILE_KEY_BYTES, FileKey};
use age_core::secrecy::ExposeSecret as _;
use aws_lc_rs::rsa::{
    OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, OaepPublicEncryptingKey, PrivateDecryptingKey,
    PublicEncryptingKey,
};
use ssh_key::private::RsaKeypair;
use ssh_key::public::RsaPublicKey;
use zeroize::Zeroizing;

use super::der;
use crate::ProviderError;

const LABEL: &[u8] = b"age-encryption.org/v1/ssh-rsa";
/// Bytes of a modulus.
const SIZES: std::ops::RangeInclusive<usize> = 256..=1024;

pub(super) struct Recipient(OaepPublicEncryptingKey);

pub(super) struct Identity(OaepPrivateDecryptingKey);

impl Recipient {
    pub(super) fn new(key: &RsaPublicKey) -> Result<Self, String> {
        let (Some(n), Some(e)) = (key.n.as_positive_bytes(), key.e.as_positive_bytes()) else {
            return Err("the SSH key holds a negative number".to_owned());
        };
        if !SIZES.contains(&n.len()) {
            return Err(format!(
                "RSA keys may have 2048 to 8192 bits, this one has {}",
                n.len() * 8
            ));
        }
        PublicEncryptingKey::from_der(&der::public_key(n, e))
            .ok()
            .and_then(|key| OaepPublicEncryptingKey::new(key).ok())
            .map(Self)
            .ok_or_else(|| "the SSH key is not a sound RSA key".to_owned())
    }

    pub(super) fn wrap(&self, file_key: &FileKey) -> Result<Vec<u8>, EncryptError> {
        let mut body = vec![0; self.0.ciphertext_size()];
        let key = file_key.expose_secret();
        match self
            .0
            .encrypt(&OAEP_SHA256_MGF1SHA256, key, &mut body, Some(LABEL))
        {
            Ok(_) => Ok(body),
            Err(_) => Err(EncryptError::Io(std::io::Error::other(
                ProviderError::InvalidKey("the RSA key does not encrypt".to_owned()),
            ))),
        }
    }
}

impl Identity {
    /// From the numbers of an OpenSSH key file.
    pub(super) fn of(key: &RsaKeypair) -> Option<Self> {
        let n = key.public.n.as_positive_bytes()?;
        let e = key.public.e.as_positive_bytes()?;
        let d = key.private.d.as_positive_bytes()?;
        let p = key.private.p.as_positive_bytes()?;
        let q = key.private.q.as_positive_bytes()?;
        let qi = key.private.iqmp.as_positive_bytes()?;
        let (dp, dq) = (remainder(d, &less_one(p)?), remainder(d, &less_one(q)?));
        Self::from_pkcs1(&der::pkcs1([n, e, d, p, q, &dp, &dq, qi]))
    }

    /// From an RSAPrivateKey.
    pub(super) fn from_pkcs1(pkcs1: &[u8]) -> Option<Self> {
        let key = PrivateDecryptingKey::from_pkcs8(&der::pkcs8(pkcs1)).ok()?;
        OaepPrivateDecryptingKey::new(key).ok().map(Self)
    }

    pub(super) fn unwrap(&self, body: &[u8]) -> Result<FileKey, DecryptError> {
        let mut plain = Zeroizing::new(vec![0; self.0.min_output_size()]);
        let plain = self
            .0
            .decrypt(&OAEP_SHA256_MGF1SHA256, body, &mut plain, Some(LABEL))
            .map_err(|_| DecryptError::DecryptionFailed)?;
        if plain.len() != FILE_KEY_BYTES {
            return Err(DecryptError::DecryptionFailed);
        }
        Ok(FileKey::init_with_mut(|key| key.copy_from_slice(plain)))
    }
}

/// A prime less one; `None` for what is no odd number.
fn less_one(prime: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut less = Zeroizing::new(prime.to_vec());
    let last = less.last_mut().filter(|last| **last & 1 == 1)?;
    *last &= !1;
    Some(less)
}

/// `number` modulo `modulus`, both big-endian: shift and subtract, bit by bit. The time it takes depends on their
/// lengths only.
fn remainder(number: &[u8], modulus: &[u8]) -> Zeroizing<Vec<u8>> {
    // One byte more than the modulus, for the bit that is shifted in.
    let mut rest = Zeroizing::new(vec![0u8; modulus.len() + 1]);
    let mut less = Zeroizing::new(vec![0u8; modulus.len() + 1]);
    for byte in number {
        for bit in (0..8).rev() {
            let mut carry = byte >> bit & 1;
            for digit in rest.iter_mut().rev() {
                (*digit, carry) = (*digit << 1 | carry, *digit >> 7);
            }
            let mut borrow = 0;
            for (at, digit) in rest.iter().enumerate().rev() {
                let subtrahend = at.checked_sub(1).map_or(0, |at| modulus[at]);
                let difference = 0x100 + u16::from(*digit) - u16::from(subtrahend) - borrow;
                less[at] = difference as u8;
                borrow = 1 - (difference >> 8);
            }
            // All ones where the modulus did not fit.
            let keep = (borrow as u8).wrapping_neg();
            for (digit, less) in rest.iter_mut().zip(less.iter()) {
                *digit = *digit & keep | less & !keep;
            }
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remainders_are_those_of_arithmetic() {
        let numbers: [u128; 8] = [0, 1, 2, 255, 256, 0x1234_5678_9abc_def0, u128::MAX / 3, u128::MAX];
        for number in numbers {
            for modulus in numbers.into_iter().filter(|modulus| *modulus > 0) {
                let bytes = modulus.to_be_bytes();
                for modulus_bytes in [&bytes[..], &bytes[modulus.leading_zeros() as usize / 8..]] {
                    let found = remainder(&number.to_be_bytes(), modulus_bytes);
                    let found = found
                        .iter()
                        .fold(0u128, |value, byte| value << 8 | u128::from(*byte));
                    assert_eq!(found, number % modulus, "{number} mod {modulus}");
                }
            }
        }
    }
}
