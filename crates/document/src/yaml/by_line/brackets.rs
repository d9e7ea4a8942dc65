//! Collections in brackets that end in the line in which they begin.

use super::Reader;
use crate::tree::{Span, Style, Text};

/// Deepest nesting of brackets that is read here.
const DEPTH: usize = 32;

impl Reader<'_> {
    /// Reads the collection at `at`, which stands in no other brackets, and answers where the next line begins.
    pub(super) fn outer_brackets(&mut self, at: usize) -> Option<usize> {
        let span = self.brackets(at, DEPTH)?;
        self.flows.push(span);
        self.rest(span.end as usize)
    }

    fn brackets(&mut self, start: usize, depth: usize) -> Option<Span> {
        let list = self.bytes[start] == b'[';
        let close = if list { b']' } else { b'}' };
        self.push(list, start, 0)?;
        let mut at = self.skip_spaces(start + 1);
        if *self.bytes.get(at)? != close {
            loop {
                at = self.child(at, list, depth.checked_sub(1)?)?;
                match *self.bytes.get(at)? {
                    b',' => at = self.skip_spaces(at + 1),
                    byte if byte == close => break,
                    _ => return None,
                }
            }
        }
        self.last_end = at + 1;
        self.pop(true)
    }

    /// Reads an item or entry at `at`, and the spaces behind it.
    fn child(&mut self, mut at: usize, list: bool, depth: usize) -> Option<usize> {
        if *self.bytes.get(at)? == b'\n' {
            return None;
        }
        if !list {
            let (text, span) = self.key(at).filter(|(_, span)| self.fits_in_brackets(*span))?;
            self.open.last_mut()?.key = Some((text, span));
            at = self.skip_spaces(span.end as usize + 1);
        }
        let end = match *self.bytes.get(at)? {
            b'[' | b'{' => self.brackets(at, depth)?.end as usize,
            b'"' | b'\'' => self.quoted_value(at)?,
            b'\n' => return None,
            _ if self.is_plain(at) => self.plain_in_brackets(at)?,
            _ => return None,
        };
        Some(self.skip_spaces(end))
    }

    /// Whether a key is in quotes or holds no sign that has a meaning in brackets.
    fn fits_in_brackets(&self, key: Span) -> bool {
        let key = &self.bytes[key.range()];
        matches!(key[0], b'"' | b'\'')
            || !key
                .iter()
                .any(|byte| matches!(byte, b',' | b'[' | b']' | b'{' | b'}'))
    }

    /// A plain value up to a bracket or comma. A `:` may only stand within a word.
    fn plain_in_brackets(&mut self, start: usize) -> Option<usize> {
        let bytes = self.bytes;
        let (mut at, mut end) = (start, start);
        loop {
            match *bytes.get(at)? {
                b',' | b'[' | b']' | b'{' | b'}' => break,
                b' ' => {}
                b'\n' => return None,
                b'#' if bytes[at - 1] == b' ' => return None,
                b':' if matches!(
                    *bytes.get(at + 1)?,
                    b' ' | b'\n' | b',' | b'[' | b']' | b'{' | b'}'
                ) =>
                {
                    return None;
                }
                _ => end = at + 1,
            }
            at += 1;
        }
        let span = Span::new(start, end);
        if &bytes[span.range()] == b"-" {
            return None;
        }
        self.scalar(span, Text::in_source(span), Style::Plain);
        Some(end)
    }
}
