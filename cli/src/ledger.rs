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

use sha2::{Digest as _, Sha256};

use crate::error::{Code, Error, Result};

type Hash = [u8; 32];

/// What one run has done.
pub(crate) struct Ledger {
    path: PathBuf,
    file: File,
    done: HashSet<Hash>,
}

impl Ledger {
    /// The ledger of the command that `words` name. With `resume` it begins with what the run before noted, else empty.
    ///
    /// # Errors
    /// Code 2 if there is no such ledger to resume, 3 if it cannot be written.
    pub(crate) fn open(words: &[&[u8]], resume: bool) -> Result<Self> {
        let folder = folder().ok_or_else(|| {
            Error::new(Code::Write, "there is no place to note how far the run is")
                .hint("set HOME or XDG_STATE_HOME")
        })?;
        let path = folder.join(name(words));
        let done = match fs::read(&path) {
            Ok(notes) if resume => notes.as_chunks().0.iter().copied().collect(),
            Err(cause) if resume && cause.kind() == io::ErrorKind::NotFound => {
                let text = "there is nothing to resume: no run of this command with these files and flags was broken off";
                return Err(Error::new(Code::Read, text));
            }
            _ => HashSet::new(),
        };
        let mut options = OpenOptions::new();
        options.create(true).append(resume).write(true).truncate(!resume);
        let file = fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .and_then(|()| options.mode(0o600).open(&path));
        let failed = |cause| {
            Error::new(Code::Write, "cannot note how far the run is")
                .file(&path)
                .cause(&cause)
        };
        let file = file.map_err(failed)?;
        Ok(Self { path, file, done })
    }

    /// Whether `content` is what the run before made of a file.
    pub(crate) fn has(&self, content: &[u8]) -> bool {
        !self.done.is_empty() && self.done.contains(&hash(content))
    }

    /// Notes that a file was written with `content`. Without the note the file is done once more, which harms nothing.
    pub(crate) fn note(&self, content: &[u8]) {
        let _ = (&self.file).write_all(&hash(content));
    }

    /// Ends a run that did everything.
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
