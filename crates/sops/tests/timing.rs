//! Arithmetic on shares and comparisons take the same time whatever the secret is (CR-13).
//!
//! Each operation is measured beside a control that does the same with a branch or an early end, and the control must
//! be caught: a measurement that sees nothing there proves nothing. Full counts ask for an optimised build, for it is
//! the optimiser that could put a branch where the source has none: `cargo test --release -p sops --test timing`.

use std::hint::black_box;
use std::sync::{Mutex, MutexGuard, PoisonError};

use secret::SecretBytes;
use support::random::Random;
use support::tier;
use support::timing::{Class, Report, THRESHOLD, measure};

// The very source, for it is private.
#[allow(dead_code, reason = "its own tests run with the crate")]
#[path = "../src/shamir/field.rs"]
mod field;

type Result = std::result::Result<(), Box<dyn std::error::Error>>;

/// Bytes a measurement works on: the length of a data key.
const LENGTH: usize = 32;

/// `what` takes the same time for both classes: a difference must be found twice, in the same place, to count.
fn constant<I, R>(
    what: &str,
    make: impl Fn(Class, &mut Random) -> I + Copy,
    operation: impl Fn(&I) -> R + Copy,
) -> Result {
    let samples = samples()?;
    let first = measure(samples, 1, make, operation);
    say(what, &first);
    if first.worst() < THRESHOLD {
        return Ok(());
    }
    let second = measure(samples, 2, make, operation);
    say(&format!("{what}, again"), &second);
    if second.confirms(&first) {
        return Err(format!("{what}: the time depends on the secret: {first}; {second}").into());
    }
    Ok(())
}

/// `what` is caught, with a hundredth of the samples.
fn caught<I, R>(
    what: &str,
    make: impl Fn(Class, &mut Random) -> I + Copy,
    operation: impl Fn(&I) -> R + Copy,
) -> Result {
    let samples = (samples()? / 100).max(20_000);
    let (first, second) = (
        measure(samples, 3, make, operation),
        measure(samples, 4, make, operation),
    );
    say(&format!("control: {what}"), &first);
    if second.confirms(&first) {
        Ok(())
    } else {
        Err(format!("the measurement is blind: {what}: {first}; {second}").into())
    }
}

fn samples() -> std::result::Result<usize, String> {
    if tier::is_campaign() && cfg!(debug_assertions) {
        return Err("times of a build without optimisation say nothing: run with --release".to_owned());
    }
    Ok(tier::count(20_000, 10_000_000))
}

/// One measurement at a time: those of one process would disturb each other.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// On standard output, past the capture of the test harness: the log of a campaign keeps it.
#[allow(
    clippy::disallowed_methods,
    reason = "the result of a measurement is for people"
)]
fn say(what: &str, report: &Report) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout().lock(), "timing: {what}: {report}");
}

/// A secret of zeros, on which a multiplication that branches has the least to do, or a random one.
fn zeros_or_random(class: Class, random: &mut Random) -> [u8; LENGTH] {
    let bytes = random.bytes();
    match class {
        Class::Fixed => [0; LENGTH],
        Class::Random => bytes,
    }
}

/// The multiplication that was in Vault, and in SOPS until 3.10: logarithms from tables, and an early end.
fn mul_by_tables(a: u8, b: u8) -> u8 {
    static TABLES: std::sync::OnceLock<([u8; 255], [u8; 256])> = std::sync::OnceLock::new();
    let (powers, logarithms) = TABLES.get_or_init(|| {
        let (mut powers, mut logarithms, mut power) = ([0; 255], [0; 256], 1);
        for exponent in 0..255_u8 {
            powers[usize::from(exponent)] = power;
            logarithms[usize::from(power)] = exponent;
            power = field::mul(power, 3);
        }
        (powers, logarithms)
    });
    if a == 0 || b == 0 {
        return 0;
    }
    let sum = usize::from(logarithms[usize::from(a)]) + usize::from(logarithms[usize::from(b)]);
    powers[sum % 255]
}

fn products(bytes: &[u8; LENGTH], mul: impl Fn(u8, u8) -> u8) -> u8 {
    bytes
        .iter()
        .fold(0, |sum, byte| sum ^ mul(black_box(*byte), 0xa7))
}

#[test]
fn multiplication_takes_the_same_time() -> Result {
    let _alone = alone();
    assert!((0..=255).all(|a| mul_by_tables(a, 0xa7) == field::mul(a, 0xa7)));
    caught("multiplication by tables", zeros_or_random, |bytes| {
        products(bytes, mul_by_tables)
    })?;
    constant("multiplication", zeros_or_random, |bytes| {
        products(bytes, field::mul)
    })?;
    constant("multiplication, the other operand", zeros_or_random, |bytes| {
        products(bytes, |a, b| field::mul(b, a))
    })
}

#[test]
fn the_inverse_takes_the_same_time() -> Result {
    fn search(a: u8) -> u8 {
        (0..=255).find(|b| field::mul(a, *b) == 1).unwrap_or(0)
    }
    let _alone = alone();
    assert!((0..=255).all(|a| search(a) == field::inverse(a)));
    caught("an inverse that is searched", zeros_or_random, |bytes| {
        search(bytes[0])
    })?;
    constant("inverse", zeros_or_random, |bytes| {
        bytes
            .iter()
            .fold(0, |sum, byte| sum ^ field::inverse(black_box(*byte)))
    })
}

#[test]
fn combining_shares_takes_the_same_time() -> Result {
    let _alone = alone();
    let shares = |class, random: &mut Random| -> [SecretBytes; 3] {
        [1, 2, 3].map(|x| {
            let mut share = zeros_or_random(class, random).to_vec();
            share.push(x);
            SecretBytes::new(share)
        })
    };
    constant("combining three shares", shares, |shares| {
        sops::shamir::combine(&[&shares[0], &shares[1], &shares[2]])
    })
}

#[test]
fn comparing_takes_the_same_time() -> Result {
    /// A MAC, and what is compared with it: the same, or random, which differs in the first byte.
    fn pair(class: Class, random: &mut Random) -> ([u8; 64], [u8; 64]) {
        let (one, other) = (random.bytes(), random.bytes());
        match class {
            Class::Fixed => ([0x5a; 64], [0x5a; 64]),
            Class::Random => (one, other),
        }
    }
    // Several times, for one takes no longer than looking at the clock.
    fn eight(pair: &([u8; 64], [u8; 64]), equal: impl Fn(&[u8], &[u8]) -> bool) -> bool {
        (0..8).fold(true, |all, _| all & equal(black_box(&pair.0), black_box(&pair.1)))
    }
    fn until_different(a: &[u8], b: &[u8]) -> bool {
        a.iter().zip(b).all(|(a, b)| a == b)
    }
    let _alone = alone();
    caught("a comparison that ends early", pair, |both| {
        eight(both, until_different)
    })?;
    constant("secret::ct_eq", pair, |both| eight(both, secret::ct_eq))
}
