//! Keys and values.

use super::Reader;
use crate::tree::{Node, Span, Style, Text};
use crate::yaml::{lines, strict};

/// Longest key in bytes. The parser allows 1,024 characters; it may have the last word on those near to that.
const KEY: usize = 1000;

impl Reader<'_> {
    /// The text and the spelling of the key at `at`. Its `:` stands directly behind it, with a blank behind that.
    pub(super) fn key(&self, at: usize) -> Option<(Text, Span)> {
        let (span, text, style) = match self.bytes[at] {
            quote @ (b'"' | b'\'') => self.quoted(at, quote)?,
            _ if self.is_plain(at) => {
                let span = self.plain_key(at)?;
                (span, span, Style::Plain)
            }
            _ => return None,
        };
        let colon = span.end as usize;
        if self.bytes.get(colon) != Some(&b':') || !self.is_blank(colon + 1) || span.len() > KEY {
            return None;
        }
        let node = Node::Scalar {
            span,
            text: Text::in_source(text),
            style,
            tag: None,
        };
        strict::is_text_key(self.bytes, &self.bytes[text.range()], &node)
            .then_some((Text::in_source(text), span))
    }

    /// Up to the first `:` with a blank behind it. Single spaces may stand between words.
    fn plain_key(&self, at: usize) -> Option<Span> {
        let (bytes, mut from) = (self.bytes, at);
        loop {
            let end = memchr::memchr2(b' ', b'\n', &bytes[from..]).map_or(bytes.len(), |at| from + at);
            if bytes[end - 1] == b':' {
                return (end - from > 1).then(|| Span::new(at, end - 1));
            }
            if matches!(bytes.get(end), None | Some(b'\n'))
                || matches!(bytes.get(end + 1)?, b' ' | b'#' | b'\n')
            {
                return None;
            }
            from = end + 1;
        }
    }

    /// Reads the value at `at`, on the line of its key or dash.
    pub(super) fn value(&mut self, at: usize) -> Option<usize> {
        match self.bytes[at] {
            b'"' | b'\'' => {
                let end = self.quoted_value(at)?;
                self.rest(end)
            }
            b'|' => self.block(at, Style::Literal),
            b'>' => self.block(at, Style::Folded),
            b'{' | b'[' => self.outer_brackets(at),
            _ if self.is_plain(at) => self.plain(at),
            _ => None,
        }
    }

    /// Whether a plain scalar begins at `at`.
    pub(super) fn is_plain(&self, at: usize) -> bool {
        match self.bytes[at] {
            b'-' => !self.is_blank(at + 1),
            b'?' | b':' | b',' | b'[' | b']' | b'{' | b'}' | b'#' | b'&' | b'*' | b'!' | b'|' | b'>'
            | b'\'' | b'"' | b'%' | b'@' | b'`' => false,
            _ => true,
        }
    }

    /// A plain value up to the end of its line or a comment. Long ones without spaces, such as sealed values, are
    /// gone over in one step.
    fn plain(&mut self, start: usize) -> Option<usize> {
        let (bytes, mut from) = (self.bytes, start);
        loop {
            let end = memchr::memchr2(b' ', b'\n', &bytes[from..]).map_or(bytes.len(), |at| from + at);
            if bytes[end - 1] == b':' {
                return None;
            }
            from = self.skip_spaces(end);
            if let Some(next) = self.end_of_line(from) {
                let span = Span::new(start, end);
                self.scalar(span, Text::in_source(span), Style::Plain);
                return Some(next);
            }
        }
    }

    /// Reads the quoted value at `at`, and answers where it ends.
    pub(super) fn quoted_value(&mut self, at: usize) -> Option<usize> {
        let quote = self.bytes[at];
        let (span, text, style) = match self.quoted(at, quote) {
            Some((span, text, style)) => (span, Text::in_source(text), style),
            None => self.escaped(at, quote)?,
        };
        self.scalar(span, text, style);
        Some(span.end as usize)
    }

    /// A quoted scalar on one line without escapes: its span, that of its text, and its style.
    fn quoted(&self, at: usize, quote: u8) -> Option<(Span, Span, Style)> {
        let inner = &self.bytes[at + 1..];
        let (length, style) = if quote == b'"' {
            (memchr::memchr3(quote, b'\\', b'\n', inner)?, Style::DoubleQuoted)
        } else {
            (memchr::memchr2(quote, b'\n', inner)?, Style::SingleQuoted)
        };
        // A quote that stands twice stands for itself.
        if inner[length] != quote || quote == b'\'' && inner.get(length + 1) == Some(&quote) {
            return None;
        }
        let text = Span::new(at + 1, at + 1 + length);
        Some((Span::new(at, at + length + 2), text, style))
    }

    /// A quoted scalar on one line with escapes of one letter.
    fn escaped(&mut self, start: usize, quote: u8) -> Option<(Span, Text, Style)> {
        let bytes = self.bytes;
        let (escape, style) = if quote == b'"' {
            (b'\\', Style::DoubleQuoted)
        } else {
            (b'\'', Style::SingleQuoted)
        };
        let mut at = start + 1;
        loop {
            at += memchr::memchr3(quote, escape, b'\n', &bytes[at..])?;
            match (bytes[at], *bytes.get(at + 1).unwrap_or(&b'\n')) {
                (b'\\', b'n' | b't' | b'r' | b'"' | b'\\') => at += 2,
                (b'\'', b'\'') if quote == b'\'' => at += 2,
                (byte, _) if byte == quote => break,
                _ => return None,
            }
        }
        let inner = &bytes[start + 1..at];
        let text = self.builder.decoded_by(|out| unescape(inner, escape, out));
        Some((Span::new(start, at + 1), text, style))
    }

    /// Where the next line begins, if nothing but a comment stands behind a value that ends at `end`.
    pub(super) fn rest(&mut self, end: usize) -> Option<usize> {
        let at = self.skip_spaces(end);
        if at == end && self.bytes.get(at) == Some(&b'#') {
            return None;
        }
        self.end_of_line(at)
    }

    /// A block scalar: `|` or `>`, perhaps `+` or `-`, and lines of text in one column or deeper (`>`: none of
    /// them deeper). Lines of nothing but spaces are not read here.
    fn block(&mut self, start: usize, style: Style) -> Option<usize> {
        let bytes = self.bytes;
        let chomping = bytes.get(start + 1).copied().unwrap_or(b'\n');
        let header = self.skip_spaces(start + 1 + usize::from(matches!(chomping, b'-' | b'+')));
        if bytes.get(header) != Some(&b'\n') {
            return None;
        }
        let body = header + 1;
        let empty = bytes[body..].iter().take_while(|byte| **byte == b'\n').count();
        let column = self.skip_spaces(body + empty) - (body + empty);
        if column <= self.open.last()?.column {
            return None;
        }
        let next = self.body_end(body + empty, column, style)?;
        let text = self
            .builder
            .decoded_by(|out| decode(&bytes[body..next], column, style, chomping, out));
        let span = lines::block_scalar(self.text, start, body..next);
        self.scalar(span, text, style);
        Some(next)
    }

    /// The first line at or behind `at` that does not belong to the lines in `column`.
    fn body_end(&self, mut at: usize, column: usize, style: Style) -> Option<usize> {
        let bytes = self.bytes;
        while let Some(byte) = bytes.get(at) {
            if *byte == b'\n' {
                at += 1;
                continue;
            }
            let first = self.skip_spaces(at);
            let only_spaces = *bytes.get(first)? == b'\n';
            if !only_spaces && first - at < column {
                return Some(at);
            }
            if only_spaces || style == Style::Folded && first - at > column {
                return None;
            }
            at = first + memchr::memchr(b'\n', &bytes[first..])? + 1;
        }
        Some(at)
    }
}

/// What quoted text with escapes of one letter says.
fn unescape(mut text: &[u8], escape: u8, out: &mut Vec<u8>) {
    while let Some(at) = memchr::memchr(escape, text) {
        out.extend_from_slice(&text[..at]);
        out.push(match text[at + 1] {
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            byte => byte,
        });
        text = &text[at + 2..];
    }
    out.extend_from_slice(text);
}

/// What a block scalar with these lines says.
fn decode(body: &[u8], column: usize, style: Style, chomping: u8, out: &mut Vec<u8>) {
    let (mut breaks, mut is_first) = (0, true);
    for line in body.split_inclusive(|byte| *byte == b'\n') {
        let Some(text) = line.get(column..line.len() - 1).filter(|text| !text.is_empty()) else {
            breaks += 1;
            continue;
        };
        if !is_first && style == Style::Literal {
            breaks += 1;
        } else if !is_first && breaks == 0 {
            out.push(b' ');
        }
        out.extend(std::iter::repeat_n(b'\n', breaks));
        out.extend_from_slice(text);
        (breaks, is_first) = (0, false);
    }
    let at_end = match chomping {
        b'-' => 0,
        b'+' => 1 + breaks,
        _ => 1,
    };
    out.extend(std::iter::repeat_n(b'\n', at_end));
}
