//! Which shares to believe. sops combines every share it could unwrap, so one bad share makes a file
//! unreadable although enough good ones are at hand; here subsets are tried until a key proves itself, and
//! the groups whose shares do not fit are named.

use secret::SecretBytes;

use crate::DataKey;
use crate::shamir::{interpolate, point};

/// Most subsets that are tried.
const MOST_SUBSETS: usize = 1_000;

/// What the search found.
#[derive(Debug)]
pub struct Quorum {
    /// The key that passed the check.
    pub key: DataKey,
    /// Groups whose share is malformed, stands at another's point, or does not lie on the polynomials of the
    /// shares that gave the key; in ascending order.
    pub bad: Vec<usize>,
}

/// Why no key was found; exit code 128.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QuorumError {
    /// A threshold below 2 is none.
    #[error("a threshold of {0} is too low to share a key")]
    Threshold(u8),
    /// Too few groups gave a well-formed share.
    #[error("{have} usable key groups, but {need} are needed")]
    TooFew {
        /// Shares that are well-formed and at different points.
        have: usize,
        /// The threshold.
        need: u8,
        /// Groups whose share is malformed or stands at another's point.
        malformed: Vec<usize>,
    },
    /// No combination gave the key of this file.
    #[error("no {need} of the {have} key groups give the key of this file ({tried} combinations tried)")]
    NoneFits {
        /// Well-formed shares.
        have: usize,
        /// The threshold.
        need: u8,
        /// Combinations that were tried, at most 1,001.
        tried: usize,
    },
}

/// One well-formed share.
struct Candidate<'a> {
    group: usize,
    x: u8,
    values: &'a [u8],
}

/// Finds the data key from the shares of `(group, share)` that could be unwrapped. First all of them are
/// combined, as sops does, then subsets of `threshold` shares in order, at most 1,000. `check` says whether
/// a key is this file's.
///
/// # Errors
/// See [`QuorumError`].
pub fn quorum(
    shares: &[(usize, SecretBytes)],
    threshold: u8,
    check: &mut dyn FnMut(&DataKey) -> bool,
) -> Result<Quorum, QuorumError> {
    if threshold < 2 {
        return Err(QuorumError::Threshold(threshold));
    }
    let candidates = candidates(shares);
    let (have, need) = (candidates.len(), threshold);
    if have < usize::from(need) {
        let malformed = bad_groups(shares, |group| {
            candidates.iter().any(|known| known.group == group)
        });
        return Err(QuorumError::TooFew {
            have,
            need,
            malformed,
        });
    }
    let mut tried = 0;
    let mut attempt = |subset: &[usize]| {
        tried += 1;
        let points: Vec<_> = subset
            .iter()
            .map(|at| (candidates[*at].x, candidates[*at].values))
            .collect();
        let key = DataKey::from_slice(interpolate(&points, 0).expose())?;
        check(&key).then_some((key, points))
    };
    let all: Vec<usize> = (0..have).collect();
    let subsets = Subsets::new(have, usize::from(need)).take(MOST_SUBSETS);
    let found = std::iter::once(all)
        .chain(subsets)
        .find_map(|subset| attempt(&subset));
    let Some((key, points)) = found else {
        return Err(QuorumError::NoneFits { have, need, tried });
    };
    let fits = |group| {
        let mut known = candidates.iter().filter(|known| known.group == group);
        known.any(|known| secret::ct_eq(interpolate(&points, known.x).expose(), known.values))
    };
    Ok(Quorum {
        key,
        bad: bad_groups(shares, fits),
    })
}

/// The shares of a data key's length at different points other than 0. Of two at one point the one counts
/// that stands where its group's number says.
fn candidates(shares: &[(usize, SecretBytes)]) -> Vec<Candidate<'_>> {
    let mut candidates: Vec<Candidate<'_>> = Vec::new();
    for (group, share) in shares {
        let Some((x, values)) = point(share).ok().filter(|(_, values)| values.len() == 32) else {
            continue;
        };
        let this = Candidate {
            group: *group,
            x,
            values,
        };
        match candidates.iter_mut().find(|known| known.x == x) {
            Some(known) if usize::from(x) == *group + 1 => *known = this,
            Some(_) => {}
            None => candidates.push(this),
        }
    }
    candidates
}

fn bad_groups(shares: &[(usize, SecretBytes)], good: impl Fn(usize) -> bool) -> Vec<usize> {
    let mut bad: Vec<usize> = shares
        .iter()
        .map(|(group, _)| *group)
        .filter(|group| !good(*group))
        .collect();
    bad.sort_unstable();
    bad
}

/// The subsets of `size` out of `count` positions, in lexicographic order.
struct Subsets {
    count: usize,
    next: Option<Vec<usize>>,
}

impl Subsets {
    fn new(count: usize, size: usize) -> Self {
        Self {
            count,
            next: (size <= count).then(|| (0..size).collect()),
        }
    }
}

impl Iterator for Subsets {
    type Item = Vec<usize>;

    fn next(&mut self) -> Option<Vec<usize>> {
        let subset = self.next.take()?;
        let size = subset.len();
        // The last position that can still move takes one step; all behind it follow closely.
        if let Some(at) = (0..size).rev().find(|at| subset[*at] < self.count - size + at) {
            let mut following = subset.clone();
            for (step, position) in following[at..].iter_mut().enumerate() {
                *position = subset[at] + 1 + step;
            }
            self.next = Some(following);
        }
        Some(subset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subsets_come_in_order_and_completely() {
        let all: Vec<_> = Subsets::new(4, 2).collect();
        assert_eq!(all, [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]]);
        assert_eq!(Subsets::new(10, 5).count(), 252);
        assert_eq!(Subsets::new(3, 3).count(), 1);
        assert_eq!(Subsets::new(2, 3).count(), 0);
    }
}
