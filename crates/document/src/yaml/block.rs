//! The `sops` block of a YAML stream: the same one at the end of every document.

use super::lines::{column, line_break, line_start, lines_end};
use super::resolve::scalar;
use super::write::{Piece, Writer, flow};
use crate::edit::Edits;
use crate::error::{Error, Position};
use crate::scalar::Scalar;
use crate::tree::{Child, Node, NodeId, Span, Tree};
use crate::value::Value;

const NAME: &[u8] = b"sops";
/// Deeper than any block that sops writes (key groups: five levels).
const MAX_DEPTH: usize = 16;

/// The block of the first document.
pub(crate) fn block(source: &[u8], tree: &Tree) -> Result<Option<Value>, Error> {
    let Some(root) = tree.roots.first() else {
        return Ok(None);
    };
    let mut blocks = entries(source, tree, *root);
    let Some((span, value)) = blocks.next() else {
        return Ok(None);
    };
    if let Some((second, _)) = blocks.next() {
        let first = Position::of(source, span.start as usize).line;
        let why = format!(
            "a second `sops` block; the first stands in line {first}: a merge may have kept both, and only the one that belongs to these values opens the file"
        );
        return Err(Error::syntax(source, second.start as usize, why));
    }
    to_value(source, tree, value, 0).map(Some)
}

/// The entries named `sops` of a root: where the key stands, and the value.
fn entries<'a>(source: &'a [u8], tree: &'a Tree, root: NodeId) -> impl Iterator<Item = (Span, NodeId)> + 'a {
    tree.children(root).iter().filter_map(|child| match child {
        Child::Entry { key, key_span, value } if tree.text(source, *key) == NAME => Some((*key_span, *value)),
        _ => None,
    })
}

fn to_value(source: &[u8], tree: &Tree, id: NodeId, depth: usize) -> Result<Value, Error> {
    let node = tree.node(id);
    let refuse = |why: &str| Err(Error::syntax(source, node.span().start as usize, why));
    if depth > MAX_DEPTH {
        return refuse("the `sops` block is nested too deep");
    }
    match *node {
        Node::Alias { .. } => refuse("the `sops` block holds an alias"),
        Node::Map { .. } => {
            let entries = tree.children(id).iter().filter_map(|child| match child {
                Child::Entry { key, value, .. } => {
                    let key = String::from_utf8_lossy(tree.text(source, *key)).into_owned();
                    Some(to_value(source, tree, *value, depth + 1).map(|value| (key, value)))
                }
                _ => None,
            });
            Ok(Value::Map(entries.collect::<Result<_, _>>()?))
        }
        Node::List { .. } => {
            let items = tree.children(id).iter().filter_map(|child| match child {
                Child::Item(item) => Some(to_value(source, tree, *item, depth + 1)),
                _ => None,
            });
            Ok(Value::List(items.collect::<Result<_, _>>()?))
        }
        Node::Scalar { text, .. } => Ok(match scalar(source, tree, id)? {
            Scalar::Null => Value::Null,
            Scalar::Bool(value) => Value::Bool(value),
            Scalar::Int(value) => Value::Int(value),
            // A date without quotes or a float is meant as the text it is.
            _ => Value::Str(String::from_utf8_lossy(tree.text(source, text)).into_owned()),
        }),
    }
}

/// Records the edits that make every document's block say `block`.
pub(crate) fn set_block(source: &[u8], tree: &Tree, block: &Value, edits: &mut Edits) -> Result<(), Error> {
    let editor = BlockEditor {
        source,
        tree,
        newline: line_break(source),
        step: usize::from(if tree.indent == 0 { 4 } else { tree.indent }),
    };
    for (root, end) in tree.roots.iter().zip(&tree.ends) {
        match entries(source, tree, *root).next() {
            Some((key, value)) => editor.update(NAME, key, value, block, edits)?,
            None => editor.insert(*root, *end as usize, block, edits),
        }
    }
    Ok(())
}

/// Records the edits that take every block away. Whether the text that remains is to lose its last line break:
/// a file without one has a sealed form without one.
pub(crate) fn remove_block(source: &[u8], tree: &Tree, edits: &mut Edits) -> bool {
    let mut unclosed = false;
    for root in &tree.roots {
        let Node::Map { flow, .. } = *tree.node(*root) else {
            continue;
        };
        for (key, value) in entries(source, tree, *root) {
            let value = tree.node(value).span();
            if flow {
                edits.remove(flow_extent(source, tree, *root, key, value));
                continue;
            }
            let start = line_start(source, key.start as usize);
            let end = lines_end(
                source,
                Span {
                    start: key.start,
                    end: value.end,
                },
            );
            unclosed |= end == source.len() && !source.ends_with(b"\n");
            edits.remove(Span::new(start, end));
        }
    }
    unclosed
}

/// In brackets: from the end of the value before, comma included, to the end of the block.
fn flow_extent(source: &[u8], tree: &Tree, root: NodeId, key: Span, value: Span) -> Span {
    let before = tree.children(root).iter().filter_map(|child| match child {
        Child::Entry { key_span, value, .. } if key_span.start < key.start => {
            Some(tree.node(*value).span().end.max(key_span.end))
        }
        _ => None,
    });
    let start = before.max().unwrap_or(key.start);
    debug_assert!(value.end as usize <= source.len());
    Span {
        start,
        end: value.end,
    }
}

struct BlockEditor<'a> {
    source: &'a [u8],
    tree: &'a Tree,
    newline: &'static str,
    step: usize,
}

impl BlockEditor<'_> {
    fn insert(&self, root: NodeId, end: usize, block: &Value, edits: &mut Edits) {
        let Node::Map {
            span,
            flow: bracketed,
            ..
        } = *self.tree.node(root)
        else {
            return;
        };
        let mut out = Vec::new();
        if bracketed {
            let last = self.tree.children(root).iter().filter_map(|child| match child {
                Child::Entry { key_span, value, .. } => {
                    Some(self.tree.node(*value).span().end.max(key_span.end) as usize)
                }
                _ => None,
            });
            let last = last.max();
            if last.is_some() {
                out.extend_from_slice(b", ");
            }
            out.extend_from_slice(b"\"sops\": ");
            flow(&Piece::from(block), true, &mut out);
            return edits.insert(last.unwrap_or(span.start as usize + 1), &out);
        }
        let closed = end == 0 || self.source[end - 1] == b'\n' || self.source[end - 1] == b'\r';
        if !closed {
            out.extend_from_slice(self.newline.as_bytes());
        }
        let margin = if span.is_empty() {
            0
        } else {
            self.column(span.start)
        };
        self.writer(&mut out).entry(NAME, &block.into(), margin, true);
        if !closed {
            out.truncate(out.len() - self.newline.len());
        }
        edits.insert(end, &out);
    }

    /// Makes the entry `key` say `new`, touching as little as can be.
    fn update(
        &self,
        name: &[u8],
        key: Span,
        id: NodeId,
        new: &Value,
        edits: &mut Edits,
    ) -> Result<(), Error> {
        let old = to_value(self.source, self.tree, id, 0)?;
        if old == *new {
            return Ok(());
        }
        let node = self.tree.node(id);
        if let (Node::Map { flow: false, .. }, Value::Map(new)) = (node, new)
            && !new.is_empty()
            && !self.tree.children(id).is_empty()
        {
            return self.update_map(id, new, edits);
        }
        if self.tree.in_flow(key.start) {
            let mut out = Vec::new();
            flow(&Piece::from(new), true, &mut out);
            edits.replace(node.span(), &[&out]);
            return Ok(());
        }
        let extent = self.extent(key, node.span());
        let mut out = Vec::new();
        self.writer(&mut out)
            .entry(name, &new.into(), self.column(key.start), false);
        self.close(extent, &mut out);
        edits.replace(extent, &[&out]);
        Ok(())
    }

    fn update_map(&self, id: NodeId, new: &[(String, Value)], edits: &mut Edits) -> Result<(), Error> {
        let old: Vec<(&[u8], Span, NodeId)> = self
            .tree
            .children(id)
            .iter()
            .filter_map(|child| match child {
                Child::Entry { key, key_span, value } => {
                    Some((self.tree.text(self.source, *key), *key_span, *value))
                }
                _ => None,
            })
            .collect();
        for (name, key, value) in &old {
            match new.iter().find(|(new, _)| new.as_bytes() == *name) {
                Some((_, new)) => self.update(name, *key, *value, new, edits)?,
                None => {
                    let extent = self.extent(*key, self.tree.node(*value).span());
                    let start = line_start(self.source, extent.start as usize);
                    edits.remove(Span::new(start, extent.end as usize));
                }
            }
        }
        let sorted = old.is_sorted_by_key(|(name, ..)| *name);
        let Some((_, first, _)) = old.first() else {
            return Ok(());
        };
        let margin = self.column(first.start);
        for (name, value) in new
            .iter()
            .filter(|(name, _)| !old.iter().any(|(old, ..)| *old == name.as_bytes()))
        {
            let next = old.iter().find(|(old, ..)| sorted && *old > name.as_bytes());
            let mut out = Vec::new();
            self.writer(&mut out)
                .entry(name.as_bytes(), &value.into(), margin, true);
            match (next, old.last()) {
                (Some((_, key, _)), _) => edits.insert(line_start(self.source, key.start as usize), &out),
                (None, Some((_, key, value))) => {
                    let end = self.extent(*key, self.tree.node(*value).span()).end as usize;
                    if end == self.source.len() && !self.source.ends_with(b"\n") {
                        out.truncate(out.len() - self.newline.len());
                        out.splice(0..0, self.newline.bytes());
                    }
                    edits.insert(end, &out);
                }
                (None, None) => {}
            }
        }
        Ok(())
    }

    /// From the key to the end of the last line of its value.
    fn extent(&self, key: Span, value: Span) -> Span {
        let end = value.end.max(key.end);
        Span::new(
            key.start as usize,
            lines_end(
                self.source,
                Span {
                    start: key.start,
                    end,
                },
            ),
        )
    }

    /// Takes the last line break off again where the file ends without one.
    fn close(&self, extent: Span, out: &mut Vec<u8>) {
        if extent.end as usize == self.source.len() && !self.source.ends_with(b"\n") {
            out.truncate(out.len() - self.newline.len());
        }
    }

    fn column(&self, offset: u32) -> usize {
        std::str::from_utf8(self.source).map_or(0, |text| column(text, offset as usize))
    }

    fn writer<'a>(&self, out: &'a mut Vec<u8>) -> Writer<'a> {
        Writer {
            out,
            newline: self.newline,
            step: self.step,
        }
    }
}
