//! SealedSecrets, as the commands of `seal kube` handle them: certificates and clusters, manifests in files, changes of
//! sealed items in place, and why one does not open.

mod certificates;
mod clusters;
mod diagnosis;
mod files;
mod rewrite;
mod sealing;

pub(crate) use certificates::{Certificates, fault_in_words, now};
pub(crate) use clusters::{Destination, apart, cluster_of, destinations, expect_one_cluster, rule_of, shown};
pub(crate) use diagnosis::{Known, unopened};
pub(crate) use files::{format_of, manifest_error, one_sealed_secret, parse, read_keys, sealed_secrets};
pub(crate) use rewrite::{Rewrite, rewrite};
pub(crate) use sealing::{Asked, Content, Prepared, prepare, seal_error};

use sealed_secrets::RandomFailed;

/// The operating system's random source.
pub(crate) fn random(buffer: &mut [u8]) -> Result<(), RandomFailed> {
    getrandom::fill(buffer).map_err(|_| RandomFailed)
}
