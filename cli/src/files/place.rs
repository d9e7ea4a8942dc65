//! Where a path leads: the folder that holds the file, opened, and the file's name in it.
//!
//! Links are followed here one by one, so that the file behind them is replaced and the links stay. Refused:
//! loops, and links that someone else planted in a shared folder (`/tmp`), as the kernel does where it is
//! asked to.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::error::{Code, Error, Result};

/// As many links as Linux follows.
const MOST_LINKS: usize = 40;
pub(super) const LEADS_TO_ITSELF: &str = "is a link that leads to itself, or through too many links";

/// The end of a path, after all links.
pub(super) struct Place {
    /// The path as it was given, for messages and for the second look.
    pub(super) path: PathBuf,
    /// The folder that holds the name.
    pub(super) folder: Arc<OwnedFd>,
    /// The name in it; not a link when it was looked at.
    pub(super) name: OsString,
    /// What stands there; `None` if nothing does.
    pub(super) found: Option<Stat>,
}

impl Place {
    /// Follows `path` to its end.
    ///
    /// # Errors
    /// Code 3: a folder on the way cannot be opened, links form a loop, or a link is not to be trusted.
    pub(super) fn resolve(path: &Path) -> Result<Self> {
        let refused = |why: &'static str| Error::new(Code::Write, why).file(path);
        let cannot = |errno| refused("cannot open the folder").cause(&std::io::Error::from(errno));
        let (parent, mut name) = split(path).ok_or_else(|| refused("is a folder, not a file"))?;
        let mut folder = open_folder(CWD, parent).map_err(cannot)?;
        for _ in 0..MOST_LINKS {
            let found = match rustix::fs::statat(&folder, &name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(found) => Some(found),
                Err(Errno::NOENT) => None,
                Err(errno) => return Err(cannot(errno)),
            };
            let link = found.filter(|found| kind(found) == FileType::Symlink);
            let Some(link) = link else {
                return Ok(Self {
                    path: path.to_owned(),
                    folder: Arc::new(folder),
                    name,
                    found,
                });
            };
            if planted(&folder, &link).map_err(cannot)? {
                return Err(refused("is a link that another user put into a shared folder"));
            }
            let text = rustix::fs::readlinkat(&folder, &name, Vec::new()).map_err(cannot)?;
            let next = PathBuf::from(OsString::from_vec(text.into_bytes()));
            let (parent, last) = split(&next).ok_or_else(|| refused("is a link to a folder"))?;
            folder = open_folder(&folder, parent).map_err(cannot)?;
            name = last;
        }
        Err(refused(LEADS_TO_ITSELF))
    }

    /// What stands at the name now.
    pub(super) fn look(&self) -> Result<Stat, Errno> {
        rustix::fs::statat(&self.folder, &self.name, AtFlags::SYMLINK_NOFOLLOW)
    }
}

/// The type of what was found.
pub(super) fn kind(found: &Stat) -> FileType {
    FileType::from_raw_mode(found.st_mode)
}

/// What a file that cannot be sealed in place is, in words.
pub(super) fn kind_in_words(found: &Stat) -> &'static str {
    match kind(found) {
        FileType::Directory => "is a folder, not a file",
        FileType::Fifo => "is a pipe, not a regular file",
        FileType::Socket => "is a socket, not a regular file",
        FileType::CharacterDevice | FileType::BlockDevice => "is a device, not a regular file",
        FileType::Symlink => "is a link",
        _ => "is not a regular file",
    }
}

/// Opens a folder so that it can be searched, written in and synced.
pub(super) fn open_folder(at: impl AsFd, path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::io::retry_on_intr(|| rustix::fs::openat(at.as_fd(), path, flags, Mode::empty()))
}

/// The folder part, `.` if there is none, and the last name; `None` for `/`, `..` and the like.
fn split(path: &Path) -> Option<(&Path, OsString)> {
    if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
        return None;
    }
    let name = path.file_name()?;
    let parent = path.parent().filter(|parent| *parent != OsStr::new(""));
    Some((parent.unwrap_or(Path::new(".")), name.to_owned()))
}

/// Whether a link stands in a sticky folder that all may write, owned neither by us nor by the folder's owner.
fn planted(folder: &OwnedFd, link: &Stat) -> Result<bool, Errno> {
    let holder = rustix::fs::fstat(folder)?;
    let shared = holder.st_mode & 0o1002 == 0o1002;
    Ok(shared && link.st_uid != rustix::process::geteuid().as_raw() && link.st_uid != holder.st_uid)
}
