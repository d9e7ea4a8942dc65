//! Binary documents: the whole input is one value under the key `data`; the sealed form is a JSON envelope.
//!
//! ```text
//! {
//! <tab>"data": "ENC[...]",
//! <tab>"sops": { ... }
//! }
//! ```
//!
//! Any bytes are taken. A sealed form without `data` is refused.

use std::borrow::Cow;

use crate::Document;
use crate::document::{Form, Frame, Limits};
use crate::edit::Edits;
use crate::error::Error;
use crate::flat;
use crate::json;
use crate::path::{Path, Step};
use crate::scalar::Scalar;
use crate::tree::{Child, Node, NodeId, Span, Style, Text, Tree, TreeBuilder};
use crate::value::Value;

/// What stands before the sealed text.
const BEFORE: &str = "{\n\t\"data\": \"";

pub(crate) fn parse(source: &[u8], form: Form, limits: &Limits) -> Result<Tree, Error> {
    if form == Form::Sealed {
        let tree = json::parse(source, form, limits)?;
        return match data(source, &tree) {
            Some(_) => Ok(tree),
            None => Err(Error::syntax(
                source,
                0,
                "the sealed form of a binary file has no key \"data\"",
            )),
        };
    }
    let mut builder = TreeBuilder::with_capacity(2);
    let mark = builder.mark();
    let span = Span::new(0, source.len());
    let text = Text::in_source(span);
    let value = builder.node(Node::Scalar {
        span,
        text,
        style: Style::Plain,
        tag: None,
    });
    let key = builder.decoded(b"data");
    builder.push(Child::Entry {
        key,
        key_span: Span::default(),
        value,
    });
    let root = builder.end_map(mark, span, false);
    builder.root(root);
    Ok(builder.finish())
}

pub(crate) fn scalar<'a>(
    source: &'a [u8],
    tree: &'a Tree,
    form: Form,
    id: NodeId,
) -> Result<Scalar<'a>, Error> {
    match form {
        Form::Plain => Ok(Scalar::Str(Cow::Borrowed(source))),
        Form::Sealed => json::scalar(source, tree, id),
    }
}

pub(crate) fn frame(source: &[u8], tree: &Tree, id: NodeId) -> Frame {
    if is_envelope(tree) {
        return json::frame(source, tree, id);
    }
    Frame {
        span: tree.node(id).span(),
        before: Cow::Borrowed(BEFORE),
        after: Cow::Borrowed("\""),
    }
}

pub(crate) fn spell(_source: &[u8], _tree: &Tree, _id: NodeId, value: &Scalar<'_>, out: &mut Vec<u8>) {
    flat::text(value, out);
}

/// In the plain form only what stands behind the value is added: [`frame`] puts the rest before it, save for
/// an empty input, which is never sealed.
pub(crate) fn set_block(
    source: &[u8],
    tree: &Tree,
    form: Form,
    block: &Value,
    edits: &mut Edits,
) -> Result<(), Error> {
    if form == Form::Sealed {
        return json::set_block(source, tree, block, edits);
    }
    let mut text = Vec::new();
    if source.is_empty() {
        text.extend_from_slice(BEFORE.as_bytes());
        text.push(b'"');
    }
    text.extend_from_slice(b",\n\t");
    json::Indent::sops().member(b"sops", &json::value_text(block), &mut text);
    text.extend_from_slice(b"\n}\n");
    edits.insert(source.len(), &text);
    Ok(())
}

/// Removes the whole envelope but the value; an empty value, which nobody opens, goes as well.
pub(crate) fn remove_block(source: &[u8], tree: &Tree, edits: &mut Edits) {
    let Some(value) = data(source, tree).filter(|_| is_envelope(tree)) else {
        return;
    };
    let span = tree.node(value).span();
    if &source[span.range()] == b"\"\"" {
        return edits.remove(Span::new(0, source.len()));
    }
    edits.remove(Span::new(0, span.start as usize));
    edits.remove(Span::new(span.end as usize, source.len()));
}

pub(crate) fn set(
    source: &[u8],
    tree: &Tree,
    path: &Path,
    value: &Document,
    edits: &mut Edits,
) -> Result<(), Error> {
    let refused = |why: &str| Error::Path {
        path: path.to_string(),
        why: why.into(),
    };
    if !matches!(path.0.as_slice(), [Step::Key(key)] if key == "data") {
        return Err(refused("a binary file has only the key \"data\""));
    }
    let text = json::given_text(value).ok_or_else(|| refused("a binary file holds only text"))?;
    match data(source, tree) {
        Some(node) if is_envelope(tree) => {
            let mut quoted = Vec::new();
            json::quote(text.expose(), &mut quoted);
            edits.replace(tree.node(node).span(), &[&quoted]);
        }
        _ => edits.replace(Span::new(0, source.len()), &[text.expose()]),
    }
    Ok(())
}

pub(crate) fn unset(_source: &[u8], _tree: &Tree, path: &Path, _edits: &mut Edits) -> Result<(), Error> {
    Err(Error::Path {
        path: path.to_string(),
        why: "nothing can be removed from a binary file".into(),
    })
}

/// Whether the tree is that of a sealed form.
fn is_envelope(tree: &Tree) -> bool {
    tree.roots
        .first()
        .is_some_and(|root| matches!(tree.node(*root), Node::Map { flow: true, .. }))
}

/// The node under `data`.
fn data(source: &[u8], tree: &Tree) -> Option<NodeId> {
    tree.children(*tree.roots.first()?)
        .iter()
        .find_map(|child| match *child {
            Child::Entry { key, value, .. } if tree.text(source, key) == b"data" => Some(value),
            _ => None,
        })
}

#[cfg(test)]
mod tests;
