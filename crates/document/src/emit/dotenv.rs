//! dotenv: one line `key=value` per entry of the first document, nothing quoted.

use std::io::Write;

use super::{EmitError, Item, number, shown};
use crate::scalar::Scalar;

pub(super) fn document(items: &[Item<'_>], out: &mut Vec<u8>) -> Result<(), EmitError> {
    if items.first() != Some(&Item::Map) {
        return Err(EmitError::NotText);
    }
    let mut name: &[u8] = &[];
    for item in &items[1..] {
        match item {
            Item::End => break,
            Item::Map | Item::List => return Err(EmitError::Nested { key: shown(name) }),
            Item::Comment(text) => {
                out.push(b'#');
                out.extend_from_slice(text);
                out.push(b'\n');
            }
            Item::Key(key) => {
                name = key;
                out.extend_from_slice(key);
                out.push(b'=');
            }
            Item::Scalar(value) => {
                one_line(value, out);
                out.push(b'\n');
            }
        }
    }
    Ok(())
}

/// A value with its line breaks as `\n`, the only escape there is.
fn one_line(value: &Scalar<'_>, out: &mut Vec<u8>) {
    let Scalar::Str(text) = value else {
        return plain(value, out);
    };
    let mut lines = text.split(|byte| *byte == b'\n');
    out.extend_from_slice(lines.next().unwrap_or_default());
    for line in lines {
        out.extend_from_slice(b"\\n");
        out.extend_from_slice(line);
    }
}

/// A scalar as the stores that know only text print it; text itself as it stands.
pub(super) fn plain(value: &Scalar<'_>, out: &mut Vec<u8>) {
    match value {
        Scalar::Null => out.extend_from_slice(b"<nil>"),
        Scalar::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Scalar::Int(value) => write!(out, "{value}").expect("writing to memory does not fail"),
        Scalar::Float(value) => number::text(*value, out),
        Scalar::Time(time) => number::seconds(time, out),
        Scalar::Str(text) => out.extend_from_slice(text),
    }
}
