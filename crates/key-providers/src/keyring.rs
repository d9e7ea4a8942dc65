//! All providers in order: wraps a data key for every master key of a file, and unwraps it with any that
//! works.

mod report;
mod unwrapping;
mod wrapping;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use secret::SecretBytes;
use sops::{EntryKey, KeyEntry, KeyKind, MasterKey};

use crate::provider::{KeyProvider, ProviderError};

pub use report::{GroupFailure, KeyFailure, UnwrapFailure, WrapFailure};
pub use unwrapping::Opened;
pub use wrapping::Wrapped;

/// The order in which kinds of key are tried unless configured otherwise; other kinds come after, in the
/// order of the file.
pub const DEFAULT_ORDER: [KeyKind; 2] = [KeyKind::Age, KeyKind::Pgp];

/// Remembered unwrapped keys are dropped when there are more than this.
const MOST_REMEMBERED: usize = 4096;

/// An ordered list of providers. For each key those that handle it are asked in order until one succeeds.
#[derive(Default)]
pub struct Keyring {
    providers: Vec<Box<dyn KeyProvider>>,
    /// What was unwrapped before: the same entry stands in every version of a file.
    remembered: Mutex<HashMap<(MasterKey, String), Arc<SecretBytes>>>,
}

impl Keyring {
    /// A keyring that asks `providers` in this order.
    pub fn new(providers: Vec<Box<dyn KeyProvider>>) -> Self {
        Self {
            providers,
            remembered: Mutex::default(),
        }
    }

    /// Wipes all data keys and shares that were unwrapped so far. For processes that outlive one run.
    pub fn forget(&self) {
        self.remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    async fn unwrap_entry(&self, entry: &KeyEntry) -> Result<Arc<SecretBytes>, ProviderError> {
        let key = match &entry.key {
            EntryKey::Known(key) => key,
            EntryKey::Unknown(kind) => return Err(ProviderError::Unsupported(format!("{kind} keys"))),
        };
        let name = (key.clone(), entry.enc.clone());
        if let Some(known) = self
            .remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&name)
        {
            return Ok(known.clone());
        }
        let mut failure = no_provider(key);
        for provider in self.providers.iter().filter(|provider| provider.handles(key)) {
            match provider.unwrap(key, &entry.enc).await {
                Ok(plaintext) => {
                    let plaintext = Arc::new(plaintext);
                    let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
                    if remembered.len() >= MOST_REMEMBERED {
                        remembered.clear();
                    }
                    remembered.insert(name, plaintext.clone());
                    return Ok(plaintext);
                }
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
