//! All providers in order: wraps a data key for every master key of a file, and unwraps it with any that
//! works.

mod memory;
mod report;
mod unwrapping;
mod wrapping;

use std::sync::Arc;

use secret::SecretBytes;
use sops::{EntryKey, KeyEntry, KeyKind, MasterKey};

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
}

impl Keyring {
    /// A keyring that asks `providers` in this order.
    pub fn new(providers: Vec<Box<dyn KeyProvider>>) -> Self {
        Self {
            providers,
            memory: Memory::default(),
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

    async fn unwrap_entry(&self, entry: &KeyEntry) -> Result<Arc<SecretBytes>, ProviderError> {
        let key = match &entry.key {
            EntryKey::Known(key) => key,
            EntryKey::Unknown(kind) => return Err(ProviderError::Unsupported(format!("{kind} keys"))),
        };
        let name = (key.clone(), entry.enc.clone());
        self.memory.answer(name, self.ask(key, &entry.enc)).await
    }

    async fn ask(&self, key: &MasterKey, enc: &str) -> Result<SecretBytes, ProviderError> {
        let mut failure = no_provider(key);
        for provider in self.providers.iter().filter(|provider| provider.handles(key)) {
            match provider.unwrap(key, enc).await {
                Ok(plaintext) => return Ok(plaintext),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    async fn wrap_for(&self, key: &MasterKey, plaintext: &SecretBytes) -> Result<String, ProviderError> {
        let mut failure = no_provider(key);
        for provider in self.providers.iter().filter(|provider| provider.handles(key)) {
            match provider.wrap(key, plaintext.expose()).await {
                Ok(enc) => return Ok(enc),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
}

fn no_provider(key: &MasterKey) -> ProviderError {
    ProviderError::Unsupported(format!("{} keys", key.kind()))
}

#[cfg(test)]
mod tests;
