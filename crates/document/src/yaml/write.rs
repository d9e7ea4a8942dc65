//! New YAML text: values that are put into a file in the file's own style.

use std::borrow::Cow;

use super::frame::reads_as_text;
use crate::document::Document;
use crate::emit::yaml::{plain_value, yaml_double_quoted, yaml_plain_safe};
use crate::error::Error;
use crate::scalar::Scalar;
use crate::tree::{Child, Node, NodeId};
use crate::value::Value;

/// A value to be written.
pub(super) enum Piece<'a> {
    Scalar(Scalar<'a>),
    List(Vec<Piece<'a>>),
    Map(Vec<(Cow<'a, [u8]>, Piece<'a>)>),
}

impl<'a> From<&'a Value> for Piece<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Scalar(Scalar::Null),
            Value::Bool(value) => Self::Scalar(Scalar::Bool(*value)),
            Value::Int(value) => Self::Scalar(Scalar::Int(*value)),
            Value::Str(text) => Self::Scalar(Scalar::Str(Cow::Borrowed(text.as_bytes()))),
            Value::List(items) => Self::List(items.iter().map(Self::from).collect()),
            Value::Map(entries) => Self::Map(
                entries
                    .iter()
                    .map(|(key, value)| (Cow::Borrowed(key.as_bytes()), value.into()))
                    .collect(),
            ),
        }
    }
}

impl<'a> Piece<'a> {
    /// The value of a node of a JSON document, whose nesting its parser has bounded.
    pub(super) fn from_json(document: &'a Document, id: NodeId) -> Result<Self, Error> {
        let tree = document.tree();
        Ok(match tree.node(id) {
            Node::Scalar { .. } => Self::Scalar(document.scalar(id)?),
            Node::Alias { target, .. } => Self::from_json(document, *target)?,
            Node::List { .. } => {
                let items = tree.children(id).iter().filter_map(|child| match child {
                    Child::Item(item) => Some(Self::from_json(document, *item)),
                    _ => None,
                });
                Self::List(items.collect::<Result<_, _>>()?)
            }
            Node::Map { .. } => {
                let entries = tree.children(id).iter().filter_map(|child| match child {
                    Child::Entry { key, value, .. } => {
                        let key = Cow::Borrowed(tree.text(document.source(), *key));
                        Some(Self::from_json(document, *value).map(|value| (key, value)))
                    }
                    _ => None,
                });
                Self::Map(entries.collect::<Result<_, _>>()?)
            }
        })
    }
}

/// Writes block-style text.
pub(super) struct Writer<'a> {
    pub(super) out: &'a mut Vec<u8>,
    pub(super) newline: &'static str,
    /// Columns by which nested lines stand deeper.
    pub(super) step: usize,
}

impl Writer<'_> {
    /// `key: value` with its lines, every one closed by a line break, the key in `column`. The margin before
    /// the key itself is written only if `margin` is set.
    pub(super) fn entry(&mut self, key: &[u8], value: &Piece<'_>, column: usize, margin: bool) {
        if margin {
            self.margin(column);
        }
        self.key(key);
        self.out.push(b':');
        self.value(value, column);
    }

    /// `- value` with its lines, the dash in `column`.
    pub(super) fn item(&mut self, value: &Piece<'_>, column: usize) {
        self.margin(column);
        self.out.push(b'-');
        match value {
            Piece::Map(entries) if !entries.is_empty() => {
                self.out.push(b' ');
                for (at, (key, value)) in entries.iter().enumerate() {
                    self.entry(key, value, column + 2, at > 0);
                }
            }
            _ => self.value(value, column),
        }
    }

    /// What stands behind `key:` or `-`, from the blank on, line break included.
    pub(super) fn value(&mut self, value: &Piece<'_>, column: usize) {
        match value {
            Piece::Map(entries) if !entries.is_empty() => {
                self.line_break();
                for (key, value) in entries {
                    self.entry(key, value, column + self.step, true);
                }
            }
            Piece::List(items) if !items.is_empty() => {
                self.line_break();
                for item in items {
                    self.item(item, column + self.step);
                }
            }
            Piece::Scalar(Scalar::Str(text)) if is_literal(text) => self.literal(text, column + self.step),
            Piece::Scalar(Scalar::Null) => {
                self.out.extend_from_slice(b" null");
                self.line_break();
            }
            other => {
                self.out.push(b' ');
                flow(other, false, self.out);
                self.line_break();
            }
        }
    }

    fn key(&mut self, key: &[u8]) {
        scalar_text(key, false, self.out);
    }

    fn literal(&mut self, text: &[u8], column: usize) {
        let content = text.strip_suffix(b"\n").unwrap_or(text);
        self.out.extend_from_slice(if content.len() == text.len() {
            b" |-"
        } else {
            b" |"
        });
        self.line_break();
        for line in content.split(|byte| *byte == b'\n') {
            if !line.is_empty() {
                self.margin(column);
            }
            self.out.extend_from_slice(line);
            self.line_break();
        }
    }

    fn margin(&mut self, column: usize) {
        self.out.extend(std::iter::repeat_n(b' ', column));
    }

    fn line_break(&mut self) {
        self.out.extend_from_slice(self.newline.as_bytes());
    }
}

/// Several lines that a literal block spells without any sign of its own.
fn is_literal(text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else {
        return false;
    };
    let content = text.strip_suffix('\n').unwrap_or(text);
    content.contains('\n')
        && !content.starts_with([' ', '\t', '\n'])
        && !content.ends_with('\n')
        && content.chars().all(|c| c == '\n' || !c.is_control())
        && !content.contains(['\u{85}', '\u{2028}', '\u{2029}', '\u{FEFF}'])
        && !content
            .split('\n')
            .any(|line| !line.is_empty() && line.trim().is_empty())
}

/// One line of flow style.
pub(super) fn flow(value: &Piece<'_>, bracketed: bool, out: &mut Vec<u8>) {
    match value {
        Piece::Scalar(Scalar::Str(text)) => scalar_text(text, bracketed, out),
        Piece::Scalar(other) => out.extend_from_slice(plain_value(other).as_bytes()),
        Piece::List(items) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.extend_from_slice(b", ");
                }
                flow(item, true, out);
            }
            out.push(b']');
        }
        Piece::Map(entries) => {
            out.push(b'{');
            for (at, (key, value)) in entries.iter().enumerate() {
                if at > 0 {
                    out.extend_from_slice(b", ");
                }
                yaml_double_quoted(key, out);
                out.extend_from_slice(b": ");
                flow(value, true, out);
            }
            out.push(b'}');
        }
    }
}

fn scalar_text(text: &[u8], bracketed: bool, out: &mut Vec<u8>) {
    match std::str::from_utf8(text) {
        Ok(plain) if !bracketed && yaml_plain_safe(plain, false) && reads_as_text(plain) => {
            out.extend_from_slice(text)
        }
        _ => yaml_double_quoted(text, out),
    }
}
