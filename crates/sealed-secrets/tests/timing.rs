//! A session key that does not open takes the same time whatever is wrong inside it, and says the same (CR-11): with a
//! difference somebody who may ask often enough could open values of others.
//!
//! Each class of malformed blocks is measured against blocks of random bytes. Beside them stands a control that does
//! a little more for blocks whose first byte is right, and it must be caught. Full counts ask for an optimised build:
//! `cargo test --release -p sealed-secrets --test timing`.
#![allow(clippy::disallowed_methods)] // A test that reads the clock and prints.

use std::hint::black_box;
use std::io::Write as _;

use rsa::BigUint;
use rsa::traits::PublicKeyParts as _;
use sealed_secrets::{Item, OpenError, SealingKey};
use secret::SecretBytes;
use sha2_old::{Digest as _, Sha256};
use support::random::Random;
use support::tier;
use support::timing::{Class, Report, THRESHOLD, measure};

type Result = std::result::Result<(), Box<dyn std::error::Error>>;

const KEY: &str = include_str!("../../../testdata/sealed-secrets/keys/rsa-2048.key");
const LABEL: &[u8] = b"prod/app";
/// Bytes of the modulus and of a hash.
const MODULUS: usize = 256;
const HASH: usize = 32;
/// Different blocks of each class: one block alone could be slow by chance.
const POOL: usize = 16;

/// An item, and whether the first byte of its block is right.
type Sample = (Item, bool);

/// What is wrong with a block.
#[derive(Clone, Copy, Debug)]
enum Wrong {
    /// Its first byte is 1.
    FirstByte,
    /// It is whole, for another label.
    LabelHash,
    /// No 1 stands before the message.
    NoSeparator,
    /// Another byte than 0 stands before the 1.
    Padding,
    /// A small number: its first 64 bytes are 0.
    Small,
    /// Everything.
    Random,
}

/// MGF1 with SHA-256 (RFC 8017, B.2.1), xored onto `bytes`.
fn mask(seed: &[u8], bytes: &mut [u8]) {
    for (counter, chunk) in bytes.chunks_mut(HASH).enumerate() {
        let digest = Sha256::new()
            .chain_update(seed)
            .chain_update((counter as u32).to_be_bytes())
            .finalize();
        chunk
            .iter_mut()
            .zip(digest)
            .for_each(|(byte, mask)| *byte ^= mask);
    }
}

/// A block before the RSA operation (RFC 8017, 7.1.1), with what is wrong in it.
fn block(wrong: Wrong, random: &mut Random) -> Vec<u8> {
    let mut block: Vec<u8> = random.bytes::<MODULUS>().to_vec();
    match wrong {
        Wrong::Random => {
            // Below the modulus, whose first bit is set.
            block[0] &= 0x7f;
            return block;
        }
        Wrong::Small => {
            block[..64].fill(0);
            return block;
        }
        _ => {}
    }
    let label: &[u8] = if matches!(wrong, Wrong::LabelHash) {
        b"prod/other"
    } else {
        LABEL
    };
    block[0] = u8::from(matches!(wrong, Wrong::FirstByte));
    let (seed, data) = block[1..].split_at_mut(HASH);
    data[..HASH].copy_from_slice(&Sha256::digest(label));
    let separator = data.len() - 33;
    data[HASH..separator].fill(0);
    data[separator] = 1;
    match wrong {
        Wrong::NoSeparator => data[HASH..].fill(0),
        Wrong::Padding => data[HASH + 7] = 2,
        _ => {}
    }
    mask(seed, data);
    mask(data, seed);
    block
}

/// Items whose session key is wrapped in such a block.
fn pool(wrong: Wrong, random: &mut Random) -> Vec<Sample> {
    let private: rsa::RsaPrivateKey = rsa::pkcs1::DecodeRsaPrivateKey::from_pkcs1_pem(KEY).expect("a key");
    let item = |_| {
        let block = block(wrong, random);
        let wrapped = BigUint::from_bytes_be(&block)
            .modpow(private.e(), private.n())
            .to_bytes_be();
        let mut blob = (MODULUS as u16).to_be_bytes().to_vec();
        blob.resize(2 + MODULUS - wrapped.len(), 0);
        blob.extend_from_slice(&wrapped);
        blob.extend_from_slice(&[7; 32]);
        (Item::from_blob(blob).expect("an item"), block[0] == 0)
    };
    (0..POOL).map(item).collect()
}

fn samples() -> std::result::Result<usize, String> {
    if tier::is_campaign() && cfg!(debug_assertions) {
        return Err("times of a build without optimisation say nothing: run with --release".to_owned());
    }
    Ok(tier::count(3_000, 1_000_000))
}

/// Measures twice; whether both found the same difference.
fn differs(
    what: &str,
    samples: usize,
    (fixed, others): (&[Sample], &[Sample]),
    operation: impl Fn(&Sample) -> bool + Copy,
) -> std::io::Result<bool> {
    let make = |class: Class, random: &mut Random| {
        let pool = match class {
            Class::Fixed => fixed,
            Class::Random => others,
        };
        pool[usize::from(random.bytes::<1>()[0]) % POOL].clone()
    };
    let mut reports: Vec<Report> = Vec::new();
    for seed in 1..=2 {
        let report = measure(samples, seed, make, operation);
        writeln!(std::io::stdout().lock(), "timing: {what}: {report}")?;
        if report.worst() < THRESHOLD {
            return Ok(false);
        }
        reports.push(report);
    }
    Ok(reports[0].confirms(&reports[1]))
}

#[test]
fn what_is_wrong_with_a_session_key_takes_the_same_time_and_says_the_same() -> Result {
    let key = SealingKey::parse(&SecretBytes::copy_from(KEY.as_bytes()))?;
    let mut random = Random::new(11);
    let others = pool(Wrong::Random, &mut random);
    let open = |(item, _): &Sample| key.open(black_box(item), LABEL).is_ok();
    // What an early look at the first byte would save: some microseconds of two hundred.
    let early = |(item, goes_on): &Sample| {
        let opened = key.open(black_box(item), LABEL).is_ok();
        if *goes_on {
            black_box(Sha256::digest([0_u8; 16_384]));
        }
        opened
    };
    let mut wrong = Vec::new();
    let classes = [
        Wrong::FirstByte,
        Wrong::LabelHash,
        Wrong::NoSeparator,
        Wrong::Padding,
        Wrong::Small,
        Wrong::Random,
    ];
    for class in classes {
        let fixed = pool(class, &mut random);
        for (item, _) in &fixed {
            let error = key.open(item, LABEL).expect_err("a malformed block");
            assert_eq!(error, OpenError::NoKey, "{class:?}");
            assert_eq!(error.to_string(), "no key opens it", "{class:?}");
        }
        if differs(&format!("{class:?}"), samples()?, (&fixed, &others), open)? {
            wrong.push(class);
        }
        if matches!(class, Wrong::LabelHash) {
            let samples = (samples()? / 100).max(3_000);
            let caught = differs("control: an early end", samples, (&fixed, &others), early)?;
            assert!(caught, "the measurement is blind");
        }
    }
    assert!(wrong.is_empty(), "the time tells what is wrong: {wrong:?}");
    Ok(())
}
