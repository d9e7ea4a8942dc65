//! Encryption contexts that are not those under which a key was wrapped.
//!
//! SOPS before 3.3.0 could give AWS KMS one of a file's values for every name of a context, and note the right ones. Which
//! value it was stands nowhere (kms/keysource.go of 3.3.0 has the repair).

use super::{EntryKey, KeyEntry, Metadata};
use crate::master_key::MasterKey;

/// A file with more values than this is none that a person made.
const MOST: usize = 16;
/// The first version that notes what it gave.
const REPAIRED: [u64; 3] = [3, 3, 0];

impl Metadata {
    /// Other contexts that the keys of this block may have been wrapped under, one block for each; none if its version
    /// notes what it gave, or if there is only one value.
    pub fn other_contexts(&self) -> Vec<Self> {
        if version(&self.version).is_none_or(|version| version >= REPAIRED) {
            return Vec::new();
        }
        let mut values: Vec<&String> = self.contexts().flatten().map(|(_, value)| value).collect();
        values.sort_unstable();
        values.dedup();
        match values.len() {
            2..=MOST => values.into_iter().map(|value| self.with_context(value)).collect(),
            _ => Vec::new(),
        }
    }

    fn contexts(&self) -> impl Iterator<Item = &[(String, String)]> {
        let keys = self.groups.iter().flatten().filter_map(KeyEntry::master_key);
        keys.filter_map(|key| match key {
            MasterKey::AwsKms { context, .. } => Some(context.as_slice()),
            _ => None,
        })
    }

    /// The same block with `value` for every name of every context. What opens by itself needs no context, and whoever was
    /// asked for another key once is not asked again: where any key opens the file only those with a context are left.
    fn with_context(&self, value: &str) -> Self {
        let mut other = self.clone();
        if let [group] = other.groups.as_mut_slice() {
            group.retain(|entry| matches!(&entry.key, EntryKey::Known(MasterKey::AwsKms { .. })));
        }
        for entry in other.groups.iter_mut().flatten() {
            if let EntryKey::Known(MasterKey::AwsKms { context, .. }) = &mut entry.key {
                for (_, noted) in context {
                    value.clone_into(noted);
                }
            }
        }
        other
    }
}

/// `3.2.0`, as numbers.
fn version(text: &str) -> Option<[u64; 3]> {
    let mut numbers = text.split('.').map(|number| number.parse().ok());
    let version = [numbers.next()??, numbers.next()??, numbers.next()??];
    numbers.next().is_none().then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::KeyEntry;
    use crate::rules::Rules;

    fn block(version: &str, values: &[&str]) -> Metadata {
        let context = values
            .iter()
            .zip('a'..)
            .map(|(value, name)| (name.to_string(), (*value).to_owned()));
        let entry = KeyEntry::new(
            MasterKey::AwsKms {
                arn: "arn:aws:kms:eu-west-1:1:key/1".to_owned(),
                role: None,
                context: context.collect(),
                aws_profile: String::new(),
            },
            "2018-01-01T00:00:00Z".to_owned(),
            "enc".to_owned(),
        );
        Metadata::new(
            vec![vec![entry]],
            Rules::default(),
            String::new(),
            version.to_owned(),
        )
    }

    fn others(version: &str, values: &[&str]) -> Vec<Vec<String>> {
        let others = block(version, values).other_contexts();
        let values = |other: &Metadata| {
            other
                .contexts()
                .flatten()
                .map(|(_, value)| value.clone())
                .collect()
        };
        others.iter().map(values).collect()
    }

    #[test]
    fn each_value_may_stand_for_all() {
        assert_eq!(
            others("3.2.0", &["x", "y", "x"]),
            [["x", "x", "x"], ["y", "y", "y"]]
        );
        assert_eq!(others("2.0.10", &["y", "x"]), [["x", "x"], ["y", "y"]]);
    }

    #[test]
    fn what_is_noted_rightly_is_left_alone() {
        for (version, values) in [
            ("3.2.9", &["x", "x"][..]),
            ("3.2.9", &[]),
            ("3.3.0", &["x", "y"]),
            ("3.11.0", &["x", "y"]),
            ("10.0.0", &["x", "y"]),
            ("", &["x", "y"]),
            ("3.2", &["x", "y"]),
            ("3.2.0.1", &["x", "y"]),
            (
                "3.2.0",
                &[
                    "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q",
                ],
            ),
        ] {
            assert!(others(version, values).is_empty(), "{version} {values:?}");
        }
    }
}
