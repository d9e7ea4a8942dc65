//! Asking a key service that runs elsewhere.
//!
//! One connection for a run, opened with the first request and opened anew when the service has closed it. To wrap or
//! unwrap twice does no harm, so a request that found the connection closed is made once more.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use http::uri::PathAndQuery;
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use prost::Message;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use secret::SecretBytes;
use sops::MasterKey;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tonic::body::Body;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;
use transport::Names;

use super::endpoint::{Endpoint, Place};
use super::wire::{self, DecryptRequest, DecryptResponse, EncryptRequest, EncryptResponse, Key};
use crate::network::Network;
use crate::provider::{Answer, KeyProvider, ProviderError};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a request may take from its start to the end of its answer.
const TOTAL: Duration = Duration::from_secs(30);
/// How long a service that could not be reached is taken to be away: every key of every file would wait for it.
const AWAY: Duration = Duration::from_secs(10);
/// The longest answer, in bytes.
const LONGEST: usize = 4 << 20;
/// The longest headers, in bytes.
const LONGEST_HEADERS: u32 = 16 << 10;

/// A connection, shared by all requests.
type Connection = http2::SendRequest<Body>;

/// A provider for every kind of key: it asks a key service.
pub struct KeyService {
    network: Network,
    remote: Arc<Remote>,
}

/// The service, on the network's thread.
struct Remote {
    endpoint: Endpoint,
    tls: Option<Arc<ClientConfig>>,
    /// What requests are addressed to; only a server behind TLS looks at it.
    origin: Uri,
    /// Locked while it is opened.
    connection: Mutex<Held>,
    bounds: (Duration, Duration),
}

/// What is known of the connection.
#[derive(Default)]
enum Held {
    #[default]
    Nothing,
    Open(Connection),
    /// When it could not be opened, and why.
    Away(Instant, String),
}

/// Why a request failed.
enum Failure {
    /// No connection; `reason` in words of the system or of TLS.
    Unreachable(String),
    /// The connection broke.
    Broken,
    /// An answer, and it is no.
    Refused(Status),
    Timeout(Duration),
}

impl KeyService {
    /// A provider that asks the service at `endpoint`; nothing is sent yet. An endpoint behind TLS needs `tls`.
    pub fn new(endpoint: Endpoint, tls: Option<Arc<ClientConfig>>, network: Network) -> Self {
        Self::bounded(endpoint, tls, network, (CONNECT, TOTAL))
    }

    fn bounded(
        endpoint: Endpoint,
        tls: Option<Arc<ClientConfig>>,
        network: Network,
        bounds: (Duration, Duration),
    ) -> Self {
        let origin = match &endpoint.place {
            Place::Tls { host, port } if host.contains(':') => format!("https://[{host}]:{port}"),
            Place::Tls { host, port } => format!("https://{host}:{port}"),
            _ => "http://localhost".to_owned(),
        };
        let remote = Arc::new(Remote {
            origin: origin.parse().unwrap_or_default(),
            endpoint,
            tls,
            connection: Mutex::default(),
            bounds,
        });
        Self { network, remote }
    }

    /// Asks on the network's thread; `shows_message` repeats what the service says when it refuses.
    async fn ask<Q, R>(
        &self,
        path: &'static str,
        request: impl Fn() -> Q + Send + Sync + 'static,
        shows_message: bool,
    ) -> Result<R, ProviderError>
    where
        Q: Message + Send + Sync + 'static,
        R: Message + Default + Send + Sync + 'static,
    {
        let (server, remote) = (self.remote.endpoint.to_string(), self.remote.clone());
        let call = async move {
            let answer = remote.call(path, &request).await;
            answer.map_err(|failure| remote.told(&failure, shows_message))
        };
        self.network.run(&server, call).await
    }
}

impl KeyProvider for KeyService {
    fn name(&self) -> &'static str {
        "key service"
    }

    fn handles(&self, _: &MasterKey) -> bool {
        true
    }

    fn wrap<'a>(&'a self, key: &'a MasterKey, plaintext: &'a [u8]) -> Answer<'a, String> {
        let key = Key::from(key);
        let plaintext = SecretBytes::copy_from(plaintext);
        Box::pin(async move {
            let request = move || EncryptRequest {
                key: Some(key.clone()),
                plaintext: plaintext.expose().to_vec(),
            };
            // What was sent might stand in a message.
            let answer: EncryptResponse = self.ask(wire::ENCRYPT, request, false).await?;
            let enc = String::from_utf8(answer.ciphertext).ok();
            enc.filter(|enc| !enc.trim().is_empty())
                .ok_or_else(|| self.remote.unusable("what it answered is no wrapped key"))
        })
    }

    fn unwrap<'a>(&'a self, key: &'a MasterKey, enc: &'a str) -> Answer<'a, SecretBytes> {
        let key = Key::from(key);
        let enc = enc.as_bytes().to_vec();
        Box::pin(async move {
            let request = move || DecryptRequest {
                key: Some(key.clone()),
                ciphertext: enc.clone(),
            };
            let mut answer: DecryptResponse = self.ask(wire::DECRYPT, request, true).await?;
            let plaintext = SecretBytes::new(std::mem::take(&mut answer.plaintext));
            match plaintext.is_empty() {
                true => Err(self.remote.unusable("what it answered is empty")),
                false => Ok(plaintext),
            }
        })
    }
}

impl Remote {
    async fn call<Q, R>(&self, path: &'static str, request: &(impl Fn() -> Q + Sync)) -> Result<R, Failure>
    where
        Q: Message + Send + Sync + 'static,
        R: Message + Default + Send + Sync + 'static,
    {
        let (_, total) = self.bounds;
        let both = async {
            let (connection, opened) = self.connection().await?;
            match self.once(connection, path, request()).await {
                Err(Failure::Broken) if !opened => {
                    let (connection, _) = self.connection().await?;
                    self.once(connection, path, request()).await
                }
                answer => answer,
            }
        };
        match timeout(total, both).await {
            Ok(answer) => answer,
            Err(_) => {
                // Nobody knows whether anything still comes through it.
                *self.connection.lock().await = Held::Nothing;
                Err(Failure::Timeout(total))
            }
        }
    }

    async fn once<Q, R>(&self, connection: Connection, path: &'static str, message: Q) -> Result<R, Failure>
    where
        Q: Message + Send + Sync + 'static,
        R: Message + Default + Send + Sync + 'static,
    {
        let mut grpc = tonic::client::Grpc::with_origin(Sender(connection), self.origin.clone())
            .max_decoding_message_size(LONGEST)
            .max_encoding_message_size(LONGEST);
        grpc.ready().await.map_err(|_| Failure::Broken)?;
        let codec = ProstCodec::<Q, R>::default();
        let path = PathAndQuery::from_static(path);
        match grpc.unary(Request::new(message), path, codec).await {
            Ok(answer) => Ok(answer.into_inner()),
            // Only what failed on the way has a cause.
            Err(status) if std::error::Error::source(&status).is_some() => Err(Failure::Broken),
            Err(status) => Err(Failure::Refused(status)),
        }
    }

    /// The connection, and whether it was opened just now.
    async fn connection(&self) -> Result<(Connection, bool), Failure> {
        let mut held = self.connection.lock().await;
        match &*held {
            Held::Open(connection) if !connection.is_closed() => return Ok((connection.clone(), false)),
            Held::Away(since, reason) if since.elapsed() < AWAY => {
                return Err(Failure::Unreachable(reason.clone()));
            }
            _ => {}
        }
        let (connect, _) = self.bounds;
        let opened = timeout(connect, self.open()).await;
        let late = || Failure::Unreachable(format!("no connection within {} s", connect.as_secs()));
        match opened.unwrap_or_else(|_| Err(late())) {
            Ok(connection) => {
                *held = Held::Open(connection.clone());
                Ok((connection, true))
            }
            Err(failure) => {
                if let Failure::Unreachable(reason) = &failure {
                    *held = Held::Away(Instant::now(), reason.clone());
                }
                Err(failure)
            }
        }
    }

    async fn open(&self) -> Result<Connection, Failure> {
        let unreachable = |cause: std::io::Error| Failure::Unreachable(plainly(&cause));
        match &self.endpoint.place {
            Place::Unix(path) => {
                let stream = UnixStream::connect(path).await.map_err(unreachable)?;
                handshake(stream).await
            }
            Place::Tcp { host, port } => {
                let stream = tcp(host, *port).await.map_err(unreachable)?;
                handshake(stream).await
            }
            Place::Tls { host, port } => {
                let tls = self.tls.clone();
                let tls = tls.ok_or_else(|| Failure::Unreachable("TLS is not set up".to_owned()))?;
                let name = ServerName::try_from(host.clone());
                let name = name.map_err(|_| Failure::Unreachable("its name is none".to_owned()))?;
                let stream = tcp(host, *port).await.map_err(unreachable)?;
                let stream = TlsConnector::from(tls).connect(name, stream).await;
                handshake(stream.map_err(unreachable)?).await
            }
        }
    }

    /// Whose move is next, in words that name the service. `shows_message` adds the first line of its own words.
    fn told(&self, failure: &Failure, shows_message: bool) -> ProviderError {
        let (endpoint, status) = match failure {
            Failure::Unreachable(reason) => {
                return ProviderError::Unreachable(format!(
                    "the key service at {} cannot be reached: {reason}",
                    self.endpoint
                ));
            }
            Failure::Broken => return self.unusable("the connection to it broke"),
            Failure::Timeout(after) => {
                return ProviderError::Unreachable(format!(
                    "the key service at {} did not answer within {} s",
                    self.endpoint,
                    after.as_secs()
                ));
            }
            Failure::Refused(status) => (&self.endpoint, status),
        };
        let what = match status.code() {
            Code::NotFound | Code::Unimplemented => "does not know this kind of key",
            Code::PermissionDenied | Code::Unauthenticated => "denied the request",
            Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded => "is busy or not well",
            _ => "could not do it",
        };
        let message = match status.message().lines().next() {
            Some(message) if shows_message => format!(": {message}"),
            _ => String::new(),
        };
        let text = format!("the key service at {endpoint} {what}{message}");
        match status.code() {
            Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded => {
                ProviderError::Unavailable(text)
            }
            _ => ProviderError::NotUsable(text),
        }
    }

    fn unusable(&self, what: &str) -> ProviderError {
        ProviderError::Unavailable(format!("the key service at {}: {what}", self.endpoint))
    }
}

async fn tcp(host: &str, port: u16) -> std::io::Result<TcpStream> {
    let stream = Names::default().connect(host, port).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn handshake(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<Connection, Failure> {
    let (connection, driver) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_header_list_size(LONGEST_HEADERS)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|_| Failure::Broken)?;
    tokio::spawn(driver);
    Ok(connection)
}

/// What the system says without its number, or what TLS says.
fn plainly(cause: &std::io::Error) -> String {
    let text = cause.to_string();
    match text.find(" (os error") {
        Some(at) => text[..at].to_owned(),
        None => text,
    }
}

/// A connection as gRPC's framing wants it.
struct Sender(Connection);

impl tower_service::Service<http::Request<Body>> for Sender {
    type Response = http::Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}

#[cfg(test)]
mod tests;
