//! Who can open a file, and who of them is here.

use std::path::Path;

use key_providers::age::{AgeProvider, AgeSources};
use key_providers::{Held, Inventory};
use sops::{DataKey, EntryKey, KeyEntry, KeyGroup, Metadata};

use crate::audit::Action;
use crate::error::Result;
use crate::home::home;
use crate::workbench::{Probe, Workbench};

/// No more entries than this are tried one by one.
const MOST_TRIED: usize = 64;

/// The recipients of a file and the identities at hand.
pub(super) struct Access {
    /// By group, in the order of the file.
    pub(super) groups: Vec<Vec<Recipient>>,
    /// How many groups must be opened; `None` if the file says nothing that is possible.
    pub(super) threshold: Option<u8>,
    /// The public halves of the age identities here, and where none was found.
    pub(super) held: Vec<Identity>,
    /// Places that should hold identities and cannot be used.
    pub(super) faults: Vec<String>,
    /// Places without identities.
    pub(super) empty: Vec<String>,
    /// Whether the file opens here.
    pub(super) opens: bool,
}

/// One entry of a group.
pub(super) struct Recipient {
    /// The name of its list.
    pub(super) kind: String,
    /// As sops prints it; empty for a kind that is not known.
    pub(super) name: String,
    /// Where its identity was found, if that is at hand as such.
    pub(super) here: Option<String>,
    /// Whether this very entry was opened; `None` if that was not tried.
    pub(super) opens: Option<bool>,
    /// What the service behind it says, if there is one.
    pub(super) service: Option<Probe>,
}

/// One identity that is here.
pub(super) struct Identity {
    /// Its public half, and where it was found.
    pub(super) held: Held,
    /// Whether the file names it.
    pub(super) listed: bool,
}

impl Access {
    /// Looks at all entries and tries to open the file.
    pub(super) fn of(bench: &Workbench, path: &Path, metadata: &Metadata) -> (Self, Result<DataKey>) {
        let inventory = inventory();
        let unwrapped = bench.unwrap(path, metadata);
        // Whoever has the key opens values with it.
        let unwrapped = unwrapped.and_then(|key| bench.record(Action::Decrypt, path).map(|()| key));
        let single = metadata.groups.len() == 1;
        let groups: Vec<Vec<Recipient>> = metadata
            .groups
            .iter()
            .map(|group| entries(bench, path, metadata, group, &inventory, single))
            .collect();
        let listed = |held: &Held| groups.iter().flatten().any(|key| key.name == held.recipient);
        let access = Self {
            held: inventory
                .held
                .iter()
                .map(|held| Identity {
                    held: held.clone(),
                    listed: listed(held),
                })
                .collect(),
            faults: inventory.faults.iter().map(ToString::to_string).collect(),
            empty: inventory.empty,
            threshold: metadata.threshold().ok(),
            opens: unwrapped.is_ok(),
            groups,
        };
        (access, unwrapped)
    }
}

fn entries(
    bench: &Workbench,
    path: &Path,
    metadata: &Metadata,
    group: &KeyGroup,
    inventory: &Inventory,
    single: bool,
) -> Vec<Recipient> {
    let mut recipients = Vec::new();
    for (number, entry) in group.iter().enumerate() {
        let name = match &entry.key {
            EntryKey::Known(key) => key.to_string(),
            EntryKey::Unknown(_) => String::new(),
        };
        let here = inventory.held.iter().find(|held| held.recipient == name);
        let tried = number < MOST_TRIED;
        let key = entry.master_key().filter(|_| tried);
        let service = key.and_then(|key| bench.probe(key, &entry.enc));
        // A share of several groups is not the data key, so that alone it cannot be told to be right.
        let opens = (single && tried).then(|| {
            let key = match &service {
                Some(service) => service
                    .opens
                    .as_ref()
                    .ok()
                    .and_then(|key| DataKey::from_slice(key.expose())),
                None => bench.unwrap(path, &alone(metadata, entry)).ok(),
            };
            key.is_some_and(|key| metadata.mac.is_none() || sops::is_data_key(metadata, &key))
        });
        recipients.push(Recipient {
            kind: entry.kind().to_owned(),
            name,
            here: here.map(|held| held.source.clone()),
            opens,
            service,
        });
    }
    recipients
}

/// The file as if it had this entry only.
fn alone(metadata: &Metadata, entry: &KeyEntry) -> Metadata {
    Metadata {
        groups: vec![vec![entry.clone()]],
        ..metadata.clone()
    }
}

/// The age identities of this environment, public halves only.
pub(super) fn inventory() -> Inventory {
    let sources = AgeSources::from_env(&|name| std::env::var_os(name), home().as_deref());
    let provider = AgeProvider::new(sources);
    let found = provider.identities().inventory();
    Inventory {
        held: found.held.clone(),
        empty: found.empty.clone(),
        faults: found.faults.clone(),
    }
}
