//! The audit log in a file: one line of JSON for each record.
//!
//! Every line is one write at the end of the file, so that those of programs that run at the same time do not mix.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;

use rustix::fs::OFlags;

use super::{Backend, Event, Failure, Refusal, config};

/// An open file.
pub(super) struct Lines {
    name: String,
    file: File,
    /// The last line that was written is half of one.
    broken: bool,
}

impl Lines {
    /// Opens it, or makes it for its owner alone. A pipe that nobody reads is an error, not a wait.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub(super) fn open(settings: &config::File) -> Result<Self, Refusal> {
        let name = format!("file {}", settings.path.display());
        let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits();
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(i32::try_from(flags).unwrap_or_default())
            .open(&settings.path);
        match file {
            Ok(file) => Ok(Self {
                name,
                file,
                broken: false,
            }),
            Err(cause) => Err(Refusal::new(name, &cause)),
        }
    }
}

impl Backend for Lines {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn record(&mut self, event: &Event) -> Result<(), Failure> {
        // Half a line of before stays alone.
        let start = if self.broken { "\n" } else { "" };
        let line = format!("{start}{}\n", event.json());
        let written = loop {
            match self.file.write(line.as_bytes()) {
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                written => break written?,
            }
        };
        self.broken = written < line.len() && (written > 0 || self.broken);
        match written == line.len() {
            true => Ok(()),
            false => Err(io::Error::from(io::ErrorKind::StorageFull).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Action;
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn lines_are_added_to_a_file_of_its_owner() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let settings = config::File { path: path.clone() };
        for name in ["/a", "/b"] {
            let mut lines = Lines::open(&settings).expect("opened");
            lines
                .record(&Event::new(Action::Decrypt, name.into()))
                .expect("written");
        }
        let text = std::fs::read_to_string(&path).expect("read");
        assert_eq!(text.lines().count(), 2, "{text}");
        let mode = std::fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_full_disk_a_pipe_without_reader_and_a_missing_folder_refuse() {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RWXU,
            0,
        )
        .expect("a pipe");
        for path in [pipe, folder.path().join("none/log"), folder.path().to_owned()] {
            assert!(Lines::open(&config::File { path }).is_err());
        }
        let path = "/dev/full".into();
        let mut full = Lines::open(&config::File { path }).expect("opened");
        assert!(full.record(&Event::new(Action::Decrypt, "/a".into())).is_err());
    }
}
