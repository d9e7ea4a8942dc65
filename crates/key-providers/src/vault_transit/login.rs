//! Logging in to Vault without a token at hand, as jobs in CI systems and clusters do.
//!
//! ```text
//! SEAL_VAULT_AUTH          approle, kubernetes, jwt, userpass or cert
//! SEAL_VAULT_MOUNT         where that method is mounted, if not under its own name
//! SEAL_VAULT_ROLE          the role's id (approle), the role (kubernetes, jwt, cert), the user's name (userpass)
//! SEAL_VAULT_SECRET_FILE   the file with the secret id, the signed token or the password
//! ```

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use secret::SecretBytes;
use vault::{Auth, Segments};

use super::sources::read;
use crate::provider::ProviderError;

/// Where a cluster puts the token of a service account.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// A login as the environment describes it. Nothing is read or checked before a server is to be asked.
#[derive(Clone, Debug, Default)]
pub struct Login {
    /// `SEAL_VAULT_AUTH`
    pub method: String,
    /// `SEAL_VAULT_MOUNT`
    pub mount: Option<String>,
    /// `SEAL_VAULT_ROLE`
    pub role: Option<String>,
    /// `SEAL_VAULT_SECRET_FILE`
    pub secret: Option<PathBuf>,
}

impl Login {
    /// The login that `variable` describes, if any.
    pub fn from_env(variable: &dyn Fn(&str) -> Option<OsString>) -> Option<Self> {
        let filled = |name: &str| variable(name).filter(|value| !value.is_empty());
        let text = |name: &str| filled(name).map(|value| value.to_string_lossy().into_owned());
        Some(Self {
            method: text("SEAL_VAULT_AUTH")?,
            mount: text("SEAL_VAULT_MOUNT"),
            role: text("SEAL_VAULT_ROLE"),
            secret: filled("SEAL_VAULT_SECRET_FILE").map(PathBuf::from),
        })
    }

    /// What a client logs in with.
    ///
    /// # Errors
    /// [`ProviderError::NotUsable`], naming the variable that is missing or wrong.
    pub(super) fn auth(&self) -> Result<Auth, ProviderError> {
        let mount = segments("SEAL_VAULT_MOUNT", self.mount.as_deref().unwrap_or(&self.method))?;
        Ok(match self.method.as_str() {
            "approle" => Auth::AppRole {
                mount,
                role_id: self.role()?.to_owned(),
                secret_id: self.secret(None)?,
            },
            "kubernetes" => Auth::Kubernetes {
                mount,
                role: self.role()?.to_owned(),
                jwt: self.secret(Some(SERVICE_ACCOUNT))?,
            },
            "jwt" => Auth::Jwt {
                mount,
                role: self.role.clone(),
                jwt: self.secret(None)?,
            },
            "userpass" => Auth::UserPass {
                mount,
                username: segments("SEAL_VAULT_ROLE", self.role()?)?,
                password: self.secret(None)?,
            },
            "cert" => Auth::Cert {
                mount,
                name: self.role()?.to_owned(),
            },
            _ => {
                return Err(ProviderError::NotUsable(
                    "SEAL_VAULT_AUTH is none of approle, kubernetes, jwt, userpass, cert".to_owned(),
                ));
            }
        })
    }

    fn role(&self) -> Result<&str, ProviderError> {
        let missing = || self.missing("SEAL_VAULT_ROLE");
        self.role.as_deref().ok_or_else(missing)
    }

    fn secret(&self, usual: Option<&str>) -> Result<SecretBytes, ProviderError> {
        let path = self.secret.as_deref().or(usual.map(Path::new));
        let secret = read(path.ok_or_else(|| self.missing("SEAL_VAULT_SECRET_FILE"))?)?;
        Ok(SecretBytes::copy_from(secret.expose().trim_ascii()))
    }

    fn missing(&self, variable: &str) -> ProviderError {
        ProviderError::NotUsable(format!(
            "SEAL_VAULT_AUTH={} needs {variable}, which is not set",
            self.method
        ))
    }
}

fn segments(variable: &str, text: &str) -> Result<Segments, ProviderError> {
    Segments::parse(text).map_err(|error| ProviderError::NotUsable(format!("{variable}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(pairs: &[(&str, &str)]) -> Option<Login> {
        let find = |name: &str| {
            let found = pairs.iter().find(|(other, _)| *other == name);
            found.map(|(_, value)| OsString::from(value))
        };
        Login::from_env(&find)
    }

    #[test]
    fn what_is_missing_is_named() {
        assert!(login(&[("SEAL_VAULT_ROLE", "app")]).is_none());
        for (pairs, words) in [
            (&[("SEAL_VAULT_AUTH", "ldap")][..], "none of"),
            (&[("SEAL_VAULT_AUTH", "approle")], "needs SEAL_VAULT_ROLE"),
            (
                &[("SEAL_VAULT_AUTH", "approle"), ("SEAL_VAULT_ROLE", "r")],
                "needs SEAL_VAULT_SECRET_FILE",
            ),
            (&[("SEAL_VAULT_AUTH", "jwt")], "needs SEAL_VAULT_SECRET_FILE"),
            (
                &[
                    ("SEAL_VAULT_AUTH", "cert"),
                    ("SEAL_VAULT_ROLE", "r"),
                    ("SEAL_VAULT_MOUNT", "../sys"),
                ],
                "SEAL_VAULT_MOUNT",
            ),
        ] {
            let error = login(pairs).expect("a login").auth().err().expect("an error");
            assert!(error.to_string().contains(words), "{pairs:?}: {error}");
        }
        let cert = login(&[("SEAL_VAULT_AUTH", "cert"), ("SEAL_VAULT_ROLE", "r")]);
        assert!(matches!(cert.expect("a login").auth(), Ok(Auth::Cert { name, .. }) if name == "r"));
    }
}
