//! Which clusters a file of Secrets is for, and which cluster a file of SealedSecrets belongs to.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use sealed_secrets::Certificate;
use sops::config::{Cluster, SealedSecretRule};

use super::Certificates;
use crate::error::{Code, Error, Result};
use crate::policy::Policy;
use crate::workbench::Workbench;

/// For whom, and where to.
#[derive(Clone)]
pub(crate) struct Destination {
    /// The cluster's name.
    pub(crate) cluster: String,
    /// Its certificate.
    pub(crate) certificate: Arc<Certificate>,
    /// Where the result stands; `None` is in place.
    pub(crate) path: Option<PathBuf>,
}

/// The rule of the policy for a file of Secrets, and the file's path as rules see it.
///
/// # Errors
/// Code 5 if a policy cannot be used.
pub(crate) fn rule_of(
    bench: &Workbench,
    path: &Path,
) -> Result<Option<(Rc<Policy>, SealedSecretRule, String)>> {
    let Some(policy) = bench.policy(path)? else {
        return Ok(None);
    };
    let tested = policy.tested(path)?;
    let rule = policy.config.seal.rule_for_secret(&tested).cloned();
    Ok(rule.map(|rule| (policy, rule, tested)))
}

/// What a rule makes of a file: one result for each of its clusters.
///
/// # Errors
/// When a certificate cannot be used.
pub(crate) fn destinations(
    bench: &Workbench,
    certificates: &mut Certificates,
    (policy, rule, tested): &(Rc<Policy>, SealedSecretRule, String),
) -> Result<Vec<Destination>> {
    let clusters = rule
        .clusters
        .iter()
        .filter_map(|name| policy.config.seal.cluster(name));
    let destination = |cluster: &Cluster| {
        let path = rule
            .output
            .as_ref()
            .map(|output| output.path(tested, &cluster.name));
        Ok(Destination {
            cluster: cluster.name.clone(),
            certificate: certificates.of_cluster(bench, cluster, policy.folder())?,
            path: path.map(|path| shown(&policy.folder().join(path))),
        })
    };
    clusters.map(destination).collect()
}

/// The cluster that a file of SealedSecrets belongs to, with the policy that says so.
///
/// # Errors
/// Code 5 if a policy cannot be used.
pub(crate) fn cluster_of(bench: &Workbench, path: &Path) -> Result<Option<(Rc<Policy>, Cluster)>> {
    let Some(policy) = bench.policy(path)? else {
        return Ok(None);
    };
    let tested = policy.tested(path)?;
    let clusters = policy.config.seal.clusters_of(&tested);
    if let [first, _, ..] = &clusters[..] {
        let names: Vec<&str> = clusters.iter().map(|cluster| cluster.name.as_str()).collect();
        let text = format!("can belong to several clusters: {}", names.join(", "));
        return Err(Error::new(Code::Conflict, text).file(path).hint(format!(
            "give one of them a path_regex in seal.clusters that matches the file, {} for one",
            first.name
        )));
    }
    let cluster = clusters.first().map(|cluster| (*cluster).clone());
    Ok(cluster.map(|cluster| (policy, cluster)))
}

/// Refuses one certificate for files that belong to several clusters: in all but one of them nothing would open.
///
/// # Errors
/// Code 8, and code 5 if a policy cannot be used.
pub(crate) fn expect_one_cluster<'p>(
    bench: &Workbench,
    files: impl IntoIterator<Item = &'p Path>,
) -> Result<()> {
    let mut clusters = BTreeSet::new();
    for file in files {
        clusters.extend(cluster_of(bench, file)?.map(|(_, cluster)| cluster.name));
    }
    if clusters.len() < 2 {
        return Ok(());
    }
    let names: Vec<String> = clusters.into_iter().collect();
    let text = format!(
        "these files belong to several clusters ({}), and --cert is one certificate",
        names.join(", ")
    );
    Err(Error::new(Code::Conflict, text).hint(
        "leave --cert out: each file gets the certificate of its cluster; or name the files of one cluster",
    ))
}

/// Refuses results that would have one place, or that of a source; of each the source is named before it.
///
/// # Errors
/// Code 8.
pub(crate) fn apart<'p>(results: impl Iterator<Item = (&'p Path, &'p Path)> + Clone) -> Result<()> {
    let place = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let sources: HashSet<PathBuf> = results.clone().map(|(source, _)| place(source)).collect();
    let mut taken = HashSet::new();
    for (_, path) in results {
        let place = place(path);
        let why = if sources.contains(&place) {
            "a result would fall on the Secrets that it is made of"
        } else if !taken.insert(place) {
            "the results of several files would fall on one another"
        } else {
            continue;
        };
        return Err(Error::new(Code::Conflict, why)
            .file(path)
            .hint("an output such as '{dir}/{stem}.sealed.{ext}' gives each a place of its own"));
    }
    Ok(())
}

/// The path as a person in the current folder would write it.
pub(crate) fn shown(path: &Path) -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here)
        .map_or_else(|_| path.to_owned(), Path::to_owned)
}
