//! Credentials, loaded once and kept until shortly before they expire.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use tokio::sync::{Mutex, OnceCell};
use tokio::time::{Instant, timeout_at};

use super::Place;
use super::failure::{self, Call, Refusal, no_credentials_in};
use super::http::Http;
use super::sources::AwsSources;
use crate::provider::ProviderError;

/// Credentials are renewed so long before they expire.
const BEFORE_EXPIRY: Duration = Duration::from_secs(60);
/// So long nobody is asked again after there were none: not for every file of a run.
const FAILURE_STANDS: Duration = Duration::from_secs(30);

/// Where credentials come from, and those that came last.
pub(crate) struct Login {
    sources: Arc<AwsSources>,
    http: SharedHttpClient,
    place: Place,
    origin: Origin,
    last: Mutex<Option<Result<Credentials, (Instant, Refusal)>>>,
}

enum Origin {
    /// What the machine, the environment or a profile gives.
    Chain(OnceCell<SharedCredentialsProvider>),
    /// A role that is assumed with other credentials.
    Role {
        arn: String,
        with: Arc<Login>,
        sts: OnceCell<aws_sdk_sts::Client>,
    },
}

impl Login {
    /// The credentials of the profile of `place`, which is the environment's if it names none.
    pub(crate) fn of_profile(sources: Arc<AwsSources>, place: &Place) -> Self {
        let http = SharedHttpClient::new(Http::new(sources.roots.clone()));
        let place = Place {
            role: None,
            ..place.clone()
        };
        Self::new(sources, http, place, Origin::Chain(OnceCell::new()))
    }

    /// Those of the role `arn`, which is assumed `with` others.
    pub(crate) fn in_role(place: &Place, arn: &str, with: Arc<Self>) -> Self {
        let (sources, http) = (with.sources.clone(), with.http.clone());
        let origin = Origin::Role {
            arn: arn.to_owned(),
            with,
            sts: OnceCell::new(),
        };
        Self::new(sources, http, place.clone(), origin)
    }

    fn new(sources: Arc<AwsSources>, http: SharedHttpClient, place: Place, origin: Origin) -> Self {
        Self {
            sources,
            http,
            place,
            origin,
            last: Mutex::new(None),
        }
    }

    /// How requests leave that are signed with its credentials.
    pub(super) fn http(&self) -> SharedHttpClient {
        self.http.clone()
    }

    /// Credentials that have not expired. Who asks while they are being loaded waits for the same ones.
    pub(crate) async fn credentials(&self) -> Result<Credentials, ProviderError> {
        let mut last = self.last.lock().await;
        match &*last {
            Some(Ok(credentials)) if lasts(credentials) => return Ok(credentials.clone()),
            Some(Err((since, refusal))) if since.elapsed() < FAILURE_STANDS => return Err(refusal.error()),
            _ => {}
        }
        let loaded = match &self.origin {
            Origin::Chain(chain) => self.ask_chain(chain).await,
            Origin::Role { arn, with, sts } => self.assume(arn, with, sts).await,
        };
        let loaded = loaded.map_err(|refusal| (Instant::now(), refusal));
        let loaded = last.insert(loaded);
        loaded.as_ref().cloned().map_err(|(_, refusal)| refusal.error())
    }

    /// The ARN of whoever has the credentials. Everybody may ask this.
    pub(crate) async fn who(self: &Arc<Self>, total: Duration) -> Result<String, ProviderError> {
        let deadline = Instant::now() + total;
        let credentials = timeout_at(deadline, self.credentials()).await;
        credentials.map_err(|_| no_credentials_in(total))??;
        let call = Call {
            action: "sts:GetCallerIdentity",
            service: "AWS STS",
            region: &self.place.region,
            at: None,
            total,
            context: Vec::new(),
        };
        let config = self.sources.config(&self.place, self.clone()).await;
        let request = aws_sdk_sts::Client::new(&config).get_caller_identity();
        let answer = timeout_at(deadline, request.send()).await;
        let answer = answer.map_err(|_| call.too_long())?;
        let answer = answer.map_err(|error| call.failure(&error))?;
        answer.arn.ok_or_else(|| call.no_answer())
    }

    async fn ask_chain(&self, chain: &OnceCell<SharedCredentialsProvider>) -> Result<Credentials, Refusal> {
        let chain = chain
            .get_or_init(|| self.sources.chain(&self.place, &self.http))
            .await;
        let credentials = chain.provide_credentials().await;
        let named = !self.place.profile.is_empty();
        credentials.map_err(|error| {
            let profile = self.sources.profile_of(&self.place);
            failure::of_credentials(&error, profile, named)
        })
    }

    async fn assume(
        &self,
        arn: &str,
        with: &Arc<Self>,
        sts: &OnceCell<aws_sdk_sts::Client>,
    ) -> Result<Credentials, Refusal> {
        Box::pin(with.credentials()).await.map_err(Refusal::of)?;
        let make = || async {
            let config = self.sources.config(&self.place, with.clone()).await;
            aws_sdk_sts::Client::new(&config)
        };
        let request = sts.get_or_init(make).await.assume_role();
        let request = request
            .role_arn(arn)
            .role_session_name(self.sources.session_name());
        let call = Call {
            action: "sts:AssumeRole",
            service: "AWS STS",
            region: &self.place.region,
            at: None,
            total: self.sources.total,
            context: Vec::new(),
        };
        let answer = request.send().await;
        let answer = answer.map_err(|error| Refusal::of(call.failure(&error)))?;
        let given = answer.credentials;
        let given = given.ok_or_else(|| Refusal::of(call.no_answer()))?;
        let expiry = SystemTime::try_from(given.expiration).ok();
        Ok(Credentials::new(
            given.access_key_id,
            given.secret_access_key,
            Some(given.session_token),
            expiry,
            "AssumeRole",
        ))
    }
}

impl ProvideCredentials for Login {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let credentials = self.credentials().await;
            credentials.map_err(|error| CredentialsError::provider_error(error.to_string()))
        })
    }
}

impl fmt::Debug for Login {
    /// Without the credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

fn lasts(credentials: &Credentials) -> bool {
    let until = |expiry: SystemTime| expiry.duration_since(SystemTime::now()).unwrap_or_default();
    credentials
        .expiry()
        .is_none_or(|expiry| until(expiry) > BEFORE_EXPIRY)
}
