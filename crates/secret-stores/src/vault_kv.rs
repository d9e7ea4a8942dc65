//! The key-value engine of Vault and OpenBao, version 1 and 2: each file becomes one secret with its values.
//!
//! The secret is looked at first, and left alone if it holds these values already. A token that may write but not read is
//! enough; then a new version is written each time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use key_providers::vault_transit::VaultSources;
use key_providers::{Network, ProviderError};
use secret::SecretBytes;
use vault::{Address, Client, KvPath, KvVersion, Segments, Written};

use crate::error::Error;
use crate::publisher::{Answer, Publisher, Put, Takes};

/// Where Vault's own programs look for a server that nobody named.
const USUAL_ADDRESS: &str = "https://127.0.0.1:8200";

/// Clients, one for each server.
pub(crate) struct Servers {
    sources: VaultSources,
    address: Option<String>,
    clients: Mutex<HashMap<String, Arc<Client>>>,
}

/// One path of one engine.
pub(crate) struct VaultKv {
    servers: Arc<Servers>,
    network: Network,
    /// The address as it was given.
    named: String,
    address: Address,
    mount: Segments,
    /// Path below the mount.
    path: String,
    version: KvVersion,
}

impl Servers {
    pub(crate) fn new(sources: VaultSources, address: Option<String>) -> Self {
        Self {
            sources,
            address,
            clients: Mutex::default(),
        }
    }

    fn client(&self, address: &Address) -> Result<Arc<Client>, ProviderError> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&address.to_string()) {
            return Ok(client.clone());
        }
        let client = Arc::new(self.sources.client(address.clone())?);
        clients.insert(address.to_string(), client.clone());
        Ok(client)
    }
}

impl VaultKv {
    /// The secrets below `path` of the engine at `mount`; without an address those of the environment's server.
    pub(crate) fn new(
        servers: Arc<Servers>,
        network: Network,
        address: &str,
        (mount, path): (&str, &str),
        version: u8,
    ) -> Result<Self, Error> {
        let usual = || {
            servers
                .address
                .clone()
                .unwrap_or_else(|| USUAL_ADDRESS.to_owned())
        };
        let named = match address {
            "" => usual(),
            address => address.to_owned(),
        };
        let wrong = |what: &str| {
            let what = what.to_owned();
            move |error: vault::AddressError| Error::Place(format!("{what}: {error}"))
        };
        let source = if address.is_empty() {
            "VAULT_ADDR"
        } else {
            "vault_address"
        };
        Ok(Self {
            address: Address::parse(named.trim_end_matches('/')).map_err(wrong(source))?,
            mount: Segments::parse(mount).map_err(wrong("vault_kv_mount_name"))?,
            path: KvPath::parse(path).map_err(wrong("vault_path"))?.to_string(),
            version: match version {
                1 => KvVersion::V1,
                _ => KvVersion::V2,
            },
            servers,
            network,
            named,
        })
    }
}

impl Publisher for VaultKv {
    fn takes(&self) -> Takes {
        Takes::Values
    }

    fn place(&self, name: &str) -> String {
        let Self {
            named, mount, path, ..
        } = self;
        match self.version {
            KvVersion::V1 => format!("{named}/v1/{mount}/{path}/{name}"),
            KvVersion::V2 => format!("{named}/v1/{mount}/data/{path}/{name}"),
        }
    }

    fn is_exposed(&self) -> bool {
        self.address.is_exposed()
    }

    fn put<'a>(&'a self, name: &'a str, content: SecretBytes) -> Answer<'a> {
        Box::pin(async move {
            let path = KvPath::parse(&format!("{}/{name}", self.path))
                .map_err(|error| Error::Place(format!("the name at the destination: {error}")))?;
            let client = self.servers.client(&self.address)?;
            let (mount, version) = (self.mount.clone(), self.version);
            let work = async move {
                let written = client.put_secret(version, &mount, &path, &content).await;
                written.map_err(failure)
            };
            let written = self.network.run(&format!("vault {}", self.address), work).await?;
            Ok(match written {
                Written::New => Put::Done,
                Written::Equal => Put::Equal,
                Written::Unseen => Put::Unseen,
            })
        })
    }
}

/// Whose move is next.
fn failure(error: vault::Error) -> ProviderError {
    let text = error.to_string();
    match (&error, error.retry()) {
        (vault::Error::Unreachable { .. } | vault::Error::TimedOut { .. }, _) => {
            ProviderError::Unreachable(text)
        }
        // What was sent holds values, and the reason may quote it.
        (vault::Error::Refused { address, what, .. }, _) => {
            ProviderError::NotUsable(format!("{address} refused {what}"))
        }
        (vault::Error::NotFound { .. }, _) => ProviderError::NotUsable(format!(
            "{text}: there is no key-value engine of this version at that mount"
        )),
        (_, vault::Retry::Later) => ProviderError::Unavailable(text),
        _ => ProviderError::NotUsable(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a server says about a request that held values may quote them.
    #[test]
    fn a_reason_of_the_server_is_not_repeated() {
        let error = failure(vault::Error::Refused {
            address: "https://vault.example.org".to_owned(),
            what: "secret/data/app".to_owned(),
            why: "invalid value hunter2".to_owned(),
        });
        let text = error.to_string();
        assert!(
            text.contains("secret/data/app") && !text.contains("hunter2"),
            "{text}"
        );
    }

    fn publisher(address: &str, mount: &str, path: &str, version: u8) -> Result<VaultKv, Error> {
        let usual = Some("http://vault.example.org:8200".to_owned());
        let servers = Arc::new(Servers::new(VaultSources::default(), usual));
        VaultKv::new(servers, Network::default(), address, (mount, path), version)
    }

    /// As sops 3.11.0 and 3.13.3 print them.
    #[test]
    fn places_are_told_as_sops_tells_them() {
        for (address, mount, path, version, place) in [
            (
                "",
                "secret/",
                "team/app",
                2,
                "http://vault.example.org:8200/v1/secret/data/team/app/a.yaml",
            ),
            (
                "https://h",
                "kv1",
                "team/app/",
                1,
                "https://h/v1/kv1/team/app/a.yaml",
            ),
        ] {
            let publisher = publisher(address, mount, path, version).expect(place);
            assert_eq!(publisher.place("a.yaml"), place);
        }
    }

    #[test]
    fn what_is_no_place_is_refused_by_the_name_of_its_field() {
        for (address, mount, path, words) in [
            ("ftp://h", "secret", "p", "vault_address: "),
            (
                "https://user:hunter2@h",
                "secret",
                "p",
                "vault_address: it holds a user name",
            ),
            ("https://h", "../sys", "p", "vault_kv_mount_name: "),
            ("https://h", "secret", "a/../../sys", "vault_path: "),
            ("https://h", "secret", "/", "vault_path: "),
        ] {
            let error = publisher(address, mount, path, 2).err().expect(words).to_string();
            assert!(error.contains(words) && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn clear_text_is_no_secret_on_the_network() {
        let exposed = |address| publisher(address, "secret", "p", 2).expect(address).is_exposed();
        assert!(exposed("http://vault.example.org"));
        assert!(!exposed("https://vault.example.org"));
        assert!(
            !exposed("http://127.0.0.1:8200") && !exposed("http://[::1]") && !exposed("http://localhost")
        );
    }
}
