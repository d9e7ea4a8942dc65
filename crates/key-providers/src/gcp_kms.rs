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

mod credentials;
mod federation;
mod refusal;
mod service_account;
mod sources;

use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secret::SecretBytes;
use serde::Deserialize;
use sops::MasterKey;
use url::Url;
use zeroize::Zeroizing;

use crate::network::Network;
use crate::provider::{Answer, KeyProvider, ProviderError};
use crate::rest::{Bounds, Reply, Request, Rest, Tokens};

use credentials::Login;
pub use sources::GcpSources;

/// What is left alone for a while if it does not answer: one address serves all keys.
const SERVER: &str = "gcp_kms";

/// Wraps and unwraps with keys of Cloud KMS.
pub struct GcpKms {
    network: Network,
    service: Arc<Service>,
}

/// What outlives a call.
struct Service {
    sources: GcpSources,
    connection: OnceLock<Connection>,
    /// Held while somebody sets up the connection.
    starting: tokio::sync::Mutex<()>,
    tokens: Tokens,
}

/// Made with the first call.
struct Connection {
    rest: Rest,
    login: Login,
    /// Without path.
    endpoint: Url,
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
            sources,
            connection: OnceLock::new(),
            starting: tokio::sync::Mutex::default(),
            tokens: Tokens::default(),
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

    /// Asks with a token, and once more with a new one if it is refused.
    async fn call(&self, name: &str, operation: Operation, input: &[u8]) -> Result<Reply, ProviderError> {
        let connection = self.connection().await?;
        let url = connection
            .endpoint
            .join(&format!("v1/{name}:{}", operation.verb()));
        let url =
            url.map_err(|_| ProviderError::InvalidKey("its name is no part of an address".to_owned()))?;
        let mut renewed = false;
        loop {
            let token = self.tokens.get(connection.login.token(&connection.rest)).await?;
            let mut request = Request::json(url.clone(), operation.body(input)).bearer(&token)?;
            if let Some(project) = connection.login.quota_project() {
                request = request.with("x-goog-user-project", project.as_bytes())?;
            }
            let reply = connection.rest.ask(&request).await?;
            if reply.is_success() {
                return Ok(reply);
            }
            if reply.status.as_u16() == 401 && !renewed && connection.login.can_renew() {
                renewed = true;
                self.tokens.forget(&token).await;
                continue;
            }
            return Err(refusal::of(&reply, name, operation));
        }
    }

    async fn connection(&self) -> Result<&Connection, ProviderError> {
        if let Some(connection) = self.connection.get() {
            return Ok(connection);
        }
        let _starting = self.starting.lock().await;
        if let Some(connection) = self.connection.get() {
            return Ok(connection);
        }
        let login = self.sources.login()?;
        let connection = Connection {
            endpoint: self.sources.endpoint(login.universe())?,
            rest: Rest::new(Bounds::default())?,
            login,
        };
        Ok(self.connection.get_or_init(|| connection))
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

/// CRC-32C (Castagnoli), as the service counts it.
fn crc32c(bytes: &[u8]) -> u32 {
    let sum = bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            (sum >> 1) ^ (0x82F6_3B78 & (sum & 1).wrapping_neg())
        })
    });
    !sum
}

#[cfg(test)]
mod tests;
