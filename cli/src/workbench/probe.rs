//! When a file does not open: what services say about their keys, and files that name them wrongly.

use std::path::Path;
use std::sync::Arc;

use key_providers::ProviderError;
use secret::SecretBytes;
use sops::{DataKey, MasterKey, Metadata};

use super::Workbench;
use crate::error::Result;

/// What a service says about one of its keys.
pub(crate) struct Probe {
    /// In whose name it was asked.
    pub(crate) who: std::result::Result<String, String>,
    /// What it unwraps, or why it does not.
    pub(crate) opens: std::result::Result<Arc<SecretBytes>, String>,
    /// Whether it wraps, or why not.
    pub(crate) seals: std::result::Result<(), String>,
}

impl Workbench {
    /// As [`Workbench::unwrap`]. Where the block may note wrong contexts the other ones are tried, and what worked stands in
    /// it afterwards.
    pub(crate) fn unwrap_or_correct(&self, path: &Path, metadata: &mut Metadata) -> Result<DataKey> {
        let error = match self.unwrap(path, metadata) {
            Ok(key) => return Ok(key),
            Err(error) => error,
        };
        for other in metadata.other_contexts() {
            if let Ok(key) = self.unwrap(path, &other) {
                let text = "it notes a wrong encryption context, as files of SOPS before 3.3.0 may; the right one was found, \
                            and is noted when the file is written again";
                self.ui.warn(Some(path), text);
                *metadata = other;
                return Ok(key);
            }
        }
        Err(error)
    }

    /// What the service behind `key` says to whoever runs this; `None` for a key that no service holds. What it opened
    /// before in this run, it is not asked again.
    pub(crate) fn probe(&self, key: &MasterKey, enc: &str) -> Option<Probe> {
        let text = |error: ProviderError| error.to_string();
        let recorded = self.audit.ready().map_err(|error| error.to_string());
        let probe = async {
            let who = self.keyring.who(key).await.map_err(text).transpose()?;
            let opens = match recorded {
                Ok(()) => self.keyring.unwrap_once(key, enc).await.map_err(text),
                Err(why) => Err(why),
            };
            // What is sealed here is thrown away: only whether that is allowed counts.
            let seals = self.keyring.wrap_one(key, &SecretBytes::new(vec![0; 32])).await;
            Some(Probe {
                who,
                opens,
                seals: seals.map(drop).map_err(text),
            })
        };
        self.waiting.for_keys(std::iter::once(key), probe)
    }
}
