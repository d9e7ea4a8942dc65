//! The cipher of one file: AES-256-GCM under its data key, from and to the text form.

use std::ops::Range;

use aes_gcm::aead::AeadInOut;
use aes_gcm::aead::consts::U32;
use aes_gcm::aes::Aes256;
use aes_gcm::{AesGcm, KeyInit};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroize;

use crate::DataKey;
use crate::value::any_nonce::AnyNonce;
use crate::value::sealed::PREFIX;
use crate::value::{Sealed, ValueError, ValueType};

/// The key schedule of one data key, made once and shared by all threads that seal or open values of a file.
pub struct Cipher {
    /// For nonces of 32 bytes: all that sops ever wrote.
    wide: AesGcm<Aes256, U32>,
    other: AnyNonce,
}

impl std::fmt::Debug for Cipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cipher(***)")
    }
}

impl Cipher {
    /// Expands `key`.
    pub fn new(key: &DataKey) -> Self {
        let aes = Aes256::new(key.expose().into());
        Self {
            wide: AesGcm::from(aes.clone()),
            other: AnyNonce::new(aes),
        }
    }

    /// Seals `plaintext` and appends the text form to `out`; an empty plaintext stays empty, since the format
    /// cannot express a sealed empty value.
    ///
    /// An `iv` may be used again only for the same plaintext, type and `aad`.
    pub fn seal_into(&self, ty: ValueType, plaintext: &[u8], aad: &[u8], iv: &[u8; 32], out: &mut Vec<u8>) {
        if plaintext.is_empty() {
            return;
        }
        let ty = ty.as_str().as_bytes();
        let data_len = plaintext.len().div_ceil(3) * 4;
        let len = PREFIX.len() + 5 + data_len + 4 + 44 + 5 + 24 + 6 + ty.len() + 1;
        let start = out.len();
        // The plaintext is encrypted behind the text's own place, so that only one buffer is needed.
        out.resize(start + len + plaintext.len(), 0);
        let (mut text, work) = out[start..].split_at_mut(len);
        work.copy_from_slice(plaintext);
        let tag = self
            .wide
            .encrypt_inout_detached(iv.into(), aad, (&mut *work).into());
        let tag = tag.expect("only a plaintext above 64 GiB is refused");
        put(&mut text, PREFIX);
        put(&mut text, b"data:");
        put_base64(&mut text, work);
        put(&mut text, b",iv:");
        put_base64(&mut text, iv);
        put(&mut text, b",tag:");
        put_base64(&mut text, &tag);
        put(&mut text, b",type:");
        put(&mut text, ty);
        put(&mut text, b"]");
        out.truncate(start + len);
    }

    /// Opens `sealed`, appends the plaintext to `out` and says where it stands there.
    ///
    /// # Errors
    /// [`ValueError::Authentication`] if the tag is wrong; then `out` is as it was, and what had been written
    /// behind its end is wiped. [`ValueError::Base64`] for a [`Sealed`] that was not made by [`Sealed::parse`].
    pub fn open_into(
        &self,
        sealed: &Sealed<'_>,
        aad: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Range<usize>, ValueError> {
        let mut tag = [0; 18];
        decode(sealed.tag, &mut tag)
            .filter(|len| *len == 16)
            .ok_or(ValueError::Base64("tag"))?;
        let tag = tag.first_chunk().expect("18 bytes begin with 16");
        let start = out.len();
        out.resize(start + sealed.data.len() / 4 * 3, 0);
        let Some(len) = decode(sealed.data, &mut out[start..]) else {
            out.truncate(start);
            return Err(ValueError::Base64("data"));
        };
        out.truncate(start + len);
        if let Err(error) = self.open_in_place(sealed, aad, &mut out[start..], tag) {
            out.truncate(start);
            return Err(error);
        }
        Ok(start..start + len)
    }

    /// Opens the ciphertext in `buffer`; wipes it if that fails.
    pub(super) fn open_in_place(
        &self,
        sealed: &Sealed<'_>,
        aad: &[u8],
        buffer: &mut [u8],
        tag: &[u8; 16],
    ) -> Result<(), ValueError> {
        let opened = match self.iv(sealed) {
            Some(iv) => self
                .wide
                .decrypt_inout_detached((&iv).into(), aad, (&mut *buffer).into(), tag.into())
                .is_ok(),
            None => {
                let iv = STANDARD.decode(sealed.iv).unwrap_or_default();
                !iv.is_empty() && self.other.open(&iv, aad, buffer, tag)
            }
        };
        if opened {
            return Ok(());
        }
        buffer.zeroize();
        Err(ValueError::Authentication)
    }

    /// The nonce of `sealed`, to be used again for the very same value; `None` unless it has 32 bytes.
    pub fn iv(&self, sealed: &Sealed<'_>) -> Option<[u8; 32]> {
        if sealed.iv.len() != 44 {
            return None;
        }
        let mut iv = [0; 33];
        decode(sealed.iv, &mut iv).filter(|len| *len == 32)?;
        iv.first_chunk().copied()
    }
}

/// Writes `bytes` at the beginning of `text` and moves on behind them.
fn put(text: &mut &mut [u8], bytes: &[u8]) {
    let (place, rest) = std::mem::take(text).split_at_mut(bytes.len());
    place.copy_from_slice(bytes);
    *text = rest;
}

fn put_base64(text: &mut &mut [u8], bytes: &[u8]) {
    let (place, rest) = std::mem::take(text).split_at_mut(bytes.len().div_ceil(3) * 4);
    STANDARD
        .encode_slice(bytes, place)
        .expect("four digits for three bytes");
    *text = rest;
}

/// How many bytes of `out` were written; `None` if `text` is not canonical base64.
fn decode(text: &[u8], out: &mut [u8]) -> Option<usize> {
    STANDARD.decode_slice(text, out).ok()
}
