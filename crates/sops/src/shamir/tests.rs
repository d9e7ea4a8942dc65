//! Sharing in the small form of CR-05 and CR-06: every shape up to ten shares, every subset, bad shares.

use super::*;
use crate::DataKey;

/// A small reproducible generator (xorshift64*); tests only.
pub(crate) struct Xorshift(pub(crate) u64);

impl Xorshift {
    pub(crate) fn fill(&mut self, out: &mut [u8]) {
        for byte in out {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            *byte = (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 56) as u8;
        }
    }
}

fn split_with(random: &mut Xorshift, secret: &[u8], shares: u8, threshold: u8) -> Vec<SecretBytes> {
    let mut rng = |out: &mut [u8]| {
        random.fill(out);
        Ok(())
    };
    split(secret, shares, threshold, &mut rng).expect("a good threshold")
}

#[test]
fn every_subset_of_the_threshold_gives_the_secret_and_no_smaller_one_does() {
    let mut random = Xorshift(1);
    let mut combined = 0;
    for shares in 2..=10_u8 {
        for threshold in 2..=shares {
            let mut secret = [0; 32];
            random.fill(&mut secret);
            let parts = split_with(&mut random, &secret, shares, threshold);
            assert!(
                parts
                    .iter()
                    .zip(1..)
                    .all(|(part, x)| part.len() == 33 && part.expose()[32] == x)
            );
            for mask in 0_u32..1 << shares {
                let subset: Vec<_> = parts
                    .iter()
                    .enumerate()
                    .filter(|(at, _)| mask >> at & 1 == 1)
                    .map(|(_, part)| part)
                    .collect();
                if subset.len() < 2 {
                    assert_eq!(combine(&subset).err(), Some(ShamirError::TooFewShares));
                    continue;
                }
                let enough = subset.len() >= usize::from(threshold);
                let got = combine(&subset).expect("well-formed shares");
                assert_eq!(got.expose() == secret, enough, "{shares} {threshold} {mask:b}");
                combined += 1;
            }
        }
    }
    assert_eq!(combined, 16_013);
}

#[test]
fn coefficients_are_used_as_drawn_and_zero_is_as_likely_as_any() {
    // Threshold 2: y(1) = secret + coefficient, so the coefficient can be read off.
    let mut random = Xorshift(2);
    let mut histogram = [0_u32; 256];
    let secret = [0x5a; 250];
    for _ in 0..4_000 {
        let parts = split_with(&mut random, &secret, 2, 2);
        for value in &parts[0].expose()[..250] {
            histogram[usize::from(value ^ 0x5a)] += 1;
        }
    }
    let expected = 1_000_000.0 / 256.0;
    let chi: f64 = histogram
        .iter()
        .map(|seen| (f64::from(*seen) - expected).powi(2) / expected)
        .sum();
    // 255 degrees of freedom: below 330.5 with probability 0.999, above 190.9 with the same.
    assert!((190.9..330.5).contains(&chi), "chi squared is {chi}");
    assert!(histogram[0] > 3_600, "zero was drawn {} times", histogram[0]);
}

#[test]
fn bad_numbers_are_refused() {
    let mut rng =
        |_: &mut [u8]| -> Result<(), RandomFailed> { panic!("nothing is drawn for a refused split") };
    for (shares, threshold) in [(0, 0), (1, 1), (3, 0), (3, 1), (3, 4), (255, 1)] {
        let refused = split(&[1; 32], shares, threshold, &mut rng).err();
        assert_eq!(refused, Some(ShamirError::Threshold { shares, threshold }));
    }
    assert_eq!(split(&[], 3, 2, &mut rng).err(), Some(ShamirError::EmptySecret));
    let mut broken = |_: &mut [u8]| Err(RandomFailed);
    assert_eq!(
        split(&[1; 32], 3, 2, &mut broken).err(),
        Some(ShamirError::Random(RandomFailed))
    );
    let many = split_with(&mut Xorshift(3), &[7; 32], 255, 255);
    assert_eq!(
        combine(&many.iter().collect::<Vec<_>>())
            .expect("all shares")
            .expose(),
        [7; 32]
    );
}

#[test]
fn shares_that_cannot_belong_together_are_refused() {
    let refused = |shares: &[&[u8]]| {
        let shares: Vec<_> = shares.iter().map(|share| SecretBytes::copy_from(share)).collect();
        combine(&shares.iter().collect::<Vec<_>>()).err()
    };
    assert_eq!(refused(&[&[1, 1], &[2, 2]]), None);
    assert_eq!(refused(&[&[1, 1]]), Some(ShamirError::TooFewShares));
    assert_eq!(refused(&[&[1, 1], &[2, 1]]), Some(ShamirError::SamePoint(1)));
    assert_eq!(refused(&[&[1, 1], &[2, 0]]), Some(ShamirError::ZeroPoint));
    assert_eq!(refused(&[&[1, 1], &[2, 2, 2]]), Some(ShamirError::Length));
    assert_eq!(refused(&[&[1], &[2]]), Some(ShamirError::Length));
    assert_eq!(refused(&[&[], &[]]), Some(ShamirError::Length));
}

/// Shares of the secret 9, 9, ..., each with its group, changed by `damage`.
fn damaged(
    count: u8,
    threshold: u8,
    damage: impl Fn(&mut Vec<(usize, SecretBytes)>),
) -> Vec<(usize, SecretBytes)> {
    let parts = split_with(&mut Xorshift(4), &[9; 32], count, threshold);
    let mut shares: Vec<_> = parts.into_iter().enumerate().collect();
    damage(&mut shares);
    shares
}

fn search(shares: &[(usize, SecretBytes)], threshold: u8) -> Result<Vec<usize>, QuorumError> {
    quorum(shares, threshold, &mut |key: &DataKey| key.expose() == &[9; 32]).map(|found| {
        assert_eq!(found.key.expose(), &[9; 32]);
        found.bad
    })
}

#[test]
fn one_bad_share_of_three_is_named_and_the_file_opens() {
    let flip = |shares: &mut Vec<(usize, SecretBytes)>| shares[1].1.expose_mut()[5] ^= 1;
    assert_eq!(search(&damaged(3, 2, |_| ()), 2), Ok(vec![]));
    assert_eq!(search(&damaged(3, 2, flip), 2), Ok(vec![1]));
    assert_eq!(
        search(
            &damaged(3, 2, |shares| shares[0].1 = SecretBytes::new(vec![3; 33])),
            2
        ),
        Ok(vec![0])
    );
    let zero = |shares: &mut Vec<(usize, SecretBytes)>| shares[2].1.expose_mut()[32] = 0;
    assert_eq!(search(&damaged(3, 2, zero), 2), Ok(vec![2]));
    let short = |shares: &mut Vec<(usize, SecretBytes)>| shares[0].1.expose_mut().truncate(12);
    assert_eq!(search(&damaged(3, 2, short), 2), Ok(vec![0]));
    let copied = |shares: &mut Vec<(usize, SecretBytes)>| {
        shares[0].1 = SecretBytes::copy_from(shares[2].1.expose());
    };
    assert_eq!(
        search(&damaged(3, 2, copied), 2),
        Ok(vec![0]),
        "the copy is bad, not the original"
    );
}

#[test]
fn several_bad_shares_are_named_as_long_as_a_quorum_is_good() {
    let half = |shares: &mut Vec<(usize, SecretBytes)>| {
        for at in [0, 2, 4, 6] {
            shares[at].1.expose_mut()[at] ^= 0x80;
        }
    };
    assert_eq!(search(&damaged(8, 4, half), 4), Ok(vec![0, 2, 4, 6]));
    let too_many = |shares: &mut Vec<(usize, SecretBytes)>| {
        half(shares);
        shares[1].1.expose_mut()[0] ^= 1;
    };
    assert_eq!(
        search(&damaged(8, 4, too_many), 4),
        Err(QuorumError::NoneFits {
            have: 8,
            need: 4,
            tried: 71
        })
    );
}

#[test]
fn the_search_is_bounded_and_says_why_it_fails() {
    let all_bad = |shares: &mut Vec<(usize, SecretBytes)>| {
        shares
            .iter_mut()
            .for_each(|(group, share)| share.expose_mut()[*group % 32] ^= 1);
    };
    let none = search(&damaged(60, 30, all_bad), 30);
    assert_eq!(
        none,
        Err(QuorumError::NoneFits {
            have: 60,
            need: 30,
            tried: 1_001
        })
    );
    let two = |shares: &mut Vec<(usize, SecretBytes)>| {
        shares[1].1.expose_mut().clear();
        shares.truncate(3);
    };
    let too_few = Err(QuorumError::TooFew {
        have: 2,
        need: 3,
        malformed: vec![1],
    });
    assert_eq!(search(&damaged(5, 3, two), 3), too_few);
    assert_eq!(search(&damaged(3, 2, |_| ()), 1), Err(QuorumError::Threshold(1)));
    assert_eq!(
        search(&[], 2),
        Err(QuorumError::TooFew {
            have: 0,
            need: 2,
            malformed: vec![]
        })
    );
}
