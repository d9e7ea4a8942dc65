//! YAML documents, read as sops reads them.
//!
//! granit-parser finds the nodes and their byte spans; what a scalar means (`resolve`), where a comment
//! belongs (`comments`) and what sops' own YAML library refuses (`strict`) is decided here, so that a file
//! that is taken means the same to both. Edits are byte ranges in the file's own style (`edit`, `block`).

mod attach;
pub(crate) mod block;
mod comments;
mod edit;
mod frame;
mod lines;
mod parse;
mod resolve;
mod strict;
#[cfg(test)]
mod tests;
mod time;
mod write;

pub(crate) use block::{block, remove_block, set_block};
pub(crate) use edit::{set, unset};
pub(crate) use frame::{frame, full_start, header, reads_as, sealed_header, spell, spell_header, spell_key};
pub(crate) use parse::parse;
pub(crate) use resolve::{is_big_integer, scalar};

/// Appends `text` as a double-quoted scalar on one line.
pub fn quoted(text: &[u8], out: &mut Vec<u8>) {
    crate::emit::yaml::yaml_double_quoted(text, out);
}
