//! Google Cloud: who asks its services, and with which token.
//!
//! One login, one token and one pool of connections serve all requests of a run.

mod credentials;
mod federation;
mod service_account;
mod sources;

use tokio::sync::OnceCell;

use crate::provider::ProviderError;
use crate::rest::{Bounds, Reply, Request, Rest, Tokens};

use credentials::Login;
pub use sources::GcpSources;

/// The universe in which everybody is.
pub const UNIVERSE: &str = "googleapis.com";

/// The way to the services of Google Cloud.
pub struct Access {
    sources: GcpSources,
    /// Read with the first request.
    login: OnceCell<Login>,
    rest: Rest,
    tokens: Tokens,
}

impl Access {
    /// A way on which one logs in as `sources` say. Nothing is read before something is asked.
    pub fn new(sources: GcpSources) -> Self {
        Self {
            sources,
            login: OnceCell::new(),
            rest: Rest::new(Bounds::default()),
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
        Ok(self.login().await?.universe())
    }

    /// Whose credential it is, as far as it says so.
    ///
    /// # Errors
    /// [`ProviderError::NotUsable`] if there is no credential that can be read.
    pub async fn who(&self) -> Result<String, ProviderError> {
        Ok(self.login().await?.who())
    }

    /// Makes a request with a token, and once more with a new one if that is refused. The answer may be a refusal.
    ///
    /// # Errors
    /// Those of `make`, of [`Rest::ask`], and [`ProviderError::NotUsable`] if there is no token.
    pub async fn ask(
        &self,
        make: impl Fn() -> Result<Request, ProviderError>,
    ) -> Result<Reply, ProviderError> {
        let login = self.login().await?;
        let mut renewed = false;
        loop {
            let token = self.tokens.get(login.token(&self.rest)).await?;
            let mut request = make()?.bearer(&token)?;
            if let Some(project) = login.quota_project() {
                request = request.with("x-goog-user-project", project.as_bytes())?;
            }
            let reply = self.rest.ask(&request).await?;
            if reply.status.as_u16() == 401 && !renewed && login.can_renew() {
                renewed = true;
                self.tokens.forget(&token).await;
                continue;
            }
            return Ok(reply);
        }
    }

    async fn login(&self) -> Result<&Login, ProviderError> {
        self.login
            .get_or_try_init(|| async { self.sources.login() })
            .await
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
