//! The nearest fix of what was found, as a command line.

use std::path::Path;

use document::{Document, Format};
use sops::Checks;

use super::policy::{Applied, Rule};
use super::recipients::Access;
use super::{Report, State, quoted};
use crate::audit::Action;
use crate::error::Code;
use crate::git::{Origin, Repository};
use crate::workbench::Workbench;

/// What to do next.
pub(super) struct Next {
    /// Why, and what it does.
    pub(super) why: String,
    /// What to type.
    pub(super) command: String,
}

impl Next {
    fn new(why: impl Into<String>, command: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            command: command.into(),
        }
    }
}

/// The last version of the file in git, if it opens here and its seals hold.
pub(super) fn base(bench: &Workbench, path: &Path, format: Format) -> Option<(Origin, Document)> {
    let (origin, source) = Repository::holding(path)?
        .base(path, bench.global.max_size)
        .ok()??;
    let file = bench.read_sealed(path, format, source).ok()??;
    let key = bench.unwrap(path, &file.metadata).ok()?;
    bench.record(Action::Decrypt, path).ok()?;
    sops::open(&file.document, &file.metadata, &key, &Checks::default()).ok()?;
    Some((origin, file.document))
}

/// The next step for what was found.
pub(super) fn step(report: &Report) -> Option<Next> {
    report.code?;
    let file = quoted(&report.file);
    if report.conflict.is_some() {
        return Some(conflict(report, &file));
    }
    if report.state == State::Unreadable {
        return Some(restore(report, &file, "correct the line that is named above"));
    }
    let Some(applied) = &report.policy else {
        return Some(Next::new(
            "correct the policy where the problem says",
            editor(None, ".sops.yaml"),
        ));
    };
    if report.state == State::Unsealed {
        return Some(not_sealed(applied, &file));
    }
    match &report.access {
        Some(access) if !access.opens => return Some(no_key(access, applied, &file)),
        _ => {}
    }
    if report.plaintext {
        return Some(match report.base {
            Some(_) => Next::new(
                "what differs from the last version in git is an author's change: seal it",
                format!("seal {file}"),
            ),
            None => Next::new(
                "no version in git proves what was changed: if every plaintext in the file is yours, seal it",
                format!("seal --accept {file}"),
            ),
        });
    }
    let differs = |rule: &Rule| !rule.added.is_empty() || !rule.removed.is_empty();
    if !report.opens_in_order() {
        return Some(damaged(report, &file));
    }
    match &applied.rule {
        Some(rule) if differs(rule) => Some(Next::new(
            "give the file the recipients of its rule",
            format!("seal updatekeys {file}"),
        )),
        _ => Some(restore(report, &file, "correct the place that is named above")),
    }
}

impl Report {
    /// Whether nothing but what `seal check` compares with the policy is wrong.
    fn opens_in_order(&self) -> bool {
        self.problems
            .iter()
            .all(|problem| problem.code() == Code::Conflict)
    }

    /// Whether the values open where they stand, and only the seals over the whole do not hold.
    fn every_value_opens(&self) -> bool {
        let mut codes = self.problems.iter().map(|problem| problem.code());
        codes.all(|code| matches!(code, Code::MacMismatch | Code::Conflict))
    }
}

fn conflict(report: &Report, file: &str) -> Next {
    // Whether this program can do it itself.
    if super::super::cli().find_subcommand("resolve").is_some() {
        let why = "merge the values themselves, key by key";
        return Next::new(why, format!("seal resolve {file}"));
    }
    match checkout(report, file) {
        Some(command) => Next::new(
            "take the last committed version whole, then put what the other side changed in with `seal set`",
            command,
        ),
        None => Next::new(
            "end the merge: both sides of each conflict are ciphertext, so take one side of the whole file",
            editor(report.problems.first().and_then(line), file),
        ),
    }
}

/// The file as it was, or by hand what can only be done so.
fn restore(report: &Report, file: &str, by_hand: &str) -> Next {
    match checkout(report, file) {
        Some(command) => Next::new(
            "take the last version in git, which is whole; later changes go",
            command,
        ),
        None => Next::new(by_hand, editor(report.problems.first().and_then(line), file)),
    }
}

fn damaged(report: &Report, file: &str) -> Next {
    match checkout(report, file) {
        Some(command) => Next::new(
            "take the last version in git, which is whole; later changes go",
            command,
        ),
        None if report.every_value_opens() => Next::new(
            "no version in git is whole to compare with: only if you know who changed the file and why, take it as it is",
            format!("seal --accept {file}"),
        ),
        None if Repository::holding(&report.file).is_some() => Next::new(
            "the last version in git is not whole either: put back one that was; these are the ones that git knows",
            format!("git log --oneline -- {file}"),
        ),
        None => Next::new("put back a version that was whole", format!("cp BACKUP {file}")),
    }
}

fn checkout(report: &Report, file: &str) -> Option<String> {
    Some(match report.base? {
        Origin::Head => format!("git checkout HEAD -- {file}"),
        Origin::Index => format!("git checkout -- {file}"),
    })
}

fn not_sealed(applied: &Applied, file: &str) -> Next {
    if let Some(rule) = &applied.rule {
        if rule.creation.has_keys() {
            return Next::new("seal it", format!("seal {file}"));
        }
        let why = format!("rule {} names no key: name one here, or in the rule", rule.number);
        return Next::new(why, encrypt(file));
    }
    if let Some((policy, Some(number))) = &applied.elsewhere {
        let policy = quoted(policy);
        return Next::new(
            format!(
                "rule {number} of the policy in the current folder would match: use that policy for this file"
            ),
            format!("seal --config {policy} {file}"),
        );
    }
    match &applied.path {
        None => Next::new(
            "write a policy for the folder; or seal this file alone with `seal encrypt -i --age RECIPIENT FILE`",
            format!("seal init {}", quoted(&applied.start)),
        ),
        Some(_) => Next::new(
            format!(
                "add a rule to the policy whose path_regex matches {}, or seal this file alone",
                applied.tested
            ),
            encrypt(file),
        ),
    }
}

fn encrypt(file: &str) -> String {
    let inventory = super::recipients::inventory();
    let recipient = inventory.held.first().map_or("RECIPIENT", |held| &held.recipient);
    format!("seal encrypt -i --age {recipient} {file}")
}

/// Nobody here can open the file.
fn no_key(access: &Access, applied: &Applied, file: &str) -> Next {
    let Some(mine) = access.held.first().map(|mine| &mine.held.recipient) else {
        if !access.faults.is_empty() {
            return Next::new(
                "a place that should hold identities cannot be used (see above): name the right file",
                format!("SOPS_AGE_KEY_FILE=FILE seal explain {file}"),
            );
        }
        return Next::new(
            "there is no identity here: if yours is in another file, set SOPS_AGE_KEY_FILE to it; else make one and \
             ask someone who can open the file to add its recipient",
            "seal keys new",
        );
    };
    let is_mine = |name: &String| access.held.iter().any(|held| held.held.recipient == *name);
    match &applied.rule {
        Some(rule) if rule.added.iter().any(|key| is_mine(&key.to_string())) => Next::new(
            "the rule names you, the file does not yet: someone who can open it runs this",
            format!("seal updatekeys {file}"),
        ),
        Some(rule) if rule.creation.has_keys() => Next::new(
            format!(
                "add {mine} to rule {} of the policy; then someone who can open the file runs this",
                rule.number
            ),
            format!("seal updatekeys {file}"),
        ),
        _ => Next::new(
            "someone who can open the file adds your recipient",
            format!("seal rotate --add-age {mine} {file}"),
        ),
    }
}

fn line(error: &crate::error::Error) -> Option<u64> {
    error.json()["error"]["line"].as_u64()
}

fn editor(line: Option<u64>, file: &str) -> String {
    let line = line.map(|line| format!("+{line} ")).unwrap_or_default();
    format!("${{EDITOR:-vi}} {line}{file}")
}
