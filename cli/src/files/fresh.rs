//! New outputs: one file, a tree of files, the standard output.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};

use super::cannot_write;
use super::place::{Place, kind, kind_in_words, open_folder};
use super::temporary::{Temporary, sync_folder, write_all};
use crate::error::{Code, Error, Result};

/// Who may read a new file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Its owner only, whatever the umask and whatever stood there before: for plaintext.
    Private,
    /// Whom the umask allows, or the file that stood there before: for sealed files.
    Shared,
}

/// What to do with a file that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Existing {
    /// Refuse.
    Refuse,
    /// Put the new file in its place.
    Replace,
}

/// Writes a new file at `path` in one step. Links are followed; into a pipe or a device the bytes are written
/// as they are.
///
/// # Errors
/// Code 3: something is there and may not be replaced, `path` is a folder, or a step failed. Then nothing is
/// left behind.
pub(crate) fn create_fresh(path: &Path, bytes: &[u8], access: Access, existing: Existing) -> Result<()> {
    let place = Place::resolve(path)?;
    match place.found.as_ref().map(|found| (kind(found), found)) {
        Some((FileType::Fifo | FileType::CharacterDevice, _)) => return write_through(&place, bytes),
        Some((FileType::RegularFile, _)) if existing == Existing::Refuse => return Err(exists(path)),
        None | Some((FileType::RegularFile, _)) => {}
        Some((_, found)) => return Err(Error::new(Code::Write, kind_in_words(found)).file(path)),
    }
    let failed = |step: &'static str| move |errno: Errno| cannot_write(path, step, errno);
    let kept = place
        .found
        .map(|found| Mode::from_raw_mode(found.st_mode & 0o777));
    let temporary = fill(path, &place.folder, bytes, access, kept)?;
    temporary.sync().map_err(failed("syncing failed"))?;
    rename(path, temporary, &place.name, existing)?;
    sync_folder(&place.folder).map_err(failed("it is in place, but syncing its folder failed"))
}

/// Writes to the standard output at once, past std's buffer, which would keep a copy.
///
/// # Errors
/// Code 3; silent where the reader has gone away.
pub(crate) fn write_stdout(bytes: &[u8]) -> Result<()> {
    use std::os::fd::AsFd as _;
    let failed = |cause: std::io::Error| Error::stdout(&cause);
    let stdout = std::io::stdout().lock();
    let out = stdout.as_fd().try_clone_to_owned().map_err(failed)?;
    write_all(&out, bytes).map_err(|errno| failed(errno.into()))
}

/// A folder that a tree of new files is written into, made durable once by [`OutputDir::finish`].
pub(crate) struct OutputDir {
    path: PathBuf,
    folder: Arc<OwnedFd>,
    access: Access,
    existing: Existing,
}

impl OutputDir {
    /// Opens the folder, or makes it; the folder above must be there.
    ///
    /// # Errors
    /// Code 3.
    pub(crate) fn open(path: &Path, access: Access, existing: Existing) -> Result<Self> {
        let failed = |errno: Errno| cannot_write(path, "the folder cannot be made", errno);
        match rustix::fs::mkdir(path, folder_mode(access)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(failed(errno)),
        }
        let folder = open_folder(rustix::fs::CWD, path).map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            folder: Arc::new(folder),
            access,
            existing,
        })
    }

    /// Writes one file, making the folders on the way. It is complete at once and durable after
    /// [`Self::finish`].
    ///
    /// # Errors
    /// Code 3: `relative` is absolute or leads out, a link or another kind of file stands in the way, the file
    /// exists and may not be replaced, or a step failed.
    pub(crate) fn write(&self, relative: &Path, bytes: &[u8]) -> Result<()> {
        let path = self.path.join(relative);
        let (folder, name) = self.descend(relative, &path)?;
        match rustix::fs::statat(&folder, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(cannot_write(&path, "it cannot be looked at", errno)),
            Ok(found) if kind(&found) != FileType::RegularFile => {
                return Err(Error::new(Code::Write, kind_in_words(&found)).file(&path));
            }
            Ok(_) if self.existing == Existing::Refuse => return Err(exists(&path)),
            Ok(_) => {}
        }
        rename(
            &path,
            fill(&path, &folder, bytes, self.access, None)?,
            name,
            self.existing,
        )
    }

    /// Waits until everything that was written is on the disk.
    ///
    /// # Errors
    /// Code 3.
    pub(crate) fn finish(self) -> Result<()> {
        #[cfg(target_os = "linux")]
        retry_on_intr(|| rustix::fs::syncfs(&self.folder))
            .map_err(|errno| cannot_write(&self.path, "syncing failed", errno))?;
        #[cfg(not(target_os = "linux"))]
        rustix::fs::sync();
        Ok(())
    }

    /// The folder of `relative`, opened step by step without following links, and the last name.
    fn descend<'path>(&self, relative: &'path Path, path: &Path) -> Result<(Arc<OwnedFd>, &'path OsStr)> {
        let refused = || Error::new(Code::Write, "leads out of the output folder").file(path);
        let mut names = Vec::new();
        for part in relative.components() {
            match part {
                Component::Normal(name) => names.push(name),
                Component::CurDir => {}
                _ => return Err(refused()),
            }
        }
        let name = names.pop().ok_or_else(refused)?;
        let mut folder = self.folder.clone();
        for step in names {
            folder = Arc::new(self.enter(&folder, step).map_err(|errno| match errno {
                Errno::NOTDIR | Errno::LOOP => {
                    Error::new(Code::Write, "a link or a file stands where a folder is needed").file(path)
                }
                errno => cannot_write(path, "its folder cannot be made", errno),
            })?);
        }
        Ok((folder, name))
    }

    fn enter(&self, folder: &OwnedFd, name: &OsStr) -> Result<OwnedFd, Errno> {
        match rustix::fs::mkdirat(folder, name, folder_mode(self.access)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        retry_on_intr(|| rustix::fs::openat(folder, name, flags, Mode::empty()))
    }
}

fn folder_mode(access: Access) -> Mode {
    Mode::from_raw_mode(if access == Access::Private { 0o700 } else { 0o777 })
}

/// A temporary file that holds `bytes` and has its final permissions.
fn fill(
    path: &Path,
    folder: &Arc<OwnedFd>,
    bytes: &[u8],
    access: Access,
    kept: Option<Mode>,
) -> Result<Temporary> {
    let failed = |step: &'static str| move |errno: Errno| cannot_write(path, step, errno);
    let private = Mode::from_raw_mode(0o600);
    let (at_first, at_last) = match (access, kept) {
        (Access::Private, _) => (private, Some(private)),
        (Access::Shared, Some(kept)) => (private, Some(kept)),
        (Access::Shared, None) => (Mode::from_raw_mode(0o666), None),
    };
    let temporary = Temporary::create(folder, at_first)
        .map_err(|cause| cannot_write(path, "cannot make a temporary file beside it", cause))?;
    if let Some(mode) = at_last {
        rustix::fs::fchmod(temporary.file(), mode).map_err(failed("its permissions cannot be set"))?;
    }
    temporary.write(bytes).map_err(failed("writing failed"))?;
    Ok(temporary)
}

fn rename(path: &Path, temporary: Temporary, name: &OsStr, existing: Existing) -> Result<()> {
    match existing {
        Existing::Replace => temporary.rename_over(name),
        Existing::Refuse => temporary.rename_new(name),
    }
    .map_err(|errno| match errno {
        Errno::EXIST => exists(path),
        errno => cannot_write(path, "renaming failed", errno),
    })
}

fn write_through(place: &Place, bytes: &[u8]) -> Result<()> {
    let failed = |errno| cannot_write(&place.path, "writing failed", errno);
    let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::CLOEXEC;
    let name: &OsString = &place.name;
    let open = || rustix::fs::openat(&place.folder, name, flags, Mode::empty());
    write_all(&retry_on_intr(open).map_err(failed)?, bytes).map_err(failed)
}

fn exists(path: &Path) -> Error {
    Error::new(Code::Write, "exists already, and is not overwritten").file(path)
}

#[cfg(test)]
#[path = "fresh_tests.rs"]
mod tests;
