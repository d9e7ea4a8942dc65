//! Publishers for the destinations of a policy, with one login and one pool of connections for each service.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use key_providers::Network;
use key_providers::aws::{Account, AwsSources};
use key_providers::gcp::GcpSources;
use key_providers::vault_transit::VaultSources;
use sops::config::Destination;

use crate::error::Error;
use crate::gcs::{self, Gcs};
use crate::publisher::Publisher;
use crate::s3::{self, S3};
use crate::vault_kv::{self, VaultKv};

/// Where logins come from. Nothing is read before something is published.
#[derive(Default)]
pub struct Sources {
    /// Of AWS.
    pub aws: AwsSources,
    /// Of Google Cloud.
    pub gcp: GcpSources,
    /// Of Vault.
    pub vault: VaultSources,
    /// `STORAGE_EMULATOR_HOST`: what stands in for Google Cloud Storage, without a login.
    pub storage_emulator: Option<String>,
    /// `VAULT_ADDR`: the server that is meant where a rule names none.
    pub vault_address: Option<String>,
}

impl Sources {
    /// The sources that `variable` names, on the machine `host`; `home` holds what logins leave.
    pub fn from_env(variable: &dyn Fn(&str) -> Option<OsString>, home: Option<&Path>, host: &str) -> Self {
        let text = |name: &str| {
            let value = variable(name).filter(|value| !value.is_empty())?;
            Some(value.to_string_lossy().into_owned())
        };
        Self {
            aws: AwsSources::from_env(variable, host),
            gcp: GcpSources::from_env(variable, home),
            vault: VaultSources::from_env(variable, home),
            storage_emulator: text("STORAGE_EMULATOR_HOST"),
            vault_address: text("VAULT_ADDR"),
        }
    }
}

/// Makes publishers.
pub struct Publishers {
    network: Network,
    s3: Arc<s3::Service>,
    gcs: Arc<gcs::Service>,
    vault: Arc<vault_kv::Servers>,
}

impl Publishers {
    /// Publishers that log in as `sources` say.
    pub fn new(sources: Sources, network: Network) -> Self {
        Self {
            network,
            s3: Arc::new(s3::Service::new(Account::new(sources.aws))),
            gcs: Arc::new(gcs::Service::new(sources.gcp, sources.storage_emulator)),
            vault: Arc::new(vault_kv::Servers::new(sources.vault, sources.vault_address)),
        }
    }

    /// The publisher for a destination.
    ///
    /// # Errors
    /// [`Error::Place`] if the destination cannot be: a bucket, an address or a path that is none.
    pub fn at(&self, destination: &Destination) -> Result<Box<dyn Publisher>, Error> {
        let network = self.network.clone();
        Ok(match destination {
            Destination::S3 { bucket, prefix } => {
                Box::new(S3::new(self.s3.clone(), network, bucket, prefix)?)
            }
            Destination::Gcs { bucket, prefix } => {
                Box::new(Gcs::new(self.gcs.clone(), network, bucket, prefix)?)
            }
            Destination::Vault {
                address,
                path,
                kv_mount_name,
                kv_version,
            } => Box::new(VaultKv::new(
                self.vault.clone(),
                network,
                address,
                (kv_mount_name, path),
                *kv_version,
            )?),
        })
    }
}
