//! Ways to come to a token of Google Cloud: what stands in the files that Google hands out, and the metadata service.
//!
//! The kinds of file: `service_account`, `authorized_user` (what `gcloud` leaves), `external_account` (workload identity
//! federation with a token from a file or an address), `external_account_authorized_user`, `impersonated_service_account`.
//! Tokens of AWS, of programs and of client certificates are not exchanged; the error says so.

use secret::SecretBytes;
use serde::Deserialize;
use url::Url;
use zeroize::Zeroizing;

use super::UNIVERSE;
use super::federation::Federation;
use super::service_account::ServiceAccount;
use crate::provider::ProviderError;
use crate::rest::{self, Reply, Request, Rest, Token};

/// What tokens are for. `cloudkms` alone would do, but impersonation and federation take this one only.
pub(super) const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// Where tokens of people are renewed unless their file says otherwise.
const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";
/// No file leads through more impersonations.
const DEEPEST: usize = 4;

/// Who we are, and for whom that counts.
pub(super) struct Login {
    credential: Credential,
    quota_project: Option<String>,
    universe: Option<String>,
}

/// How a token is come to.
pub(super) enum Credential {
    /// It is there.
    Token(SecretBytes),
    ServiceAccount(ServiceAccount),
    User(User),
    Federated(Federation),
    Impersonated(Impersonation),
    /// The metadata service at a host, and whether somebody named the host.
    Metadata(String, bool),
}

/// A person's, or a federated person's, long-lived token.
pub(super) struct User {
    client_id: String,
    client_secret: Zeroizing<String>,
    refresh_token: Zeroizing<String>,
    token_uri: Url,
}

/// A service account that somebody else may act as.
pub(super) struct Impersonation {
    source: Box<Credential>,
    url: Url,
    delegates: Vec<String>,
}

/// A file as Google writes it. All kinds in one, so that what is missing can be named.
#[derive(Deserialize)]
pub(super) struct File {
    #[serde(rename = "type")]
    kind: Option<String>,
    quota_project_id: Option<String>,
    universe_domain: Option<String>,
    pub(super) client_email: Option<String>,
    pub(super) private_key: Option<String>,
    pub(super) private_key_id: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
    refresh_token: Option<String>,
    token_uri: Option<String>,
    pub(super) token_url: Option<String>,
    pub(super) audience: Option<String>,
    pub(super) subject_token_type: Option<String>,
    pub(super) workforce_pool_user_project: Option<String>,
    pub(super) credential_source: Option<serde_json::Value>,
    service_account_impersonation_url: Option<String>,
    #[serde(default)]
    delegates: Vec<String>,
    source_credentials: Option<Box<File>>,
}

/// What is wrong with a credential. Names fields, never what stands in them.
pub(super) fn wrong(source: &str, what: &str) -> ProviderError {
    ProviderError::NotUsable(format!(
        "the credential for Google Cloud in {source} cannot be used: {what}"
    ))
}

impl Login {
    pub(super) fn new(credential: Credential) -> Self {
        Self {
            credential,
            quota_project: None,
            universe: None,
        }
    }

    /// Reads a file; `source` is its name.
    pub(super) fn parse(json: &[u8], source: &str) -> Result<Self, ProviderError> {
        let file: File = serde_json::from_slice(json)
            .map_err(|_| wrong(source, "it is neither a file nor the JSON of a credential"))?;
        let (quota_project, universe) = (file.quota_project_id.clone(), file.universe_domain.clone());
        Ok(Self {
            credential: Credential::of(file, source, 0)?,
            quota_project,
            universe: universe.filter(|universe| !universe.is_empty()),
        })
    }

    /// The project that requests are counted for.
    pub(super) fn quota_project(&self) -> Option<&str> {
        self.quota_project.as_deref()
    }

    /// The universe that the credential belongs to; a file that names none belongs to Google's own.
    pub(super) fn universe(&self) -> Option<&str> {
        match (&self.universe, &self.credential) {
            (Some(universe), _) => Some(universe),
            (None, Credential::Token(_) | Credential::Metadata(..)) => None,
            (None, _) => Some(UNIVERSE),
        }
    }

    /// Whether a token that was refused can be followed by another one.
    pub(super) fn can_renew(&self) -> bool {
        !matches!(self.credential, Credential::Token(_))
    }

    pub(super) async fn token(&self, rest: &Rest) -> Result<Token, ProviderError> {
        self.credential.token(rest).await
    }

    /// Whose credential it is.
    pub(super) fn who(&self) -> String {
        self.credential.who()
    }
}

impl Credential {
    fn of(file: File, source: &str, depth: usize) -> Result<Self, ProviderError> {
        let impersonated = file.service_account_impersonation_url.clone();
        match file.kind.as_deref() {
            Some("service_account") => ServiceAccount::of(file, source).map(Self::ServiceAccount),
            Some("authorized_user") => {
                let uri = file.token_uri.clone().unwrap_or_else(|| TOKEN_URI.to_owned());
                User::of(file, &uri, source).map(Self::User)
            }
            Some("external_account_authorized_user") => {
                let uri = file
                    .token_url
                    .clone()
                    .ok_or_else(|| wrong(source, "it has no token_url"))?;
                User::of(file, &uri, source).map(Self::User)
            }
            Some("external_account") => {
                let federated = Self::Federated(Federation::of(file, source)?);
                match impersonated {
                    None => Ok(federated),
                    Some(url) => {
                        Impersonation::of(federated, &url, Vec::new(), source).map(Self::Impersonated)
                    }
                }
            }
            Some("impersonated_service_account") if depth < DEEPEST => {
                let url = impersonated
                    .ok_or_else(|| wrong(source, "it has no service_account_impersonation_url"))?;
                let inner = file
                    .source_credentials
                    .ok_or_else(|| wrong(source, "it has no source_credentials"))?;
                let inner = Self::of(*inner, source, depth + 1)?;
                Impersonation::of(inner, &url, file.delegates, source).map(Self::Impersonated)
            }
            Some("impersonated_service_account") => Err(wrong(source, "it leads through too many accounts")),
            Some("gdch_service_account") => {
                Err(wrong(source, "accounts of Distributed Cloud are not supported"))
            }
            Some(_) => Err(wrong(source, "its type is not known")),
            None => Err(wrong(source, "it has no type")),
        }
    }

    fn who(&self) -> String {
        match self {
            Self::Token(_) => "the token that was given".to_owned(),
            Self::ServiceAccount(account) => account.email().to_owned(),
            Self::User(user) => format!("the user who logged in with client {}", user.client_id),
            Self::Federated(_) => "a federated identity".to_owned(),
            Self::Impersonated(Impersonation { source, url, .. }) => {
                let account = url.path_segments().and_then(|mut parts| parts.next_back());
                let account = account.and_then(|last| last.split(':').next());
                format!("{}, through {}", account.unwrap_or_default(), source.who())
            }
            Self::Metadata(..) => "the account of this machine".to_owned(),
        }
    }

    async fn token(&self, rest: &Rest) -> Result<Token, ProviderError> {
        match self {
            Self::Token(token) => Ok(Token::new(SecretBytes::copy_from(token.expose()), None)),
            Self::ServiceAccount(account) => account.token(std::time::SystemTime::now()),
            Self::User(user) => user.token(rest).await,
            Self::Federated(federation) => federation.token(rest).await,
            Self::Impersonated(impersonation) => impersonation.token(rest).await,
            Self::Metadata(host, named) => metadata_token(host, *named).await,
        }
    }
}

impl User {
    fn of(file: File, token_uri: &str, source: &str) -> Result<Self, ProviderError> {
        let lacks = |name: &str| wrong(source, &format!("it has no {name}"));
        Ok(Self {
            client_id: file.client_id.ok_or_else(|| lacks("client_id"))?,
            client_secret: file.client_secret.ok_or_else(|| lacks("client_secret"))?.into(),
            refresh_token: file.refresh_token.ok_or_else(|| lacks("refresh_token"))?.into(),
            token_uri: rest::confidential(token_uri, "the token address of the credential")?,
        })
    }

    async fn token(&self, rest: &Rest) -> Result<Token, ProviderError> {
        let request = Request::form(
            self.token_uri.clone(),
            &[
                ("grant_type", "refresh_token"),
                ("client_id", &self.client_id),
                ("client_secret", &self.client_secret),
                ("refresh_token", &self.refresh_token),
            ],
        );
        token_of(
            &rest.ask(&request).await?,
            "log in again with `gcloud auth application-default login`",
        )
    }
}

impl Impersonation {
    fn of(source: Credential, url: &str, delegates: Vec<String>, name: &str) -> Result<Self, ProviderError> {
        let what = format!("service_account_impersonation_url in {name}");
        Ok(Self {
            source: Box::new(source),
            url: rest::confidential(url, &what)?,
            delegates,
        })
    }

    /// `generateAccessToken` of the IAM credentials service.
    async fn token(&self, rest: &Rest) -> Result<Token, ProviderError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Generated {
            access_token: String,
        }
        // Sources nest, and so do their futures.
        let source = Box::pin(self.source.token(rest)).await?;
        let body = serde_json::json!({"scope": [SCOPE], "delegates": self.delegates, "lifetime": "3600s"});
        let body = SecretBytes::new(body.to_string().into_bytes());
        let reply = rest
            .ask(&Request::json(self.url.clone(), body).bearer(&source)?)
            .await?;
        if !reply.is_success() {
            let text = "the credential for Google Cloud may not act as the service account it names: it needs the permission \
                        iam.serviceAccounts.getAccessToken (roles/iam.serviceAccountTokenCreator)";
            return Err(ProviderError::NotUsable(text.to_owned()));
        }
        let Generated { access_token } = reply.read()?;
        Ok(Token::new(
            SecretBytes::new(access_token.into_bytes()),
            Some(3600),
        ))
    }
}

/// The token of the account that this machine runs as.
async fn metadata_token(host: &str, named: bool) -> Result<Token, ProviderError> {
    let address = format!("http://{host}/computeMetadata/v1/instance/service-accounts/default/token");
    let mut address = Url::parse(&address).map_err(|_| wrong("GCE_METADATA_HOST", "it is no host"))?;
    address.query_pairs_mut().append_pair("scopes", SCOPE);
    let request = Request::get(address).with("metadata-flavor", b"Google")?;
    let reply = Rest::of_this_machine().ask(&request).await;
    // Other clouds have other services at the same address.
    let answers = reply
        .as_ref()
        .is_ok_and(|reply| reply.headers.contains_key("metadata-flavor"));
    if !answers && !named {
        return Err(ProviderError::NotUsable(
            "there is no credential for Google Cloud: GOOGLE_CREDENTIALS, GOOGLE_OAUTH_ACCESS_TOKEN and \
             GOOGLE_APPLICATION_CREDENTIALS are not set, `gcloud auth application-default login` was not run, and this \
             machine has no metadata service"
                .to_owned(),
        ));
    }
    token_of(
        &reply?,
        "the machine has no service account, or one without the scope cloud-platform",
    )
}

/// What a token endpoint answers. Of a refusal only the code is told, and `advice`.
pub(super) fn token_of(reply: &Reply, advice: &str) -> Result<Token, ProviderError> {
    #[derive(Deserialize)]
    struct Granted {
        access_token: String,
        expires_in: Option<u64>,
    }
    #[derive(Deserialize)]
    struct Denied {
        error: String,
    }
    if !reply.is_success() {
        let denied: Option<Denied> = reply.parse();
        let code = denied
            .as_ref()
            .map_or("no code", |denied| rest::word(&denied.error));
        return Err(ProviderError::NotUsable(format!(
            "{} refused the credential ({code}, status {}): {advice}",
            reply.host,
            reply.status.as_u16()
        )));
    }
    let Granted {
        access_token,
        expires_in,
    } = reply.read()?;
    Ok(Token::new(
        SecretBytes::new(access_token.into_bytes()),
        expires_in,
    ))
}
