//! The value behind a delimiter, as go-ini reads it, and how to write one that it reads back.

use std::borrow::Cow;

use secret::SecretBytes;

use crate::tree::Style;

/// What go-ini takes from behind a delimiter.
pub(super) struct Reading<'a> {
    /// The spelling, quotes included: offset of the first byte, and behind the last.
    pub(super) span: (usize, usize),
    /// What it says.
    pub(super) text: Cow<'a, [u8]>,
    /// Offset of `text` in the source; meaningless for owned text.
    pub(super) body: usize,
    pub(super) style: Style,
    /// A comment behind the value, from its mark to its last sign that is no blank.
    pub(super) comment: Option<(usize, usize)>,
    /// Whether go-ini keeps that comment. It does not behind quotes that are closed in their own line, as
    /// those of a sealed value always are.
    pub(super) kept: bool,
    /// Offset of the line behind the value.
    pub(super) next: usize,
    /// Why an author's file with this is refused.
    pub(super) doubt: Option<&'static str>,
}

/// The quotes of a style.
pub(super) fn quote(style: Style) -> &'static str {
    match style {
        Style::SingleQuoted => "'",
        Style::DoubleQuoted => "\"",
        Style::BackQuoted => "`",
        Style::TripleQuoted => "\"\"\"",
        Style::Plain | Style::Literal | Style::Folded => "",
    }
}

/// Reads the value that stands behind the delimiter that ends at `from`.
///
/// # Errors
/// Why it does not read: a quote that nothing closes.
pub(super) fn read(source: &[u8], from: usize) -> Result<Reading<'_>, &'static str> {
    let next = next_line(source, from);
    let line = &source[from..next];
    let start = next - trim_start(line).len();
    let line = &source[start..next];
    if line.is_empty() {
        let at = from + usize::from(source.get(from) == Some(&b' '));
        return Ok(Reading::plain(source, at, at, next));
    }
    // The length counts the line break: three quotes that end the file are no opening.
    if line.len() > 3 && line.starts_with(b"\"\"\"") {
        return quoted(source, start, next, Style::TripleQuoted);
    }
    if line[0] == b'`' {
        return quoted(source, start, next, Style::BackQuoted);
    }
    let end = start + trim_end(line).len();
    if source[end - 1] == b'\\' {
        return Ok(continued(source, start, end, next));
    }
    Ok(bare(source, start, end, next))
}

impl<'a> Reading<'a> {
    fn plain(source: &'a [u8], start: usize, end: usize, next: usize) -> Self {
        Self {
            span: (start, end),
            text: Cow::Borrowed(&source[start..end]),
            body: start,
            style: Style::Plain,
            comment: None,
            kept: true,
            next,
            doubt: None,
        }
    }
}

/// A value without quotes, or in quotes that must be the only ones of their kind.
fn bare(source: &[u8], start: usize, end: usize, next: usize) -> Reading<'_> {
    let mark = source[start..end]
        .iter()
        .position(|byte| matches!(byte, b'#' | b';'))
        .map(|at| start + at);
    let value_end = mark.map_or(end, |mark| start + trim_end(&source[start..mark]).len());
    let mut reading = Reading::plain(source, start, value_end, next);
    reading.comment = mark.map(|mark| (mark, end));
    let text = &source[start..value_end];
    let surrounded = [(b'\'', Style::SingleQuoted), (b'"', Style::DoubleQuoted)]
        .into_iter()
        .find(|(quote, _)| is_surrounded(text, *quote));
    if let Some((_, style)) = surrounded {
        reading.style = style;
        reading.body = start + 1;
        reading.text = Cow::Borrowed(&text[1..text.len() - 1]);
    }
    if let Some(mark) = mark {
        if text.ends_with(b"\\") {
            reading.doubt = Some(
                "sops writes back a value that ends in a backslash so that it goes on in the next line: \
                                  put it in backquotes",
            );
        } else if mark > start && value_end == mark {
            reading.doubt =
                Some("sops cuts the value at this # or ;: put it in backquotes, or a blank before a comment");
        } else if surrounded.is_none() && matches!(text.first(), Some(b'"' | b'\'')) {
            reading.doubt = Some("sops cuts the value at a # or ; inside the quotes: put it in backquotes");
        }
    }
    reading
}

/// A value that goes on in the next line behind a backslash.
fn continued(source: &[u8], start: usize, end: usize, next: usize) -> Reading<'_> {
    let mut text = source[start..end - 1].to_vec();
    let (mut end, mut next) = (end, next);
    loop {
        let line_from = next;
        next = next_line(source, line_from);
        let line = &source[line_from..next];
        let line_start = next - trim_start(line).len();
        let line = trim_end(&source[line_start..next]);
        if line.is_empty() {
            break;
        }
        end = line_start + line.len();
        text.extend_from_slice(line);
        if text.last() != Some(&b'\\') {
            break;
        }
        text.pop();
    }
    let mut reading = Reading::plain(source, start, end, next);
    reading.text = Cow::Owned(text);
    reading.doubt =
        Some("sops joins a value that ends in a backslash with the next line: put it in backquotes");
    reading
}

/// A value in backquotes or in three double quotes; it ends at the last such quote of its line, or of the
/// first later line that has one.
fn quoted(source: &[u8], start: usize, next: usize, style: Style) -> Result<Reading<'_>, &'static str> {
    let quote = quote(style).as_bytes();
    let body = start + quote.len();
    let mut reading = Reading::plain(source, start, start, next);
    reading.style = style;
    reading.body = body;
    let (close, next) = match memchr::memmem::rfind(&source[body..next], quote) {
        Some(at) => (body + at, next),
        None => closing_line(source, next, quote)?,
    };
    let rest = trim_start(&source[close + quote.len()..next]);
    match rest.first() {
        None => {}
        Some(b'#' | b';') => {
            reading.comment = Some((next - rest.len(), next - rest.len() + trim_end(rest).len()));
            reading.kept = false;
        }
        Some(_) => reading.doubt = Some("sops drops what stands behind the closing quote"),
    }
    reading.text = Cow::Borrowed(&source[body..close]);
    reading.span = (start, close + quote.len());
    reading.next = next;
    if memchr::memmem::find(&source[body..close], quote).is_some() {
        reading.doubt = Some("the quote stands inside the value too; sops takes the last one as the end");
    }
    Ok(reading)
}

/// Where the closing quote stands in a line from `from` on, and where that line ends.
fn closing_line(source: &[u8], from: usize, quote: &[u8]) -> Result<(usize, usize), &'static str> {
    let mut line_from = from;
    while line_from < source.len() {
        let next = next_line(source, line_from);
        if let Some(at) = memchr::memmem::rfind(&source[line_from..next], quote) {
            let close = line_from + at;
            // A backslash at the end of the line makes the quote part of the value.
            if !trim_end(&source[close + quote.len()..next]).ends_with(b"\\") {
                return Ok((close, next));
            }
        }
        line_from = next;
    }
    Err("the quoted value is not closed")
}

/// Appends a spelling of `text` that reads back as exactly that: in the style it had, else in the one that
/// go-ini's writer would choose, else in any that does.
pub(super) fn spell(text: &[u8], style: Style, out: &mut Vec<u8>) {
    let lines = memchr::memchr(b'\n', text).is_some();
    let (first, second) = match lines {
        true => (Style::TripleQuoted, Style::BackQuoted),
        false => (Style::BackQuoted, Style::TripleQuoted),
    };
    let styles = [
        style,
        Style::Plain,
        Style::DoubleQuoted,
        first,
        second,
        Style::SingleQuoted,
    ];
    let fitting = styles.into_iter().find(|style| reads_back(text, *style));
    let quote = quote(fitting.unwrap_or(Style::TripleQuoted)).as_bytes();
    [quote, text, quote]
        .into_iter()
        .for_each(|part| out.extend_from_slice(part));
}

/// Whether `text` in this style reads back as itself and nothing else.
pub(super) fn reads_back(text: &[u8], style: Style) -> bool {
    let quote = quote(style).as_bytes();
    let mut line = SecretBytes::new(Vec::with_capacity(text.len() + 8));
    let buffer = line.expose_mut();
    for part in [b" ", quote, text, quote, b"\n"] {
        buffer.extend_from_slice(part);
    }
    read(line.expose(), 0).is_ok_and(|reading| {
        reading.text == text
            && reading.doubt.is_none()
            && reading.comment.is_none()
            && reading.next == line.len()
    })
}

/// Whether `quote` stands at both ends and nowhere else.
fn is_surrounded(text: &[u8], quote: u8) -> bool {
    text.len() >= 2 && text[0] == quote && memchr::memchr(quote, &text[1..]) == Some(text.len() - 2)
}

/// The offset behind the line break of the line that `from` stands in.
pub(super) fn next_line(source: &[u8], from: usize) -> usize {
    memchr::memchr(b'\n', &source[from..]).map_or(source.len(), |at| from + at + 1)
}

/// `text` without leading blanks, Unicode's included.
pub(super) fn trim_start(text: &[u8]) -> &[u8] {
    let mut rest = text;
    loop {
        match rest.first() {
            Some(b'\t'..=b'\r' | b' ') => rest = &rest[1..],
            Some(0x80..) => match rest[..rest.len().min(4)]
                .utf8_chunks()
                .next()
                .and_then(first_sign)
            {
                Some(sign) if sign.is_whitespace() => rest = &rest[sign.len_utf8()..],
                _ => return rest,
            },
            _ => return rest,
        }
    }
}

/// `text` without trailing blanks, Unicode's included.
pub(super) fn trim_end(text: &[u8]) -> &[u8] {
    let mut rest = text;
    loop {
        match rest.last() {
            Some(b'\t'..=b'\r' | b' ') => rest = &rest[..rest.len() - 1],
            Some(0x80..) => {
                // A sign of several bytes begins at most four bytes before the end.
                let sign = (2..=4).filter(|length| *length <= rest.len()).find_map(|length| {
                    let tail = std::str::from_utf8(&rest[rest.len() - length..]).ok()?;
                    let mut signs = tail.chars();
                    signs.next().filter(|_| signs.next().is_none())
                });
                match sign {
                    Some(sign) if sign.is_whitespace() => rest = &rest[..rest.len() - sign.len_utf8()],
                    _ => return rest,
                }
            }
            _ => return rest,
        }
    }
}

fn first_sign(chunk: std::str::Utf8Chunk<'_>) -> Option<char> {
    chunk.valid().chars().next()
}
