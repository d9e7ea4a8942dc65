//! JSON documents.
//!
//! The reader is strict RFC 8259 on valid UTF-8, without recursion; the root is an object. What sops takes
//! beyond that (text behind the root object, missing commas) is refused, and so are duplicate keys and lone
//! surrogates in an author's file, because sops loses or changes them.

mod block;
mod edit;
mod indent;
mod reader;
mod string;

use std::borrow::Cow;

pub(crate) use block::{block, remove_block, set_block, value_text};
pub(crate) use edit::{given_text, set, unset};
pub(crate) use indent::Indent;
pub(crate) use string::quote;

use crate::conflict;
use crate::decimal;
use crate::document::{Form, Frame, Limits};
use crate::error::Error;
use crate::scalar::Scalar;
use crate::tree::{Child, Node, NodeId, Style, Text, Tree};

pub(crate) fn parse(source: &[u8], form: Form, limits: &Limits) -> Result<Tree, Error> {
    // A line break cannot stand inside a JSON string, so a conflict mark always is a syntax error as well.
    let tree =
        reader::read(source, form, limits).or_else(|error| conflict::refuse(source).and(Err(error)))?;
    if form == Form::Plain {
        reader::refuse_duplicates(source, &tree)?;
    }
    Ok(tree)
}

pub(crate) fn scalar<'a>(source: &'a [u8], tree: &'a Tree, id: NodeId) -> Result<Scalar<'a>, Error> {
    let Some((text, style)) = scalar_text(tree, id) else {
        return Ok(Scalar::Null);
    };
    let text = tree.text(source, text);
    Ok(match (style, text) {
        (Style::DoubleQuoted, _) => Scalar::Str(Cow::Borrowed(text)),
        (_, b"null") => Scalar::Null,
        (_, b"true") => Scalar::Bool(true),
        (_, b"false") => Scalar::Bool(false),
        _ => number(text).ok_or_else(|| {
            let at = tree.node(id).span().start as usize;
            Error::syntax(
                source,
                at,
                "the number is too large for sops; write it as a string",
            )
        })?,
    })
}

pub(crate) fn frame(_source: &[u8], tree: &Tree, id: NodeId) -> Frame {
    Frame {
        span: tree.node(id).span(),
        before: Cow::Borrowed("\""),
        after: Cow::Borrowed("\""),
    }
}

pub(crate) fn spell(_source: &[u8], _tree: &Tree, _id: NodeId, value: &Scalar<'_>, out: &mut Vec<u8>) {
    match value {
        Scalar::Null => out.extend_from_slice(b"null"),
        Scalar::Bool(true) => out.extend_from_slice(b"true"),
        Scalar::Bool(false) => out.extend_from_slice(b"false"),
        Scalar::Int(int) => out.extend_from_slice(int.to_string().as_bytes()),
        Scalar::Float(float) if float.is_finite() => out.extend_from_slice(float_text(*float).as_bytes()),
        Scalar::Float(float) => quote(float.to_string().as_bytes(), out),
        Scalar::Time(time) => quote(time.to_string().as_bytes(), out),
        Scalar::Str(text) => quote(text, out),
    }
}

/// A finite number as Go's JSON encoder writes it: shortest digits, an exponent below 1e-6 and from 1e21 on.
fn float_text(float: f64) -> String {
    let size = float.abs();
    if size == 0.0 || (1e-6..1e21).contains(&size) {
        return decimal::plain(float);
    }
    let text = decimal::scientific(float);
    if size < 1.0 {
        text
    } else {
        text.replacen('e', "e+", 1)
    }
}

/// A number as sops types it: whole within 64 bits, else a double. `None` beyond the range of doubles.
fn number(text: &[u8]) -> Option<Scalar<'static>> {
    let text = std::str::from_utf8(text).ok()?;
    if let Ok(int) = text.parse() {
        return Some(Scalar::Int(int));
    }
    text.parse()
        .ok()
        .filter(|float: &f64| float.is_finite())
        .map(Scalar::Float)
}

fn scalar_text(tree: &Tree, id: NodeId) -> Option<(Text, Style)> {
    match *tree.node(id) {
        Node::Scalar { text, style, .. } => Some((text, style)),
        _ => None,
    }
}

/// A member of an object, as the editing functions need it.
#[derive(Clone, Copy)]
struct Member<'a> {
    key: &'a [u8],
    start: usize,
    value: NodeId,
    value_start: usize,
    end: usize,
}

fn members<'a>(source: &'a [u8], tree: &'a Tree, map: NodeId) -> impl Iterator<Item = Member<'a>> {
    tree.children(map).iter().filter_map(|child| match *child {
        Child::Entry { key, key_span, value } => {
            let span = tree.node(value).span();
            Some(Member {
                key: tree.text(source, key),
                start: key_span.start as usize,
                value,
                value_start: span.start as usize,
                end: span.end as usize,
            })
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests;
