//! The agent: data keys in the memory of one process, for a while, so that a person is asked once for many commands.
//!
//! It holds what keys of files unwrapped to, by a digest of the wrapped key, and never an identity: whoever takes its
//! memory can open the files that were opened before, and no others. It answers processes of its own user over a socket:
//!
//! ```text
//! request   operation (1 byte), length of the rest (4 bytes, little endian), the rest
//!   1 get     digest (32)                                             answer: the key, or nothing
//!   2 put     digest (32), length of the name (1), name, key          answer: nothing
//!   3 status                                                          answer: one line for each key
//!   4 lock    forget everything                                       answer: nothing
//!   5 stop    forget everything and end                               answer: nothing
//! answer    1 for yes or 0 for no (1 byte), length of the rest (4 bytes, little endian), the rest
//! ```
//!
//! # What this does not do
//! It does not protect against processes of its own user: they may ask it what they like, as they may ask an SSH agent.

mod cache;
mod client;
mod server;
mod wire;

#[cfg(test)]
mod tests;

use sha2::{Digest as _, Sha256};
use sops::MasterKey;

pub use cache::Kept;
pub use client::{Agent, AgentError};
pub use server::serve;

/// What a wrapped key is known by.
pub(crate) type Mark = [u8; 32];

/// The mark of what `key` wrapped as `enc`.
pub(crate) fn mark(key: &MasterKey, enc: &str) -> Mark {
    let mut digest = Sha256::new();
    // Names every field of a key, so that no two keys have the same text.
    let key = format!("{key:?}");
    digest.update((key.len() as u64).to_le_bytes());
    digest.update(key);
    digest.update(enc);
    digest.finalize().into()
}
