//! `seal kube unseal`: SealedSecrets become Secrets, with the private keys of a cluster.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use document::Format;
use sealed_secrets::{SealedSecret, SealingKeys};
use secret::SecretBytes;

use super::seal::format;
use crate::args::SealingKeyArgs;
use crate::audit::Action;
use crate::error::{Code, Error, Result};
use crate::files;
use crate::kube::{Known, format_of, manifest_error, parse, read_keys, sealed_secrets, unopened};
use crate::workbench::Workbench;

/// Open SealedSecrets with the keys of a cluster, from a backup of them
///
/// Prints the Secrets. One that does not open says, by trying, for which scope, name, namespace and key it was sealed.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  kubectl get secret -n kube-system -l sealedsecrets.bitnami.com/sealed-secrets-key -o yaml > keys.yaml\n  seal kube unseal --key keys.yaml sealed.yaml"
)]
pub(crate) struct Unseal {
    /// Files of SealedSecrets; the standard input if none is given, or for `-`
    files: Vec<PathBuf>,

    #[command(flatten)]
    keys: SealingKeyArgs,

    /// yaml or json; else the format of the file
    #[arg(long, value_name = "FORMAT", value_parser = format)]
    output_type: Option<Format>,

    /// Print every value as base64 under `data`, as the API server does
    #[arg(long)]
    encoded: bool,
}

impl Unseal {
    pub(crate) fn run(self, bench: &Workbench) -> Result<ExitCode> {
        if self.keys.keys.is_empty() {
            return Err(no_keys());
        }
        let keys = read_keys(bench, &self.keys.keys)?;
        let files = if self.files.is_empty() {
            vec![PathBuf::from("-")]
        } else {
            self.files.clone()
        };
        let mut printed = SecretBytes::default();
        for path in files {
            self.one(bench, &path, &keys, &mut printed)?;
        }
        files::write_stdout(printed.expose())?;
        Ok(ExitCode::SUCCESS)
    }

    fn one(
        &self,
        bench: &Workbench,
        path: &Path,
        keys: &SealingKeys,
        printed: &mut SecretBytes,
    ) -> Result<()> {
        let source = if path.as_os_str() == "-" {
            bench.ui.awaits_stdin();
            files::read_stdin(bench.global.max_size)?
        } else {
            files::read(path, bench.global.max_size)?
        };
        let format = self
            .output_type
            .unwrap_or_else(|| format_of(path, source.expose()));
        let manifests = parse(bench, path, source)?;
        let found = sealed_secrets(path, &manifests)?;
        if found.is_empty() {
            return Err(Error::new(Code::Read, "holds no SealedSecret").file(path));
        }
        bench.record(Action::Decrypt, path)?;
        for (_, sealed) in &found {
            let secret = sealed
                .unseal(keys)
                .map_err(|error| manifest_error(path, error))?
                .map_err(|wrong| all_wrong(path, sealed, &wrong, keys, &found))?;
            let text = secret.write(format, self.encoded);
            let out = printed.expose_mut();
            if !out.is_empty() && format == Format::Yaml {
                out.extend_from_slice(b"---\n");
            }
            out.extend_from_slice(text.expose());
        }
        Ok(())
    }
}

/// No key was named.
pub(super) fn no_keys() -> Error {
    Error::new(Code::DataKey, "no key is named that could open anything").hint(
        "--key names a file: `kubectl get secret -n kube-system -l sealedsecrets.bitnami.com/sealed-secrets-key -o yaml` prints the keys of a cluster",
    )
}

/// The reason of the first item that does not open; the others are named.
fn all_wrong(
    path: &Path,
    sealed: &SealedSecret<'_>,
    wrong: &[sealed_secrets::Unopened],
    keys: &SealingKeys,
    found: &[(usize, SealedSecret<'_>)],
) -> Error {
    let mut known = Known::default();
    known.add(sealed);
    found.iter().for_each(|(_, other)| known.add(other));
    known.add_path(path);
    let Some((first, others)) = wrong.split_first() else {
        return Error::new(Code::DataKey, "does not open").file(path);
    };
    let error = unopened(path, sealed, &first.key, &first.error, keys, &known);
    if others.is_empty() {
        return error;
    }
    let names: Vec<&str> = others.iter().map(|item| item.key.as_str()).collect();
    error.because(&format!("these do not open either: {}", names.join(", ")))
}
