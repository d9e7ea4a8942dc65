//! Where sealed files and their values are published: one [`Publisher`] for each kind of place that a destination rule of
//! a policy can name, and [`Publishers`], which makes them with the logins that the key providers have.
//!
//! S3 and Google Cloud Storage take the sealed file as it is, Vault takes its opened values. Every request is bounded in
//! time, follows no redirect and is made again only where that can help.
//!
//! # What this does not do
//! It opens no file, checks no MAC and asks nobody: what comes here has been checked, and its going out agreed to. It reads
//! no store; that will be another trait.

#![forbid(unsafe_code)]

mod error;
mod gcs;
mod publisher;
mod publishers;
mod s3;
mod vault_kv;

pub use error::Error;
pub use publisher::{Answer, Publisher, Put, Takes};
pub use publishers::{Publishers, Sources};
