//! The patterns of selection rules and of `path_regex`: RE2 syntax as SOPS reads it, with its meaning.
//!
//! The `regex` crate is as linear as RE2, but close is not equal: there `\d`, `\w` and `\b` are Unicode, `&&`
//! inside a class is an operator, `a**` is legal. A pattern that means something else than the author's tool
//! would leave a value in clear, so each pattern is read here by RE2's rules ([`parse`]) and written anew in
//! terms that leave nothing to interpretation: explicit ranges, explicit flags, plain groups.
//!
//! Refused: what RE2 refuses, and patterns beyond the bounds below, so that neither a typing error nor an
//! attacker's pattern in a file's metadata costs more than milliseconds.
//!
//! # Known difference
//! Property names (`\pL`, `\p{Greek}`) and case folding follow the Unicode version of the `regex` crate; SOPS
//! has Unicode 15.0. They differ only in characters assigned since.

mod class;
mod parse;

use regex::bytes::{Regex, RegexBuilder};

/// The longest pattern read, in bytes.
const MAX_PATTERN: usize = 8 * 1024;
/// The largest compiled program, in bytes.
const MAX_PROGRAM: usize = 1 << 20;
/// The largest cache of the lazy automaton, in bytes.
const MAX_AUTOMATON: usize = 4 << 20;

/// A compiled pattern. Search is unanchored and linear in the text.
#[derive(Clone, Debug)]
pub(crate) struct Pattern(Regex);

/// Why a pattern cannot be used. Holds no part of the pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why} (byte {at} of the pattern)")]
pub struct PatternError {
    /// Byte offset in the pattern, from 1.
    pub at: usize,
    /// The reason, a sentence fragment.
    pub why: &'static str,
}

/// Compiles an RE2 pattern.
pub(crate) fn compile(pattern: &str) -> Result<Pattern, PatternError> {
    if pattern.len() > MAX_PATTERN {
        return Err(PatternError {
            at: MAX_PATTERN,
            why: "pattern is too long",
        });
    }
    let text = parse::translate(pattern)?;
    RegexBuilder::new(&text)
        .size_limit(MAX_PROGRAM)
        .dfa_size_limit(MAX_AUTOMATON)
        .nest_limit(8 * parse::MAX_DEPTH)
        .build()
        .map(Pattern)
        .map_err(|_| PatternError {
            at: 1,
            why: "pattern is too large when compiled",
        })
}

impl Pattern {
    /// Whether the pattern is found anywhere in `text`.
    pub(crate) fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text.as_bytes())
    }
}

#[cfg(test)]
mod tests;
