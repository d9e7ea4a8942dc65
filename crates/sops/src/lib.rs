//! The SOPS file format, on bytes: which values are sealed, under which key, and how the file proves that
//! nothing in it was changed.
//!
//! [`seal()`] makes the sealed form of a document, [`open()`] gives the author's bytes back. What is sealed is
//! decided by a [`Selector`]; who can open it, and what was sealed, stands in [`Metadata`].
//!
//! # What this does not do
//! It wraps no key, reads no file and draws no random number by itself: bytes, the time and a source of
//! randomness come in as arguments.

#![forbid(unsafe_code)]

mod body;
mod check;
mod clear;
pub mod config;
mod data_key;
mod error;
mod expand;
mod integrity;
mod layout;
mod mac;
mod master_key;
mod metadata;
mod open;
mod parallel;
mod plan;
mod re2;
mod restore;
mod reuse;
mod rules;
mod seal;
mod selector;
pub mod shamir;
mod spell;
mod spellings;
mod tally;
mod texts;
pub mod value;
mod values;

pub use check::{check, unsealed};
pub use data_key::DataKey;
pub use error::{Error, Warning};
pub use integrity::{
    Body, BodyMismatch, Change, FieldMismatch, Integrity, IntegrityBuilder, IntegrityError, IntegrityMode,
    Place, seal_integrity,
};
pub use layout::{LayoutError, open_layout, seal_layout};
pub use mac::{Mac, MacError, lastmodified_aad, open_mac, seal_mac};
pub use master_key::{KeyError, KeyKind, MasterKey};
pub use metadata::{EntryKey, GroupForm, KeyEntry, KeyGroup, Metadata, MetadataError, flatten, unflatten};
pub use open::{Checks, Opened, is_data_key, open};
pub use re2::PatternError;
pub use reuse::{BlockText, Reuse};
pub use rules::Rules;
pub use seal::{Random, Sealed, Sealing, block_value, seal};
pub use selector::{Below, DEFAULT_UNENCRYPTED_SUFFIX, RuleError, Selecting, Selector};
