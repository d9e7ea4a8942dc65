//! Who may stand in a file that is written again.
//!
//! Nothing in the SOPS format says who added a recipient. So a command that seals again compares the file's
//! list with the policy's rule, and refuses a recipient that nobody named.

use std::path::Path;

use key_providers::age::RecipientKind;
use sops::{MasterKey, Metadata};

use crate::error::{Code, Error, Result};
use crate::workbench::Workbench;

/// Refuses a file that lists a recipient which neither the matching rule nor `added` names.
///
/// # Errors
/// Code 8, naming the recipient.
pub(super) fn check(
    bench: &Workbench,
    path: &Path,
    metadata: &Metadata,
    added: &[MasterKey],
    accepted: &[String],
) -> Result<()> {
    let rule = bench
        .rule(path)?
        .and_then(|(_, rule)| rule)
        .filter(|rule| rule.has_keys());
    let Some(rule) = rule else {
        if bench.as_sops {
            return Ok(());
        }
        bench.ui.warn(
            Some(path),
            "no rule of a policy names keys for this file: its recipients are taken as they are",
        );
        return Ok(());
    };
    for entry in metadata.groups.iter().flatten() {
        let known = entry.master_key().is_some_and(|key| {
            rule.keys().chain(added).any(|named| named == key) || accepted.contains(&key.to_string())
        });
        if !known && bench.as_sops {
            bench.ui.warn(
                Some(path),
                "the file lists a recipient that the policy does not name",
            );
        } else if !known {
            let name = entry
                .master_key()
                .map_or_else(|| entry.kind().to_owned(), MasterKey::to_string);
            return Err(Error::new(
                Code::Conflict,
                format!("the file lists a recipient that the policy does not name: {name}"),
            )
            .file(path)
            .hint("if it belongs there, add it to the policy or pass --accept-recipient with it"));
        }
    }
    Ok(())
}

/// As [`check`], for a file whose data key is wrapped anew: a recipient that a program would be started for must be
/// named by somebody other than the file even where no rule names keys.
///
/// # Errors
/// Code 8, naming the recipient.
pub(super) fn check_for_wrapping(
    bench: &Workbench,
    path: &Path,
    metadata: &Metadata,
    added: &[MasterKey],
    accepted: &[String],
) -> Result<()> {
    check(bench, path, metadata, added, accepted)?;
    let rule = bench.rule(path)?.and_then(|(_, rule)| rule);
    let named = |key: &MasterKey| {
        let by_rule = rule
            .as_ref()
            .is_some_and(|rule| rule.keys().any(|named| named == key));
        by_rule || added.contains(key) || accepted.contains(&key.to_string())
    };
    for key in metadata
        .groups
        .iter()
        .flatten()
        .filter_map(|entry| entry.master_key())
    {
        let MasterKey::Age { recipient } = key else {
            continue;
        };
        if let Ok(RecipientKind::Plugin(name)) = RecipientKind::of(recipient)
            && !named(key)
        {
            let message =
                format!("the file lists a recipient of an age plugin that nobody else names: {recipient}");
            return Err(Error::new(Code::Conflict, message).file(path).hint(format!(
                "sealing for it starts the program age-plugin-{name}; to allow that, add the recipient to the policy \
                 or pass --accept-recipient with it"
            )));
        }
    }
    Ok(())
}
