//! The `sops` block of a JSON file: a member of the root object, nested.

use std::collections::{HashMap, HashSet};

use super::indent::Indent;
use super::{Member, members, quote, scalar};
use crate::edit::Edits;
use crate::error::{Error, Position};
use crate::scalar::Scalar;
use crate::tree::{Child, Node, NodeId, Span, Style, Tree};
use crate::value::Value;

/// Deepest nesting inside a block. What sops writes has seven levels.
const DEPTH: usize = 16;

pub(crate) fn block(source: &[u8], tree: &Tree) -> Result<Option<Value>, Error> {
    let Some(root) = tree.roots.first() else {
        return Ok(None);
    };
    let mut found = members(source, tree, *root).filter(is_block);
    let Some(member) = found.next() else {
        return Ok(None);
    };
    let refused = |member: Member<'_>, why: &str| {
        let at = Position::of(source, member.start);
        Err(Error::Unsupported {
            at,
            path: "sops".into(),
            why: why.into(),
        })
    };
    if let Some(second) = found.next() {
        return refused(second, "the metadata block stands twice");
    }
    match tree.node(member.value) {
        Node::Map { .. } => read(source, tree, member.value, DEPTH).map(Some),
        _ => refused(member, "the metadata block is not an object"),
    }
}

pub(crate) fn set_block(source: &[u8], tree: &Tree, block: &Value, edits: &mut Edits) -> Result<(), Error> {
    let Some(root) = tree.roots.first().copied() else {
        return Ok(());
    };
    let around = Indent::of(source, tree, root, &Indent::minified());
    if let Some(member) = members(source, tree, root).find(is_block) {
        update(source, tree, member.value, block, &around, edits);
        return Ok(());
    }
    let span = tree.node(root).span();
    let mut text = Vec::new();
    match members(source, tree, root).last() {
        Some(last) => {
            text.extend_from_slice(&around.separator());
            around.member(b"sops", &value_text(block), &mut text);
            edits.insert(last.end, &text);
        }
        None => {
            // Only what is inserted right behind the brace can be told from the author's blanks again.
            let inside = &source[span.start as usize + 1..span.end as usize - 1];
            let around = match inside.contains(&b'\n') {
                true => Indent::sops(),
                false => Indent::minified(),
            };
            text.extend_from_slice(around.opening());
            around.member(b"sops", &value_text(block), &mut text);
            edits.insert(span.start as usize + 1, &text);
        }
    }
    Ok(())
}

pub(crate) fn remove_block(source: &[u8], tree: &Tree, edits: &mut Edits) {
    let Some(root) = tree.roots.first().copied() else {
        return;
    };
    let all: Vec<Member<'_>> = members(source, tree, root).collect();
    remove_members(tree, root, &all, is_block, edits);
}

fn is_block(member: &Member<'_>) -> bool {
    member.key == b"sops"
}

/// Removes members, each with the comma that goes with it.
pub(super) fn remove_members(
    tree: &Tree,
    map: NodeId,
    all: &[Member<'_>],
    gone: impl Fn(&Member<'_>) -> bool,
    edits: &mut Edits,
) {
    let Some(first) = all.iter().position(|member| !gone(member)) else {
        if let Some(last) = all.last() {
            edits.remove(Span::new(tree.node(map).span().start as usize + 1, last.end));
        }
        return;
    };
    if first > 0 {
        edits.remove(Span::new(all[0].start, all[first].start));
    }
    for pair in all[first..].windows(2).filter(|pair| gone(&pair[1])) {
        edits.remove(Span::new(pair[0].end, pair[1].end));
    }
}

/// A value of the block. The recursion is bounded by `depth`.
fn read(source: &[u8], tree: &Tree, id: NodeId, depth: usize) -> Result<Value, Error> {
    let at = tree.node(id).span();
    if depth == 0 {
        let why = format!("the metadata block is nested deeper than {DEPTH} levels");
        return Err(Error::Limit {
            at: Position::of(source, at.start as usize),
            why,
        });
    }
    Ok(match tree.node(id) {
        Node::Map { .. } => {
            let entries = members(source, tree, id).map(|member| {
                let name = String::from_utf8_lossy(member.key).into_owned();
                Ok((name, read(source, tree, member.value, depth - 1)?))
            });
            Value::Map(entries.collect::<Result<_, Error>>()?)
        }
        Node::List { .. } => {
            let items = tree.children(id).iter().filter_map(|child| match child {
                Child::Item(item) => Some(read(source, tree, *item, depth - 1)),
                _ => None,
            });
            Value::List(items.collect::<Result<_, Error>>()?)
        }
        // A fraction has no place in a block; its digits are kept as they stand.
        Node::Scalar {
            style: Style::Plain, ..
        } => match scalar(source, tree, id) {
            Ok(Scalar::Null) => Value::Null,
            Ok(Scalar::Bool(bool)) => Value::Bool(bool),
            Ok(Scalar::Int(int)) => Value::Int(int),
            _ => Value::Str(String::from_utf8_lossy(&source[at.range()]).into_owned()),
        },
        Node::Scalar { text, .. } => {
            Value::Str(String::from_utf8_lossy(tree.text(source, *text)).into_owned())
        }
        Node::Alias { .. } => Value::Null,
    })
}

/// Makes the node `id` say `value`, touching only what differs. `around` is the layout it stands in.
fn update(source: &[u8], tree: &Tree, id: NodeId, value: &Value, around: &Indent, edits: &mut Edits) {
    let span = tree.node(id).span();
    let (Node::Map { .. }, Value::Map(wanted)) = (tree.node(id), value) else {
        if read(source, tree, id, DEPTH).ok().as_ref() != Some(value) {
            let mut text = Vec::new();
            around.value(&value_text(value), &mut text);
            edits.replace(span, &[&text]);
        }
        return;
    };
    let all: Vec<Member<'_>> = members(source, tree, id).collect();
    let names: HashMap<&[u8], &Value> = wanted
        .iter()
        .map(|(name, value)| (name.as_bytes(), value))
        .collect();
    let is_wanted = |member: &Member<'_>| names.contains_key(member.key);
    if !all.iter().any(is_wanted) {
        let mut text = Vec::new();
        around.value(&value_text(value), &mut text);
        edits.replace(span, &[&text]);
        return;
    }
    let inner = Indent::of(source, tree, id, around);
    add_members(&all, wanted, is_wanted, &inner, edits);
    remove_members(tree, id, &all, |member| !is_wanted(member), edits);
    for member in &all {
        if let Some(value) = names.get(member.key) {
            update(source, tree, member.value, value, &inner, edits);
        }
    }
}

/// Inserts the wanted members that are missing: in alphabetical order if the map has it, else at the end.
fn add_members(
    all: &[Member<'_>],
    wanted: &[(String, Value)],
    stays: impl Fn(&Member<'_>) -> bool,
    inner: &Indent,
    edits: &mut Edits,
) {
    let present: HashSet<&[u8]> = all.iter().map(|member| member.key).collect();
    let sorted = all.is_sorted_by(|one, next| one.key <= next.key);
    let end = all
        .iter()
        .rfind(|member| stays(member))
        .map_or(0, |member| member.end);
    let separator = inner.separator();
    for (name, value) in wanted {
        if present.contains(name.as_bytes()) {
            continue;
        }
        let next = all
            .iter()
            .find(|member| sorted && stays(member) && member.key > name.as_bytes());
        let mut text = Vec::new();
        match next {
            Some(next) => {
                inner.member(name.as_bytes(), &value_text(value), &mut text);
                text.extend_from_slice(&separator);
                edits.insert(next.start, &text);
            }
            None => {
                text.extend_from_slice(&separator);
                inner.member(name.as_bytes(), &value_text(value), &mut text);
                edits.insert(end, &text);
            }
        }
    }
}

/// `value` as JSON without blanks.
pub(crate) fn value_text(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write(value, &mut out);
    out
}

fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Int(int) => out.extend_from_slice(int.to_string().as_bytes()),
        Value::Str(text) => quote(text.as_bytes(), out),
        Value::List(items) => {
            out.push(b'[');
            for (nth, item) in items.iter().enumerate() {
                if nth > 0 {
                    out.push(b',');
                }
                write(item, out);
            }
            out.push(b']');
        }
        Value::Map(entries) => {
            out.push(b'{');
            for (nth, (name, item)) in entries.iter().enumerate() {
                if nth > 0 {
                    out.push(b',');
                }
                quote(name.as_bytes(), out);
                out.push(b':');
                write(item, out);
            }
            out.push(b'}');
        }
    }
}
