//! Why something cannot be sealed, opened or read: never with a value.

use document::Position;

use crate::item::ItemError;

/// Fills a buffer from the operating system's random source.
pub type Random<'r> = dyn FnMut(&mut [u8]) -> Result<(), RandomFailed> + 'r;

/// The operating system gave no random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system's random source failed")]
pub struct RandomFailed;

/// Why a certificate cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// No block of the kind.
    #[error("there is no certificate in it (-----BEGIN CERTIFICATE-----)")]
    None,
    /// A block that does not read.
    #[error("its PEM does not read")]
    Pem,
    /// A block that holds something else.
    #[error("what it holds is no X.509 certificate")]
    Der,
    /// Another kind of key.
    #[error("its key is not an RSA key")]
    NotRsa,
    /// A key out of range.
    #[error("its RSA key is out of range: 2,048 to 8,192 bits")]
    Size,
    /// A new one could not be made.
    #[error("a key or its certificate could not be made")]
    Make,
}

/// Why a private key cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// No block of the kind.
    #[error("there is no RSA private key in it (PKCS#1 or PKCS#8 in PEM, or a Secret with tls.key)")]
    None,
    /// A block that does not read.
    #[error("its PEM does not read")]
    Pem,
    /// Another kind of key, or one out of range.
    #[error("its key is not an RSA key with 2,048 to 8,192 bits")]
    NotRsa,
    /// Behind a passphrase.
    #[error("its key is behind a passphrase; sealing keys are not")]
    Encrypted,
    /// A manifest that does not read.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

/// Why a value cannot be sealed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The operating system gave no random bytes.
    #[error("the system's random source failed")]
    Random,
    /// The operation failed, which no input explains.
    #[error("the RSA operation failed")]
    Rsa,
}

/// Why a sealed value does not open. What went wrong inside the RSA operation is not told apart on purpose (CR-11).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// It is no sealed value.
    #[error(transparent)]
    Item(#[from] ItemError),
    /// No key opens it with this label.
    #[error("no key opens it")]
    NoKey,
    /// Its session key opened, its content is not what was sealed.
    #[error("its content was changed or cut off after it was sealed")]
    Damaged,
}

/// Why a manifest cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {}{why}", Prefix(path))]
pub struct ManifestError {
    /// Where.
    pub at: Position,
    /// The key path, in dotted form; empty for the document itself.
    pub path: String,
    /// Why, in words without any value.
    pub why: String,
}

struct Prefix<'a>(&'a str);

impl std::fmt::Display for Prefix<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        write!(f, "{}: ", self.0)
    }
}
