//! Identity files under a passphrase: age files of one scrypt stanza, armored or not.

use std::io::Read as _;
use std::sync::OnceLock;

use ::age::armor::ArmoredReader;
use ::age::secrecy::SecretString;
use ::age::{DecryptError, Decryptor, scrypt};
use secret::SecretBytes;

use super::identities::AgeIdentities;
use crate::Prompt;

/// 2 to this is the work of one try; 20 takes 1 GiB of memory and some seconds. age writes 18.
const MOST_WORK: u8 = 20;
/// How often a passphrase is asked for.
const TRIES: usize = 3;

/// A file that was read and waits for its passphrase.
pub(super) struct LockedFile {
    source: String,
    file: Vec<u8>,
    opened: OnceLock<AgeIdentities>,
}

impl LockedFile {
    /// Whether a text is an age file.
    pub(super) fn is_one(text: &[u8]) -> bool {
        let text = text.trim_ascii_start();
        text.starts_with(b"age-encryption.org/") || text.starts_with(b"-----BEGIN AGE ENCRYPTED FILE")
    }

    /// Reads the file as far as that goes without the passphrase.
    pub(super) fn read(text: &[u8], source: &str) -> Result<Self, String> {
        let mut file = Vec::new();
        ArmoredReader::new(text.trim_ascii_start())
            .read_to_end(&mut file)
            .map_err(|_| "its armor is broken")?;
        match Decryptor::new_buffered(&file[..]) {
            Err(_) => Err("its age header is broken".to_owned()),
            Ok(decryptor) if !decryptor.is_scrypt() => {
                Err("it is sealed for recipients, not under a passphrase".to_owned())
            }
            Ok(_) => Ok(Self {
                source: source.to_owned(),
                file,
                opened: OnceLock::new(),
            }),
        }
    }

    /// The identities inside; the passphrase is asked for once a run, at most three times until it is right.
    pub(super) fn identities(&self, prompt: &dyn Prompt) -> &AgeIdentities {
        self.opened.get_or_init(|| {
            self.ask(prompt).unwrap_or_else(|reason| {
                let mut nothing = AgeIdentities::default();
                nothing.fault(&self.source, None, reason);
                nothing
            })
        })
    }

    fn ask(&self, prompt: &dyn Prompt) -> Result<AgeIdentities, String> {
        for _ in 0..TRIES {
            let question = format!("Passphrase for the identity file {}: ", self.source);
            let Some(passphrase) = prompt.secret(&question) else {
                return Err("it is under a passphrase, and nobody gave one".to_owned());
            };
            match self.open(&passphrase) {
                Ok(text) => return Ok(AgeIdentities::parse(&text, &self.source)),
                Err(DecryptError::ExcessiveWork { required, .. }) => {
                    return Err(format!(
                        "its passphrase takes 2^{required} steps to check, more than 2^{MOST_WORK}"
                    ));
                }
                Err(DecryptError::DecryptionFailed) => prompt.message("that is not its passphrase"),
                Err(_) => return Err("it was changed or cut".to_owned()),
            }
        }
        Err("it is under a passphrase, and none of those given was right".to_owned())
    }

    fn open(&self, passphrase: &SecretBytes) -> Result<SecretBytes, DecryptError> {
        let Ok(passphrase) = std::str::from_utf8(passphrase.expose()) else {
            return Err(DecryptError::DecryptionFailed);
        };
        let mut identity = scrypt::Identity::new(SecretString::from(passphrase));
        identity.set_max_work_factor(MOST_WORK);
        let mut payload =
            Decryptor::new_buffered(&self.file[..])?.decrypt(std::iter::once(&identity as _))?;
        let mut text = SecretBytes::new(Vec::with_capacity(self.file.len()));
        payload.read_to_end(text.expose_mut())?;
        Ok(text)
    }
}
