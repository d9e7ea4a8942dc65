//! AES-256-GCM for nonces of any length (NIST SP 800-38D, 7.1 and 7.2), only to open: we write 32 bytes, but
//! the length is whatever stands in the file.

use aes_gcm::aes::Aes256;
use aes_gcm::aes::cipher::BlockCipherEncrypt;
use ghash::universal_hash::UniversalHash;
use ghash::{Block, GHash};
use zeroize::Zeroize;

/// The key schedule and the hash key.
pub(super) struct AnyNonce {
    aes: Aes256,
    ghash: GHash,
}

impl AnyNonce {
    pub(super) fn new(aes: Aes256) -> Self {
        let mut hash_key = Block::default();
        aes.encrypt_block(&mut hash_key);
        let ghash = GHash::new(&hash_key);
        hash_key.zeroize();
        Self { aes, ghash }
    }

    /// Opens `buffer` in place; leaves the ciphertext and says `false` if the tag is wrong.
    #[must_use]
    pub(super) fn open(&self, nonce: &[u8], aad: &[u8], buffer: &mut [u8], tag: &[u8; 16]) -> bool {
        let first = self.first_counter(nonce);
        let mut mask = first;
        self.aes.encrypt_block(&mut mask);
        let mut expected = self.hash(aad, buffer);
        expected
            .iter_mut()
            .zip(&mask)
            .for_each(|(byte, mask)| *byte ^= mask);
        if !secret::ct_eq(&expected, tag) {
            return false;
        }
        self.apply_keystream(first, buffer);
        true
    }

    /// J0: the nonce itself and a one for 12 bytes, else its hash.
    fn first_counter(&self, nonce: &[u8]) -> Block {
        if nonce.len() != 12 {
            return self.hash(&[], nonce);
        }
        let mut block = Block::default();
        block[..12].copy_from_slice(nonce);
        block[15] = 1;
        block
    }

    /// GHASH over both texts, each filled up to whole blocks, and their lengths in bits.
    fn hash(&self, aad: &[u8], text: &[u8]) -> Block {
        let mut ghash = self.ghash.clone();
        ghash.update_padded(aad);
        ghash.update_padded(text);
        let mut lengths = Block::default();
        lengths[..8].copy_from_slice(&(aad.len() as u64 * 8).to_be_bytes());
        lengths[8..].copy_from_slice(&(text.len() as u64 * 8).to_be_bytes());
        ghash.update(&[lengths]);
        ghash.finalize()
    }

    /// Counter mode from the block after `counter`; only its last 32 bits count.
    fn apply_keystream(&self, mut counter: Block, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(16) {
            let (_, low) = counter.split_last_chunk_mut::<4>().expect("a block has 16 bytes");
            *low = u32::from_be_bytes(*low).wrapping_add(1).to_be_bytes();
            let mut keystream = counter;
            self.aes.encrypt_block(&mut keystream);
            chunk
                .iter_mut()
                .zip(&keystream)
                .for_each(|(byte, key)| *byte ^= key);
        }
    }
}
