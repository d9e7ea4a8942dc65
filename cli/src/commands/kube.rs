//! `seal kube`: SealedSecrets, for one cluster or for many, without any cluster.

mod cert;
mod edit;
mod merge;
mod reseal;
mod seal;
mod set;
mod unseal;
mod verify;

pub(super) use seal::write;

use std::process::ExitCode;

use crate::error::Result;
use crate::workbench::Workbench;

/// SealedSecrets, for one cluster or many, without any of them
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  seal kube cert fetch https://sealed.example.com/v1/cert.pem -o eu.pem\n  seal kube seal --cert eu.pem secret.yaml > sealed.yaml\n  seal kube set password sealed.yaml\n  seal kube reseal --key old-keys.yaml clusters/\n  seal kube verify ."
)]
pub(crate) struct Kube {
    #[command(subcommand)]
    command: KubeCommand,
}

#[derive(clap::Subcommand)]
enum KubeCommand {
    Seal(seal::Seal),
    Unseal(unseal::Unseal),
    Set(set::Set),
    Edit(edit::Edit),
    Merge(merge::Merge),
    Reseal(reseal::Reseal),
    Verify(verify::Verify),
    Cert(cert::Cert),
}

impl Kube {
    /// Whether it opens or seals anything.
    pub(super) fn is_recorded(&self) -> bool {
        !matches!(self.command, KubeCommand::Verify(_) | KubeCommand::Cert(_))
    }

    pub(crate) fn run(self, bench: &Workbench) -> Result<ExitCode> {
        match self.command {
            KubeCommand::Seal(seal) => seal.run(bench),
            KubeCommand::Unseal(unseal) => unseal.run(bench),
            KubeCommand::Set(set) => set.run(bench),
            KubeCommand::Edit(edit) => edit.run(bench),
            KubeCommand::Merge(merge) => merge.run(bench),
            KubeCommand::Reseal(reseal) => reseal.run(bench),
            KubeCommand::Verify(verify) => verify.run(bench),
            KubeCommand::Cert(cert) => cert.run(bench),
        }
    }
}
