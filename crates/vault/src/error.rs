//! Why a server did not do what was asked.

use std::time::Duration;

use crate::address::AddressError;

/// Whether doing the same again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The request itself is wrong.
    Never,
    /// The server may recover.
    Later,
    /// Only with another token, permission or setting.
    AfterChange,
}

/// A failure. None holds a token, a value or the body of an answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An address or name that cannot be used.
    #[error("the address or name cannot be used: {0}")]
    Address(#[from] AddressError),
    /// No connection.
    #[error("{address} cannot be reached: {why}")]
    Unreachable {
        /// The server.
        address: String,
        /// What the system says.
        why: String,
    },
    /// No answer in time.
    #[error("{address} did not answer within {}", seconds(*after))]
    TimedOut {
        /// The server.
        address: String,
        /// How long was waited.
        after: Duration,
    },
    /// The server's certificate, or ours.
    #[error("the TLS connection to {address} failed: {why}")]
    Tls {
        /// The server.
        address: String,
        /// What is wrong with a certificate.
        why: String,
    },
    /// Something that was given: certificates, a namespace, a token that is no token.
    #[error("{0}")]
    Setting(&'static str),
    /// The token is missing, wrong or expired, or may not do this.
    #[error("{address} denied it: the token is wrong or expired, or its policies do not allow {what}")]
    Denied {
        /// The server.
        address: String,
        /// The operation, as its path.
        what: String,
    },
    /// There is no such mount or key.
    #[error("{address} has no {what}")]
    NotFound {
        /// The server.
        address: String,
        /// What was asked for, as its path.
        what: String,
    },
    /// The request was understood and refused: a wrapped key that does not open, a key version that is too old.
    #[error("{address} refused {what}: {why}")]
    Refused {
        /// The server.
        address: String,
        /// The operation, as its path.
        what: String,
        /// The server's own reason, one line, shortened.
        why: String,
    },
    /// The server is sealed, starting, or has no leader.
    #[error("{address} is sealed or not ready")]
    Sealed {
        /// The server.
        address: String,
    },
    /// Too many requests.
    #[error("{address} takes no more requests for now")]
    Throttled {
        /// The server.
        address: String,
        /// How long it asks to wait.
        wait: Option<Duration>,
    },
    /// Another failure of the server.
    #[error("{address} failed with status {status}")]
    Failed {
        /// The server.
        address: String,
        /// The HTTP status.
        status: u16,
    },
    /// The answer leads elsewhere. It was not followed: the token is for this server only.
    #[error("{address} answers with a redirect, which is not followed")]
    Redirected {
        /// The server.
        address: String,
    },
    /// An answer that is not Vault's, or larger than any.
    #[error("the answer of {address} cannot be used: {why}")]
    Answer {
        /// The server.
        address: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl Error {
    /// Whether doing the same again can help.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Address(_) | Self::Refused { .. } => Retry::Never,
            Self::Denied { .. }
            | Self::NotFound { .. }
            | Self::Tls { .. }
            | Self::Setting(_)
            | Self::Redirected { .. } => Retry::AfterChange,
            Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::Sealed { .. }
            | Self::Throttled { .. }
            | Self::Failed { .. }
            | Self::Answer { .. } => Retry::Later,
        }
    }
}

fn seconds(time: Duration) -> String {
    match time.as_secs_f64() {
        whole if whole >= 1.0 => format!("{whole:.0} s"),
        part => format!("{part:.1} s"),
    }
}
