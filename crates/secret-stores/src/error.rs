//! Why something was not published.

use key_providers::{ProviderError, Retry};

/// A failure. None holds a credential, a value or the body of an answer.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The rule, or the name of the file, names no place that can be: correct it.
    #[error("{0}")]
    Place(String),
    /// The other side does not do it for us: bring another credential, permission or setting.
    #[error("{0}")]
    Refused(String),
    /// The other side did not answer as it should: try again later.
    #[error("{0}")]
    Unavailable(String),
}

impl Error {
    /// Whether doing the same again can help.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Place(_) => Retry::Never,
            Self::Refused(_) => Retry::AfterChange,
            Self::Unavailable(_) => Retry::Later,
        }
    }
}

impl From<ProviderError> for Error {
    fn from(error: ProviderError) -> Self {
        let text = error.to_string();
        match error.retry() {
            Retry::Later => Self::Unavailable(text),
            Retry::Never | Retry::AfterChange => Self::Refused(text),
        }
    }
}
