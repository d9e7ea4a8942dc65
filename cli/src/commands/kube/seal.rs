//! `seal kube seal`: Secrets become SealedSecrets.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use document::Format;
use sealed_secrets::Scope;
use secret::SecretBytes;
use sops::config::Output;

use crate::args::{CertificateArgs, scope};
use crate::audit::Action;
use crate::error::{Code, Error, Result};
use crate::files::{self, Access, Existing, Target};
use crate::kube::{
    Asked, Certificates, Content, Destination, Prepared, apart, destinations, prepare, rule_of,
};
use crate::workbench::Workbench;

/// Make SealedSecrets of Secrets
///
/// Files, or the standard input, hold Secrets as manifests: one or many, YAML or JSON, also in a List. For which clusters is
/// said by --cert, by --cluster, or by a rule under `seal.sealed_secrets` of the policy; everything is checked before
/// anything is written.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  kubectl create secret generic db --dry-run=client -o yaml --from-file=pw | seal kube seal -n prod --cert eu.pem\n  seal kube seal --cluster eu --cluster us -o 'clusters/{cluster}/{file}' db.yaml"
)]
pub(crate) struct Seal {
    /// Files of Secrets; the standard input if none is given, or for `-`
    files: Vec<PathBuf>,

    #[command(flatten)]
    certificate: CertificateArgs,

    /// Seal for this cluster of the policy; repeatable
    #[arg(
        long,
        value_name = "NAME",
        conflicts_with = "cert",
        help_heading = "Certificate"
    )]
    cluster: Vec<String>,

    /// strict, namespace-wide or cluster-wide; else what the annotations of the Secret say
    #[arg(long, value_parser = scope)]
    scope: Option<Scope>,

    /// The name of the Secret, whatever its manifest says
    #[arg(long)]
    name: Option<String>,

    /// The namespace of Secrets that name none
    #[arg(long, short)]
    namespace: Option<String>,

    /// Put the result in the place of the file
    #[arg(long, short, conflicts_with = "output")]
    in_place: bool,

    /// Where to write; {cluster}, and of the source {dir}, {file}, {stem} and {ext}, are put in
    #[arg(long, short, value_name = "PATTERN")]
    output: Option<String>,

    /// yaml or json; else the format of the file
    #[arg(long, value_name = "FORMAT", value_parser = format)]
    output_type: Option<Format>,

    /// Take Secrets without any value
    #[arg(long)]
    allow_empty: bool,

    /// Do not note, in an annotation, for which key the values were sealed
    #[arg(long)]
    no_hint: bool,
}

pub(super) fn format(text: &str) -> Result<Format, String> {
    match text {
        "yaml" => Ok(Format::Yaml),
        "json" => Ok(Format::Json),
        _ => Err("yaml or json".to_owned()),
    }
}

/// One file with what it becomes.
struct Job {
    path: PathBuf,
    /// What was read, where the result takes its place.
    source: SecretBytes,
    prepared: Prepared,
    destinations: Vec<Destination>,
}

impl Seal {
    pub(crate) fn run(self, bench: &Workbench) -> Result<ExitCode> {
        let files = if self.files.is_empty() {
            vec![PathBuf::from("-")]
        } else {
            self.files.clone()
        };
        let output = self.output.as_deref().map(Output::parse).transpose();
        let output = output.map_err(|why| Error::new(Code::Conflict, format!("--output {why}")))?;
        let mut certificates = Certificates::default();
        let mut jobs = Vec::new();
        for path in files {
            jobs.push(self.job(bench, &mut certificates, path, output.as_ref())?);
        }
        let results = jobs.iter().flat_map(|job| {
            let paths = job.destinations.iter().filter_map(|to| to.path.as_deref());
            paths.map(move |path| (job.path.as_path(), path))
        });
        apart(results)?;
        let mut results = Vec::new();
        for job in &jobs {
            bench.record(Action::Encrypt, &job.path)?;
            for destination in &job.destinations {
                results.push((
                    job,
                    destination,
                    job.prepared.seal(&job.path, &destination.certificate)?,
                ));
            }
        }
        let mut printed = SecretBytes::default();
        for (job, destination, bytes) in &results {
            match &destination.path {
                Some(path) => {
                    write(bench, path, bytes)?;
                    let cluster = &destination.cluster;
                    let detail = (!cluster.is_empty()).then(|| format!("for {cluster}"));
                    bench.ui.report("sealed", path, detail.as_deref())?;
                }
                None if self.in_place => replace(bench, &job.path, bytes, &job.source)?,
                None => append(&mut printed, bytes),
            }
            job.prepared.warn(bench, &job.path);
        }
        files::write_stdout(printed.expose())?;
        Ok(ExitCode::SUCCESS)
    }

    /// Reads a file and finds out for whom it is.
    fn job(
        &self,
        bench: &Workbench,
        certificates: &mut Certificates,
        path: PathBuf,
        output: Option<&Output>,
    ) -> Result<Job> {
        let is_stdin = path.as_os_str() == "-";
        if is_stdin && self.in_place {
            return Err(Error::new(
                Code::Conflict,
                "the standard input cannot be changed in place",
            ));
        }
        let source = if is_stdin {
            bench.ui.awaits_stdin();
            files::read_stdin(bench.global.max_size)?
        } else {
            files::read(&path, bench.global.max_size)?
        };
        let read = SecretBytes::copy_from(if self.in_place { source.expose() } else { b"" });
        let rule = rule_of(bench, &path)?;
        let of_rule = rule.as_ref().map(|(_, rule, _)| rule);
        let asked = Asked {
            scope: self.scope.or_else(|| Scope::of_word(of_rule?.scope.as_deref()?)),
            name: self.name.clone(),
            namespace: self.namespace.clone(),
            default_namespace: of_rule.and_then(|rule| rule.namespace.clone()),
            allow_empty: self.allow_empty,
            no_hint: self.no_hint,
            format: self.output_type,
        };
        let prepared = match prepare(bench, &path, source, &asked)? {
            Content::Secrets(prepared) => prepared,
            Content::Sealed => {
                return Err(Error::new(
                    Code::AlreadyEncrypted,
                    "holds SealedSecrets: it is sealed already",
                )
                .file(&path));
            }
            Content::Other => {
                return Err(Error::new(
                    Code::Read,
                    "holds no Secret: `kind: Secret` is what can be sealed",
                )
                .file(&path));
            }
        };
        let mut destinations = if let Some(certificate) = self.certificate.read(bench, certificates)? {
            vec![Destination {
                cluster: String::new(),
                certificate,
                path: None,
            }]
        } else if !self.cluster.is_empty() {
            self.clusters(bench, certificates, &path)?
        } else if let Some(rule) = &rule {
            destinations(bench, certificates, rule)?
        } else {
            return Err(Error::new(Code::NoEncryptionKey, "nothing says for which cluster")
                .file(&path)
                .hint("pass --cert, name a --cluster of the policy, or give the file a rule under seal.sealed_secrets of .sops.yaml"));
        };
        if let Some(output) = output {
            let source = path.to_string_lossy();
            let source = if is_stdin {
                "stdin.yaml"
            } else {
                source.trim_start_matches("./")
            };
            for destination in &mut destinations {
                destination.path = Some(output.path(source, &destination.cluster).into());
            }
        }
        if self.in_place {
            destinations
                .iter_mut()
                .for_each(|destination| destination.path = None);
        }
        let several_as_one = destinations.len() > 1
            && destinations.iter().any(|destination| destination.path.is_none())
            || output.is_some_and(|output| destinations.len() > 1 && !output.has_cluster());
        if several_as_one {
            return Err(Error::new(
                Code::Conflict,
                "the results of several clusters would fall on one another",
            )
            .file(&path)
            .hint("-o 'clusters/{cluster}/{file}' gives each a place of its own"));
        }
        Ok(Job {
            path,
            source: read,
            prepared,
            destinations,
        })
    }

    /// The clusters of --cluster, of the policy for this file.
    fn clusters(
        &self,
        bench: &Workbench,
        certificates: &mut Certificates,
        path: &Path,
    ) -> Result<Vec<Destination>> {
        let Some(policy) = bench.policy(path)? else {
            return Err(Error::new(
                Code::ConfigNotFound,
                "there is no policy that could name clusters",
            )
            .file(path));
        };
        let cluster = |name: &String| {
            let cluster = policy.config.seal.cluster(name).ok_or_else(|| {
                let text = format!("seal.clusters has no cluster {name}");
                Error::new(Code::Config, text).file(&policy.path)
            })?;
            Ok(Destination {
                cluster: name.clone(),
                certificate: certificates.of_cluster(bench, cluster, policy.folder())?,
                path: None,
            })
        };
        self.cluster.iter().map(cluster).collect()
    }
}

/// Writes a result to a place of its own; the folders on the way are made.
pub(in crate::commands) fn write(bench: &Workbench, path: &Path, bytes: &SecretBytes) -> Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|cause| {
            Error::new(Code::Write, "cannot make the folder")
                .file(folder)
                .cause(&cause)
        })?;
    }
    if !path.exists() {
        return files::create_fresh(path, bytes.expose(), Access::Shared, Existing::Refuse);
    }
    let (target, _) = Target::open(path, bench.global.max_size)?;
    for warning in target.replace(bytes.expose())? {
        bench.ui.warn(Some(path), &warning);
    }
    Ok(())
}

fn replace(bench: &Workbench, path: &Path, bytes: &SecretBytes, read: &SecretBytes) -> Result<()> {
    let (target, now) = Target::open(path, bench.global.max_size)?;
    if now.expose() != read.expose() {
        return Err(Error::new(Code::Write, "changed on disk while it was sealed").file(path));
    }
    for warning in target.replace(bytes.expose())? {
        bench.ui.warn(Some(path), &warning);
    }
    bench.ui.report("sealed", path, None)
}

fn append(printed: &mut SecretBytes, bytes: &SecretBytes) {
    let out = printed.expose_mut();
    if !out.is_empty() && !bytes.expose().starts_with(b"{") {
        out.extend_from_slice(b"---\n");
    }
    out.extend_from_slice(bytes.expose());
}
