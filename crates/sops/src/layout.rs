//! The envelope of the `layout` field: the author's own spellings, sealed under a key of their own so that
//! no sealed value of the file can be put in its place, nor it in theirs. What is inside is the writer's
//! business.

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secret::SecretBytes;
use zeroize::Zeroizing;

use crate::DataKey;
use crate::integrity::derive;

/// What the ciphertext is bound to.
const AAD: &[u8] = b"layout/v1";

/// Why a `layout` field is of no use. Never fatal: spellings are lost, values are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// Written by a newer version.
    #[error("sops.layout has a version that this program does not know")]
    UnknownVersion,
    /// Not base64, or too short.
    #[error("sops.layout does not read")]
    Malformed,
    /// Changed, or of another file.
    #[error("sops.layout does not open: it was changed, or belongs to another file")]
    Authentication,
}

/// Seals `plain`. A `nonce` must never be used twice under one data key.
///
/// ```text
/// v1:base64( nonce 12 bytes || ciphertext || tag 16 bytes )     AES-256-GCM under LK, AAD "layout/v1"
/// ```
pub fn seal_layout(key: &DataKey, nonce: &[u8; 12], plain: &[u8]) -> String {
    let sealed = cipher(key).encrypt(nonce.into(), Payload { msg: plain, aad: AAD });
    let sealed = sealed.expect("only a plaintext above 64 GiB is refused");
    format!("v1:{}", STANDARD.encode([nonce.as_slice(), &sealed].concat()))
}

/// Opens what [`seal_layout`] wrote.
///
/// # Errors
/// See [`LayoutError`].
pub fn open_layout(key: &DataKey, field: &str) -> Result<SecretBytes, LayoutError> {
    let text = field.strip_prefix("v1:").ok_or(LayoutError::UnknownVersion)?;
    let bytes = STANDARD.decode(text).map_err(|_| LayoutError::Malformed)?;
    let (nonce, sealed) = bytes.split_first_chunk::<12>().ok_or(LayoutError::Malformed)?;
    let plain = cipher(key).decrypt(
        nonce.into(),
        Payload {
            msg: sealed,
            aad: AAD,
        },
    );
    plain
        .map(SecretBytes::new)
        .map_err(|_| LayoutError::Authentication)
}

fn cipher(key: &DataKey) -> Aes256Gcm {
    let layout_key: Zeroizing<[u8; 32]> = derive(key, "layout");
    Aes256Gcm::new((&*layout_key).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(key: u8, field: &str) -> Result<Vec<u8>, LayoutError> {
        open_layout(&DataKey::new([key; 32]), field).map(|plain| plain.expose().to_vec())
    }

    #[test]
    fn a_layout_opens_only_under_its_own_key_and_unchanged() {
        for plain in [&b""[..], b"spellings"] {
            let field = seal_layout(&DataKey::new([1; 32]), &[2; 12], plain);
            assert_eq!(open(1, &field), Ok(plain.to_vec()));
            assert_eq!(open(2, &field), Err(LayoutError::Authentication));
            for at in 3..field.len() {
                let mut changed = field.clone().into_bytes();
                changed[at] ^= 1;
                let changed = String::from_utf8(changed).expect("ASCII stays ASCII");
                assert!(open(1, &changed).is_err(), "byte {at}");
            }
        }
    }

    #[test]
    fn what_is_no_layout_says_so() {
        assert_eq!(open(1, "v2:AAAA"), Err(LayoutError::UnknownVersion));
        assert_eq!(open(1, ""), Err(LayoutError::UnknownVersion));
        assert_eq!(open(1, "v1:"), Err(LayoutError::Malformed));
        assert_eq!(open(1, "v1:AAAA\n"), Err(LayoutError::Malformed));
        assert_eq!(open(1, "v1:AAAAAAAAAAAAAAAA"), Err(LayoutError::Authentication));
    }
}
