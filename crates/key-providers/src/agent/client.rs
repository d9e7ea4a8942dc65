//! Asking an agent.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::net::sockopt::socket_peercred;
use secret::SecretBytes;
use sops::MasterKey;

use super::cache::Kept;
use super::mark;
use crate::socket::connect;

use super::wire::{Answer, HEAD, Request, head};

/// An agent answers at once, or is none.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where an agent is asked.
#[derive(Clone, Debug)]
pub struct Agent {
    path: PathBuf,
}

/// Why an agent gave no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// Nobody listens.
    #[error("no agent runs")]
    None,
    /// Another user's process listens: nothing is told to it.
    #[error("the socket belongs to a process of another user")]
    Foreign,
    /// It answers something else than it should, or too late.
    #[error("the agent does not answer: {0}")]
    Failed(io::Error),
}

impl Agent {
    /// The agent behind the socket `path`.
    pub fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }

    /// What `key` wrapped as `enc`, if the agent holds it.
    ///
    /// # Errors
    /// See [`AgentError`].
    pub fn get(&self, key: &MasterKey, enc: &str) -> Result<Option<SecretBytes>, AgentError> {
        let answer = self.ask(&Request::Get(mark(key, enc)))?;
        Ok(answer.yes.then_some(answer.rest))
    }

    /// Gives the agent what `key` wrapped as `enc`.
    ///
    /// # Errors
    /// See [`AgentError`].
    pub fn put(&self, key: &MasterKey, enc: &str, plaintext: &SecretBytes) -> Result<(), AgentError> {
        let request = Request::Put {
            mark: mark(key, enc),
            name: format!("{} {key}", key.kind()),
            key: SecretBytes::copy_from(plaintext.expose()),
        };
        self.ask(&request).map(drop)
    }

    /// What the agent holds, and whether the system keeps that out of its swap space.
    ///
    /// # Errors
    /// See [`AgentError`].
    pub fn status(&self) -> Result<(Vec<Kept>, bool), AgentError> {
        let answer = self.ask(&Request::Status)?;
        let text = std::str::from_utf8(answer.rest.expose());
        let text = text.map_err(|_| AgentError::Failed(io::ErrorKind::InvalidData.into()))?;
        let kept: Option<Vec<Kept>> = text.lines().map(read_kept).collect();
        let kept = kept.ok_or_else(|| AgentError::Failed(io::ErrorKind::InvalidData.into()))?;
        Ok((kept, answer.yes))
    }

    /// Makes the agent forget everything.
    ///
    /// # Errors
    /// See [`AgentError`].
    pub fn lock(&self) -> Result<(), AgentError> {
        self.ask(&Request::Lock).map(drop)
    }

    /// Ends the agent, and waits until it has gone.
    ///
    /// # Errors
    /// See [`AgentError`].
    pub fn stop(&self) -> Result<(), AgentError> {
        let (_, mut stream) = self.exchange(&Request::Stop)?;
        // It hangs up with its end.
        let _ = stream.read(&mut [0]);
        Ok(())
    }

    fn ask(&self, request: &Request) -> Result<Answer, AgentError> {
        self.exchange(request).map(|(answer, _)| answer)
    }

    fn exchange(&self, request: &Request) -> Result<(Answer, UnixStream), AgentError> {
        let mut stream = connect(&self.path, PATIENCE).map_err(|cause| match cause.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => AgentError::None,
            _ => AgentError::Failed(cause),
        })?;
        let peer = socket_peercred(&stream).map_err(|cause| AgentError::Failed(cause.into()))?;
        if peer.uid != rustix::process::geteuid() {
            return Err(AgentError::Foreign);
        }
        let mut exchange = || {
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            stream.write_all(request.bytes().expose())?;
            let mut start = [0; HEAD];
            stream.read_exact(&mut start)?;
            let (first, mut rest) = head(start)?;
            stream.read_exact(rest.expose_mut())?;
            Answer::parse(first, rest)
        };
        let answer = exchange().map_err(AgentError::Failed)?;
        Ok((answer, stream))
    }
}

/// `SECONDS USES NAME`
fn read_kept(line: &str) -> Option<Kept> {
    let mut parts = line.splitn(3, ' ');
    Some(Kept {
        left: Duration::from_secs(parts.next()?.parse().ok()?),
        uses: parts.next()?.parse().ok()?,
        name: parts.next()?.to_owned(),
    })
}
