//! Files that hold a token, a key or certificates.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use secret::SecretBytes;

/// No more is read, in bytes: a token of Kubernetes has about 2 KB, the certificates of a system 250 KB.
const LARGEST: u64 = 1 << 20;

/// What the file holds.
///
/// # Errors
/// If it cannot be read.
pub(crate) fn read(path: &Path) -> io::Result<SecretBytes> {
    let mut bytes = SecretBytes::default();
    File::open(path)?.take(LARGEST).read_to_end(bytes.expose_mut())?;
    Ok(bytes)
}
