//! The audit log: who opened, sealed or rotated which file, told to others before it is done.
//!
//! `/etc/sops/audit.yaml` says to whom, as for sops: every backend in it is told of every event. Where one of them
//! refuses, the operation does not take place. A record names an action, a user, a machine and a file; never a value,
//! never a key. Without the file there is no log, and looking for it costs one failed `open`.
//!
//! Events are sops' own: `decrypt` before values are opened, `encrypt` before they are sealed, `rotate` before a new data
//! key. What one command does to one file is recorded once for each of the three.
//!
//! # What this does not do
//! It does not record how an operation ended, and does not bind whoever runs another program with the same keys.

mod config;
mod file;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(not(feature = "postgres"))]
#[path = "audit/no_postgres.rs"]
mod postgres;
mod syslog;

use std::collections::HashSet;
use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Code, Error, Result};
use crate::escape;
use crate::users::User;

/// Where everybody's audit log is set up; no flag and no variable names another place, for that would switch it off.
pub(crate) const FILE: &str = "/etc/sops/audit.yaml";

/// How long a backend may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// For so long after a refusal nobody is asked again: a thousand files do not wait a thousand times.
const REST: Duration = Duration::from_secs(5);

/// What is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    /// Values are sealed.
    Encrypt,
    /// Values are opened.
    Decrypt,
    /// A file gets a new data key.
    Rotate,
}

impl Action {
    /// The word in every record, as sops writes it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Encrypt => "encrypt",
            Self::Decrypt => "decrypt",
            Self::Rotate => "rotate",
        }
    }
}

/// The audit log of a run, for all its threads.
#[derive(Default)]
pub(crate) struct Audit(Mutex<State>);

#[derive(Default)]
struct State {
    /// `None` until somebody asks.
    backends: Option<Vec<Box<dyn Backend>>>,
    recorded: HashSet<(Action, PathBuf)>,
    refused: Option<(Instant, Refusal)>,
}

/// Somebody who is told.
trait Backend: Send {
    /// Kind and place, for errors; holds no password.
    fn name(&self) -> String;

    /// Takes a record, or says why not.
    fn record(&mut self, event: &Event) -> Result<(), Failure>;
}

/// Why a backend did not take a record. Holds no password.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// One record.
struct Event {
    action: &'static str,
    /// The name of the user, or their number where `/etc/passwd` has no name for it.
    user: String,
    /// Absolute; `.` and `..` are resolved by name, links are not followed.
    file: PathBuf,
}

impl Event {
    fn new(action: Action, file: PathBuf) -> Self {
        Self {
            action: action.word(),
            user: user(),
            file,
        }
    }

    /// The record as one line of JSON.
    fn json(&self) -> String {
        escape::json(&serde_json::json!({
            "time": crate::workbench::now(),
            "action": self.action,
            "user": self.user,
            "uid": rustix::process::geteuid().as_raw(),
            "host": rustix::system::uname().nodename().to_string_lossy(),
            "file": self.file.to_string_lossy(),
            "tool": concat!("seal ", env!("CARGO_PKG_VERSION")),
        }))
    }
}

/// What keeps the log from being written.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Refusal {
    /// The backend, or the file that sets them up.
    who: String,
    causes: Vec<String>,
}

impl Refusal {
    fn new(who: impl Into<String>, cause: &(dyn std::error::Error + 'static)) -> Self {
        let mut causes = Vec::new();
        let mut next = Some(cause);
        while let Some(error) = next {
            causes.push(error.to_string());
            next = error.source();
        }
        Self {
            who: who.into(),
            causes,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.who, self.causes.join(": "))
    }
}

impl std::error::Error for Refusal {}

impl Audit {
    /// Opens the backends, if that was not done before: so nobody is asked for a key whose use could not be recorded.
    ///
    /// # Errors
    /// Code 1 if one of them cannot be opened, or the file does not read.
    pub(crate) fn ready(&self) -> Result<()> {
        let mut state = self.state();
        let done = state.open(Path::new(FILE));
        state.told(done)
    }

    /// Records that `action` is about to be done to `file`, unless that was recorded before in this run.
    ///
    /// # Errors
    /// As [`Self::ready`], and if a backend does not take the record: then it must not be done.
    pub(crate) fn record(&self, action: Action, file: &Path) -> Result<()> {
        let mut state = self.state();
        let done = state
            .open(Path::new(FILE))
            .and_then(|()| state.record(action, file));
        state.told(done)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn open(&mut self, config: &Path) -> Result<(), Refusal> {
        if let Some((when, refusal)) = &self.refused
            && when.elapsed() < REST
        {
            return Err(refusal.clone());
        }
        if self.backends.is_none() {
            let mut backends: Vec<Box<dyn Backend>> = Vec::new();
            if let Some(config) = config::read(config)? {
                for settings in config.postgres {
                    backends.push(Box::new(postgres::open(&settings)?));
                }
                for settings in config.file {
                    backends.push(Box::new(file::Lines::open(&settings)?));
                }
                for settings in config.syslog {
                    backends.push(Box::new(syslog::Syslog::open(&settings)?));
                }
            }
            self.backends = Some(backends);
        }
        Ok(())
    }

    fn record(&mut self, action: Action, file: &Path) -> Result<(), Refusal> {
        let backends = self.backends.as_deref_mut().unwrap_or_default();
        if backends.is_empty() {
            return Ok(());
        }
        let name = (action, absolute(file));
        if self.recorded.contains(&name) {
            return Ok(());
        }
        let event = Event::new(action, name.1.clone());
        for backend in backends {
            let told = backend.record(&event);
            told.map_err(|failure| Refusal::new(backend.name(), failure.as_ref()))?;
        }
        self.recorded.insert(name);
        Ok(())
    }

    /// What was done; a refusal is remembered for a while, and becomes an error.
    fn told<T>(&mut self, done: Result<T, Refusal>) -> Result<T> {
        let refusal = match done {
            Ok(done) => {
                self.refused = None;
                return Ok(done);
            }
            Err(refusal) => refusal,
        };
        let error = Error::new(
            Code::Generic,
            format!(
                "nothing is done, for it cannot be recorded in the audit log: {}",
                refusal.who
            ),
        );
        let error = refusal
            .causes
            .iter()
            .fold(error, |error, cause| error.because(cause));
        if self
            .refused
            .as_ref()
            .is_none_or(|(when, _)| when.elapsed() >= REST)
        {
            self.refused = Some((Instant::now(), refusal));
        }
        Err(error.hint(format!(
            "put right what is named, or have {FILE} changed, which says who is told"
        )))
    }
}

/// The name of the user in the system's list, whatever the environment says; the number of one who does not stand there.
fn user() -> String {
    let uid = rustix::process::geteuid().as_raw();
    User::numbered(uid).map_or_else(|| uid.to_string(), |user| user.name)
}

/// `path` from the root on, as sops writes it: `.` and `..` go by name. Of what is no file, like the standard input,
/// (`-` or nothing) it is the current folder.
fn absolute(path: &Path) -> PathBuf {
    let path = if path == Path::new("-") {
        Path::new("")
    } else {
        path
    };
    let mut out = PathBuf::new();
    for part in current_folder().join(path).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            part => out.push(part),
        }
    }
    out
}

/// The current folder by the name that the shell knows it by, if that is its name.
fn current_folder() -> PathBuf {
    use std::os::unix::fs::MetadataExt as _;
    let same = |named: &PathBuf| {
        let place = |path: &Path| std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()));
        named.is_absolute() && place(named).is_some_and(|named| Some(named) == place(Path::new(".")))
    };
    let named = std::env::var_os("PWD").map(PathBuf::from).filter(same);
    named.unwrap_or_else(|| std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    /// Counts what it is told, and refuses from some record on.
    struct Counting {
        told: Arc<Mutex<Vec<String>>>,
        most: usize,
    }

    impl Backend for Counting {
        fn name(&self) -> String {
            "counting".to_owned()
        }

        fn record(&mut self, event: &Event) -> Result<(), Failure> {
            let mut told = self.told.lock().expect("no panic");
            if told.len() == self.most {
                return Err("full".into());
            }
            told.push(format!("{} {}", event.action, event.file.display()));
            Ok(())
        }
    }

    fn counting(most: usize) -> (State, Arc<Mutex<Vec<String>>>) {
        let told = Arc::default();
        let backend = Counting {
            told: Arc::clone(&told),
            most,
        };
        let state = State {
            backends: Some(vec![Box::new(backend)]),
            ..State::default()
        };
        (state, told)
    }

    #[test]
    fn an_action_on_a_file_is_recorded_once_in_a_run() {
        let (mut state, told) = counting(9);
        let mut record = |action, path| state.record(action, Path::new(path)).expect("taken");
        record(Action::Decrypt, "/a/./b");
        record(Action::Decrypt, "/a/c/../b");
        record(Action::Encrypt, "/a/b");
        record(Action::Rotate, "/a/b");
        assert_eq!(
            *told.lock().expect("no panic"),
            ["decrypt /a/b", "encrypt /a/b", "rotate /a/b"]
        );
    }

    #[test]
    fn a_refusal_is_an_error_that_names_who_and_is_remembered() {
        let (mut state, told) = counting(1);
        let nowhere = Path::new("/nonexistent/audit.yaml");
        for (path, fine) in [("/a", true), ("/b", false), ("/c", false)] {
            let done = state
                .open(nowhere)
                .and_then(|()| state.record(Action::Decrypt, Path::new(path)));
            let done = state.told(done);
            assert_eq!(done.is_ok(), fine, "{path}");
            if let Err(error) = done {
                assert_eq!(error.code(), Code::Generic);
                assert!(error.to_string().ends_with("audit log: counting"), "{error}");
                assert!(format!("{error:?}").contains("full"));
            }
        }
        assert_eq!(told.lock().expect("no panic").len(), 1);
        assert!(state.open(nowhere).is_err(), "it rests");
    }

    #[test]
    fn without_the_file_there_is_no_log() {
        let mut state = State::default();
        state.open(Path::new("/nonexistent/audit.yaml")).expect("absent");
        assert_eq!(state.record(Action::Decrypt, Path::new("/a")), Ok(()));
        assert!(state.recorded.is_empty());
    }

    #[test]
    fn paths_are_made_absolute_by_name() {
        let here = current_folder();
        assert_eq!(absolute(Path::new("-")), here);
        assert_eq!(absolute(Path::new("")), here);
        assert_eq!(absolute(Path::new("x/../y")), here.join("y"));
        assert_eq!(absolute(Path::new("/x/../../y/.")), Path::new("/y"));
    }

    #[test]
    fn a_record_is_one_line_and_holds_what_it_should() {
        let event = Event::new(Action::Rotate, PathBuf::from("/a\nb\u{202e}"));
        let line = event.json();
        assert!(!line.contains('\n') && !line.contains('\u{202e}'), "{line}");
        let json: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        let fields: Vec<&String> = json.as_object().expect("a map").keys().collect();
        assert_eq!(fields, ["time", "action", "user", "uid", "host", "file", "tool"]);
        assert_eq!(
            (&json["action"], &json["file"]),
            (&"rotate".into(), &"/a\nb\u{202e}".into())
        );
    }
}
