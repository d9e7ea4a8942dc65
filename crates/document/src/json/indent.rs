//! How a JSON file is laid out, and writing in the same manner.

use crate::tree::{NodeId, Tree};

use super::members;

/// The layout of the members of one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Indent {
    /// What stands before each member: a line break and blanks; empty when all stand on one line.
    line: Vec<u8>,
    /// By what one more level is indented.
    unit: Vec<u8>,
    /// A blank behind `:`.
    colon: bool,
    /// A blank behind `,` when all stand on one line.
    comma: bool,
}

impl Indent {
    /// The layout that sops gives to the root object's members.
    pub(crate) fn sops() -> Self {
        Self {
            line: b"\n\t".to_vec(),
            unit: b"\t".to_vec(),
            colon: true,
            comma: true,
        }
    }

    /// The layout of a container on one line without any blanks.
    pub(crate) fn minified() -> Self {
        Self {
            line: Vec::new(),
            unit: Vec::new(),
            colon: false,
            comma: false,
        }
    }

    /// The layout that the members of the map or list `id` have; for an empty one, what it would have inside
    /// a container laid out like `parent`.
    pub(crate) fn of(source: &[u8], tree: &Tree, id: NodeId, parent: &Indent) -> Self {
        let children = tree.children(id);
        let span = tree.node(id).span();
        let starts = |nth: usize| {
            children.get(nth).map(|child| match *child {
                crate::Child::Entry { key_span, .. } => key_span.start as usize,
                crate::Child::Item(item) => tree.node(item).span().start as usize,
                crate::Child::Comment(comment) => comment.span.start as usize,
            })
        };
        let Some(first) = starts(0) else {
            return parent.deeper();
        };
        let line = line_start(&source[span.start as usize + 1..first]).to_vec();
        let closing = match children.last() {
            Some(crate::Child::Entry { value, .. } | crate::Child::Item(value)) => {
                tree.node(*value).span().end
            }
            _ => span.start,
        };
        let closing = line_start(&source[closing as usize..span.end as usize - 1]);
        let unit = match line.strip_prefix(closing) {
            Some(unit) if !line.is_empty() && !closing.is_empty() => unit.to_vec(),
            _ => line
                .iter()
                .copied()
                .filter(|byte| matches!(byte, b' ' | b'\t'))
                .collect(),
        };
        let colon = match members(source, tree, id).next() {
            Some(member) => source[member.value_start - 1] != b':',
            None => parent.colon,
        };
        let comma = match starts(1) {
            Some(second) => source[second - 1] != b',',
            None => colon,
        };
        Self {
            line,
            unit,
            colon,
            comma,
        }
    }

    /// The layout one level further in.
    fn deeper(&self) -> Self {
        let mut deeper = self.clone();
        if !self.line.is_empty() {
            deeper.line.extend_from_slice(&self.unit);
        }
        deeper
    }

    /// What stands between two members, comma included.
    pub(super) fn separator(&self) -> Vec<u8> {
        let mut between = vec![b','];
        between.extend_from_slice(&self.line);
        if self.line.is_empty() && self.comma {
            between.push(b' ');
        }
        between
    }

    /// What stands before the first member.
    pub(super) fn opening(&self) -> &[u8] {
        &self.line
    }

    /// What stands before the closing bracket.
    pub(super) fn closing(&self) -> &[u8] {
        let cut = if self.line.ends_with(&self.unit) {
            self.unit.len()
        } else {
            0
        };
        &self.line[..self.line.len() - cut]
    }

    /// Appends a member: its key and its value, given as any valid JSON text.
    pub(crate) fn member(&self, key: &[u8], value: &[u8], out: &mut Vec<u8>) {
        super::quote(key, out);
        out.push(b':');
        if self.colon {
            out.push(b' ');
        }
        self.value(value, out);
    }

    /// Appends a value that stands among the members, given as any valid JSON text.
    pub(super) fn value(&self, text: &[u8], out: &mut Vec<u8>) {
        let mut depth = 0_usize;
        let mut at = 0;
        let line = |depth: usize, out: &mut Vec<u8>| {
            out.extend_from_slice(&self.line);
            if !self.line.is_empty() {
                (0..depth).for_each(|_| out.extend_from_slice(&self.unit));
            }
        };
        while let Some(&byte) = text.get(at) {
            at += 1;
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' => {}
                b'"' => {
                    let end = at + string_length(&text[at..]);
                    out.extend_from_slice(&text[at - 1..end]);
                    at = end;
                }
                b'{' | b'[' => {
                    out.push(byte);
                    let inside = text[at..].trim_ascii_start();
                    if let Some(close @ (b'}' | b']')) = inside.first() {
                        out.push(*close);
                        at = text.len() - inside.len() + 1;
                    } else {
                        depth += 1;
                        line(depth, out);
                    }
                }
                b'}' | b']' => {
                    depth = depth.saturating_sub(1);
                    line(depth, out);
                    out.push(byte);
                }
                b',' => {
                    out.push(byte);
                    line(depth, out);
                    if self.line.is_empty() && self.comma {
                        out.push(b' ');
                    }
                }
                b':' => {
                    out.push(byte);
                    if self.colon {
                        out.push(b' ');
                    }
                }
                _ => out.push(byte),
            }
        }
    }
}

/// The last line break in `blanks` with what follows it; empty where there is none.
fn line_start(blanks: &[u8]) -> &[u8] {
    match memchr::memrchr(b'\n', blanks) {
        Some(at) if at > 0 && blanks[at - 1] == b'\r' => &blanks[at - 1..],
        Some(at) => &blanks[at..],
        None => b"",
    }
}

/// How many bytes a string goes on behind its opening quote, the closing one included.
fn string_length(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(found) = memchr::memchr2(b'"', b'\\', &text[at..]) {
        at += found;
        if text[at] == b'"' {
            return at + 1;
        }
        at = (at + 2).min(text.len());
    }
    text.len()
}
