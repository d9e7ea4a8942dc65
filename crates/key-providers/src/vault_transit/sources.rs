//! How to come to a server: who may be asked, with which token, under which certificates.
//!
//! ```text
//! VAULT_TOKEN                 the token, or
//! ~/.vault-token              as `vault login` leaves it
//! VAULT_NAMESPACE             the namespace
//! VAULT_CACERT                the only certificates that may vouch for a server, PEM
//! VAULT_CLIENT_CERT, _KEY     the client's certificate and key, PEM
//! SOPS_HC_VAULT_ALLOWLIST     all (default), none, or prefixes of addresses with commas between them
//! ```
//! Where `SEAL_VAULT_AUTH` is set, a token is had by logging in; see [`Login`].

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use secret::SecretBytes;
use vault::{Address, Auth, Client, Settings};

use super::login::Login;
use crate::credential_file;
use crate::provider::ProviderError;

/// Where tokens and certificates come from. Nothing is read before a server is to be asked.
#[derive(Clone, Debug, Default)]
pub struct VaultSources {
    /// `VAULT_TOKEN`
    pub token: Option<OsString>,
    /// `~/.vault-token`
    pub token_file: Option<PathBuf>,
    /// How to log in instead of using a token that is there.
    pub login: Option<Login>,
    /// `VAULT_NAMESPACE`
    pub namespace: Option<String>,
    /// `VAULT_CACERT`
    pub roots: Option<PathBuf>,
    /// `VAULT_CLIENT_CERT` and `VAULT_CLIENT_KEY`
    pub identity: Option<(PathBuf, PathBuf)>,
    /// `SOPS_HC_VAULT_ALLOWLIST`
    pub allowed: Allowed,
}

/// The servers that may be asked. An address stands in the file, which a stranger may have written: whoever is asked
/// learns the token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Allowed {
    /// All.
    #[default]
    All,
    /// None.
    None,
    /// Those whose address begins with one of these; each ends with a slash.
    These(Vec<String>),
}

impl Allowed {
    /// Reads `all`, `none`, or addresses with commas between them.
    pub fn parse(text: &str) -> Self {
        match text.trim() {
            "" | "all" => Self::All,
            "none" => Self::None,
            list => {
                let prefixes = list.split(',').map(str::trim).filter(|prefix| !prefix.is_empty());
                Self::These(
                    prefixes
                        .map(|prefix| format!("{}/", prefix.trim_end_matches('/')))
                        .collect(),
                )
            }
        }
    }

    fn has(&self, address: &Address) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::These(prefixes) => {
                let address = format!("{address}/");
                prefixes.iter().any(|prefix| address.starts_with(prefix.as_str()))
            }
        }
    }
}

impl VaultSources {
    /// The sources that `variable` names; `home` holds `.vault-token`.
    pub fn from_env(variable: &dyn Fn(&str) -> Option<OsString>, home: Option<&Path>) -> Self {
        let filled = |name: &str| variable(name).filter(|value| !value.is_empty());
        let text = |name: &str| filled(name).map(|value| value.to_string_lossy().into_owned());
        let certificate = filled("VAULT_CLIENT_CERT").zip(filled("VAULT_CLIENT_KEY"));
        Self {
            token: filled("VAULT_TOKEN"),
            token_file: home.map(|home| home.join(".vault-token")),
            login: Login::from_env(variable),
            namespace: text("VAULT_NAMESPACE"),
            roots: filled("VAULT_CACERT").map(PathBuf::from),
            identity: certificate.map(|(certificate, key)| (certificate.into(), key.into())),
            allowed: Allowed::parse(&text("SOPS_HC_VAULT_ALLOWLIST").unwrap_or_default()),
        }
    }

    /// A client of the server at `address`.
    ///
    /// # Errors
    /// [`ProviderError::NotUsable`] if the server is not allowed, or there is no token, login or certificate that can be used.
    pub fn client(&self, address: Address) -> Result<Client, ProviderError> {
        if !self.allowed.has(&address) {
            let text = format!("{address} is not among the servers that SOPS_HC_VAULT_ALLOWLIST allows");
            return Err(ProviderError::NotUsable(text));
        }
        let auth = match &self.login {
            Some(login) => login.auth()?,
            None => Auth::Token(self.token()?),
        };
        let mut settings = Settings::new(address);
        settings.namespace.clone_from(&self.namespace);
        settings.roots = self
            .roots
            .as_deref()
            .map(read)
            .transpose()?
            .map(|roots| roots.expose().to_vec());
        if let Some((certificate, key)) = &self.identity {
            let (certificate, key) = (read(certificate)?, read(key)?);
            settings.identity = Some(SecretBytes::new(
                [certificate.expose(), b"\n", key.expose()].concat(),
            ));
        }
        Client::new(settings, auth).map_err(super::failure)
    }

    fn token(&self) -> Result<SecretBytes, ProviderError> {
        if let Some(token) = &self.token {
            return Ok(SecretBytes::copy_from(token.as_encoded_bytes().trim_ascii()));
        }
        match self.token_file.as_deref().map(read) {
            Some(Ok(token)) if !token.expose().trim_ascii().is_empty() => {
                Ok(SecretBytes::copy_from(token.expose().trim_ascii()))
            }
            _ => Err(ProviderError::NotUsable(
                "there is no token for Vault: VAULT_TOKEN is not set, and ~/.vault-token is not there or empty".to_owned(),
            )),
        }
    }
}

pub(super) fn read(path: &Path) -> Result<SecretBytes, ProviderError> {
    let failed = |cause: std::io::Error| ProviderError::NotUsable(format!("{}: {cause}", path.display()));
    credential_file::read(path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_servers_is_read_as_sops_reads_it() {
        let address = |text: &str| Address::parse(text).expect("an address");
        let list = Allowed::parse("https://a.example, http://127.0.0.1:8200/, http://127.0.0.1:82");
        assert!(list.has(&address("https://a.example")) && list.has(&address("http://127.0.0.1:8200")));
        for other in [
            "https://a.example.org",
            "http://a.example",
            "http://127.0.0.1:8201",
            "https://b",
        ] {
            assert!(!list.has(&address(other)), "{other}");
        }
        assert!(
            Allowed::parse("").has(&address("http://h")) && Allowed::parse("all").has(&address("http://h"))
        );
        assert!(!Allowed::parse("none").has(&address("http://h")));
    }
}
