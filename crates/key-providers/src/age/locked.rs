//! Identity files under a passphrase: age files of one scrypt stanza, armored or not.

use std::io::Read as _;
use std::sync::OnceLock;

use ::age::armor::ArmoredReader;
use ::age::secrecy::SecretString;
use ::age::{DecryptError, Decryptor, scrypt};
use secret::SecretBytes;

use super::entry::count_stanzas;
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
        count_stanzas(&file).ok_or("its age header is broken")?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::age::{AgeProvider, AgeSources};
    use crate::prompt::scripted::Scripted;
    use crate::{KeyProvider as _, Nobody, ProviderError};
    use sops::MasterKey;
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    fn file(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../testdata/keys/locked")
            .join(name)
    }

    fn provider(name: &str, prompt: Arc<dyn Prompt>) -> AgeProvider {
        let sources = AgeSources {
            files: vec![file(name)],
            ..AgeSources::default()
        };
        AgeProvider::new(sources).asking(prompt)
    }

    async fn opened(provider: &AgeProvider) -> Result<Vec<u8>, ProviderError> {
        let recipient = std::fs::read_to_string(file("recipient.txt")).unwrap();
        let key = MasterKey::Age {
            recipient: recipient.trim().to_owned(),
        };
        let enc = std::fs::read_to_string(file("by-age.txt")).unwrap();
        Ok(provider.unwrap(&key, &enc).await?.expose().to_vec())
    }

    async fn reason(name: &str, prompt: Arc<dyn Prompt>) -> String {
        match opened(&provider(name, prompt)).await {
            Err(ProviderError::NoIdentity(inventory)) => inventory.faults[0].reason.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn the_passphrase_is_asked_for_once_a_run_whatever_the_armor() {
        for name in ["identity.age", "identity-armored.age"] {
            let somebody = Scripted::new(["wrong", "correct horse"]);
            let provider = provider(name, somebody.clone());
            for _ in 0..2 {
                assert_eq!(
                    opened(&provider).await.unwrap(),
                    b"0123456789abcdef0123456789abcdef"
                );
            }
            let seen = somebody.seen();
            assert!(seen[0].starts_with("secret: Passphrase for the identity file "));
            assert!(seen[0].contains(name), "{seen:?}");
            assert_eq!(seen[1], "message: that is not its passphrase");
            assert_eq!((&seen[0], seen.len()), (&seen[2], 3));
        }
    }

    #[tokio::test]
    async fn nobody_is_asked_while_another_identity_opens_the_file() {
        let somebody = Scripted::new([]);
        let (identity, recipient) = crate::age::generate().unwrap();
        let provider = AgeProvider::new(AgeSources {
            inline: Some(identity),
            files: vec![file("identity.age")],
            ..AgeSources::default()
        })
        .asking(somebody.clone());
        let key = MasterKey::Age { recipient };
        let enc = provider.wrap(&key, &[1; 32]).await.unwrap();
        assert!(provider.unwrap(&key, &enc).await.is_ok());
        assert_eq!(somebody.seen(), Vec::<String>::new());
    }

    #[tokio::test]
    async fn files_that_stay_locked_say_why() {
        let wrong = || Scripted::new(["a", "b", "c", "correct horse"]);
        assert!(
            reason("identity.age", wrong())
                .await
                .contains("none of those given")
        );
        assert!(
            reason("identity.age", Arc::new(Nobody))
                .await
                .contains("nobody gave one")
        );
        let refused = reason("sealed-for-recipient.age", wrong()).await;
        assert_eq!(refused, "it is sealed for recipients, not under a passphrase");
    }

    /// CR-17: what would take gigabytes is refused before a passphrase is tried.
    #[tokio::test]
    async fn more_work_than_2_to_20_is_refused() {
        let begin = std::time::Instant::now();
        let somebody = Scripted::new(["correct horse"]);
        let refused = reason("identity-21.age", somebody).await;
        assert!(refused.contains("2^21 steps"), "{refused}");
        // 2^21 would take longer, and 2 GiB.
        assert!(begin.elapsed() < std::time::Duration::from_secs(2));
        for work in [22, 30, 63, 64, 99] {
            let text =
                std::fs::read_to_string(file("identity.age").with_file_name("identity-21.age")).unwrap();
            let mut plain = Vec::new();
            ArmoredReader::new(text.as_bytes())
                .read_to_end(&mut plain)
                .unwrap();
            let at = plain.windows(4).position(|part| part == b" 21\n").unwrap();
            plain.splice(at + 1..at + 3, work.to_string().bytes());
            let file = LockedFile::read(&plain, "keys").unwrap();
            let found = file.identities(&*Scripted::new(["correct horse"]));
            assert_eq!(found.inventory().faults.len(), 1, "{work}");
        }
    }
}
