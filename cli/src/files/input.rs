//! Reading: whole files up to a cap, as one consistent snapshot.

use std::fs::File;
use std::hash::{DefaultHasher, Hasher as _};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use secret::SecretBytes;

use super::place::{LEADS_TO_ITSELF, kind, kind_in_words};
use crate::error::{Code, Error, Result};

/// The largest input that is taken, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cap(Option<u64>);

/// What no cap can exceed: documents address their bytes up to here.
const CEILING: u64 = 1 << 30;
/// How often a file that changes while it is read is read again, and the pause before.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(10);
/// Bytes hashed or streamed at a time.
const CHUNK: usize = 64 << 10;

impl Cap {
    /// A cap in bytes.
    pub(crate) fn bytes(bytes: u64) -> Self {
        Self(Some(bytes))
    }

    /// No cap but the 1 GiB that documents can address.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// The cap in bytes, never above 1 GiB.
    pub(crate) fn limit(self) -> u64 {
        self.0.map_or(CEILING, |bytes| bytes.min(CEILING))
    }

    fn exceeded(self) -> Error {
        let error = Error::new(
            Code::Read,
            format!("has more than {} bytes, the limit", self.limit()),
        );
        if self.limit() < CEILING {
            error.hint("--max-size raises the limit")
        } else {
            error
        }
    }
}

impl Default for Cap {
    /// 64 MiB.
    fn default() -> Self {
        Self::bytes(64 << 20)
    }
}

/// Reads a file, pipe or device that stays as it is.
///
/// # Errors
/// Code 100 if there is no such file; 2 if it cannot be read, is a folder, is larger than `cap`, or keeps
/// changing while it is read.
pub(crate) fn read(path: &Path, cap: Cap) -> Result<SecretBytes> {
    let place = |error: Error| error.file(path);
    let file = OwnedFd::from(File::open(path).map_err(|cause| place(cannot_open(&cause)))?);
    let found = rustix::fs::fstat(&file).map_err(|errno| place(cannot_read(errno)))?;
    match kind(&found) {
        FileType::RegularFile => snapshot(&file, cap).map(|(source, _)| source).map_err(place),
        FileType::Directory => Err(place(Error::new(Code::Read, kind_in_words(&found)))),
        _ => read_stream(&file, cap).map_err(place),
    }
}

/// Reads a file that is to be changed in place later: a regular one. Nothing waits for a pipe that nobody writes to.
///
/// # Errors
/// As [`read`], but code 3 for what can only be read: a pipe, a device, a folder, a link that leads to itself.
pub(crate) fn read_to_change(path: &Path, cap: Cap) -> Result<SecretBytes> {
    let place = |error: Error| error.file(path);
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let open = || rustix::fs::open(path, flags, Mode::empty());
    let file = rustix::io::retry_on_intr(open).map_err(|errno| {
        place(match errno {
            Errno::LOOP => Error::new(Code::Write, LEADS_TO_ITSELF),
            Errno::NXIO => Error::new(Code::Write, "is a socket, not a regular file"),
            errno => cannot_open(&errno.into()),
        })
    })?;
    let found = rustix::fs::fstat(&file).map_err(|errno| place(cannot_read(errno)))?;
    match kind(&found) {
        FileType::RegularFile => snapshot(&file, cap).map(|(source, _)| source).map_err(place),
        _ => Err(place(Error::new(Code::Write, kind_in_words(&found)))),
    }
}

/// Reads the standard input to its end.
///
/// # Errors
/// Code 2 if it cannot be read or is larger than `cap`.
pub(crate) fn read_stdin(cap: Cap) -> Result<SecretBytes> {
    // Not through std's buffer, which would keep a copy.
    read_stream(io::stdin(), cap).map_err(|error| error.file(Path::new("(standard input)")))
}

/// The bytes of a regular file and what the file was when they were read.
pub(super) fn snapshot(file: &OwnedFd, cap: Cap) -> Result<(SecretBytes, Stat)> {
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            std::thread::sleep(PAUSE);
        }
        let before = rustix::fs::fstat(file).map_err(cannot_read)?;
        let size = u64::try_from(before.st_size).unwrap_or(u64::MAX);
        if size > cap.limit() {
            return Err(cap.exceeded());
        }
        let read_at = |buffer: &mut [u8], at: u64| rustix::io::pread(file, buffer, at);
        let source = read_to_end(size, cap, read_at)?;
        let after = rustix::fs::fstat(file).map_err(cannot_read)?;
        if same(&before, &after) && source.len() as u64 == size {
            return Ok((source, after));
        }
    }
    Err(Error::new(Code::Read, "keeps changing while it is read"))
}

/// Whether two looks saw the same file in the same state.
pub(super) fn same(one: &Stat, other: &Stat) -> bool {
    let state = |stat: &Stat| {
        let owner = (stat.st_dev, stat.st_ino, stat.st_mode, stat.st_uid, stat.st_gid);
        let times = (
            stat.st_mtime,
            stat.st_mtime_nsec,
            stat.st_ctime,
            stat.st_ctime_nsec,
        );
        (owner, stat.st_size, times)
    };
    state(one) == state(other)
}

/// Fingerprints of content under a random key: enough to notice a change, useless to anyone else.
pub(super) struct Fingerprint(DefaultHasher);

impl Fingerprint {
    /// Draws the key.
    pub(super) fn new() -> io::Result<Self> {
        let mut key = [0; 16];
        getrandom::fill(&mut key).map_err(io::Error::other)?;
        let mut hasher = DefaultHasher::new();
        hasher.write(&key);
        Ok(Self(hasher))
    }

    pub(super) fn of(&self, bytes: &[u8]) -> u64 {
        let mut hasher = self.0.clone();
        bytes.chunks(CHUNK).for_each(|chunk| hasher.write(chunk));
        hasher.finish()
    }

    /// The fingerprint of what the file holds now, read in the same chunks.
    pub(super) fn of_file(&self, file: &OwnedFd) -> Result<u64, Errno> {
        let mut hasher = self.0.clone();
        let mut buffer = SecretBytes::new(vec![0; CHUNK]);
        let mut at = 0;
        loop {
            let mut filled = 0;
            while filled < CHUNK {
                let rest = &mut buffer.expose_mut()[filled..];
                match rustix::io::retry_on_intr(|| rustix::io::pread(file, &mut *rest, at + filled as u64))? {
                    0 => break,
                    count => filled += count,
                }
            }
            if filled > 0 {
                hasher.write(&buffer.expose()[..filled]);
            }
            if filled < CHUNK {
                return Ok(hasher.finish());
            }
            at += CHUNK as u64;
        }
    }
}

fn read_stream(from: impl AsFd, cap: Cap) -> Result<SecretBytes> {
    read_to_end(CHUNK as u64, cap, |buffer, _| {
        rustix::io::read(from.as_fd(), buffer)
    })
}

/// Reads until nothing comes; `expected` bytes are made room for.
fn read_to_end(
    expected: u64,
    cap: Cap,
    mut read_at: impl FnMut(&mut [u8], u64) -> Result<usize, Errno>,
) -> Result<SecretBytes> {
    // One byte more than expected, so that the end is found without growing.
    let room = usize::try_from(expected.min(cap.limit()) + 1).map_err(|_| cap.exceeded())?;
    let mut bytes = SecretBytes::new(vec![0; room]);
    let mut filled = 0;
    loop {
        if filled == bytes.len() {
            bytes.expose_mut().resize(filled * 2, 0);
        }
        let rest = &mut bytes.expose_mut()[filled..];
        match rustix::io::retry_on_intr(|| read_at(&mut *rest, filled as u64)).map_err(cannot_read)? {
            0 => break,
            count => filled += count,
        }
        if filled as u64 > cap.limit() {
            return Err(cap.exceeded());
        }
    }
    bytes.expose_mut().truncate(filled);
    Ok(bytes)
}

fn cannot_open(cause: &io::Error) -> Error {
    match cause.kind() {
        io::ErrorKind::NotFound => Error::new(Code::NoFile, "no such file"),
        _ => Error::new(Code::Read, "cannot read").cause(cause),
    }
}

fn cannot_read(errno: Errno) -> Error {
    Error::new(Code::Read, "cannot read").cause(&io::Error::from(errno))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write as _;

    #[test]
    fn files_are_read_whole_up_to_the_cap() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("f");
        for size in [0usize, 1, 4096, CHUNK, CHUNK + 1, 300_000] {
            let content: Vec<u8> = (0..size).map(|at| at as u8).collect();
            fs::write(&path, &content).expect("written");
            assert_eq!(
                read(&path, Cap::bytes(size as u64)).expect("read").expose(),
                content
            );
            if size > 0 {
                let error = read(&path, Cap::bytes(size as u64 - 1)).expect_err("over the cap");
                assert_eq!(error.code(), Code::Read);
            }
        }
    }

    #[test]
    fn what_is_no_file_is_told_apart() {
        let dir = tempfile::tempdir().expect("a folder");
        assert_eq!(
            read(&dir.path().join("none"), Cap::default())
                .expect_err("absent")
                .code(),
            Code::NoFile
        );
        let error = read(dir.path(), Cap::default()).expect_err("a folder");
        assert!(error.code() == Code::Read && error.to_string().ends_with("is a folder, not a file"));
    }

    #[test]
    fn pipes_and_endless_devices_are_read_up_to_the_cap() {
        let error = read(Path::new("/dev/zero"), Cap::bytes(1 << 20)).expect_err("endless");
        assert!(error.to_string().contains("1048576"), "{error}");
        let (reader, mut writer) = io::pipe().expect("a pipe");
        let sent: Vec<u8> = (0..200_000).map(|at| at as u8).collect();
        let copy = sent.clone();
        let thread = std::thread::spawn(move || writer.write_all(&copy));
        assert_eq!(read_stream(&reader, Cap::default()).expect("read").expose(), sent);
        thread.join().expect("no panic").expect("written");
    }

    #[test]
    fn a_file_that_keeps_changing_is_refused_and_one_that_settles_is_whole() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("f");
        fs::write(&path, vec![b'a'; 1 << 20]).expect("written");
        let file = OwnedFd::from(File::open(&path).expect("opened"));
        let (source, _) = snapshot(&file, Cap::default()).expect("quiet");
        assert_eq!(source.len(), 1 << 20);

        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut writer = fs::OpenOptions::new().append(true).open(&path).expect("opened");
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    writer.write_all(b"b").expect("written");
                }
            });
            let result = snapshot(&file, Cap::default());
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            // Either it was refused, or all that was read is one moment's content.
            if let Ok((source, seen)) = result {
                assert_eq!(source.len() as i64, seen.st_size);
            }
        });
    }

    #[test]
    fn fingerprints_of_bytes_and_files_agree() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("f");
        let print = Fingerprint::new().expect("random");
        for size in [0usize, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK] {
            let content: Vec<u8> = (0..size).map(|at| (at / 7) as u8).collect();
            fs::write(&path, &content).expect("written");
            let file = OwnedFd::from(File::open(&path).expect("opened"));
            assert_eq!(print.of(&content), print.of_file(&file).expect("read"), "{size}");
            fs::write(&path, [&content[..], b"x"].concat()).expect("written");
            assert_ne!(print.of(&content), print.of_file(&file).expect("read"), "{size}");
        }
    }
}
