//! Which recipients come and go.

use sops::{KeyKind, MasterKey};

use super::aws::AwsArgs;
use super::keys::read;
use crate::error::Result;

/// Recipients to add and to remove. Only kinds that work stand here; each further kind is two fields.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Keys")]
pub(crate) struct ChangeArgs {
    /// age recipients to add, with commas between them
    #[arg(long, value_name = "RECIPIENTS")]
    add_age: Vec<String>,

    /// age recipients to remove, with commas between them
    #[arg(long, value_name = "RECIPIENTS")]
    rm_age: Vec<String>,

    /// PGP fingerprints to add, with commas between them
    #[arg(long, value_name = "FINGERPRINTS")]
    add_pgp: Vec<String>,

    /// PGP fingerprints to remove, with commas between them
    #[arg(long, value_name = "FINGERPRINTS")]
    rm_pgp: Vec<String>,

    /// ARNs of keys or aliases of AWS KMS to add, with commas between them
    #[arg(long, value_name = "ARNS")]
    add_kms: Vec<String>,

    /// ARNs of keys or aliases of AWS KMS to remove, with commas between them; with the profile and the encryption
    /// context that the file names for them
    #[arg(long, value_name = "ARNS")]
    rm_kms: Vec<String>,

    /// Keys of Google Cloud KMS to add, with commas between them
    #[arg(long, value_name = "IDS")]
    add_gcp_kms: Vec<String>,

    /// Keys of Google Cloud KMS to remove, with commas between them
    #[arg(long, value_name = "IDS")]
    rm_gcp_kms: Vec<String>,

    /// Keys of Azure Key Vault to add, with commas between them
    #[arg(long, value_name = "URLS")]
    add_azure_kv: Vec<String>,

    /// Keys of Azure Key Vault to remove, with commas between them; every version of those without one
    #[arg(long, value_name = "URLS")]
    rm_azure_kv: Vec<String>,

    /// Transit keys of Vault or OpenBao to add, with commas between them
    #[arg(long, value_name = "URIS")]
    add_hc_vault_transit: Vec<String>,

    /// Transit keys of Vault or OpenBao to remove, with commas between them
    #[arg(long, value_name = "URIS")]
    rm_hc_vault_transit: Vec<String>,

    #[command(flatten)]
    aws: AwsArgs,
}

impl ChangeArgs {
    /// The keys to add, in order.
    ///
    /// # Errors
    /// Code 1 if a text names no key, 6 if the encryption context does not read.
    pub(crate) fn added(&self) -> Result<Vec<MasterKey>> {
        self.aws.on(read([
            (KeyKind::Age, &self.add_age),
            (KeyKind::Pgp, &self.add_pgp),
            (KeyKind::AwsKms, &self.add_kms),
            (KeyKind::GcpKms, &self.add_gcp_kms),
            (KeyKind::AzureKeyVault, &self.add_azure_kv),
            (KeyKind::VaultTransit, &self.add_hc_vault_transit),
        ])?)
    }

    /// The keys to remove.
    ///
    /// # Errors
    /// As [`Self::added`].
    pub(crate) fn removed(&self) -> Result<Vec<MasterKey>> {
        self.aws.on(read([
            (KeyKind::Age, &self.rm_age),
            (KeyKind::Pgp, &self.rm_pgp),
            (KeyKind::AwsKms, &self.rm_kms),
            (KeyKind::GcpKms, &self.rm_gcp_kms),
            (KeyKind::AzureKeyVault, &self.rm_azure_kv),
            (KeyKind::VaultTransit, &self.rm_hc_vault_transit),
        ])?)
    }
}
