//! HPKE (RFC 9180) as age uses it: base mode, one message, no associated data, HKDF-SHA256 and ChaCha20-Poly1305.

use chacha20poly1305::aead::{Aead as _, KeyInit as _};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

/// By how much a sealed text is longer than the plain one.
pub(super) const OVERHEAD: usize = 16;

const HKDF_SHA256: [u8; 2] = [0, 1];
const CHACHA20_POLY1305: [u8; 2] = [0, 3];

/// Seals `plain` under the secret that the key encapsulation named `kem` gave.
pub(super) fn seal(secret: &[u8; 32], kem: [u8; 2], info: &[u8], plain: &[u8]) -> Vec<u8> {
    let (cipher, nonce) = context(secret, kem, info);
    cipher
        .encrypt(&nonce, plain)
        .expect("a file key is shorter than 256 GiB")
}

/// Opens it again.
pub(super) fn open(
    secret: &[u8; 32],
    kem: [u8; 2],
    info: &[u8],
    sealed: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let (cipher, nonce) = context(secret, kem, info);
    cipher.decrypt(&nonce, sealed).ok().map(Zeroizing::new)
}

/// The key schedule, section 5.1: the cipher and the nonce of the first message.
fn context(secret: &[u8; 32], kem: [u8; 2], info: &[u8]) -> (ChaCha20Poly1305, Nonce) {
    let suite = [b"HPKE", &kem[..], &HKDF_SHA256, &CHACHA20_POLY1305].concat();
    let base_mode = [0];
    let schedule = [
        &base_mode[..],
        &*extract(&suite, &[], b"psk_id_hash", &[]),
        &*extract(&suite, &[], b"info_hash", info),
    ]
    .concat();
    let secret = extract(&suite, secret, b"secret", &[]);
    let key: Zeroizing<[u8; 32]> = expand(&suite, &secret, b"key", &schedule);
    let nonce: Zeroizing<[u8; 12]> = expand(&suite, &secret, b"base_nonce", &schedule);
    (ChaCha20Poly1305::new((&*key).into()), (*nonce).into())
}

/// LabeledExtract, section 4.
fn extract(suite: &[u8], salt: &[u8], label: &[u8], material: &[u8]) -> Zeroizing<[u8; 32]> {
    let labeled = Zeroizing::new([b"HPKE-v1", suite, label, material].concat());
    Zeroizing::new(Hkdf::<Sha256>::extract(Some(salt), &labeled).0.into())
}

/// LabeledExpand, section 4.
fn expand<const LEN: usize>(suite: &[u8], key: &[u8; 32], label: &[u8], info: &[u8]) -> Zeroizing<[u8; LEN]> {
    let mut out = Zeroizing::new([0; LEN]);
    let len = (LEN as u16).to_be_bytes();
    let parts = [&len[..], b"HPKE-v1", suite, label, info];
    Hkdf::<Sha256>::from_prk(key)
        .expect("32 bytes are a key")
        .expand_multi_info(&parts, &mut *out)
        .expect("a key or a nonce is shorter than 255 hashes");
    out
}
