//! Keys of AWS KMS.
//!
//! One client for each region, profile and role: its credentials are loaded once, and its connections are shared by all
//! files of a run. Requests, signatures, endpoints and repetition are the AWS SDK's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_kms::Client;
use aws_sdk_kms::primitives::Blob;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use secret::SecretBytes;
use sops::MasterKey;
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout_at};

use crate::aws::{Call, Login, Place, no_credentials_in};
use crate::network::Network;
use crate::provider::{Answer, KeyProvider, ProviderError};

pub use crate::aws::AwsSources;

/// Wraps and unwraps with keys of AWS KMS.
pub struct AwsKms {
    network: Network,
    sources: Arc<AwsSources>,
    doors: Mutex<HashMap<Place, Arc<Door>>>,
    /// The credentials of each profile; the empty name stands for the one of the environment.
    logins: Mutex<HashMap<String, Arc<Login>>>,
}

/// The way to the keys of one place.
struct Door {
    place: Place,
    login: Arc<Login>,
    client: OnceCell<Client>,
}

/// A key, and who opens its door.
struct Located {
    door: Arc<Door>,
    sources: Arc<AwsSources>,
    arn: String,
    context: Option<HashMap<String, String>>,
}

impl AwsKms {
    /// A provider that reaches AWS as `sources` say.
    pub fn new(sources: AwsSources, network: Network) -> Self {
        Self {
            network,
            sources: Arc::new(sources),
            doors: Mutex::default(),
            logins: Mutex::default(),
        }
    }

    fn locate(&self, key: &MasterKey) -> Result<Located, ProviderError> {
        let MasterKey::AwsKms {
            arn,
            role,
            context,
            aws_profile,
        } = key
        else {
            return Err(ProviderError::Unsupported(format!("{} keys", key.kind())));
        };
        let place = Place {
            region: region(arn)?.to_owned(),
            profile: aws_profile.clone(),
            role: role.clone().filter(|role| !role.is_empty()),
        };
        let context = (!context.is_empty()).then(|| context.iter().cloned().collect());
        Ok(Located {
            door: self.door(place),
            sources: self.sources.clone(),
            arn: arn.clone(),
            context,
        })
    }

    fn door(&self, place: Place) -> Arc<Door> {
        let mut doors = self.doors.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(door) = doors.get(&place) {
            return door.clone();
        }
        let mut logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        let login = logins
            .entry(place.profile.clone())
            .or_insert_with(|| Arc::new(Login::of_profile(self.sources.clone(), &place)));
        let login = match &place.role {
            None => login.clone(),
            Some(role) => Arc::new(Login::in_role(&place, role, login.clone())),
        };
        let door = Arc::new(Door {
            place: place.clone(),
            login,
            client: OnceCell::new(),
        });
        doors.insert(place, door.clone());
        door
    }
}

impl KeyProvider for AwsKms {
    fn name(&self) -> &'static str {
        "kms"
    }

    fn handles(&self, key: &MasterKey) -> bool {
        matches!(key, MasterKey::AwsKms { .. })
    }

    fn who<'a>(&'a self, key: &'a MasterKey) -> Option<Answer<'a, String>> {
        Some(Box::pin(async move {
            let Located { door, sources, .. } = self.locate(key)?;
            let server = format!("sts {}", door.place.region);
            let call = async move { door.login.who(sources.total).await };
            self.network.run(&server, call).await
        }))
    }

    fn wrap<'a>(&'a self, key: &'a MasterKey, plaintext: &'a [u8]) -> Answer<'a, String> {
        Box::pin(async move {
            let key = self.locate(key)?;
            let plaintext = SecretBytes::copy_from(plaintext);
            self.network.run(&key.server(), key.encrypt(plaintext)).await
        })
    }

    fn unwrap<'a>(&'a self, key: &'a MasterKey, enc: &'a str) -> Answer<'a, SecretBytes> {
        Box::pin(async move {
            let key = self.locate(key)?;
            let wrapped = BASE64_STANDARD.decode(enc.trim());
            let wrapped = wrapped.map_err(|_| ProviderError::Damaged("it is not base64".to_owned()))?;
            self.network.run(&key.server(), key.decrypt(wrapped)).await
        })
    }
}

impl Located {
    /// What is left alone for a while if it does not answer.
    fn server(&self) -> String {
        let at = self.sources.kms_address.as_deref().unwrap_or_default();
        format!("kms {} {at}", self.door.place.region)
    }

    async fn encrypt(self, plaintext: SecretBytes) -> Result<String, ProviderError> {
        let deadline = Instant::now() + self.sources.total;
        let client = self.door.open(&self.sources, deadline).await?;
        let request = client
            .encrypt()
            .key_id(&self.arn)
            .plaintext(Blob::new(plaintext.expose()))
            .set_encryption_context(self.context.clone());
        let call = self.call("kms:Encrypt");
        let answer = timeout_at(deadline, request.send()).await;
        let answer = answer.map_err(|_| call.too_long())?;
        let wrapped = answer.map_err(|error| call.failure(&error))?.ciphertext_blob;
        let wrapped = wrapped.ok_or_else(|| call.no_answer())?;
        Ok(BASE64_STANDARD.encode(wrapped))
    }

    async fn decrypt(self, wrapped: Vec<u8>) -> Result<SecretBytes, ProviderError> {
        let deadline = Instant::now() + self.sources.total;
        let client = self.door.open(&self.sources, deadline).await?;
        let request = client
            .decrypt()
            .key_id(&self.arn)
            .ciphertext_blob(Blob::new(wrapped))
            .set_encryption_context(self.context.clone());
        let call = self.call("kms:Decrypt");
        let answer = timeout_at(deadline, request.send()).await;
        let answer = answer.map_err(|_| call.too_long())?;
        let plaintext = answer.map_err(|error| call.failure(&error))?.plaintext;
        // Moved, not copied: the bytes are wiped where they are.
        let plaintext = plaintext.map(|plaintext| SecretBytes::new(plaintext.into_inner()));
        plaintext.ok_or_else(|| call.no_answer())
    }

    fn call(&self, action: &'static str) -> Call<'_> {
        Call {
            action,
            service: "AWS KMS",
            region: &self.door.place.region,
            at: self.sources.kms_address.as_deref(),
            total: self.sources.total,
            context: self
                .context
                .iter()
                .flat_map(HashMap::keys)
                .map(String::as_str)
                .collect(),
        }
    }
}

impl Door {
    /// A client with credentials: why there are none is known before a request is made.
    async fn open(&self, sources: &AwsSources, deadline: Instant) -> Result<&Client, ProviderError> {
        let login = timeout_at(deadline, self.login.credentials()).await;
        login.map_err(|_| no_credentials_in(sources.total))??;
        let make = || async {
            let config = sources.config(&self.place, self.login.clone()).await;
            Client::new(&config)
        };
        Ok(self.client.get_or_init(make).await)
    }
}

/// The region that an ARN names: `arn:PARTITION:kms:REGION:...`. It becomes part of a host name.
fn region(arn: &str) -> Result<&str, ProviderError> {
    let region = arn.split(':').nth(3).unwrap_or_default();
    let is_region = |region: &str| {
        !region.is_empty()
            && region.len() <= 63
            && region
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    match arn.starts_with("arn:") && is_region(region) {
        true => Ok(region),
        false => Err(ProviderError::InvalidKey("the ARN names no region".to_owned())),
    }
}

#[cfg(test)]
mod tests;
