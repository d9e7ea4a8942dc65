//! A file changed in place.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{FileType, FlockOperation, Mode, OFlags, Stat};
use rustix::io::{Errno, retry_on_intr};
use secret::SecretBytes;

use super::input::{Cap, Fingerprint, same, snapshot};
use super::place::{Place, kind, kind_in_words};
use super::temporary::{Temporary, sync_folder};
use super::{attributes, cannot_write};
use crate::error::{Code, Error, Result};

/// How often a file that others replace meanwhile is opened again. Each time one of them got on.
const ATTEMPTS: usize = 10_000;

/// A file that is open, locked against every other writer of this kind, and read.
///
/// The lock is on the file itself and ends with this value or the process; there is no lock file. Where the
/// file system has no locks, the comparison before the rename still notices who was faster.
pub(crate) struct Target {
    place: Place,
    file: OwnedFd,
    seen: Stat,
    fingerprint: Fingerprint,
    content: u64,
}

impl Target {
    /// Opens and locks the file that `path` leads to, waiting for whoever holds it, and reads it whole.
    /// Links on the way are followed and stay.
    ///
    /// # Errors
    /// Code 100 if there is no such file; 3 if it may not be written, is no regular file, or links form a
    /// loop; 2 if it is larger than `cap` or cannot be read.
    pub(crate) fn open(path: &Path, cap: Cap) -> Result<(Self, SecretBytes)> {
        for _ in 0..ATTEMPTS {
            let place = Place::resolve(path)?;
            let Some(found) = place.found else {
                return Err(Error::new(Code::NoFile, "no such file").file(path));
            };
            if kind(&found) != FileType::RegularFile {
                return Err(Error::new(Code::Write, kind_in_words(&found)).file(path));
            }
            let Some(file) = open_locked(&place)? else {
                continue;
            };
            let (source, seen) = snapshot(&file, cap).map_err(|error| error.file(path))?;
            let random = |cause| Error::new(Code::Generic, "the system gives no random bytes").cause(&cause);
            let fingerprint = Fingerprint::new().map_err(|cause| random(cause).file(path))?;
            let content = fingerprint.of(source.expose());
            return Ok((
                Self {
                    place,
                    file,
                    seen,
                    fingerprint,
                    content,
                },
                source,
            ));
        }
        Err(Error::new(Code::Write, "is replaced by other programs again and again").file(path))
    }

    /// The path it was opened by.
    pub(crate) fn path(&self) -> &Path {
        &self.place.path
    }

    /// Puts `bytes` in place of the whole file. Permissions, owner, access list and attributes stay; what of
    /// these could not be kept, and what keeps the old content, is returned in words.
    ///
    /// # Errors
    /// Code 3 with the step and the cause, or because the file changed since it was opened. The old file is
    /// then intact and nothing is left beside it; only if the very last step fails, the sync of the folder,
    /// is the new file in place already.
    #[must_use = "the warnings are for the user"]
    pub(crate) fn replace(self, bytes: &[u8]) -> Result<Vec<String>> {
        let path = self.path();
        let failed = |step: &'static str| move |errno: Errno| cannot_write(path, step, errno);
        let folder: &Arc<OwnedFd> = &self.place.folder;
        let temporary = Temporary::create(folder, Mode::from_raw_mode(0o600))
            .map_err(|cause| cannot_write(path, "cannot make a temporary file beside it", cause))?;
        temporary.write(bytes).map_err(failed("writing failed"))?;
        let mut warnings = attributes::keep(temporary.file(), &self.file, &self.seen)
            .map_err(failed("its permissions cannot be kept"))?;
        temporary.sync().map_err(failed("syncing failed"))?;
        if !self
            .unchanged()
            .map_err(failed("looking again at the file failed"))?
        {
            return Err(
                Error::new(Code::Write, "changed on disk meanwhile; nothing was written")
                    .file(path)
                    .hint("run the command again: it will work on the new content"),
            );
        }
        temporary
            .rename_over(&self.place.name)
            .map_err(failed("renaming failed"))?;
        sync_folder(folder).map_err(failed(
            "the new content is in place, but syncing the folder failed",
        ))?;
        let others = self.seen.st_nlink.saturating_sub(1);
        if others > 0 {
            warnings.push(format!(
                "has {others} other hard link(s), which keep the old content"
            ));
        }
        Ok(warnings)
    }

    /// Whether the path still leads to the file that was opened, and the file to the bytes that were read.
    fn unchanged(&self) -> Result<bool, Errno> {
        let by_path = match rustix::fs::stat(&self.place.path) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(false),
            found => found?,
        };
        let in_folder = match self.place.look() {
            Err(Errno::NOENT) => return Ok(false),
            found => found?,
        };
        Ok(same(&by_path, &self.seen)
            && same(&in_folder, &self.seen)
            && self.fingerprint.of_file(&self.file)? == self.content)
    }
}

/// Opens and locks what stands at the place; `None` if by then something else stands there.
fn open_locked(place: &Place) -> Result<Option<OwnedFd>> {
    // For writing, although nothing is ever written through it: a file that its owner made read-only is
    // refused before any work is done, and locks on network file systems ask for it.
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let open = || rustix::fs::openat(&place.folder, &place.name, flags, Mode::empty());
    let file = match retry_on_intr(open) {
        Ok(file) => file,
        Err(Errno::NOENT | Errno::LOOP) => return Ok(None),
        Err(errno) => {
            return Err(cannot_write(
                &place.path,
                "it cannot be opened for writing",
                errno,
            ));
        }
    };
    match retry_on_intr(|| rustix::fs::flock(&file, FlockOperation::LockExclusive)) {
        Ok(()) | Err(Errno::NOLCK | Errno::NOTSUP | Errno::INVAL | Errno::NOSYS | Errno::BADF) => {}
        Err(errno) => return Err(cannot_write(&place.path, "it cannot be locked", errno)),
    }
    // Whoever held the lock may have put another file in its place.
    let failed = |errno| cannot_write(&place.path, "it cannot be looked at", errno);
    let opened = rustix::fs::fstat(&file).map_err(failed)?;
    let now = match place.look() {
        Err(Errno::NOENT) => return Ok(None),
        now => now.map_err(failed)?,
    };
    let is_it = (opened.st_dev, opened.st_ino) == (now.st_dev, now.st_ino);
    Ok((is_it && kind(&opened) == FileType::RegularFile).then_some(file))
}

#[cfg(test)]
#[path = "target_tests.rs"]
mod tests;
