//! Which values of a document are sealed: one rule, compiled once, asked along a walk.
//!
//! A rule looks at each key on the path by itself, or at the comments that govern an entry, and what it finds
//! holds for everything below. So a walk needs to remember only *where* it was found, not the path: a key is
//! matched once, a leaf costs nothing.
//!
//! Refused at construction: a bad pattern (SOPS takes it for one that never matches, and seals nothing) and
//! two rules at once.

use crate::Rules;
use crate::re2::{self, Pattern, PatternError};

/// The suffix of the rule that holds when a file or configuration names none.
pub const DEFAULT_UNENCRYPTED_SUFFIX: &str = "_unencrypted";

/// A compiled selection rule.
#[derive(Clone, Debug)]
pub struct Selector(Rule);

/// Why [`Rules`] select nothing that could be relied on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// Two of the six fields are set.
    #[error("{first} and {second} cannot be used together")]
    Conflict {
        /// Name of the first field.
        first: &'static str,
        /// Name of the second field.
        second: &'static str,
    },
    /// A pattern does not compile.
    #[error("bad {rule}")]
    Pattern {
        /// Name of the field.
        rule: &'static str,
        /// What is wrong with it.
        source: PatternError,
    },
}

/// What is known about everything below one place of a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Below {
    /// All of it is sealed.
    Sealed,
    /// All of it stays clear.
    Clear,
    /// It depends on keys or comments still to come.
    Undecided,
}

#[derive(Clone, Debug)]
enum Rule {
    /// The binary store: the one value is sealed whatever the rules say.
    Everything,
    Keys {
        test: Test,
        seals: bool,
    },
    Comments {
        pattern: Pattern,
        seals: bool,
    },
}

#[derive(Clone, Debug)]
enum Test {
    Suffix(String),
    Pattern(Pattern),
}

impl Selector {
    /// Compiles the one rule that is set; an empty text counts as not set. None at all means
    /// `unencrypted_suffix: _unencrypted`.
    pub fn new(rules: &Rules) -> Result<Self, RuleError> {
        let mut set = rules.set();
        let Some((name, text)) = set.next() else {
            let test = Test::Suffix(DEFAULT_UNENCRYPTED_SUFFIX.to_owned());
            return Ok(Self(Rule::Keys { test, seals: false }));
        };
        if let Some((second, _)) = set.next() {
            return Err(RuleError::Conflict { first: name, second });
        }
        let pattern = || re2::compile(text).map_err(|source| RuleError::Pattern { rule: name, source });
        let seals = name.starts_with("encrypted");
        Ok(Self(if name.ends_with("_comment_regex") {
            Rule::Comments {
                pattern: pattern()?,
                seals,
            }
        } else if name.ends_with("_regex") {
            Rule::Keys {
                test: Test::Pattern(pattern()?),
                seals,
            }
        } else {
            Rule::Keys {
                test: Test::Suffix(text.to_owned()),
                seals,
            }
        }))
    }

    /// Seals everything, as the binary store does under any rule.
    pub fn everything() -> Self {
        Self(Rule::Everything)
    }

    /// Starts at the root of a document. Each document of a stream has its own walk.
    pub fn walk(&self) -> Selecting<'_> {
        Selecting {
            rule: &self.0,
            depth: 0,
            found_at: None,
        }
    }

    /// Whether the rule looks at comments.
    pub fn uses_comments(&self) -> bool {
        matches!(self.0, Rule::Comments { .. })
    }

    /// Whether a comment, once sealed to `sealed` (the whole `ENC[...]`), would be taken for one that keeps
    /// things clear: sealing must stop then, for a reader would select differently (exit code 23).
    pub fn mistakes_sealed_comment(&self, sealed: &str) -> bool {
        matches!(&self.0, Rule::Comments { pattern, seals: false } if pattern.is_match(sealed))
    }
}

/// A walk through one document, in document order. The caller reports keys, containers and comments as they
/// open and close, and asks at each leaf and comment.
#[derive(Clone, Debug)]
pub struct Selecting<'s> {
    rule: &'s Rule,
    /// Keys on the path under a rule on keys, containers around under a rule on comments.
    depth: usize,
    /// The outermost depth at which the rule found what it looks for.
    found_at: Option<usize>,
}

impl Selecting<'_> {
    /// A map entry begins.
    pub fn enter_key(&mut self, key: &str) {
        if let Rule::Keys { test, .. } = self.rule {
            self.depth += 1;
            if self.found_at.is_none() && test.finds(key) {
                self.found_at = Some(self.depth);
            }
        }
    }

    /// The entry of the last key ends.
    pub fn leave_key(&mut self) {
        if let Rule::Keys { .. } = self.rule {
            self.leave();
        }
    }

    /// A map or list begins; comments in it govern only what is in it.
    pub fn enter_container(&mut self) {
        if let Rule::Comments { .. } = self.rule {
            self.depth += 1;
        }
    }

    /// The last container ends.
    pub fn leave_container(&mut self) {
        if let Rule::Comments { .. } = self.rule {
            self.leave();
        }
    }

    /// Whether this comment is sealed, by the rule as it holds in its container. From here on it governs the
    /// rest of the container up to the end of the next entry.
    ///
    /// Under `encrypted_comment_regex` a comment is not sealed for its own text, so that it stays readable;
    /// under `unencrypted_comment_regex` it is kept clear by it. `text` is what follows the comment mark. When
    /// reading, the sealed text will do: no comment that is sealed matches the rule in either form.
    pub fn comment(&mut self, text: &str) -> bool {
        let Rule::Comments { pattern, seals } = self.rule else {
            return self.leaf();
        };
        let governed = self.leaf();
        if self.found_at.is_none() && pattern.is_match(text) {
            self.found_at = Some(self.depth);
        }
        if *seals { governed } else { self.leaf() }
    }

    /// Whether a leaf here is sealed.
    pub fn leaf(&self) -> bool {
        match self.rule {
            Rule::Everything => true,
            Rule::Keys { seals, .. } | Rule::Comments { seals, .. } => self.found_at.is_some() == *seals,
        }
    }

    /// An entry of a map or an item of a list, other than a comment, has ended: the comments of its container
    /// govern nothing any more. To be called after the entry's key or container was left.
    pub fn entry_done(&mut self) {
        if let Rule::Comments { .. } = self.rule
            && self.found_at == Some(self.depth)
        {
            self.found_at = None;
        }
    }

    /// What the rule has already decided for all leaves below this place.
    pub fn below(&self) -> Below {
        let found = self.found_at.is_some();
        match self.rule {
            Rule::Everything => Below::Sealed,
            Rule::Keys { seals: true, .. } | Rule::Comments { seals: true, .. } if found => Below::Sealed,
            Rule::Keys { seals: false, .. } | Rule::Comments { seals: false, .. } if found => Below::Clear,
            _ => Below::Undecided,
        }
    }

    fn leave(&mut self) {
        if self.found_at == Some(self.depth) {
            self.found_at = None;
        }
        self.depth = self.depth.saturating_sub(1);
    }
}

impl Test {
    fn finds(&self, key: &str) -> bool {
        match self {
            Self::Suffix(suffix) => key.ends_with(suffix.as_str()),
            Self::Pattern(pattern) => pattern.is_match(key),
        }
    }
}

#[cfg(test)]
mod tests;
