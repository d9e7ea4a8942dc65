//! Setting and removing single values of an INI file.

use super::value::{self, reads_back, trim_end};
use super::{DEFAULT, entries, line_break, line_end, line_start, reader, sections, style};
use crate::Document;
use crate::edit::Edits;
use crate::error::Error;
use crate::flat;
use crate::json;
use crate::path::{Path, Step};
use crate::tree::{NodeId, Span, Style, Tree};

pub(crate) fn set(
    source: &[u8],
    tree: &Tree,
    path: &Path,
    value: &Document,
    edits: &mut Edits,
) -> Result<(), Error> {
    let [Step::Key(section), Step::Key(key)] = path.0.as_slice() else {
        return Err(refused(path, "a path in an INI file is a section and a key"));
    };
    let text = json::given_text(value).ok_or_else(|| refused(path, "an INI file holds only text"))?;
    let text = text.expose();
    let node = find(source, tree, section).and_then(|(_, found)| find_key(source, tree, found, key));
    let old = node.map_or(Style::Plain, |(_, node)| style(tree, node));
    let mut spelled = Vec::new();
    value::spell(text, old, &mut spelled);
    if !reads_as(&spelled, text) {
        return Err(refused(
            path,
            "sops can read this text from an INI file in no spelling",
        ));
    }
    if let Some((_, node)) = node {
        let span = tree.node(node).span();
        // A comment may stand right behind an empty value, but not behind this one.
        let blank: &[u8] = match source.get(span.end as usize) {
            Some(b'#' | b';') => b" ",
            _ => b"",
        };
        edits.replace(span, &[&spelled, blank]);
        return Ok(());
    }
    let mut line =
        name(key).ok_or_else(|| refused(path, "sops can read this key from an INI file in no spelling"))?;
    match find(source, tree, section) {
        Some((_, found)) => {
            let last = entries(source, tree, found).next_back();
            line.extend_from_slice(last.map_or(b" = ".as_slice(), |(_, key, value)| {
                delimiter(source, key, tree.node(value).span())
            }));
            line.extend_from_slice(&spelled);
            add_line(source, tree, found, &line, edits);
        }
        None => {
            if section.is_empty() || section.contains([']', '\n', '\r']) {
                return Err(refused(path, "an INI section cannot have this name"));
            }
            line.extend_from_slice(b" = ");
            line.extend_from_slice(&spelled);
            add_section(source, tree, section, &line, edits);
        }
    }
    Ok(())
}

pub(crate) fn unset(source: &[u8], tree: &Tree, path: &Path, edits: &mut Edits) -> Result<(), Error> {
    let nothing = || refused(path, "there is nothing at this path");
    match path.0.as_slice() {
        [Step::Key(section), Step::Key(key)] => {
            let (_, found) = find(source, tree, section).ok_or_else(nothing)?;
            let (key, node) = find_key(source, tree, found, key).ok_or_else(nothing)?;
            let start = line_start(source, key.start as usize);
            let end = line_end(source, tree.node(node).span().end as usize);
            edits.remove(flat::with_line_break(source, Span::new(start, end), true));
            Ok(())
        }
        [Step::Key(section)] => {
            let (name, found) = find(source, tree, section).ok_or_else(nothing)?;
            if name.is_empty() && tree.children(found).is_empty() {
                return Err(nothing());
            }
            let span = tree.node(found).span();
            let start = match entries(source, tree, found).next() {
                Some((_, key, _)) if name.is_empty() => line_start(source, key.start as usize),
                _ => line_start(source, span.start as usize),
            };
            let end = line_end(source, span.end as usize);
            edits.remove(flat::with_line_break(source, Span::new(start, end), true));
            Ok(())
        }
        _ => Err(nothing()),
    }
}

fn refused(path: &Path, why: &str) -> Error {
    Error::Path {
        path: path.to_string(),
        why: why.into(),
    }
}

/// The first section of that name: where its name is written (nowhere for the one before all headers), and
/// its node. An explicit `[DEFAULT]` is found only if nothing stands before the first header.
fn find(source: &[u8], tree: &Tree, name: &str) -> Option<(Span, NodeId)> {
    let mut named = sections(source, tree).filter(|(other, ..)| *other == name.as_bytes());
    let (_, span, first) = named.next()?;
    match named.next() {
        Some((_, span, second)) if name.as_bytes() == DEFAULT && tree.children(first).is_empty() => {
            Some((span, second))
        }
        _ => Some((span, first)),
    }
}

fn find_key(source: &[u8], tree: &Tree, section: NodeId, key: &str) -> Option<(Span, NodeId)> {
    let mut keys = entries(source, tree, section);
    keys.find(|(name, ..)| *name == key.as_bytes())
        .map(|(_, span, node)| (span, node))
}

/// What stands between a key and its value.
fn delimiter(source: &[u8], key: Span, value: Span) -> &[u8] {
    let between = &source[key.end as usize..value.start as usize];
    match trim_end(between) {
        b":" | b"=" => between,
        _ => b" = ",
    }
}

/// Adds a line behind the last value of a section, or as its first.
fn add_line(source: &[u8], tree: &Tree, section: NodeId, line: &[u8], edits: &mut Edits) {
    let line_break = line_break(source);
    let span = tree.node(section).span();
    if span.is_empty() {
        // Nothing stands before the first header; a comment there belongs to that header's section.
        let at = reader::body(source);
        edits.replace(Span::new(at, at), &[line, line_break]);
    } else {
        let at = line_end(source, span.end as usize);
        edits.replace(Span::new(at, at), &[line_break, line]);
    }
}

/// Adds a section at the end of the data: before the metadata block, or at the end of the file.
fn add_section(source: &[u8], tree: &Tree, name: &str, line: &[u8], edits: &mut Edits) {
    let line_break = line_break(source);
    let header: &[&[u8]] = &[b"[", name.as_bytes(), b"]", line_break, line];
    let text = header.concat();
    if let Some((_, block, _)) = sections(source, tree).find(|(name, ..)| *name == b"sops") {
        let at = line_start(source, block.start as usize);
        return edits.replace(Span::new(at, at), &[&text, line_break, line_break]);
    }
    let at = Span::new(source.len(), source.len());
    match source {
        [] => edits.replace(at, &[&text, line_break]),
        [.., b'\n'] => edits.replace(at, &[line_break, &text, line_break]),
        _ => edits.replace(at, &[line_break, line_break, &text]),
    }
}

/// A key as it must be written to be read as just that.
fn name(key: &str) -> Option<Vec<u8>> {
    ["", "`", "\"", "\"\"\""].into_iter().find_map(|quote| {
        let written = [quote, key, quote].concat();
        let line = format!("{written} = x\n");
        let reads = !line.starts_with(['#', ';', '['])
            && reader::Name::read(line.as_bytes())
                .is_ok_and(|name| name.text == key.as_bytes() && name.doubt.is_none());
        (reads && !key.contains('\n')).then(|| written.into_bytes())
    })
}

/// Whether a spelling reads as exactly `text`.
fn reads_as(spelled: &[u8], text: &[u8]) -> bool {
    let styles = [
        Style::Plain,
        Style::SingleQuoted,
        Style::DoubleQuoted,
        Style::BackQuoted,
        Style::TripleQuoted,
    ];
    styles.into_iter().any(|style| {
        let quote = value::quote(style).as_bytes();
        [quote, text, quote].concat() == spelled && reads_back(text, style)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_quoted_only_where_they_must_be() {
        for (key, wanted) in [
            ("key", Some("key")),
            ("a b", Some("a b")),
            ("a=b", Some("`a=b`")),
            ("a:`b", Some("\"a:`b\"")),
            ("#x", Some("`#x`")),
            ("[x", Some("`[x`")),
            ("-", None),
            ("", None),
            (" x", None),
            ("a\nb", None),
        ] {
            let written = name(key).map(|written| String::from_utf8_lossy(&written).into_owned());
            assert_eq!(written.as_deref(), wanted, "{key:?}");
        }
    }
}
