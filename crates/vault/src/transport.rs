//! Requests to one server, and what its answers mean.

use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header};
use rustify::client::Client as RestClient;
use rustify::endpoint::Endpoint;
use rustify::errors::ClientError;
use secret::SecretBytes;
use serde::de::DeserializeOwned;
use transport::{Fault, Invalid, Names, Pool};

use crate::address::Address;
use crate::client::Settings;
use crate::error::Error;

/// A server's own reason is cut here.
const LONGEST_REASON: usize = 200;

/// What an answer holds, as `vaultrs` reads it.
pub(crate) type Answer<T> = vaultrs::api::EndpointResult<T>;

pub(crate) struct Transport {
    pool: Pool,
    address: Address,
    namespace: Option<HeaderValue>,
    total: Duration,
}

impl Transport {
    pub(crate) fn new(settings: Settings) -> Result<Self, Error> {
        let bounds = transport::Settings {
            connect: settings.connect,
            total: Some(settings.total),
            ..transport::Settings::default()
        };
        let invalid = |Invalid(why)| Error::Setting(why);
        let mut pool = Pool::new(bounds, Names::default());
        if let Some(roots) = &settings.roots {
            pool = pool.trusting(roots).map_err(invalid)?;
        }
        if let Some(identity) = &settings.identity {
            pool = pool.showing(identity).map_err(invalid)?;
        }
        let namespace = settings
            .namespace
            .as_deref()
            .map(HeaderValue::from_str)
            .transpose();
        Ok(Self {
            pool,
            address: settings.address,
            namespace: namespace.map_err(|_| Error::Setting("the namespace holds a control character"))?,
            total: settings.total,
        })
    }

    /// Sends one request and reads its answer.
    pub(crate) async fn call<E: Endpoint>(
        &self,
        endpoint: &E,
        token: Option<&SecretBytes>,
    ) -> Result<Answer<E::Response>, Error> {
        let body = self.send(endpoint, token).await?;
        self.read(body.expose())
    }

    /// A body as what an answer holds.
    pub(crate) fn read<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, Error> {
        serde_json::from_slice(body).map_err(|_| self.unusable("it is not an answer of Vault"))
    }

    /// Sends one request; the body of its answer, which may be empty.
    pub(crate) async fn send<E: Endpoint>(
        &self,
        endpoint: &E,
        token: Option<&SecretBytes>,
    ) -> Result<SecretBytes, Error> {
        let token = token
            .map(|token| HeaderValue::from_bytes(token.expose()))
            .transpose();
        let mut token = token.map_err(|_| Error::Setting("the token holds a control character"))?;
        if let Some(token) = &mut token {
            token.set_sensitive(true);
        }
        let carrier = Carrier {
            transport: self,
            token,
        };
        let answer = endpoint.exec(&carrier).await.map_err(|error| self.own(error))?;
        let what = endpoint.path();
        self.judge(&answer.response, what.trim_start_matches('/'))?;
        Ok(SecretBytes::new(answer.response.into_body()))
    }

    pub(crate) fn unusable(&self, why: &'static str) -> Error {
        Error::Answer {
            address: self.address.to_string(),
            why,
        }
    }

    /// Our own error out of what carried it.
    fn own(&self, error: ClientError) -> Error {
        match error {
            ClientError::GenericError { source } => source
                .downcast::<Error>()
                .unwrap_or_else(|_| self.unusable("it could not be read")),
            _ => self.unusable("the request could not be made"),
        }
    }

    /// What a status means.
    fn judge(&self, answer: &Response<Vec<u8>>, what: &str) -> Result<(), Error> {
        let (address, what) = (self.address.to_string(), what.to_owned());
        Err(match answer.status() {
            status if status.is_success() => return Ok(()),
            status if status.is_redirection() => Error::Redirected { address },
            StatusCode::BAD_REQUEST => Error::Refused {
                address,
                what,
                why: reason(answer.body()),
            },
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Error::Denied { address, what },
            StatusCode::NOT_FOUND => Error::NotFound { address, what },
            StatusCode::TOO_MANY_REQUESTS => Error::Throttled {
                address,
                wait: retry_after(answer.headers()),
            },
            // 472 and 473 are standby servers that cannot answer.
            status if matches!(status.as_u16(), 412 | 472 | 473 | 503) => Error::Sealed { address },
            status => Error::Failed {
                address,
                status: status.as_u16(),
            },
        })
    }

    pub(crate) fn timed_out(&self) -> Error {
        Error::TimedOut {
            address: self.address.to_string(),
            after: self.total,
        }
    }

    /// What went wrong on the way.
    fn lost(&self, fault: Fault) -> Error {
        let address = self.address.to_string();
        let unreachable = |why: String| Error::Unreachable {
            address: self.address.to_string(),
            why,
        };
        match fault {
            Fault::NoAnswer => self.timed_out(),
            Fault::NoConnection => unreachable(format!(
                "no connection within {} s",
                self.pool.settings().connect.as_secs_f32()
            )),
            Fault::Lost(why) => unreachable(why),
            Fault::Tls(why) => Error::Tls { address, why },
            Fault::TooLarge => self.unusable("it has more than 4 MiB"),
            Fault::System => Error::Setting("the certificates or proxies of this system cannot be used"),
        }
    }
}

/// A transport with the token of one request.
struct Carrier<'a> {
    transport: &'a Transport,
    token: Option<HeaderValue>,
}

impl Carrier<'_> {
    async fn exchange(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, Error> {
        let transport = self.transport;
        let (mut parts, body) = request.into_parts();
        let path = format!("/v1{}", parts.uri.path());
        parts.uri =
            whole(&transport.address, &path).ok_or_else(|| transport.unusable("its address is none"))?;
        let headers = &mut parts.headers;
        headers.insert("x-vault-request", HeaderValue::from_static("true"));
        if let Some(namespace) = &transport.namespace {
            headers.insert("x-vault-namespace", namespace.clone());
        }
        if let Some(token) = &self.token {
            headers.insert("x-vault-token", token.clone());
        }
        let request = reqwest::Request::try_from(Request::from_parts(parts, body))
            .map_err(|_| transport.unusable("the request could not be made"))?;
        let answer = transport.pool.send(request).await;
        let (parts, body) = answer.map_err(|fault| transport.lost(fault))?.into_parts();
        Ok(Response::from_parts(parts, body.expose().to_vec()))
    }
}

#[async_trait]
impl RestClient for Carrier<'_> {
    fn base(&self) -> &str {
        self.transport.address.as_str()
    }

    async fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, ClientError> {
        let answer = self.exchange(request).await;
        answer.map_err(|error| ClientError::GenericError { source: error.into() })
    }

    /// As [`Self::send`]: the trait's own would put the body of a failure into its error.
    async fn execute(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, ClientError> {
        self.send(request).await
    }
}

fn whole(address: &Address, path: &str) -> Option<Uri> {
    format!("{address}{path}").parse().ok()
}

/// The first of the server's reasons, on one short line.
fn reason(body: &[u8]) -> String {
    let first = serde_json::from_slice::<vaultrs::api::EndpointError>(body)
        .ok()
        .and_then(|error| error.errors.into_iter().next())
        .unwrap_or_default();
    let line = first.chars().map(|c| if c.is_control() { ' ' } else { c });
    let line: String = line.take(LONGEST_REASON).collect();
    match line.trim() {
        "" => "no reason given".to_owned(),
        line => line.to_owned(),
    }
}

/// `Retry-After` in seconds.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}
