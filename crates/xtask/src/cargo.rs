//! Running cargo, and what it knows about the workspace.

use crate::Failure;
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::ops::AddAssign;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The workspace's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// `cargo`, in the root.
pub(crate) fn command(arguments: &str) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments.split_whitespace()).current_dir(root());
    // Set by the `cargo run` that started us; they describe this crate and would rebuild others.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// Runs `command` with its output on the terminal.
pub(crate) fn succeed(mut command: Command) -> Result<(), Failure> {
    let status = command
        .status()
        .map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{}: {status}", line(&command)).into())
    }
}

fn line(command: &Command) -> String {
    let arguments = command
        .get_args()
        .map(|argument| format!(" {}", argument.display()));
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    program.display().to_string() + &arguments.collect::<String>()
}

/// One member of the workspace.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    /// From `[package.metadata]`.
    pub(crate) floor: Option<u64>,
    /// The names of what it is built from: dependencies and build dependencies, not those of its tests.
    pub(crate) imports: Vec<String>,
}

/// The members of the workspace.
pub(crate) fn members() -> Result<Vec<Member>, Failure> {
    let output = command("metadata --format-version 1 --no-deps --locked")
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err("cargo metadata failed".into());
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    Ok(metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .map(member)
        .collect())
}

fn member(package: &Value) -> Member {
    let imports = package["dependencies"].as_array().into_iter().flatten();
    Member {
        name: package["name"].as_str().unwrap_or_default().to_owned(),
        floor: package["metadata"]["floor"].as_u64(),
        imports: imports
            .filter(|dependency| dependency["kind"] != "dev")
            .filter_map(|dependency| dependency["name"].as_str().map(str::to_owned))
            .collect(),
    }
}

/// What the test programs counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) ignored: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }
}

/// Runs `cargo test` with its output on the terminal and in `log`, and adds up what the test programs report.
/// The flag tells whether cargo itself was content.
pub(crate) fn test(mut command: Command, mut log: Option<std::fs::File>) -> Result<(Counts, bool), Failure> {
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let mut counts = Counts::default();
    if let Some(stdout) = child.stdout.take() {
        for bytes in BufReader::new(stdout).split(b'\n') {
            let bytes = bytes?;
            let line = String::from_utf8_lossy(&bytes);
            println!("{line}");
            if let Some(log) = &mut log {
                writeln!(log, "{line}")?;
            }
            if let Some(result) = result(&line) {
                counts += result;
            }
        }
    }
    Ok((counts, child.wait()?.success()))
}

/// Reads `test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; ...`.
fn result(line: &str) -> Option<Counts> {
    let report = line.strip_prefix("test result: ")?.split_once(". ")?.1;
    let mut counts = Counts::default();
    for part in report.split("; ") {
        match part.split_once(' ') {
            Some((number, "passed")) => counts.passed = number.parse().ok()?,
            Some((number, "failed")) => counts.failed = number.parse().ok()?,
            Some((number, "ignored")) => counts.ignored = number.parse().ok()?,
            _ => {}
        }
    }
    Some(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_line_is_counted() {
        let line = "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0.1s";
        assert_eq!(
            result(line),
            Some(Counts {
                passed: 12,
                failed: 3,
                ignored: 1
            })
        );
        assert_eq!(result("test a ... ok"), None);
    }

    #[test]
    fn the_imports_of_tests_are_not_imports() {
        let package = serde_json::json!({
            "name": "a", "metadata": { "floor": 2 },
            "dependencies": [{ "name": "b", "kind": null }, { "name": "c", "kind": "build" }, { "name": "d", "kind": "dev" }],
        });
        let member = member(&package);
        assert_eq!(
            (member.floor, member.imports),
            (Some(2), vec!["b".to_owned(), "c".to_owned()])
        );
    }
}
