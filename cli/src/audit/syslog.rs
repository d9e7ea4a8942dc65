//! The audit log in the system's log: a datagram to its local socket for each record.
//!
//! ```text
//! <85>seal[PID]: {"time":...}        85 = authpriv, notice
//! ```
//!
//! Only the local socket: it refuses where nobody listens, and a datagram over a network would be lost without a word.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use super::{Backend, Event, Failure, PATIENCE, Refusal, config};

/// Where every system has it.
const SOCKET: &str = "/dev/log";
/// Facility 10 (security, private), severity 5 (notice).
const PRIORITY: u32 = 10 * 8 + 5;

/// A connected socket.
pub(super) struct Syslog {
    name: String,
    path: PathBuf,
    socket: UnixDatagram,
}

impl Syslog {
    /// Connects to it.
    ///
    /// # Errors
    /// If nobody listens there.
    pub(super) fn open(settings: &config::Syslog) -> Result<Self, Refusal> {
        let path = settings.socket.clone().unwrap_or_else(|| PathBuf::from(SOCKET));
        let name = format!("syslog {}", path.display());
        match connect(&path) {
            Ok(socket) => Ok(Self { name, path, socket }),
            Err(cause) => Err(Refusal::new(name, &cause)),
        }
    }
}

fn connect(path: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(socket)
}

impl Backend for Syslog {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn record(&mut self, event: &Event) -> Result<(), Failure> {
        let message = format!("<{PRIORITY}>seal[{}]: {}", std::process::id(), event.json());
        if self.socket.send(message.as_bytes()).is_err() {
            // One that was started again has another socket of the same name.
            self.socket = connect(&self.path)?;
            self.socket.send(message.as_bytes())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Action;
    use super::*;

    #[test]
    fn a_datagram_for_each_record_and_a_refusal_where_nobody_listens() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let settings = config::Syslog {
            socket: Some(path.clone()),
        };
        assert!(Syslog::open(&settings).is_err(), "nobody there");
        let log = UnixDatagram::bind(&path).expect("bound");
        let mut syslog = Syslog::open(&settings).expect("connected");
        syslog
            .record(&Event::new(Action::Encrypt, "/a".into()))
            .expect("sent");
        let mut buffer = [0; 2048];
        let length = log.recv(&mut buffer).expect("received");
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        let start = format!("<85>seal[{}]: {{\"time\":", std::process::id());
        assert!(text.starts_with(&start) && text.contains("\"encrypt\""), "{text}");
        drop(log);
        std::fs::remove_file(&path).expect("removed");
        let again = UnixDatagram::bind(&path).expect("bound");
        syslog
            .record(&Event::new(Action::Decrypt, "/a".into()))
            .expect("sent to the one that was started again");
        assert!(again.recv(&mut buffer).expect("received") > 0);
        drop(again);
        assert!(
            syslog.record(&Event::new(Action::Encrypt, "/a".into())).is_err(),
            "gone"
        );
    }
}
