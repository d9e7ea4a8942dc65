//! What gpg says for machines: lines `[GNUPG:] KEYWORD ARGUMENT...` (GnuPG's doc/DETAILS).

use std::process::ExitStatus;
use std::sync::Arc;

use secret::SecretBytes;

use crate::provider::{Inventory, ProviderError};

const PREFIX: &str = "[GNUPG:] ";

/// The code in an error of libgpg-error; above it stands who found it.
const CODE: u32 = 0xffff;
const BAD_PASSPHRASE: u32 = 11;
const NO_SECRET_KEY: u32 = 17;
const CANCELLED: [u32; 2] = [99, 198];
const NO_PINENTRY: [u32; 2] = [85, 86];
const BAD_PIN: u32 = 87;
const CARD: std::ops::RangeInclusive<u32> = 108..=114;
/// Set where the code is one of the operating system's. That is how a pinentry without a terminal ends.
const SYSTEM: u32 = 1 << 15;

/// The status lines of one run.
pub(super) struct Status(Vec<(String, Vec<String>)>);

impl Status {
    pub(super) fn read(printed: &SecretBytes) -> Self {
        let text = String::from_utf8_lossy(printed.expose());
        let lines = text.lines().filter_map(|line| line.strip_prefix(PREFIX));
        Self(
            lines
                .map(|line| {
                    let mut words = line.split(' ').map(str::to_owned);
                    (words.next().unwrap_or_default(), words.collect())
                })
                .collect(),
        )
    }

    /// Whether a run that succeeded opened something. A program that says nothing is believed.
    pub(super) fn may_be_opened(&self) -> bool {
        self.0.is_empty() || self.has("DECRYPTION_OKAY")
    }

    /// Why nothing was sealed.
    pub(super) fn of_sealing(&self, exit: &ExitStatus) -> ProviderError {
        let reason = match self.argument("INV_RECP", 0) {
            Some("1") => "gpg does not have this public key; import it with `gpg --import`",
            Some("2") => "gpg has several keys of this name; give the whole fingerprint",
            Some("4") => "the key was revoked; take its successor",
            Some("5") => "the key has expired; import it anew or take its successor",
            _ if self.has("KEYREVOKED") => "the key was revoked; take its successor",
            _ if self.has("KEYEXPIRED") => "the key has expired; import it anew or take its successor",
            Some(_) => {
                "the key cannot encrypt: it has no encryption subkey, or that one is expired or revoked"
            }
            None => return ProviderError::Unavailable(format!("gpg failed: {exit}")),
        };
        ProviderError::NotUsable(reason.to_owned())
    }

    /// Why nothing was opened.
    pub(super) fn of_opening(
        &self,
        exit: &ExitStatus,
        inventory: impl FnOnce() -> Arc<Inventory>,
    ) -> ProviderError {
        let usable = |reason: &str| ProviderError::NotUsable(reason.to_owned());
        if self.has("BADMDC") {
            return ProviderError::Damaged("it was changed after it was written".to_owned());
        }
        let code = self
            .arguments("ERROR")
            .filter(|arguments| {
                arguments
                    .first()
                    .is_some_and(|what| what.starts_with("pkdecrypt_failed"))
            })
            .find_map(|arguments| arguments.get(1)?.parse::<u32>().ok())
            .map(|code| code & CODE);
        match code {
            Some(BAD_PASSPHRASE) => return usable("the passphrase was wrong"),
            Some(BAD_PIN) => return usable("the PIN was wrong"),
            Some(code) if CANCELLED.contains(&code) => {
                return usable("the question for the passphrase was cancelled");
            }
            Some(code) if NO_PINENTRY.contains(&code) || code & SYSTEM != 0 => {
                return usable(
                    "gpg could not ask for the passphrase; unlock the key before, or set GPG_TTY to a terminal",
                );
            }
            Some(code) if CARD.contains(&code) => {
                return usable("the smartcard is not there or does not answer");
            }
            Some(NO_SECRET_KEY) | None => {}
            Some(code) => return usable(&format!("gpg could not use the secret key (error {code})")),
        }
        if self.has("NO_SECKEY") || code == Some(NO_SECRET_KEY) {
            return ProviderError::NoIdentity(inventory());
        }
        if self.has("NODATA") || self.has("DECRYPTION_FAILED") || self.has("UNEXPECTED") {
            return ProviderError::Damaged("gpg cannot read the message".to_owned());
        }
        ProviderError::Unavailable(format!("gpg failed: {exit}"))
    }

    fn has(&self, keyword: &str) -> bool {
        self.arguments(keyword).next().is_some()
    }

    fn argument(&self, keyword: &str, at: usize) -> Option<&str> {
        self.arguments(keyword).next()?.get(at).map(String::as_str)
    }

    fn arguments(&self, keyword: &str) -> impl Iterator<Item = &Vec<String>> {
        let lines = self.0.iter().filter(move |(found, _)| found == keyword);
        lines.map(|(_, arguments)| arguments)
    }
}
