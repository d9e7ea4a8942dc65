//! `seal kube reseal`: SealedSecrets move to the newest certificate of their cluster.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use sealed_secrets::{Certificate, Fingerprint, Hint, Item, OpenError, SealedSecret, SealingKeys};
use secret::SecretBytes;

use super::set::seal_item;
use super::unseal::no_keys;
use super::verify::known_of;
use crate::args::{CertificateArgs, SealingKeyArgs};
use crate::audit::Action;
use crate::commands::{counted, tell_all};
use crate::error::{Code, Error, Result};
use crate::files::{self, Target};
use crate::kube::{
    Certificates, Known, Rewrite, cluster_of, expect_one_cluster, parse, read_keys, rewrite, sealed_secrets,
    unopened,
};
use crate::walk::{Found, Walk, is_document};
use crate::workbench::Workbench;

/// Move SealedSecrets to the newest certificate, with the old keys and without a cluster
///
/// Every item that is not sealed for the certificate is opened and sealed again under its own scope; all other bytes of
/// the files stay. A file with an item that does not open is left as it is. With the policy each file gets the certificate
/// of its cluster, and files of no cluster are passed over; with --cert all get that one.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  seal kube reseal --key old-keys.yaml --plan .\n  seal kube reseal --key old-keys.yaml --cert new.pem clusters/eu/"
)]
pub(crate) struct Reseal {
    /// Files and folders
    #[arg(required = true)]
    paths: Vec<PathBuf>,

    #[command(flatten)]
    keys: SealingKeyArgs,

    #[command(flatten)]
    certificate: CertificateArgs,

    /// Show what would be done, and do nothing
    #[arg(long)]
    plan: bool,

    /// Note in files that do not say it yet for which key they are sealed
    #[arg(long)]
    hint: bool,
}

/// What became of a file.
enum Outcome {
    /// So many items were sealed again.
    Resealed(usize),
    /// Nothing was to be done; so many items are only said to be on the newest certificate.
    InOrder(usize),
    /// No SealedSecret of ours.
    NotOurs,
}

/// What all files share.
struct Run<'a> {
    reseal: &'a Reseal,
    keys: SealingKeys,
    certificates: HashMap<PathBuf, Arc<Certificate>>,
    /// The key that last opened something in a namespace.
    last: Mutex<HashMap<String, Fingerprint>>,
    /// Names of everything in the tree, read when the first item does not open.
    known: OnceLock<Known>,
    files: &'a [Found],
}

impl Reseal {
    pub(crate) fn run(self, bench: &Workbench) -> Result<ExitCode> {
        if self.keys.keys.is_empty() {
            return Err(no_keys());
        }
        let keys = read_keys(bench, &self.keys.keys)?;
        let mut walk = Walk::over(&self.paths, &is_document, &[]);
        walk.files
            .retain(|found| found.explicit || is_manifest(&found.path));
        let run = Run {
            certificates: self.certificates(bench, &walk.files)?,
            reseal: &self,
            keys,
            last: Mutex::default(),
            known: OnceLock::new(),
            files: &walk.files,
        };
        let outcomes = bench.for_each(&walk.files, |bench, found| run.one(bench, found))?;
        let mut failed = walk.errors;
        let (mut resealed, mut files, mut unsure) = (0, 0, 0);
        for (found, outcome) in walk.files.iter().zip(outcomes) {
            match outcome {
                Ok(Outcome::Resealed(count)) => {
                    (resealed, files) = (resealed + count, files + 1);
                    let verb = if self.plan { "would reseal" } else { "resealed" };
                    bench
                        .ui
                        .report(verb, &found.path, Some(&counted(count, "item")))?;
                }
                Ok(Outcome::InOrder(count)) => unsure += count,
                Ok(Outcome::NotOurs) => {}
                Err(error) => failed.push(error),
            }
        }
        if unsure > 0 {
            bench.ui.hint(&format!(
                "{} not opened: no key at hand opens them, and their hint names the newest certificate",
                if unsure == 1 {
                    "1 item was".to_owned()
                } else {
                    format!("{unsure} items were")
                }
            ));
        }
        if resealed == 0 && failed.is_empty() {
            bench
                .ui
                .hint("nothing to reseal: all items are on the newest certificate of their cluster");
        } else {
            let done = if self.plan { "to reseal" } else { "resealed" };
            bench.ui.say(&format!(
                "{} in {} {done}",
                counted(resealed, "item"),
                counted(files, "file")
            ))?;
        }
        Ok(tell_all(bench, &failed))
    }

    /// The certificate of every file that has one.
    fn certificates(&self, bench: &Workbench, files: &[Found]) -> Result<HashMap<PathBuf, Arc<Certificate>>> {
        let mut certificates = Certificates::default();
        let named = self.certificate.read(bench, &mut certificates)?;
        if named.is_some() {
            expect_one_cluster(bench, files.iter().map(|found| found.path.as_path()))?;
        }
        let mut of = HashMap::new();
        for found in files {
            let certificate = match (&named, cluster_of(bench, &found.path)?) {
                (Some(named), _) => named.clone(),
                (None, Some((policy, cluster))) => {
                    certificates.of_cluster(bench, &cluster, policy.folder())?
                }
                (None, None) if found.explicit => return Err(super::set::no_cluster(&found.path)),
                (None, None) => continue,
            };
            of.insert(found.path.clone(), certificate);
        }
        Ok(of)
    }
}

/// Whether a name is one that manifests have.
pub(super) fn is_manifest(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    matches!(ending, Some("yaml" | "yml" | "json"))
}

impl Run<'_> {
    fn one(&self, bench: &Workbench, found: &Found) -> Result<Outcome> {
        let path = found.path.as_path();
        let Some(certificate) = self.certificates.get(path) else {
            return Ok(Outcome::NotOurs);
        };
        let source = files::read_to_change(path, bench.global.max_size)?;
        if !found.explicit && memchr::memmem::find(source.expose(), b"SealedSecret").is_none() {
            return Ok(Outcome::NotOurs);
        }
        let (changes, count, unsure) = self.changes(bench, path, &source, certificate)?;
        if changes.iter().all(Rewrite::is_empty) {
            return Ok(Outcome::InOrder(unsure));
        }
        if self.reseal.plan {
            return Ok(Outcome::Resealed(count));
        }
        bench.record(Action::Rotate, path)?;
        let (target, now) = Target::open(path, bench.global.max_size)?;
        if now.expose() != source.expose() {
            return Err(Error::new(Code::Write, "changed on disk while it was resealed").file(path));
        }
        let text = rewrite(bench, path, now, changes)?;
        for warning in target.replace(text.expose())? {
            bench.ui.warn(Some(path), &warning);
        }
        Ok(Outcome::Resealed(count))
    }

    /// What changes in each SealedSecret of a file, how many items are sealed anew, and how many could not be looked at.
    fn changes(
        &self,
        bench: &Workbench,
        path: &Path,
        source: &SecretBytes,
        certificate: &Certificate,
    ) -> Result<(Vec<Rewrite>, usize, usize)> {
        let manifests = parse(bench, path, SecretBytes::copy_from(source.expose()))?;
        let (mut changes, mut count, mut unsure) = (Vec::new(), 0, 0);
        for (_, sealed) in sealed_secrets(path, &manifests)? {
            let object = self.object(bench, path, &sealed, certificate)?;
            count += object.change.items.len();
            unsure += object.unsure;
            changes.push(object.change);
        }
        Ok((changes, count, unsure))
    }

    fn object(
        &self,
        bench: &Workbench,
        path: &Path,
        sealed: &SealedSecret<'_>,
        certificate: &Certificate,
    ) -> Result<Resealed> {
        let (newest, label, hint) = (certificate.fingerprint(), sealed.label(), sealed.hint());
        let mut last = self.last_in(&sealed.metadata.namespace);
        let mut done = Resealed::default();
        // What each item is sealed for in the end.
        let mut sealed_for: Vec<Option<String>> = Vec::new();
        for item in &sealed.items {
            if hint.known_key_of(&item.text) == Some(newest.short().as_str()) {
                sealed_for.push(Some(newest.short()));
                continue;
            }
            let said = hint.key_of(&item.text);
            let hinted = said.and_then(|short| self.keys.hinted(short));
            let first: Vec<Fingerprint> = hinted
                .map(|key| key.fingerprint())
                .into_iter()
                .chain(last)
                .collect();
            let opened = Item::parse(&item.text)
                .map_err(OpenError::from)
                .and_then(|read| self.keys.open(&read, &label, &first));
            match opened {
                Ok((value, key)) => {
                    last = Some(key.fingerprint());
                    sealed_for.push(Some(newest.short()));
                    if key.fingerprint() != newest {
                        done.change
                            .items
                            .push((item.key.clone(), seal_item(path, sealed, &value, certificate)?));
                    }
                }
                Err(OpenError::NoKey) if said == Some(newest.short().as_str()) => {
                    done.unsure += 1;
                    sealed_for.push(Some(newest.short()));
                }
                Err(error) => {
                    let known = self.known.get_or_init(|| known_of(bench, self.files));
                    return Err(unopened(path, sealed, &item.key, &error, &self.keys, known));
                }
            }
        }
        if let Some(whole) = sealed.whole {
            return Err(crate::kube::manifest_error(
                path,
                whole.error(
                    "spec.data",
                    "is the form of the first versions: open it with `seal kube unseal` and seal it again",
                ),
            ));
        }
        if let Some(last) = last {
            let mut of = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            of.insert(sealed.metadata.namespace.clone(), last);
        }
        if !hint.is_empty() || self.reseal.hint && !sealed.items.is_empty() {
            let texts = sealed.items.iter().map(|item| {
                let new = done.change.items.iter().find(|(key, _)| *key == item.key);
                new.map_or(&*item.text, |(_, text)| text.as_bytes())
            });
            let now = Hint::of(texts.zip(sealed_for));
            done.change.hint = (now != hint).then_some(now);
        }
        Ok(done)
    }

    fn last_in(&self, namespace: &str) -> Option<Fingerprint> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.get(namespace).copied()
    }
}

/// One object on its way.
#[derive(Default)]
struct Resealed {
    change: Rewrite,
    unsure: usize,
}
