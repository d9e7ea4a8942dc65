//! YAML documents, read as sops reads them.
//!
//! Simple files are read line by line (`by_line`); for all others granit-parser finds the nodes and their byte
//! spans (`parse`). What a scalar means (`resolve`), where a comment belongs (`comments`) and what sops' own YAML
//! library refuses (`strict`) is decided here, so that a file that is taken means the same to both. Edits are byte
//! ranges in the file's own style (`edit`, `block`).

mod attach;
pub(crate) mod block;
mod by_line;
mod comments;
mod edit;
mod frame;
mod keys;
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
pub(crate) use resolve::{is_big_integer, scalar};

use crate::document::{Form, Limits};
use crate::error::Error;
use crate::tree::Tree;

/// Reads a YAML stream.
pub(crate) fn parse(source: &[u8], form: Form, limits: &Limits) -> Result<Tree, Error> {
    let text = strict::text(source, form)?;
    let (mut tree, containers, has_comments) = match by_line::read(text, form, limits) {
        Some(read) => (read.tree, read.containers, read.has_comments),
        None => {
            let (tree, containers) = parse::read(text, form, limits)?;
            (tree, containers, comments::has_comment(source))
        }
    };
    if form == Form::Plain && tree.roots.is_empty() {
        let why = "the file says nothing: there is no document in it";
        return Err(Error::syntax(source, 0, why));
    }
    if has_comments {
        attach::attach(text, form, &mut tree, &containers)?;
    }
    Ok(tree)
}

/// Appends `text` as a double-quoted scalar on one line.
pub fn quoted(text: &[u8], out: &mut Vec<u8>) {
    crate::emit::yaml::yaml_double_quoted(text, out);
}
