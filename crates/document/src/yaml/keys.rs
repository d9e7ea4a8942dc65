//! Keys that stand twice in a map.

use std::collections::HashMap;

use crate::tree::{Child, TreeBuilder};

/// The first key of the map begun at `mark` that stands there already: where it stood first, and where again.
///
/// Keys that differ have different hashes nearly always, and then sorting those is all there is to do. For keys
/// made to share a hash that is not secret there is a map with one that is.
pub(super) fn duplicate(source: &[u8], builder: &TreeBuilder, mark: usize) -> Option<(usize, usize)> {
    let entries = builder.pending(mark);
    let mut hashes: Vec<u64> = entries
        .iter()
        .filter_map(|child| match *child {
            Child::Entry { key, .. } => Some(hash(builder.text(source, key))),
            _ => None,
        })
        .collect();
    hashes.sort_unstable();
    if hashes.windows(2).all(|pair| pair[0] != pair[1]) {
        return None;
    }
    let mut seen = HashMap::with_capacity(entries.len());
    entries.iter().find_map(|child| match *child {
        Child::Entry { key, key_span, .. } => {
            let at = key_span.start as usize;
            seen.insert(builder.text(source, key), at)
                .map(|first| (first, at))
        }
        _ => None,
    })
}

fn hash(key: &[u8]) -> u64 {
    let mix = |hash: u64, word: u64| (hash.rotate_left(5) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let (words, rest) = key.as_chunks::<8>();
    let hash = words.iter().fold(key.len() as u64, |hash, word| {
        mix(hash, u64::from_le_bytes(*word))
    });
    let last = rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
    mix(hash, last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{NodeId, Span, Text};

    fn found(keys: &[&[u8]]) -> Option<(usize, usize)> {
        let (source, mut builder) = (keys.concat(), TreeBuilder::default());
        let mut at = 0;
        for key in keys {
            let key_span = Span::new(at, at + key.len());
            at += key.len();
            builder.push(Child::Entry {
                key: Text::in_source(key_span),
                key_span,
                value: NodeId(0),
            });
        }
        let found = duplicate(&source, &builder, 0);
        builder.end_map(0, Span::default(), false);
        found
    }

    #[test]
    fn the_first_key_that_stands_again_is_found() {
        assert_eq!(found(&[b"a", b"b", b"ab", b"ba", b"", b"\0"]), None);
        assert_eq!(
            found(&[b"a", b"long enough for words", b"b", b"b", b"a"]),
            Some((22, 23))
        );
        assert_eq!(found(&[b"", b"x", b""]), Some((0, 1)));
    }

    #[test]
    fn keys_that_share_a_hash_are_told_apart() {
        let words = |first: u64, second: u64| [first.to_le_bytes(), second.to_le_bytes()].concat();
        let state = |word: u64| {
            (16u64.rotate_left(5) ^ word)
                .wrapping_mul(0x9E37_79B9_7F4A_7C15)
                .rotate_left(5)
        };
        let (one, other) = (words(1, 7), words(2, 7 ^ state(1) ^ state(2)));
        assert_eq!(hash(&one), hash(&other));
        assert_eq!(found(&[&one, &other]), None);
        assert_eq!(found(&[&one, &other, &one]), Some((0, 32)));
    }
}
