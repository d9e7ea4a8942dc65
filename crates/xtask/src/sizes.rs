//! Sizes: a file that no longer fits a reader's head is split, or `crates/xtask/sizes.txt` says why not.
//!
//! Counted are the lines above the file's tests. More than 400 are reported, more than 600 are a failure. Files that
//! are tests throughout (`tests.rs`, or below a folder `tests` but for `tests/support`) are only reported.

use crate::{Failure, cargo};
use std::fs;
use std::path::{Path, PathBuf};

/// From here on a file is looked at again.
const REPORTED: usize = 400;
/// From here on it is split.
const REFUSED: usize = 600;

/// The files that may be longer: a path, a blank, the reason.
const EXCEPTIONS: &str = include_str!("../sizes.txt");

/// Reports long files and fails on those that are too long without a reason.
pub(crate) fn check() -> Result<(), Failure> {
    let root = cargo::root();
    let mut wrong = Vec::new();
    let mut files = Vec::new();
    for folder in ["crates", "cli", "controller", "tests"] {
        collect(&root.join(folder), &mut files)?;
    }
    files.sort();
    for file in &files {
        let path = file.strip_prefix(&root)?.to_string_lossy().into_owned();
        let lines = lines_above_tests(&fs::read_to_string(file)?);
        let excused = reason(EXCEPTIONS, &path);
        if lines > REPORTED {
            println!(
                "sizes: {path}: {lines} lines{}",
                excused.map_or(String::new(), |why| format!(" ({why})"))
            );
        }
        if lines > REFUSED && excused.is_none() && !is_test(&path) {
            wrong.push(format!(
                "{path}: {lines} lines; split it by subject, or give a reason in crates/xtask/sizes.txt"
            ));
        }
    }
    for (path, _) in exceptions(EXCEPTIONS).filter(|(path, _)| !root.join(path).is_file()) {
        wrong.push(format!(
            "{path}: named in crates/xtask/sizes.txt, but there is no such file"
        ));
    }
    println!("sizes: {} files", files.len());
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("\n").into())
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            if path.file_name().is_none_or(|name| name != "target") {
                collect(&path, files)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// The lines before the module of unit tests that ends a file.
fn lines_above_tests(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    let tests = lines
        .windows(2)
        .position(|pair| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod tests {"));
    tests.unwrap_or(lines.len())
}

fn is_test(path: &str) -> bool {
    let support = path.starts_with("tests/support/src");
    !support && (path.ends_with("/tests.rs") || path.split('/').any(|part| part == "tests"))
}

fn exceptions(table: &str) -> impl Iterator<Item = (&str, &str)> {
    table
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(' '))
}

fn reason<'a>(table: &'a str, path: &str) -> Option<&'a str> {
    exceptions(table)
        .find(|(name, _)| *name == path)
        .map(|(_, reason)| reason.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unit_tests_are_not_counted_and_test_files_not_refused() {
        assert_eq!(lines_above_tests("a\nb\n\n#[cfg(test)]\nmod tests {\n}\n"), 3);
        assert_eq!(lines_above_tests("a\n#[cfg(test)]\nmod tests;\nb\n"), 4);
        assert!(is_test("tests/cli/main.rs") && is_test("crates/sops/src/mac/tests.rs"));
        assert!(!is_test("tests/support/src/run.rs") && !is_test("crates/sops/src/mac.rs"));
    }

    #[test]
    fn an_exception_needs_a_reason() {
        let table = "# path reason\na/b.rs a table\nc.rs\n";
        assert_eq!(
            (reason(table, "a/b.rs"), reason(table, "c.rs")),
            (Some("a table"), None)
        );
    }
}
