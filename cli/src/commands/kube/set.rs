//! `seal kube set`: one item of SealedSecrets, without any private key.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use sealed_secrets::{Certificate, Scope, SealedSecret, check_key};
use secret::SecretBytes;

use crate::args::CertificateArgs;
use crate::audit::Action;
use crate::error::{Code, Error, Result};
use crate::files::{self, Target};
use crate::kube::{
    Certificates, Rewrite, cluster_of, expect_one_cluster, one_sealed_secret, parse, random, rewrite,
    seal_error, sealed_secrets,
};
use crate::workbench::Workbench;

/// Set one item of SealedSecrets, without any private key
///
/// The value is asked for once and sealed for every file: the scope is that of the file, the certificate that of its
/// cluster. Only the lines of that item, and of the hint where there is one, change.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  seal kube set password --cert eu.pem sealed.yaml\n  pass show db | seal kube set password --value-stdin clusters/*/db.yaml"
)]
pub(crate) struct Set {
    /// Which item, such as `password`; it is added if it is not there
    item: String,

    /// Files that hold a SealedSecret each
    #[arg(required = true)]
    files: Vec<PathBuf>,

    /// Of several SealedSecrets in a file, the one of this name
    #[arg(long)]
    name: Option<String>,

    /// Read the value from the standard input, as it is
    #[arg(long, conflicts_with = "value_file")]
    value_stdin: bool,

    /// Read the value from a file, as it is
    #[arg(long, value_name = "FILE")]
    value_file: Option<PathBuf>,

    /// Take the item away instead
    #[arg(long, conflicts_with_all = ["value_stdin", "value_file"])]
    remove: bool,

    #[command(flatten)]
    certificate: CertificateArgs,
}

impl Set {
    pub(crate) fn run(self, bench: &Workbench) -> Result<ExitCode> {
        check_key(&self.item).map_err(|why| Error::new(Code::Path, why))?;
        let mut certificates = Certificates::default();
        let named = self.certificate.read(bench, &mut certificates)?;
        if named.is_some() {
            expect_one_cluster(bench, self.files.iter().map(PathBuf::as_path))?;
        }
        let value = if self.remove {
            None
        } else {
            Some(self.value(bench)?)
        };
        let mut changed = Vec::new();
        for path in in_order(&self.files) {
            bench.record(Action::Encrypt, path)?;
            let (target, source) = Target::open(path, bench.global.max_size)?;
            let certificate = match (&named, &value) {
                (Some(named), _) => Some(named.clone()),
                (None, Some(_)) => Some(of_cluster(bench, &mut certificates, path)?),
                (None, None) => None,
            };
            let text = self.change(bench, path, source, value.as_ref(), certificate.as_deref())?;
            changed.push((path, target, text));
        }
        let mut sealed = HashSet::new();
        for (path, target, text) in changed {
            for warning in target.replace(text.expose())? {
                bench.ui.warn(Some(path), &warning);
            }
            sealed.insert(path);
        }
        for path in self.files.iter().filter(|path| sealed.remove(path)) {
            bench.ui.report("sealed", path, None)?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn value(&self, bench: &Workbench) -> Result<SecretBytes> {
        const OTHERWISE: &str = "--value-stdin reads the value from stdin, --value-file from a file";
        match &self.value_file {
            _ if self.value_stdin => files::read_stdin(bench.global.max_size),
            Some(file) => files::read(file, bench.global.max_size),
            None => bench
                .ui
                .prompt(&format!("Value of {}, not shown: ", self.item), OTHERWISE),
        }
    }

    fn change(
        &self,
        bench: &Workbench,
        path: &Path,
        source: SecretBytes,
        value: Option<&SecretBytes>,
        certificate: Option<&Certificate>,
    ) -> Result<SecretBytes> {
        let manifests = parse(bench, path, SecretBytes::copy_from(source.expose()))?;
        let (_, sealed) = one_sealed_secret(path, &manifests, self.name.as_deref())?;
        let mut change = Rewrite::default();
        match (value, certificate) {
            (Some(value), Some(certificate)) => {
                let text = seal_item(path, &sealed, value, certificate)?;
                change.items.push((self.item.clone(), text));
                change = change.with_hint(&sealed, certificate.fingerprint());
            }
            _ if sealed.items.iter().any(|item| item.key == self.item) => {
                change.removed.push(self.item.clone())
            }
            _ => {
                return Err(Error::new(Code::Path, "there is no such item")
                    .file(path)
                    .path(format!("spec.encryptedData.{}", self.item)));
            }
        }
        let changes = for_one(&sealed, &sealed_secrets(path, &manifests)?, change);
        rewrite(bench, path, source, changes)
    }
}

/// The files that are there under whatever names, each once and always in the same order: all of them are locked until all
/// are sealed, so two runs with the same files must not wait for each other.
fn in_order(files: &[PathBuf]) -> Vec<&PathBuf> {
    use std::os::unix::fs::MetadataExt as _;
    let place = |path: &PathBuf| {
        std::fs::metadata(path)
            .ok()
            .map(|found| (found.dev(), found.ino()))
    };
    let mut files: Vec<_> = files.iter().map(|path| (place(path), path)).collect();
    files.sort_by_key(|(place, _)| *place);
    files.dedup_by(|one, other| one.0.is_some() && one.0 == other.0);
    files.into_iter().map(|(_, path)| path).collect()
}

/// The certificate of the cluster that a file belongs to.
pub(super) fn of_cluster(
    bench: &Workbench,
    certificates: &mut Certificates,
    path: &Path,
) -> Result<Arc<Certificate>> {
    match cluster_of(bench, path)? {
        Some((policy, cluster)) => certificates.of_cluster(bench, &cluster, policy.folder()),
        None => Err(no_cluster(path)),
    }
}

/// No certificate is named for a file.
pub(super) fn no_cluster(path: &Path) -> Error {
    Error::new(
        Code::NoEncryptionKey,
        "nothing says to which cluster this file belongs",
    )
    .file(path)
    .hint(
        "pass --cert, or give the cluster in seal.clusters of .sops.yaml a path_regex that matches the file",
    )
}

/// Seals a value for the place that an object has.
pub(super) fn seal_item(
    path: &Path,
    sealed: &SealedSecret<'_>,
    value: &SecretBytes,
    certificate: &Certificate,
) -> Result<String> {
    let metadata = &sealed.metadata;
    let lacks_name = metadata.name.is_empty() && sealed.scope == Scope::Strict;
    if lacks_name || metadata.namespace.is_empty() && sealed.scope != Scope::ClusterWide {
        let field = if lacks_name {
            "metadata.name"
        } else {
            "metadata.namespace"
        };
        return Err(
            Error::new(Code::Read, "is missing: the value will open only there")
                .file(path)
                .at(sealed.object.field.position())
                .path(field)
                .hint("write it into the manifest first"),
        );
    }
    certificate
        .seal(value.expose(), &sealed.label(), &mut random)
        .map_err(|error| seal_error(&error))
}

/// Changes for all SealedSecrets of a file, of which one changes.
pub(super) fn for_one(
    one: &SealedSecret<'_>,
    all: &[(usize, SealedSecret<'_>)],
    change: Rewrite,
) -> Vec<Rewrite> {
    let place = one.object.field.position();
    let mut change = Some(change);
    all.iter()
        .map(|(_, sealed)| {
            let is_it = sealed.object.field.position() == place;
            if is_it {
                change.take().unwrap_or_default()
            } else {
                Rewrite::default()
            }
        })
        .collect()
}
