//! Finding the policy file that governs a target.
//!
//! Natively the nearest `.sops.yaml` at or above the target's folder counts; as sops, the nearest above the
//! current directory; `--config` and SOPS_CONFIG name one for all. Each is read and parsed once.
//! A `.sops.yml` is never read; it is worth a warning.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use document::Position;
use sops::config::{Config, CreationRule, DestinationRule};

use crate::error::{Code, Error, Result};
use crate::files::{self, Cap};

/// The name that counts.
pub(crate) const NAME: &str = ".sops.yaml";
const OTHER_NAME: &str = ".sops.yml";
/// How many folders are searched, as sops does.
const DEPTH: usize = 100;

/// Where the search begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// In the folder of the target.
    Target,
    /// In the current directory, as sops does.
    CurrentDirectory,
}

/// A policy file that was read.
#[derive(Debug)]
pub(crate) struct Policy {
    /// Its absolute path.
    pub(crate) path: PathBuf,
    /// What it says.
    pub(crate) config: Config,
}

impl Policy {
    /// The folder it stands in, to which its path rules are relative.
    pub(crate) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    /// The first creation rule for the file at `target`. Tested is its absolute path, less the policy's folder
    /// where the file is below it.
    ///
    /// # Errors
    /// Code 2 if the current directory is gone.
    pub(crate) fn rule_for(&self, target: &Path) -> Result<Option<&CreationRule>> {
        Ok(self.config.rule_for(&self.tested(target)?))
    }

    /// The first destination rule for the file at `target`, tested in the same way. (sops tests the path as it is typed.)
    ///
    /// # Errors
    /// Code 2 if the current directory is gone.
    pub(crate) fn destination_for(&self, target: &Path) -> Result<Option<&DestinationRule>> {
        Ok(self.config.destination_for(&self.tested(target)?))
    }

    /// The path of a file as rules see it: relative to the policy's folder where it is below it, else absolute.
    ///
    /// # Errors
    /// Code 2 if the current directory is gone.
    pub(crate) fn tested(&self, target: &Path) -> Result<String> {
        let target = absolute(target)?;
        let tested = target.strip_prefix(self.folder()).unwrap_or(&target);
        Ok(tested.to_string_lossy().into_owned())
    }
}

/// Something about a policy file that its author should know.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Warning {
    /// The file.
    pub(crate) file: PathBuf,
    /// What, with line and column where there are any.
    pub(crate) text: String,
}

type Shared = Option<Rc<Policy>>;

/// Finds, reads and remembers policies.
pub(crate) struct Policies {
    named: Option<PathBuf>,
    start: Start,
    /// By folder; `None` where neither it nor any folder above has a policy.
    known: RefCell<HashMap<PathBuf, Shared>>,
    warnings: RefCell<Vec<Warning>>,
}

impl Policies {
    /// `named` is the file of `--config`, if given.
    pub(crate) fn new(named: Option<PathBuf>, start: Start) -> Self {
        Self {
            named,
            start,
            known: RefCell::default(),
            warnings: RefCell::default(),
        }
    }

    /// Where each search begins.
    pub(crate) fn start(&self) -> Start {
        self.start
    }

    /// The policy for the file at `target`, which need not exist; `None` if there is none.
    ///
    /// # Errors
    /// Code 5 if a policy file cannot be read or used, 61 if the named one does not exist.
    pub(crate) fn for_target(&self, target: &Path) -> Result<Shared> {
        if let Some(named) = &self.named {
            return self.named(named).map(Some);
        }
        let folder = match self.start {
            Start::CurrentDirectory => absolute(Path::new("."))?,
            Start::Target => {
                let target = absolute(target)?;
                target.parent().unwrap_or(&target).to_owned()
            }
        };
        self.search(&folder)
    }

    /// What came up since this was last asked: entries without effect, and files called `.sops.yml`.
    pub(crate) fn warnings(&self) -> Vec<Warning> {
        self.warnings.take()
    }

    fn named(&self, named: &Path) -> Result<Rc<Policy>> {
        let path = absolute(named)?;
        if let Some(Some(known)) = self.known.borrow().get(&path) {
            return Ok(known.clone());
        }
        let none = || {
            Error::new(Code::ConfigNotFound, "no such policy file")
                .file(named)
                .hint(
                    "--config or SOPS_CONFIG names it; else the nearest .sops.yaml above each file is taken",
                )
        };
        let policy = self.load(path.clone())?.ok_or_else(none)?;
        self.known.borrow_mut().insert(path, Some(policy.clone()));
        Ok(policy)
    }

    fn search(&self, folder: &Path) -> Result<Shared> {
        let mut passed = Vec::new();
        let mut found = None;
        for folder in folder.ancestors().take(DEPTH) {
            if let Some(known) = self.known.borrow().get(folder) {
                found = known.clone();
                break;
            }
            passed.push(folder.to_owned());
            if let Some(policy) = self.load(folder.join(NAME))? {
                found = Some(policy);
                break;
            }
            let other = folder.join(OTHER_NAME);
            if other.is_file() {
                let text = format!("is not read: the name that counts is {NAME}");
                self.warnings.borrow_mut().push(Warning { file: other, text });
            }
        }
        self.known
            .borrow_mut()
            .extend(passed.into_iter().map(|folder| (folder, found.clone())));
        Ok(found)
    }

    fn load(&self, path: PathBuf) -> Result<Shared> {
        let bytes = match files::read(&path, Cap::default()) {
            Ok(bytes) => bytes,
            Err(error) if error.code() == Code::NoFile => return Ok(None),
            Err(error) => return Err(error.with_code(Code::Config)),
        };
        let config = Config::parse(bytes.expose()).map_err(|refused| {
            let place = |number| u32::try_from(number).unwrap_or(u32::MAX);
            let at = Position {
                line: place(refused.line),
                column: place(refused.column),
            };
            let error = Error::new(Code::Config, refused.why).file(&path);
            if at.line > 0 { error.at(at) } else { error }
        })?;
        let warning = |warning: &sops::config::ConfigWarning| Warning {
            file: path.clone(),
            text: warning.to_string(),
        };
        self.warnings
            .borrow_mut()
            .extend(config.warnings.iter().map(warning));
        Ok(Some(Rc::new(Policy { path, config })))
    }
}

/// `path` from the root, without `.` and `..`, links not resolved: the form that path rules are tested with.
///
/// # Errors
/// Code 2 if the current directory is gone.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf> {
    let gone = |cause: io::Error| Error::new(Code::Read, "the current directory is not there").cause(&cause);
    let mut clean = if path.is_absolute() {
        PathBuf::new()
    } else {
        std::env::current_dir().map_err(gone)?
    };
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(clean.pop()),
            part => clean.push(part),
        }
    }
    Ok(clean)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A policy with one rule for this pattern.
    fn rule(pattern: &str) -> String {
        format!("creation_rules:\n  - path_regex: {pattern}\n    encrypted_suffix: x\n")
    }

    fn tree() -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(dir.path().join("a/b/c")).expect("made");
        fs::write(dir.path().join(NAME), rule("top")).expect("written");
        fs::write(dir.path().join("a/b/.sops.yaml"), rule("^c/inner")).expect("written");
        fs::write(dir.path().join("a/.sops.yml"), rule("wrong")).expect("written");
        dir
    }

    fn pattern(policy: Shared) -> String {
        let policy = policy.expect("a policy");
        let path_regex = policy.config.creation_rules[0].path_regex.as_ref();
        path_regex.expect("a pattern").as_str().to_owned()
    }

    #[test]
    fn the_nearest_above_the_target_counts_and_is_read_once() {
        let dir = tree();
        let policies = Policies::new(None, Start::Target);
        let of = |path: &str| policies.for_target(&dir.path().join(path)).expect("found");
        assert_eq!(pattern(of("x.yaml")), "top");
        assert_eq!(pattern(of("a/b/c/x.yaml")), "^c/inner");
        assert_eq!(pattern(of("a/b/../x.yaml")), "top");
        let warnings = policies.warnings();
        assert_eq!(warnings.len(), 1);
        assert_eq!(warnings[0].file, dir.path().join("a/.sops.yml"));
        assert!(policies.warnings().is_empty());
        fs::write(dir.path().join("a/b/.sops.yaml"), rule("changed")).expect("written");
        let (one, other) = (of("a/b/x.yaml").expect("one"), of("a/b/c/y.yaml").expect("one"));
        assert!(Rc::ptr_eq(&one, &other));
        assert_eq!(one.folder(), dir.path().join("a/b"));
    }

    #[test]
    fn rules_are_tested_with_the_path_below_the_policy() {
        let dir = tree();
        let policies = Policies::new(None, Start::Target);
        let target = dir.path().join("a/b/c/inner.yaml");
        let policy = policies.for_target(&target).expect("found").expect("a policy");
        assert!(policy.rule_for(&target).expect("asked").is_some());
        assert!(
            policy
                .rule_for(&dir.path().join("c/inner.yaml"))
                .expect("asked")
                .is_none()
        );
    }

    #[test]
    fn a_named_file_counts_for_all_and_must_exist() {
        let dir = tree();
        let named = dir.path().join("a/.sops.yml");
        let policies = Policies::new(Some(named), Start::Target);
        let found = policies
            .for_target(&dir.path().join("a/b/x.yaml"))
            .expect("found");
        assert_eq!(pattern(found), "wrong");
        let policies = Policies::new(Some(dir.path().join("none")), Start::Target);
        assert_eq!(
            policies.for_target(Path::new("x")).expect_err("absent").code(),
            Code::ConfigNotFound
        );
    }

    #[test]
    fn a_policy_that_cannot_be_used_is_an_error_not_an_absence() {
        let dir = tempfile::tempdir().expect("a folder");
        let policy = dir.path().join(NAME);
        let target = dir.path().join("x.yaml");
        let refusal = || {
            Policies::new(None, Start::Target)
                .for_target(&target)
                .expect_err("refused")
        };
        fs::create_dir(&policy).expect("made");
        assert_eq!(refusal().code(), Code::Config);
        fs::remove_dir(&policy).expect("removed");
        for text in [
            &b"\xff"[..],
            b"creation_rules: 7",
            b"creation_rules:\n  - path_regex: '('\n",
        ] {
            fs::write(&policy, text).expect("written");
            let error = refusal();
            assert_eq!(error.code(), Code::Config);
            assert!(
                error.to_string().starts_with(&policy.display().to_string()),
                "{error:?}"
            );
        }
    }

    #[test]
    fn paths_are_cleaned_without_touching_the_disk() {
        assert_eq!(
            absolute(Path::new("/a/./b/../c//d/..")).expect("a path"),
            Path::new("/a/c")
        );
        assert_eq!(absolute(Path::new("/../a")).expect("a path"), Path::new("/a"));
        let here = std::env::current_dir().expect("a folder");
        assert_eq!(absolute(Path::new("x/../y")).expect("a path"), here.join("y"));
    }
}
