//! A client of one server: logs in once, asks, asks again where that can help.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustify::endpoint::Endpoint;
use secret::SecretBytes;
use serde::Deserialize;
use tokio::sync::Mutex;
use vaultrs::api::token::requests::LookupTokenSelfRequest;
use vaultrs::api::transit::requests::{DecryptDataRequest, EncryptDataRequest};
use zeroize::Zeroizing;

use crate::address::{Address, Segments};
use crate::auth::Auth;
use crate::error::Error;
use crate::retry::pause;
use crate::transport::{Answer, Transport};

/// Where the server is and how long it is waited for.
#[non_exhaustive]
pub struct Settings {
    /// The server.
    pub address: Address,
    /// The namespace of all requests.
    pub namespace: Option<String>,
    /// The only certificates that may vouch for the server, as PEM; the system's if absent.
    pub roots: Option<Vec<u8>>,
    /// The client's certificate and its key, as PEM.
    pub identity: Option<SecretBytes>,
    /// How long a connection may take; 5 s.
    pub connect: Duration,
    /// How long a call may take with all its attempts, from its start to the end of the answer; 30 s.
    pub total: Duration,
    /// How often a request is made at most; 4 times.
    pub attempts: u32,
}

impl Settings {
    /// The usual bounds for `address`.
    pub fn new(address: Address) -> Self {
        Self {
            address,
            namespace: None,
            roots: None,
            identity: None,
            connect: Duration::from_secs(5),
            total: Duration::from_secs(30),
            attempts: 4,
        }
    }
}

/// A client of one server.
pub struct Client {
    pub(crate) transport: Transport,
    auth: Auth,
    /// Held while somebody logs in: the others wait for that token.
    token: Mutex<Option<Arc<SecretBytes>>>,
    attempts: u32,
    total: Duration,
}

impl Client {
    /// A client that has not yet sent anything.
    ///
    /// # Errors
    /// [`Error::Setting`] if something that was given cannot be used.
    pub fn new(settings: Settings, auth: Auth) -> Result<Self, Error> {
        Ok(Self {
            attempts: settings.attempts,
            total: settings.total,
            transport: Transport::new(settings)?,
            auth,
            token: Mutex::default(),
        })
    }

    /// Wraps `plaintext` with a key of the transit engine at `engine`; the answer is Vault's own text, `vault:v1:...`.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn encrypt(
        &self,
        engine: &Segments,
        key: &Segments,
        plaintext: &[u8],
    ) -> Result<String, Error> {
        let plaintext = Zeroizing::new(STANDARD.encode(plaintext));
        let request = || EncryptDataRequest {
            mount: engine.as_str().to_owned(),
            name: key.as_str().to_owned(),
            plaintext: plaintext.to_string(),
            ..EncryptDataRequest::default()
        };
        let data = self.call(&request).await?.data;
        let data = data.ok_or_else(|| self.transport.unusable("it holds no ciphertext"))?;
        Ok(data.ciphertext)
    }

    /// Unwraps what [`Self::encrypt`] made.
    ///
    /// # Errors
    /// [`Error::Refused`] if it does not open; else see [`Error`].
    pub async fn decrypt(
        &self,
        engine: &Segments,
        key: &Segments,
        ciphertext: &str,
    ) -> Result<SecretBytes, Error> {
        let request = || DecryptDataRequest {
            mount: engine.as_str().to_owned(),
            name: key.as_str().to_owned(),
            ciphertext: ciphertext.to_owned(),
            ..DecryptDataRequest::default()
        };
        let data = self.call(&request).await?.data;
        let data = data.ok_or_else(|| self.transport.unusable("it holds no plaintext"))?;
        let plaintext = STANDARD.decode(Zeroizing::new(data.plaintext).as_bytes());
        let plaintext = plaintext.map_err(|_| self.transport.unusable("its plaintext is no Base64"))?;
        Ok(SecretBytes::new(plaintext))
    }

    /// Whose token is used, and which policies it has: `approle (policies default, app)`. Every token may ask this.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn who(&self) -> Result<String, Error> {
        /// What a report tells; the token itself stands beside it.
        #[derive(Deserialize)]
        struct Token {
            data: Owner,
        }
        #[derive(Deserialize)]
        struct Owner {
            display_name: String,
            policies: Vec<String>,
        }
        let read = |body: &[u8]| self.transport.read(body);
        let token: Token = self.ask(&LookupTokenSelfRequest::default, &read).await?;
        let Owner {
            display_name,
            policies,
        } = token.data;
        Ok(format!("{display_name} (policies {})", policies.join(", ")))
    }

    /// All attempts at a request, within the time that a call may take.
    async fn call<E: Endpoint>(
        &self,
        request: &(dyn Fn() -> E + Sync),
    ) -> Result<Answer<E::Response>, Error> {
        self.ask(request, &|body| self.transport.read(body)).await
    }

    /// As [`Self::call`], for answers that are read in another way.
    pub(crate) async fn ask<E: Endpoint, T>(
        &self,
        request: &(dyn Fn() -> E + Sync),
        read: &(dyn Fn(&[u8]) -> Result<T, Error> + Sync),
    ) -> Result<T, Error> {
        let attempts = tokio::time::timeout(self.total, self.attempts(request, read));
        attempts.await.unwrap_or_else(|_| Err(self.transport.timed_out()))
    }

    /// Asks with a token, again after a pause where that may help, and once with a new token if one can be had.
    async fn attempts<E: Endpoint, T>(
        &self,
        request: &(dyn Fn() -> E + Sync),
        read: &(dyn Fn(&[u8]) -> Result<T, Error> + Sync),
    ) -> Result<T, Error> {
        let (mut number, mut renewed) = (0, false);
        loop {
            let token = self.token().await?;
            let answer = self.transport.send(&request(), Some(&token)).await;
            let error = match answer.and_then(|body| read(body.expose())) {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if matches!(error, Error::Denied { .. }) && self.auth.can_log_in_again() && !renewed {
                renewed = true;
                self.drop_token(&token).await;
                continue;
            }
            match pause(&error, number, self.attempts, chance()) {
                None => return Err(error),
                Some(pause) => tokio::time::sleep(pause).await,
            }
            number += 1;
        }
    }

    async fn token(&self) -> Result<Arc<SecretBytes>, Error> {
        let mut held = self.token.lock().await;
        if let Some(token) = &*held {
            return Ok(token.clone());
        }
        let token = Arc::new(self.auth.log_in(&self.transport).await?);
        Ok(held.insert(token).clone())
    }

    /// Forgets `refused`, unless somebody has a newer one already.
    async fn drop_token(&self, refused: &Arc<SecretBytes>) {
        let mut held = self.token.lock().await;
        if held.as_ref().is_some_and(|token| Arc::ptr_eq(token, refused)) {
            *held = None;
        }
    }
}

/// Something between 0 and 255. Without randomness everybody waits as long, which is no harm.
fn chance() -> u8 {
    let mut byte = [128];
    let _ = getrandom::fill(&mut byte);
    byte[0]
}
