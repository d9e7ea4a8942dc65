//! Whether a file's MAC, `integrity` and `layout` hold, each for itself.

use document::Document;
use sops::{Checks, DataKey, Integrity, IntegrityError, LayoutError, Metadata};

/// One seal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seal {
    /// It fits the file.
    Holds,
    /// It is there; without the data key nothing more can be said.
    Unchecked,
    /// The file has none.
    Absent,
    /// Of a version that this program does not know.
    Unknown,
    /// It does not fit; why.
    Broken(String),
    /// It is there and cannot be compared; why.
    NotCompared(&'static str),
}

/// The seals of a file.
pub(super) struct Seals {
    pub(super) mac: Seal,
    pub(super) integrity: Seal,
    pub(super) layout: Seal,
}

impl Seals {
    /// Checks what can be checked with `key`; with it comes what opening the file fails with.
    pub(super) fn of(
        document: &Document,
        metadata: &Metadata,
        key: Option<&DataKey>,
        required: bool,
    ) -> (Self, Option<sops::Error>) {
        let Some(key) = key else {
            return (Self::without_key(metadata), None);
        };
        let checks = Checks {
            require_integrity: required,
            ..Checks::default()
        };
        let failure = sops::open(document, metadata, key, &checks).err();
        // sops' own seal alone: what it says does not hang on ours.
        let bare = Metadata {
            integrity: None,
            layout: None,
            ..metadata.clone()
        };
        let mac = match failure.is_none() {
            true => Seal::Holds,
            false => match sops::open(document, &bare, key, &Checks::default()) {
                Ok(_) => Seal::Holds,
                Err(sops::Error::NoMac(_)) if metadata.mac.is_none() => Seal::Absent,
                Err(error @ (sops::Error::NoMac(_) | sops::Error::MacMismatch)) => {
                    Seal::Broken(error.to_string())
                }
                Err(_) => Seal::NotCompared("not every value opens"),
            },
        };
        let seals = Self {
            mac,
            integrity: integrity(metadata, key, failure.as_ref()),
            layout: layout(metadata, Some(key)),
        };
        (seals, failure)
    }

    fn without_key(metadata: &Metadata) -> Self {
        let there = |field: &Option<String>| match field {
            Some(_) => Seal::Unchecked,
            None => Seal::Absent,
        };
        let integrity = match metadata.integrity.as_deref().map(Integrity::parse) {
            Some(Err(IntegrityError::UnknownVersion)) => Seal::Unknown,
            Some(Err(error)) => Seal::Broken(error.to_string()),
            _ => there(&metadata.integrity),
        };
        Self {
            mac: there(&metadata.mac),
            integrity,
            layout: layout(metadata, None),
        }
    }
}

fn integrity(metadata: &Metadata, key: &DataKey, failure: Option<&sops::Error>) -> Seal {
    use sops::Error as E;
    let Some(field) = &metadata.integrity else {
        return Seal::Absent;
    };
    match (Integrity::parse(field), failure) {
        (Err(IntegrityError::UnknownVersion), _) => Seal::Unknown,
        (Err(error), _) => Seal::Broken(error.to_string()),
        (Ok(_), None) => Seal::Holds,
        (Ok(_), Some(error @ E::Integrity { .. })) => Seal::Broken(error.to_string()),
        (Ok(integrity), Some(_)) => match integrity.verify_head(key, metadata) {
            Err(mismatch) => Seal::Broken(mismatch.to_string()),
            Ok(()) => Seal::NotCompared("it holds for the metadata, but not every value opens"),
        },
    }
}

fn layout(metadata: &Metadata, key: Option<&DataKey>) -> Seal {
    let Some(field) = &metadata.layout else {
        return Seal::Absent;
    };
    match key.map(|key| sops::open_layout(key, field)) {
        None => Seal::Unchecked,
        Some(Ok(_)) => Seal::Holds,
        Some(Err(LayoutError::UnknownVersion)) => Seal::Unknown,
        Some(Err(error)) => Seal::Broken(error.to_string()),
    }
}
