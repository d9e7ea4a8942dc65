//! Edits: byte ranges of a source and what stands there instead.

use secret::SecretBytes;

use crate::tree::Span;

/// Replacements of disjoint ranges of one source, kept in one buffer so that a hundred thousand of them are
/// two allocations. They may be recorded in any order.
#[derive(Debug, Default)]
pub struct Edits {
    splices: Vec<(Span, Span)>,
    buffer: SecretBytes,
}

impl Edits {
    /// No edits yet, with room for `count` of them and `bytes` bytes of new text.
    pub fn with_capacity(count: usize, bytes: usize) -> Self {
        Self {
            splices: Vec::with_capacity(count),
            buffer: SecretBytes::new(Vec::with_capacity(bytes)),
        }
    }

    /// Replaces `span` by the concatenation of `parts`.
    pub fn replace(&mut self, span: Span, parts: &[&[u8]]) {
        self.replace_with(span, |buffer| {
            for part in parts {
                buffer.extend_from_slice(part);
            }
        });
    }

    /// Replaces `span` by what `write` appends to the buffer that it is given, and may not read.
    pub fn replace_with(&mut self, span: Span, write: impl FnOnce(&mut Vec<u8>)) {
        let buffer = self.buffer.expose_mut();
        let start = buffer.len();
        write(buffer);
        let with = Span::new(start, buffer.len());
        self.splices.push((span, with));
    }

    /// Inserts `text` before the byte at `offset`. Insertions at one offset stand in the order of recording,
    /// before a replacement that begins there.
    pub fn insert(&mut self, offset: usize, text: &[u8]) {
        self.replace(Span::new(offset, offset), &[text]);
    }

    /// Removes `span`.
    pub fn remove(&mut self, span: Span) {
        self.replace(span, &[]);
    }

    /// Whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.splices.is_empty()
    }

    /// What is replaced, in the order of recording.
    pub fn spans(&self) -> impl Iterator<Item = Span> + '_ {
        self.splices.iter().map(|(span, _)| *span)
    }

    /// Adds all of `other`'s edits, which must be disjoint from these.
    pub fn append(&mut self, other: &Edits) {
        for &(span, with) in &other.splices {
            self.replace(span, &[&other.buffer.expose()[with.range()]]);
        }
    }

    /// `source` with all edits applied, in a buffer with room for `room` bytes more.
    ///
    /// # Panics
    /// If two edits overlap: that is a bug of the caller, never a property of the input.
    pub fn apply(&self, source: &[u8], room: usize) -> SecretBytes {
        let splices = self.sorted();
        let removed: usize = splices.iter().map(|(span, _)| span.len()).sum();
        let len = source.len() + self.buffer.len() - removed.min(source.len());
        let mut out = Vec::with_capacity(len + room);
        self.write(&splices, source, 0, &mut out);
        SecretBytes::new(out)
    }

    /// The same, in `source` itself: what stands before the first edit is not copied if there is room.
    ///
    /// # Panics
    /// As [`Self::apply`].
    pub fn apply_to(&self, mut source: SecretBytes) -> SecretBytes {
        let splices = self.sorted();
        let Some((first, _)) = splices.first() else {
            return source;
        };
        let start = first.start as usize;
        let mut tail = SecretBytes::default();
        self.write(&splices, source.expose(), start, tail.expose_mut());
        let text = source.expose_mut();
        text.truncate(start);
        text.extend_from_slice(tail.expose());
        source
    }

    fn sorted(&self) -> Vec<(Span, Span)> {
        let mut splices = self.splices.clone();
        if !splices.is_sorted_by_key(|(span, _)| (span.start, span.end)) {
            splices.sort_by_key(|(span, _)| (span.start, span.end));
        }
        splices
    }

    /// Writes what becomes of `source` from `done` on.
    fn write(&self, splices: &[(Span, Span)], source: &[u8], mut done: usize, out: &mut Vec<u8>) {
        for (span, with) in splices {
            assert!(span.start as usize >= done, "edits overlap");
            out.extend_from_slice(&source[done..span.start as usize]);
            out.extend_from_slice(&self.buffer.expose()[with.range()]);
            done = span.end as usize;
        }
        out.extend_from_slice(&source[done..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_apply_in_place_whatever_their_order() {
        let mut edits = Edits::default();
        edits.replace(Span::new(6, 11), &[b"wor", b"ld!"]);
        edits.insert(0, b">> ");
        edits.remove(Span::new(5, 6));
        assert_eq!(edits.apply(b"hello there", 0).expose(), b">> helloworld!");
    }

    #[test]
    fn edits_apply_in_the_source_itself() {
        let mut edits = Edits::default();
        let source = || SecretBytes::copy_from(b"hello there");
        assert_eq!(edits.apply_to(source()).expose(), b"hello there");
        edits.replace(Span::new(6, 7), &[b"some", b"w"]);
        edits.insert(11, b"!");
        assert_eq!(edits.apply_to(source()).expose(), b"hello somewhere!");
    }

    #[test]
    #[should_panic(expected = "edits overlap")]
    fn overlapping_edits_are_a_bug() {
        let mut edits = Edits::default();
        edits.remove(Span::new(0, 3));
        edits.remove(Span::new(2, 4));
        edits.apply(b"hello", 0);
    }
}
