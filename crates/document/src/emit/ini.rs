//! INI as sops' library writes it: `=` signs aligned within a section, an empty line between sections.
//!
//! Comments follow that library too: the first comment of a section stands above its header, any other above
//! the key it follows; of several at one place the last is kept. Quotes are chosen without looking at quotes
//! inside, and there are no escapes, so that not every text reads back.

use std::collections::HashMap;

use super::{EmitError, Item, behind, dotenv, json, number, shown};
use crate::scalar::Scalar;

/// The section whose header is not written when it comes first.
const DEFAULT: &[u8] = b"DEFAULT";

/// A section: where the lines of its keys come from.
struct Section<'i> {
    name: &'i [u8],
    comment: &'i [u8],
    keys: Vec<Key<'i>>,
}

struct Key<'i> {
    name: &'i [u8],
    comment: &'i [u8],
    /// The items of the value.
    value: &'i [Item<'i>],
}

/// All documents, one behind the other.
pub(super) fn documents(items: &[Item<'_>], out: &mut Vec<u8>) -> Result<(), EmitError> {
    let sections = sections(items)?;
    for (at, section) in sections.iter().enumerate() {
        if !section.comment.is_empty() {
            comment(section.comment, false, out);
        }
        if at > 0 || !section.name.eq_ignore_ascii_case(DEFAULT) {
            out.push(b'[');
            out.extend_from_slice(section.name);
            out.extend_from_slice(b"]\n");
        } else if section.keys.is_empty() {
            continue;
        }
        keys(section, out);
        if at + 1 < sections.len() {
            out.push(b'\n');
        }
    }
    Ok(())
}

/// One value that is not a text, as Go's JSON encoder shows sops' tree of it.
pub(super) fn value(items: &[Item<'_>], out: &mut Vec<u8>) -> Result<(), EmitError> {
    let mut maps = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let in_map = maps.last() == Some(&true);
        let behind_opening = at > 0 && matches!(items[at - 1], Item::Map | Item::List);
        let behind_key = at > 0 && matches!(items[at - 1], Item::Key(_));
        if at > 0 && !behind_opening && !behind_key && *item != Item::End {
            out.push(b',');
        }
        match item {
            Item::List if items.get(at + 1) == Some(&Item::End) => out.extend_from_slice(b"null"),
            Item::Map | Item::List => out.push(b'['),
            Item::Key(key) => {
                out.extend_from_slice(b"{\"Key\":");
                json::string(key, out);
                out.extend_from_slice(b",\"Value\":");
            }
            Item::Comment(text) => {
                out.extend_from_slice(if in_map {
                    b"{\"Key\":{\"Value\":"
                } else {
                    b"{\"Value\":"
                });
                json::string(text, out);
                out.extend_from_slice(if in_map { b"},\"Value\":null}" } else { b"}" });
            }
            Item::Scalar(value) => json::scalar(value, out)?,
            Item::End if items[at - 1] == Item::List => {}
            Item::End => out.push(b']'),
        }
        match item {
            Item::Map => maps.push(true),
            Item::List => maps.push(false),
            Item::End => drop(maps.pop()),
            _ => {}
        }
        if matches!(item, Item::Scalar(_) | Item::End) && maps.last() == Some(&true) {
            out.push(b'}');
        }
    }
    Ok(())
}

/// Sorts the items of all documents into sections.
fn sections<'i>(items: &'i [Item<'i>]) -> Result<Vec<Section<'i>>, EmitError> {
    let mut sections = Vec::new();
    let mut at = 0;
    while let Some(item) = items.get(at) {
        at = match item {
            Item::Key(name) => {
                if items.get(at + 1) != Some(&Item::Map) {
                    return Err(EmitError::OutsideSection { key: shown(name) });
                }
                if name.is_empty() {
                    return Err(EmitError::Nameless);
                }
                let end = behind(items, at + 1);
                sections.push(section(name, &items[at + 2..end - 1])?);
                end
            }
            Item::Scalar(_) | Item::List => return Err(EmitError::OutsideSection { key: "(root)".into() }),
            Item::Map | Item::End | Item::Comment(_) => at + 1,
        };
    }
    Ok(sections)
}

fn section<'i>(name: &'i [u8], items: &'i [Item<'i>]) -> Result<Section<'i>, EmitError> {
    let mut section = Section {
        name,
        comment: b"",
        keys: Vec::new(),
    };
    let mut known: HashMap<&[u8], usize> = HashMap::new();
    let mut last = None;
    let mut at = 0;
    while let Some(item) = items.get(at) {
        match item {
            Item::Comment(text) if at == 0 => section.comment = text,
            Item::Comment(text) => {
                if let Some(key) = last.and_then(|last: usize| section.keys.get_mut(last)) {
                    key.comment = text;
                }
            }
            Item::Key(name) if name.is_empty() => return Err(EmitError::Nameless),
            Item::Key(name) => {
                let value = &items[at + 1..behind(items, at + 1)];
                let place = *known.entry(name).or_insert(section.keys.len());
                match section.keys.get_mut(place) {
                    Some(key) => key.value = value,
                    None => section.keys.push(Key {
                        name,
                        comment: b"",
                        value,
                    }),
                }
                last = Some(place);
                at += value.len();
            }
            _ => {}
        }
        at += 1;
    }
    Ok(section)
}

fn keys(section: &Section<'_>, out: &mut Vec<u8>) {
    let quotes: Vec<&str> = section.keys.iter().map(|key| key_quote(key.name)).collect();
    let widths = || {
        section
            .keys
            .iter()
            .zip(&quotes)
            .map(|(key, quote)| key.name.len() + 2 * quote.len())
    };
    let widest = widths().max().unwrap_or(0);
    for ((key, quote), width) in section.keys.iter().zip(&quotes).zip(widths()) {
        if !key.comment.is_empty() {
            comment(key.comment, true, out);
        }
        for part in [quote.as_bytes(), key.name, quote.as_bytes()] {
            out.extend_from_slice(part);
        }
        out.resize(out.len() + widest - width, b' ');
        out.extend_from_slice(b" = ");
        let start = out.len();
        match key.value {
            [Item::Scalar(value)] => dotenv::plain(value, out),
            nested => spoken(nested, out),
        }
        quote_value(start, out);
        out.push(b'\n');
    }
}

fn key_quote(name: &[u8]) -> &'static str {
    if name.iter().any(|byte| matches!(byte, b'"' | b'=' | b':')) {
        "`"
    } else if name.contains(&b'`') {
        "\"\"\""
    } else {
        ""
    }
}

/// Puts what stands in `out` from `start` on in the quotes it needs.
fn quote_value(start: usize, out: &mut Vec<u8>) {
    let value = &out[start..];
    let quote: &[u8] = if value.iter().any(|byte| matches!(byte, b'\n' | b'`')) {
        b"\"\"\""
    } else if value.iter().any(|byte| matches!(byte, b'#' | b';')) {
        b"`"
    } else if trim(value).len() != value.len() {
        b"\""
    } else {
        return;
    };
    out.splice(start..start, quote.iter().copied());
    out.extend_from_slice(quote);
}

/// Comment lines: `; text`, or with the mark that the text brings itself.
fn comment(text: &[u8], of_key: bool, out: &mut Vec<u8>) {
    for line in text.split(|byte| *byte == b'\n') {
        match line {
            [mark @ (b'#' | b';'), rest @ ..] => {
                out.extend_from_slice(&[*mark, b' ']);
                out.extend_from_slice(trim(rest));
            }
            _ => {
                out.extend_from_slice(b"; ");
                out.extend_from_slice(if of_key { trim(line) } else { line });
            }
        }
        out.push(b'\n');
    }
}

/// `text` without the blanks around it that Go counts as such.
fn trim(text: &[u8]) -> &[u8] {
    let start = match text.utf8_chunks().next() {
        Some(chunk) => chunk.valid().len() - chunk.valid().trim_start().len(),
        None => 0,
    };
    let text = &text[start..];
    let tail = text
        .utf8_chunks()
        .last()
        .filter(|chunk| chunk.invalid().is_empty())
        .map_or("", |chunk| chunk.valid());
    &text[..text.len() - (tail.len() - tail.trim_end().len())]
}

/// A nested value in Go's own notation: `[1 [a b] [{key value}]]`.
fn spoken(items: &[Item<'_>], out: &mut Vec<u8>) {
    let mut maps = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let opens = at == 0 || matches!(items[at - 1], Item::Map | Item::List);
        if !opens && *item != Item::End {
            out.push(b' ');
        }
        match item {
            Item::Map | Item::List => {
                out.push(b'[');
                maps.push(*item == Item::Map);
                continue;
            }
            Item::Key(key) => {
                out.push(b'{');
                out.extend_from_slice(key);
                continue;
            }
            Item::Comment(text) => {
                let in_map = maps.last() == Some(&true);
                out.extend_from_slice(if in_map { b"{{" } else { b"{" });
                out.extend_from_slice(text);
                out.extend_from_slice(if in_map { b"} <nil>}" } else { b"}" });
                continue;
            }
            Item::Scalar(Scalar::Float(value)) => number::general(*value, 'e', out),
            Item::Scalar(Scalar::Time(time)) => number::spoken(time, out),
            Item::Scalar(value) => dotenv::plain(value, out),
            Item::End => {
                out.push(b']');
                maps.pop();
            }
        }
        if maps.last() == Some(&true) {
            out.push(b'}');
        }
    }
}
