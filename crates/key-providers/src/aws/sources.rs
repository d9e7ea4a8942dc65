//! How AWS is reached, and where its credentials come from.
//!
//! The AWS SDK reads its own variables and files when a key is first used, in the order that every program of AWS has:
//!
//! ```text
//! AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN
//! AWS_PROFILE                       a profile of ~/.aws/config and ~/.aws/credentials: keys, a role, SSO, a program
//! AWS_WEB_IDENTITY_TOKEN_FILE       a token for a role
//! AWS_CONTAINER_CREDENTIALS_..._URI the container's
//! instance metadata                 unless AWS_EC2_METADATA_DISABLED
//! AWS_ENDPOINT_URL, ..._KMS, ..._STS  where the services are
//! AWS_CA_BUNDLE                     whom to trust instead of the system's certificates
//! ```
//!
//! A profile that a key names comes before all of them, as in SOPS.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::ecs::EcsCredentialsProvider;
use aws_config::identity::IdentityCache;
use aws_config::imds;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::meta::region::ProvideRegion as _;
use aws_config::profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider};
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::http::SharedHttpClient;

use super::Place;
use super::login::Login;

/// How often a request is sent at most.
const ATTEMPTS: u32 = 4;
/// The longest first pause between two attempts; each further one may be twice as long. Its length is chance.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Where there is no instance metadata its address may swallow what is sent to it. Where there is, it is near.
const METADATA_CONNECT: Duration = Duration::from_millis(500);
const METADATA_READ: Duration = Duration::from_secs(1);
/// The length that AWS allows a session's name.
const LONGEST_SESSION: usize = 64;

/// How AWS is reached. Only what is named here is given; the rest the SDK finds by itself.
#[derive(Clone, Debug)]
pub struct AwsSources {
    /// The name of this machine, which becomes part of the name of a role's session.
    pub host: String,
    /// `AWS_REGION` or `AWS_DEFAULT_REGION`: where credentials are asked for, if they have to be. A key's own region
    /// otherwise.
    pub region: Option<String>,
    /// `AWS_PROFILE`, as reports name it.
    pub profile: Option<String>,
    /// Where KMS is, as reports name it, if it is not where AWS has it.
    pub kms_address: Option<String>,
    /// Instead of what `AWS_ENDPOINT_URL` and its companions say.
    pub endpoint: Option<String>,
    /// Instead of all places where credentials are looked for.
    pub credentials: Option<Credentials>,
    /// `AWS_CA_BUNDLE`: a file of certificates, in PEM, that are trusted instead of the system's.
    pub roots: Option<PathBuf>,
    /// How long connecting may take.
    pub connect: Duration,
    /// How long all of one wrapping or unwrapping may take: loading credentials, and every attempt.
    pub total: Duration,
}

impl AwsSources {
    /// The sources that `variable` names, on the machine `host`.
    pub fn from_env(variable: &dyn Fn(&str) -> Option<OsString>, host: &str) -> Self {
        let text = |name: &str| {
            let value = variable(name).filter(|value| !value.is_empty())?;
            Some(value.to_string_lossy().into_owned())
        };
        let address = text("AWS_ENDPOINT_URL_KMS").or_else(|| text("AWS_ENDPOINT_URL"));
        Self {
            host: host.to_owned(),
            region: text("AWS_REGION").or_else(|| text("AWS_DEFAULT_REGION")),
            profile: text("AWS_PROFILE"),
            kms_address: address.map(|address| without_login(&address)),
            roots: text("AWS_CA_BUNDLE").map(PathBuf::from),
            ..Self::default()
        }
    }

    /// The region that the environment or the profile names.
    pub(crate) async fn usual_region(&self) -> Option<String> {
        if let Some(region) = &self.region {
            return Some(region.clone());
        }
        let region = ProfileFileRegionProvider::new().region().await?;
        Some(region.to_string())
    }

    /// The credentials of `place`, without its role.
    pub(crate) async fn chain(&self, place: &Place, http: &SharedHttpClient) -> SharedCredentialsProvider {
        if let Some(credentials) = &self.credentials {
            return SharedCredentialsProvider::new(credentials.clone());
        }
        let region = Region::new(self.region.clone().unwrap_or_else(|| place.region.clone()));
        let config = ProviderConfig::without_region()
            .with_region(Some(region.clone()))
            .with_behavior_version(Some(BehaviorVersion::latest()))
            .with_retry_config(retry())
            .with_timeout_config(self.timeouts())
            .with_http_client(http.clone());
        let metadata = imds::Client::builder()
            .configure(&config)
            .connect_timeout(METADATA_CONNECT)
            .read_timeout(METADATA_READ)
            .build();
        if place.profile.is_empty() {
            let chain = DefaultCredentialsChain::builder()
                .region(region)
                .configure(config);
            return SharedCredentialsProvider::new(chain.imds_client(metadata).build().await);
        }
        let profile = ProfileFileCredentialsProvider::builder()
            .configure(&config)
            .profile_name(&place.profile);
        let container = EcsCredentialsProvider::builder().configure(&config);
        let instance = ImdsCredentialsProvider::builder()
            .configure(&config)
            .imds_client(metadata);
        let chain = CredentialsProviderChain::first_try("Profile", profile.build())
            .or_else("EcsContainer", container.build())
            .or_else("Ec2InstanceMetadata", instance.build());
        SharedCredentialsProvider::new(chain)
    }

    /// What clients for `place` are made of.
    pub(crate) async fn config(&self, place: &Place, login: Arc<Login>) -> SdkConfig {
        let http = login.http();
        let login: Arc<dyn ProvideCredentials> = login;
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new(place.region.clone()))
            .credentials_provider(SharedCredentialsProvider::new(login))
            .identity_cache(IdentityCache::no_cache()) // the login remembers them
            .retry_config(retry())
            .timeout_config(self.timeouts())
            .http_client(http);
        if !place.profile.is_empty() {
            loader = loader.profile_name(&place.profile);
        }
        if let Some(endpoint) = &self.endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        loader.load().await
    }

    fn timeouts(&self) -> TimeoutConfig {
        TimeoutConfig::builder()
            .connect_timeout(self.connect)
            .operation_attempt_timeout(self.total / 2)
            .operation_timeout(self.total)
            .build()
    }

    /// The name of a role's session, as SOPS makes it: `sops@HOST`.
    pub(crate) fn session_name(&self) -> String {
        let allowed = |sign: &char| sign.is_ascii_alphanumeric() || "=,.@-_".contains(*sign);
        let name = "sops@".chars().chain(self.host.chars().filter(allowed));
        name.take(LONGEST_SESSION).collect()
    }

    /// The profile of `place` as it is called.
    pub(crate) fn profile_of<'a>(&'a self, place: &'a Place) -> &'a str {
        match place.profile.as_str() {
            "" => self.profile.as_deref().unwrap_or("default"),
            named => named,
        }
    }
}

impl Default for AwsSources {
    /// Everything as the SDK finds it; 5 s for connecting, 30 s in all.
    fn default() -> Self {
        Self {
            host: String::new(),
            region: None,
            profile: None,
            kms_address: None,
            endpoint: None,
            credentials: None,
            roots: None,
            connect: Duration::from_secs(5),
            total: Duration::from_secs(30),
        }
    }
}

fn retry() -> RetryConfig {
    RetryConfig::standard()
        .with_max_attempts(ATTEMPTS)
        .with_initial_backoff(FIRST_PAUSE)
}

/// An address without the name and password that may stand in it, and without what is behind the host.
fn without_login(address: &str) -> String {
    let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    if scheme.is_empty() {
        host.to_owned()
    } else {
        format!("{scheme}://{host}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_named_as_sops_names_it() {
        let named = |host: &str| {
            let sources = AwsSources {
                host: host.to_owned(),
                ..AwsSources::default()
            };
            sources.session_name()
        };
        assert_eq!(named("build-7.example.org"), "sops@build-7.example.org");
        assert_eq!(named("bad host/ü+"), "sops@badhost");
        assert_eq!(named(&"x".repeat(100)), format!("sops@{}", "x".repeat(59)));
    }

    #[test]
    fn addresses_are_told_without_passwords() {
        for (address, told) in [
            ("http://127.0.0.1:4566", "http://127.0.0.1:4566"),
            ("https://user:hunter2@host/x?y=z", "https://host"),
            ("user:hun@ter2@host", "host"),
        ] {
            assert_eq!(without_login(address), told);
        }
    }
}
