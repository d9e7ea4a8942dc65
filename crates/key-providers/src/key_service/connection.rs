//! Connections of a key service: who is let in, for how long, and what is read from them.

use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use prost::Message;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::unix::UCred;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tonic::Status;
use tonic::body::Body;
use tonic::server::{Grpc, UnaryService};
use tonic_prost::ProstCodec;

use super::listener::{Kind, Listener};
use super::overseer::Peer;
use super::server::Server;
use super::wire::{self, DecryptRequest, DecryptResponse, EncryptRequest, EncryptResponse};

/// Requests at a time on one connection.
const STREAMS: u32 = 16;
/// The longest headers, in bytes.
const LONGEST_HEADERS: u32 = 16 << 10;
/// A silent client is asked whether it is there after this, and given up after half of it again.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// What stands before a message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// Accepts connections until `stop` is there, then waits for those that are busy.
pub(super) async fn accept(server: &Arc<Server>, listener: Listener, stop: impl Future<Output = ()>) {
    let room = Arc::new(Semaphore::new(server.bounds.connections));
    let (close, closing) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        let next = async {
            let permit = room.clone().acquire_owned().await;
            (permit, listener.next().await)
        };
        tokio::select! {
            biased;
            () = &mut stop => break,
            Some(_) = connections.join_next() => {}
            (permit, next) = next => match next {
                Ok(stream) => {
                    let (server, closing) = (server.clone(), closing.clone());
                    connections.spawn(async move {
                        let _permit = permit;
                        stream.serve(server, closing).await;
                    });
                }
                // Out of descriptors, say: they come back when connections end.
                Err(_) => sleep(Duration::from_millis(100)).await,
            },
        }
    }
    drop(listener);
    drop(closing);
    close.send_replace(());
    let all = async { while connections.join_next().await.is_some() {} };
    // What is late is dropped, and its connections with it.
    let _ = timeout(server.bounds.grace, all).await;
}

/// A connection that nothing was read from yet.
enum Accepted {
    Unix(tokio::net::UnixStream, u32),
    Tcp(tokio::net::TcpStream, std::net::SocketAddr),
    Tls(tokio::net::TcpStream, std::net::SocketAddr, TlsAcceptor),
}

impl Listener {
    async fn next(&self) -> std::io::Result<Accepted> {
        Ok(match &self.0 {
            Kind::Unix { listener, uid, .. } => Accepted::Unix(listener.accept().await?.0, *uid),
            Kind::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                Accepted::Tcp(stream, address)
            }
            Kind::Tls(listener, config) => {
                let (stream, address) = listener.accept().await?;
                Accepted::Tls(stream, address, config.clone().into())
            }
        })
    }
}

impl Accepted {
    async fn serve(self, server: Arc<Server>, closing: watch::Receiver<()>) {
        match self {
            Self::Unix(stream, uid) => match admitted(stream.peer_cred().ok(), uid) {
                Ok(peer) => serve(server, stream, peer, closing).await,
                Err(peer) => server.refuse(&peer),
            },
            Self::Tcp(stream, address) => {
                let peer = Peer::Network {
                    address,
                    certificate: None,
                };
                serve(server, stream, peer, closing).await;
            }
            Self::Tls(stream, address, acceptor) => {
                let handshake = timeout(server.bounds.arrival, acceptor.accept(stream)).await;
                let Ok(Ok(stream)) = handshake else {
                    return server.refuse(&Peer::Network {
                        address,
                        certificate: None,
                    });
                };
                let shown = stream.get_ref().1.peer_certificates();
                let certificate = shown.and_then(|shown| shown.first()).map(|shown| hash(shown));
                serve(server, stream, Peer::Network { address, certificate }, closing).await;
            }
        }
    }
}

/// A process of the user `uid` is let in, and nobody else: not root either, and not one whose user the system does not
/// tell.
fn admitted(shown: Option<UCred>, uid: u32) -> Result<Peer, Peer> {
    let peer = Peer::Process {
        uid: shown.map_or(u32::MAX, |shown| shown.uid()),
        pid: shown.and_then(|shown| shown.pid()),
    };
    match shown {
        Some(shown) if shown.uid() == uid => Ok(peer),
        _ => Err(peer),
    }
}

fn hash(certificate: &[u8]) -> String {
    Sha256::digest(certificate)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// How busy a connection is.
#[derive(Default)]
struct Activity(Mutex<(usize, Option<Instant>)>);

impl Activity {
    /// A request is there, until the result is dropped.
    fn begin(self: &Arc<Self>) -> Busy {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        now.0 += 1;
        Busy(self.clone())
    }

    /// How much longer it may be silent; none if it was silent for too long.
    fn left(&self, since: Instant, arrival: Duration, idle: Duration) -> Option<Duration> {
        let (busy, last) = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = match last {
            _ if busy > 0 => idle,
            Some(last) => idle.saturating_sub(last.elapsed()),
            None => arrival.saturating_sub(since.elapsed()),
        };
        Some(left).filter(|left| !left.is_zero())
    }
}

struct Busy(Arc<Activity>);

impl Drop for Busy {
    fn drop(&mut self) {
        let mut now = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        now.0 -= 1;
        now.1 = Some(Instant::now());
    }
}

async fn serve(
    server: Arc<Server>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    mut closing: watch::Receiver<()>,
) {
    let (bounds, since) = (server.bounds, Instant::now());
    let activity = Arc::new(Activity::default());
    let of_service = activity.clone();
    let service = service_fn(move |request| {
        let busy = of_service.begin();
        let answer = answer(server.clone(), peer.clone(), request);
        async move {
            let _busy = busy;
            Ok::<_, Infallible>(answer.await)
        }
    });
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(LONGEST_HEADERS)
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE / 2)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let mut silence = pin!(sleep(bounds.arrival));
    let mut ending = false;
    loop {
        tokio::select! {
            _ = &mut connection => return,
            _ = closing.changed(), if !ending => {
                ending = true;
                connection.as_mut().graceful_shutdown();
            }
            () = &mut silence => match activity.left(since, bounds.arrival, bounds.idle) {
                Some(left) => silence.as_mut().reset(Instant::now() + left),
                None => return,
            },
        }
    }
}

/// Answers one request; whatever is wrong with it becomes a status.
async fn answer(server: Arc<Server>, peer: Peer, request: Request<Incoming>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let limit = server.bounds.message;
    // Read here and not by gRPC's framing, which would wait for the rest of it for ever.
    let body = timeout(
        server.bounds.arrival,
        Limited::new(body, limit + PREFIX).collect(),
    )
    .await;
    let body = match body {
        Ok(Ok(body)) => Full::new(body.to_bytes()),
        Ok(Err(_)) => return Status::resource_exhausted("the request is too long").into_http(),
        Err(_) => return Status::deadline_exceeded("the request did not arrive in time").into_http(),
    };
    let request = Request::from_parts(parts, body);
    match request.uri().path() {
        wire::ENCRYPT => {
            let method = Method(move |message| server.clone().encrypt(peer.clone(), message));
            unary::<EncryptRequest, EncryptResponse, _>(limit, method, request).await
        }
        wire::DECRYPT => {
            let method = Method(move |message| server.clone().decrypt(peer.clone(), message));
            unary::<DecryptRequest, DecryptResponse, _>(limit, method, request).await
        }
        _ => Status::unimplemented("there is no such method").into_http(),
    }
}

async fn unary<Q, R, S>(limit: usize, method: S, request: Request<Full<hyper::body::Bytes>>) -> Response<Body>
where
    Q: Message + Default + Send + 'static,
    R: Message + Send + 'static,
    S: UnaryService<Q, Response = R>,
{
    Grpc::new(ProstCodec::<R, Q>::default())
        .max_decoding_message_size(limit)
        .unary(method, request)
        .await
}

/// What a method does, once.
struct Method<F>(F);

impl<Q, R, F, W> UnaryService<Q> for Method<F>
where
    F: FnMut(Q) -> W,
    W: Future<Output = Result<tonic::Response<R>, Status>> + Send + 'static,
{
    type Response = R;
    type Future = Pin<Box<dyn Future<Output = Result<tonic::Response<R>, Status>> + Send>>;

    fn call(&mut self, request: tonic::Request<Q>) -> Self::Future {
        Box::pin((self.0)(request.into_inner()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_same_user_is_let_in() {
        let (one, _other) = tokio::net::UnixStream::pair().expect("a pair");
        let shown = one.peer_cred().expect("told");
        let own = rustix::process::geteuid().as_raw();
        let expected = Peer::Process {
            uid: own,
            pid: i32::try_from(std::process::id()).ok(),
        };
        assert_eq!(admitted(Some(shown), own), Ok(expected.clone()));
        assert_eq!(admitted(Some(shown), own + 1), Err(expected));
        assert!(admitted(None, own).is_err() && admitted(None, u32::MAX).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_silent_for_so_long_and_no_longer() {
        let (since, second) = (Instant::now(), Duration::from_secs(1));
        let activity = Arc::new(Activity::default());
        let left = |activity: &Activity| activity.left(since, second, 10 * second);
        assert_eq!(left(&activity), Some(second));
        let busy = activity.begin();
        tokio::time::advance(20 * second).await;
        assert_eq!(left(&activity), Some(10 * second));
        drop(busy);
        tokio::time::advance(9 * second).await;
        assert_eq!(left(&activity), Some(second));
        tokio::time::advance(second).await;
        assert_eq!(left(&activity), None);
    }
}
