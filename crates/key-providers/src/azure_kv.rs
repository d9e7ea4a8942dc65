//! Keys of Azure Key Vault, over its REST interface ([`7.4`]: get key, encrypt, decrypt), with RSA-OAEP-256 as sops has it.
//!
//! A vault's address stands in the file, which a stranger may have written, and whoever is asked with a token learns it. So
//! the first request to a vault carries no token, and its challenge must name a resource of whose domain the vault's own
//! host is a part: a token for `vault.azure.net` goes to hosts under `vault.azure.net` only. The secret that tokens are
//! bought with goes to the authority that is configured, never to one that a vault names.
//!
//! A key without version is pinned to the current one before it wraps anything: the file names the version that opens it.
//!
//! Three calls need no generated client; why the credentials are made here, too, `rest.rs` says. One token and one
//! pool of connections serve all files of a run.
//!
//! [`7.4`]: https://learn.microsoft.com/en-us/rest/api/keyvault/keys/operation-groups

mod challenge;
mod credentials;
mod managed;
mod refusal;
mod sources;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secret::SecretBytes;
use serde::Deserialize;
use sops::MasterKey;
use url::Url;
use zeroize::Zeroizing;

use crate::network::Network;
use crate::provider::{Answer, KeyProvider, ProviderError};
use crate::rest::{Bounds, Reply, Request, Rest, Tokens};

pub use sources::AzureSources;

/// The version of the interface.
const API: &str = "7.4";

/// Wraps and unwraps with keys of Key Vault.
pub struct AzureKeyVault {
    network: Network,
    service: Arc<Service>,
}

/// What outlives a call.
struct Service {
    sources: AzureSources,
    rest: Rest,
    /// Tokens by what they are for.
    tokens: Mutex<HashMap<String, Arc<Tokens>>>,
    /// What the vaults at these addresses want tokens for.
    resources: Mutex<HashMap<String, String>>,
}

/// A key as it stands in an address.
#[derive(Clone)]
struct Place {
    vault: Url,
    name: String,
    version: String,
}

/// What is asked of a vault.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Get,
    Encrypt,
    Decrypt,
}

impl AzureKeyVault {
    /// A provider that logs in as `sources` say. Nothing is read before a key is used.
    pub fn new(sources: AzureSources, network: Network) -> Self {
        let service = Service {
            sources,
            rest: Rest::new(Bounds::default()),
            tokens: Mutex::default(),
            resources: Mutex::default(),
        };
        Self {
            network,
            service: Arc::new(service),
        }
    }
}

impl KeyProvider for AzureKeyVault {
    fn name(&self) -> &'static str {
        "azure_kv"
    }

    fn handles(&self, key: &MasterKey) -> bool {
        matches!(key, MasterKey::AzureKeyVault { .. })
    }

    fn pin<'a>(&'a self, key: &'a MasterKey) -> Option<Answer<'a, MasterKey>> {
        if !matches!(key, MasterKey::AzureKeyVault { version, .. } if version.is_empty()) {
            return None;
        }
        Some(Box::pin(async move {
            let (service, mut place) = (self.service.clone(), Place::of(key)?);
            let answer = self
                .network
                .run(vault(key), async move {
                    place.version = service.current(&place).await?;
                    Ok(place)
                })
                .await?;
            let mut pinned = key.clone();
            if let MasterKey::AzureKeyVault { version, .. } = &mut pinned {
                *version = answer.version;
            }
            Ok(pinned)
        }))
    }

    fn who<'a>(&'a self, _key: &'a MasterKey) -> Option<Answer<'a, String>> {
        let who = credentials::who(&self.service.sources);
        Some(Box::pin(async move { Ok(who) }))
    }

    fn wrap<'a>(&'a self, key: &'a MasterKey, plaintext: &'a [u8]) -> Answer<'a, String> {
        Box::pin(async move {
            let (service, place) = (self.service.clone(), Place::of_version(key)?);
            let plaintext = SecretBytes::copy_from(plaintext);
            let call = async move {
                let wrapped = service
                    .crypt(&place, Operation::Encrypt, plaintext.expose())
                    .await?;
                Ok(URL_SAFE_NO_PAD.encode(wrapped.expose()))
            };
            self.network.run(vault(key), call).await
        })
    }

    fn unwrap<'a>(&'a self, key: &'a MasterKey, enc: &'a str) -> Answer<'a, SecretBytes> {
        Box::pin(async move {
            let (service, place) = (self.service.clone(), Place::of_version(key)?);
            let wrapped = URL_SAFE_NO_PAD.decode(enc.trim().trim_end_matches('='));
            let wrapped = wrapped.map_err(|_| ProviderError::Damaged("it is not valid Base64".to_owned()))?;
            self.network
                .run(vault(key), async move {
                    service.crypt(&place, Operation::Decrypt, &wrapped).await
                })
                .await
        })
    }
}

impl Service {
    /// The current version of a key.
    async fn current(&self, place: &Place) -> Result<String, ProviderError> {
        #[derive(Deserialize)]
        struct Bundle {
            key: Key,
        }
        #[derive(Deserialize)]
        struct Key {
            kid: String,
        }
        let reply = self.call(place, Operation::Get, SecretBytes::default()).await?;
        let Bundle { key } = reply.read()?;
        let version = key.kid.rsplit_once('/').map(|(_, version)| version.to_owned());
        version
            .filter(|version| {
                is_name(version) && key.kid.ends_with(&format!("/keys/{}/{version}", place.name))
            })
            .ok_or_else(|| reply.unusable("it names another key than was asked for"))
    }

    /// `{"alg":"RSA-OAEP-256","value":...}` there, `{"kid":...,"value":...}` back; values in URL-safe Base64.
    async fn crypt(
        &self,
        place: &Place,
        operation: Operation,
        input: &[u8],
    ) -> Result<SecretBytes, ProviderError> {
        #[derive(Deserialize)]
        struct Answer {
            value: String,
        }
        let value = Zeroizing::new(URL_SAFE_NO_PAD.encode(input));
        let body = format!(r#"{{"alg":"RSA-OAEP-256","value":"{}"}}"#, *value);
        let reply = self
            .call(place, operation, SecretBytes::new(body.into_bytes()))
            .await?;
        let value = Zeroizing::new(reply.read::<Answer>()?.value);
        let value = URL_SAFE_NO_PAD.decode(value.trim_end_matches('='));
        value
            .map(SecretBytes::new)
            .map_err(|_| reply.unusable("its value is no Base64"))
    }

    /// Asks with a token, and once more with a new one if it is refused.
    async fn call(
        &self,
        place: &Place,
        operation: Operation,
        body: SecretBytes,
    ) -> Result<Reply, ProviderError> {
        let rest = &self.rest;
        let url = place.address(operation)?;
        let resource = self
            .resource(rest, &place.vault, &operation.request(url.clone(), b""))
            .await?;
        let tokens = self.tokens_for(&resource);
        let mut renewed = false;
        loop {
            let token = tokens
                .get(credentials::token(&self.sources, rest, &resource))
                .await?;
            let request = operation.request(url.clone(), body.expose()).bearer(&token)?;
            let reply = rest.ask(&request).await?;
            if reply.is_success() {
                return Ok(reply);
            }
            if reply.status.as_u16() == 401 && !renewed {
                renewed = true;
                tokens.forget(&token).await;
                continue;
            }
            return Err(refusal::of(&reply, operation));
        }
    }

    /// What the vault wants a token for; asked for with a request without token and body, once.
    async fn resource(&self, rest: &Rest, vault: &Url, empty: &Request) -> Result<String, ProviderError> {
        let known = lock(&self.resources).get(vault.as_str()).cloned();
        if let Some(resource) = known {
            return Ok(resource);
        }
        let reply = rest.ask(empty).await?;
        let resource = challenge::resource(&reply, vault)?;
        lock(&self.resources).insert(vault.to_string(), resource.clone());
        Ok(resource)
    }

    fn tokens_for(&self, resource: &str) -> Arc<Tokens> {
        lock(&self.tokens).entry(resource.to_owned()).or_default().clone()
    }
}

impl Place {
    fn of(key: &MasterKey) -> Result<Self, ProviderError> {
        let MasterKey::AzureKeyVault {
            vault_url,
            name,
            version,
        } = key
        else {
            return Err(ProviderError::Unsupported(format!("{} keys", key.kind())));
        };
        let invalid = |text: &str| ProviderError::InvalidKey(text.to_owned());
        let vault = Url::parse(vault_url).map_err(|_| invalid("its vault is no address"))?;
        let bare = vault.path() == "/" && vault.query().is_none() && vault.fragment().is_none();
        let anonymous = vault.username().is_empty() && vault.password().is_none();
        if vault.scheme() != "https" || !bare || !anonymous {
            return Err(invalid("its vault is not https://HOST"));
        }
        if !is_name(name) || !(version.is_empty() || is_name(version)) {
            return Err(invalid("its name or version holds a character that no name has"));
        }
        Ok(Self {
            vault,
            name: name.clone(),
            version: version.clone(),
        })
    }

    /// A place with a version, without which nothing can be wrapped or unwrapped.
    fn of_version(key: &MasterKey) -> Result<Self, ProviderError> {
        let place = Self::of(key)?;
        match place.version.is_empty() {
            true => Err(ProviderError::InvalidKey("it names no version".to_owned())),
            false => Ok(place),
        }
    }

    fn address(&self, operation: Operation) -> Result<Url, ProviderError> {
        let Self { name, version, .. } = self;
        let path = match operation {
            Operation::Get => format!("keys/{name}?api-version={API}"),
            Operation::Encrypt => format!("keys/{name}/{version}/encrypt?api-version={API}"),
            Operation::Decrypt => format!("keys/{name}/{version}/decrypt?api-version={API}"),
        };
        self.vault
            .join(&path)
            .map_err(|_| ProviderError::InvalidKey("its name is no part of an address".to_owned()))
    }
}

impl Operation {
    fn request(self, url: Url, body: &[u8]) -> Request {
        match self {
            Self::Get => Request::get(url),
            _ => Request::json(url, SecretBytes::copy_from(body)),
        }
    }
}

/// Letters, digits and hyphens, as the service documents it.
/// What is left alone for a while if it does not answer.
fn vault(key: &MasterKey) -> &str {
    match key {
        MasterKey::AzureKeyVault { vault_url, .. } => vault_url,
        _ => "",
    }
}

fn is_name(text: &str) -> bool {
    let fine = |c: char| c.is_ascii_alphanumeric() || c == '-';
    !text.is_empty() && text.len() <= 127 && text.chars().all(fine)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
