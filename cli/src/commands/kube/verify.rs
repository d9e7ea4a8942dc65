//! `seal kube verify`: what is wrong with SealedSecrets, with or without the keys that open them.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::OnceLock;

use sealed_secrets::{Finding, SealedSecret, SealingKeys, verify};

use super::reseal::is_manifest;
use crate::args::SealingKeyArgs;
use crate::audit::Action;
use crate::commands::{counted, tell_found};
use crate::error::{Code, Error, Result};
use crate::files;
use crate::kube::{Known, parse, read_keys, sealed_secrets, unopened};
use crate::walk::{Found, Walk, is_document};
use crate::workbench::Workbench;

/// Look for what is wrong with SealedSecrets
///
/// Without keys: names, scopes, items that are not sealed, cut off or there twice. With --key every item is opened besides,
/// and one that does not open says for whom it was sealed. Exit code 1 if something is found.
#[derive(clap::Args)]
#[command(after_help = "Example, in CI:\n  seal kube verify --json clusters/")]
pub(crate) struct Verify {
    /// Files and folders
    #[arg(default_value = ".")]
    paths: Vec<PathBuf>,

    #[command(flatten)]
    keys: SealingKeyArgs,
}

/// What was found in a file.
#[derive(Default)]
struct Report {
    objects: usize,
    wrong: Vec<Error>,
    doubtful: Vec<Finding>,
}

impl Verify {
    pub(crate) fn run(self, bench: &Workbench) -> Result<ExitCode> {
        let keys = read_keys(bench, &self.keys.keys)?;
        if !keys.is_empty() {
            bench.audit.ready()?;
        }
        let mut walk = Walk::over(&self.paths, &is_document, &[]);
        walk.files
            .retain(|found| found.explicit || is_manifest(&found.path));
        let known = OnceLock::new();
        let one = |bench: &Workbench, found: &Found| -> Result<Report> {
            let known = || known.get_or_init(|| known_of(bench, &walk.files));
            report(bench, found, &keys, &known)
        };
        let reports = bench.for_each(&walk.files, one)?;
        let mut wrong = walk.errors;
        let (mut objects, mut files) = (0, 0);
        for (found, report) in walk.files.iter().zip(reports) {
            match report {
                Ok(report) => {
                    objects += report.objects;
                    files += usize::from(report.objects > 0);
                    wrong.extend(report.wrong);
                    for finding in report.doubtful {
                        let text = format!("{}: {}: {}", finding.at, finding.path, finding.what);
                        bench.ui.warn(Some(&found.path), &text);
                    }
                }
                Err(error) => wrong.push(error),
            }
        }
        let text = format!(
            "{} in {}",
            counted(objects, "SealedSecret"),
            counted(files, "file")
        );
        tell_found(bench, &wrong, &[("files", files), ("objects", objects)], &text)
    }
}

fn report<'k>(
    bench: &Workbench,
    found: &Found,
    keys: &SealingKeys,
    known: &dyn Fn() -> &'k Known,
) -> Result<Report> {
    let path = found.path.as_path();
    let source = files::read(path, bench.global.max_size)?;
    if !found.explicit && memchr::memmem::find(source.expose(), b"SealedSecret").is_none() {
        return Ok(Report::default());
    }
    let manifests = parse(bench, path, source)?;
    let mut report = Report::default();
    for (_, sealed) in sealed_secrets(path, &manifests)? {
        report.objects += 1;
        let (wrong, doubtful): (Vec<Finding>, Vec<Finding>) =
            verify(&sealed).into_iter().partition(|finding| finding.is_error);
        let is_whole = wrong.is_empty();
        report.doubtful.extend(doubtful);
        report.wrong.extend(wrong.into_iter().map(|finding| {
            Error::new(Code::Generic, finding.what)
                .file(path)
                .at(finding.at)
                .path(finding.path)
        }));
        if is_whole && !keys.is_empty() {
            bench.record(Action::Decrypt, path)?;
            report.wrong.extend(closed(path, &sealed, keys, known));
        }
    }
    if report.objects == 0 && found.explicit {
        return Err(Error::new(Code::Read, "holds no SealedSecret").file(path));
    }
    Ok(report)
}

/// The items that do not open.
fn closed<'k>(
    path: &std::path::Path,
    sealed: &SealedSecret<'_>,
    keys: &SealingKeys,
    known: &dyn Fn() -> &'k Known,
) -> Vec<Error> {
    if sealed.whole.is_some() {
        let opened = sealed.unseal(keys);
        let wrong = match opened {
            Ok(Ok(_)) => return Vec::new(),
            Ok(Err(wrong)) => wrong,
            Err(error) => return vec![crate::kube::manifest_error(path, error)],
        };
        return wrong
            .iter()
            .map(|item| unopened(path, sealed, &item.key, &item.error, keys, known()))
            .collect();
    }
    let opened = sealed.open(keys, &[]);
    sealed
        .items
        .iter()
        .zip(opened)
        .filter_map(|(item, opened)| Some(unopened(path, sealed, &item.key, &opened.err()?, keys, known())))
        .collect()
}

/// Names and namespaces of all SealedSecrets in these files, and of the folders that hold them.
pub(super) fn known_of(bench: &Workbench, files: &[Found]) -> Known {
    let mut known = Known::default();
    for found in files {
        let Ok(source) = files::read(&found.path, bench.global.max_size) else {
            continue;
        };
        let Ok(manifests) = parse(bench, &found.path, source) else {
            continue;
        };
        for (_, sealed) in sealed_secrets(&found.path, &manifests).unwrap_or_default() {
            known.add(&sealed);
        }
        known.add_path(&found.path);
    }
    known
}
