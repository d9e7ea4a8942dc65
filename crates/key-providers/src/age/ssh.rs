//! SSH keys as age recipients and identities: `ssh-ed25519` and `ssh-rsa` (C2SP age, `ssh` recipient types).
//!
//! ```text
//! -> ssh-ed25519 TAG SHARE      TAG: the first 4 bytes of SHA-256 over the public key as SSH writes it
//! BODY                          the file key under ChaCha20-Poly1305
//! -> ssh-rsa TAG
//! BODY                          the file key under RSA-OAEP with SHA-256
//! ```
//!
//! The cryptography is other people's: curve25519-dalek, and aws-lc for RSA, whose private operation takes the same
//! time for every message.

mod der;
mod ed25519;
mod key_file;
mod rsa;

use std::collections::HashSet;
use std::sync::OnceLock;

use ::age::{DecryptError, EncryptError};
use age_core::format::{FileKey, Stanza};
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, Engine as _};
use secret::SecretBytes;
use sha2::{Digest as _, Sha256};
use ssh_key::public::KeyData;

use crate::{Prompt, ProviderError};

pub(super) use key_file::LockedKey;

/// An SSH public key that can be wrapped for.
pub(super) struct Recipient {
    public: Public,
    key: PublicKey,
}

enum PublicKey {
    Ed25519(ed25519::Recipient),
    Rsa(rsa::Recipient),
}

/// What stands in stanzas for a key.
#[derive(Clone, PartialEq, Eq)]
struct Public {
    /// The key as SSH writes it, without Base64.
    blob: Vec<u8>,
    kind: &'static str,
}

/// An SSH private key.
pub(super) struct Identity {
    public: Public,
    key: PrivateKey,
}

enum PrivateKey {
    Ed25519(ed25519::Identity),
    Rsa(rsa::Identity),
}

/// A private key at hand, with or without a passphrase.
pub(super) enum AnyIdentity {
    /// It can be used as it is.
    Open(Identity),
    /// Its public half is known, the private one is under a passphrase.
    Locked(Box<Lock>),
}

/// A key under a passphrase, and what came of asking for it.
pub(super) struct Lock {
    key: LockedKey,
    opened: OnceLock<Result<Identity, String>>,
}

impl Recipient {
    /// Reads `TYPE BASE64 [COMMENT]`.
    pub(super) fn parse(text: &str) -> Result<Self, ProviderError> {
        let invalid = |reason: &str| ProviderError::InvalidKey(reason.to_owned());
        let mut words = text.split_ascii_whitespace();
        let (kind, base64) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let blob = BASE64_STANDARD
            .decode(base64)
            .map_err(|_| invalid("the SSH key is not Base64"))?;
        let key =
            ssh_key::PublicKey::from_bytes(&blob).map_err(|_| invalid("the SSH key is cut or malformed"))?;
        let recipient = Self::of(key.key_data()).map_err(|reason| invalid(&reason))?;
        match recipient.public.kind == kind {
            true => Ok(recipient),
            false => Err(invalid("the SSH key is of another type than it says")),
        }
    }

    fn of(key: &KeyData) -> Result<Self, String> {
        let (kind, usable) = match key {
            KeyData::Ed25519(key) => (
                "ssh-ed25519",
                PublicKey::Ed25519(ed25519::Recipient::new(key.as_ref())?),
            ),
            KeyData::Rsa(key) => ("ssh-rsa", PublicKey::Rsa(rsa::Recipient::new(key)?)),
            _ => return Err("age works with SSH keys of the types ssh-ed25519 and ssh-rsa only".to_owned()),
        };
        let blob = ssh_key::PublicKey::from(key.clone())
            .to_bytes()
            .map_err(|_| "the SSH key is malformed".to_owned())?;
        Ok(Self {
            public: Public { blob, kind },
            key: usable,
        })
    }
}

impl ::age::Recipient for Recipient {
    fn wrap_file_key(&self, file_key: &FileKey) -> Result<(Vec<Stanza>, HashSet<String>), EncryptError> {
        let mut args = vec![self.public.tag()];
        let body = match &self.key {
            PublicKey::Ed25519(key) => {
                let (share, body) = key.wrap(&self.public.blob, file_key)?;
                args.push(share);
                body
            }
            PublicKey::Rsa(key) => key.wrap(file_key)?,
        };
        let tag = self.public.kind.to_owned();
        Ok((vec![Stanza { tag, args, body }], HashSet::new()))
    }
}

impl Public {
    fn tag(&self) -> String {
        BASE64_STANDARD_NO_PAD.encode(&Sha256::digest(&self.blob)[..4])
    }

    /// Whether `stanza` says that it is for this key.
    fn fits(&self, stanza: &Stanza) -> bool {
        stanza.tag == self.kind && stanza.args.first().is_some_and(|tag| *tag == self.tag())
    }

    /// As recipients are written.
    fn text(&self) -> String {
        format!("{} {}", self.kind, BASE64_STANDARD.encode(&self.blob))
    }
}

impl Identity {
    /// Its public half, as recipients are written.
    pub(super) fn recipient(&self) -> String {
        self.public.text()
    }
}

impl ::age::Identity for Identity {
    /// That a stanza is for this key and does not open is an error, as with age itself.
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        if stanza.tag != self.public.kind {
            return None;
        }
        let args: Vec<&str> = stanza.args.iter().map(String::as_str).collect();
        let fits = self.public.fits(stanza);
        match (&self.key, args.as_slice()) {
            (PrivateKey::Ed25519(key), [_, share]) if fits => {
                Some(key.unwrap(&self.public.blob, share, &stanza.body))
            }
            (PrivateKey::Rsa(key), [_]) if fits => Some(key.unwrap(&stanza.body)),
            (PrivateKey::Ed25519(_), [_, _]) | (PrivateKey::Rsa(_), [_]) => None,
            _ => Some(Err(DecryptError::InvalidHeader)),
        }
    }
}

impl AnyIdentity {
    /// Reads the text of a private key file, an OpenSSH one or an older PEM. `name` is asked for by, if it is
    /// under a passphrase. The error repeats nothing of the text.
    pub(super) fn read(text: &SecretBytes, name: &str) -> Result<Self, String> {
        key_file::read(text, name)
    }

    /// Its public half, as recipients are written.
    pub(super) fn recipient(&self) -> String {
        match self {
            Self::Open(identity) => identity.recipient(),
            Self::Locked(lock) => lock.key.public.text(),
        }
    }

    /// The identity, if that can be said without asking.
    pub(super) fn open(&self) -> Option<&Identity> {
        match self {
            Self::Open(identity) => Some(identity),
            Self::Locked(lock) => lock.opened.get()?.as_ref().ok(),
        }
    }

    /// The identity of a locked key that one of `stanzas` is for; asks for its passphrase at most once a run.
    pub(super) fn unlock(&self, stanzas: &[Stanza], prompt: &dyn Prompt) -> Option<Result<&Identity, &str>> {
        let Self::Locked(lock) = self else { return None };
        if !stanzas.iter().any(|stanza| lock.key.public.fits(stanza)) {
            return None;
        }
        let opened = lock.opened.get_or_init(|| lock.key.open(prompt));
        Some(opened.as_ref().map_err(String::as_str))
    }
}

#[cfg(test)]
mod tests;
