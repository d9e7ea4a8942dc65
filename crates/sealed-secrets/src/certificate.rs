//! Certificates: the public half, for which values are sealed.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;
use zeroize::Zeroizing;

use crate::error::{CertificateError, Random, SealError};
use crate::fingerprint::{self, Fingerprint};
use crate::item::{self, TAG};

/// A certificate of a sealing key. Of a certificate only its key and its dates count: nobody signs it but itself, and
/// its key usage is one that no ordinary check would accept.
pub struct Certificate {
    der: Vec<u8>,
    fingerprint: Fingerprint,
    ssh_fingerprint: String,
    not_before: i64,
    not_after: i64,
    subject: String,
    serial: String,
    key: OaepPublicEncryptingKey,
}

impl Certificate {
    /// Reads the first certificate of a PEM file.
    ///
    /// # Errors
    /// When there is none, or its key is not RSA with 2,048 to 8,192 bits.
    pub fn parse(pem: &[u8]) -> Result<Self, CertificateError> {
        match CertificateDer::from_pem_slice(pem) {
            Ok(der) => Self::from_der(der.to_vec()),
            Err(rustls_pki_types::pem::Error::NoItemsFound) => Err(CertificateError::None),
            Err(_) => Err(CertificateError::Pem),
        }
    }

    /// Reads a certificate in DER.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn from_der(der: Vec<u8>) -> Result<Self, CertificateError> {
        let (_, parsed) = X509Certificate::from_der(&der).map_err(|_| CertificateError::Der)?;
        let spki = parsed.public_key().raw;
        let ssh_fingerprint = fingerprint::ssh(spki).ok_or(CertificateError::NotRsa)?;
        let key = PublicEncryptingKey::from_der(spki)
            .ok()
            .and_then(|key| OaepPublicEncryptingKey::new(key).ok())
            .ok_or(CertificateError::Size)?;
        Ok(Self {
            fingerprint: Fingerprint::of_spki(spki),
            ssh_fingerprint,
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
            subject: parsed.subject().to_string(),
            serial: item::hex(parsed.raw_serial()),
            key,
            der,
        })
    }

    /// Seals a value: `label` is [`Scope::label`](crate::Scope::label)'s. The session key is drawn from `random`, the
    /// padding of the RSA operation by aws-lc from the operating system.
    ///
    /// # Errors
    /// When the random source fails.
    pub fn seal(&self, plaintext: &[u8], label: &[u8], random: &mut Random<'_>) -> Result<String, SealError> {
        let mut session = Zeroizing::new([0; 32]);
        random(&mut *session).map_err(|_| SealError::Random)?;
        let modulus = self.key.ciphertext_size();
        let mut blob = Vec::with_capacity(2 + modulus + plaintext.len() + TAG);
        blob.extend_from_slice(&(modulus as u16).to_be_bytes());
        blob.resize(2 + modulus, 0);
        self.key
            .encrypt(&OAEP_SHA256_MGF1SHA256, &*session, &mut blob[2..], Some(label))
            .map_err(|_| SealError::Rsa)?;
        blob.extend_from_slice(plaintext);
        let tag = session_key(&session)
            .and_then(|key| key.seal_in_place_separate_tag(nonce(), Aad::empty(), &mut blob[2 + modulus..]))
            .map_err(|_| SealError::Rsa)?;
        blob.extend_from_slice(tag.as_ref());
        Ok(item::encode(&blob))
    }

    /// By what the key is told from others.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The same as `ssh-keygen -l` prints it and as the stock controller logs it.
    pub fn ssh_fingerprint(&self) -> &str {
        &self.ssh_fingerprint
    }

    /// From when it holds, in seconds since 1970.
    pub fn not_before(&self) -> i64 {
        self.not_before
    }

    /// Until when, in seconds since 1970.
    pub fn not_after(&self) -> i64 {
        self.not_after
    }

    /// Whether it has expired at `now`, in seconds since 1970.
    pub fn is_expired(&self, now: i64) -> bool {
        now > self.not_after
    }

    /// Whom it names, often nobody.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Its serial number in hexadecimal.
    pub fn serial(&self) -> &str {
        &self.serial
    }

    /// Size of its key in bits.
    pub fn bits(&self) -> usize {
        self.key.key_size_bits()
    }

    /// Length of a sealed value of `plaintext` bytes, as text.
    pub fn sealed_len(&self, plaintext: usize) -> usize {
        (2 + self.key.ciphertext_size() + plaintext + TAG).div_ceil(3) * 4
    }

    /// The certificate as PEM.
    pub fn to_pem(&self) -> String {
        let text = item::encode(&self.der);
        let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
        for line in text.as_bytes().chunks(64) {
            // Base64 is ASCII.
            pem.extend(line.iter().copied().map(char::from));
            pem.push('\n');
        }
        pem.push_str("-----END CERTIFICATE-----\n");
        pem
    }
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Certificate({})", self.fingerprint)
    }
}

/// The key of one value: it seals one message only, so the nonce is always the same.
pub(crate) fn session_key(bytes: &[u8; 32]) -> Result<LessSafeKey, aws_lc_rs::error::Unspecified> {
    UnboundKey::new(&AES_256_GCM, bytes).map(LessSafeKey::new)
}

/// Twelve zero bytes.
pub(crate) fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}
