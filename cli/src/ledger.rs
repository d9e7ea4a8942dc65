//! How far a run over many files got, so that the same command can go on after a kill.
//!
//! Noted is the SHA-256 of each file as the run wrote it: a file with such a hash needs no more work, one that was
//! changed or restored since does. Nothing else of a file is in it.
//!
//! ```text
//! $XDG_STATE_HOME/sealwright/<SHA-256 of the command, hex>     32 bytes a file; a torn last one does not count
//! ```

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::error::{Code, Error, Result};

type Hash = [u8; 32];

/// What one run has done.
pub(crate) struct Ledger {
    path: PathBuf,
    file: File,
    done: HashSet<Hash>,
    last_note: Option<Timestamp>,
}

impl Ledger {
    /// The ledger of the command that `words` name. With `resume` it begins with what the run before noted, else empty.
    ///
    /// # Errors
    /// Code 2 if there is no such ledger to resume, 3 if it cannot be read or written.
    pub(crate) fn open(words: &[&[u8]], resume: bool) -> Result<Self> {
        let folder = folder().ok_or_else(|| {
            Error::new(Code::Write, "there is no place to note how far the run is")
                .hint("set HOME or XDG_STATE_HOME")
        })?;
        let path = folder.join(name(words));
        let failed = |cause| {
            Error::new(Code::Write, "cannot note how far the run is")
                .file(&path)
                .cause(&cause)
        };
        let last_note = fs::metadata(&path).and_then(|found| found.modified()).ok();
        let last_note = last_note
            .filter(|_| resume)
            .and_then(|time| Timestamp::try_from(time).ok());
        let notes = match fs::read(&path) {
            Ok(notes) if resume => notes,
            Err(cause) if resume && cause.kind() == io::ErrorKind::NotFound => {
                let text = "there is nothing to resume: no run of this command with these files and flags was broken off";
                return Err(Error::new(Code::Read, text).hint("without --resume it begins anew"));
            }
            Err(cause) if resume => return Err(failed(cause)),
            _ => Vec::new(),
        };
        let (done, torn) = notes.as_chunks();
        let open = || {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&folder)?;
            let mut options = OpenOptions::new();
            let file = options.create(true).append(true).mode(0o600).open(&path)?;
            // Behind a torn note no other would be read.
            file.set_len((notes.len() - torn.len()) as u64)?;
            Ok(file)
        };
        let file = open().map_err(failed)?;
        let done = done.iter().copied().collect();
        Ok(Self {
            path,
            file,
            done,
            last_note,
        })
    }

    /// When the run before that goes on noted something last, in UTC.
    pub(crate) fn last_note(&self) -> Option<String> {
        Some(self.last_note?.strftime("%Y-%m-%d %H:%M UTC").to_string())
    }

    /// Whether `content` is what the run before made of a file.
    pub(crate) fn has(&self, content: &[u8]) -> bool {
        !self.done.is_empty() && self.done.contains(&hash(content))
    }

    /// Notes that a file was written with `content`. Without the note the file is done once more, which harms nothing.
    pub(crate) fn note(&self, content: &[u8]) {
        let _ = (&self.file).write_all(&hash(content));
    }

    /// Whether no file was done, in this run or the one before.
    pub(crate) fn is_empty(&self) -> bool {
        self.file.metadata().is_ok_and(|found| found.len() == 0)
    }

    /// Ends a run that nothing is to be resumed of.
    pub(crate) fn end(self) {
        let _ = fs::remove_file(self.path);
    }
}

/// `XDG_STATE_HOME`, or what stands for it.
fn folder() -> Option<PathBuf> {
    let absolute = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
    Some(state?.join("sealwright"))
}

fn name(words: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for word in words {
        hash.update((word.len() as u64).to_be_bytes());
        hash.update(word);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hash(content: &[u8]) -> Hash {
    Sha256::digest(content).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_command_is_another_ledger() {
        assert_ne!(name(&[b"rotate", b"ab"]), name(&[b"rotate", b"a", b"b"]));
        assert_eq!(name(&[b"rotate", b"a"]), name(&[b"rotate", b"a"]));
    }
}
