//! Private key files: what `ssh-keygen` writes today, and the PEM forms it wrote before.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use secret::SecretBytes;
use ssh_key::private::KeypairData;
use ssh_key::public::{Ed25519PublicKey, RsaPublicKey};
use ssh_key::{Kdf, Mpint};
use zeroize::Zeroizing;

use super::{AnyIdentity, Identity, Lock, PrivateKey, Public, Recipient, der, ed25519, rsa};
use crate::Prompt;

/// How often a passphrase is asked for.
const TRIES: usize = 3;
/// A key file of more rounds is refused: opening it would take minutes. OpenSSH writes 16 or 24.
const MOST_ROUNDS: u32 = 10_000;

/// An OpenSSH key under a passphrase.
pub(in crate::age) struct LockedKey {
    pub(super) public: Public,
    key: Box<ssh_key::PrivateKey>,
    name: String,
}

impl LockedKey {
    /// Asks for the passphrase until it is right, at most three times.
    pub(super) fn open(&self, prompt: &dyn Prompt) -> Result<Identity, String> {
        for _ in 0..TRIES {
            let question = format!("Passphrase for {}: ", self.name);
            let Some(passphrase) = prompt.secret(&question) else {
                return Err("it is under a passphrase, and nobody gave one".to_owned());
            };
            if let Ok(key) = self.key.decrypt(passphrase.expose()) {
                return identity(key.key_data(), &self.public);
            }
            prompt.message("that is not its passphrase");
        }
        Err("it is under a passphrase, and none of those given was right".to_owned())
    }
}

pub(super) fn read(text: &SecretBytes, name: &str) -> Result<AnyIdentity, String> {
    let text = std::str::from_utf8(text.expose()).map_err(|_| "it is not UTF-8 text")?;
    let text = text.trim_ascii();
    match label(text) {
        Some("OPENSSH PRIVATE KEY") => openssh(text, name),
        Some("RSA PRIVATE KEY") => pkcs1(&pem(text)?),
        Some("PRIVATE KEY") => pkcs8(&pem(text)?),
        Some("ENCRYPTED PRIVATE KEY") => Err(old_passphrase()),
        Some(_) => Err("age works with SSH keys of the types ssh-ed25519 and ssh-rsa only".to_owned()),
        None => Err("it is not an SSH private key".to_owned()),
    }
}

/// `LABEL` of the line `-----BEGIN LABEL-----` that `text` starts with.
fn label(text: &str) -> Option<&str> {
    text.lines()
        .next()?
        .strip_prefix("-----BEGIN ")?
        .trim_end()
        .strip_suffix("-----")
}

fn openssh(text: &str, name: &str) -> Result<AnyIdentity, String> {
    // The parser wants the line end that trimming took.
    let text = Zeroizing::new(format!("{text}\n"));
    let key = ssh_key::PrivateKey::from_openssh(text.as_bytes())
        .map_err(|_| "it is cut, malformed or of a kind that is not supported")?;
    let public = Recipient::of(key.public_key().key_data())?.public;
    if !key.is_encrypted() {
        return identity(key.key_data(), &public).map(AnyIdentity::Open);
    }
    if matches!(key.kdf(), Kdf::Bcrypt { rounds, .. } if *rounds > MOST_ROUNDS) {
        return Err(format!(
            "its passphrase takes more than {MOST_ROUNDS} rounds to check"
        ));
    }
    let key = LockedKey {
        public,
        key: Box::new(key),
        name: name.to_owned(),
    };
    Ok(AnyIdentity::Locked(Box::new(Lock {
        key,
        opened: Default::default(),
    })))
}

/// The identity, if it belongs to the public key that stands beside it.
fn identity(key: &KeypairData, public: &Public) -> Result<Identity, String> {
    let (found, key) = match key {
        KeypairData::Ed25519(pair) => {
            let seed = pair.private.as_ref();
            let public = Ed25519PublicKey(ed25519::public_of(seed));
            (public.into(), PrivateKey::Ed25519(ed25519::Identity::new(seed)))
        }
        KeypairData::Rsa(pair) => {
            let key = rsa::Identity::of(pair).ok_or("its numbers are not those of an RSA key")?;
            (pair.public.clone().into(), PrivateKey::Rsa(key))
        }
        _ => return Err("age works with SSH keys of the types ssh-ed25519 and ssh-rsa only".to_owned()),
    };
    match Recipient::of(&found)?.public == *public {
        true => Ok(Identity {
            public: public.clone(),
            key,
        }),
        false => Err("its private and its public key do not belong together".to_owned()),
    }
}

fn pkcs1(der: &[u8]) -> Result<AnyIdentity, String> {
    let broken = || "its numbers are not those of an RSA key".to_owned();
    let (n, e) = der::numbers_of(der).ok_or_else(broken)?;
    let key = rsa::Identity::from_pkcs1(der).ok_or_else(broken)?;
    let number = |bytes| Mpint::from_positive_bytes(bytes).map_err(|_| broken());
    let public = RsaPublicKey {
        e: number(e)?,
        n: number(n)?,
    };
    Ok(AnyIdentity::Open(Identity {
        public: Recipient::of(&public.into())?.public,
        key: PrivateKey::Rsa(key),
    }))
}

fn pkcs8(der: &[u8]) -> Result<AnyIdentity, String> {
    if let Some(rsa) = der::pkcs1_of(der) {
        return pkcs1(rsa);
    }
    let seed = der::ed25519_seed(der).map(Zeroizing::new);
    let seed = seed.ok_or("age works with SSH keys of the types ssh-ed25519 and ssh-rsa only")?;
    let pair = ssh_key::private::Ed25519Keypair {
        public: Ed25519PublicKey(ed25519::public_of(&seed)),
        private: ssh_key::private::Ed25519PrivateKey::from_bytes(&seed),
    };
    let public = Recipient::of(&pair.public.into())?.public;
    identity(&KeypairData::Ed25519(pair), &public).map(AnyIdentity::Open)
}

/// What stands between the BEGIN and the END line.
fn pem(text: &str) -> Result<Zeroizing<Vec<u8>>, String> {
    let mut base64 = Zeroizing::new(String::with_capacity(text.len()));
    let mut lines = text.lines().skip(1);
    for line in lines.by_ref() {
        if line.starts_with("-----END ") {
            let decoded = BASE64_STANDARD.decode(base64.as_bytes());
            return decoded
                .map(Zeroizing::new)
                .map_err(|_| "it is not Base64".to_owned());
        }
        if line.contains(':') {
            return Err(old_passphrase());
        }
        base64.push_str(line.trim_end());
    }
    Err("it is cut".to_owned())
}

fn old_passphrase() -> String {
    "it is under a passphrase in an old form; `ssh-keygen -p -f FILE` writes it in the OpenSSH form"
        .to_owned()
}
