//! `seal [PATH...]`: the main job.
//!
//! A file without metadata is sealed if a rule of the policy names it. In a sealed file the author's changes are
//! sealed: they are the differences from the last version that verifies, in git. Without such a version nothing
//! tells an author's change from an attacker's, and `--accept` is demanded.

pub(super) mod secrets;

use std::borrow::Cow;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use document::Format;
use secret::SecretBytes;
use sops::{DataKey, Metadata};

use super::encrypt::recipe_of;
use crate::args::InputFormat;
use crate::error::{Code, Error, Result};
use crate::files::{self, Target};
use crate::git::Repository;
use crate::kube::{parse, rule_of, sealed_secrets};
use crate::walk::{Found, Walk, is_document};
use crate::workbench::{SealedFile, Workbench};
use secrets::{Sealed, Secrets};

/// Seal files under PATH by policy
#[derive(clap::Args)]
pub(crate) struct Seal {
    /// Files and folders; the current folder if none is given
    paths: Vec<PathBuf>,

    /// Take the changes in a sealed file that has no verifying version in git
    #[arg(long)]
    accept: bool,

    #[command(flatten)]
    input: InputFormat,
}

/// What became of a file.
enum Outcome {
    Sealed(Cow<'static, str>),
    InOrder,
    NotOurs,
    /// Its rule names no path: a file is sealed under it only if it is named.
    NoPath,
    /// A rule names it, but selects nothing in it.
    NothingSelected,
}

impl From<Sealed> for Outcome {
    fn from(sealed: Sealed) -> Self {
        match sealed {
            Sealed::InOrder => Self::InOrder,
            Sealed::InPlace => Self::Sealed("as SealedSecrets".into()),
            Sealed::To(1) => Self::Sealed("to 1 cluster".into()),
            Sealed::To(count) => Self::Sealed(format!("to {count} clusters").into()),
        }
    }
}

/// How many files had which outcome.
#[derive(Default)]
struct Tally {
    sealed: u64,
    in_order: u64,
    no_path: u64,
    nothing_selected: u64,
}

impl Seal {
    pub(crate) fn run(self, bench: &Workbench) -> Result<ExitCode> {
        let paths = if self.paths.is_empty() {
            vec![PathBuf::from(".")]
        } else {
            self.paths.clone()
        };
        let repository = paths.first().and_then(|path| Repository::holding(path));
        let tracked = match &repository {
            Some(repository) => repository.tracked_though_ignored()?,
            None => Vec::new(),
        };
        let named =
            |path: &Path| matches!(bench.rule(path), Ok(Some((_, Some(rule)))) if rule.path_regex.is_some());
        let mut walk = Walk::over(&paths, &|path| is_document(path) || named(path), &tracked);
        let has_rule = |path: &Path| matches!(rule_of(bench, path), Ok(Some(_)));
        let ignored = if has_rules(bench, &paths, &walk.files) {
            walk.add_ignored(&paths, &has_rule)
        } else {
            HashSet::new()
        };
        let secrets = Secrets::find(bench, &walk.files)?;
        let mut failed = std::mem::take(&mut walk.errors);
        let repository = Mutex::new(repository);
        let outcomes = bench.for_each(&walk.files, |bench, found| {
            match secrets.seal(bench, &found.path)? {
                Some(sealed) => Ok(sealed.into()),
                // A rule for Secrets is why it was looked at, and no other.
                None if ignored.contains(&found.path) => Ok(Outcome::NotOurs),
                None => self.one(bench, found, &repository),
            }
        })?;
        let mut tally = Tally::default();
        for (found, outcome) in walk.files.iter().zip(outcomes) {
            match outcome {
                Ok(outcome) => tally.add(bench, &found.path, outcome)?,
                Err(error) => failed.push(error),
            }
        }
        tally.hints(bench, &paths, failed.is_empty());
        for source in secrets.sources().filter(|source| !ignored.contains(*source)) {
            bench.ui.warn(
                Some(source),
                "its values stay here in the clear, where git sees them",
            );
        }
        secrets.finish()?;
        let code = super::tell_all(bench, &failed);
        if paths.iter().any(|path| is_word(path) && !path.exists()) {
            bench
                .ui
                .hint("no command has this name either: `seal --help` lists them");
        }
        Ok(code)
    }

    fn one(
        &self,
        bench: &Workbench,
        found: &Found,
        repository: &Mutex<Option<Repository>>,
    ) -> Result<Outcome> {
        let path = found.path.as_path();
        let format = self.input.of(path);
        let source = files::read_to_change(path, bench.global.max_size)?;
        if holds_sealed_secrets(bench, path, source.expose()) {
            return Ok(Outcome::InOrder);
        }
        if super::looks_sealed(format, source.expose())
            && let Some(file) = bench.read_sealed(path, format, source)?
        {
            return self.sealed(bench, path, format, file, repository);
        }
        let rule = match bench.rule(path)? {
            Some((_, Some(rule))) => rule,
            _ if !found.explicit => return Ok(Outcome::NotOurs),
            other => {
                return Err(
                    Error::new(Code::ConfigNotFound, "no rule of a policy names this file")
                        .file(path)
                        .hint(if other.is_some() {
                            "add a rule whose path_regex matches it to .sops.yaml; \
                             `seal encrypt -i --age RECIPIENT FILE` needs none"
                        } else {
                            "`seal init` writes a policy; `seal encrypt -i --age RECIPIENT FILE` needs none"
                        }),
                );
            }
        };
        if rule.path_regex.is_none() && !found.explicit {
            return Ok(Outcome::NoPath);
        }
        if !rule.has_keys() {
            return Err(Error::new(
                Code::NoEncryptionKey,
                "the policy's rule for this file names no key",
            )
            .file(path));
        }
        let (target, source) = Target::open(path, bench.global.max_size)?;
        // Somebody may have sealed it between the look and the lock.
        if super::looks_sealed(format, source.expose()) {
            let copy = SecretBytes::copy_from(source.expose());
            if let Some(file) = bench.read_sealed(path, format, copy)? {
                drop(target);
                return self.sealed(bench, path, format, file, repository);
            }
        }
        let sealed = bench.seal_new(path, format, source, &recipe_of(&rule))?;
        if sealed.count == 0 {
            if found.explicit {
                return Err(
                    Error::new(Code::EncryptTree, "nothing in this file is selected to be sealed").file(path),
                );
            }
            return Ok(Outcome::NothingSelected);
        }
        replace(bench, path, target, sealed.bytes.expose())?;
        Ok(Outcome::Sealed("new".into()))
    }

    /// A sealed file: in order, or with changes to be sealed.
    fn sealed(
        &self,
        bench: &Workbench,
        path: &Path,
        format: Format,
        mut file: SealedFile,
        repository: &Mutex<Option<Repository>>,
    ) -> Result<Outcome> {
        let changed =
            sops::check(&file.document, &file.metadata).map_err(|error| Error::from((path, error)))?;
        let key = match bench.unwrap_or_correct(path, &mut file.metadata) {
            Ok(key) => key,
            Err(_) if changed.is_empty() => return Ok(Outcome::InOrder),
            Err(error) => {
                let place = Error::from((path, changed.into_iter().next().unwrap_or(sops::Error::Paths)));
                return Err(place.with_code(Code::DataKey).cause(&error));
            }
        };
        let metadata = file.metadata.clone();
        let key_again = DataKey::new(*key.expose());
        let error = if changed.is_empty() {
            match bench.open_with(path, file, key, false, true) {
                Ok(open) if open.metadata.integrity.is_some() => return Ok(Outcome::InOrder),
                Ok(_) => {
                    // Once more, under the lock: what is written stands on what is there then.
                    let (target, source) = Target::open(path, bench.global.max_size)?;
                    let file = bench
                        .read_sealed(path, format, source)?
                        .ok_or_else(|| super::not_sealed(path))?;
                    let open = bench.open(path, file, false, true)?;
                    let sealed = bench.seal_again(
                        path,
                        format,
                        open.opened.plaintext,
                        open.metadata,
                        &open.key,
                        open.opened.kept,
                    )?;
                    replace(bench, path, target, sealed.bytes.expose())?;
                    return Ok(Outcome::Sealed(
                        "integrity added: another tool wrote the file".into(),
                    ));
                }
                Err(error) if error.code() != Code::MacMismatch => return Err(error),
                Err(error) => error,
            }
        } else {
            Error::from((path, changed.into_iter().next().unwrap_or(sops::Error::Paths)))
        };
        self.edited(bench, path, format, &metadata, key_again, error, repository)
    }

    /// Seals what differs from the last version that verifies.
    #[allow(clippy::too_many_arguments)]
    fn edited(
        &self,
        bench: &Workbench,
        path: &Path,
        format: Format,
        metadata: &Metadata,
        key: DataKey,
        error: Error,
        repository: &Mutex<Option<Repository>>,
    ) -> Result<Outcome> {
        let base = base(bench, path, format, repository)?;
        let base = match base {
            Some(base) if same_block(&base.metadata, metadata) => Some(base),
            Some(_) => {
                return Err(Error::new(
                    Code::MacMismatch,
                    "the `sops` block differs from the last version that verifies",
                )
                .file(path)
                .cause(&error)
                .hint("take the block of that version back; recipients are changed by their own commands"));
            }
            None if self.accept => None,
            None => {
                return Err(error.with_code(Code::MacMismatch).hint(
                    "git has no version of this file that verifies: look at every change, then pass --accept",
                ));
            }
        };
        let (target, source) = Target::open(path, bench.global.max_size)?;
        let Some(draft) = bench.read_sealed(path, format, source)? else {
            return Err(super::not_sealed(path));
        };
        if draft.metadata != *metadata {
            return Err(Error::new(Code::Write, "changed on disk while it was looked at").file(path));
        }
        let plaintext = bench.open_draft(path, &draft, &key)?;
        let (metadata, kept) = match base {
            Some(base) => (base.metadata, base.opened.kept),
            None => (draft.metadata, None),
        };
        let sealed = bench.seal_again(path, format, plaintext, metadata, &key, kept)?;
        replace(bench, path, target, sealed.bytes.expose())?;
        Ok(Outcome::Sealed("changes".into()))
    }
}

impl Tally {
    /// Counts and reports one file.
    fn add(&mut self, bench: &Workbench, path: &Path, outcome: Outcome) -> Result<()> {
        let detail = |what| {
            bench
                .ui
                .detail(1, &format!("{what} {}", crate::escape::path(path)))
        };
        match outcome {
            Outcome::Sealed(how) => {
                self.sealed += 1;
                bench.ui.report("sealed", path, Some(&how))?;
            }
            Outcome::InOrder => {
                self.in_order += 1;
                detail("in order");
            }
            Outcome::NothingSelected => {
                self.nothing_selected += 1;
                detail("nothing selected in");
            }
            Outcome::NoPath => self.no_path += 1,
            Outcome::NotOurs => {}
        }
        Ok(())
    }

    /// What a person should know who expected more to be sealed.
    fn hints(&self, bench: &Workbench, paths: &[PathBuf], fine: bool) {
        let hint = |text: String| bench.ui.hint(&text);
        if self.no_path > 0 {
            hint(format!(
                "{} left alone: the rule has no path_regex; name a file to seal it",
                files_are(self.no_path)
            ));
        }
        if self.nothing_selected > 0 {
            hint(format!(
                "{} named by a rule that selects nothing in it: not sealed (-v tells which)",
                files_are(self.nothing_selected)
            ));
        }
        let nothing = self.sealed + self.no_path + self.nothing_selected == 0;
        if nothing && fine {
            let why = if self.in_order > 0 {
                format!("{} in order", files_are(self.in_order))
            } else if has_policy(bench, paths) {
                "no file here has a name that a path_regex of the policy matches".to_owned()
            } else {
                "there is no policy yet; `seal init` writes one".to_owned()
            };
            hint(format!("nothing to seal: {why}"));
        }
    }
}

/// `1 file is`, `2 files are`
fn files_are(count: u64) -> String {
    if count == 1 {
        "1 file is".to_owned()
    } else {
        format!("{count} files are")
    }
}

fn has_policy(bench: &Workbench, paths: &[PathBuf]) -> bool {
    let policy = |path: &PathBuf| bench.rule(&path.join("file"));
    paths.iter().any(|path| matches!(policy(path), Ok(Some(_))))
}

/// Whether a path could be meant as the name of a command.
fn is_word(path: &Path) -> bool {
    let bytes = path.as_os_str().as_encoded_bytes();
    bytes
        .iter()
        .all(|byte| byte.is_ascii_lowercase() || *byte == b'-')
}

/// The last version of the file in git, if it verifies.
fn base(
    bench: &Workbench,
    path: &Path,
    format: Format,
    repository: &Mutex<Option<Repository>>,
) -> Result<Option<crate::workbench::OpenFile>> {
    let source = {
        let mut repository = repository.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(repository) = repository.as_mut() else {
            return Ok(None);
        };
        repository.base(path, bench.global.max_size)?
    };
    let Some((_, source)) = source else {
        return Ok(None);
    };
    let Some(file) = bench.read_sealed(path, format, source)? else {
        return Ok(None);
    };
    Ok(bench.open(path, file, false, true).ok())
}

/// Whether an author left alone who can open the file and what of it is sealed. The seals themselves differ
/// when the file was sealed since that version.
fn same_block(a: &Metadata, b: &Metadata) -> bool {
    let unsealed = |block: &Metadata| Metadata {
        lastmodified: String::new(),
        mac: None,
        integrity: None,
        layout: None,
        ..block.clone()
    };
    unsealed(a) == unsealed(b)
}

/// Whether a policy for any of this has rules for Secrets.
fn has_rules(bench: &Workbench, paths: &[PathBuf], files: &[Found]) -> bool {
    let rules = |path: &Path| matches!(bench.policy(path), Ok(Some(policy)) if !policy.config.seal.sealed_secrets.is_empty());
    paths.iter().any(|path| rules(&path.join("file"))) || files.iter().any(|found| rules(&found.path))
}

/// Whether a file holds SealedSecrets under a policy that names clusters: sealed already, in another way, and nothing that a
/// cluster reads in SOPS' way.
fn holds_sealed_secrets(bench: &Workbench, path: &Path, source: &[u8]) -> bool {
    let has_clusters =
        || matches!(bench.policy(path), Ok(Some(policy)) if !policy.config.seal.clusters.is_empty());
    memchr::memmem::find(source, b"SealedSecret").is_some()
        && has_clusters()
        && parse(bench, path, SecretBytes::copy_from(source))
            .is_ok_and(|manifests| sealed_secrets(path, &manifests).is_ok_and(|found| !found.is_empty()))
}

fn replace(bench: &Workbench, path: &Path, target: Target, bytes: &[u8]) -> Result<()> {
    for text in target.replace(bytes)? {
        bench.ui.warn(Some(path), &text);
    }
    Ok(())
}
