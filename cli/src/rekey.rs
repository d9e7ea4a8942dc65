//! Other recipients for the data key that a file has: its block changes, no value is opened or sealed again.

use std::path::Path;

use document::Edits;
use secret::SecretBytes;
use sops::{GroupForm, Integrity, IntegrityError, KeyEntry, MasterKey, Metadata};

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
    let key = bench.unwrap(path, &metadata)?;
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

/// The keys of a file, group by group.
///
/// # Errors
/// Code 111 for a key of a kind that this program does not know: it could not be wrapped for again.
pub(crate) fn known_groups(path: &Path, metadata: &Metadata) -> Result<Vec<Vec<MasterKey>>> {
    let known = |entry: &KeyEntry| {
        entry.master_key().cloned().ok_or_else(|| {
            let text = format!("cannot seal for a key of the kind {}", entry.kind());
            Error::new(Code::NoEncryptionKey, text).file(path)
        })
    };
    let group = |group: &Vec<KeyEntry>| group.iter().map(known).collect();
    metadata.groups.iter().map(group).collect()
}
