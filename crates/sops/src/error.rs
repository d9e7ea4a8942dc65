//! Why a file is not sealed or not opened. Every variant names a place; none holds a value.

use document::{Path, Position};

use crate::integrity::{FieldMismatch, Place};
use crate::layout::LayoutError;
use crate::value::ValueError;

/// What went wrong, split by whose move is next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text does not read as its format, or cannot be edited safely.
    #[error(transparent)]
    Document(#[from] document::Error),
    /// The selection rule of the file cannot be used.
    #[error("{0}")]
    Rule(#[source] crate::selector::RuleError),
    /// A value or comment that is selected does not open.
    #[error("{at}: {path}: {why}")]
    Value {
        /// Where it stands.
        at: Position,
        /// Its key path.
        path: Path,
        /// Why.
        why: ValueError,
    },
    /// Plaintext stands where the rules of the file want a sealed value.
    #[error("{at}: {path}: plaintext stands where a sealed value is due")]
    Unsealed {
        /// Where it stands.
        at: Position,
        /// Its key path.
        path: Path,
    },
    /// The file has no MAC, or one that does not open.
    #[error("sops.mac: {0}")]
    NoMac(&'static str),
    /// The MAC does not fit the values.
    #[error("sops.mac: the values are not those that were sealed: one was added, removed, moved or changed")]
    MacMismatch,
    /// A field of the metadata is not what was sealed.
    #[error("{0}")]
    Field(FieldMismatch),
    /// The layout field does not open.
    #[error("{0}")]
    Layout(LayoutError),
    /// The structure, a name, a type or a comment is not what was sealed.
    #[error(
        "{}: the file was changed after it was sealed: here a name, a type, a value, a comment or the structure differs",
        shown(place)
    )]
    Integrity {
        /// The first place that differs, if the marks tell.
        place: Option<Place>,
    },
    /// The policy asks for an `integrity` field and the file has none.
    #[error(
        "sops.integrity: the policy requires it, but the file has none: it was removed, or another tool wrote the file"
    )]
    IntegrityMissing,
    /// The `integrity` field is of a version that this program does not know, or does not read.
    #[error("sops.{field}: it does not read as a version that this program knows")]
    FieldVersion {
        /// `integrity` or `layout`.
        field: &'static str,
    },
    /// A value that sops could not seal or would change.
    #[error("{at}: {path}: {why}")]
    Unsealable {
        /// Where it stands.
        at: Position,
        /// Its key path.
        path: Path,
        /// Why, and what to write instead.
        why: &'static str,
    },
    /// The sealed form would not open to the very bytes it was made from. Nothing was written.
    #[error(
        "{at}: {path}: this spelling cannot be sealed and restored byte for byte; write it in another style"
    )]
    NotRestorable {
        /// Where it stands.
        at: Position,
        /// Its key path.
        path: Path,
    },
    /// All paths together are too long.
    #[error("the key paths of this file are too long: together more than 1 GiB")]
    Paths,
    /// The system's random source failed.
    #[error("the system's random source failed")]
    Random,
}

/// Something that a person should know and that does not stop the work.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// A comment that should be sealed does not open; it is left as it stands.
    Comment {
        /// Where it stands.
        at: Position,
        /// Its key path.
        path: Path,
    },
    /// The `integrity` field is of an unknown version and was not checked.
    IntegrityVersion,
    /// An alias copies a value that is sealed where it is anchored to a place where it is clear.
    ClearCopy {
        /// Where the alias stands.
        at: Position,
    },
    /// Whole numbers beyond 64 bits are floats to sops.
    BigNumber {
        /// Where it stands.
        at: Position,
        /// Its key path.
        path: Path,
    },
}

fn shown(place: &Option<Place>) -> String {
    match place {
        Some(place) if place.path.0.is_empty() => "a comment at the top of the file".into(),
        Some(place) if place.comment => format!("a comment in {}", place.path),
        Some(place) => place.path.to_string(),
        None => "(the whole file)".into(),
    }
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Comment { at, path } => write!(
                f,
                "{at}: {path}: a comment that should be sealed does not open; it is left as it stands"
            ),
            Self::IntegrityVersion => f.write_str(
                "sops.integrity has a version that this program does not know; it was not checked",
            ),
            Self::ClearCopy { at } => write!(
                f,
                "{at}: the alias copies a value that is sealed where it is anchored; here it stays clear"
            ),
            Self::BigNumber { at, path } => {
                write!(f, "{at}: {path}: sops reads a whole number this large as a float")
            }
        }
    }
}
