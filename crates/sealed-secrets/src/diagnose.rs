//! Why a sealed value does not open, found by trying.

use crate::error::OpenError;
use crate::fingerprint::Fingerprint;
use crate::item::Item;
use crate::scope::Scope;
use crate::sealing_key::SealingKey;
use crate::sealing_keys::SealingKeys;

/// For whom a value was sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedFor {
    /// The scope.
    pub scope: Scope,
    /// The namespace; empty for a cluster-wide value.
    pub namespace: String,
    /// The name; empty unless strict.
    pub name: String,
    /// The key that opens it.
    pub key: Fingerprint,
    /// Whether its content is what was sealed.
    pub whole: bool,
}

/// Names that a value may have been sealed for.
#[derive(Clone, Debug, Default)]
pub struct Candidates {
    namespaces: Vec<String>,
    names: Vec<String>,
}

impl Candidates {
    /// Adds a namespace and a name. What is known already is not added again.
    pub fn add(&mut self, namespace: &str, name: &str) {
        let known = |list: &[String], text: &str| list.iter().any(|known| known == text);
        if !known(&self.namespaces, namespace) {
            self.namespaces.push(namespace.to_owned());
        }
        if !known(&self.names, name) {
            self.names.push(name.to_owned());
        }
    }

    /// Every label that they can make, the likeliest first: cluster-wide, each namespace, each pair.
    fn labels(&self) -> impl Iterator<Item = (Scope, &str, &str)> {
        let wide = std::iter::once((Scope::ClusterWide, "", ""));
        let namespaces = self.namespaces.iter();
        let namespaces = namespaces.map(|namespace| (Scope::NamespaceWide, namespace.as_str(), ""));
        let pairs = self.namespaces.iter().flat_map(move |namespace| {
            self.names
                .iter()
                .map(move |name| (Scope::Strict, namespace.as_str(), name.as_str()))
        });
        wide.chain(namespaces).chain(pairs)
    }
}

/// Tries every key with every label, at most `left` private operations, which it counts down; `None` if none opens the
/// session key.
pub fn diagnose(
    item: &Item,
    keys: &SealingKeys,
    candidates: &Candidates,
    left: &mut usize,
) -> Option<SealedFor> {
    let keys: Vec<&SealingKey> = keys.iter().filter(|key| key.fits(item)).collect();
    if keys.is_empty() {
        return None;
    }
    let tries = candidates
        .labels()
        .flat_map(|label| keys.iter().map(move |key| (label, key)));
    for ((scope, namespace, name), key) in tries {
        *left = left.checked_sub(1)?;
        let whole = match key.open(item, &scope.label(namespace, name)) {
            Ok(_) => true,
            Err(OpenError::Damaged) => false,
            Err(_) => continue,
        };
        return Some(SealedFor {
            scope,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            key: key.fingerprint(),
            whole,
        });
    }
    None
}
