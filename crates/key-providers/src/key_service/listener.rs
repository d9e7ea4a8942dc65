//! Where a key service is asked: a socket of this user's own, or a port.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::{UnixListener as StdUnixListener, UnixStream as StdUnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::Mode;
use rustls::ServerConfig;
use tokio::net::{TcpListener, UnixListener};

/// Something to accept connections on.
pub struct Listener(pub(super) Kind);

pub(super) enum Kind {
    /// Serves processes of the user `uid` only.
    Unix {
        listener: UnixListener,
        uid: u32,
        _file: SocketFile,
    },
    Tcp(TcpListener),
    Tls(TcpListener, Arc<ServerConfig>),
}

/// Why a socket cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SocketError {
    /// A key service answers there.
    #[error("another program listens on it already")]
    Live,
    /// Something else stands there.
    #[error("what stands there is no socket of this user")]
    Foreign,
    /// The system refuses.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Listener {
    /// A Unix socket that only this user may connect to; whoever connects is asked for the user all the same. A socket
    /// that a program left when it was killed is replaced. Removed when dropped.
    ///
    /// # Errors
    /// See [`SocketError`]. Must be called where a runtime with I/O is entered.
    pub fn unix(path: &Path) -> Result<Self, SocketError> {
        remove_stale(path)?;
        let before = rustix::process::umask(Mode::from_raw_mode(0o177));
        let bound = StdUnixListener::bind(path);
        rustix::process::umask(before);
        let bound = bound?;
        let file = SocketFile::of(path)?;
        bound.set_nonblocking(true)?;
        Ok(Self(Kind::Unix {
            listener: UnixListener::from_std(bound)?,
            uid: rustix::process::geteuid().as_raw(),
            _file: file,
        }))
    }

    /// A port that serves whoever can reach it.
    ///
    /// # Errors
    /// If the system refuses.
    pub async fn tcp(address: &str) -> io::Result<Self> {
        Ok(Self(Kind::Tcp(TcpListener::bind(address).await?)))
    }

    /// A port that serves whoever has a certificate that `tls` accepts.
    ///
    /// # Errors
    /// If the system refuses.
    pub async fn tls(address: &str, tls: Arc<ServerConfig>) -> io::Result<Self> {
        Ok(Self(Kind::Tls(TcpListener::bind(address).await?, tls)))
    }

    /// The port that the system gave.
    pub fn port(&self) -> Option<SocketAddr> {
        match &self.0 {
            Kind::Unix { .. } => None,
            Kind::Tcp(listener) | Kind::Tls(listener, _) => listener.local_addr().ok(),
        }
    }
}

/// The file of a socket, by what tells it from another of that name.
pub(super) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        let found = fs::symlink_metadata(path)?;
        Ok(Self {
            path: path.to_owned(),
            device: found.dev(),
            inode: found.ino(),
        })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|found| found.dev() == self.device && found.ino() == self.inode);
        if ours {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes a socket of this user that nobody listens on.
fn remove_stale(path: &Path) -> Result<(), SocketError> {
    let found = match fs::symlink_metadata(path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    if !found.file_type().is_socket() || found.uid() != rustix::process::geteuid().as_raw() {
        return Err(SocketError::Foreign);
    }
    match StdUnixStream::connect(path) {
        Err(cause) if cause.kind() == io::ErrorKind::ConnectionRefused => Ok(fs::remove_file(path)?),
        // Whatever else it says, somebody is there.
        _ => Err(SocketError::Live),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).expect("there").permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn a_socket_is_its_users_own_and_goes_with_its_listener() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("s");
        let listener = Listener::unix(&path).expect("bound");
        assert_eq!(mode(&path), 0o600);
        assert!(matches!(Listener::unix(&path), Err(SocketError::Live)));
        drop(listener);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn what_a_killed_program_left_is_replaced_and_nothing_else_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("s");
        drop(StdUnixListener::bind(&path).expect("bound"));
        assert!(path.exists());
        let listener = Listener::unix(&path).expect("replaced");
        assert!(StdUnixStream::connect(&path).is_ok());
        // Another one took the name: it is not ours to remove.
        fs::remove_file(&path).expect("removed");
        fs::write(&path, "kept").expect("written");
        drop(listener);
        assert_eq!(fs::read(&path).expect("read"), b"kept");
        assert!(matches!(Listener::unix(&path), Err(SocketError::Foreign)));
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("s", &link).expect("linked");
        assert!(matches!(Listener::unix(&link), Err(SocketError::Foreign)));
        let deep = folder.path().join("none/s");
        assert!(matches!(Listener::unix(&deep), Err(SocketError::Io(_))));
    }
}
