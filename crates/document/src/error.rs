//! Why a document is refused: always with a place, never with a value.

use std::fmt;

/// A place in a source, for people: both numbers count from 1, the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

impl Position {
    /// The position of byte `offset` in `source`.
    pub fn of(source: &[u8], offset: usize) -> Self {
        let before = &source[..offset.min(source.len())];
        let line = memchr::memchr_iter(b'\n', before).count() + 1;
        let start = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
        let column = before[start..]
            .iter()
            .filter(|byte| (**byte & 0xC0) != 0x80)
            .count()
            + 1;
        Self {
            line: line as u32,
            column: column as u32,
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// Why a document cannot be read or edited. `why` is a fixed sentence fragment or names keys, lines and
/// counts; it never holds a value or a line of the source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text does not follow its format's grammar.
    #[error("{at}: {why}")]
    Syntax {
        /// Where.
        at: Position,
        /// What was found or expected.
        why: String,
    },
    /// The text is well-formed but means something that cannot be sealed without changing it.
    #[error("{at}: {path}: {why}")]
    Unsupported {
        /// Where.
        at: Position,
        /// The key path, in dotted form.
        path: String,
        /// Why, and what to write instead.
        why: String,
    },
    /// The source is larger, deeper or more repetitive than the limits allow.
    #[error("{at}: {why}")]
    Limit {
        /// Where the limit was passed.
        at: Position,
        /// Which limit.
        why: String,
    },
    /// The text carries marks of an unfinished merge.
    #[error("{at}: git conflict marker: the file is in the middle of a merge")]
    Conflict {
        /// Where the first mark stands.
        at: Position,
    },
    /// A path names nothing, or nothing that the operation can act on.
    #[error("{path}: {why}")]
    Path {
        /// The path as given.
        path: String,
        /// Why it leads nowhere.
        why: String,
    },
}

impl Error {
    /// The same error in a source of which this one is a part, `lines` lines further down.
    pub fn below(mut self, lines: u32) -> Self {
        match &mut self {
            Self::Syntax { at, .. }
            | Self::Unsupported { at, .. }
            | Self::Limit { at, .. }
            | Self::Conflict { at } => at.line = at.line.saturating_add(lines),
            Self::Path { .. } => {}
        }
        self
    }

    /// A syntax error at a byte offset.
    pub fn syntax(source: &[u8], offset: usize, why: impl Into<String>) -> Self {
        Self::Syntax {
            at: Position::of(source, offset),
            why: why.into(),
        }
    }
}
