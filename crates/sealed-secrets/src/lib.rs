//! The Sealed Secrets format, on bytes: what `spec.encryptedData` of a SealedSecret holds, who can open it, and the
//! manifests around it.
//!
//! A [`Secret`] is sealed for the holder of a [`Certificate`] ([`NewSealedSecret::seal`]); a [`SealedSecret`] that stands in
//! a file ([`Manifests`]) is opened with [`SealingKeys`]. A [`Scope`] says how far the object may move.
//!
//! # What this does not do
//! It reads no file and fetches no certificate; the session keys' randomness and the time come in as arguments (the padding
//! of RSA is drawn by aws-lc from the operating system). It renders no template.

#![forbid(unsafe_code)]

mod certificate;
mod diagnose;
mod error;
mod fingerprint;
mod hint;
mod item;
mod key_files;
mod kubeseal_form;
mod make;
mod manifests;
mod metadata;
mod names;
mod scope;
mod seal;
mod sealed_secret;
mod sealing_key;
mod sealing_keys;
mod secret;
mod verify;

pub use certificate::Certificate;
pub use diagnose::{Candidates, SealedFor, diagnose};
pub use error::{CertificateError, KeyError, ManifestError, OpenError, Random, RandomFailed, SealError};
pub use fingerprint::Fingerprint;
pub use hint::{Hint, SEALED_WITH};
pub use item::{Item, ItemError, short_hash};
pub use kubeseal_form::Owner;
pub use make::NewKey;
pub use manifests::{Field, Manifest, Manifests, Object};
pub use metadata::Metadata;
pub use names::{OBJECT_BYTES, SECRET_BYTES, check_key, check_name, check_namespace};
pub use scope::{CLUSTER_WIDE, NAMESPACE_WIDE, Scope};
pub use seal::NewSealedSecret;
pub use sealed_secret::{API_VERSION, KIND, SealedItem, SealedSecret, Unopened};
pub use sealing_key::SealingKey;
pub use sealing_keys::SealingKeys;
pub use secret::{Secret, decode, encoded};
pub use verify::{Finding, verify};
