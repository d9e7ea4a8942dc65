//! Keys of Google Cloud KMS, over its REST interface ([`cloudkms/v1`]: `cryptoKeys.encrypt`, `cryptoKeys.decrypt`).
//!
//! Both calls carry checksums (CRC-32C) of what is sent, and those of the answers are checked: what a broken machine on the
//! way changed is never written into a file. Two calls need neither gRPC nor a generated client, so the requests are made
//! here; why the credentials are, too, `rest.rs` says. sops speaks gRPC unless told otherwise; the keys, the
//! permissions and what stands in a file are the same.
//!
//! One token and one pool of connections serve all files of a run.
//!
//! [`cloudkms/v1`]: https://cloud.google.com/kms/docs/reference/rest

mod refusal;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secret::SecretBytes;
use serde::Deserialize;
use sops::MasterKey;
use zeroize::Zeroizing;

use crate::gcp::{Access, crc32c};
use crate::network::Network;
use crate::provider::{Answer, KeyProvider, ProviderError};
use crate::rest::{Reply, Request};

pub use crate::gcp::GcpSources;

/// What is left alone for a while if it does not answer: one address serves all keys.
const SERVER: &str = "gcp_kms";

/// Wraps and unwraps with keys of Cloud KMS.
pub struct GcpKms {
    network: Network,
    service: Arc<Service>,
}

/// What outlives a call.
struct Service {
    access: Access,
}

/// The two operations.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Encrypt,
    Decrypt,
}

impl GcpKms {
    /// A provider that logs in as `sources` say. Nothing is read before a key is used.
    pub fn new(sources: GcpSources, network: Network) -> Self {
        let service = Service {
            access: Access::new(sources),
        };
        Self {
            network,
            service: Arc::new(service),
        }
    }
}

impl KeyProvider for GcpKms {
    fn name(&self) -> &'static str {
        "gcp_kms"
    }

    fn handles(&self, key: &MasterKey) -> bool {
        matches!(key, MasterKey::GcpKms { .. })
    }

    fn who<'a>(&'a self, _key: &'a MasterKey) -> Option<Answer<'a, String>> {
        Some(Box::pin(async move {
            let service = self.service.clone();
            self.network
                .run(SERVER, async move { service.access.who().await })
                .await
        }))
    }

    fn wrap<'a>(&'a self, key: &'a MasterKey, plaintext: &'a [u8]) -> Answer<'a, String> {
        Box::pin(async move {
            let (service, name) = (self.service.clone(), resource(key)?);
            let plaintext = SecretBytes::copy_from(plaintext);
            self.network
                .run(SERVER, async move { service.encrypt(&name, &plaintext).await })
                .await
        })
    }

    fn unwrap<'a>(&'a self, key: &'a MasterKey, enc: &'a str) -> Answer<'a, SecretBytes> {
        Box::pin(async move {
            let (service, name) = (self.service.clone(), resource(key)?);
            let ciphertext = STANDARD.decode(enc.trim());
            let ciphertext =
                ciphertext.map_err(|_| ProviderError::Damaged("it is not valid Base64".to_owned()))?;
            self.network
                .run(SERVER, async move { service.decrypt(&name, &ciphertext).await })
                .await
        })
    }
}

/// What `encrypt` answers; numbers of 64 bits come as text.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Encrypted {
    ciphertext: String,
    ciphertext_crc32c: Option<String>,
    #[serde(default)]
    verified_plaintext_crc32c: bool,
}

/// What `decrypt` answers.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Decrypted {
    plaintext: String,
    plaintext_crc32c: Option<String>,
}

impl Service {
    async fn encrypt(&self, name: &str, plaintext: &SecretBytes) -> Result<String, ProviderError> {
        let reply = self.call(name, Operation::Encrypt, plaintext.expose()).await?;
        let answer: Encrypted = reply.read()?;
        let ciphertext = STANDARD.decode(&answer.ciphertext);
        let ciphertext = ciphertext.map_err(|_| reply.unusable("its ciphertext is no Base64"))?;
        if !answer.verified_plaintext_crc32c || differs(answer.ciphertext_crc32c.as_deref(), &ciphertext) {
            return Err(reply.unusable("its checksum does not match: something changed on the way"));
        }
        Ok(STANDARD.encode(ciphertext))
    }

    async fn decrypt(&self, name: &str, ciphertext: &[u8]) -> Result<SecretBytes, ProviderError> {
        let reply = self.call(name, Operation::Decrypt, ciphertext).await?;
        let answer: Decrypted = reply.read()?;
        let plaintext = STANDARD
            .decode(Zeroizing::new(answer.plaintext).as_bytes())
            .map(SecretBytes::new);
        let plaintext = plaintext.map_err(|_| reply.unusable("its plaintext is no Base64"))?;
        if differs(answer.plaintext_crc32c.as_deref(), plaintext.expose()) {
            return Err(reply.unusable("its checksum does not match: something changed on the way"));
        }
        Ok(plaintext)
    }

    async fn call(&self, name: &str, operation: Operation, input: &[u8]) -> Result<Reply, ProviderError> {
        let universe = self.access.universe().await?;
        let endpoint = self.access.sources().endpoint(universe)?;
        let url = endpoint.join(&format!("v1/{name}:{}", operation.verb()));
        let url =
            url.map_err(|_| ProviderError::InvalidKey("its name is no part of an address".to_owned()))?;
        let request = || Ok(Request::json(url.clone(), operation.body(input)));
        let reply = self.access.ask(request).await?;
        match reply.is_success() {
            true => Ok(reply),
            false => Err(refusal::of(&reply, name, operation)),
        }
    }
}

impl Operation {
    fn verb(self) -> &'static str {
        match self {
            Self::Encrypt => "encrypt",
            Self::Decrypt => "decrypt",
        }
    }

    /// `{"plaintext":BASE64,"plaintextCrc32c":"NUMBER"}`, or the same of a ciphertext.
    fn body(self, input: &[u8]) -> SecretBytes {
        let field = match self {
            Self::Encrypt => "plaintext",
            Self::Decrypt => "ciphertext",
        };
        let text = Zeroizing::new(STANDARD.encode(input));
        let sum = crc32c(input);
        SecretBytes::new(format!(r#"{{"{field}":"{}","{field}Crc32c":"{sum}"}}"#, *text).into_bytes())
    }
}

/// The name of a key, each part of which stands for itself in a URL: the name comes from files that strangers can write.
fn resource(key: &MasterKey) -> Result<String, ProviderError> {
    let MasterKey::GcpKms { resource_id } = key else {
        return Err(ProviderError::Unsupported(format!("{} keys", key.kind())));
    };
    let parts: Vec<&str> = resource_id.split('/').collect();
    let names = match parts[..] {
        ["projects", a, "locations", b, "keyRings", c, "cryptoKeys", d] => [a, b, c, d],
        _ => {
            let text = "expected projects/P/locations/L/keyRings/R/cryptoKeys/K";
            return Err(ProviderError::InvalidKey(text.to_owned()));
        }
    };
    // A colon stands in the projects of domains, `example.com:project`.
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    let fine =
        |name: &&str| !matches!(*name, "" | "." | "..") && name.len() <= 128 && name.chars().all(plain);
    match names.iter().all(fine) {
        true => Ok(resource_id.clone()),
        false => Err(ProviderError::InvalidKey(
            "a part of its name is empty or holds a character that no name has".to_owned(),
        )),
    }
}

/// Whether a checksum came and is another one.
fn differs(sum: Option<&str>, bytes: &[u8]) -> bool {
    sum.is_some_and(|sum| sum.parse() != Ok(crc32c(bytes)))
}

#[cfg(test)]
mod tests;
