//! What services say about their keys, for whoever wants to know why a file does not open.

use key_providers::ProviderError;
use secret::SecretBytes;
use sops::MasterKey;

use super::Workbench;

/// What a service says about one of its keys.
pub(crate) struct Probe {
    /// In whose name it was asked.
    pub(crate) who: std::result::Result<String, String>,
    /// Whether it unwraps, or why not.
    pub(crate) opens: std::result::Result<(), String>,
    /// Whether it wraps, or why not.
    pub(crate) seals: std::result::Result<(), String>,
}

impl Workbench {
    /// What the service behind `key` says to whoever runs this; `None` for a key that no service holds.
    pub(crate) fn probe(&self, key: &MasterKey, enc: &str) -> Option<Probe> {
        let text = |error: ProviderError| error.to_string();
        let probe = async {
            let who = self.keyring.who(key).await.map_err(text).transpose()?;
            let opens = self.keyring.unwrap_one(key, enc).await;
            // What is sealed here is thrown away: only whether that is allowed counts.
            let seals = self.keyring.wrap_one(key, &SecretBytes::new(vec![0; 32])).await;
            Some(Probe {
                who,
                opens: opens.map(drop).map_err(text),
                seals: seals.map(drop).map_err(text),
            })
        };
        self.waiting.for_keys(std::iter::once(key), probe)
    }
}
