//! Accounts of AWS: credentials, regions and addresses of services, for whatever asks a service of AWS.

mod failure;
mod http;
mod login;
mod sources;

use std::sync::{Arc, Mutex, PoisonError};

use aws_credential_types::Credentials;
use aws_types::service_config::ServiceConfigKey;
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout_at};

use crate::provider::ProviderError;

#[cfg(test)]
pub(crate) use failure::of_credentials;
pub(crate) use failure::{Call, no_credentials_in};
pub(crate) use login::Login;
pub use sources::AwsSources;

/// What a client is made for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) region: String,
    pub(crate) profile: String,
    pub(crate) role: Option<String>,
}

/// The account that the environment names, for services whose requests are made without a client of the SDK.
pub struct Account {
    sources: Arc<AwsSources>,
    region: OnceCell<Option<String>>,
    login: Mutex<Option<Arc<Login>>>,
}

/// What a request to a service needs.
pub struct Access {
    /// Who asks. Not printed, not kept.
    pub credentials: Credentials,
    /// Where.
    pub region: String,
    /// The address of the service, if it is not where AWS has it.
    pub endpoint: Option<String>,
    /// `AWS_USE_FIPS_ENDPOINT`, or the profile.
    pub fips: bool,
    /// `AWS_USE_DUALSTACK_ENDPOINT`, or the profile.
    pub dual_stack: bool,
}

impl Account {
    /// The account that `sources` lead to. Nothing is read before it is used.
    pub fn new(sources: AwsSources) -> Self {
        Self {
            sources: Arc::new(sources),
            region: OnceCell::new(),
            login: Mutex::default(),
        }
    }

    /// What a request to the service `id` needs: `s3` looks at `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL` and the profile.
    ///
    /// # Errors
    /// [`ProviderError::NotUsable`] without a region or credentials; [`ProviderError::Unavailable`] if they did not come
    /// in time.
    pub async fn access(&self, id: &'static str) -> Result<Access, ProviderError> {
        let deadline = Instant::now() + self.sources.total;
        let region = self.region.get_or_init(|| self.sources.usual_region()).await;
        let region = region.clone().ok_or_else(|| {
            ProviderError::NotUsable(
                "no AWS region: AWS_REGION is not set, nor a region in the profile".to_owned(),
            )
        })?;
        let place = Place {
            region,
            profile: String::new(),
            role: None,
        };
        let login = self.login(&place);
        let credentials = timeout_at(deadline, login.credentials()).await;
        let credentials = credentials.map_err(|_| no_credentials_in(self.sources.total))??;
        let config = self.sources.config(&place, login).await;
        let key = ServiceConfigKey::builder()
            .service_id(id)
            .env("AWS_ENDPOINT_URL")
            .profile("endpoint_url");
        let own = key
            .build()
            .ok()
            .and_then(|key| config.service_config()?.load_config(key));
        Ok(Access {
            credentials,
            endpoint: own.or_else(|| config.endpoint_url().map(str::to_owned)),
            fips: config.use_fips().unwrap_or_default(),
            dual_stack: config.use_dual_stack().unwrap_or_default(),
            region: place.region,
        })
    }

    /// One for all: credentials are loaded once.
    fn login(&self, place: &Place) -> Arc<Login> {
        let mut login = self.login.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || Arc::new(Login::of_profile(self.sources.clone(), place));
        login.get_or_insert_with(make).clone()
    }
}
