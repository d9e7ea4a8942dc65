//! Lines and columns of YAML text, and how far a block scalar reaches.

use std::borrow::Cow;
use std::ops::Range;

use crate::tree::Span;

/// The column of `offset`, in characters from 0.
pub(super) fn column(text: &str, offset: usize) -> usize {
    let start = line_start(text.as_bytes(), offset);
    let before = &text.as_bytes()[start..offset];
    let before = if start == 0 {
        before.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(before)
    } else {
        before
    };
    before.iter().filter(|byte| (**byte & 0xC0) != 0x80).count()
}

/// Where the line that holds `offset` begins.
pub(super) fn line_start(source: &[u8], offset: usize) -> usize {
    memchr::memrchr2(b'\n', b'\r', &source[..offset]).map_or(0, |at| at + 1)
}

/// Where the line that holds `offset` ends: the offset of its line break, or the end of the text.
pub(super) fn line_end(source: &[u8], offset: usize) -> usize {
    memchr::memchr2(b'\n', b'\r', &source[offset..]).map_or(source.len(), |at| offset + at)
}

/// The offset behind the line break at `offset`, if there is one there.
pub(super) fn after_break(source: &[u8], offset: usize) -> usize {
    match &source[offset..] {
        [b'\r', b'\n', ..] => offset + 2,
        [b'\r' | b'\n', ..] => offset + 1,
        _ => offset,
    }
}

/// The file's own line break.
pub(super) fn line_break(source: &[u8]) -> &'static str {
    match memchr::memchr(b'\n', source) {
        Some(at) if at > 0 && source[at - 1] == b'\r' => "\r\n",
        _ => "\n",
    }
}

/// The extent of a block scalar: from its `|` or `>`, the first one behind `from`, to the end of its last line
/// that is not empty. Empty lines behind it are left outside: their number is part of the value only under
/// `+`, and they stay where they are when the scalar is sealed.
///
/// `content` is what the parser reports: from the first character of the content to somewhere in front of the
/// next token.
pub(super) fn block_scalar(text: &str, from: usize, content: Range<usize>) -> Span {
    let bytes = text.as_bytes();
    let start = header_start(bytes, from);
    let header_end = after_break(bytes, line_end(bytes, start));
    let mut end = content.end.max(header_end).min(bytes.len());
    // The parser's end lies behind the indentation of the next token.
    if bytes[line_start(bytes, end)..end]
        .iter()
        .all(|byte| *byte == b' ')
        && end < bytes.len()
    {
        end = line_start(bytes, end);
    }
    while end > header_end {
        let last_line = line_start(bytes, before_break(bytes, end));
        if last_line < header_end || before_break(bytes, end) > last_line {
            break;
        }
        end = last_line;
    }
    Span::new(start, end.max(header_end))
}

/// What the block scalar at `span` says, of which the parser reads `value`: where the file ends in its text, without a
/// line break, sops reads none behind it either, whatever the header says.
pub(super) fn block_value<'a>(bytes: &[u8], span: Span, value: Cow<'a, str>) -> Cow<'a, str> {
    let last = &bytes[line_start(bytes, bytes.len())..];
    let body = &bytes[after_break(bytes, line_end(bytes, span.start as usize))..];
    let indent = |line: &[u8]| line.iter().position(|byte| *byte != b' ');
    let column = body.split(|byte| *byte == b'\n').find_map(indent);
    // Spaces are text where they go on behind the column of the text, and nothing where there is no text at all.
    let ends_in_text = match indent(last) {
        Some(_) => true,
        None => column.is_some_and(|column| last.len() > column) || last.len() == body.len(),
    };
    let is_last = bytes[(span.end as usize).min(bytes.len())..]
        .iter()
        .all(|byte| matches!(byte, b' ' | b'\n'));
    if last.is_empty() || !is_last || !ends_in_text {
        return value;
    }
    match value {
        Cow::Borrowed(text) => Cow::Borrowed(text.strip_suffix('\n').unwrap_or(text)),
        Cow::Owned(mut text) => {
            text.truncate(text.strip_suffix('\n').unwrap_or(&text).len());
            Cow::Owned(text)
        }
    }
}

/// The offset of the line break that ends at `offset`, or `offset` itself.
pub(super) fn before_break(bytes: &[u8], offset: usize) -> usize {
    match &bytes[..offset] {
        [.., b'\r', b'\n'] => offset - 2,
        [.., b'\r' | b'\n'] => offset - 1,
        _ => offset,
    }
}

/// The first `|` or `>` behind `from` that stands outside a comment.
fn header_start(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while at < bytes.len() {
        match bytes[at] {
            b'|' | b'>' => return at,
            b'#' => at = line_end(bytes, at),
            _ => at += 1,
        }
    }
    from
}

/// The next `sign` at or behind `from`, if only blanks, line breaks and comments stand before it.
pub(super) fn find(bytes: &[u8], from: usize, sign: u8) -> Option<usize> {
    let mut at = from;
    loop {
        match *bytes.get(at)? {
            b' ' | b'\t' | b'\n' | b'\r' => at += 1,
            b'#' => at = line_end(bytes, at),
            byte => return (byte == sign).then_some(at),
        }
    }
}

/// Where the lines of a value end: behind the line break of the line that holds the end of `span`, or `end`
/// itself where a block scalar has taken its line break along.
pub(super) fn lines_end(source: &[u8], span: Span) -> usize {
    let end = span.end as usize;
    if end > 0 && !span.is_empty() && matches!(source[end - 1], b'\n' | b'\r') {
        end
    } else {
        after_break(source, line_end(source, end))
    }
}
