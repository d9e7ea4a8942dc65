//! Being a key service.
//!
//! Every request is one step after the other: which key, whether it may be served, the work, the record of it, the
//! answer. The work is done on threads of its own, for a provider may ask a person and wait; at most
//! [`Bounds::calls`] of them at a time. Requests that unwrap the same text with the same key at the same time share one
//! call to the provider.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use secret::SecretBytes;
use sops::MasterKey;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tonic::{Code, Response, Status};

use super::connection;
use super::listener::Listener;
use super::overseer::{Asked, Operation, Overseer, Peer, Record, Verdict};
use super::wire::{DecryptRequest, DecryptResponse, EncryptRequest, EncryptResponse, Key};
use crate::keyring::Keyring;
use crate::provider::ProviderError;

/// How much is done at a time and how long anything may take.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Connections; those beyond wait to be accepted. 1024.
    pub connections: usize,
    /// Calls to providers. 32.
    pub calls: usize,
    /// From the moment a request is there to the end of the work, not counting a person's answer. 60 s.
    pub call: Duration,
    /// Until a connection's first request is there, and for the bytes of any request. 10 s.
    pub arrival: Duration,
    /// Without any request. 5 min.
    pub idle: Duration,
    /// For what runs when the service is told to end. 10 s.
    pub grace: Duration,
    /// The longest request, in bytes. 1 MiB, where a wrapped key has a few KiB.
    pub message: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections: 1024,
            calls: 32,
            call: Duration::from_secs(60),
            arrival: Duration::from_secs(10),
            idle: Duration::from_secs(300),
            grace: Duration::from_secs(10),
            message: 1 << 20,
        }
    }
}

/// A key service over the keys of a [`Keyring`].
pub struct Server {
    keyring: Arc<Keyring>,
    overseer: Arc<dyn Overseer>,
    pub(super) bounds: Bounds,
    calls: Arc<Semaphore>,
    /// Held while a person is asked.
    asking: tokio::sync::Mutex<()>,
    unwrapping: Mutex<HashMap<Call, Shared>>,
}

/// A key and a text to unwrap with it.
type Call = (MasterKey, String);
/// The plaintext, when it is there.
type Shared = watch::Receiver<Option<Result<Arc<SecretBytes>, Failure>>>;

/// What a client is told.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) code: Code,
    text: String,
}

impl Server {
    /// A service that has not yet been asked anything.
    pub fn new(keyring: Keyring, overseer: Arc<dyn Overseer>, bounds: Bounds) -> Arc<Self> {
        Arc::new(Self {
            keyring: Arc::new(keyring),
            overseer,
            bounds,
            calls: Arc::new(Semaphore::new(bounds.calls)),
            asking: tokio::sync::Mutex::default(),
            unwrapping: Mutex::default(),
        })
    }

    /// Serves until `stop` is there; then accepts nothing more, and waits for what runs as long as the bounds allow.
    pub async fn serve(self: &Arc<Self>, listener: Listener, stop: impl Future<Output = ()>) {
        connection::accept(self, listener, stop).await;
    }

    pub(super) fn refuse(&self, peer: &Peer) {
        self.overseer.refuses(peer);
    }

    pub(super) async fn encrypt(
        self: Arc<Self>,
        peer: Peer,
        mut request: EncryptRequest,
    ) -> Result<Response<EncryptResponse>, Status> {
        let key = request.key.take().and_then(Key::into_master_key);
        let plaintext = SecretBytes::new(std::mem::take(&mut request.plaintext));
        let record = Record::begin(&self.overseer, peer, Operation::Encrypt, key);
        let answer = match self.admit(&record.asked).await {
            Ok(key) => self.wrap(key, plaintext).await,
            Err(failure) => Err(failure),
        };
        record.end(&answer)?;
        let ciphertext = answer?.into_bytes();
        Ok(Response::new(EncryptResponse { ciphertext }))
    }

    pub(super) async fn decrypt(
        self: Arc<Self>,
        peer: Peer,
        mut request: DecryptRequest,
    ) -> Result<Response<DecryptResponse>, Status> {
        let key = request.key.take().and_then(Key::into_master_key);
        let enc = String::from_utf8(std::mem::take(&mut request.ciphertext));
        let record = Record::begin(&self.overseer, peer, Operation::Decrypt, key);
        let answer = match (self.admit(&record.asked).await, enc) {
            (Ok(key), Ok(enc)) => self.unwrap(key, enc).await,
            (Ok(_), Err(_)) => Err(Failure::new(Code::InvalidArgument, "the wrapped key is no text")),
            (Err(failure), _) => Err(failure),
        };
        record.end(&answer)?;
        let plaintext = answer?.expose().to_vec();
        Ok(Response::new(DecryptResponse { plaintext }))
    }

    /// The key, if it may be used.
    async fn admit(self: &Arc<Self>, asked: &Asked) -> Result<MasterKey, Failure> {
        let key = asked.key.clone();
        let key =
            key.ok_or_else(|| Failure::new(Code::NotFound, "the request names no key of a known kind"))?;
        let admitted = match self.overseer.judges(asked) {
            Verdict::Serve => true,
            Verdict::Deny => false,
            Verdict::Ask => {
                let _asking = self.asking.lock().await;
                let (overseer, asked) = (self.overseer.clone(), asked.clone());
                let answer = tokio::task::spawn_blocking(move || overseer.asks(&asked)).await;
                answer.unwrap_or(false)
            }
        };
        match admitted {
            true => Ok(key),
            false => Err(Failure::new(Code::PermissionDenied, "the request was denied")),
        }
    }

    async fn wrap(&self, key: MasterKey, plaintext: SecretBytes) -> Result<String, Failure> {
        let keyring = self.keyring.clone();
        self.call(move |handle, limit| {
            let work = async { timeout(limit, keyring.wrap_one(&key, &plaintext)).await };
            handle
                .block_on(work)
                .map_err(|_| Failure::late())?
                .map_err(Failure::from)
        })
        .await
    }

    /// Joins a call that runs for the same, or begins one. A call that nobody waits for any more goes on to its end.
    async fn unwrap(self: &Arc<Self>, key: MasterKey, enc: String) -> Result<Arc<SecretBytes>, Failure> {
        let mut shared = self.shared(key, enc);
        let gone = || Failure::new(Code::Internal, "the work ended without an answer");
        match shared.wait_for(Option::is_some).await {
            Ok(answer) => answer.clone().unwrap_or_else(|| Err(gone())),
            Err(_) => Err(gone()),
        }
    }

    fn shared(self: &Arc<Self>, key: MasterKey, enc: String) -> Shared {
        let call = (key, enc);
        let mut unwrapping = self.unwrapping();
        if let Some(shared) = unwrapping.get(&call) {
            return shared.clone();
        }
        let (send, shared) = watch::channel(None);
        unwrapping.insert(call.clone(), shared.clone());
        let entry = Entry {
            server: self.clone(),
            call,
        };
        tokio::spawn(async move {
            let answer = entry.server.unwrap_now(&entry.call).await;
            // Whoever comes from now on begins anew.
            drop(entry);
            send.send_replace(Some(answer));
        });
        shared
    }

    async fn unwrap_now(&self, (key, enc): &Call) -> Result<Arc<SecretBytes>, Failure> {
        let (keyring, key, enc) = (self.keyring.clone(), key.clone(), enc.clone());
        self.call(move |handle, limit| {
            let work = async { timeout(limit, keyring.unwrap_one(&key, &enc)).await };
            let plaintext = handle.block_on(work).map_err(|_| Failure::late())??;
            Ok(Arc::new(plaintext))
        })
        .await
    }

    /// Does `work` on a thread of its own, when there is room; the time left is its second argument.
    async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(Handle, Duration) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let (begin, limit) = (Instant::now(), self.bounds.call);
        let done = async {
            let permit = self.calls.clone().acquire_owned().await;
            let permit = permit.map_err(|_| Failure::late())?;
            let handle = Handle::current();
            let work = move || {
                let _permit = permit;
                work(handle, limit.saturating_sub(begin.elapsed()))
            };
            let broken = |_| Failure::new(Code::Internal, "the work broke off");
            tokio::task::spawn_blocking(work).await.map_err(broken)?
        };
        timeout(limit, done)
            .await
            .unwrap_or_else(|_| Err(Failure::late()))
    }

    fn unwrapping(&self) -> MutexGuard<'_, HashMap<Call, Shared>> {
        self.unwrapping.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that others may join, until dropped.
struct Entry {
    server: Arc<Server>,
    call: Call,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.server.unwrapping().remove(&self.call);
    }
}

impl Failure {
    fn new(code: Code, text: impl Into<String>) -> Self {
        Self {
            code,
            text: text.into(),
        }
    }

    fn late() -> Self {
        Self::new(Code::DeadlineExceeded, "the key did not answer in time")
    }
}

impl From<ProviderError> for Failure {
    fn from(error: ProviderError) -> Self {
        let code = match &error {
            ProviderError::InvalidKey(_) | ProviderError::Damaged(_) => Code::InvalidArgument,
            ProviderError::Unsupported(_) => Code::Unimplemented,
            ProviderError::Unavailable(_) | ProviderError::Unreachable(_) | ProviderError::NoRandomness => {
                Code::Unavailable
            }
            ProviderError::NoIdentity(_) | ProviderError::NotUsable(_) => Code::FailedPrecondition,
        };
        Self::new(code, error.to_string())
    }
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        Self::new(failure.code, failure.text)
    }
}

#[cfg(test)]
mod tests;
