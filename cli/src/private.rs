//! A folder for plaintext that a program of the user must find by name: in memory, ours alone, gone at the end.

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use crate::error::{Code, Error, Result};
use crate::interrupt::{self, Pending, Undo};

/// What every such folder is named by.
const PREFIX: &str = "sealwright-private-";

/// A folder on a file system in memory, mode 0700. Removed with all that is in it when dropped, and when the program is
/// told to end; what a killed program left is removed by the next one.
pub(crate) struct PrivateFolder {
    path: PathBuf,
    _pending: Pending,
}

impl PrivateFolder {
    /// Makes one.
    ///
    /// # Errors
    /// Code 3 if there is no file system in memory that this user may write to.
    pub(crate) fn new() -> Result<Self> {
        let place = places()
            .into_iter()
            .find(|place| is_in_memory(place) && is_writable(place));
        let Some(place) = place else {
            return Err(
                Error::new(Code::Write, "there is no folder in memory to put plaintext into")
                    .hint("mount a tmpfs and name it with XDG_RUNTIME_DIR"),
            );
        };
        sweep(&place);
        let mut random = [0; 12];
        getrandom::fill(&mut random)
            .map_err(|_| Error::new(Code::Generic, "the system's random source failed"))?;
        let name: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        Self::make(&place, &format!("{PREFIX}{}-{name}", std::process::id()))
    }

    /// Makes it under a name that must be free: whatever stands there is not taken for it.
    fn make(place: &Path, name: &str) -> Result<Self> {
        let failed = |cause: std::io::Error| {
            Error::new(Code::Write, "cannot make a private folder")
                .file(place)
                .cause(&cause)
        };
        let path = place.join(name);
        let make = || fs::DirBuilder::new().mode(0o700).create(&path);
        let (pending, ()) = interrupt::guard(Undo::Folder(path.clone()), make).map_err(failed)?;
        Ok(Self {
            path,
            _pending: pending,
        })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for PrivateFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn places() -> Vec<PathBuf> {
    let named = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let named = named.filter(|place| place.is_absolute());
    named
        .into_iter()
        .chain(["/dev/shm".into(), std::env::temp_dir()])
        .collect()
}

#[cfg(target_os = "linux")]
fn is_in_memory(place: &Path) -> bool {
    const TMPFS: u64 = 0x0102_1994;
    const RAMFS: u64 = 0x8584_58f6;
    rustix::fs::statfs(place).is_ok_and(|status| matches!(status.f_type as u64, TMPFS | RAMFS))
}

/// Elsewhere no file system in memory is at hand: a folder of our own must do.
#[cfg(not(target_os = "linux"))]
fn is_in_memory(_: &Path) -> bool {
    true
}

fn is_writable(place: &Path) -> bool {
    rustix::fs::access(place, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_ok()
}

/// Removes folders of this user whose program is gone.
fn sweep(place: &Path) {
    let me = rustix::process::getuid().as_raw();
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name
            .to_str()
            .and_then(|name| name.strip_prefix(PREFIX)?.split('-').next()?.parse().ok())
            .and_then(rustix::process::Pid::from_raw);
        let Some(pid) = pid else { continue };
        let mine = fs::symlink_metadata(entry.path()).is_ok_and(|found| found.is_dir() && found.uid() == me);
        if mine && rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn it_is_in_memory_for_its_owner_alone_and_goes_when_dropped() {
        let folder = PrivateFolder::new().expect("made");
        let path = folder.path().to_owned();
        assert!(is_in_memory(&path));
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        fs::write(path.join("plain"), "x").expect("written");
        drop(folder);
        assert!(!path.exists());
    }

    /// FS-07.
    #[test]
    fn a_name_that_is_taken_is_refused_and_left_alone() {
        let place = tempfile::tempdir().expect("a folder");
        let path = |name: &str| place.path().join(name);
        fs::create_dir(path("folder")).expect("made");
        fs::write(path("folder/planted"), "kept").expect("written");
        fs::write(path("file"), "kept").expect("written");
        std::os::unix::fs::symlink("folder", path("link")).expect("linked");
        std::os::unix::fs::symlink("nowhere", path("dangling")).expect("linked");
        for name in ["folder", "file", "link", "dangling"] {
            let error = PrivateFolder::make(place.path(), name).map(|folder| folder.path().to_owned());
            assert_eq!(error.expect_err(name).code(), Code::Write);
        }
        assert!(PrivateFolder::make(place.path(), "free").is_ok());
        assert_eq!(fs::read(path("folder/planted")).expect("read"), b"kept");
        assert_eq!(fs::read_dir(place.path()).expect("listed").count(), 4);
    }

    #[test]
    fn what_a_killed_program_left_is_swept() {
        let place = tempfile::tempdir().expect("a folder");
        let left = place.path().join(format!("{PREFIX}{}-00", i32::MAX));
        let living = place.path().join(format!("{PREFIX}{}-00", std::process::id()));
        let other = place.path().join("other");
        for folder in [&left, &living, &other] {
            fs::create_dir(folder).expect("made");
        }
        sweep(place.path());
        assert!(!left.exists() && living.exists() && other.exists());
    }
}
