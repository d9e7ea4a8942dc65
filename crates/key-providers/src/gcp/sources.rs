//! Where credentials for Google Cloud come from, in this order, as sops has it; the first that is there is taken.
//!
//! ```text
//! GOOGLE_CREDENTIALS                JSON, or the name of a file that holds it
//! GOOGLE_OAUTH_ACCESS_TOKEN         a token
//! GOOGLE_APPLICATION_CREDENTIALS    a file
//! ~/.config/gcloud/application_default_credentials.json, in CLOUDSDK_CONFIG if that is set
//! the metadata service of the machine, at GCE_METADATA_HOST if that is set
//!
//! SOPS_GCP_KMS_ENDPOINT             where Cloud KMS is: an address, or host and port
//! SOPS_GCP_KMS_UNIVERSE_DOMAIN      googleapis.com elsewhere
//! ```
//! `SOPS_GCP_KMS_CLIENT_TYPE` is not read: REST is spoken whatever it says.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use secret::SecretBytes;
use url::Url;

use super::UNIVERSE;
use super::credentials::{Credential, Login};
use crate::credential_file;
use crate::provider::ProviderError;
use crate::rest;

/// Where credentials and the service are. Nothing is read before a key is used.
#[derive(Clone, Default)]
pub struct GcpSources {
    /// `GOOGLE_CREDENTIALS`
    pub credentials: Option<OsString>,
    /// `GOOGLE_OAUTH_ACCESS_TOKEN`
    pub access_token: Option<OsString>,
    /// `GOOGLE_APPLICATION_CREDENTIALS`
    pub application: Option<PathBuf>,
    /// The file that `gcloud auth application-default login` leaves.
    pub well_known: Option<PathBuf>,
    /// `GCE_METADATA_HOST`
    pub metadata_host: Option<String>,
    /// `SOPS_GCP_KMS_ENDPOINT`
    pub endpoint: Option<String>,
    /// `SOPS_GCP_KMS_UNIVERSE_DOMAIN`
    pub universe: Option<String>,
}

impl GcpSources {
    /// The sources that `variable` names; `home` holds `.config`.
    pub fn from_env(variable: &dyn Fn(&str) -> Option<OsString>, home: Option<&Path>) -> Self {
        let filled = |name: &str| variable(name).filter(|value| !value.is_empty());
        let text = |name: &str| filled(name).map(|value| value.to_string_lossy().into_owned());
        let config = filled("CLOUDSDK_CONFIG")
            .map(PathBuf::from)
            .or_else(|| Some(home?.join(".config/gcloud")));
        Self {
            credentials: filled("GOOGLE_CREDENTIALS"),
            access_token: filled("GOOGLE_OAUTH_ACCESS_TOKEN"),
            application: filled("GOOGLE_APPLICATION_CREDENTIALS").map(PathBuf::from),
            well_known: config.map(|folder| folder.join("application_default_credentials.json")),
            metadata_host: text("GCE_METADATA_HOST"),
            endpoint: text("SOPS_GCP_KMS_ENDPOINT"),
            universe: text("SOPS_GCP_KMS_UNIVERSE_DOMAIN"),
        }
    }

    /// Who we are.
    pub(super) fn login(&self) -> Result<Login, ProviderError> {
        if let Some(text) = &self.credentials {
            let path = Path::new(text);
            return if path.is_file() {
                read_login(path)
            } else {
                Login::parse(text.as_encoded_bytes(), "GOOGLE_CREDENTIALS")
            };
        }
        if let Some(token) = &self.access_token {
            let token = SecretBytes::copy_from(token.as_encoded_bytes().trim_ascii());
            return Ok(Login::new(Credential::Token(token)));
        }
        if let Some(path) = &self.application {
            return read_login(path);
        }
        if let Some(path) = self.well_known.as_deref().filter(|path| path.is_file()) {
            return read_login(path);
        }
        let host = self.metadata_host.as_deref();
        Ok(Login::new(Credential::Metadata(
            host.unwrap_or("169.254.169.254").to_owned(),
            host.is_some(),
        )))
    }

    /// Where Cloud KMS is, for a credential of `universe`.
    pub(crate) fn endpoint(&self, universe: Option<&str>) -> Result<Url, ProviderError> {
        let wanted = self.universe.as_deref().unwrap_or(universe.unwrap_or(UNIVERSE));
        if let Some(own) = universe
            && own != wanted
        {
            let text = "SOPS_GCP_KMS_UNIVERSE_DOMAIN names another universe than the credential belongs to";
            return Err(ProviderError::NotUsable(text.to_owned()));
        }
        match self.endpoint.as_deref() {
            None => address(&format!("cloudkms.{wanted}"), "SOPS_GCP_KMS_UNIVERSE_DOMAIN"),
            Some(endpoint) => address(endpoint, "SOPS_GCP_KMS_ENDPOINT"),
        }
    }
}

/// `HOST[:PORT]` or an address without a path.
fn address(text: &str, what: &str) -> Result<Url, ProviderError> {
    let text = text.trim().trim_end_matches('/');
    let url = match text.contains("://") {
        true => rest::confidential(text, what)?,
        false => rest::confidential(&format!("https://{text}"), what)?,
    };
    match url.path() == "/" && url.query().is_none() && url.fragment().is_none() {
        true => Ok(url),
        false => Err(ProviderError::NotUsable(format!(
            "{what} holds more than host and port"
        ))),
    }
}

fn read_login(path: &Path) -> Result<Login, ProviderError> {
    let name = path.display().to_string();
    Login::parse(read(path)?.expose(), &name)
}

/// A file with a secret.
pub(super) fn read(path: &Path) -> Result<SecretBytes, ProviderError> {
    let failed = |cause: std::io::Error| ProviderError::NotUsable(format!("{}: {cause}", path.display()));
    credential_file::read(path).map_err(failed)
}
