//! Where a key service is asked: a socket of this user's own, or a port.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use tokio::net::{TcpListener, UnixListener};
use transport::Names;

use crate::socket::{self, SocketError, SocketFile};

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

impl Listener {
    /// A Unix socket that only this user may connect to; whoever connects is asked for the user all the same. A socket
    /// that a program left when it was killed is replaced. Removed when dropped.
    ///
    /// # Errors
    /// See [`SocketError`]. Must be called where a runtime with I/O is entered.
    pub fn unix(path: &Path) -> Result<Self, SocketError> {
        let (bound, file) = socket::bind(path)?;
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
        Ok(Self(Kind::Tcp(Names::default().listen(address).await?)))
    }

    /// A port that serves whoever has a certificate that `tls` accepts.
    ///
    /// # Errors
    /// If the system refuses.
    pub async fn tls(address: &str, tls: Arc<ServerConfig>) -> io::Result<Self> {
        Ok(Self(Kind::Tls(Names::default().listen(address).await?, tls)))
    }

    /// The port that the system gave.
    pub fn port(&self) -> Option<SocketAddr> {
        match &self.0 {
            Kind::Unix { .. } => None,
            Kind::Tcp(listener) | Kind::Tls(listener, _) => listener.local_addr().ok(),
        }
    }
}
