//! INI documents, as the library go-ini reads them for sops.
//!
//! What sops would lose or read otherwise than it looks is refused in an author's file, each with its line:
//! a key twice in a section, a value that goes on behind a backslash, a comment mark that cuts a value or a
//! quote in two, a comment behind a section header, text behind a header, a name or a closing quote, keys
//! called `-`, names that are not UTF-8, UTF-16, an empty comment above a commented key. In a sealed file all of that is read as go-ini reads it.
//!
//! Comments follow sops: those above a section header belong to the section, as its first child; those above
//! a key or behind its value come after that key. Comment lines that follow each other, blank lines between
//! them or not, are one comment to sops, so they are one here and are sealed as one. See `comment` for how
//! its text keeps the author's bytes. Comments that go-ini drops are in [`Tree::lost`].

mod block;
mod comment;
mod edit;
mod reader;
mod value;

use std::borrow::Cow;

use secret::SecretBytes;

pub(crate) use block::{block, remove_block, set_block};
pub(crate) use comment::spell as spell_comment;
pub(crate) use edit::{set, unset};
pub(crate) use reader::read as parse;

use crate::document::Frame;
use crate::error::Error;
use crate::flat;
use crate::scalar::Scalar;
use crate::tree::{Child, Node, NodeId, Span, Style, Tree};

/// The section that keys before the first header belong to.
const DEFAULT: &[u8] = b"DEFAULT";

pub(crate) fn scalar<'a>(source: &'a [u8], tree: &'a Tree, id: NodeId) -> Result<Scalar<'a>, Error> {
    Ok(match *tree.node(id) {
        Node::Scalar { text, .. } => Scalar::Str(Cow::Borrowed(tree.text(source, text))),
        _ => Scalar::Null,
    })
}

/// Sealed text holds nothing that go-ini gives a meaning, so the author's quotes stay as they are.
pub(crate) fn frame(_source: &[u8], tree: &Tree, id: NodeId) -> Frame {
    let quote = Cow::Borrowed(value::quote(style(tree, id)));
    Frame {
        span: tree.node(id).span(),
        before: quote.clone(),
        after: quote,
    }
}

pub(crate) fn spell(_source: &[u8], tree: &Tree, id: NodeId, value: &Scalar<'_>, out: &mut Vec<u8>) {
    let mut text = SecretBytes::default();
    flat::text(value, text.expose_mut());
    value::spell(text.expose(), style(tree, id), out);
}

fn style(tree: &Tree, id: NodeId) -> Style {
    match *tree.node(id) {
        Node::Scalar { style, .. } => style,
        _ => Style::Plain,
    }
}

/// The line break that the file uses, by its first line.
fn line_break(source: &[u8]) -> &'static [u8] {
    match memchr::memchr(b'\n', source) {
        Some(at) if at > 0 && source[at - 1] == b'\r' => b"\r\n",
        _ => b"\n",
    }
}

/// The entries of a map: name, where the name is written, value.
fn entries<'a>(
    source: &'a [u8],
    tree: &'a Tree,
    map: NodeId,
) -> impl DoubleEndedIterator<Item = (&'a [u8], Span, NodeId)> {
    tree.children(map).iter().filter_map(|child| match *child {
        Child::Entry { key, key_span, value } => Some((tree.text(source, key), key_span, value)),
        _ => None,
    })
}

/// The sections in order: name, where the name is written, node.
fn sections<'a>(
    source: &'a [u8],
    tree: &'a Tree,
) -> impl DoubleEndedIterator<Item = (&'a [u8], Span, NodeId)> {
    tree.roots
        .first()
        .into_iter()
        .flat_map(|root| entries(source, tree, *root))
}

/// Where the line ends that `offset` stands in: before its line break.
fn line_end(source: &[u8], offset: usize) -> usize {
    match memchr::memchr(b'\n', &source[offset..]) {
        Some(0) => offset,
        Some(length) if source[offset + length - 1] == b'\r' => offset + length - 1,
        Some(length) => offset + length,
        None => source.len(),
    }
}

/// Where the line begins that `offset` stands in.
fn line_start(source: &[u8], offset: usize) -> usize {
    memchr::memrchr(b'\n', &source[..offset]).map_or(reader::body(source), |at| at + 1)
}

#[cfg(test)]
mod tests;
