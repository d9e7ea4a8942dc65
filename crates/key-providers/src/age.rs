//! age: recipients `age1...` and the identities that open what was wrapped for them.
//!
//! Identities are read and parsed once, at the first unwrapping, and serve every file of a run. The format and
//! its cryptography are those of the `age` crate. Only X25519 recipients are supported: post-quantum, plugin
//! and SSH recipients, and identity files under a passphrase, are refused by name, and no process is ever
//! started for a recipient that a file names. The only process started here is the configured key command, and
//! only for well-formed X25519 recipients, after everything else has failed.

mod command;
mod entry;
mod identities;
mod recipient;
mod sources;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use secret::SecretBytes;
use sops::MasterKey;
use tokio::sync::Mutex;

pub use command::{KEY_VARIABLES, KeyCommand};
pub use identities::{AgeIdentities, generate};
pub use recipient::RecipientKind;
pub use sources::AgeSources;

use crate::provider::{Answer, Inventory, KeyProvider, ProviderError};
use entry::Entry;

/// Works with all entries of the list `age`.
pub struct AgeProvider {
    sources: AgeSources,
    loaded: OnceLock<AgeIdentities>,
    /// What the key command printed, by the recipient it was asked for. Locked while it runs, so that never
    /// two of them ask a person at once.
    commanded: Mutex<HashMap<String, Arc<AgeIdentities>>>,
}

impl AgeProvider {
    /// A provider that looks for identities in `sources` when it first needs one.
    pub fn new(sources: AgeSources) -> Self {
        Self {
            sources,
            loaded: OnceLock::new(),
            commanded: Mutex::default(),
        }
    }

    /// A provider that has these identities and looks nowhere else.
    pub fn from_identities(identities: AgeIdentities) -> Self {
        Self {
            loaded: OnceLock::from(identities),
            ..Self::new(AgeSources::default())
        }
    }

    /// The identities of all places but the key command; reads them if that was not done yet.
    pub fn identities(&self) -> &AgeIdentities {
        self.loaded.get_or_init(|| self.sources.load())
    }

    async fn open(&self, recipient: &str, enc: &str) -> Result<SecretBytes, ProviderError> {
        recipient::parse(recipient)?;
        let mut entry = Entry::read(enc)?;
        let held = self.identities();
        let expected = held.matching(recipient);
        if expected.is_some()
            && let Some(plaintext) = entry.open(expected.into_iter())?
        {
            return Ok(plaintext);
        }
        // An entry whose recipient is held goes first: it opens at once, and this one need not be tried.
        tokio::task::yield_now().await;
        let all = held.all().iter();
        let others = all.filter(|other| expected.is_none_or(|tried| !std::ptr::eq(*other, tried)));
        if let Some(plaintext) = entry.open(others)? {
            return Ok(plaintext);
        }
        let printed = self.commanded(recipient).await;
        if let Some(printed) = &printed
            && let Some(plaintext) = entry.open(printed.all().iter())?
        {
            return Ok(plaintext);
        }
        Err(match expected {
            Some(_) => ProviderError::Damaged("its identity is here, but the entry was replaced".to_owned()),
            None => ProviderError::NoIdentity(Arc::new(inventory(held, printed.as_deref()))),
        })
    }

    /// What the key command prints for `recipient`; an identity that it printed for another one serves too.
    async fn commanded(&self, recipient: &str) -> Option<Arc<AgeIdentities>> {
        let command = self.sources.command.as_ref()?;
        let mut commanded = self.commanded.lock().await;
        let known = commanded.get(recipient);
        let known = known.or_else(|| {
            commanded
                .values()
                .find(|printed| printed.matching(recipient).is_some())
        });
        if let Some(known) = known {
            return Some(known.clone());
        }
        let mut printed = AgeIdentities::default();
        match command.run(recipient).await {
            Ok(text) => printed.read(&text, "SOPS_AGE_KEY_CMD"),
            Err(reason) => printed.fault("SOPS_AGE_KEY_CMD", None, reason),
        }
        let printed = Arc::new(printed);
        commanded.insert(recipient.to_owned(), printed.clone());
        Some(printed)
    }
}

impl KeyProvider for AgeProvider {
    fn name(&self) -> &'static str {
        "age"
    }

    fn handles(&self, key: &MasterKey) -> bool {
        matches!(key, MasterKey::Age { .. })
    }

    fn wrap<'a>(&'a self, key: &'a MasterKey, plaintext: &'a [u8]) -> Answer<'a, String> {
        Box::pin(async move { entry::seal(&recipient::parse(recipient_of(key)?)?, plaintext) })
    }

    fn unwrap<'a>(&'a self, key: &'a MasterKey, enc: &'a str) -> Answer<'a, SecretBytes> {
        Box::pin(async move { self.open(recipient_of(key)?, enc).await })
    }
}

/// Fails if the system gives no random bytes, where the `age` crate would panic.
fn require_random_source() -> Result<(), ProviderError> {
    getrandom::fill(&mut [0]).map_err(|_| ProviderError::NoRandomness)
}

fn recipient_of(key: &MasterKey) -> Result<&str, ProviderError> {
    match key {
        MasterKey::Age { recipient } => Ok(recipient),
        other => Err(ProviderError::Unsupported(format!("{} keys", other.kind()))),
    }
}

fn inventory(held: &AgeIdentities, printed: Option<&AgeIdentities>) -> Inventory {
    let mut all = Inventory::default();
    for part in std::iter::once(held).chain(printed).map(AgeIdentities::inventory) {
        all.held.extend_from_slice(&part.held);
        all.empty.extend_from_slice(&part.empty);
        all.faults.extend_from_slice(&part.faults);
    }
    all
}

#[cfg(test)]
mod tests;
