//! A client for Vault and OpenBao: logging in, wrapping keys with the transit engine, and secrets of the key-value engine.
//!
//! Requests and answers are those of `vaultrs`; they travel over a transport of our own, which bounds time and size,
//! follows no redirect, and never puts an answer's body into an error.
//!
//! # What this does not do
//! It reads no environment and no file: addresses, tokens and certificates are given. It keeps no token beyond a
//! [`Client`], and renews none: a client lives for one run.

mod address;
mod auth;
mod client;
mod error;
mod kv;
mod retry;
mod transport;

#[cfg(test)]
mod tests;

pub use address::{Address, AddressError, Segments};
pub use auth::Auth;
pub use client::{Client, Settings};
pub use error::{Error, Retry};
pub use kv::{KvPath, KvVersion, Written};
