//! Comments of an INI file, and how a block of several lines becomes one text and comes back.
//!
//! go-ini joins all comment lines above a key or a section, without the blank lines between them, and sops
//! cuts the leading marks and blanks off the whole. The text here begins at the same place and ends at the
//! same place, but keeps everything between them as it stands, so that putting it back restores the bytes.
//! One thing must differ: sops' writer crashes on an empty line inside a comment. So a line that holds blanks
//! only, or nothing, has one blank more in the text than in the file.

use super::value::trim_start;
use crate::tree::{Comment, Span, Text, TreeBuilder};

/// The comment that stands from its first mark at `start` up to `end`.
pub(super) fn read(source: &[u8], start: usize, end: usize, builder: &mut TreeBuilder) -> Comment {
    let mark = source[start];
    let lead = source[start..end]
        .iter()
        .take_while(|byte| **byte == mark || **byte == b' ')
        .count();
    let span = Span::new(start + lead, end);
    let body = &source[span.range()];
    let padded = memchr::memchr(b'\n', body).is_some() && lines(body).any(is_blank);
    let text = match padded {
        true => builder.decoded(&pad(body)),
        false => Text::in_source(span),
    };
    Comment { span, text }
}

/// Appends what a comment's `text` is spelled as. A line that would not be a comment is made one, so that a
/// comment sealed elsewhere can never turn into a key.
pub(crate) fn spell(text: &[u8], out: &mut Vec<u8>) {
    for (nth, line) in lines(text).enumerate() {
        if nth > 0 {
            out.push(b'\n');
        }
        let padded = line.len() < text.len() && is_blank(line);
        let line = line.strip_prefix(b" ").filter(|_| padded).unwrap_or(line);
        if nth > 0 && !matches!(trim_start(line).first(), None | Some(b'#' | b';')) {
            out.extend_from_slice(b"; ");
        }
        out.extend_from_slice(line);
    }
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n')
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(|byte| *byte == b' ')
}

fn pad(body: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(body.len() + 16);
    for (nth, line) in lines(body).enumerate() {
        if nth > 0 {
            text.push(b'\n');
        }
        if is_blank(line) {
            text.push(b' ');
        }
        text.extend_from_slice(line);
    }
    text
}
