//! Who is served, and the record of it.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use key_providers::key_service::{Asked, Outcome, Overseer, Peer, Verdict};
use serde_json::{Value, json};

use crate::error::{Code, Error, Result};
use crate::escape;

/// Serves the keys that are allowed (all, if none is named), asks a person, and writes everything down.
pub(super) struct Desk {
    allowed: HashSet<String>,
    prompt: bool,
    log: Log,
}

/// Where the record goes.
pub(super) enum Log {
    Stderr,
    File(Mutex<File>),
}

impl Log {
    /// Adds to the file at `path`; a new one is its owner's alone.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let failed = |cause: io::Error| {
            Error::new(Code::Write, "cannot write the record")
                .file(path)
                .cause(&cause)
        };
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)
            .map_err(failed)?;
        Ok(Self::File(Mutex::new(file)))
    }

    /// One line, in one piece. That nobody reads stderr stops nothing.
    fn write(&self, record: &Value) -> io::Result<()> {
        let line = format!("{}\n", escape::json(record));
        match self {
            Self::Stderr => {
                let _ = io::stderr().lock().write_all(line.as_bytes());
                Ok(())
            }
            Self::File(file) => {
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                file.write_all(line.as_bytes())
            }
        }
    }
}

impl Desk {
    pub(super) fn new(allowed: Vec<String>, prompt: bool, log: Log) -> Self {
        Self {
            allowed: allowed.into_iter().collect(),
            prompt,
            log,
        }
    }
}

impl Overseer for Desk {
    fn judges(&self, asked: &Asked) -> Verdict {
        let name = asked.key.as_ref().map(ToString::to_string);
        let listed = name.is_some_and(|name| self.allowed.contains(&name));
        match (listed, self.prompt) {
            (true, _) => Verdict::Serve,
            (false, true) => Verdict::Ask,
            (false, false) if self.allowed.is_empty() => Verdict::Serve,
            (false, false) => Verdict::Deny,
        }
    }

    fn asks(&self, asked: &Asked) -> bool {
        let key = asked.key.as_ref();
        let key = key.map_or_else(String::new, |key| format!("{} {key}", key.kind()));
        let question = format!(
            "{} with {key} for {}? (y/n) ",
            asked.operation,
            in_words(&asked.peer)
        );
        ask(&question)
    }

    fn records(&self, asked: &Asked, outcome: Outcome, took: Duration) -> io::Result<()> {
        let key = asked.key.as_ref();
        self.log.write(&json!({
            "time": now(),
            "peer": peer(&asked.peer),
            "operation": asked.operation.to_string(),
            "key": key.map(|key| json!({ "kind": key.kind(), "name": key.to_string() })),
            "result": outcome.to_string(),
            "milliseconds": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        }))
    }

    fn refuses(&self, who: &Peer) {
        // Nothing was given away that would have to be recorded.
        let _ = self.log.write(&json!({
            "time": now(),
            "peer": peer(who),
            "result": "refused",
        }));
    }
}

fn now() -> String {
    jiff::Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%S%.3fZ")
        .to_string()
}

fn peer(peer: &Peer) -> Value {
    match peer {
        Peer::Process { uid, pid } => json!({ "uid": uid, "pid": pid }),
        Peer::Network { address, certificate } => {
            json!({ "address": address.to_string(), "certificate_sha256": certificate })
        }
    }
}

fn in_words(peer: &Peer) -> String {
    match peer {
        Peer::Process { pid: Some(pid), .. } => format!("process {pid}"),
        Peer::Process { pid: None, .. } => "a process".to_owned(),
        Peer::Network { address, .. } => address.to_string(),
    }
}

/// Asks until it is answered; the end of the input is a no.
fn ask(question: &str) -> bool {
    loop {
        let mut out = io::stderr().lock();
        let _ = write!(out, "{}", escape::escape(question)).and_then(|()| out.flush());
        drop(out);
        let mut line = String::new();
        let read = io::stdin().lock().read_line(&mut line);
        // At a terminal the line ends with what was typed; records begin on a line of their own.
        if !line.ends_with('\n') || !io::stdin().is_terminal() {
            let _ = writeln!(io::stderr());
        }
        if matches!(read, Ok(0) | Err(_)) {
            return false;
        }
        match line.trim() {
            "y" | "yes" => return true,
            "n" | "no" => return false,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use key_providers::key_service::Operation;
    use sops::MasterKey;

    fn asked(recipient: &str) -> Asked {
        Asked {
            peer: Peer::Process {
                uid: 1000,
                pid: Some(7),
            },
            operation: Operation::Decrypt,
            key: Some(MasterKey::Age {
                recipient: recipient.to_owned(),
            }),
        }
    }

    /// LK-12.
    #[test]
    fn keys_are_served_by_list_by_question_or_all() {
        let desk = |allowed: &[&str], prompt| {
            let allowed = allowed.iter().map(|&key| key.to_owned()).collect();
            Desk::new(allowed, prompt, Log::Stderr)
        };
        for (desk, listed, other) in [
            (desk(&[], false), Verdict::Serve, Verdict::Serve),
            (desk(&["age1a"], false), Verdict::Serve, Verdict::Deny),
            (desk(&["age1a"], true), Verdict::Serve, Verdict::Ask),
            (desk(&[], true), Verdict::Ask, Verdict::Ask),
        ] {
            assert_eq!(desk.judges(&asked("age1a")), listed);
            assert_eq!(desk.judges(&asked("age1b")), other);
        }
        let mut none = asked("age1a");
        none.key = None;
        assert_eq!(desk(&["age1a"], false).judges(&none), Verdict::Deny);
    }

    #[test]
    fn a_record_is_one_line_of_json_and_the_file_is_its_owners() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let desk = Desk::new(Vec::new(), false, Log::open(&path).expect("opened"));
        let took = Duration::from_millis(12);
        desk.records(&asked("age1\n\u{1b}[2J"), Outcome::Done, took)
            .expect("recorded");
        desk.refuses(&Peer::Process { uid: 1, pid: None });
        let text = std::fs::read_to_string(&path).expect("read");
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(!text.contains('\u{1b}'));
        assert_eq!(lines[0]["peer"], json!({ "uid": 1000, "pid": 7 }));
        assert_eq!(lines[0]["operation"], "decrypt");
        assert_eq!(lines[0]["key"]["name"], "age1\n\u{1b}[2J");
        assert_eq!(lines[0]["result"], "ok");
        assert_eq!(lines[0]["milliseconds"], 12);
        assert_eq!(lines[1]["result"], "refused");
        let mode = std::fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
