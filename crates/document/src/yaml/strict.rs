//! What sops' YAML library refuses although the parser here would take it. A file that passes means the same
//! to both; one that does not is refused with its place before anything is written.

use std::ops::Range;

use granit_parser::Span as EventSpan;

use super::frame::promises_type;
use super::lines::{find, line_end};
use super::resolve;
use crate::document::Form;
use crate::error::{Error, Position};
use crate::scalar::Scalar;
use crate::tree::{Node, Span, Style};

/// The source as text, if it is UTF-8 without the characters that YAML forbids.
pub(super) fn text(source: &[u8], form: Form) -> Result<&str, Error> {
    if source.starts_with(&[0xFF, 0xFE]) || source.starts_with(&[0xFE, 0xFF]) {
        return Err(Error::syntax(source, 0, "the file is UTF-16; save it as UTF-8"));
    }
    let text = std::str::from_utf8(source)
        .map_err(|error| Error::syntax(source, error.valid_up_to(), "not valid UTF-8"))?;
    if source.chunks(4096).all(is_harmless) {
        return Ok(text);
    }
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        if !is_harmless(line.as_bytes()) {
            characters(source, offset, line, form)?;
        }
        offset += line.len();
    }
    Ok(text)
}

/// Whether there are only printable ASCII characters, tabs and line breaks. No branch: it is done many bytes at a time.
fn is_harmless(bytes: &[u8]) -> bool {
    bytes.iter().fold(true, |all, &byte| {
        let printable = byte.wrapping_sub(b' ') <= b'~' - b' ';
        all & (printable | (byte == b'\n') | (byte == b'\t') | (byte == b'\r'))
    })
}

/// Looks at each character of the line that begins at `offset`.
fn characters(source: &[u8], offset: usize, line: &str, form: Form) -> Result<(), Error> {
    for (at, c) in line.char_indices().filter(|(_, c)| !matches!(c, ' '..='~')) {
        let at = offset + at;
        if forbidden(at, c) {
            let why = format!("the control character U+{:04X} is not allowed in YAML", c as u32);
            return Err(Error::syntax(source, at, why));
        }
        if form == Form::Plain && matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}') {
            let why = format!(
                "U+{:04X} is a line break to sops and none to others; write it as an escape",
                c as u32
            );
            return Err(Error::syntax(source, at, why));
        }
    }
    Ok(())
}

fn forbidden(at: usize, c: char) -> bool {
    match c {
        '\t' | '\n' | '\r' | ' '..='~' => false,
        '\u{85}' | '\u{A0}'..='\u{FEFE}' => false,
        '\u{FEFF}' => at > 0,
        '\u{FF00}'..='\u{FFFD}' | '\u{10000}'..='\u{10FFFF}' => false,
        _ => true,
    }
}

/// Where a mark of an unfinished merge stands at the beginning of a line.
pub(crate) fn conflict(source: &[u8]) -> Option<usize> {
    memchr::memmem::find_iter(source, b"<<<<<<< ").find(|at| *at == 0 || source[at - 1] == b'\n')
}

/// Refuses directives other than `%YAML 1.1` between two documents.
pub(super) fn directives(text: &str, from: usize, to: usize, versioned: bool) -> Result<(), Error> {
    let mut offset = from;
    for line in text[from..to].split_inclusive('\n') {
        let directive = line.trim_start_matches('\u{FEFF}');
        if directive.starts_with('%') {
            let mut words = directive.split_whitespace();
            let fine = versioned && words.next() == Some("%YAML") && words.next() == Some("1.1");
            if !fine {
                let why = "this directive is not supported; sops knows only %YAML 1.1";
                return Err(Error::syntax(text.as_bytes(), offset, why));
            }
        }
        offset += line.len();
    }
    Ok(())
}

/// Refuses a tag that says something else than what stands there.
pub(super) fn collection_tag(text: &str, at: &EventSpan, tag: &str, list: bool) -> Result<(), Error> {
    let wrong = match tag
        .strip_prefix("tag:yaml.org,2002:")
        .or_else(|| tag.strip_prefix("!!"))
    {
        Some("map" | "set" | "omap") => list,
        Some("seq") => !list,
        Some("str" | "int" | "float" | "bool" | "null" | "timestamp" | "binary") => true,
        _ => false,
    };
    if !wrong {
        return Ok(());
    }
    let offset = at
        .tag_span()
        .and_then(|span| span.byte_range())
        .map_or(0, |range| range.start);
    Err(Error::syntax(
        text.as_bytes(),
        offset,
        "the tag does not fit the value it stands at",
    ))
}

/// Whether a key is text to sops: quoted, or plain and not a number, a truth value, a date or nothing.
pub(super) fn is_text_key(source: &[u8], text: &[u8], key: &Node) -> bool {
    let Node::Scalar { style, tag, span, .. } = *key else {
        return false;
    };
    let tag = tag.map(|tag| &source[tag.range()]);
    if style == Style::Plain && tag.is_none() {
        let absent = span.is_empty();
        return !absent && matches!(resolve::plain(text), Ok(Scalar::Str(_)));
    }
    matches!(resolve::typed(text, style, tag), Ok(Scalar::Str(_)))
}

/// Refuses tabs where sops' library wants spaces: at the beginning of a line outside brackets, and behind `-`
/// or `?`. Behind a plain scalar whose further lines would stand in `plain` or deeper, blank lines may hold
/// tabs from that column on.
pub(super) fn gap(text: &str, from: usize, to: usize, mut plain: Option<usize>) -> Result<(), Error> {
    let bytes = text.as_bytes();
    let mut line_begins = from == 0 || matches!(bytes[from - 1], b'\n' | b'\r' | b'-' | b'?');
    let mut at = from;
    while at < to {
        match bytes[at] {
            b'\n' | b'\r' | b'-' | b'?' => line_begins = true,
            b' ' => {}
            b'\t' if line_begins && plain.is_none_or(|column| super::lines::column(text, at) < column) => {
                return Err(Error::syntax(
                    bytes,
                    at,
                    "a tab stands where only spaces may; indent with spaces",
                ));
            }
            b'#' => {
                plain = None;
                at = line_end(bytes, at);
                continue;
            }
            b'\t' => {}
            _ => (line_begins, plain) = (false, None),
        }
        at += 1;
    }
    Ok(())
}

/// Refuses spellings of scalars that sops' library does not take. `column` is the least column of the scalar's
/// further lines.
pub(super) fn scalar(text: &str, span: Span, style: Style, flow: bool, column: usize) -> Result<(), Error> {
    let bytes = text.as_bytes();
    let spelling = &bytes[span.range()];
    let refuse = |offset: usize, why: &str| Err(Error::syntax(bytes, span.start as usize + offset, why));
    match style {
        Style::DoubleQuoted => {
            let mut at = 0;
            while let Some(next) = memchr::memchr(b'\\', &spelling[at..]) {
                if spelling.get(at + next + 1) == Some(&b'/') {
                    return refuse(at + next, "the escape \\/ is not known to sops; write /");
                }
                at += next + 2;
                if at >= spelling.len() {
                    break;
                }
            }
            Ok(())
        }
        Style::Plain if flow && spelling.first() == Some(&b':') => refuse(
            0,
            "a plain value in brackets cannot begin with a colon; put it in quotes",
        ),
        Style::Plain if !flow => {
            for (start, line) in further_lines(spelling) {
                let margin = line.iter().take_while(|byte| **byte == b' ').count();
                if line.get(margin) == Some(&b'\t') && margin < column {
                    return refuse(
                        start + margin,
                        "a tab stands where only spaces may; indent with spaces",
                    );
                }
            }
            Ok(())
        }
        Style::Literal | Style::Folded => {
            let explicit = spelling[1..]
                .iter()
                .take_while(|byte| !matches!(byte, b'\n' | b'\r' | b' ' | b'#'));
            if explicit.clone().any(u8::is_ascii_digit) {
                return Ok(());
            }
            for (start, line) in further_lines(spelling) {
                let margin = line.iter().take_while(|byte| **byte == b' ').count();
                match line.get(margin) {
                    Some(b'\t') => {
                        return refuse(
                            start + margin,
                            "a tab stands where only spaces may; indent with spaces",
                        );
                    }
                    None | Some(b'\r') => {}
                    Some(_) => break,
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The lines behind the first one, with their offsets, line breaks left out.
fn further_lines(spelling: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut offset = 0;
    spelling
        .split(|byte| *byte == b'\n')
        .map(move |line| {
            let start = offset;
            offset += line.len() + 1;
            (start, line)
        })
        .skip(1)
}

/// Refuses a key in brackets whose `:` stands on another line.
pub(super) fn flow_key(text: &str, span: Span) -> Result<(), Error> {
    let bytes = text.as_bytes();
    let Some(colon) = find(bytes, span.end as usize, b':') else {
        return Ok(());
    };
    if bytes[span.start as usize..colon].contains(&b'\n') && !is_explicit(bytes, span) {
        let why = "in brackets a key and its : must stand on one line";
        return Err(Error::syntax(bytes, span.start as usize, why));
    }
    Ok(())
}

fn is_explicit(bytes: &[u8], span: Span) -> bool {
    let before = bytes[..span.start as usize].trim_ascii_end();
    before.ends_with(b"?")
}

/// Refuses a tag that is not followed by a blank, and one that has to go when its value, at `value`, is sealed but would
/// take a comment along.
pub(super) fn tag(text: &str, tag: Range<usize>, value: usize) -> Result<(), Error> {
    let bytes = text.as_bytes();
    let why = match bytes.get(tag.end) {
        None | Some(b' ' | b'\t' | b'\n' | b'\r') => {
            let between = bytes.get(tag.end..value).unwrap_or_default();
            if !(promises_type(&bytes[tag.clone()]) && between.contains(&b'#')) {
                return Ok(());
            }
            "a comment stands between this tag and its value; put it above or behind both"
        }
        Some(_) => "a blank must stand behind a tag",
    };
    Err(Error::syntax(bytes, tag.start, why))
}

/// Whether two keys of one map are the same; both lines are named.
pub(crate) fn duplicate(source: &[u8], first: usize, second: usize) -> Error {
    let first = Position::of(source, first);
    Error::syntax(
        source,
        second,
        format!("the key stands already in line {}", first.line),
    )
}
