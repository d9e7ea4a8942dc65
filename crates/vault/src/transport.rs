//! One HTTP connection pool to one server, with bounds: on time, on the size of an answer, on where it leads.

use std::error::Error as _;
use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header};
use rustify::client::Client as RestClient;
use rustify::endpoint::Endpoint;
use rustify::errors::ClientError;
use secret::SecretBytes;

use crate::address::Address;
use crate::client::Settings;
use crate::error::Error;

/// No answer of the API is larger.
const LARGEST: usize = 4 << 20;
/// A server's own reason is cut here.
const LONGEST_REASON: usize = 200;

/// What an answer holds, as `vaultrs` reads it.
pub(crate) type Answer<T> = vaultrs::api::EndpointResult<T>;

pub(crate) struct Transport {
    http: reqwest::Client,
    address: Address,
    namespace: Option<HeaderValue>,
    total: Duration,
}

impl Transport {
    pub(crate) fn new(settings: &Settings) -> Result<Self, Error> {
        let namespace = settings
            .namespace
            .as_deref()
            .map(HeaderValue::from_str)
            .transpose();
        Ok(Self {
            http: http_client(settings)?,
            address: settings.address.clone(),
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
        serde_json::from_slice(answer.response.body())
            .map_err(|_| self.unusable("it is not an answer of Vault"))
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
    fn lost(&self, error: &reqwest::Error) -> Error {
        if error.is_timeout() && !error.is_connect() {
            return self.timed_out();
        }
        let address = self.address.to_string();
        let mut why = "no connection".to_owned();
        let mut next = error.source();
        while let Some(cause) = next {
            next = cause.source();
            if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
                let why = tls.to_string();
                return Error::Tls { address, why };
            }
            // An error of the system wraps that of the library that it came from.
            let inner = cause
                .downcast_ref::<std::io::Error>()
                .and_then(std::io::Error::get_ref);
            if let Some(tls) = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
                let why = tls.to_string();
                return Error::Tls { address, why };
            }
            why = cause.to_string();
        }
        Error::Unreachable { address, why }
    }

    /// A body of at most [`LARGEST`] bytes.
    async fn body(&self, mut answer: reqwest::Response) -> Result<Vec<u8>, Error> {
        let mut body = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(|error| self.lost(&error))? {
            if body.len() + part.len() > LARGEST {
                return Err(self.unusable("it has more than 4 MiB"));
            }
            body.extend_from_slice(&part);
        }
        Ok(body)
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
        let answer = transport
            .http
            .execute(request)
            .await
            .map_err(|error| transport.lost(&error))?;
        let mut response = Response::new(Vec::new());
        *response.status_mut() = answer.status();
        *response.headers_mut() = answer.headers().clone();
        *response.body_mut() = transport.body(answer).await?;
        Ok(response)
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

fn http_client(settings: &Settings) -> Result<reqwest::Client, Error> {
    // An error means that it was done before.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .tls_backend_rustls()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(settings.connect)
        .timeout(settings.total)
        .referer(false);
    if let Some(roots) = &settings.roots {
        let certificates = reqwest::Certificate::from_pem_bundle(roots);
        let certificates =
            certificates.map_err(|_| Error::Setting("the certificates of the CA are no PEM"))?;
        if certificates.is_empty() {
            return Err(Error::Setting("there is no certificate among those of the CA"));
        }
        builder = builder.tls_certs_only(certificates);
    } else if settings.address.is_plain() {
        // The system's certificates need not be read.
        builder = builder.tls_certs_only(Vec::new());
    }
    if let Some(identity) = &settings.identity {
        let identity = reqwest::Identity::from_pem(identity.expose());
        builder = builder
            .identity(identity.map_err(|_| Error::Setting("the client certificate and its key are no PEM"))?);
    }
    builder
        .build()
        .map_err(|_| Error::Setting("the TLS settings cannot be used"))
}
