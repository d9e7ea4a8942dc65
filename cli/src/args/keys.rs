//! Which keys to seal with.
#![allow(rustdoc::bare_urls)] // Help texts are no Markdown.

use sops::{KeyKind, MasterKey};

use super::aws::AwsArgs;
use crate::error::{Code, Error, Result};

/// Keys for a new file. Only kinds that work stand here; each further kind is one field.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Keys")]
pub(crate) struct KeyArgs {
    /// age recipients, with commas between them
    #[arg(
        long,
        short = 'a',
        value_name = "RECIPIENTS",
        env = "SOPS_AGE_RECIPIENTS",
        hide_env_values = true
    )]
    age: Vec<String>,

    /// PGP fingerprints, with commas between them
    #[arg(
        long,
        short = 'p',
        value_name = "FINGERPRINTS",
        env = "SOPS_PGP_FP",
        hide_env_values = true
    )]
    pgp: Vec<String>,

    /// ARNs of keys or aliases of AWS KMS, each with +ROLE-ARN behind it if a role is to be assumed, with commas between
    /// them
    #[arg(
        long,
        short = 'k',
        value_name = "ARNS",
        env = "SOPS_KMS_ARN",
        hide_env_values = true
    )]
    kms: Vec<String>,

    /// Keys of Google Cloud KMS, such as projects/P/locations/L/keyRings/R/cryptoKeys/K, with commas between them
    #[arg(long, value_name = "IDS", env = "SOPS_GCP_KMS_IDS", hide_env_values = true)]
    gcp_kms: Vec<String>,

    /// Keys of Azure Key Vault, such as https://VAULT.vault.azure.net/keys/NAME[/VERSION], with commas between them
    #[arg(
        long,
        value_name = "URLS",
        env = "SOPS_AZURE_KEYVAULT_URLS",
        hide_env_values = true
    )]
    azure_kv: Vec<String>,

    /// Keys of the transit engine of Vault or OpenBao, such as https://HOST/v1/transit/keys/NAME, with commas between
    /// them
    #[arg(long, value_name = "URIS", env = "SOPS_VAULT_URIS", hide_env_values = true)]
    hc_vault_transit: Vec<String>,

    #[command(flatten)]
    aws: AwsArgs,
}

impl KeyArgs {
    /// The keys that were given, in order, none twice.
    ///
    /// # Errors
    /// Code 1 if a text names no key, 6 if the encryption context does not read.
    pub(crate) fn master_keys(&self) -> Result<Vec<MasterKey>> {
        let keys = read([
            (KeyKind::Age, &self.age),
            (KeyKind::Pgp, &self.pgp),
            (KeyKind::AwsKms, &self.kms),
            (KeyKind::GcpKms, &self.gcp_kms),
            (KeyKind::AzureKeyVault, &self.azure_kv),
            (KeyKind::VaultTransit, &self.hc_vault_transit),
        ])?;
        self.aws.on(keys)
    }

    /// The encryption context that was given; empty for none.
    ///
    /// # Errors
    /// Code 6 if it does not read.
    pub(crate) fn encryption_context(&self) -> Result<Vec<(String, String)>> {
        self.aws.context()
    }
}

/// Reads comma lists, kind by kind.
pub(super) fn read<const KINDS: usize>(lists: [(KeyKind, &Vec<String>); KINDS]) -> Result<Vec<MasterKey>> {
    let mut keys = Vec::new();
    for (kind, lists) in lists {
        for list in lists {
            let read = MasterKey::parse_list(kind, list);
            for key in read.map_err(|error| Error::new(Code::Generic, error.to_string()))? {
                if !keys.contains(&key) {
                    keys.push(key);
                }
            }
        }
    }
    Ok(keys)
}
