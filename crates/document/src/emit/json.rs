//! JSON as Go's encoder writes it: `<`, `>`, `&` and the two line separators escaped, everything else raw.

use std::io::Write;

use super::{EmitError, Indent, Item, behind, number};
use crate::scalar::Scalar;

/// The first document and a line break. Comments have no place in JSON.
pub(super) fn document(items: &[Item<'_>], indent: Indent, out: &mut Vec<u8>) -> Result<(), EmitError> {
    value(items, indent, out)?;
    out.push(b'\n');
    Ok(())
}

/// The first value, without a line break behind it.
pub(super) fn value(items: &[Item<'_>], indent: Indent, out: &mut Vec<u8>) -> Result<(), EmitError> {
    // The brackets that are still to be closed.
    let mut open: Vec<u8> = Vec::new();
    // Whether the next thing stands right behind a key, or is the first of its container.
    let (mut keyed, mut first) = (true, true);
    for item in &items[..behind(items, 0)] {
        let closing = match item {
            Item::Comment(_) => continue,
            Item::End => open.pop(),
            _ => None,
        };
        if !(keyed || closing.is_some() && first) {
            if !(first || closing.is_some()) {
                out.push(b',');
            }
            new_line(indent, open.len(), out);
        }
        keyed = matches!(item, Item::Key(_));
        first = matches!(item, Item::Map | Item::List);
        match item {
            Item::Map => {
                out.push(b'{');
                open.push(b'}');
            }
            Item::List => {
                out.push(b'[');
                open.push(b']');
            }
            Item::Key(key) => {
                string(key, out);
                out.extend_from_slice(b": ");
            }
            Item::Scalar(value) => scalar(value, out)?,
            Item::End | Item::Comment(_) => out.extend(closing),
        }
    }
    Ok(())
}

fn new_line(indent: Indent, depth: usize, out: &mut Vec<u8>) {
    out.push(b'\n');
    match indent {
        Indent::Tab => out.resize(out.len() + depth, b'\t'),
        Indent::Spaces(width) => out.resize(out.len() + depth * width, b' '),
    }
}

/// A single value.
pub(super) fn scalar(value: &Scalar<'_>, out: &mut Vec<u8>) -> Result<(), EmitError> {
    match value {
        Scalar::Null => out.extend_from_slice(b"null"),
        Scalar::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Scalar::Int(value) => write!(out, "{value}").expect("writing to memory does not fail"),
        Scalar::Float(value) if value.is_finite() => number::json(*value, out),
        Scalar::Float(_) => return Err(EmitError::NotFinite),
        Scalar::Time(time) => write!(out, "\"{time}\"").expect("writing to memory does not fail"),
        Scalar::Str(text) => string(text, out),
    }
    Ok(())
}

/// A string in quotes. Every byte that is not UTF-8 becomes U+FFFD.
pub(super) fn string(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for chunk in text.utf8_chunks() {
        let mut raw = 0;
        let valid = chunk.valid();
        for (at, sign) in valid.char_indices() {
            let Some(escape) = Escape::of(sign) else { continue };
            out.extend_from_slice(&valid.as_bytes()[raw..at]);
            raw = at + sign.len_utf8();
            match escape {
                Escape::Letter(letter) => out.extend_from_slice(&[b'\\', letter]),
                Escape::Code => {
                    write!(out, "\\u{:04x}", u32::from(sign)).expect("writing to memory does not fail")
                }
            }
        }
        out.extend_from_slice(&valid.as_bytes()[raw..]);
        for _ in chunk.invalid() {
            out.extend_from_slice(b"\\ufffd");
        }
    }
    out.push(b'"');
}

enum Escape {
    Letter(u8),
    Code,
}

impl Escape {
    fn of(sign: char) -> Option<Self> {
        Some(match sign {
            '"' => Self::Letter(b'"'),
            '\\' => Self::Letter(b'\\'),
            '\n' => Self::Letter(b'n'),
            '\r' => Self::Letter(b'r'),
            '\t' => Self::Letter(b't'),
            '\u{8}' => Self::Letter(b'b'),
            '\u{c}' => Self::Letter(b'f'),
            '\0'..' ' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => Self::Code,
            _ => return None,
        })
    }
}
