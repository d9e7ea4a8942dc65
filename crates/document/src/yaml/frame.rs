//! How sealed text stands in place of a scalar, and how an opened value is spelled there again.
//!
//! A scalar keeps its quotes. A block scalar has two parts that change: its header, which always becomes strip
//! chomping so that the decoded value is exactly the sealed text, and its body. Between them an author's
//! comment may stand, which is sealed by itself.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secret::SecretBytes;

use super::lines::{after_break, before_break, line_break, line_end, line_start};
use super::resolve;
use crate::document::{Form, Frame, Limits};
use crate::emit::yaml::{yaml_double_quoted, yaml_plain_safe, yaml_single_quoted};
use crate::scalar::Scalar;
use crate::tree::{Node, NodeId, Span, Style, Tree};

/// The parts of one scalar in the source.
struct Parts<'a> {
    style: Style,
    /// Anchors and tags that stay before the sealed text, with the blank behind each.
    kept: Cow<'a, str>,
    /// What is replaced: from the first property to the end; for block scalars the lines below the header.
    body: Span,
    /// Block scalars: the indicator with its signs, `|2+`.
    header: Option<Span>,
}

/// What a sealed text replaces and what stands around it.
pub(crate) fn frame(source: &[u8], tree: &Tree, id: NodeId) -> Frame {
    let parts = parts(source, tree, id);
    let (before, after) = match parts.style {
        Style::SingleQuoted => (format!("{}'", parts.kept), "'"),
        Style::DoubleQuoted => (format!("{}\"", parts.kept), "\""),
        Style::Literal | Style::Folded => {
            let margin = " ".repeat(content_column(source, tree, parts.header, parts.body));
            return Frame {
                span: parts.body,
                before: margin.into(),
                after: break_at_end(source, parts.body).into(),
            };
        }
        _ if tree.in_flow(parts.body.start) => (format!("{}\"", parts.kept), "\""),
        _ => (parts.kept.into_owned(), ""),
    };
    Frame {
        span: parts.body,
        before: before.into(),
        after: after.into(),
    }
}

/// Block scalars: where the header stands.
pub(crate) fn header(source: &[u8], tree: &Tree, id: NodeId) -> Option<Span> {
    let Node::Scalar {
        style: Style::Literal | Style::Folded,
        ..
    } = *tree.node(id)
    else {
        return None;
    };
    parts(source, tree, id).header
}

/// The header that a sealed block scalar has.
pub(crate) fn sealed_header(source: &[u8], header: Span) -> &'static [u8] {
    if source[header.range()].contains(&b'>') {
        b">-"
    } else {
        b"|-"
    }
}

/// The header under which `value` reads back, given the empty lines that stand behind the scalar.
pub(crate) fn spell_header(source: &[u8], tree: &Tree, id: NodeId, value: &Scalar<'_>) -> Option<Vec<u8>> {
    let header = header(source, tree, id)?;
    let Scalar::Str(text) = value else { return None };
    let sign = source[header.range()]
        .iter()
        .find(|byte| matches!(byte, b'|' | b'>'))?;
    if std::str::from_utf8(text).is_err() {
        return Some([BINARY, &[*sign, b'-']].concat());
    }
    let content = trim_breaks(text);
    // Where the author folded long lines is not known here, and a line break alone would be read as a blank.
    let folds = content.contains(&b'\n');
    let mut out = vec![if folds { b'|' } else { *sign }];
    if content.iter().find(|byte| **byte != b'\n') == Some(&b' ') {
        let column = content_column(source, tree, Some(header), parts(source, tree, id).body);
        let parent = parent_column(source, header.start as usize);
        out.extend_from_slice(
            column
                .saturating_sub(parent.map_or(0, |(column, _)| column))
                .to_string()
                .as_bytes(),
        );
    }
    match text.len() - content.len() {
        0 => out.push(b'-'),
        1 if !content.is_empty() => {}
        _ => out.push(b'+'),
    }
    Some(out)
}

/// Appends what stands in the frame's span for `value`.
pub(crate) fn spell(source: &[u8], tree: &Tree, id: NodeId, value: &Scalar<'_>, out: &mut Vec<u8>) {
    let parts = parts(source, tree, id);
    if let (Some(header), Scalar::Str(text)) = (parts.header, value) {
        let column = content_column(source, tree, Some(header), parts.body);
        let encoded = encoded(text);
        let text = encoded.as_ref().map_or(&**text, SecretBytes::expose);
        return block_lines(source, text, column, parts.body, out);
    }
    out.extend_from_slice(parts.kept.as_bytes());
    // Under a tag of the author's own there is no place for another.
    if let Scalar::Str(text) = value
        && !parts.kept.contains('!')
        && let Some(encoded) = encoded(text)
    {
        out.extend_from_slice(BINARY);
        return out.extend_from_slice(encoded.expose());
    }
    match (value, parts.style) {
        (Scalar::Str(text), Style::SingleQuoted) if single_quotable(text) => yaml_single_quoted(text, out),
        (Scalar::Str(text), Style::SingleQuoted | Style::DoubleQuoted) => yaml_double_quoted(text, out),
        (Scalar::Str(text), _) => plain_text(source, tree, parts.body, text, out),
        (other, _) => other_value(other, out),
    }
}

/// What stands in front of bytes that are no text.
const BINARY: &[u8] = b"!!binary ";

/// Bytes that are no text, as YAML can hold them: under [`BINARY`].
fn encoded(text: &[u8]) -> Option<SecretBytes> {
    let is_text = std::str::from_utf8(text).is_ok();
    (!is_text).then(|| SecretBytes::new(STANDARD.encode(text).into_bytes()))
}

/// Appends `key` as it can stand at `span`: plain if that reads back, else in quotes.
pub(crate) fn spell_key(tree: &Tree, key: &[u8], span: Span, out: &mut Vec<u8>) {
    match std::str::from_utf8(key) {
        Ok(plain) if yaml_plain_safe(plain, tree.in_flow(span.start)) => out.extend_from_slice(key),
        _ => yaml_double_quoted(key, out),
    }
}

/// Text that stood sealed without quotes: plain if that reads back, a literal block for several lines as sops
/// itself writes them, else in quotes.
fn plain_text(source: &[u8], tree: &Tree, span: Span, text: &[u8], out: &mut Vec<u8>) {
    let flow = tree.in_flow(span.start);
    match std::str::from_utf8(text) {
        Ok(plain) if yaml_plain_safe(plain, flow) => out.extend_from_slice(text),
        Ok(lines) if !flow && literal_fits(source, span, lines) => literal(source, tree, span, text, out),
        _ => yaml_double_quoted(text, out),
    }
}

/// Whether a literal block can stand here and says exactly `text`: more than one line, nothing behind it on its
/// line, no line that the format would change, and as many empty lines behind it as it needs.
fn literal_fits(source: &[u8], span: Span, text: &str) -> bool {
    let end = span.end as usize;
    let behind = &source[end..line_end(source, end)];
    let printable = |c: char| {
        c == '\n'
            || c == '\t'
            || (!c.is_control() && !matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{FEFF}'))
    };
    text.contains('\n')
        && !trim_breaks(text.as_bytes()).is_empty()
        && !text.starts_with([' ', '\n', '\t'])
        && !text.ends_with("\n\n")
        && !text
            .split('\n')
            .any(|line| line.ends_with(' ') && line.trim().is_empty())
        && text.chars().all(printable)
        // Spaces would end its last line.
        && behind.is_empty()
        && (after_break(source, line_end(source, end)) > end || !text.ends_with('\n'))
}

fn literal(source: &[u8], tree: &Tree, span: Span, text: &[u8], out: &mut Vec<u8>) {
    let newline = line_break(source).as_bytes();
    let content = trim_breaks(text);
    let (column, _) = parent_column(source, span.start as usize).unwrap_or((0, false));
    let margin = column + usize::from(if tree.indent == 0 { 4 } else { tree.indent });
    out.extend_from_slice(if content.len() == text.len() { b"|-" } else { b"|" });
    for line in content.split(|byte| *byte == b'\n') {
        out.extend_from_slice(newline);
        if !line.is_empty() {
            out.extend(std::iter::repeat_n(b' ', margin));
        }
        out.extend_from_slice(line);
    }
}

/// The lines of a block scalar's body, with its last line break as the sealed form has it, and as many empty
/// lines more as the value needs and the source does not have behind it.
fn block_lines(source: &[u8], text: &[u8], column: usize, body: Span, out: &mut Vec<u8>) {
    let newline = line_break(source).as_bytes();
    let content = trim_breaks(text);
    let closing = break_at_end(source, body);
    if !content.is_empty() {
        for (at, line) in content.split(|byte| *byte == b'\n').enumerate() {
            if at > 0 {
                out.extend_from_slice(newline);
            }
            if !line.is_empty() {
                out.extend(std::iter::repeat_n(b' ', column));
            }
            out.extend_from_slice(line);
        }
        out.extend_from_slice(closing.as_bytes());
    }
    let breaks = text.len() - content.len();
    let wanted = if content.is_empty() {
        breaks
    } else {
        breaks.saturating_sub(1)
    };
    for _ in empty_lines(source, body.end as usize)..wanted {
        out.extend_from_slice(newline);
    }
}

/// A value that is not text, as it is spelled plain.
fn other_value(value: &Scalar<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(crate::emit::yaml::plain_value(value).as_bytes());
}

fn parts<'a>(source: &'a [u8], tree: &Tree, id: NodeId) -> Parts<'a> {
    let Node::Scalar { span, style, tag, .. } = *tree.node(id) else {
        unreachable!("only scalars have a frame");
    };
    let anchor = tree.anchor(id);
    if matches!(style, Style::Literal | Style::Folded) {
        let start = span.start as usize;
        let signs = source[start + 1..]
            .iter()
            .take_while(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-'))
            .count();
        let below = after_break(source, line_end(source, start)).min(span.end as usize);
        // A tag that promises something else than text goes with the header: a sealed value is text.
        let first = tag
            .filter(|tag| promises_type(&source[tag.range()]) && !holds_comment(source, tag.end, span.start))
            .map_or(start, |tag| tag.start as usize);
        let header = Some(Span::new(first, start + 1 + signs));
        return Parts {
            style,
            kept: "".into(),
            body: Span::new(below, span.end as usize),
            header,
        };
    }
    let mut properties: Vec<Span> = [anchor, tag].into_iter().flatten().collect();
    properties.sort_unstable();
    // Where a comment stands between them and the value, all of them stay where they are.
    properties.retain(|property| !holds_comment(source, property.end, span.start));
    let start = properties
        .first()
        .map_or(span.start, |first| first.start.min(span.start));
    let mut kept = String::new();
    for property in properties {
        let text = String::from_utf8_lossy(&source[property.range()]);
        // A sealed value is text: under a tag that promises something else sops reads nothing at all.
        let typed = Some(property) == tag && promises_type(text.as_bytes());
        if !typed {
            kept.push_str(&text);
            kept.push(' ');
        }
    }
    Parts {
        style,
        kept: kept.into(),
        body: Span { start, end: span.end },
        header: None,
    }
}

/// Whether a comment stands between a property and its value.
fn holds_comment(source: &[u8], from: u32, to: u32) -> bool {
    from < to && source[Span { start: from, end: to }.range()].contains(&b'#')
}

/// Whether a tag says that something else than text stands there: under it sops reads a sealed value as nothing.
pub(super) fn promises_type(tag: &[u8]) -> bool {
    matches!(
        tag,
        b"!!int" | b"!!float" | b"!!timestamp" | b"!!binary" | b"!!bool" | b"!!null"
    )
}

/// The column at which the content of a block scalar stands.
fn content_column(source: &[u8], tree: &Tree, header: Option<Span>, body: Span) -> usize {
    let first = source[body.range()]
        .split(|byte| *byte == b'\n')
        .find(|line| line.iter().any(|byte| !matches!(byte, b' ' | b'\r')))
        .map(|line| line.iter().take_while(|byte| **byte == b' ').count());
    let parent = header.and_then(|header| parent_column(source, header.start as usize));
    let outer = parent.map_or(0, |(column, _)| column);
    let step = usize::from(if tree.indent == 0 { 2 } else { tree.indent });
    let explicit = header.and_then(|header| {
        source[header.range()]
            .iter()
            .find(|byte| byte.is_ascii_digit())
            .map(|digit| usize::from(digit - b'0'))
    });
    match (explicit, first) {
        (Some(width), _) => outer + width,
        (None, Some(column)) if column > 0 => column,
        _ => outer + step,
    }
}

/// The column of the key or dash that holds the value at `offset`, and whether it is a dash. `None` where the
/// key stands on an earlier line.
fn parent_column(source: &[u8], offset: usize) -> Option<(usize, bool)> {
    let start = line_start(source, offset);
    let line = &source[start..offset];
    let mut column = line.iter().take_while(|byte| **byte == b' ').count();
    let mut dash = None;
    while line[column..].first() == Some(&b'-') && line.get(column + 1).is_some_and(|byte| *byte == b' ') {
        dash = Some(column);
        column += 1 + line[column + 1..]
            .iter()
            .take_while(|byte| **byte == b' ')
            .count();
    }
    if column < line.len() {
        Some((column, false))
    } else {
        dash.map(|column| (column, true))
    }
}

fn break_at_end(source: &[u8], body: Span) -> String {
    let end = body.end as usize;
    let from = before_break(source, end).max(body.start as usize);
    let text = &source[from..end];
    // A body without lines of its own (a value of line breaks only) ends where the header's line does.
    if body.is_empty() && end > 0 && source[end - 1] == b'\n' {
        return line_break(source).to_owned();
    }
    String::from_utf8_lossy(text).into_owned()
}

/// How many empty lines stand at `offset`, the beginning of a line.
fn empty_lines(source: &[u8], offset: usize) -> usize {
    let mut at = offset;
    let mut count = 0;
    while after_break(source, at) > at {
        at = after_break(source, at);
        count += 1;
    }
    count
}

fn trim_breaks(text: &[u8]) -> &[u8] {
    let end = text
        .iter()
        .rposition(|byte| *byte != b'\n')
        .map_or(0, |at| at + 1);
    &text[..end]
}

fn single_quotable(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| {
        text.chars()
            .all(|c| !c.is_control() && !matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{FEFF}'))
    })
}

/// Whether `text` spelled plain is text to sops.
pub(super) fn reads_as_text(text: &str) -> bool {
    matches!(resolve::plain(text.as_bytes()), Ok(Scalar::Str(_)))
}

/// Where a value begins: at its first anchor or tag, if it has one.
pub(crate) fn full_start(tree: &Tree, id: NodeId) -> u32 {
    let node = tree.node(id);
    let tag = match node {
        Node::Scalar { tag, .. } => *tag,
        _ => None,
    };
    let properties = [tree.anchor(id), tag]
        .into_iter()
        .flatten()
        .map(|property| property.start);
    properties
        .min()
        .map_or(node.span().start, |start| start.min(node.span().start))
}

/// Whether the scalar `id`, spelled `text` (under `header`, for block scalars), would mean `value`.
pub(crate) fn reads_as(
    source: &[u8],
    tree: &Tree,
    id: NodeId,
    header: &[u8],
    text: &[u8],
    value: &Scalar<'_>,
) -> bool {
    if header.is_empty() && is_simple(text) {
        return resolve::plain(text).is_ok_and(|read| same(&read, value));
    }
    let start = tree.node(id).span().start;
    let column = parent_column(source, start as usize).map_or(0, |(column, _)| column);
    let margin = b" ".repeat(column);
    let probe = match header {
        [] if tree.in_flow(start) => [&margin, &b"k: ["[..], text, b"]"].concat(),
        [] => [&margin, &b"k: "[..], text].concat(),
        _ => {
            let end = frame(source, tree, id).span.end as usize;
            if !closes(text) && !closes_file(source, tree, end) {
                return false;
            }
            // The empty lines behind the body count under `+`.
            let newline = line_break(source);
            let empty = newline.repeat(empty_lines(source, end));
            [
                &margin,
                &b"k: "[..],
                header,
                newline.as_bytes(),
                text,
                empty.as_bytes(),
            ]
            .concat()
        }
    };
    let Ok(probed) = super::parse(&probe, Form::Plain, &Limits::default()) else {
        return false;
    };
    let mut scalars = (0..probed.len() as u32)
        .map(NodeId)
        .filter(|id| matches!(probed.node(*id), Node::Scalar { .. }));
    match (scalars.next(), scalars.next()) {
        (Some(only), None) => resolve::scalar(&probe, &probed, only).is_ok_and(|read| same(&read, value)),
        _ => false,
    }
}

/// Whether what follows the lines of a block scalar stands on a line of its own.
fn closes(text: &[u8]) -> bool {
    text.is_empty() || matches!(text.last(), Some(b'\n' | b'\r'))
}

/// Whether, once the metadata block is away, a block scalar that ends at `end` ends a file without a last line break.
fn closes_file(source: &[u8], tree: &Tree, end: usize) -> bool {
    let documents_before = tree.ends.len().saturating_sub(1);
    let is_last = tree.ends[..documents_before]
        .iter()
        .all(|before| *before as usize <= end);
    let behind = &source[end..];
    !source.ends_with(b"\n") && is_last && (behind.is_empty() || behind.starts_with(b"sops:"))
}

/// One plain scalar on one line, beyond doubt.
fn is_simple(text: &[u8]) -> bool {
    !text.is_empty()
        && text
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'+' | b'-' | b':'))
        && text[0] != b'-'
        && !text.ends_with(b":")
}

/// Equal in type and value; every not-a-number is the same.
fn same(a: &Scalar<'_>, b: &Scalar<'_>) -> bool {
    match (a, b) {
        (Scalar::Float(a), Scalar::Float(b)) => a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()),
        // A float without fraction is sealed as such and may be spelled as a whole number.
        (Scalar::Int(a), Scalar::Float(b)) => (*a as f64) == *b,
        _ => a == b,
    }
}
