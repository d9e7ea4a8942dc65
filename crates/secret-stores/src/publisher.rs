//! What every place promises that something is published to.

use std::future::Future;
use std::pin::Pin;

use secret::SecretBytes;

use crate::error::Error;

/// What becomes of something, not yet there. Dropping it cancels the work, which may have been done by then.
pub type Answer<'a> = Pin<Box<dyn Future<Output = Result<Put, Error>> + Send + 'a>>;

/// Puts files, or what stands in them, into one place under names.
pub trait Publisher: Send + Sync {
    /// What is put here.
    fn takes(&self) -> Takes;

    /// Where the file `name` goes, as SOPS tells it: `s3://bucket/prefix/name`.
    fn place(&self, name: &str) -> String;

    /// Whether what is sent can be read on the way, although it should not be.
    fn is_exposed(&self) -> bool {
        false
    }

    /// Puts `content` there under `name`, in the place of what was there before.
    fn put<'a>(&'a self, name: &'a str, content: SecretBytes) -> Answer<'a>;
}

/// What a place takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// The sealed file.
    File,
    /// The opened values, as one JSON map.
    Values,
}

/// What became of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is there now.
    Done,
    /// It was there already.
    Equal,
    /// It is there now, but what was there before could not be looked at.
    Unseen,
}
