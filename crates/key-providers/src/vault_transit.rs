//! Keys of the transit engine of Vault and OpenBao.
//!
//! One client for each server: it logs in once, and its connections are shared by all files of a run.

mod login;
mod sources;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use secret::SecretBytes;
use sops::MasterKey;
use vault::{Address, Client, Segments};

use crate::network::Network;
use crate::provider::{Answer, KeyProvider, ProviderError};

pub use login::Login;
pub use sources::{Allowed, VaultSources};

/// Wraps and unwraps with transit keys.
pub struct VaultTransit {
    network: Network,
    sources: VaultSources,
    clients: Mutex<HashMap<String, Arc<Client>>>,
}

impl VaultTransit {
    /// A provider that logs in as `sources` say.
    pub fn new(sources: VaultSources, network: Network) -> Self {
        Self {
            network,
            sources,
            clients: Mutex::default(),
        }
    }

    /// The client of a server, the mount and the name of a key.
    fn locate(&self, key: &MasterKey) -> Result<(Arc<Client>, Segments, Segments), ProviderError> {
        let MasterKey::VaultTransit {
            vault_address,
            engine_path,
            key_name,
        } = key
        else {
            return Err(ProviderError::Unsupported(format!("{} keys", key.kind())));
        };
        let invalid = |error: vault::AddressError| ProviderError::InvalidKey(error.to_string());
        let engine = Segments::parse(engine_path).map_err(invalid)?;
        let name = Segments::parse(key_name).map_err(invalid)?;
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(vault_address) {
            return Ok((client.clone(), engine, name));
        }
        let address = Address::parse(vault_address).map_err(invalid)?;
        let client = Arc::new(self.sources.client(address)?);
        clients.insert(vault_address.clone(), client.clone());
        Ok((client, engine, name))
    }
}

impl KeyProvider for VaultTransit {
    fn name(&self) -> &'static str {
        "hc_vault"
    }

    fn handles(&self, key: &MasterKey) -> bool {
        matches!(key, MasterKey::VaultTransit { .. })
    }

    fn who<'a>(&'a self, key: &'a MasterKey) -> Option<Answer<'a, String>> {
        Some(Box::pin(async move {
            let (client, _, _) = self.locate(key)?;
            let call = async move { client.who().await.map_err(failure) };
            self.network.run(server(key), call).await
        }))
    }

    fn wrap<'a>(&'a self, key: &'a MasterKey, plaintext: &'a [u8]) -> Answer<'a, String> {
        Box::pin(async move {
            let (client, engine, name) = self.locate(key)?;
            let plaintext = SecretBytes::copy_from(plaintext);
            let call = async move {
                let wrapped = client.encrypt(&engine, &name, plaintext.expose()).await;
                wrapped.map_err(failure)
            };
            self.network.run(server(key), call).await
        })
    }

    fn unwrap<'a>(&'a self, key: &'a MasterKey, enc: &'a str) -> Answer<'a, SecretBytes> {
        Box::pin(async move {
            let (client, engine, name) = self.locate(key)?;
            let enc = enc.trim().to_owned();
            let call = async move {
                let plaintext = client.decrypt(&engine, &name, &enc).await;
                plaintext.map_err(failure)
            };
            self.network.run(server(key), call).await
        })
    }
}

fn server(key: &MasterKey) -> &str {
    match key {
        MasterKey::VaultTransit { vault_address, .. } => vault_address,
        _ => "",
    }
}

/// Whose move is next.
fn failure(error: vault::Error) -> ProviderError {
    let text = error.to_string();
    match (&error, error.retry()) {
        (vault::Error::Refused { .. }, _) => ProviderError::Damaged(text),
        (vault::Error::Address(_), _) => ProviderError::InvalidKey(text),
        (vault::Error::Unreachable { .. } | vault::Error::TimedOut { .. }, _) => {
            ProviderError::Unreachable(text)
        }
        (_, vault::Retry::Later) => ProviderError::Unavailable(text),
        _ => ProviderError::NotUsable(text),
    }
}
