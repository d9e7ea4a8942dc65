//! age: recipients `age1...`, `age1pq1...`, `age1NAME1...` and `ssh-...`, and the identities that open what was
//! wrapped for them.
//!
//! Identities are read and parsed once, when they are first needed, and serve every file of a run. The file format
//! is the `age` crate's; post-quantum and SSH recipients and the talking to plugins are our own.
//!
//! What may take long or disturb somebody comes last, and only if nothing before it opened the entry: SSH keys are
//! read when an entry names one, then plugins are started, then the key commands, then passphrases of identity files
//! are asked for. A recipient that a file names starts no program: the plugins started for unwrapping are those of
//! the identities at hand, and the key command is the configured one.

mod command;
mod entry;
mod hybrid;
mod identities;
mod locked;
mod plugin;
mod recipient;
mod sources;
mod ssh;
mod ssh_keys;
mod x25519;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use secret::SecretBytes;
use sops::MasterKey;
use tokio::sync::Mutex;

pub use command::KeyCommand;
pub use hybrid::generate as generate_post_quantum;
pub use identities::{AgeIdentities, generate};
pub use recipient::RecipientKind;
pub use sources::AgeSources;

use crate::prompt::{Nobody, Prompt};
use crate::provider::{Answer, Inventory, KeyProvider, ProviderError, SourceFault};
use entry::Entry;
use plugin::Plugins;
use recipient::Recipient;
use ssh_keys::SshKeys;

/// Works with all entries of the list `age`.
pub struct AgeProvider {
    sources: AgeSources,
    prompt: Arc<dyn Prompt>,
    loaded: OnceLock<AgeIdentities>,
    ssh: OnceLock<SshKeys>,
    commanded: Commanded<AgeIdentities>,
    ssh_commanded: Commanded<SshKeys>,
    /// Locked while plugins run or passphrases are asked for, so that never two of them ask a person at once.
    asking: Mutex<()>,
}

/// What a key command printed, by the recipient it was asked for. Locked while it runs, for the same reason.
type Commanded<T> = Mutex<HashMap<String, Arc<T>>>;

impl AgeProvider {
    /// A provider that looks for identities in `sources` when it first needs one, and asks nobody.
    pub fn new(sources: AgeSources) -> Self {
        Self {
            sources,
            prompt: Arc::new(Nobody),
            loaded: OnceLock::new(),
            ssh: OnceLock::new(),
            commanded: Mutex::default(),
            ssh_commanded: Mutex::default(),
            asking: Mutex::default(),
        }
    }

    /// The same, with somebody to ask for passphrases and whatever plugins want to know.
    pub fn asking(mut self, prompt: Arc<dyn Prompt>) -> Self {
        self.prompt = prompt;
        self
    }

    /// A provider that has these identities and looks nowhere else.
    pub fn from_identities(identities: AgeIdentities) -> Self {
        Self {
            loaded: OnceLock::from(identities),
            ..Self::new(AgeSources::default())
        }
    }

    /// The identities of all places but the key commands and the SSH keys; reads them if that was not done yet.
    pub fn identities(&self) -> &AgeIdentities {
        self.loaded.get_or_init(|| self.sources.load())
    }

    /// What SSH keys there are; reads them if that was not done yet.
    pub fn ssh_inventory(&self) -> &Inventory {
        self.ssh().inventory()
    }

    fn ssh(&self) -> &SshKeys {
        self.ssh.get_or_init(|| self.sources.load_ssh())
    }

    async fn open(&self, recipient: &str, enc: &str) -> Result<SecretBytes, ProviderError> {
        let wanted = recipient::parse(recipient)?;
        let mut entry = Entry::read(enc)?;
        let held = self.identities();
        let expected = held.matching(recipient);
        if expected.is_some()
            && let Some(plaintext) = entry.open(expected.into_iter().map(|identity| &**identity as _))?
        {
            return Ok(plaintext);
        }
        // An entry whose recipient is held goes first: it opens at once, and this one need not be tried.
        tokio::task::yield_now().await;
        let others = held.native().iter();
        let others = others.filter(|other| expected.is_none_or(|tried| !std::ptr::eq(*other, tried)));
        if let Some(plaintext) = entry.open(others.map(|identity| &**identity as _))? {
            return Ok(plaintext);
        }
        let mut tried = Tried {
            expected: expected.is_some(),
            inventory: copy(held.inventory()),
        };
        let ssh = matches!(wanted, Recipient::Ssh(_)) || entry.names_ssh_key();
        if ssh && let Some(plaintext) = self.open_with_ssh(recipient, &mut entry, &mut tried).await? {
            return Ok(plaintext);
        }
        if let Some(plaintext) = self.open_slowly(recipient, held, &mut entry, &mut tried).await? {
            return Ok(plaintext);
        }
        Err(match tried.expected {
            true => ProviderError::Damaged("its identity is here, but the entry was replaced".to_owned()),
            false => ProviderError::NoIdentity(Arc::new(tried.inventory)),
        })
    }

    /// With SSH keys: those that are open, those that wait for a passphrase, the one that a program prints.
    async fn open_with_ssh(
        &self,
        recipient: &str,
        entry: &mut Entry,
        tried: &mut Tried,
    ) -> Result<Option<SecretBytes>, ProviderError> {
        let keys = self.ssh();
        add(&mut tried.inventory, keys.inventory());
        if let Some(plaintext) = entry.open(keys.open().map(|key| key as _))? {
            return Ok(Some(plaintext));
        }
        let stanzas = entry.stanzas()?;
        {
            let _asking = self.asking.lock().await;
            let faults = &mut tried.inventory.faults;
            let unlocked = keys.unlock(&stanzas, &*self.prompt, faults);
            if let Some(plaintext) = entry.open(unlocked.map(|key| key as _))? {
                return Ok(Some(plaintext));
            }
        }
        tried.expected |= keys.holds(recipient);
        let Some(command) = &self.sources.ssh_command else {
            return Ok(None);
        };
        let mut commanded = self.ssh_commanded.lock().await;
        let printed = match commanded.get(recipient) {
            Some(known) => known.clone(),
            None => {
                let mut printed = SshKeys::default();
                match command.run(recipient).await {
                    Ok(text) => printed.read(&text, "SOPS_AGE_SSH_PRIVATE_KEY_CMD"),
                    Err(reason) => printed.fault("SOPS_AGE_SSH_PRIVATE_KEY_CMD", reason),
                }
                let printed = Arc::new(printed);
                commanded.insert(recipient.to_owned(), printed.clone());
                printed
            }
        };
        drop(commanded);
        add(&mut tried.inventory, printed.inventory());
        if let Some(plaintext) = entry.open(printed.open().map(|key| key as _))? {
            return Ok(Some(plaintext));
        }
        let faults = &mut tried.inventory.faults;
        let unlocked = printed.unlock(&stanzas, &*self.prompt, faults);
        entry.open(unlocked.map(|key| key as _))
    }

    /// With plugins, with what the key command prints, and with identity files under a passphrase.
    async fn open_slowly(
        &self,
        recipient: &str,
        held: &AgeIdentities,
        entry: &mut Entry,
        tried: &mut Tried,
    ) -> Result<Option<SecretBytes>, ProviderError> {
        if let Some(plaintext) = self.open_with_plugins(held, entry, tried).await? {
            return Ok(Some(plaintext));
        }
        if let Some(printed) = self.commanded(recipient).await {
            add(&mut tried.inventory, printed.inventory());
            if let Some(plaintext) = self.open_with_all(&printed, entry, tried).await? {
                return Ok(Some(plaintext));
            }
        }
        for file in held.locked() {
            let inside = {
                let _asking = self.asking.lock().await;
                file.identities(&*self.prompt)
            };
            add(&mut tried.inventory, inside.inventory());
            if let Some(plaintext) = self.open_with_all(inside, entry, tried).await? {
                return Ok(Some(plaintext));
            }
        }
        Ok(None)
    }

    async fn open_with_all(
        &self,
        identities: &AgeIdentities,
        entry: &mut Entry,
        tried: &mut Tried,
    ) -> Result<Option<SecretBytes>, ProviderError> {
        let native = identities.native().iter();
        match entry.open(native.map(|identity| &**identity as _))? {
            Some(plaintext) => Ok(Some(plaintext)),
            None => self.open_with_plugins(identities, entry, tried).await,
        }
    }

    async fn open_with_plugins(
        &self,
        identities: &AgeIdentities,
        entry: &mut Entry,
        tried: &mut Tried,
    ) -> Result<Option<SecretBytes>, ProviderError> {
        if identities.plugins().is_empty() {
            return Ok(None);
        }
        let stanzas = entry.stanzas()?;
        let _asking = self.asking.lock().await;
        for identity in identities.plugins() {
            match self.plugins().unwrap(identity, &stanzas).await {
                Ok(Some(key)) => return entry.open_with(key),
                Ok(None) => {}
                Err(reason) => tried.inventory.faults.push(SourceFault {
                    source: identity.name(),
                    line: None,
                    reason,
                }),
            }
        }
        Ok(None)
    }

    fn plugins(&self) -> Plugins<'_> {
        Plugins {
            search_path: self.sources.search_path.as_deref(),
            prompt: &*self.prompt,
        }
    }

    /// What the key command prints for `recipient`; an identity that it printed for another one serves too.
    async fn commanded(&self, recipient: &str) -> Option<Arc<AgeIdentities>> {
        let command = self.sources.command.as_ref()?;
        let mut commanded = self.commanded.lock().await;
        let known = commanded.get(recipient);
        let known = known.or_else(|| {
            commanded
                .values()
                .find(|printed| printed.matching(recipient).is_some())
        });
        if let Some(known) = known {
            return Some(known.clone());
        }
        let mut printed = AgeIdentities::default();
        match command.run(recipient).await {
            Ok(text) => printed.read(&text, "SOPS_AGE_KEY_CMD"),
            Err(reason) => printed.fault("SOPS_AGE_KEY_CMD", None, reason),
        }
        let printed = Arc::new(printed);
        commanded.insert(recipient.to_owned(), printed.clone());
        Some(printed)
    }

    async fn seal(&self, recipient: &str, plaintext: &[u8]) -> Result<String, ProviderError> {
        match recipient::parse(recipient)? {
            Recipient::X25519(recipient) if recipient::is_low_order(&recipient) => {
                Err(ProviderError::InvalidKey("it is a point of low order".to_owned()))
            }
            Recipient::X25519(recipient) => entry::seal(&recipient, plaintext),
            Recipient::Hybrid(recipient) => entry::seal(&*recipient, plaintext),
            Recipient::Ssh(recipient) => entry::seal(&*recipient, plaintext),
            Recipient::Plugin(recipient) => {
                let _asking = self.asking.lock().await;
                self.plugins().seal(&recipient, plaintext).await
            }
        }
    }
}

/// What one unwrapping has looked at.
struct Tried {
    /// Whether the identity that the entry's recipient names was among it.
    expected: bool,
    inventory: Inventory,
}

impl KeyProvider for AgeProvider {
    fn name(&self) -> &'static str {
        "age"
    }

    fn handles(&self, key: &MasterKey) -> bool {
        matches!(key, MasterKey::Age { .. })
    }

    fn wrap<'a>(&'a self, key: &'a MasterKey, plaintext: &'a [u8]) -> Answer<'a, String> {
        Box::pin(async move { self.seal(recipient_of(key)?, plaintext).await })
    }

    fn unwrap<'a>(&'a self, key: &'a MasterKey, enc: &'a str) -> Answer<'a, SecretBytes> {
        Box::pin(async move { self.open(recipient_of(key)?, enc).await })
    }
}

/// Fails if the system gives no random bytes, where the `age` crate would panic.
fn require_random_source() -> Result<(), ProviderError> {
    getrandom::fill(&mut [0]).map_err(|_| ProviderError::NoRandomness)
}

fn recipient_of(key: &MasterKey) -> Result<&str, ProviderError> {
    match key {
        MasterKey::Age { recipient } => Ok(recipient),
        other => Err(ProviderError::Unsupported(format!("{} keys", other.kind()))),
    }
}

fn copy(inventory: &Inventory) -> Inventory {
    let mut copy = Inventory::default();
    add(&mut copy, inventory);
    copy
}

fn add(all: &mut Inventory, part: &Inventory) {
    all.held.extend_from_slice(&part.held);
    all.empty.extend_from_slice(&part.empty);
    all.faults.extend_from_slice(&part.faults);
}

#[cfg(test)]
mod cctv;
#[cfg(test)]
mod tests;
