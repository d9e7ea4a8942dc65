//! Where credentials for Azure come from, in the order of the Azure SDKs' default; the first that is there is taken.
//!
//! ```text
//! AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_CLIENT_SECRET         an application and its secret
//! AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_FEDERATED_TOKEN_FILE  workload identity
//! IDENTITY_ENDPOINT, IDENTITY_HEADER                            managed identity of App Service and Functions
//! the metadata service of the machine, at AZURE_POD_IDENTITY_AUTHORITY_HOST if that is set: managed identity
//! az                                                            who is logged in with the Azure CLI
//!
//! AZURE_AUTHORITY_HOST    where tokens are; https://login.microsoftonline.com
//! ```

use std::ffi::OsString;
use std::path::PathBuf;

use secret::SecretBytes;

/// Where credentials are. Nothing is read before a key is used.
#[derive(Clone, Default)]
pub struct AzureSources {
    /// `AZURE_TENANT_ID`
    pub tenant: Option<String>,
    /// `AZURE_CLIENT_ID`
    pub client: Option<String>,
    /// `AZURE_CLIENT_SECRET`
    pub client_secret: Option<OsString>,
    /// `AZURE_CLIENT_CERTIFICATE_PATH`, which cannot be used.
    pub certificate: Option<PathBuf>,
    /// `AZURE_FEDERATED_TOKEN_FILE`
    pub federated_token: Option<PathBuf>,
    /// `AZURE_AUTHORITY_HOST`
    pub authority: Option<String>,
    /// `IDENTITY_ENDPOINT` and `IDENTITY_HEADER`
    pub identity: Option<(String, OsString)>,
    /// `AZURE_POD_IDENTITY_AUTHORITY_HOST`
    pub metadata: Option<String>,
    /// `PATH`, in which `az` is looked for.
    pub search_path: Option<OsString>,
}

impl AzureSources {
    /// The sources that `variable` names.
    pub fn from_env(variable: &dyn Fn(&str) -> Option<OsString>) -> Self {
        let filled = |name: &str| variable(name).filter(|value| !value.is_empty());
        let text = |name: &str| filled(name).map(|value| value.to_string_lossy().into_owned());
        Self {
            tenant: text("AZURE_TENANT_ID"),
            client: text("AZURE_CLIENT_ID"),
            client_secret: filled("AZURE_CLIENT_SECRET"),
            certificate: filled("AZURE_CLIENT_CERTIFICATE_PATH").map(PathBuf::from),
            federated_token: filled("AZURE_FEDERATED_TOKEN_FILE").map(PathBuf::from),
            authority: text("AZURE_AUTHORITY_HOST"),
            identity: text("IDENTITY_ENDPOINT").zip(filled("IDENTITY_HEADER")),
            metadata: text("AZURE_POD_IDENTITY_AUTHORITY_HOST"),
            search_path: variable("PATH"),
        }
    }

    pub(super) fn secret(&self) -> Option<SecretBytes> {
        let secret = self.client_secret.as_ref()?;
        Some(SecretBytes::copy_from(secret.as_encoded_bytes()))
    }
}
