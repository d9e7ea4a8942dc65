//! Files of sealing keys: PEM, or the Secrets in which the controller keeps them, as a backup of them has it.

use ::secret::SecretBytes;
use document::{Format, Limits};
use rustls_pki_types::pem::{self, SectionKind};

use crate::certificate::Certificate;
use crate::error::KeyError;
use crate::manifests::Manifests;
use crate::sealing_key::{SealingKey, is_locked, is_private};
use crate::sealing_keys::SealingKeys;
use crate::secret::Secret;

impl SealingKeys {
    /// Adds every private key of a file: PEM with any number of keys, each as old as the certificate of it that stands in
    /// the same file; or manifests of Secrets with `tls.key` and `tls.crt`, in a list or behind each other.
    ///
    /// Returns how many keys the file holds.
    ///
    /// # Errors
    /// When it holds none, or one that cannot be used: then none of it is added.
    pub fn read(&mut self, file: SecretBytes, limits: &Limits) -> Result<usize, KeyError> {
        let is_pem = memchr::memmem::find(file.expose(), b"-----BEGIN ").is_some()
            && memchr::memmem::find(file.expose(), b"tls.key").is_none();
        let keys = if is_pem {
            of_pem(&file)?
        } else {
            of_manifests(file, limits)?
        };
        let count = keys.len();
        keys.into_iter().for_each(|key| self.add(key));
        if count == 0 {
            Err(KeyError::None)
        } else {
            Ok(count)
        }
    }
}

fn of_pem(file: &SecretBytes) -> Result<Vec<SealingKey>, KeyError> {
    let (mut keys, mut certificates) = (Vec::new(), Vec::new());
    let mut rest = file.expose();
    let unread = |_| match is_locked(file.expose()) {
        true => KeyError::Encrypted,
        false => KeyError::Pem,
    };
    while let Some((kind, der)) = pem::from_buf(&mut rest).map_err(unread)? {
        let der = SecretBytes::new(der);
        if is_private(kind) {
            keys.push(SealingKey::from_section(kind, der.expose())?);
        } else if kind == SectionKind::Certificate
            && let Ok(certificate) = Certificate::from_der(der.expose().to_vec())
        {
            certificates.push(certificate);
        }
    }
    if keys.is_empty() {
        // Says what else there is, a key behind a passphrase for one.
        SealingKey::parse(file).map(|key| keys.push(key))?;
    }
    Ok(keys.into_iter().map(|key| aged(key, &certificates)).collect())
}

fn of_manifests(file: SecretBytes, limits: &Limits) -> Result<Vec<SealingKey>, KeyError> {
    let is_json = file.expose().trim_ascii_start().starts_with(b"{");
    let format = if is_json { Format::Json } else { Format::Yaml };
    let Ok(manifests) = Manifests::parse(format, file, limits) else {
        return Err(KeyError::None);
    };
    let mut keys = Vec::new();
    for manifest in manifests.iter() {
        for object in manifest.objects()? {
            if object.kind() != "Secret" {
                continue;
            }
            let secret = Secret::read(object.field)?;
            let value = |name: &str| {
                secret
                    .data
                    .iter()
                    .find(|(key, _)| key == name)
                    .map(|(_, value)| value)
            };
            let Some(pem) = value("tls.key") else { continue };
            let certificates = value("tls.crt").and_then(|pem| Certificate::parse(pem.expose()).ok());
            let certificates: Vec<Certificate> = certificates.into_iter().collect();
            keys.push(aged(SealingKey::parse(pem)?, &certificates));
        }
    }
    Ok(keys)
}

/// The key, as old as the newest certificate of it.
fn aged(key: SealingKey, certificates: &[Certificate]) -> SealingKey {
    let own = certificates
        .iter()
        .filter(|certificate| certificate.fingerprint() == key.fingerprint());
    match own.map(Certificate::not_before).max() {
        Some(not_before) => key.since(not_before),
        None => key,
    }
}
