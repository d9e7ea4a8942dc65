//! Who a file is wrapped for: the keys that it lists, changes of them, and a block that is written anew for them.

use std::collections::BTreeSet;
use std::path::Path;

use document::Edits;
use secret::SecretBytes;
use sops::{DataKey, GroupForm, Integrity, IntegrityError, KeyEntry, MasterKey, Metadata};

use crate::commands::recipients;
use crate::error::{Code, Error, Result};
use crate::workbench::{SealedFile, Workbench};

/// The file with its data key wrapped for `groups`.
///
/// The integrity field is checked against the block as it was read and then renewed: nothing is built on a block
/// that somebody else changed.
///
/// # Errors
/// Code 128 if no key at hand opens the file, 51 if its block was changed, 111 if a key cannot be wrapped for.
pub(crate) fn rekeyed(
    bench: &Workbench,
    path: &Path,
    file: SealedFile,
    groups: &[Vec<MasterKey>],
    threshold: Option<u8>,
) -> Result<SecretBytes> {
    let SealedFile {
        document,
        mut metadata,
    } = file;
    let key = bench.unwrap_or_correct(path, &mut metadata)?;
    let integrity = match metadata.integrity.as_deref().map(Integrity::parse) {
        None => None,
        Some(Ok(integrity)) => {
            let verified = integrity.verify_head(&key, &metadata);
            verified.map_err(|error| Error::from((path, sops::Error::Field(error))))?;
            Some(integrity)
        }
        Some(Err(IntegrityError::UnknownVersion)) => {
            bench.ui.warn(
                Some(path),
                "sops.integrity has a version that this program does not know: it is left out",
            );
            None
        }
        Some(Err(error)) => return Err(Error::new(Code::MacMismatch, error.to_string()).file(path)),
    };
    let wrapped = bench.wrap(
        groups,
        threshold,
        &key,
        metadata.rules.clone(),
        metadata.mac_only_encrypted,
    )?;
    metadata.form = match (metadata.form, groups.len()) {
        (GroupForm::Single, 1) => GroupForm::Single,
        _ => wrapped.form,
    };
    metadata.groups = wrapped.groups;
    metadata.shamir_threshold = wrapped.shamir_threshold;
    metadata.integrity = integrity.map(|integrity| integrity.reseal_head(&key, &metadata));
    let mut edits = Edits::default();
    let refuse = |error: document::Error| Error::from((path, error));
    document
        .set_block(&sops::block_value(&document, &metadata), &mut edits)
        .map_err(refuse)?;
    Ok(document.into_rendered(&edits))
}

/// The keys of a file, group by group, to be wrapped for again. `named` are those that the command names itself.
///
/// # Errors
/// Code 8 for a key that may not be taken from the file (see [`recipients::check_for_wrapping`]), 111 for one of a kind
/// that this program does not know.
pub(crate) fn groups_of_file(
    bench: &Workbench,
    path: &Path,
    metadata: &Metadata,
    named: &[MasterKey],
    accepted: &[String],
) -> Result<Vec<Vec<MasterKey>>> {
    recipients::check_for_wrapping(bench, path, metadata, named, accepted)?;
    let known = |entry: &KeyEntry| {
        entry.master_key().cloned().ok_or_else(|| {
            let text = format!("cannot seal for a key of the kind {}", entry.kind());
            Error::new(Code::NoEncryptionKey, text).file(path)
        })
    };
    let group = |group: &Vec<KeyEntry>| group.iter().map(known).collect();
    metadata.groups.iter().map(group).collect()
}

/// New keys go to the first group, others leave every group.
pub(crate) fn change(groups: &mut [Vec<MasterKey>], added: &[MasterKey], removed: &[MasterKey]) {
    if let Some(first) = groups.first_mut() {
        let gone = |key: &MasterKey| removed.iter().any(|gone| gone.names(key));
        let there = |new: &MasterKey| first.iter().any(|key| new.names(key) && !gone(key));
        let new = added.iter().filter(|key| !there(key)).cloned();
        first.extend(new.collect::<Vec<_>>());
    }
    for group in groups {
        group.retain(|key| !removed.iter().any(|gone| gone.names(key)));
    }
}

/// The keys of a rule, those that name no version with the one that the file has.
pub(crate) fn as_in_file(metadata: &Metadata, groups: Vec<Vec<MasterKey>>) -> Vec<Vec<MasterKey>> {
    let present = |number: usize, named: &MasterKey| {
        let mut keys = metadata
            .groups
            .get(number)?
            .iter()
            .filter_map(KeyEntry::master_key);
        keys.find(|key| named.names(key)).cloned()
    };
    let group = |(number, group): (usize, Vec<MasterKey>)| {
        let keys = group.into_iter();
        keys.map(|key| present(number, &key).unwrap_or(key)).collect()
    };
    groups.into_iter().enumerate().map(group).collect()
}

/// The metadata of a file with the new data key `key`, wrapped for `groups`.
///
/// # Errors
/// Code 111 if a key cannot be wrapped for.
pub(crate) fn renewed(
    bench: &Workbench,
    old: &Metadata,
    groups: &[Vec<MasterKey>],
    key: &DataKey,
) -> Result<Metadata> {
    let wrapped = bench.wrap(
        groups,
        old.shamir_threshold,
        key,
        old.rules.clone(),
        old.mac_only_encrypted,
    )?;
    Ok(Metadata {
        groups: wrapped.groups,
        shamir_threshold: wrapped.shamir_threshold,
        ..old.clone()
    })
}

/// A recipient as it is told.
pub(crate) fn name(entry: &sops::KeyEntry) -> String {
    let key = entry.master_key().map(MasterKey::to_string);
    key.unwrap_or_else(|| format!("{} (of a kind that this program does not know)", entry.kind()))
}

/// What differs between the recipients of a file and those that it is to have, a line each.
pub(crate) fn changes(metadata: &Metadata, wanted: &[Vec<MasterKey>], threshold: Option<u8>) -> Vec<String> {
    let mut lines = Vec::new();
    let count = metadata.groups.len().max(wanted.len());
    for number in 0..count {
        let present: BTreeSet<String> = metadata
            .groups
            .get(number)
            .into_iter()
            .flatten()
            .map(name)
            .collect();
        let wanted: BTreeSet<String> = wanted
            .get(number)
            .into_iter()
            .flatten()
            .map(ToString::to_string)
            .collect();
        let group = if count > 1 {
            format!("group {}: ", number + 1)
        } else {
            String::new()
        };
        lines.extend(wanted.difference(&present).map(|key| format!("{group}+ {key}")));
        lines.extend(present.difference(&wanted).map(|key| format!("{group}- {key}")));
    }
    let quorum = |threshold: Option<u8>, groups: usize| match threshold {
        Some(threshold) if groups > 1 => usize::from(threshold),
        _ => groups,
    };
    let before = quorum(metadata.shamir_threshold, metadata.groups.len());
    let after = quorum(threshold, wanted.len());
    if before != after {
        lines.push(format!("groups needed to open the file: {before} -> {after}"));
    }
    lines
}

/// Who stays, comes and goes, group by group, as sops prints it.
pub(crate) fn diff_as_sops(present: &[Vec<String>], wanted: &[Vec<MasterKey>]) -> String {
    let mut out = String::new();
    for number in 0..present.len().max(wanted.len()) {
        let present = present.get(number).map_or(&[][..], Vec::as_slice);
        let wanted = wanted.get(number).into_iter().flatten();
        let wanted: Vec<String> = wanted.map(ToString::to_string).collect();
        out.push_str(&format!("Group {}\n", number + 1));
        for key in present.iter().filter(|key| wanted.contains(key)) {
            out.push_str(&format!("    {key}\n"));
        }
        for key in wanted.iter().filter(|key| !present.contains(key)) {
            out.push_str(&format!("+++ {key}\n"));
        }
        for key in present.iter().filter(|key| !wanted.contains(key)) {
            out.push_str(&format!("--- {key}\n"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn age(name: &str) -> MasterKey {
        MasterKey::Age {
            recipient: name.to_owned(),
        }
    }

    fn metadata(groups: &[&[&str]]) -> Metadata {
        let entry = |name: &&str| sops::KeyEntry::new(age(name), String::new(), String::new());
        let groups = groups
            .iter()
            .map(|group| group.iter().map(entry).collect())
            .collect();
        Metadata::new(groups, sops::Rules::default(), String::new(), String::new())
    }

    #[test]
    fn who_comes_and_who_goes_is_told_group_by_group() {
        let file = metadata(&[&["a", "b"], &["c"]]);
        let same = [vec![age("b"), age("a")], vec![age("c")]];
        assert!(changes(&file, &same, None).is_empty());
        let other = [vec![age("a"), age("d")]];
        assert_eq!(
            changes(&file, &other, None),
            [
                "group 1: + d",
                "group 1: - b",
                "group 2: - c",
                "groups needed to open the file: 2 -> 1"
            ]
        );
    }

    fn azure(version: &str) -> MasterKey {
        MasterKey::AzureKeyVault {
            vault_url: "https://v".to_owned(),
            name: "n".to_owned(),
            version: version.to_owned(),
        }
    }

    #[test]
    fn a_key_without_version_is_the_one_that_the_file_has() {
        let entry = |key| sops::KeyEntry::new(key, String::new(), String::new());
        let file = vec![vec![entry(azure("1"))], vec![entry(age("a"))]];
        let file = Metadata::new(file, sops::Rules::default(), String::new(), String::new());
        let rule = vec![vec![azure(""), age("b")], vec![azure("")]];
        let kept = as_in_file(&file, rule);
        assert_eq!(kept, [vec![azure("1"), age("b")], vec![azure("")]]);
        let changed = |added: MasterKey, removed: MasterKey| {
            let mut groups = vec![vec![azure("1"), age("a")]];
            change(&mut groups, &[added], &[removed]);
            groups.remove(0)
        };
        assert_eq!(changed(azure(""), age("a")), [azure("1")]);
        assert_eq!(changed(age("b"), azure("")), [age("a"), age("b")]);
        assert_eq!(changed(azure(""), azure("1")), [age("a"), azure("")]);
        assert_eq!(changed(azure("2"), azure("1")), [age("a"), azure("2")]);
        assert_eq!(changed(age("a"), age("a")), [azure("1")]);
    }
}
