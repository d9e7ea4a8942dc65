//! `/etc/sops/audit.yaml`: who is told.
//!
//! ```yaml
//! backends:
//!   postgres:
//!     - connection_string: postgres://sops:...@db.example/audit?sslmode=verify-full
//!   file:
//!     - path: /var/log/sops-audit.jsonl
//!   syslog:
//!     - socket: /dev/log
//! ```
//!
//! `postgres` is sops' own; sops passes over the others. What is not known here is refused: a typing mistake must not
//! switch a log off.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};
use serde_saphyr::{Error, Location};

use super::Refusal;

/// The largest file that is read, in bytes.
const MOST: u64 = 1 << 20;

/// All backends, kind by kind.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Backends {
    #[serde(deserialize_with = "or_none")]
    pub(super) postgres: Vec<Postgres>,
    #[serde(deserialize_with = "or_none")]
    pub(super) file: Vec<File>,
    #[serde(deserialize_with = "or_none")]
    pub(super) syslog: Vec<Syslog>,
}

/// A table of a database.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Postgres {
    /// May hold a password.
    #[cfg_attr(not(feature = "postgres"), expect(dead_code, reason = "nobody connects"))]
    pub(super) connection_string: String,
}

/// A file of lines.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) path: PathBuf,
}

/// The system's log.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Syslog {
    pub(super) socket: Option<PathBuf>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Whole {
    backends: Option<Backends>,
}

/// What `path` says; `None` if there is no such file.
///
/// # Errors
/// If it cannot be read, or does not read as it should. Nothing of what it holds is repeated.
pub(super) fn read(path: &Path) -> Result<Option<Backends>, Refusal> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(Refusal::new(path.to_string_lossy(), &cause)),
    };
    let refuse = |why: &str| Refusal {
        who: path.to_string_lossy().into_owned(),
        causes: vec![why.to_owned()],
    };
    let mut text = String::new();
    let read = file.take(MOST).read_to_string(&mut text);
    read.map_err(|cause| Refusal::new(path.to_string_lossy(), &cause))?;
    if text.len() as u64 == MOST {
        return Err(refuse("larger than a configuration can be"));
    }
    parse(&text).map(Some).map_err(|why| refuse(&why))
}

fn parse(text: &str) -> Result<Backends, String> {
    let options = serde_saphyr::options! { with_snippet: false, emit_comments: false };
    let whole: Option<Whole> =
        serde_saphyr::from_str_with_options(text, options).map_err(|error| explain(&error))?;
    Ok(whole.and_then(|whole| whole.backends).unwrap_or_default())
}

/// Our words for the parser's error: its own may quote the file.
fn explain(error: &Error) -> String {
    let place = error.location().unwrap_or(Location::UNKNOWN);
    let why = match error.without_snippet() {
        Error::SerdeUnknownField { .. } => "a name that means nothing here",
        Error::SerdeMissingField { .. } => "an entry without its only setting",
        _ => "not what an audit configuration looks like",
    };
    format!(
        "line {}, column {}: {why}",
        place.line().max(1),
        place.column().max(1)
    )
}

fn or_none<'de, D: Deserializer<'de>, T: Deserialize<'de>>(value: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(value)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(text: &str) -> Result<[usize; 3], String> {
        parse(text).map(|found| [found.postgres.len(), found.file.len(), found.syslog.len()])
    }

    #[test]
    fn what_sops_takes_and_what_is_ours_is_read() {
        for (text, expected) in [
            ("", [0, 0, 0]),
            ("# nothing\n", [0, 0, 0]),
            ("{}", [0, 0, 0]),
            ("backends:", [0, 0, 0]),
            ("backends: {postgres: }", [0, 0, 0]),
            (
                "backends:\n  postgres:\n    - connection_string: \"a\"\n    - connection_string: b=c d=e\n",
                [2, 0, 0],
            ),
            (
                "backends: {file: [{path: /x}], syslog: [{}, {socket: /s}]}",
                [0, 1, 2],
            ),
        ] {
            assert_eq!(counts(text), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn what_is_not_known_is_refused_and_nothing_of_it_is_repeated() {
        for text in [
            "backend: {}",
            "backends: {hunter2: [{}]}",
            "backends: {postgres: {connection_string: hunter2}}",
            "backends: {postgres: [hunter2]}",
            "backends: {postgres: [{}]}",
            "backends: {postgres: [{connection_string: [hunter2]}]}",
            "backends: {postgres: [{connection_string: a, hunter2: b}]}",
            "backends: {file: [{path: /x, hunter2: 1}]}",
            "- hunter2",
            "hunter2",
            ": :",
            "backends: \"hunter2",
            "a: b: hunter2",
        ] {
            let error = counts(text).expect_err(text);
            assert!(
                error.starts_with("line ") && !error.contains("hunter2"),
                "{text:?}: {error}"
            );
        }
    }

    #[test]
    fn an_absent_file_is_none_and_an_unreadable_one_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(read(&folder.path().join("none")).expect("absent").is_none());
        assert!(read(folder.path()).is_err(), "a folder");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("link", &link).expect("a link to itself");
        assert!(read(&link).is_err(), "there, and not to be opened");
        let file = folder.path().join("file");
        fs::write(&file, b"backends: \xff").expect("written");
        assert!(read(&file).is_err(), "no text");
        fs::write(&file, "#".repeat(1 << 20)).expect("written");
        assert!(read(&file).is_err(), "its end may name another backend");
    }
}
