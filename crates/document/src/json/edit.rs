//! Setting and removing single values of a JSON file in its own layout.

use secret::SecretBytes;

use super::block::remove_members;
use super::indent::Indent;
use super::{Member, members, quote};
use crate::Document;
use crate::edit::Edits;
use crate::error::Error;
use crate::path::{Path, Step};
use crate::scalar::Scalar;
use crate::tree::{Child, Node, NodeId, Span, Tree};

pub(crate) fn set(
    source: &[u8],
    tree: &Tree,
    path: &Path,
    value: &Document,
    edits: &mut Edits,
) -> Result<(), Error> {
    let value = given(value).ok_or_else(|| refused(path, "no value was given"))?;
    let Some(mut id) = tree.roots.first().copied() else {
        return Err(refused(path, "the file is empty"));
    };
    let mut indent = match tree.children(id) {
        [] => Indent::sops(),
        _ => Indent::of(source, tree, id, &Indent::sops()),
    };
    for (nth, step) in path.0.iter().enumerate() {
        let rest = &path.0[nth + 1..];
        let found = child(source, tree, id, step).map_err(|why| refused(path, why))?;
        // An absent value has nothing in it that could be lost: it gives way to a map or a list.
        let found = found.map(|found| (found, rest.is_empty() || is_null(source, tree, found)));
        match found {
            None => {
                add(source, tree, id, step, &nested(rest, value), &indent, edits);
                return Ok(());
            }
            Some((found, true)) => {
                let mut text = Vec::new();
                indent.value(&nested(rest, value), &mut text);
                edits.replace(tree.node(found).span(), &[&text]);
                return Ok(());
            }
            Some((found, false)) => {
                id = found;
                indent = Indent::of(source, tree, id, &indent);
            }
        }
    }
    Err(refused(path, "the whole file cannot be set"))
}

pub(crate) fn unset(source: &[u8], tree: &Tree, path: &Path, edits: &mut Edits) -> Result<(), Error> {
    let nothing = || refused(path, "there is nothing at this path");
    let mut parent = tree.roots.first().copied().ok_or_else(nothing)?;
    let (last, before) = path
        .0
        .split_last()
        .ok_or_else(|| refused(path, "the whole file cannot be removed"))?;
    for step in before {
        parent = child(source, tree, parent, step)
            .ok()
            .flatten()
            .ok_or_else(nothing)?;
    }
    let gone = child(source, tree, parent, last)
        .ok()
        .flatten()
        .ok_or_else(nothing)?;
    let all: Vec<Member<'_>> = match tree.node(parent) {
        Node::Map { .. } => members(source, tree, parent).collect(),
        _ => items(tree, parent).map(|item| bare(tree, item)).collect(),
    };
    if all.len() == 1 {
        let span = tree.node(parent).span();
        edits.remove(Span::new(span.start as usize + 1, span.end as usize - 1));
    } else {
        remove_members(tree, parent, &all, |member| member.value == gone, edits);
    }
    Ok(())
}

/// The text of the value that a document with the single key `value` holds.
fn given(document: &Document) -> Option<&[u8]> {
    let tree = document.tree();
    let member = members(document.source(), tree, *tree.roots.first()?).next()?;
    Some(&document.source()[tree.node(member.value).span().range()])
}

fn refused(path: &Path, why: impl Into<String>) -> Error {
    Error::Path {
        path: path.to_string(),
        why: why.into(),
    }
}

/// Where `step` leads from `id`; `None` if that place is still free.
fn child(source: &[u8], tree: &Tree, id: NodeId, step: &Step) -> Result<Option<NodeId>, &'static str> {
    match (tree.node(id), step) {
        (Node::Map { .. }, Step::Key(key)) => {
            let found = members(source, tree, id).find(|member| member.key == key.as_bytes());
            Ok(found.map(|member| member.value))
        }
        (Node::List { .. }, Step::Index(index)) => Ok(items(tree, id).nth(*index)),
        (Node::Map { .. }, Step::Index(_)) => Err("a position leads into an object; it needs a key"),
        (Node::List { .. }, Step::Key(_)) => Err("a key leads into a list; it needs a position"),
        _ => Err("the path leads through a value that is neither an object nor a list"),
    }
}

/// Adds a member or an item at the end; in the root before the metadata block.
fn add(
    source: &[u8],
    tree: &Tree,
    id: NodeId,
    step: &Step,
    value: &[u8],
    indent: &Indent,
    edits: &mut Edits,
) {
    let mut text = Vec::new();
    match step {
        Step::Key(key) => indent.member(key.as_bytes(), value, &mut text),
        Step::Index(_) => indent.value(value, &mut text),
    }
    let all: Vec<Member<'_>> = match step {
        Step::Key(_) => members(source, tree, id).collect(),
        Step::Index(_) => items(tree, id).map(|item| bare(tree, item)).collect(),
    };
    let is_root = tree.roots.first() == Some(&id);
    let is_data = |member: &&Member<'_>| !(is_root && member.key == b"sops");
    match (all.iter().rfind(is_data), all.first()) {
        (Some(last), _) => {
            let mut separated = indent.separator();
            separated.append(&mut text);
            edits.insert(last.end, &separated);
        }
        (None, Some(block)) => {
            text.append(&mut indent.separator());
            edits.insert(block.start, &text);
        }
        (None, None) => {
            let span = tree.node(id).span();
            let inside = Span::new(span.start as usize + 1, span.end as usize - 1);
            edits.replace(inside, &[indent.opening(), &text, indent.closing()]);
        }
    }
}

/// `value` with the maps and lists around it that `steps` ask for.
fn nested(steps: &[Step], value: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    for step in steps {
        match step {
            Step::Key(key) => {
                text.push(b'{');
                quote(key.as_bytes(), &mut text);
                text.push(b':');
            }
            Step::Index(_) => text.push(b'['),
        }
    }
    text.extend_from_slice(value);
    text.extend(
        steps
            .iter()
            .rev()
            .map(|step| if matches!(step, Step::Key(_)) { b'}' } else { b']' }),
    );
    text
}

fn is_null(source: &[u8], tree: &Tree, id: NodeId) -> bool {
    &source[tree.node(id).span().range()] == b"null"
}

fn items(tree: &Tree, list: NodeId) -> impl Iterator<Item = NodeId> {
    tree.children(list).iter().filter_map(|child| match child {
        Child::Item(item) => Some(*item),
        _ => None,
    })
}

/// A list item in the shape of a member without a key.
fn bare(tree: &Tree, item: NodeId) -> Member<'static> {
    let span = tree.node(item).span();
    let (start, end) = (span.start as usize, span.end as usize);
    Member {
        key: b"",
        start,
        value: item,
        value_start: start,
        end,
    }
}

/// The same as text, for formats that know nothing else; `None` for null, maps and lists.
pub(crate) fn given_text(document: &Document) -> Option<SecretBytes> {
    let tree = document.tree();
    let member = members(document.source(), tree, *tree.roots.first()?).next()?;
    match (tree.node(member.value), document.scalar(member.value).ok()?) {
        (Node::Scalar { .. }, Scalar::Str(text)) => Some(SecretBytes::copy_from(&text)),
        (Node::Scalar { text, .. }, Scalar::Bool(_) | Scalar::Int(_) | Scalar::Float(_)) => {
            Some(SecretBytes::copy_from(tree.text(document.source(), *text)))
        }
        _ => None,
    }
}
