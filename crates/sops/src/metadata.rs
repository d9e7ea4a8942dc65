//! The `sops` block of a file: who can open it, what is sealed, and the seals over the whole.
//!
//! Whatever this program does not know survives a rewrite: unknown fields, unknown fields of a key, and whole
//! kinds of key that only a newer tool understands. What it refuses: a block without keys, fields of the wrong
//! shape, the same name twice, more than one selection rule, and names that could pass for another field once
//! the block is flattened.

mod contexts;
mod error;
mod flat;
mod read;
mod write;

use document::Value;

use crate::master_key::MasterKey;
use crate::rules::Rules;

pub use error::MetadataError;
pub use flat::{flatten, unflatten};

/// The block, field by field. Read it with [`Metadata::from_value`], write it with [`Metadata::to_value`].
#[derive(Clone, Debug, PartialEq)]
pub struct Metadata {
    /// The key groups: with one, any of its keys opens the file; with several, keys of
    /// [`Metadata::threshold`] groups are needed.
    pub groups: Vec<KeyGroup>,
    /// How the groups are written.
    pub form: GroupForm,
    /// `shamir_threshold`; `None` for an absent or zero one, which stands for all groups.
    pub shamir_threshold: Option<u8>,
    /// `lastmodified`, as written.
    pub lastmodified: String,
    /// `mac`, sealed; `None` if missing or empty.
    pub mac: Option<String>,
    /// `mac_only_encrypted`
    pub mac_only_encrypted: bool,
    /// The selection rule, as written.
    pub rules: Rules,
    /// `version` of the tool that wrote the file.
    pub version: String,
    /// `integrity`, see [`crate::Integrity`].
    pub integrity: Option<String>,
    /// `layout`, see [`crate::open_layout`].
    pub layout: Option<String>,
    /// Fields that this program does not know, verbatim.
    pub extra: Vec<(String, Value)>,
}

/// The keys of which any one opens a share, in the order in which sops reads them.
pub type KeyGroup = Vec<KeyEntry>;

/// How a file writes its key groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupForm {
    /// One list per kind at the top of the block: possible only for exactly one group.
    Single,
    /// `key_groups`
    Groups,
}

/// A master key with the data key, or its share, wrapped under it.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyEntry {
    /// The master key.
    pub key: EntryKey,
    /// `created_at`, which `age` entries do not have.
    pub created_at: Option<String>,
    /// The wrapped data key, in the text form of its kind.
    pub enc: String,
    /// Other fields, verbatim; for an unknown kind all of them.
    pub extra: Vec<(String, Value)>,
}

/// Which key wrapped it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKey {
    /// A kind that this program knows.
    Known(MasterKey),
    /// A kind that only a newer tool knows, by the name of its list.
    Unknown(String),
}

impl KeyEntry {
    /// An entry for `key` as just wrapped; `created_at` is dropped for `age`, which has none.
    pub fn new(key: MasterKey, created_at: String, enc: String) -> Self {
        let created_at = (!matches!(key, MasterKey::Age { .. })).then_some(created_at);
        Self {
            key: EntryKey::Known(key),
            created_at,
            enc,
            extra: Vec::new(),
        }
    }

    /// The key, if this program knows its kind.
    pub fn master_key(&self) -> Option<&MasterKey> {
        match &self.key {
            EntryKey::Known(key) => Some(key),
            EntryKey::Unknown(_) => None,
        }
    }

    /// The name of the list that the entry stands in.
    pub fn kind(&self) -> &str {
        match &self.key {
            EntryKey::Known(key) => key.kind(),
            EntryKey::Unknown(kind) => kind,
        }
    }
}

impl Metadata {
    /// A block for a new file, without mac; several groups are written as groups.
    pub fn new(groups: Vec<KeyGroup>, rules: Rules, lastmodified: String, version: String) -> Self {
        let form = if groups.len() == 1 {
            GroupForm::Single
        } else {
            GroupForm::Groups
        };
        Self {
            groups,
            form,
            shamir_threshold: None,
            lastmodified,
            mac: None,
            mac_only_encrypted: false,
            rules,
            version,
            integrity: None,
            layout: None,
            extra: Vec::new(),
        }
    }

    /// How many groups must give their share: 1 for a single group, whatever the field says.
    ///
    /// # Errors
    /// When the groups or the threshold could not have been written by any tool: no group, more than 255, an
    /// empty one, a threshold of 1 for several groups or above their number.
    pub fn threshold(&self) -> Result<u8, MetadataError> {
        if self.groups.is_empty() {
            return Err(MetadataError::NoKeys);
        }
        if let Some(empty) = self.groups.iter().position(Vec::is_empty) {
            return Err(MetadataError::EmptyGroup(empty));
        }
        let groups = u8::try_from(self.groups.len()).map_err(|_| MetadataError::TooManyGroups)?;
        match self.shamir_threshold {
            _ if groups == 1 => Ok(1),
            None => Ok(groups),
            Some(threshold) if (2..=groups).contains(&threshold) => Ok(threshold),
            Some(threshold) => Err(MetadataError::Threshold { threshold, groups }),
        }
    }
}

impl Rules {
    /// The six fields with their names, in alphabetical order.
    fn named(&self) -> [(&'static str, &Option<String>); 6] {
        [
            ("encrypted_comment_regex", &self.encrypted_comment_regex),
            ("encrypted_regex", &self.encrypted_regex),
            ("encrypted_suffix", &self.encrypted_suffix),
            ("unencrypted_comment_regex", &self.unencrypted_comment_regex),
            ("unencrypted_regex", &self.unencrypted_regex),
            ("unencrypted_suffix", &self.unencrypted_suffix),
        ]
    }
}

#[cfg(test)]
mod tests;
