//! Setting and removing values of the first document, in the file's own style.

use super::frame::{full_start, spell};
use super::lines::{column, find, line_break, line_end, line_start, lines_end};
use super::write::{Piece, Writer, flow};
use crate::document::Document;
use crate::edit::Edits;
use crate::error::Error;
use crate::path::{Path, Step};
use crate::scalar::Scalar;
use crate::tree::{Child, Node, NodeId, Span, Style, Tree};

/// Records the edits that make `path` hold `value`.
pub(crate) fn set(
    source: &[u8],
    tree: &Tree,
    path: &Path,
    value: &Document,
    edits: &mut Edits,
) -> Result<(), Error> {
    let editor = Editor { source, tree, path };
    let value = match json_value(value) {
        Some(id) => Piece::from_json(value, id)?,
        None => return Err(editor.refuse("there is no value to set")),
    };
    let Some(mut at) = tree.roots.first().copied() else {
        return Err(editor.refuse("the file holds no document"));
    };
    for (depth, step) in path.0.iter().enumerate() {
        match editor.child(at, step)? {
            Some(child) => at = child,
            None => return editor.insert(at, step, wrap(&path.0[depth + 1..], value), edits),
        }
    }
    if path.0.is_empty() {
        return Err(editor.refuse("the path names the whole document; name a key"));
    }
    editor.replace(at, &value, edits)
}

/// Records the edits that take what `path` names away.
pub(crate) fn unset(source: &[u8], tree: &Tree, path: &Path, edits: &mut Edits) -> Result<(), Error> {
    let editor = Editor { source, tree, path };
    let missing = || editor.refuse("there is no such key or item");
    let (last, parents) = path.0.split_last().ok_or_else(missing)?;
    let mut at = *tree.roots.first().ok_or_else(missing)?;
    for step in parents {
        at = editor.child(at, step)?.ok_or_else(missing)?;
    }
    let at = editor.target(at);
    let index = editor.position(at, last)?.ok_or_else(missing)?;
    editor.remove(at, index, edits);
    Ok(())
}

fn json_value(document: &Document) -> Option<NodeId> {
    let root = *document.tree().roots.first()?;
    document
        .tree()
        .children(root)
        .iter()
        .find_map(|child| match child {
            Child::Entry { value, .. } => Some(*value),
            _ => None,
        })
}

/// `value` inside the maps and lists that the remaining steps name.
fn wrap<'a>(steps: &'a [Step], value: Piece<'a>) -> Piece<'a> {
    steps.iter().rev().fold(value, |inner, step| match step {
        Step::Key(key) => Piece::Map(vec![(key.as_bytes().into(), inner)]),
        Step::Index(_) => Piece::List(vec![inner]),
    })
}

struct Editor<'a> {
    source: &'a [u8],
    tree: &'a Tree,
    path: &'a Path,
}

/// A data child of a container: where it begins, and its value.
#[derive(Clone, Copy)]
struct Part {
    /// The key, or the dash of a block list's item, or the value itself in brackets.
    start: u32,
    value: NodeId,
}

impl Editor<'_> {
    fn refuse(&self, why: &str) -> Error {
        Error::Path {
            path: self.path.to_string(),
            why: why.into(),
        }
    }

    /// An alias stands for its anchor: what is changed there changes everywhere.
    fn target(&self, id: NodeId) -> NodeId {
        match *self.tree.node(id) {
            Node::Alias { target, .. } => target,
            _ => id,
        }
    }

    fn child(&self, id: NodeId, step: &Step) -> Result<Option<NodeId>, Error> {
        let id = self.target(id);
        if self.is_absent(id) {
            return Ok(None);
        }
        Ok(self.position(id, step)?.map(|index| self.parts(id)[index].value))
    }

    fn is_absent(&self, id: NodeId) -> bool {
        matches!(*self.tree.node(id), Node::Scalar { span, style: Style::Plain, .. } if span.is_empty())
    }

    /// Which data child of `id` the step names.
    fn position(&self, id: NodeId, step: &Step) -> Result<Option<usize>, Error> {
        match (self.tree.node(id), step) {
            (Node::Map { .. }, Step::Key(name)) => {
                let mut entries = self.tree.children(id).iter().filter_map(|child| match child {
                    Child::Entry { key, .. } => Some(*key),
                    _ => None,
                });
                Ok(entries.position(|key| self.tree.text(self.source, key) == name.as_bytes()))
            }
            (Node::List { .. }, Step::Index(index)) => {
                let count = self
                    .tree
                    .children(id)
                    .iter()
                    .filter(|child| matches!(child, Child::Item(_)))
                    .count();
                Ok((*index < count).then_some(*index))
            }
            (Node::Map { .. }, Step::Index(_)) => {
                Err(self.refuse("a position was given, but there is a map"))
            }
            (Node::List { .. }, Step::Key(_)) => Err(self.refuse("a key was given, but there is a list")),
            _ => Err(self.refuse("the path goes on below a value that is neither map nor list")),
        }
    }

    fn parts(&self, id: NodeId) -> Vec<Part> {
        let Node::List { flow, span, .. } = *self.tree.node(id) else {
            return self
                .tree
                .children(id)
                .iter()
                .filter_map(|child| match child {
                    Child::Entry { key_span, value, .. } => Some(Part {
                        start: key_span.start,
                        value: *value,
                    }),
                    _ => None,
                })
                .collect();
        };
        let mut from = span.start as usize;
        let mut parts = Vec::new();
        for child in self.tree.children(id) {
            let Child::Item(value) = *child else { continue };
            let start = if flow {
                full_start(self.tree, value)
            } else {
                find(self.source, from, b'-').unwrap_or(from) as u32
            };
            from = (self.tree.node(value).span().end as usize).max(start as usize + 1);
            parts.push(Part { start, value });
        }
        parts
    }

    fn replace(&self, id: NodeId, value: &Piece<'_>, edits: &mut Edits) -> Result<(), Error> {
        let node = *self.tree.node(id);
        let span = Span {
            start: full_start(self.tree, id),
            end: node.span().end,
        };
        let mut out = Vec::new();
        if self.tree.in_flow(span.start) {
            flow(value, true, &mut out);
            if self.is_absent(id) && self.source[..span.start as usize].ends_with(b":") {
                out.insert(0, b' ');
            }
            edits.replace(span, &[&out]);
            return Ok(());
        }
        let column = self.parent_column(span.start);
        match (node, value) {
            (Node::Scalar { style, .. }, Piece::Scalar(scalar)) if !self.is_absent(id) => {
                match (style, scalar) {
                    (Style::Literal | Style::Folded, _) => {
                        self.writer(&mut out).value(value, column);
                        let blank = usize::from(out.first() == Some(&b' '));
                        let out = self.without_break(span, &out[blank..]);
                        edits.replace(span, &[out]);
                        return Ok(());
                    }
                    (Style::Plain, _) | (_, Scalar::Str(_)) => {
                        spell(self.source, self.tree, id, scalar, &mut out)
                    }
                    _ => flow(value, false, &mut out),
                }
                let start = super::frame::frame(self.source, self.tree, id).span.start;
                edits.replace(Span { start, end: span.end }, &[&out]);
            }
            _ => {
                // The value's own lines, from behind the `:` or `-` on.
                self.writer(&mut out).value(value, column);
                let start = self.behind_sign(id, span.start as usize);
                let tail = Span::new(start, span.end as usize);
                edits.replace(tail, &[self.without_break(tail, &out)]);
            }
        }
        Ok(())
    }

    /// `text` without its last line break, unless the replaced span takes one along.
    fn without_break<'t>(&self, span: Span, text: &'t [u8]) -> &'t [u8] {
        let taken = !span.is_empty() && matches!(self.source[span.end as usize - 1], b'\n' | b'\r');
        if taken {
            text
        } else {
            text.strip_suffix(line_break(self.source).as_bytes())
                .unwrap_or(text)
        }
    }

    /// The offset behind the `:` or `-` that `id` stands behind; `otherwise` for what stands behind none.
    fn behind_sign(&self, id: NodeId, otherwise: usize) -> usize {
        let sign = |parent: NodeId| {
            let mut children = self.tree.children(parent).iter();
            children.find_map(|child| match *child {
                Child::Entry { key_span, value, .. } if value == id => {
                    find(self.source, key_span.end as usize, b':')
                }
                Child::Item(item) if item == id => {
                    let parts = self.parts(parent);
                    parts
                        .iter()
                        .find(|part| part.value == id)
                        .map(|part| part.start as usize)
                }
                _ => None,
            })
        };
        let mut parents = (0..self.tree.len() as u32).map(NodeId);
        parents.find_map(sign).map_or(otherwise, |at| at + 1)
    }

    /// The column of the key or dash that holds the value at `offset`.
    fn parent_column(&self, offset: u32) -> usize {
        let mut innermost = 0;
        for root in &self.tree.roots {
            innermost = self.innermost_column(*root, offset, innermost);
        }
        innermost
    }

    fn innermost_column(&self, root: NodeId, offset: u32, fallback: usize) -> usize {
        let (mut id, mut column) = (root, fallback);
        loop {
            let parts = self.parts(id);
            let index = parts.partition_point(|part| part.start < offset.max(1) || part.start == 0);
            let Some(part) = index.checked_sub(1).and_then(|index| parts.get(index)) else {
                return column;
            };
            if part.start > offset {
                return column;
            }
            column = self.column(part.start);
            let node = self.tree.node(part.value);
            let inside = matches!(
                node,
                Node::Map { flow: false, .. } | Node::List { flow: false, .. }
            ) && node.span().start < offset;
            if !inside {
                return column;
            }
            id = part.value;
        }
    }

    fn insert(&self, id: NodeId, step: &Step, value: Piece<'_>, edits: &mut Edits) -> Result<(), Error> {
        let id = self.target(id);
        if self.is_absent(id) {
            return self.replace(id, &wrap(std::slice::from_ref(step), value), edits);
        }
        let node = *self.tree.node(id);
        let (bracketed, span) = match node {
            Node::Map { flow, span, .. } | Node::List { flow, span, .. } => (flow, span),
            _ => return Err(self.refuse("the path goes on below a value that is neither map nor list")),
        };
        let parts = self.parts(id);
        let mut out = Vec::new();
        if bracketed {
            let last = parts.last().map(|part| self.end_of(part));
            if last.is_some() {
                out.extend_from_slice(b", ");
            }
            if let Step::Key(key) = step {
                flow(&Piece::Scalar(Scalar::Str(key.as_bytes().into())), true, &mut out);
                out.extend_from_slice(b": ");
            }
            flow(&value, true, &mut out);
            edits.insert(last.unwrap_or(span.start as usize + 1), &out);
            return Ok(());
        }
        let (end, margin) = match parts.last() {
            Some(part) => {
                let end = Span::new(part.start as usize, self.end_of(part));
                (lines_end(self.source, end), self.column(part.start))
            }
            None => (
                self.tree
                    .ends
                    .first()
                    .map_or(self.source.len(), |end| *end as usize),
                0,
            ),
        };
        match step {
            Step::Key(key) => self.writer(&mut out).entry(key.as_bytes(), &value, margin, true),
            Step::Index(_) => self.writer(&mut out).item(&value, margin),
        }
        let newline = line_break(self.source);
        if end == self.source.len() && end > 0 && !self.source.ends_with(b"\n") {
            out.truncate(out.len() - newline.len());
            out.splice(0..0, newline.bytes());
        }
        edits.insert(end, &out);
        Ok(())
    }

    fn remove(&self, id: NodeId, index: usize, edits: &mut Edits) {
        let parts = self.parts(id);
        let part = parts[index];
        let node = *self.tree.node(id);
        let (bracketed, is_root) = match node {
            Node::Map { flow, .. } | Node::List { flow, .. } => (flow, self.tree.roots.contains(&id)),
            _ => return,
        };
        let end = self.end_of(&part);
        if bracketed {
            let span = match (parts.get(index + 1), index.checked_sub(1)) {
                (Some(next), _) => Span::new(part.start as usize, next.start as usize),
                (None, Some(before)) => Span::new(self.end_of(&parts[before]), end),
                (None, None) => Span::new(part.start as usize, end),
            };
            return edits.remove(span);
        }
        if parts.len() == 1 && !is_root {
            let empty: &[u8] = if matches!(node, Node::Map { .. }) {
                b" {}"
            } else {
                b" []"
            };
            let start = self.behind_sign(id, part.start as usize);
            let extent = Span::new(start, end);
            let newline = line_break(self.source).as_bytes();
            let closing = if self.without_break(extent, newline).is_empty() {
                &b""[..]
            } else {
                newline
            };
            return edits.replace(extent, &[empty, closing]);
        }
        let line = line_start(self.source, part.start as usize);
        let alone = self.source[line..part.start as usize]
            .iter()
            .all(|byte| *byte == b' ');
        match parts.get(index + 1) {
            // The first entry of a list item shares its line with the dash.
            Some(next) if !alone => edits.remove(Span::new(part.start as usize, next.start as usize)),
            _ => {
                let end = lines_end(self.source, Span::new(part.start as usize, end));
                let text = &self.source[line..end];
                match (parts.len(), text.last()) {
                    // Without any entry a file would be no document.
                    (1, Some(b'\n' | b'\r')) => {
                        edits.replace(Span::new(line, end), &[b"{}", line_break(self.source).as_bytes()]);
                    }
                    (1, _) => edits.replace(Span::new(line, end), &[b"{}"]),
                    _ => edits.remove(Span::new(line, end)),
                }
            }
        }
    }

    fn end_of(&self, part: &Part) -> usize {
        let end = self.tree.node(part.value).span().end.max(part.start) as usize;
        if end > part.start as usize {
            return end;
        }
        // An absent value: the key's own end.
        find(self.source, end, b'-').map_or_else(|| line_end(self.source, end), |at| at + 1)
    }

    fn column(&self, offset: u32) -> usize {
        std::str::from_utf8(self.source).map_or(0, |text| column(text, offset as usize))
    }

    fn writer<'a>(&self, out: &'a mut Vec<u8>) -> Writer<'a> {
        let step = usize::from(if self.tree.indent == 0 {
            2
        } else {
            self.tree.indent
        });
        Writer {
            out,
            newline: line_break(self.source),
            step,
        }
    }
}
