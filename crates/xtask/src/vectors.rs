//! Vectors: `testdata` says where it comes from, and is what it was.
//!
//! Every folder that holds files has a `README.md`, its own or that of a folder above it, whose lines `Tool:`,
//! `Version:` and `Command:` name what made the files (by hand is an answer). `testdata/SHA256SUMS`, in the format of
//! `sha256sum`, pins every file but the READMEs: one that changed, came or went without `cargo xtask vectors pin` fails.

use crate::{Failure, cargo};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const SUMS: &str = "SHA256SUMS";
const README: &str = "README.md";
/// How many complaints are printed.
const SHOWN: usize = 10;
/// What a README must say, each at the start of a line (a list mark and emphasis aside).
const STATED: [&str; 3] = ["Tool:", "Version:", "Command:"];

/// Fails on an undocumented folder and on a file that is not what was pinned.
pub(crate) fn check() -> Result<(), Failure> {
    let folder = cargo::root().join("testdata");
    let found = sums(&folder)?;
    let pinned = fs::read_to_string(folder.join(SUMS)).unwrap_or_default();
    let mut wrong = undocumented(&folder, found.keys())?;
    wrong.extend(different(&parse(&pinned), &found));
    if wrong.is_empty() {
        println!("vectors: {} files, documented and as pinned", found.len());
        return Ok(());
    }
    let more = wrong.len().saturating_sub(SHOWN);
    wrong.truncate(SHOWN);
    if more > 0 {
        wrong.push(format!("and {more} more"));
    }
    Err(wrong.join("\n").into())
}

/// Writes the sums of the files as they are now.
pub(crate) fn pin() -> Result<(), Failure> {
    let folder = cargo::root().join("testdata");
    let found = sums(&folder)?;
    let text: String = found
        .iter()
        .map(|(path, sum)| format!("{sum}  {path}\n"))
        .collect();
    fs::write(folder.join(SUMS), text)?;
    println!(
        "vectors: pinned {} files; look at the difference before you commit it",
        found.len()
    );
    Ok(())
}

fn parse(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter_map(|line| line.split_once("  "));
    lines
        .map(|(sum, path)| (path.to_owned(), sum.to_owned()))
        .collect()
}

fn different(pinned: &BTreeMap<String, String>, found: &BTreeMap<String, String>) -> Vec<String> {
    let hint = "if that is meant: cargo xtask vectors pin";
    let mut wrong = Vec::new();
    for (path, sum) in found {
        match pinned.get(path) {
            None => wrong.push(format!("testdata/{path}: not pinned; {hint}")),
            Some(pinned) if pinned != sum => wrong.push(format!("testdata/{path}: changed; {hint}")),
            Some(_) => {}
        }
    }
    let gone = pinned.keys().filter(|path| !found.contains_key(*path));
    wrong.extend(gone.map(|path| format!("testdata/{path}: gone; {hint}")));
    wrong
}

fn undocumented<'a>(folder: &Path, paths: impl Iterator<Item = &'a String>) -> Result<Vec<String>, Failure> {
    let mut wrong: Vec<String> = Vec::new();
    for path in paths {
        let readme = Path::new(path)
            .ancestors()
            .skip(1)
            .filter(|parent| *parent != Path::new(""))
            .map(|parent| parent.join(README))
            .find(|readme| folder.join(readme).is_file());
        let Some(readme) = readme else {
            wrong.push(format!("testdata/{path}: no README.md beside or above it"));
            continue;
        };
        let text = fs::read_to_string(folder.join(&readme))?;
        for word in STATED.iter().filter(|word| !states(&text, word)) {
            wrong.push(format!("testdata/{}: no line `{word} ...`", readme.display()));
        }
    }
    wrong.sort();
    wrong.dedup();
    Ok(wrong)
}

fn states(readme: &str, word: &str) -> bool {
    readme.lines().any(|line| {
        let line = line.trim_start_matches([' ', '-', '*']).replace("**", "");
        line.strip_prefix(word)
            .is_some_and(|rest| !rest.trim().is_empty())
    })
}

/// The sum of every file below `folder`, by its path in there.
fn sums(folder: &Path) -> Result<BTreeMap<String, String>, Failure> {
    let mut sums = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(folder)?.to_string_lossy().into_owned();
            if name != SUMS && !path.ends_with(README) {
                let sum = Sha256::digest(fs::read(&path)?);
                sums.insert(name, sum.iter().map(|byte| format!("{byte:02x}")).collect());
            }
        }
    }
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_an_addition_and_a_loss_are_told_apart() {
        let pinned = parse("aa  same\nbb  changed\ncc  gone\n");
        let found = parse("aa  same\nb0  changed\ndd  new\n");
        let wrong = different(&pinned, &found).join("\n");
        assert_eq!(wrong.lines().count(), 3);
        for text in ["changed: changed", "new: not pinned", "gone: gone"] {
            assert!(wrong.contains(text), "{wrong}");
        }
    }

    #[test]
    fn a_folder_without_a_full_readme_is_undocumented() -> Result<(), Failure> {
        let folder = tempfile::tempdir()?;
        fs::create_dir_all(folder.path().join("a/deep"))?;
        fs::write(folder.path().join("a/deep/file"), "abc")?;
        let sums = sums(folder.path())?;
        assert!(sums["a/deep/file"].starts_with("ba7816bf8f01cfea414140de5dae2223"));
        assert!(undocumented(folder.path(), sums.keys())?[0].contains("no README.md"));
        fs::write(
            folder.path().join("a/README.md"),
            "- **Tool:** sops\nVersion: 3.11.0\nCommand:\n",
        )?;
        assert_eq!(
            undocumented(folder.path(), sums.keys())?,
            ["testdata/a/README.md: no line `Command: ...`"]
        );
        Ok(())
    }
}
