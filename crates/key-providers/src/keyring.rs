//! All providers in order: wraps a data key for every master key of a file, and unwraps it with any that
//! works.

#[cfg(feature = "agent")]
mod held;
#[cfg(not(feature = "agent"))]
#[path = "keyring/no_agent.rs"]
mod held;
mod memory;
mod report;
mod unwrapping;
mod wrapping;

use std::sync::Arc;

use secret::SecretBytes;
use sops::{EntryKey, KeyEntry, KeyKind, MasterKey};

use self::held::Held;
use self::memory::Memory;
use crate::provider::{KeyProvider, ProviderError};

pub use report::{GroupFailure, KeyFailure, UnwrapFailure, WrapFailure};
pub use unwrapping::Opened;
pub use wrapping::Wrapped;

/// The order in which kinds of key are tried unless configured otherwise; other kinds come after, in the
/// order of the file.
pub const DEFAULT_ORDER: [KeyKind; 2] = [KeyKind::Age, KeyKind::Pgp];

/// An ordered list of providers. For each key those that handle it are asked in order until one succeeds.
#[derive(Default)]
pub struct Keyring {
    providers: Vec<Box<dyn KeyProvider>>,
    /// What was unwrapped before: the same entry stands in every version of a file, and in files that share a key.
    memory: Memory,
    agent: Option<Held>,
}

impl Keyring {
    /// A keyring that asks `providers` in this order.
    pub fn new(providers: Vec<Box<dyn KeyProvider>>) -> Self {
        Self {
            providers,
            ..Self::default()
        }
    }

    /// Wipes all data keys and shares that were unwrapped so far. For processes that outlive one run.
    pub fn forget(&self) {
        self.memory.forget();
    }

    /// How many wrapped keys providers were asked to open so far, and how often nobody had to be asked, because the same
    /// was opened before or at that moment.
    pub fn economy(&self) -> (u64, u64) {
        self.memory.economy()
    }

    /// The same keyring, and `more` providers that are asked after those it has.
    pub fn and(mut self, more: Vec<Box<dyn KeyProvider>>) -> Self {
        self.providers.extend(more);
        self
    }

    /// Wraps `plaintext` with one key. The failure is that of the last provider that was asked.
    ///
    /// # Errors
    /// See [`ProviderError`].
    pub async fn wrap_one(&self, key: &MasterKey, plaintext: &SecretBytes) -> Result<String, ProviderError> {
        let wrapped = self.wrap_for(key, plaintext).await;
        wrapped
            .map(|(_, enc)| enc)
            .map_err(|failures| last(failures, key))
    }

    /// In whose name `key` would be used; `None` where nobody is asked.
    ///
    /// # Errors
    /// See [`ProviderError`].
    pub async fn who(&self, key: &MasterKey) -> Result<Option<String>, ProviderError> {
        let mut providers = self.providers.iter().filter(|provider| provider.handles(key));
        match providers.find_map(|provider| provider.who(key)) {
            Some(who) => who.await.map(Some),
            None => Ok(None),
        }
    }

    /// Unwraps the text of an `enc` field with one key, and remembers nothing.
    ///
    /// # Errors
    /// See [`ProviderError`]; the failure is that of the last provider that was asked.
    pub async fn unwrap_one(&self, key: &MasterKey, enc: &str) -> Result<SecretBytes, ProviderError> {
        self.unwrap_with(key, enc)
            .await
            .map_err(|failures| last(failures, key))
    }

    /// As [`Self::unwrap_one`], but remembered as what files are opened with: nobody is asked twice for the same. What an
    /// agent holds does not count, for it says nothing of the key.
    ///
    /// # Errors
    /// As [`Self::unwrap_one`].
    pub async fn unwrap_once(&self, key: &MasterKey, enc: &str) -> Result<Arc<SecretBytes>, ProviderError> {
        self.answer(key, enc)
            .await
            .map_err(|failures| last(failures, key))
    }

    /// Every provider that was asked stands in the failure.
    async fn unwrap_entry(&self, entry: &KeyEntry) -> Result<Arc<SecretBytes>, Vec<ProviderError>> {
        match &entry.key {
            EntryKey::Known(key) => self.answer(key, &entry.enc).await,
            EntryKey::Unknown(kind) => Err(vec![ProviderError::Unsupported(format!("{kind} keys"))]),
        }
    }

    async fn answer(&self, key: &MasterKey, enc: &str) -> Result<Arc<SecretBytes>, Vec<ProviderError>> {
        let name = (key.clone(), enc.to_owned());
        let ask = async {
            let plaintext = self.unwrap_with(key, enc).await?;
            if let Some(agent) = &self.agent {
                agent.put(key, enc, &plaintext);
            }
            Ok(plaintext)
        };
        self.memory.answer(name, ask).await
    }

    /// What the agent holds of `entries`, the first one that it has.
    fn held(&self, entries: &[&KeyEntry]) -> Option<SecretBytes> {
        let agent = self.agent.as_ref()?;
        let mut known = entries
            .iter()
            .filter_map(|entry| Some((entry.master_key()?, &entry.enc)));
        let held = known.find_map(|(key, enc)| agent.get(key, enc))?;
        self.memory.save();
        Some(held)
    }

    async fn unwrap_with(&self, key: &MasterKey, enc: &str) -> Result<SecretBytes, Vec<ProviderError>> {
        let mut failures = Vec::new();
        for provider in self.providers.iter().filter(|provider| provider.handles(key)) {
            match provider.unwrap(key, enc).await {
                Ok(plaintext) => return Ok(plaintext),
                Err(error) => failures.push(error),
            }
        }
        Err(or_no_provider(failures, key))
    }

    /// The wrapped `plaintext`, and the key as it is to stand beside it.
    async fn wrap_for(
        &self,
        key: &MasterKey,
        plaintext: &SecretBytes,
    ) -> Result<(MasterKey, String), Vec<ProviderError>> {
        let mut failures = Vec::new();
        for provider in self.providers.iter().filter(|provider| provider.handles(key)) {
            match wrap_with(provider.as_ref(), key, plaintext).await {
                Ok(wrapped) => return Ok(wrapped),
                Err(error) => failures.push(error),
            }
        }
        Err(or_no_provider(failures, key))
    }
}

fn last(mut failures: Vec<ProviderError>, key: &MasterKey) -> ProviderError {
    failures.pop().unwrap_or_else(|| no_provider(key))
}

fn or_no_provider(failures: Vec<ProviderError>, key: &MasterKey) -> Vec<ProviderError> {
    match failures.is_empty() {
        true => vec![no_provider(key)],
        false => failures,
    }
}

async fn wrap_with(
    provider: &dyn KeyProvider,
    key: &MasterKey,
    plaintext: &SecretBytes,
) -> Result<(MasterKey, String), ProviderError> {
    let key = match provider.pin(key) {
        Some(pinned) => pinned.await?,
        None => key.clone(),
    };
    let enc = provider.wrap(&key, plaintext.expose()).await?;
    Ok((key, enc))
}

fn no_provider(key: &MasterKey) -> ProviderError {
    ProviderError::Unsupported(format!("{} keys", key.kind()))
}

#[cfg(test)]
mod tests;
