//! `seal kube merge`: the values of a Secret go into a SealedSecret that is there.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use sealed_secrets::{SealedSecret, Secret};
use secret::SecretBytes;

use super::set::{for_one, of_cluster, seal_item};
use crate::args::CertificateArgs;
use crate::audit::Action;
use crate::error::{Code, Error, Result};
use crate::files::{self, Target};
use crate::kube::{Certificates, Rewrite, manifest_error, one_sealed_secret, parse, rewrite, sealed_secrets};
use crate::workbench::Workbench;

/// Add the values of a Secret to a SealedSecret, or put them in the place of its own
///
/// The scope is that of the file, so is its style: comments, order and all other items stay. Labels and annotations of the
/// Secret go into the template.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  seal kube merge sealed.yaml more.yaml")]
pub(crate) struct Merge {
    /// The file of the SealedSecret, which is changed
    file: PathBuf,

    /// The file of the Secret; the standard input if none is given, or for `-`
    #[arg(default_value = "-")]
    secret: PathBuf,

    /// Of several SealedSecrets in the file, the one of this name
    #[arg(long)]
    name: Option<String>,

    #[command(flatten)]
    certificate: CertificateArgs,
}

impl Merge {
    pub(crate) fn run(self, bench: &Workbench) -> Result<ExitCode> {
        let mut certificates = Certificates::default();
        let certificate = match self.certificate.read(bench, &mut certificates)? {
            Some(named) => named,
            None => of_cluster(bench, &mut certificates, &self.file)?,
        };
        let secret = self.secret(bench)?;
        bench.record(Action::Encrypt, &self.file)?;
        let (target, source) = Target::open(&self.file, bench.global.max_size)?;
        let manifests = parse(bench, &self.file, SecretBytes::copy_from(source.expose()))?;
        let (_, sealed) = one_sealed_secret(&self.file, &manifests, self.name.as_deref())?;
        self.agree(&secret, &sealed)?;
        let mut change = Rewrite::default();
        for (key, value) in &secret.data {
            let text = seal_item(&self.file, &sealed, value, &certificate)?;
            change.items.push((key.clone(), text));
        }
        let metadata = secret.metadata.clone().without_copies();
        for (part, texts) in [("labels", metadata.labels), ("annotations", metadata.annotations)] {
            let ours = |name: &str| !name.starts_with("sealedsecrets.bitnami.com/");
            change.texts.extend(
                texts
                    .into_iter()
                    .filter(|(name, _)| ours(name))
                    .map(|(name, text)| {
                        let way = ["spec", "template", "metadata", part, &name]
                            .map(str::to_owned)
                            .to_vec();
                        (way, text)
                    }),
            );
        }
        let change = change.with_hint(&sealed, certificate.fingerprint());
        let changes = for_one(&sealed, &sealed_secrets(&self.file, &manifests)?, change);
        let text = rewrite(bench, &self.file, source, changes)?;
        for warning in target.replace(text.expose())? {
            bench.ui.warn(Some(&self.file), &warning);
        }
        bench.ui.report("sealed", &self.file, None)?;
        Ok(ExitCode::SUCCESS)
    }

    fn secret(&self, bench: &Workbench) -> Result<Secret> {
        let path: &Path = &self.secret;
        let source = if path.as_os_str() == "-" {
            bench.ui.awaits_stdin();
            files::read_stdin(bench.global.max_size)?
        } else {
            files::read(path, bench.global.max_size)?
        };
        let manifests = parse(bench, path, source)?;
        let mut found = Vec::new();
        for manifest in manifests.iter() {
            let objects = manifest.objects().map_err(|error| manifest_error(path, error))?;
            for object in objects {
                if object.kind() != "Secret" {
                    return Err(Error::new(Code::Read, "holds something else than a Secret")
                        .file(path)
                        .at(object.field.position()));
                }
                found.push(Secret::read(object.field).map_err(|error| manifest_error(path, error))?);
            }
        }
        match (found.pop(), found.is_empty()) {
            (Some(only), true) if only.data.is_empty() => {
                Err(Error::new(Code::Read, "the Secret has no values to merge").file(path))
            }
            (Some(only), true) => Ok(only),
            (None, _) => Err(Error::new(Code::Read, "holds no Secret").file(path)),
            (Some(_), false) => {
                Err(Error::new(Code::Read, "holds several Secrets; one can be merged").file(path))
            }
        }
    }

    /// Where the Secret says who it is, it must be the one that the SealedSecret makes.
    fn agree(&self, secret: &Secret, sealed: &SealedSecret<'_>) -> Result<()> {
        let (of_secret, of_sealed) = (&secret.metadata, &sealed.metadata);
        for (field, one, other) in [
            ("name", &of_secret.name, &of_sealed.name),
            ("namespace", &of_secret.namespace, &of_sealed.namespace),
        ] {
            if !one.is_empty() && one != other {
                let text = format!("the Secret has another {field} than the SealedSecret");
                return Err(Error::new(Code::Conflict, text)
                    .file(&self.secret)
                    .hint(format!("give it the {field} {other:?}, or leave it out")));
            }
        }
        for (key, _) in &secret.data {
            sealed_secrets::check_key(key).map_err(|why| Error::new(Code::Read, why).file(&self.secret))?;
        }
        Ok(())
    }
}
