//! The metadata of an INI file: the section `[sops]`, one line a field.
//!
//! A new block stands at the end of the file behind one empty line, and ends with a line break if and only if
//! the file did; behind a file without, it takes two line breaks to get there. So [`remove_block`] can tell
//! what was added.

use super::{entries, line_break, line_end, line_start, reader, sections, value};
use crate::edit::Edits;
use crate::error::{Error, Position};
use crate::flat::{self, Field, Writer as _};
use crate::tree::{Node, NodeId, Span, Style, Tree};
use crate::value::Value;

pub(crate) fn block(source: &[u8], tree: &Tree) -> Result<Option<Value>, Error> {
    let mut found = blocks(source, tree);
    let Some((_, section)) = found.next() else {
        return Ok(None);
    };
    if let Some((header, _)) = found.next() {
        let at = Position::of(source, header);
        return Err(Error::Unsupported {
            at,
            path: "sops".into(),
            why: "the metadata block stands twice".into(),
        });
    }
    Ok(Some(flat::block(fields(source, tree, section))))
}

pub(crate) fn set_block(source: &[u8], tree: &Tree, block: &Value, edits: &mut Edits) -> Result<(), Error> {
    let wanted = flat::wanted(block);
    let Some((header, section)) = blocks(source, tree).next() else {
        append(source, &wanted, edits);
        return Ok(());
    };
    let fields = fields(source, tree, section);
    // The block's own line breaks count, should the file mix them.
    let writer = Lines::of(&source[header..], source, &fields);
    if fields.is_empty() {
        let mut text = Vec::new();
        for (name, value) in &wanted {
            text.extend_from_slice(writer.line_break);
            writer.line(name, value, &mut text);
        }
        edits.insert(line_end(source, header), &text);
    } else {
        flat::update(source, &fields, &wanted, &writer, edits);
    }
    Ok(())
}

pub(crate) fn remove_block(source: &[u8], tree: &Tree, edits: &mut Edits) {
    let mut removed = 0;
    for (header, section) in blocks(source, tree) {
        let last = fields(source, tree, section)
            .iter()
            .map(|field| field.line.end)
            .max();
        let end = last.map_or_else(|| line_end(source, header), |end| end as usize);
        let next = value::next_line(source, end);
        let mut start = line_start(source, header);
        let closed = next > end;
        if next == source.len() {
            // One line break makes the empty line before the header, two if the file had none at its end.
            for _ in 0..if closed { 1 } else { 2 } {
                let before = without_line_break(&source[..start]);
                if before.is_empty()
                    || before.len() == reader::body(source)
                    || before.ends_with(b"\n")
                    || !closed
                {
                    start = before.len();
                }
            }
        }
        edits.remove(Span::new(start.max(removed), next));
        removed = next;
    }
}

/// Puts a new block at the end.
fn append(source: &[u8], wanted: &[(&str, String)], edits: &mut Edits) {
    let writer = Lines::of(source, source, &[]);
    let line_break = writer.line_break;
    let mut text = Vec::new();
    let closed = source.is_empty() || source.ends_with(b"\n");
    let breaks = if source.is_empty() {
        0
    } else if closed {
        1
    } else {
        2
    };
    (0..breaks).for_each(|_| text.extend_from_slice(line_break));
    text.extend_from_slice(b"[sops]");
    for (name, value) in wanted {
        text.extend_from_slice(line_break);
        writer.line(name, value, &mut text);
    }
    if closed {
        text.extend_from_slice(line_break);
    }
    edits.insert(source.len(), &text);
}

/// The sections called `sops`: where the header begins, and the node.
fn blocks<'a>(source: &'a [u8], tree: &'a Tree) -> impl Iterator<Item = (usize, NodeId)> {
    sections(source, tree)
        .filter(|(name, ..)| *name == b"sops")
        .map(|(_, name, section)| (name.start as usize - 1, section))
}

fn fields(source: &[u8], tree: &Tree, section: NodeId) -> Vec<Field> {
    let mut fields: Vec<Field> = entries(source, tree, section)
        .filter_map(|(name, key_span, value)| {
            let Node::Scalar { span, text, .. } = *tree.node(value) else {
                return None;
            };
            let text = tree.text(source, text);
            let decoded = flat::unescape(text);
            let text = decoded.as_ref().map_or(text, |decoded| decoded.expose());
            let start = line_start(source, key_span.start as usize);
            Some(Field {
                name: String::from_utf8_lossy(name).into_owned(),
                value: String::from_utf8_lossy(text).into_owned(),
                line: Span::new(start, line_end(source, span.end as usize)),
                value_span: span,
            })
        })
        .collect();
    fields.sort_by_key(|field| field.line.start);
    fields
}

fn without_line_break(text: &[u8]) -> &[u8] {
    text.strip_suffix(b"\r\n")
        .or_else(|| text.strip_suffix(b"\n"))
        .unwrap_or(text)
}

/// How fields are written in this file.
struct Lines {
    line_break: &'static [u8],
    /// The column of `=` if the file aligns them, as sops does.
    column: usize,
}

impl Lines {
    /// As the first line of `sample` ends, and aligned as the `fields` are.
    fn of(sample: &[u8], source: &[u8], fields: &[Field]) -> Self {
        let column = |field: &Field| {
            let before = &source[field.line.start as usize..field.value_span.start as usize];
            before.iter().position(|byte| *byte == b'=').unwrap_or(0)
        };
        let first = fields.first().map_or(0, column);
        let lengths = fields.iter().map(|field| field.name.len());
        let aligned =
            fields.iter().all(|field| column(field) == first) && lengths.clone().min() != lengths.max();
        Self {
            line_break: line_break(sample),
            column: if aligned { first.saturating_sub(1) } else { 0 },
        }
    }
}

impl flat::Writer for Lines {
    fn value(&self, value: &str, _old: Option<&Field>, out: &mut Vec<u8>) {
        let mut text = Vec::new();
        flat::escape(value.as_bytes(), &mut text);
        value::spell(&text, Style::Plain, out);
    }

    fn name(&self, name: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(name.as_bytes());
        out.extend(std::iter::repeat_n(b' ', self.column.saturating_sub(name.len())));
        out.extend_from_slice(b" = ");
    }

    fn line_break(&self) -> &'static [u8] {
        self.line_break
    }

    fn carriage(&self) -> bool {
        true
    }
}
