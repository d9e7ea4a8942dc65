//! `.sops.yaml`: which keys and which selection rule hold for which file.
//!
//! Everything is checked when it is loaded, also in rules that match no file today: SOPS finds a bad pattern
//! only when a file meets it, and a bad `encrypted_regex` not at all, which leaves that file in clear. Unknown
//! keys are kept as warnings, for a misspelt `encrypted_regex` has the same effect.
//!
//! Refused, always with line and column and never with a value: what is not YAML, wrong types, duplicate keys,
//! bad patterns, two selection rules in one creation rule, empty key groups, an impossible threshold, keys
//! whose text cannot name one.
//!
//! # What this does not do
//! It finds no file and cuts no path: the caller knows where the configuration stands.

mod clusters;
mod fields;
mod file;
mod rule;

use crate::re2::{self, Pattern, PatternError};
use crate::{MasterKey, Rules};
pub use clusters::{Cluster, Output, SealedSecretRule, Source};

/// A loaded configuration.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// In file order; the first that matches a path holds. None at all counts as "no configuration".
    pub creation_rules: Vec<CreationRule>,
    /// Where `publish` sends files; the first that matches holds.
    pub destination_rules: Vec<DestinationRule>,
    /// How the writers indent.
    pub stores: Stores,
    /// What only we understand.
    pub seal: SealPolicy,
    /// What was read but means nothing.
    pub warnings: Vec<ConfigWarning>,
}

/// One entry of `creation_rules`.
#[derive(Clone, Debug, Default)]
pub struct CreationRule {
    /// The files it is for; `None` (also when written as empty text) is every file.
    pub path_regex: Option<PathPattern>,
    /// Keys by group, without duplicates, merged groups flattened. The plain lists of a rule make one group,
    /// and are ignored when `key_groups` is given, as in SOPS. Empty when the rule names no key.
    pub groups: Vec<Vec<MasterKey>>,
    /// Whether the keys stand in plain lists, not in `key_groups`.
    pub plain_lists: bool,
    /// Groups needed to open a file; 0 is "all of them".
    pub shamir_threshold: u8,
    /// At most one is set, and its pattern compiles.
    pub rules: Rules,
    /// Whether the MAC covers sealed values only.
    pub mac_only_encrypted: bool,
    /// Line of the rule, from 1.
    pub line: u64,
}

/// One entry of `destination_rules`.
#[derive(Clone, Debug, Default)]
pub struct DestinationRule {
    /// The files it is for, by the path as typed; `None` is every file.
    pub path_regex: Option<PathPattern>,
    /// Where to.
    pub destination: Option<Destination>,
    /// Whether the file's extension is left out of the name at the destination.
    pub omit_extensions: bool,
    /// Re-encrypt before upload with these keys and a new data key.
    pub recreation_rule: Option<CreationRule>,
}

/// The place that a destination rule names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// `s3_bucket`, `s3_prefix`
    S3 {
        /// Bucket name.
        bucket: String,
        /// What stands before the file's name.
        prefix: String,
    },
    /// `gcs_bucket`, `gcs_prefix`
    Gcs {
        /// Bucket name.
        bucket: String,
        /// What stands before the file's name.
        prefix: String,
    },
    /// `vault_path` and its companions
    Vault {
        /// Address; empty for the one of the environment.
        address: String,
        /// Path below the mount.
        path: String,
        /// Mount of the key-value engine, `secret/` unless named.
        kv_mount_name: String,
        /// Version of the key-value engine, 1 or 2.
        kv_version: u8,
    },
}

/// `stores`: indentation by format, `None` where the file does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stores {
    /// Columns; 0 is the writer's default.
    pub yaml_indent: Option<u32>,
    /// Columns; -1 is a tab, 0 is line breaks without indentation.
    pub json_indent: Option<i32>,
    /// As `json_indent`, for binary files.
    pub json_binary_indent: Option<i32>,
}

/// The top-level `seal` part, which SOPS ignores. Fields that are not known here belong to other readers.
#[derive(Clone, Debug, Default)]
pub struct SealPolicy {
    /// Whether files without a valid `integrity` field are refused.
    pub require_integrity: bool,
    /// Whether the file has the part at all.
    pub present: bool,
    /// Clusters that SealedSecrets are made for.
    pub clusters: Vec<Cluster>,
    /// Which Secrets become SealedSecrets; the first that matches holds.
    pub sealed_secrets: Vec<SealedSecretRule>,
}

impl SealPolicy {
    /// The rule for a file of Secrets; `path` is as for [`Config::rule_for`].
    pub fn rule_for_secret(&self, path: &str) -> Option<&SealedSecretRule> {
        self.sealed_secrets
            .iter()
            .find(|rule| rule.path_regex.is_match(path))
    }

    /// The cluster of that name.
    pub fn cluster(&self, name: &str) -> Option<&Cluster> {
        self.clusters.iter().find(|cluster| cluster.name == name)
    }

    /// The clusters for which the SealedSecrets in a file can be sealed: those whose `path_regex` matches; else those that a
    /// rule whose source the file can come from, or that seals it in place, seals for. More than one is for a person to
    /// decide.
    pub fn clusters_of(&self, path: &str) -> Vec<&Cluster> {
        let own = |cluster: &&Cluster| {
            let pattern = cluster.path_regex.as_ref();
            pattern.is_some_and(|pattern| pattern.is_match(path))
        };
        let named: Vec<&Cluster> = self.clusters.iter().filter(own).collect();
        if !named.is_empty() {
            return named;
        }
        let made_by = |rule: &SealedSecretRule, name: &str| match &rule.output {
            None => rule.path_regex.is_match(path),
            Some(output) => match output.source_of(path, name) {
                Source::None => false,
                Source::At(source) => rule.path_regex.is_match(&source),
                Source::Somewhere => true,
            },
        };
        let is_made = |cluster: &&Cluster| {
            self.sealed_secrets
                .iter()
                .any(|rule| rule.clusters.contains(&cluster.name) && made_by(rule, &cluster.name))
        };
        self.clusters.iter().filter(is_made).collect()
    }
}

/// A `path_regex`, compiled.
#[derive(Clone, Debug)]
pub struct PathPattern {
    text: String,
    pattern: Pattern,
}

/// Why a configuration cannot be used (exit code 5).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {why}")]
pub struct ConfigError {
    /// From 1; 0 when the place is not known.
    pub line: u64,
    /// From 1; 0 when the place is not known.
    pub column: u64,
    /// A sentence fragment without any value of the file.
    pub why: String,
}

/// Something in the file that has no effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {what}")]
pub struct ConfigWarning {
    /// From 1.
    pub line: u64,
    /// From 1.
    pub column: u64,
    /// A sentence fragment; names keys, not values.
    pub what: String,
}

impl Config {
    /// Reads a configuration. An empty document is an empty configuration.
    pub fn parse(text: &[u8]) -> Result<Self, ConfigError> {
        let (file, warnings) = file::parse(text)?;
        rule::build(file, warnings)
    }

    /// The first creation rule for a file. `path` is relative to the folder of the configuration if the file
    /// is below it, else absolute, with the platform's separators.
    pub fn rule_for(&self, path: &str) -> Option<&CreationRule> {
        self.creation_rules
            .iter()
            .find(|rule| matches(&rule.path_regex, path))
    }

    /// The first destination rule for a file; `path` is as the user typed it.
    pub fn destination_for(&self, path: &str) -> Option<&DestinationRule> {
        self.destination_rules
            .iter()
            .find(|rule| matches(&rule.path_regex, path))
    }
}

fn matches(pattern: &Option<PathPattern>, path: &str) -> bool {
    pattern.as_ref().is_none_or(|pattern| pattern.is_match(path))
}

impl CreationRule {
    /// Whether the rule names any key. One that names none cannot encrypt by itself.
    pub fn has_keys(&self) -> bool {
        self.keys().next().is_some()
    }

    /// The rule with this encryption context on the AWS keys of its plain lists, which have no place for one of their
    /// own. Empty for none.
    pub fn with_context(mut self, context: &[(String, String)]) -> Self {
        if self.plain_lists && !context.is_empty() {
            for key in self.groups.iter_mut().flatten() {
                if let MasterKey::AwsKms { context: own, .. } = key {
                    *own = context.to_vec();
                }
            }
        }
        self
    }

    /// All keys, group by group.
    pub fn keys(&self) -> impl Iterator<Item = &MasterKey> {
        self.groups.iter().flatten()
    }
}

impl PathPattern {
    /// Compiles a pattern in RE2 syntax.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        Ok(Self {
            text: text.to_owned(),
            pattern: re2::compile(text)?,
        })
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the pattern is found anywhere in `path`.
    pub fn is_match(&self, path: &str) -> bool {
        self.pattern.is_match(path)
    }
}

#[cfg(test)]
mod tests;
