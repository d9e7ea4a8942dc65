//! The temporary file beside a target: made under a random name that did not exist, filled, synced, and
//! renamed over the target or removed.
//!
//! It is locked while in use. What a killed run left behind has no lock, and is removed the next time
//! something is written in that folder; that is also what a signal removes ([`crate::interrupt`]).

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::{Errno, retry_on_intr};

use crate::interrupt::{self, Pending, Undo};

const PREFIX: &str = ".seal-tmp-";
/// Hexadecimal digits behind the prefix: 16 random bytes.
const DIGITS: usize = 32;
const ATTEMPTS: usize = 16;

/// Whether a name is one that [`Temporary`] gives.
pub(crate) fn is_own(name: &OsStr) -> bool {
    let digits = name.as_bytes().strip_prefix(PREFIX.as_bytes());
    digits.is_some_and(|digits| digits.len() == DIGITS && digits.iter().all(u8::is_ascii_hexdigit))
}

/// A file being written. Removed when dropped, unless it was renamed.
pub(super) struct Temporary {
    folder: Arc<OwnedFd>,
    name: OsString,
    file: OwnedFd,
    renamed: bool,
    _pending: Pending,
}

impl Temporary {
    /// Makes a new file in `folder`, with the permissions `mode` less the umask.
    pub(super) fn create(folder: &Arc<OwnedFd>, mode: Mode) -> io::Result<Self> {
        sweep_once(folder);
        Self::create_as(folder, mode, random_name)
    }

    /// The same, under the first of the names that is free.
    fn create_as(
        folder: &Arc<OwnedFd>,
        mode: Mode,
        mut names: impl FnMut() -> io::Result<OsString>,
    ) -> io::Result<Self> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        for _ in 0..ATTEMPTS {
            let name = names()?;
            let undo = Undo::File {
                folder: folder.clone(),
                name: name.clone(),
            };
            let open = || Ok(retry_on_intr(|| rustix::fs::openat(folder, &name, flags, mode))?);
            let (pending, file) = match interrupt::guard(undo, open) {
                Ok(made) => made,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(error),
            };
            let made = Self {
                folder: folder.clone(),
                name,
                file,
                renamed: false,
                _pending: pending,
            };
            // Where there are no locks nothing is swept either.
            let _ = rustix::fs::flock(&made.file, FlockOperation::NonBlockingLockExclusive);
            // A sweep may have come between the two calls above.
            if rustix::fs::fstat(&made.file)?.st_nlink == 1 {
                return Ok(made);
            }
        }
        Err(Errno::EXIST.into())
    }

    /// The open file.
    pub(super) fn file(&self) -> &OwnedFd {
        &self.file
    }

    /// Appends all of `bytes`.
    pub(super) fn write(&self, bytes: &[u8]) -> Result<(), Errno> {
        write_all(&self.file, bytes)
    }

    /// Waits until the content is on the disk.
    pub(super) fn sync(&self) -> Result<(), Errno> {
        retry_on_intr(|| rustix::fs::fsync(&self.file))
    }

    /// Takes the place of `name`, whatever stands there.
    pub(super) fn rename_over(mut self, name: &OsStr) -> Result<(), Errno> {
        retry_on_intr(|| rustix::fs::renameat(&self.folder, &self.name, &self.folder, name))?;
        self.renamed = true;
        Ok(())
    }

    /// Becomes `name`, in `folder`, which must not exist.
    pub(super) fn rename_new(mut self, name: &OsStr) -> Result<(), Errno> {
        let (folder, own) = (&self.folder, &self.name);
        let rename = || rustix::fs::renameat_with(folder, own, folder, name, RenameFlags::NOREPLACE);
        match retry_on_intr(rename) {
            // A file system that knows no such flag: look first.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
                    Err(Errno::NOENT) => rustix::fs::renameat(folder, own, folder, name)?,
                    Ok(_) => return Err(Errno::EXIST),
                    Err(errno) => return Err(errno),
                }
            }
            result => result?,
        }
        self.renamed = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.renamed {
            let _ = rustix::fs::unlinkat(&self.folder, &self.name, AtFlags::empty());
        }
    }
}

/// Writes all of `bytes`.
pub(super) fn write_all(file: &OwnedFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match retry_on_intr(|| rustix::io::write(file, bytes))? {
            0 => return Err(Errno::IO),
            count => bytes = &bytes[count..],
        }
    }
    Ok(())
}

/// Waits until the names in a folder are on the disk, where the file system knows how.
pub(super) fn sync_folder(folder: &OwnedFd) -> Result<(), Errno> {
    match retry_on_intr(|| rustix::fs::fsync(folder)) {
        Err(Errno::INVAL | Errno::NOTSUP | Errno::BADF) => Ok(()),
        result => result,
    }
}

fn random_name() -> io::Result<OsString> {
    let mut random = [0; DIGITS / 2];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let number = u128::from_ne_bytes(random);
    Ok(format!("{PREFIX}{number:0width$x}", width = DIGITS).into())
}

/// Removes what killed runs left in `folder`, the first time it is asked for this folder. Failures are not
/// worth a word: it is tried again by the next run.
fn sweep_once(folder: &OwnedFd) {
    static SWEPT: Mutex<BTreeSet<(u64, u64)>> = Mutex::new(BTreeSet::new());
    let Ok(stat) = rustix::fs::fstat(folder) else {
        return;
    };
    let mut swept = SWEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if swept.insert((stat.st_dev, stat.st_ino)) {
        let _ = sweep(folder);
    }
}

/// Removes regular files of ours by name and owner on which nobody holds a lock.
fn sweep(folder: &OwnedFd) -> Result<(), Errno> {
    let us = rustix::process::geteuid().as_raw();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if !is_own(name) {
            continue;
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let Ok(file) = rustix::fs::openat(folder, name, flags, Mode::empty()) else {
            continue;
        };
        let Ok(stat) = rustix::fs::fstat(&file) else {
            continue;
        };
        let ours = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && stat.st_uid == us;
        if !ours || rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            continue;
        }
        // Between the listing and the lock it may have been renamed and the name made anew.
        let now = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW);
        if now.is_ok_and(|now| (now.st_dev, now.st_ino) == (stat.st_dev, stat.st_ino)) {
            let _ = rustix::fs::unlinkat(folder, name, AtFlags::empty());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};

    fn folder() -> (tempfile::TempDir, Arc<OwnedFd>) {
        let dir = tempfile::tempdir().expect("a folder");
        let open = Arc::new(OwnedFd::from(File::open(dir.path()).expect("opened")));
        (dir, open)
    }

    fn names_of(dir: &tempfile::TempDir) -> Vec<OsString> {
        fs::read_dir(dir.path())
            .expect("listed")
            .map(|entry| entry.expect("an entry").file_name())
            .collect()
    }

    #[test]
    fn names_are_random_hidden_and_recognised() {
        let (one, other) = (random_name().expect("random"), random_name().expect("random"));
        assert!(is_own(&one) && is_own(&other) && one != other);
        for name in [
            ".seal-tmp-",
            ".seal-tmp-0",
            "seal",
            ".seal-tmp-zz0123456789abcdef0123456789abcd",
        ] {
            assert!(!is_own(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn dropping_removes_and_renaming_keeps() {
        let (dir, open) = folder();
        let temporary = Temporary::create(&open, Mode::from_raw_mode(0o600)).expect("made");
        assert_eq!(names_of(&dir).len(), 1);
        drop(temporary);
        assert!(names_of(&dir).is_empty());
        let temporary = Temporary::create(&open, Mode::from_raw_mode(0o600)).expect("made");
        temporary.write(b"x").expect("written");
        temporary.rename_new(OsStr::new("f")).expect("renamed");
        assert_eq!(names_of(&dir), ["f"]);
        let temporary = Temporary::create(&open, Mode::from_raw_mode(0o600)).expect("made");
        assert_eq!(temporary.rename_new(OsStr::new("f")), Err(Errno::EXIST));
        assert_eq!(names_of(&dir), ["f"]);
    }

    /// FS-07. Whoever guessed the name gains nothing: what stands there is neither opened nor followed nor removed.
    #[test]
    fn a_name_that_is_taken_is_passed_over() {
        let (dir, open) = folder();
        let private = Mode::from_raw_mode(0o600);
        let path = |name: &str| dir.path().join(name);
        fs::write(path("victim"), "kept").expect("written");
        fs::write(path("file"), "planted").expect("written");
        std::os::unix::fs::symlink("victim", path("link")).expect("linked");
        std::os::unix::fs::symlink("nowhere", path("dangling")).expect("linked");
        fs::hard_link(path("victim"), path("hard")).expect("linked");
        fs::create_dir(path("folder")).expect("made");
        rustix::fs::mknodat(&open, "pipe", FileType::Fifo, private, 0).expect("made");
        let taken = ["file", "link", "dangling", "hard", "folder", "pipe"];
        let names = || taken.into_iter().map(|name| Ok(OsString::from(name)));
        let mut all = names().chain([Ok("free".into())]);
        let next = || all.next().unwrap_or_else(|| Ok("none".into()));
        let temporary = Temporary::create_as(&open, private, next).expect("made");
        assert_eq!(temporary.name, "free");
        drop(temporary);
        let mut all = names().cycle();
        let next = || all.next().unwrap_or_else(|| Ok("none".into()));
        let refused = Temporary::create_as(&open, private, next);
        assert_eq!(
            refused.err().map(|error| error.kind()),
            Some(io::ErrorKind::AlreadyExists)
        );
        assert_eq!(names_of(&dir).len(), taken.len() + 1);
        assert_eq!(fs::read(path("victim")).expect("read"), b"kept");
        assert_eq!(fs::read(path("file")).expect("read"), b"planted");
    }

    #[test]
    fn a_sweep_takes_what_nobody_holds_and_nothing_else() {
        let (dir, open) = folder();
        let held = Temporary::create(&open, Mode::from_raw_mode(0o600)).expect("made");
        let stale = random_name().expect("random");
        fs::write(dir.path().join(&stale), "left").expect("written");
        let pipe = random_name().expect("random");
        rustix::fs::mknodat(&open, &pipe, FileType::Fifo, Mode::from_raw_mode(0o600), 0).expect("made");
        let linked = random_name().expect("random");
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join(&linked)).expect("linked");
        fs::write(dir.path().join(".seal-tmp-mine.yaml"), "kept").expect("written");
        sweep(&open).expect("swept");
        let mut left = names_of(&dir);
        left.sort();
        let mut expected = vec![held.name.clone(), pipe, linked, ".seal-tmp-mine.yaml".into()];
        expected.sort();
        assert_eq!(left, expected);
    }
}
