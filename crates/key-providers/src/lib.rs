//! Wrapping and unwrapping SOPS data keys: one [`KeyProvider`] for each kind of master key, and the
//! [`Keyring`] that asks them in order, knows groups and thresholds, and can say which key failed and why.
//!
//! All configuration is given at construction; nothing here reads the environment but the AWS SDK, which does so for
//! itself when a key of AWS is first used, and a person is asked only through the [`Prompt`] that was given. Everything runs on a current-thread runtime as well; it needs one with
//! I/O and time enabled only when a provider talks to a program or a server.
//!
//! # What this does not do
//! It does not decide who should be able to open a file, and it verifies no MAC: the caller hands in the
//! check that tells a file's own data key from another. Kinds of key without a provider are reported by name.

#![forbid(unsafe_code)]

pub mod age;
#[cfg(feature = "agent")]
pub mod agent;
#[cfg(feature = "aws")]
pub mod aws;
#[cfg(feature = "aws")]
pub mod aws_kms;
#[cfg(feature = "azure")]
pub mod azure_kv;
#[cfg(any(feature = "aws", feature = "azure", feature = "gcp", feature = "vault"))]
mod credential_file;
#[cfg(feature = "gcp")]
pub mod gcp;
#[cfg(feature = "gcp")]
pub mod gcp_kms;
#[cfg(feature = "key-service")]
pub mod key_service;
mod keyring;
#[cfg(feature = "network")]
mod network;
pub mod pgp;
mod process;
mod prompt;
mod provider;
mod race;
#[cfg(any(feature = "azure", feature = "gcp"))]
pub mod rest;
#[cfg(any(feature = "agent", feature = "key-service"))]
pub mod socket;
#[cfg(feature = "vault")]
pub mod vault_transit;

pub use keyring::{
    DEFAULT_ORDER, GroupFailure, KeyFailure, Keyring, Opened, UnwrapFailure, WrapFailure, Wrapped,
};
#[cfg(feature = "network")]
pub use network::Network;
pub use process::{KEY_VARIABLES, find_program, split_words};
pub use prompt::{Nobody, Prompt};
pub use provider::{Answer, Held, Inventory, KeyProvider, ProviderError, Retry, SourceFault};
