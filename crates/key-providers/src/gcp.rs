//! Google Cloud: who asks its services, and with which token.
//!
//! One login, one token and one pool of connections serve all requests of a run.

mod credentials;
mod federation;
mod service_account;
mod sources;

use std::sync::OnceLock;

use crate::provider::ProviderError;
use crate::rest::{Bounds, Reply, Request, Rest, Tokens};

use credentials::Login;
pub use sources::GcpSources;

/// The universe in which everybody is.
pub const UNIVERSE: &str = "googleapis.com";

/// The way to the services of Google Cloud.
pub struct Access {
    sources: GcpSources,
    connection: OnceLock<Connection>,
    /// Held while somebody sets up the connection.
    starting: tokio::sync::Mutex<()>,
    tokens: Tokens,
}

/// Made with the first request.
struct Connection {
    rest: Rest,
    login: Login,
}

impl Access {
    /// A way on which one logs in as `sources` say. Nothing is read before something is asked.
    pub fn new(sources: GcpSources) -> Self {
        Self {
            sources,
            connection: OnceLock::new(),
            starting: tokio::sync::Mutex::default(),
            tokens: Tokens::default(),
        }
    }

    pub(crate) fn sources(&self) -> &GcpSources {
        &self.sources
    }

    /// The universe that the credential belongs to, if it says so.
    ///
    /// # Errors
    /// [`ProviderError::NotUsable`] if there is no credential that can be read.
    pub async fn universe(&self) -> Result<Option<&str>, ProviderError> {
        Ok(self.connection().await?.login.universe())
    }

    /// Whose credential it is, as far as it says so.
    ///
    /// # Errors
    /// [`ProviderError::NotUsable`] if there is no credential that can be read.
    pub async fn who(&self) -> Result<String, ProviderError> {
        Ok(self.connection().await?.login.who())
    }

    /// Makes a request with a token, and once more with a new one if that is refused. The answer may be a refusal.
    ///
    /// # Errors
    /// Those of `make`, of [`Rest::ask`], and [`ProviderError::NotUsable`] if there is no token.
    pub async fn ask(
        &self,
        make: impl Fn() -> Result<Request, ProviderError>,
    ) -> Result<Reply, ProviderError> {
        let connection = self.connection().await?;
        let mut renewed = false;
        loop {
            let token = self.tokens.get(connection.login.token(&connection.rest)).await?;
            let mut request = make()?.bearer(&token)?;
            if let Some(project) = connection.login.quota_project() {
                request = request.with("x-goog-user-project", project.as_bytes())?;
            }
            let reply = connection.rest.ask(&request).await?;
            if reply.status.as_u16() == 401 && !renewed && connection.login.can_renew() {
                renewed = true;
                self.tokens.forget(&token).await;
                continue;
            }
            return Ok(reply);
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
        let rest = Rest::new(Bounds::default())?;
        Ok(self.connection.get_or_init(|| Connection { rest, login }))
    }
}

/// CRC-32C (Castagnoli), as Google's services count it.
pub fn crc32c(bytes: &[u8]) -> u32 {
    let sum = bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            (sum >> 1) ^ (0x82F6_3B78 & (sum & 1).wrapping_neg())
        })
    });
    !sum
}

#[cfg(test)]
mod tests;
