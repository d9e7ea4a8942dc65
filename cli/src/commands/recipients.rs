//! Who may stand in a file that is written again.
//!
//! Nothing in the SOPS format says who added a recipient. So a command that seals again compares the file's
//! list with the policy's rule, and refuses a recipient that nobody named.

use std::path::Path;

use key_providers::age::RecipientKind;
use sops::config::CreationRule;
use sops::{KeyEntry, MasterKey, Metadata};

use crate::error::{Code, Error, Result};
use crate::workbench::Workbench;

/// Refuses a file that lists a recipient which neither the matching rule nor `added` names; in the place of sops it warns.
///
/// # Errors
/// Code 8, naming the recipient.
pub(crate) fn check(
    bench: &Workbench,
    path: &Path,
    metadata: &Metadata,
    added: &[MasterKey],
    accepted: &[String],
) -> Result<()> {
    check_named(bench, path, metadata, &Named::new(bench, path, added, accepted)?)
}

fn check_named(bench: &Workbench, path: &Path, metadata: &Metadata, named: &Named<'_>) -> Result<()> {
    if !named.by_a_rule() {
        if !bench.as_sops() {
            bench.ui.warn(
                Some(path),
                "no rule of a policy names keys for this file: its recipients are taken as they are",
            );
        }
        return Ok(());
    }
    for entry in metadata.groups.iter().flatten() {
        let key = entry.master_key();
        if key.is_some_and(|key| named.holds(key)) {
            continue;
        }
        if bench.as_sops() {
            bench.ui.warn(
                Some(path),
                "the file lists a recipient that the policy does not name",
            );
            continue;
        }
        let name = key.map_or_else(|| entry.kind().to_owned(), MasterKey::to_string);
        return Err(Error::new(
            Code::Conflict,
            format!("the file lists a recipient that the policy does not name: {name}"),
        )
        .file(path)
        .hint("if it belongs there, add it to the policy or pass --accept-recipient with it"));
    }
    Ok(())
}

/// As [`check`], for a file whose data key is wrapped anew: a recipient that a program would be started for must be
/// named by somebody other than the file, whoever is served and even where no rule names keys.
///
/// # Errors
/// Code 8, naming the recipient.
pub(crate) fn check_for_wrapping(
    bench: &Workbench,
    path: &Path,
    metadata: &Metadata,
    added: &[MasterKey],
    accepted: &[String],
) -> Result<()> {
    let named = Named::new(bench, path, added, accepted)?;
    check_named(bench, path, metadata, &named)?;
    let keys = metadata.groups.iter().flatten().filter_map(KeyEntry::master_key);
    for key in keys.filter(|key| !named.holds(key)) {
        if let MasterKey::Age { recipient } = key
            && let Ok(RecipientKind::Plugin(name)) = RecipientKind::of(recipient)
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

/// Who is named by somebody other than the file.
struct Named<'a> {
    rule: Option<CreationRule>,
    added: &'a [MasterKey],
    accepted: &'a [String],
}

impl<'a> Named<'a> {
    fn new(bench: &Workbench, path: &Path, added: &'a [MasterKey], accepted: &'a [String]) -> Result<Self> {
        let rule = bench.rule(path)?.and_then(|(_, rule)| rule);
        Ok(Self {
            rule: rule.filter(CreationRule::has_keys),
            added,
            accepted,
        })
    }

    /// Whether the policy has a rule with keys for the file.
    fn by_a_rule(&self) -> bool {
        self.rule.is_some()
    }

    fn holds(&self, key: &MasterKey) -> bool {
        let mut keys = self.rule.iter().flat_map(CreationRule::keys).chain(self.added);
        keys.any(|named| named.names(key)) || self.accepted.contains(&key.to_string())
    }
}
