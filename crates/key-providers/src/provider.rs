//! What every provider of wrapping keys promises.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use secret::SecretBytes;
use sops::MasterKey;

/// A provider's answer, not yet there. Dropping it cancels the work.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, ProviderError>> + Send + 'a>>;

/// Wraps and unwraps data keys (or shares of them) with the master keys of one kind.
///
/// Three outcomes and no others: not mine ([`handles`](Self::handles) is false), mine and it worked, mine
/// and it failed. A provider reads no global state: its configuration, and whom it may ask, are given at
/// construction.
pub trait KeyProvider: Send + Sync {
    /// Names the provider in logs.
    fn name(&self) -> &'static str;

    /// Whether `key` is of a kind that this provider works with.
    fn handles(&self, key: &MasterKey) -> bool;

    /// What `key` is to be called in a file, if that is more than was given: a key without version, where versions are
    /// told apart, is pinned to the current one before it wraps anything. `None` if there is nothing to add.
    fn pin<'a>(&'a self, _key: &'a MasterKey) -> Option<Answer<'a, MasterKey>> {
        None
    }

    /// In whose name `key` would be used, in the words of its service and for a person's eyes. `None` where that says
    /// nothing: everybody may use a recipient, and an identity stands in the inventory.
    fn who<'a>(&'a self, _key: &'a MasterKey) -> Option<Answer<'a, String>> {
        None
    }

    /// Wraps `plaintext`; the answer is the text of the `enc` field.
    fn wrap<'a>(&'a self, key: &'a MasterKey, plaintext: &'a [u8]) -> Answer<'a, String>;

    /// Unwraps the text of an `enc` field.
    fn unwrap<'a>(&'a self, key: &'a MasterKey, enc: &'a str) -> Answer<'a, SecretBytes>;
}

/// Why a provider could not use a master key. No variant ever holds a secret or the text of one.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProviderError {
    /// The key as written names nothing: correct the file or the rule.
    #[error("the key is not valid: {0}")]
    InvalidKey(String),
    /// Nothing that runs here works with this kind of key.
    #[error("{0} are not supported")]
    Unsupported(String),
    /// None of the identities at hand opens it: bring another one.
    #[error("no identity here opens it")]
    NoIdentity(Arc<Inventory>),
    /// The right identity is here and the wrapped key still does not open: restore the file.
    #[error("the wrapped key does not open: {0}")]
    Damaged(String),
    /// The other side did not answer as it should: try again later.
    #[error("{0}")]
    Unavailable(String),
    /// There is no way to the other side, or it gave no answer in time: try again later.
    #[error("{0}")]
    Unreachable(String),
    /// The key is right, but a program, a public key or somebody to ask is missing here: provide it.
    #[error("{0}")]
    NotUsable(String),
    /// The operating system gave no random bytes.
    #[error("the system's random source failed")]
    NoRandomness,
}

/// Whether doing the same again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The input itself is wrong.
    Never,
    /// The other side may recover.
    Later,
    /// Only with another configuration: another identity, another key, another permission.
    AfterChange,
}

impl ProviderError {
    /// Whether doing the same again can help.
    pub fn retry(&self) -> Retry {
        match self {
            Self::InvalidKey(_) | Self::Damaged(_) => Retry::Never,
            Self::Unsupported(_) | Self::NoIdentity(_) | Self::NotUsable(_) => Retry::AfterChange,
            Self::Unavailable(_) | Self::Unreachable(_) | Self::NoRandomness => Retry::Later,
        }
    }
}

/// What a provider had to work with, for reports: public names and places only.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// The identities that were tried.
    pub held: Vec<Held>,
    /// Places that were looked at and hold no identity.
    pub empty: Vec<String>,
    /// What could not be read or understood.
    pub faults: Vec<SourceFault>,
}

/// One identity, by its public half.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The recipient it belongs to.
    pub recipient: String,
    /// Where it was found.
    pub source: String,
}

/// Something wrong in a place that should hold identities. Never repeats the content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFault {
    /// A file or a variable.
    pub source: String,
    /// Counted from 1; absent if the place as a whole is the trouble.
    pub line: Option<usize>,
    /// What is wrong.
    pub reason: String,
}

impl fmt::Display for SourceFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{} line {line}: {}", self.source, self.reason),
            None => write!(f, "{}: {}", self.source, self.reason),
        }
    }
}
