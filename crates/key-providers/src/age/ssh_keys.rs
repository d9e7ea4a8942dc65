//! The SSH keys at hand, each remembered with the place it came from.

use age_core::format::Stanza;
use secret::SecretBytes;

use super::ssh::{AnyIdentity, Identity};
use crate::Prompt;
use crate::provider::{Held, Inventory, SourceFault};

/// Parsed SSH keys.
#[derive(Default)]
pub(super) struct SshKeys {
    keys: Vec<(AnyIdentity, String)>,
    inventory: Inventory,
}

impl SshKeys {
    /// Reads one key file.
    pub(super) fn read(&mut self, text: &SecretBytes, source: &str) {
        match AnyIdentity::read(text, source) {
            Ok(key) => {
                self.inventory.held.push(Held {
                    recipient: key.recipient(),
                    source: source.to_owned(),
                });
                self.keys.push((key, source.to_owned()));
            }
            Err(reason) => self.fault(source, reason),
        }
    }

    /// Notes a place that is not there.
    pub(super) fn empty(&mut self, source: &str) {
        self.inventory.empty.push(source.to_owned());
    }

    /// Notes a place that could not be used.
    pub(super) fn fault(&mut self, source: &str, reason: String) {
        self.inventory.faults.push(SourceFault {
            source: source.to_owned(),
            line: None,
            reason,
        });
    }

    /// Public halves, places and faults.
    pub(super) fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// Whether the key that a recipient names is here and can be used. Its comment does not count.
    pub(super) fn holds(&self, recipient: &str) -> bool {
        self.open().any(|key| {
            let own = key.recipient();
            own.split(' ').eq(recipient.split_ascii_whitespace().take(2))
        })
    }

    /// Those that can be used without asking.
    pub(super) fn open(&self) -> impl Iterator<Item = &Identity> {
        self.keys.iter().filter_map(|(key, _)| key.open())
    }

    /// Those under a passphrase that one of `stanzas` is for, each asked for as it comes. What cannot be unlocked
    /// is noted in `faults`.
    pub(super) fn unlock<'a>(
        &'a self,
        stanzas: &'a [Stanza],
        prompt: &'a dyn Prompt,
        faults: &'a mut Vec<SourceFault>,
    ) -> impl Iterator<Item = &'a Identity> {
        self.keys
            .iter()
            .filter_map(move |(key, source)| match key.unlock(stanzas, prompt)? {
                Ok(identity) => Some(identity),
                Err(reason) => {
                    faults.push(SourceFault {
                        source: source.clone(),
                        line: None,
                        reason: reason.to_owned(),
                    });
                    None
                }
            })
    }
}
