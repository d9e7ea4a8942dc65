//! Ways to come to a token.

use secret::SecretBytes;
use vaultrs::api::auth::{approle, cert, kubernetes, oidc, userpass};

use crate::address::Segments;
use crate::error::Error;
use crate::transport::{Answer, Transport};

/// How a client logs in. Mounts are those of the auth method, such as `approle`.
#[non_exhaustive]
pub enum Auth {
    /// A token that is there already.
    Token(SecretBytes),
    /// A role and its secret.
    AppRole {
        /// Where the method is mounted.
        mount: Segments,
        /// The role's id.
        role_id: String,
        /// A secret id of that role.
        secret_id: SecretBytes,
    },
    /// The token of a service account.
    Kubernetes {
        /// Where the method is mounted.
        mount: Segments,
        /// The role.
        role: String,
        /// The service account's token.
        jwt: SecretBytes,
    },
    /// A signed token of another issuer, as CI systems have.
    Jwt {
        /// Where the method is mounted.
        mount: Segments,
        /// The role; the method's default if absent.
        role: Option<String>,
        /// The token.
        jwt: SecretBytes,
    },
    /// A name and a password.
    UserPass {
        /// Where the method is mounted.
        mount: Segments,
        /// The name.
        username: Segments,
        /// The password.
        password: SecretBytes,
    },
    /// The client certificate of the TLS connection.
    Cert {
        /// Where the method is mounted.
        mount: Segments,
        /// The role's name.
        name: String,
    },
}

impl Auth {
    /// Whether a token that was refused can be followed by another one.
    pub(crate) fn can_log_in_again(&self) -> bool {
        !matches!(self, Self::Token(_))
    }

    /// A token.
    pub(crate) async fn log_in(&self, transport: &Transport) -> Result<SecretBytes, Error> {
        let answer = match self {
            Self::Token(token) => return Ok(SecretBytes::copy_from(token.expose())),
            Self::AppRole {
                mount,
                role_id,
                secret_id,
            } => {
                let request = approle::requests::LoginWithApproleRequest {
                    mount: mount.as_str().to_owned(),
                    role_id: role_id.clone(),
                    secret_id: text(secret_id)?,
                };
                transport.call(&request, None).await?
            }
            Self::Kubernetes { mount, role, jwt } => {
                let request = kubernetes::requests::LoginWithKubernetesRequest {
                    mount: mount.as_str().to_owned(),
                    role: role.clone(),
                    jwt: text(jwt)?,
                };
                transport.call(&request, None).await?
            }
            Self::Jwt { mount, role, jwt } => {
                let request = oidc::requests::JWTLoginRequest {
                    mount: mount.as_str().to_owned(),
                    jwt: text(jwt)?,
                    role: role.clone(),
                };
                transport.call(&request, None).await?
            }
            Self::UserPass {
                mount,
                username,
                password,
            } => {
                let request = userpass::requests::LoginRequest {
                    mount: mount.as_str().to_owned(),
                    username: username.as_str().to_owned(),
                    password: text(password)?,
                };
                transport.call(&request, None).await?
            }
            Self::Cert { mount, name } => {
                let request = cert::requests::LoginRequest {
                    mount: mount.as_str().to_owned(),
                    cert_name: name.clone(),
                };
                transport.call(&request, None).await?
            }
        };
        token_of(transport, answer)
    }
}

fn token_of(transport: &Transport, answer: Answer<()>) -> Result<SecretBytes, Error> {
    let auth = answer
        .auth
        .ok_or_else(|| transport.unusable("a login without a token"))?;
    Ok(SecretBytes::new(auth.client_token.into_bytes()))
}

/// A secret as the text that a request carries; the allocator wipes it.
fn text(secret: &SecretBytes) -> Result<String, Error> {
    let text = std::str::from_utf8(secret.expose()).map(str::trim);
    text.map(str::to_owned)
        .map_err(|_| Error::Setting("the secret to log in with is not UTF-8"))
}
