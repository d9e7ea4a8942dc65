//! Files of Secrets that a rule of `seal.sealed_secrets` names: they become SealedSecrets, in place where the rule says
//! nothing else, or one file for each cluster.
//!
//! A result that is there already is left alone as long as it is not older than its source and is sealed for the present
//! certificate: to seal is to change every item, and nothing but the dates tells whether a value is another one.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use sealed_secrets::{Certificate, Object, Scope};
use secret::SecretBytes;
use sops::config::SealedSecretRule;

use crate::audit::Action;
use crate::commands::{kube, looks_sealed};
use crate::error::{Code, Error, Result};
use crate::files::{self, Access, Existing, OutputDir, Target};
use crate::kube::{
    Asked, Certificates, Content, Destination, Prepared, apart, destinations, format_of, parse, prepare,
    rule_of, sealed_secrets,
};
use crate::policy::{Policy, absolute};
use crate::walk::Found;
use crate::workbench::Workbench;

/// What the files of a run become.
pub(super) struct Secrets {
    made: HashMap<PathBuf, Made>,
    /// By the folder of a policy, below which its results stand: what is new there is written at once and made durable
    /// together.
    outputs: HashMap<PathBuf, OutputDir>,
}

/// What one file becomes.
struct Made {
    rule: SealedSecretRule,
    /// The folder of the policy.
    folder: PathBuf,
    destinations: Vec<Destination>,
}

/// What became of a file that a rule names.
pub(super) enum Sealed {
    /// Everything is there already.
    InOrder,
    /// It was sealed in place.
    InPlace,
    /// It was sealed to so many places.
    To(usize),
}

impl Secrets {
    /// The rules and certificates for these files. Each certificate is read once, before any file is.
    ///
    /// # Errors
    /// Code 5 if a policy cannot be used, 111 if a certificate cannot.
    pub(super) fn find(bench: &Workbench, files: &[Found]) -> Result<Self> {
        let mut certificates = Certificates::default();
        let mut known: HashMap<(PathBuf, usize), Vec<Destination>> = HashMap::new();
        let (mut made, mut outputs) = (HashMap::new(), HashMap::new());
        for found in files {
            // What is wrong with a policy is told file by file.
            let Ok(Some(rule)) = rule_of(bench, &found.path) else {
                continue;
            };
            if !holds_secrets(bench, &found.path) {
                continue;
            }
            let key = (rule.0.path.clone(), rule.1.number);
            if !known.contains_key(&key) {
                known.insert(key.clone(), destinations(bench, &mut certificates, &rule)?);
            }
            let of_rule = known.get(&key).map(Vec::as_slice).unwrap_or_default();
            let destinations = of_rule
                .iter()
                .map(|destination| placed(&rule, destination))
                .collect();
            let folder = rule.0.folder().to_owned();
            if rule.1.output.is_some() && !outputs.contains_key(&folder) {
                let output = OutputDir::open(&folder, Access::Shared, Existing::Refuse)?;
                outputs.insert(folder.clone(), output);
            }
            made.insert(
                found.path.clone(),
                Made {
                    rule: rule.1,
                    folder,
                    destinations,
                },
            );
        }
        let results = made.iter().flat_map(|(source, made): (&PathBuf, &Made)| {
            let paths = made
                .destinations
                .iter()
                .filter_map(|destination| destination.path.as_deref());
            paths.map(move |path| (source.as_path(), path))
        });
        apart(results)?;
        Ok(Self { made, outputs })
    }

    /// Seals a file that a rule names; `None` for others.
    ///
    /// # Errors
    /// As [`prepare`], and code 3 if a result cannot be written.
    pub(super) fn seal(&self, bench: &Workbench, path: &Path) -> Result<Option<Sealed>> {
        let Some(made) = self.made.get(path) else {
            return Ok(None);
        };
        let rule = &made.rule;
        let asked = Asked {
            scope: rule.scope.as_deref().and_then(Scope::of_word),
            default_namespace: rule.namespace.clone(),
            ..Asked::default()
        };
        if let [
            Destination {
                path: None,
                certificate,
                ..
            },
        ] = &made.destinations[..]
        {
            return in_place(bench, path, &asked, certificate);
        }
        let source = files::read(path, bench.global.max_size)?;
        if looks_sealed(format_of(path, source.expose()), source.expose()) {
            return Ok(None);
        }
        let prepared = match prepare(bench, path, source, &asked)? {
            Content::Secrets(prepared) => prepared,
            Content::Sealed => return Ok(Some(Sealed::InOrder)),
            Content::Other => return Ok(None),
        };
        let mut results = Vec::new();
        for destination in &made.destinations {
            if let Some(to) = &destination.path
                && !is_current(bench, path, to, &prepared, &destination.certificate)
            {
                results.push((to, destination, prepared.seal(path, &destination.certificate)?));
            }
        }
        if results.is_empty() {
            return Ok(Some(Sealed::InOrder));
        }
        bench.record(Action::Encrypt, path)?;
        for (to, _, bytes) in &results {
            self.write(bench, &made.folder, to, bytes)?;
        }
        Ok(Some(Sealed::To(results.len())))
    }

    /// Puts a result in its place: one that is there is locked and replaced, a new one is durable after [`Self::finish`].
    fn write(&self, bench: &Workbench, folder: &Path, to: &Path, bytes: &SecretBytes) -> Result<()> {
        let below = absolute(to)?;
        match (self.outputs.get(folder), below.strip_prefix(folder)) {
            (Some(output), Ok(below)) if fs::symlink_metadata(to).is_err() => {
                output.write(below, bytes.expose())
            }
            _ => kube::write(bench, to, bytes),
        }
    }

    /// Waits until everything is on the disk.
    ///
    /// # Errors
    /// Code 3.
    pub(super) fn finish(self) -> Result<()> {
        self.outputs.into_values().try_for_each(OutputDir::finish)
    }

    /// The files that are sources of others.
    pub(super) fn sources(&self) -> impl Iterator<Item = &Path> {
        let is_source = |made: &Made| {
            made.destinations
                .iter()
                .any(|destination| destination.path.is_some())
        };
        self.made
            .iter()
            .filter(move |(_, made)| is_source(made))
            .map(|(path, _)| path.as_path())
    }
}

/// Whether it is worth to read a certificate for a file.
fn holds_secrets(bench: &Workbench, path: &Path) -> bool {
    let source = files::read(path, bench.global.max_size);
    source.is_ok_and(|source| {
        let has = |text: &[u8]| memchr::memmem::find(source.expose(), text).is_some();
        has(b"Secret") && has(b"kind")
    })
}

/// The destination of one file, made from that of another under the same rule.
fn placed((policy, rule, tested): &(Rc<Policy>, SealedSecretRule, String), of: &Destination) -> Destination {
    let output = rule.output.as_ref();
    Destination {
        path: output
            .map(|output| crate::kube::shown(&policy.folder().join(output.path(tested, &of.cluster)))),
        ..of.clone()
    }
}

fn in_place(
    bench: &Workbench,
    path: &Path,
    asked: &Asked,
    certificate: &Certificate,
) -> Result<Option<Sealed>> {
    let source = files::read_to_change(path, bench.global.max_size)?;
    if looks_sealed(format_of(path, source.expose()), source.expose()) {
        return Ok(None);
    }
    match prepare(bench, path, source, asked)? {
        Content::Secrets(_) => {}
        Content::Sealed => return Ok(Some(Sealed::InOrder)),
        Content::Other => return Ok(None),
    }
    // Once more, under the lock.
    let (target, source) = Target::open(path, bench.global.max_size)?;
    let Content::Secrets(prepared) = prepare(bench, path, source, asked)? else {
        return Ok(Some(Sealed::InOrder));
    };
    let bytes = prepared.seal(path, certificate)?;
    bench.record(Action::Encrypt, path)?;
    for warning in target.replace(bytes.expose())? {
        bench.ui.warn(Some(path), &warning);
    }
    prepared.warn(bench, path);
    Ok(Some(Sealed::InPlace))
}

/// Whether a result needs no new seal.
fn is_current(
    bench: &Workbench,
    source: &Path,
    result: &Path,
    prepared: &Prepared,
    certificate: &Certificate,
) -> bool {
    let modified = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let is_older = match (modified(result), modified(source)) {
        (Some(result), Some(source)) => result < source,
        _ => true,
    };
    if is_older {
        return false;
    }
    let read = || -> Result<bool> {
        let manifests = parse(bench, result, files::read(result, bench.global.max_size)?)?;
        Ok(prepared.is_in(&sealed_secrets(result, &manifests)?, certificate))
    };
    read().unwrap_or(false)
}

/// A Secret in the clear that a rule names and git does not ignore.
pub(in crate::commands) fn in_the_clear(bench: &Workbench, path: &Path) -> Result<Option<Error>> {
    if rule_of(bench, path)?.is_none() || !holds_secrets(bench, path) {
        return Ok(None);
    }
    let manifests = parse(bench, path, files::read(path, bench.global.max_size)?)?;
    for manifest in manifests.iter() {
        let objects = manifest
            .objects()
            .map_err(|error| crate::kube::manifest_error(path, error))?;
        let is_clear = |object: &&Object<'_>| object.kind() == "Secret" && object.field.get("sops").is_none();
        if let Some(object) = objects.iter().find(is_clear) {
            let text = "a Secret in the clear, which a rule of seal.sealed_secrets wants sealed";
            return Ok(Some(
                Error::new(Code::DecryptTree, text)
                    .file(path)
                    .at(object.field.position())
                    .hint("`seal FILE` seals it; a file that stays in the clear belongs into .gitignore"),
            ));
        }
    }
    Ok(None)
}
