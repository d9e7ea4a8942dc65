//! Unix sockets that only their user's programs may talk to.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode};
use rustix::io::Errno;
use rustix::net::sockopt::Timeout;
use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// Nobody is waited for longer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Why a socket cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SocketError {
    /// Somebody answers there.
    #[error("another program listens on it already")]
    Live,
    /// Something else stands there.
    #[error("what stands there is no socket of this user")]
    Foreign,
    /// The system refuses.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A socket at `path` that only this user may connect to, and its file. One that a program left when it was killed is
/// replaced.
///
/// # Errors
/// See [`SocketError`].
pub fn bind(path: &Path) -> Result<(UnixListener, SocketFile), SocketError> {
    let _alone = alone(path)?;
    remove_stale(path)?;
    let before = rustix::process::umask(Mode::from_raw_mode(0o177));
    let bound = UnixListener::bind(path);
    rustix::process::umask(before);
    Ok((bound?, SocketFile::of(path)?))
}

/// The folder of `path`, in which no other program of ours makes a socket until it is dropped.
fn alone(path: &Path) -> io::Result<fs::File> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = fs::File::open(folder.unwrap_or(Path::new(".")))?;
    let start = Instant::now();
    loop {
        match rustix::fs::flock(&folder, FlockOperation::NonBlockingLockExclusive) {
            Err(errno) if errno == Errno::WOULDBLOCK && start.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(5));
            }
            locked => return locked.map(|()| folder).map_err(Into::into),
        }
    }
}

/// The file of a socket, by what tells it from another of that name. Removed when dropped.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    /// The one that stands at `path` now.
    ///
    /// # Errors
    /// If nothing can be seen there.
    pub fn of(path: &Path) -> io::Result<Self> {
        let found = fs::symlink_metadata(path)?;
        Ok(Self {
            path: path.to_owned(),
            device: found.dev(),
            inode: found.ino(),
        })
    }

    /// Leaves it to another process, which takes it with [`SocketFile::of`].
    pub fn hand_over(mut self) {
        self.path = PathBuf::new();
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

/// Connects to the socket at `path`; whoever listens there and takes nobody is given up after `patience`.
///
/// # Errors
/// If nobody listens, `WouldBlock` if nobody takes it, or if the system refuses.
pub(crate) fn connect(path: &Path, patience: Duration) -> io::Result<UnixStream> {
    let socket = net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    net::sockopt::set_socket_timeout(&socket, Timeout::Send, Some(patience))?;
    net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(UnixStream::from(socket))
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
    match connect(path, PATIENCE) {
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

    #[test]
    fn a_socket_is_its_users_own_and_goes_with_its_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("s");
        let (_listener, file) = bind(&path).expect("bound");
        assert_eq!(mode(&path), 0o600);
        assert!(matches!(bind(&path), Err(SocketError::Live)));
        let other = SocketFile::of(&path).expect("there");
        file.hand_over();
        assert!(path.exists());
        drop(other);
        assert!(!path.exists());
    }

    #[test]
    fn what_a_killed_program_left_is_replaced_and_nothing_else_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("s");
        drop(UnixListener::bind(&path).expect("bound"));
        assert!(path.exists());
        let (_listener, file) = bind(&path).expect("replaced");
        assert!(UnixStream::connect(&path).is_ok());
        // Another one took the name: it is not ours to remove.
        fs::remove_file(&path).expect("removed");
        fs::write(&path, "kept").expect("written");
        drop(file);
        assert_eq!(fs::read(&path).expect("read"), b"kept");
        assert!(matches!(bind(&path), Err(SocketError::Foreign)));
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("s", &link).expect("linked");
        assert!(matches!(bind(&link), Err(SocketError::Foreign)));
        let deep = folder.path().join("none/s");
        assert!(matches!(bind(&deep), Err(SocketError::Io(_))));
    }
}
