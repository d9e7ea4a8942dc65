//! Shamir's secret sharing as sops lays it out, and the search for a quorum when some shares are bad.
//!
//! A share of a 32-byte data key has 33 bytes: the 32 values of 32 independent random polynomials over
//! GF(2^8) at the point `x`, then `x` itself, which for group `i` (from 0) is `i + 1`.
//!
//! ```text
//! secret[b] = p_b(0)      share = p_0(x) p_1(x) ... p_31(x) x
//! ```
//!
//! Field arithmetic has no table and no branch on its operands: its time does not depend on the secret.

mod field;
mod quorum;

use secret::SecretBytes;
use zeroize::Zeroizing;

pub use quorum::{Quorum, QuorumError, quorum};

/// The source of randomness failed; nothing was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system's random source failed")]
pub struct RandomFailed;

/// Why a secret cannot be split, or shares cannot be combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShamirError {
    /// The threshold must be at least 2 and at most the number of shares.
    #[error(
        "{shares} shares cannot have a threshold of {threshold}: it must be from 2 to the number of shares"
    )]
    Threshold {
        /// How many shares were wanted.
        shares: u8,
        /// The threshold that was wanted.
        threshold: u8,
    },
    /// There is nothing to split.
    #[error("the secret is empty")]
    EmptySecret,
    /// Fewer than two shares.
    #[error("at least two shares are needed")]
    TooFewShares,
    /// Shares that do not belong together, or hold nothing.
    #[error("the shares do not have the same length of at least 2 bytes")]
    Length,
    /// A share at the point that holds the secret itself.
    #[error("a share has the number 0")]
    ZeroPoint,
    /// Two shares at one point.
    #[error("two shares have the same number, {0}")]
    SamePoint(u8),
    /// See [`RandomFailed`].
    #[error(transparent)]
    Random(#[from] RandomFailed),
}

/// Splits `secret` into `shares` shares of which any `threshold` give it back. `rng` fills a buffer with
/// random bytes and is called once.
///
/// # Errors
/// [`ShamirError::Threshold`], [`ShamirError::EmptySecret`] or [`ShamirError::Random`].
pub fn split(
    secret: &[u8],
    shares: u8,
    threshold: u8,
    rng: &mut dyn FnMut(&mut [u8]) -> Result<(), RandomFailed>,
) -> Result<Vec<SecretBytes>, ShamirError> {
    if threshold < 2 || threshold > shares {
        return Err(ShamirError::Threshold { shares, threshold });
    }
    if secret.is_empty() {
        return Err(ShamirError::EmptySecret);
    }
    // The coefficients above the constant term, all of them uniform: a leading zero is as likely as any.
    let degree = usize::from(threshold) - 1;
    let mut coefficients = Zeroizing::new(vec![0; secret.len() * degree]);
    rng(&mut coefficients)?;
    let share = |x: u8| {
        let polynomials = secret.iter().zip(coefficients.chunks_exact(degree));
        let mut share = Vec::with_capacity(secret.len() + 1);
        share.extend(polynomials.map(|(constant, higher)| {
            higher
                .iter()
                .rev()
                .fold(0, |sum, coefficient| field::mul(sum ^ coefficient, x))
                ^ constant
        }));
        share.push(x);
        SecretBytes::new(share)
    };
    Ok((1..=shares).map(share).collect())
}

/// The secret at 0 of the polynomials through all of `shares`. It is the right one only if all shares are
/// good and there are enough of them: nothing here can tell.
///
/// # Errors
/// When the shares cannot belong together.
pub fn combine(shares: &[&SecretBytes]) -> Result<SecretBytes, ShamirError> {
    let shares: Vec<(u8, &[u8])> = shares
        .iter()
        .map(|share| point(share))
        .collect::<Result<_, _>>()?;
    let [(_, first), _, ..] = shares.as_slice() else {
        return Err(ShamirError::TooFewShares);
    };
    if shares.iter().any(|(_, values)| values.len() != first.len()) {
        return Err(ShamirError::Length);
    }
    let mut seen = [false; 256];
    for (x, _) in &shares {
        if std::mem::replace(&mut seen[usize::from(*x)], true) {
            return Err(ShamirError::SamePoint(*x));
        }
    }
    Ok(interpolate(&shares, 0))
}

/// A share's number and its values.
fn point(share: &SecretBytes) -> Result<(u8, &[u8]), ShamirError> {
    match share.expose().split_last() {
        Some((0, _)) => Err(ShamirError::ZeroPoint),
        Some((x, values)) if !values.is_empty() => Ok((*x, values)),
        _ => Err(ShamirError::Length),
    }
}

/// The values at `x` of the polynomials of lowest degree through `shares`, whose points differ.
fn interpolate(shares: &[(u8, &[u8])], x: u8) -> SecretBytes {
    let len = shares.first().map_or(0, |(_, values)| values.len());
    let mut sum = SecretBytes::new(vec![0; len]);
    for (at, values) in shares {
        let others = shares.iter().map(|(other, _)| *other).filter(|other| other != at);
        let (over, under) = others.fold((1, 1), |(over, under), other| {
            (field::mul(over, x ^ other), field::mul(under, at ^ other))
        });
        let weight = field::mul(over, field::inverse(under));
        for (sum, value) in sum.expose_mut().iter_mut().zip(*values) {
            *sum ^= field::mul(*value, weight);
        }
    }
    sum
}

#[cfg(test)]
mod tests;
