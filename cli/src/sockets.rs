//! Where programs of this user find each other: `$XDG_RUNTIME_DIR/sealwright`, a folder that ends with the login.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use key_providers::agent::Agent;
use key_providers::socket::{SocketError, SocketFile, bind};

use crate::error::{Code, Error, Result};

/// What names the agent's socket; empty: no agent is asked.
pub(crate) const AGENT_VARIABLE: &str = "SEAL_AGENT_SOCK";

/// The socket `name` in the folder, which need not exist.
fn usual(name: &str) -> Option<PathBuf> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let runtime = runtime.filter(|runtime| runtime.is_absolute())?;
    Some(runtime.join("sealwright").join(name))
}

/// The socket `name` in the folder, which is made if it is missing. `flag` names another place.
///
/// # Errors
/// Where there is no such folder and none can be made.
pub(crate) fn place(name: &str, flag: &'static str) -> Result<PathBuf> {
    let Some(path) = usual(name) else {
        return Err(Error::new(
            Code::Generic,
            "XDG_RUNTIME_DIR is not set, so there is no place for a socket",
        )
        .hint(flag));
    };
    let folder = path.parent().unwrap_or(Path::new("/"));
    match std::fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(cause) if cause.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(Error::new(Code::Write, "cannot make the folder of the socket")
                .file(folder)
                .cause(&cause))
        }
        _ => Ok(path),
    }
}

/// Where the agent of this user is asked, if anywhere.
pub(crate) fn of_agent() -> Option<PathBuf> {
    match std::env::var_os(AGENT_VARIABLE) {
        Some(path) if path.is_empty() => None,
        Some(path) => Some(path.into()),
        None => usual("agent.sock"),
    }
}

/// The agent of this user, whether or not it runs.
pub(crate) fn agent() -> Option<Agent> {
    of_agent().map(|path| Agent::at(&path))
}

/// Listens at `path`.
///
/// # Errors
/// If that cannot be done.
pub(crate) fn listen(path: &Path) -> Result<(std::os::unix::net::UnixListener, SocketFile)> {
    bind(path).map_err(|error| cannot_listen(path, &error))
}

/// The error of a socket that cannot be made.
pub(crate) fn cannot_listen(path: &Path, error: &SocketError) -> Error {
    Error::new(Code::Generic, "cannot listen on the socket")
        .file(path)
        .cause(error)
}
