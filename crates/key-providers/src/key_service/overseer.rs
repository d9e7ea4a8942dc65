//! What a key service is told of each request, and who decides on it and keeps the record.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sops::MasterKey;
use tonic::{Code, Status};

use super::server::Failure;

/// Decides which requests are served, and keeps the record.
pub trait Overseer: Send + Sync + 'static {
    /// Whether a request is served. Must not wait.
    fn judges(&self, asked: &Asked) -> Verdict;

    /// Asks a person. Called for one request at a time, where waiting holds up nobody else.
    fn asks(&self, asked: &Asked) -> bool;

    /// Records a request that was answered.
    ///
    /// # Errors
    /// If there is no record, there is no answer.
    fn records(&self, asked: &Asked, outcome: Outcome, took: Duration) -> io::Result<()>;

    /// Records a connection that was refused.
    fn refuses(&self, peer: &Peer);
}

/// What an [`Overseer`] says about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is served.
    Serve,
    /// A person decides.
    Ask,
    /// It is not.
    Deny,
}

/// One request, as far as a record may know it.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Who asks.
    pub peer: Peer,
    /// What for.
    pub operation: Operation,
    /// With which key; none if the request names none that is known.
    pub key: Option<MasterKey>,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A process on this machine.
    Process {
        /// Its user.
        uid: u32,
        /// Its number, if the system tells.
        pid: Option<i32>,
    },
    /// Somebody at a port.
    Network {
        /// From where.
        address: SocketAddr,
        /// SHA-256 of the certificate that was shown, in hexadecimal.
        certificate: Option<String>,
    },
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// To wrap.
    Encrypt,
    /// To unwrap.
    Decrypt,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Encrypt => "encrypt",
            Self::Decrypt => "decrypt",
        })
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Done,
    /// The [`Overseer`] or the person said no.
    Denied,
    /// The provider failed, or the request was none.
    Failed,
    /// The client went away before.
    Abandoned,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Done => "ok",
            Self::Denied => "denied",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
        })
    }
}

/// The record of a request: made when it ends, or when it is dropped without an end.
pub(super) struct Record {
    overseer: Option<Arc<dyn Overseer>>,
    pub(super) asked: Asked,
    begin: Instant,
}

impl Record {
    pub(super) fn begin(
        overseer: &Arc<dyn Overseer>,
        peer: Peer,
        operation: Operation,
        key: Option<MasterKey>,
    ) -> Self {
        Self {
            overseer: Some(overseer.clone()),
            asked: Asked { peer, operation, key },
            begin: Instant::now(),
        }
    }

    pub(super) fn end<T>(mut self, answer: &Result<T, Failure>) -> Result<(), Status> {
        let outcome = match answer {
            Ok(_) => Outcome::Done,
            Err(failure) if failure.code == Code::PermissionDenied => Outcome::Denied,
            Err(_) => Outcome::Failed,
        };
        let recorded = match self.overseer.take() {
            Some(overseer) => overseer.records(&self.asked, outcome, self.begin.elapsed()),
            None => Ok(()),
        };
        recorded.map_err(|_| Status::internal("the request cannot be recorded, so it is not answered"))
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if let Some(overseer) = self.overseer.take() {
            // Nobody waits for an answer that could be kept back.
            let _ = overseer.records(&self.asked, Outcome::Abandoned, self.begin.elapsed());
        }
    }
}
