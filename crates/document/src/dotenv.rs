//! dotenv documents.
//!
//! The format is sops' own: lines end at a line feed, a line that begins with `#` is a comment, any other is a
//! key, the first `=`, and a value in which `\n` stands for a line break. Nothing is trimmed, no quote means
//! anything, and a carriage return belongs to the value. A line without `=` is refused.

use std::borrow::Cow;

use secret::SecretBytes;

use crate::Document;
use crate::conflict;
use crate::document::{Form, Frame, Limits};
use crate::edit::Edits;
use crate::error::Error;
use crate::flat::{self, Field};
use crate::json;
use crate::path::{Path, Step};
use crate::scalar::Scalar;
use crate::tree::{Child, Comment, Node, NodeId, Span, Style, Text, Tree, TreeBuilder};
use crate::value::Value;

/// What the name of a metadata line begins with.
const PREFIX: &[u8] = b"sops_";

pub(crate) fn parse(source: &[u8], form: Form, _limits: &Limits) -> Result<Tree, Error> {
    conflict::refuse(source)?;
    let mut builder = TreeBuilder::with_capacity(source.len() / 64 + 8);
    let mark = builder.mark();
    let mut start = 0;
    for line in source.split(|byte| *byte == b'\n') {
        let end = start + line.len();
        match line {
            [] => {}
            [b'#', ..] => {
                let span = Span::new(start + 1, end);
                builder.push(Child::Comment(Comment {
                    span,
                    text: Text::in_source(span),
                }));
            }
            _ => {
                let entry = entry(source, line, start, form, &mut builder)?;
                builder.push(entry);
            }
        }
        start = end + 1;
    }
    let root = builder.end_map(mark, Span::new(0, source.len()), false);
    builder.root(root);
    Ok(builder.finish())
}

fn entry(
    source: &[u8],
    line: &[u8],
    start: usize,
    form: Form,
    builder: &mut TreeBuilder,
) -> Result<Child, Error> {
    let Some(equals) = memchr::memchr(b'=', line) else {
        let why = match line {
            b"\r" => "an empty line that ends in a carriage return; sops needs line feeds alone",
            [0xEF, 0xBB, 0xBF, ..] => {
                "a comment behind a byte order mark, which sops does not read; remove it"
            }
            _ => "a line without =",
        };
        return Err(Error::syntax(source, start, why));
    };
    if form == Form::Plain && std::str::from_utf8(&line[..equals]).is_err() {
        return Err(Error::syntax(source, start, "a key that is not valid UTF-8"));
    }
    let key_span = Span::new(start, start + equals);
    let span = Span::new(start + equals + 1, start + line.len());
    let text = match flat::unescape(&line[equals + 1..]) {
        Some(decoded) => builder.decoded(decoded.expose()),
        None => Text::in_source(span),
    };
    let value = builder.node(Node::Scalar {
        span,
        text,
        style: Style::Plain,
        tag: None,
    });
    Ok(Child::Entry {
        key: Text::in_source(key_span),
        key_span,
        value,
    })
}

pub(crate) fn scalar<'a>(source: &'a [u8], tree: &'a Tree, id: NodeId) -> Result<Scalar<'a>, Error> {
    Ok(match *tree.node(id) {
        Node::Scalar { text, .. } => Scalar::Str(Cow::Borrowed(tree.text(source, text))),
        _ => Scalar::Null,
    })
}

pub(crate) fn frame(_source: &[u8], tree: &Tree, id: NodeId) -> Frame {
    Frame {
        span: tree.node(id).span(),
        before: Cow::Borrowed(""),
        after: Cow::Borrowed(""),
    }
}

pub(crate) fn spell(_source: &[u8], _tree: &Tree, _id: NodeId, value: &Scalar<'_>, out: &mut Vec<u8>) {
    match value {
        Scalar::Str(text) => flat::escape(text, out),
        other => flat::text(other, out),
    }
}

/// A comment is one line: a line break inside a sealed one becomes two comment lines, never an entry.
pub(crate) fn spell_comment(text: &[u8], out: &mut Vec<u8>) {
    for (nth, line) in text.split(|byte| *byte == b'\n').enumerate() {
        if nth > 0 {
            out.extend_from_slice(b"\n#");
        }
        out.extend_from_slice(line);
    }
}

pub(crate) fn block(source: &[u8], tree: &Tree) -> Result<Option<Value>, Error> {
    let fields = fields(source, tree);
    Ok((!fields.is_empty()).then(|| flat::block(fields)))
}

pub(crate) fn set_block(source: &[u8], tree: &Tree, block: &Value, edits: &mut Edits) -> Result<(), Error> {
    let wanted = flat::wanted(block);
    let fields = fields(source, tree);
    if !fields.is_empty() {
        flat::update(source, &fields, &wanted, &Lines, edits);
        return Ok(());
    }
    let lines: Vec<Vec<u8>> = wanted
        .iter()
        .map(|(name, value)| {
            let mut line = Vec::new();
            flat::Writer::line(&Lines, name, value, &mut line);
            line
        })
        .collect();
    append(source, &lines.join(b"\n".as_slice()), edits);
    Ok(())
}

pub(crate) fn remove_block(source: &[u8], tree: &Tree, edits: &mut Edits) {
    flat::remove(source, &fields(source, tree), edits);
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
    let [Step::Key(key)] = path.0.as_slice() else {
        return Err(refused("a dotenv file has only keys without anything below them"));
    };
    let text = json::given_text(value).ok_or_else(|| refused("a dotenv file holds only text"))?;
    if memchr::memmem::find(text.expose(), b"\\n").is_some() {
        return Err(refused(
            "a backslash followed by n stands for a line break in a dotenv file",
        ));
    }
    let mut line = Vec::new();
    if let Some((_, span)) = entries(source, tree).find(|(name, _)| *name == key.as_bytes()) {
        flat::escape(text.expose(), &mut line);
        edits.replace(span, &[&line]);
        return Ok(());
    }
    if key.starts_with('#') || key.contains(['=', '\n']) {
        return Err(refused(
            "a dotenv key cannot begin with # or hold = or a line break",
        ));
    }
    line.extend_from_slice(key.as_bytes());
    line.push(b'=');
    flat::escape(text.expose(), &mut line);
    match fields(source, tree).first() {
        Some(first) => edits.replace(
            Span {
                end: first.line.start,
                ..first.line
            },
            &[&line, b"\n"],
        ),
        None => append(source, &line, edits),
    }
    Ok(())
}

pub(crate) fn unset(source: &[u8], tree: &Tree, path: &Path, edits: &mut Edits) -> Result<(), Error> {
    let found = match path.0.as_slice() {
        [Step::Key(key)] => entries_with_keys(source, tree).find(|(name, ..)| *name == key.as_bytes()),
        _ => None,
    };
    let (_, key, value) = found.ok_or_else(|| Error::Path {
        path: path.to_string(),
        why: "there is nothing at this path".into(),
    })?;
    edits.remove(flat::with_line_break(
        source,
        Span {
            end: value.end,
            ..key
        },
        false,
    ));
    Ok(())
}

/// Appends lines, given without their last line break, so that the file ends with a line break if it did
/// before; an empty file does then.
fn append(source: &[u8], lines: &[u8], edits: &mut Edits) {
    let (before, after): (&[u8], &[u8]) = if source.is_empty() || source.ends_with(b"\n") {
        (b"", b"\n")
    } else {
        (b"\n", b"")
    };
    edits.replace(Span::new(source.len(), source.len()), &[before, lines, after]);
}

/// The entries in order: key, where it stands, where its value stands.
fn entries_with_keys<'a>(source: &'a [u8], tree: &'a Tree) -> impl Iterator<Item = (&'a [u8], Span, Span)> {
    let children = tree.roots.first().map_or(&[][..], |root| tree.children(*root));
    children.iter().filter_map(|child| match *child {
        Child::Entry { key, key_span, value } => {
            Some((tree.text(source, key), key_span, tree.node(value).span()))
        }
        _ => None,
    })
}

fn entries<'a>(source: &'a [u8], tree: &'a Tree) -> impl Iterator<Item = (&'a [u8], Span)> {
    entries_with_keys(source, tree).map(|(key, _, value)| (key, value))
}

fn fields(source: &[u8], tree: &Tree) -> Vec<Field> {
    let metadata = entries_with_keys(source, tree)
        .filter_map(|(key, key_span, value)| Some((key.strip_prefix(PREFIX)?, key_span, value)));
    metadata
        .map(|(name, key_span, value_span)| {
            let text = &source[value_span.range()];
            let decoded = flat::unescape(text);
            let text = decoded.as_ref().map_or(text, SecretBytes::expose);
            Field {
                name: String::from_utf8_lossy(name).into_owned(),
                value: String::from_utf8_lossy(text).into_owned(),
                line: Span {
                    end: value_span.end,
                    ..key_span
                },
                value_span,
            }
        })
        .collect()
}

/// Lines as sops reads them: always with a bare line feed, because a carriage return would be part of the value.
struct Lines;

impl flat::Writer for Lines {
    fn value(&self, value: &str, _old: Option<&Field>, out: &mut Vec<u8>) {
        flat::escape(value.as_bytes(), out);
    }

    fn name(&self, name: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(PREFIX);
        out.extend_from_slice(name.as_bytes());
        out.push(b'=');
    }

    fn line_break(&self) -> &'static [u8] {
        b"\n"
    }

    fn carriage(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests;
