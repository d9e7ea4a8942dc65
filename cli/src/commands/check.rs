//! `seal check`: what can be said of files without any key.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use document::{Document, Form};

use crate::args::InputFormat;
use crate::error::{Code, Error, Result};
use crate::files;
use crate::walk::{Walk, is_document};
use crate::workbench::Workbench;

/// Check, without any key, that everything is sealed that should be
///
/// Every value that the policy or the file wants sealed is well-formed ciphertext, the recipients are those of
/// the policy, and the metadata is whole. Exit code 1 if something is found.
#[derive(clap::Args)]
#[command(after_help = "Example, in CI:\n  seal check --json .")]
pub(crate) struct Check {
    /// Files and folders
    #[arg(default_value = ".")]
    paths: Vec<PathBuf>,

    #[command(flatten)]
    input: InputFormat,
}

impl Check {
    pub(crate) fn run(self, bench: &Workbench) -> Result<ExitCode> {
        let named =
            |path: &Path| matches!(bench.rule(path), Ok(Some((_, Some(rule)))) if rule.path_regex.is_some());
        let walk = Walk::over(&self.paths, &|path| is_document(path) || named(path), &[]);
        let mut found = walk.errors;
        let results = bench.for_each(&walk.files, |bench, file| self.one(bench, &file.path))?;
        let mut sealed = 0;
        for result in results {
            match result {
                Ok(is_sealed) => sealed += usize::from(is_sealed),
                Err(errors) => found.extend(errors),
            }
        }
        let files = walk.files.len();
        let text = format!("{}, {sealed} sealed", super::counted(files, "file"));
        super::tell_found(bench, &found, &[("files", files), ("sealed", sealed)], &text)
    }

    /// Whether the file is sealed, and in order.
    fn one(&self, bench: &Workbench, path: &Path) -> Result<bool, Vec<Error>> {
        let single = |error: Error| vec![error];
        let format = self.input.of(path);
        if let Some(error) = super::seal::secrets::in_the_clear(bench, path).map_err(single)? {
            return Err(single(error));
        }
        let source = files::read(path, bench.global.max_size).map_err(single)?;
        let rule = bench
            .rule(path)
            .map_err(single)?
            .and_then(|(policy, rule)| Some((policy, rule?)));
        if !super::looks_sealed(format, source.expose()) {
            return match rule.filter(|(_, rule)| rule.path_regex.is_some()) {
                Some((_, rule)) => unsealed(bench, path, format, source, &rule.rules).map(|()| false),
                None => Ok(false),
            };
        }
        let Some(file) = bench.read_sealed(path, format, source).map_err(single)? else {
            return Ok(false);
        };
        let mut errors: Vec<Error> = sops::check(&file.document, &file.metadata)
            .map_err(|error| single(Error::from((path, error))))?
            .into_iter()
            .map(|error| Error::from((path, error)))
            .collect();
        if let Err(error) = file.metadata.threshold() {
            errors.push(Error::new(Code::Read, error.to_string()).file(path));
        }
        if let Some((policy, rule)) = rule {
            if policy.config.seal.require_integrity && file.metadata.integrity.is_none() {
                let text = "sops.integrity: the policy requires it, but the file has none";
                errors.push(Error::new(Code::MacMismatch, text).file(path));
            }
            if rule.has_keys() {
                errors.extend(recipients(path, &file.metadata, &rule));
            }
        }
        if errors.is_empty() { Ok(true) } else { Err(errors) }
    }
}

/// A file without metadata that a rule names: an error for every value that should be sealed.
fn unsealed(
    bench: &Workbench,
    path: &Path,
    format: document::Format,
    source: secret::SecretBytes,
    rules: &sops::Rules,
) -> Result<(), Vec<Error>> {
    let document = Document::parse(format, Form::Plain, source, &bench.limits())
        .map_err(|error| vec![Error::from((path, error))])?;
    let errors = sops::unsealed(&document, rules).map_err(|error| vec![Error::from((path, error))])?;
    if errors.is_empty() {
        return Ok(());
    }
    Err(errors
        .into_iter()
        .map(|error| Error::from((path, error)))
        .collect())
}

fn recipients(path: &Path, metadata: &sops::Metadata, rule: &sops::config::CreationRule) -> Vec<Error> {
    let mut errors = Vec::new();
    let listed: Vec<_> = metadata
        .groups
        .iter()
        .flatten()
        .filter_map(sops::KeyEntry::master_key)
        .collect();
    for key in listed
        .iter()
        .filter(|key| !rule.keys().any(|named| named.names(key)))
    {
        let text = format!("the file lists a recipient that the policy does not name: {key}");
        errors.push(Error::new(Code::Conflict, text).file(path));
    }
    let lacking = |named: &&sops::MasterKey| !listed.iter().any(|key| named.names(key));
    for key in rule.keys().filter(lacking) {
        let text = format!("the policy names a recipient that the file does not list: {key}");
        errors.push(Error::new(Code::Conflict, text).file(path));
    }
    errors
}
