//! Where sops' own reader puts each comment line of a YAML text: in which map or list, and where in it.
//!
//! A sealed comment is bound to the path of its container, and rules may choose leaves by the comments in
//! front of them, so both must be found exactly as sops finds them. Its YAML library gives every comment to
//! some node by rules that follow the layout (columns, blank lines, how far apart), not the obvious reading.
//! They are carried out here in two steps:
//!
//! 1. [`scan`] walks over the tokens and turns the comment lines of each gap between two of them into
//!    *records*: what kind (head, line or foot), and from which offset on a token may take it.
//! 2. [`deliver`] walks over the tokens again, as a parser does, and hands the records to the nodes.
//!
//! Both are linear in the text and hold their stacks on the heap.
//!
//! # What this does not do
//! It does not judge the text: what a YAML parser refuses may get any answer or an error. Comments inside an
//! anchored collection are given its own place only, although sops shows them again at each alias. A text in
//! which U+0085, U+2028 or U+2029 ends a comment goes on behind it for sops; here the rest of that line is void.

mod deliver;
mod scan;
#[cfg(test)]
mod tests;

use crate::tree::Span;

/// One comment line and where sops' reader puts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attachment {
    /// The text behind the first `#`, up to the end of the line and without its break.
    pub(crate) span: Span,
    /// Where it stands.
    pub(crate) place: Place,
}

/// A place among the children of a collection. Collections are counted from 0 through the whole text in the
/// order in which they begin: block and flow, maps used as keys and the map in `[a: b]` included. Children
/// are entries and items; comments do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In front of a child; behind the last one if `child` is their number.
    Before {
        /// Which collection.
        container: u32,
        /// Which child.
        child: u32,
    },
    /// Directly behind a child.
    After {
        /// Which collection.
        container: u32,
        /// Which child.
        child: u32,
    },
    /// In a document without any collection.
    Root {
        /// Which document.
        document: u32,
        /// Whether it stands behind the value rather than in front of it.
        at_end: bool,
    },
    /// Nowhere: sops' reader loses it. The place is that of the child that follows.
    Lost {
        /// Which collection.
        container: u32,
        /// Which child.
        child: u32,
    },
}

/// The text is no YAML.
#[derive(Debug)]
pub(crate) struct AttachError {
    /// Where the scanner gave up: a byte offset.
    pub(crate) offset: usize,
    /// Why; never a piece of the text.
    pub(crate) why: String,
}

/// Finds the place of every comment line. They come ordered by place; those of one place, and a comment behind
/// a child with those in front of the next, in the order in which sops lists them.
pub(crate) fn attach(text: &str) -> Result<Vec<Attachment>, AttachError> {
    if !has_comment(text.as_bytes()) {
        return Ok(Vec::new());
    }
    Ok(deliver::deliver(&scan::scan(text)?))
}

/// Whether there may be a comment: a `#` at the beginning of a line or behind a blank. `#` in quoted text
/// counts too, and behind anything that is not ASCII (a byte order mark, for one).
pub(crate) fn has_comment(text: &[u8]) -> bool {
    memchr::memchr_iter(b'#', text)
        .any(|at| at == 0 || matches!(text[at - 1], b' ' | b'\t' | b'\n' | b'\r' | 0x80..))
}
