//! What the `layout` field holds: spellings of the author that the sealed form cannot show.
//!
//! ```text
//! content = entry*
//! entry   = kind(1) key(len, bytes) header(len, bytes) text(len, bytes)      len: u32 big-endian
//! key     = document(u32 be) step*      step = 'k' len name | 'i' u32 be position
//! ```
//! Kinds: `v` the text of a sealed value, `a` an alias, `h` the header of a clear block scalar at the file's
//! end. An entry says how something is spelled, never what it says: it is used only where the spelling means
//! the very value that was opened.

use std::collections::HashMap;

use document::Event;

/// The kinds of entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Value = b'v' as isize,
    Alias = b'a' as isize,
    Header = b'h' as isize,
    Key = b'k' as isize,
}

/// Collects entries while a file is sealed.
#[derive(Default)]
pub(crate) struct SpellingsWriter(pub(crate) Vec<u8>);

impl SpellingsWriter {
    pub(crate) fn entry(&mut self, kind: Kind, key: &[u8], header: &[u8], text: &[u8]) {
        self.0.push(kind as u8);
        for part in [key, header, text] {
            self.0.extend_from_slice(&(part.len() as u32).to_be_bytes());
            self.0.extend_from_slice(part);
        }
    }
}

/// The entries of a file, by kind and key. Several entries of one key (duplicate keys) are used in order.
#[derive(Default)]
pub(crate) struct Spellings<'a>(HashMap<u8, HashMap<&'a [u8], Texts<'a>>>);

/// Header and text of every entry of one key, the last one first.
type Texts<'a> = Vec<(&'a [u8], &'a [u8])>;

impl<'a> Spellings<'a> {
    /// Reads the content of a layout; `None` if it does not read.
    pub(crate) fn parse(mut content: &'a [u8]) -> Option<Self> {
        let mut entries: HashMap<u8, HashMap<&[u8], Texts<'_>>> = HashMap::new();
        while let Some((kind, rest)) = content.split_first() {
            content = rest;
            let key = part(&mut content)?;
            let header = part(&mut content)?;
            let text = part(&mut content)?;
            entries
                .entry(*kind)
                .or_default()
                .entry(key)
                .or_default()
                .push((header, text));
        }
        for list in entries.values_mut().flat_map(HashMap::values_mut) {
            list.reverse();
        }
        Some(Self(entries))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next header and text under `key`.
    pub(crate) fn take(&mut self, kind: Kind, key: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
        self.0.get_mut(&(kind as u8))?.get_mut(key)?.pop()
    }
}

fn part<'a>(content: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (len, rest) = content.split_first_chunk::<4>()?;
    let (part, rest) = rest.split_at_checked(u32::from_be_bytes(*len) as usize)?;
    *content = rest;
    Some(part)
}

/// Follows a walk and knows the key of the place it has reached.
#[derive(Default)]
pub(crate) struct Place {
    key: Vec<u8>,
    /// Per container: where its own key ends, and the next position if it is a list.
    levels: Vec<(usize, Option<u32>)>,
}

impl Place {
    /// Before anything else is made of an event.
    pub(crate) fn follow(&mut self, event: &Event<'_>) {
        match *event {
            Event::Document(number) => self.document(number),
            Event::Key(key, _) => self.key(key),
            Event::Map(_) | Event::List(_) => {
                self.value();
                self.enter(matches!(event, Event::List(_)));
            }
            Event::Leaf(_) => self.value(),
            Event::End => self.leave(),
            Event::Comment(_) | Event::Lost(..) | Event::Alias(_) | Event::AliasEnd(_) => {}
        }
    }

    pub(crate) fn document(&mut self, number: usize) {
        self.key.clear();
        self.key.extend_from_slice(&(number as u32).to_be_bytes());
        self.levels.clear();
        self.levels.push((self.key.len(), None));
    }

    pub(crate) fn key(&mut self, name: &[u8]) {
        self.key.push(b'k');
        self.key.extend_from_slice(&(name.len() as u32).to_be_bytes());
        self.key.extend_from_slice(name);
    }

    /// Before any value: in a list it has a position.
    pub(crate) fn value(&mut self) {
        if let Some((_, Some(next))) = self.levels.last() {
            let position = next.to_be_bytes();
            self.key.push(b'i');
            self.key.extend_from_slice(&position);
        }
    }

    pub(crate) fn enter(&mut self, list: bool) {
        self.levels.push((self.key.len(), list.then_some(0)));
    }

    pub(crate) fn leave(&mut self) {
        self.levels.pop();
        self.done();
    }

    /// Behind any value.
    pub(crate) fn done(&mut self) {
        if let Some((end, next)) = self.levels.last_mut() {
            self.key.truncate(*end);
            if let Some(next) = next {
                *next += 1;
            }
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_by_key_and_in_order() {
        let mut writer = SpellingsWriter::default();
        writer.entry(Kind::Value, b"k1", b"", b"0x1F");
        writer.entry(Kind::Value, b"k1", b"", b"0x2F");
        writer.entry(Kind::Alias, b"k1", b"", b"*a");
        let mut read = Spellings::parse(&writer.0).expect("it reads");
        assert_eq!(read.take(Kind::Value, b"k1"), Some((&b""[..], &b"0x1F"[..])));
        assert_eq!(read.take(Kind::Value, b"k1"), Some((&b""[..], &b"0x2F"[..])));
        assert_eq!(read.take(Kind::Value, b"k1"), None);
        assert_eq!(read.take(Kind::Alias, b"k1"), Some((&b""[..], &b"*a"[..])));
        assert!(Spellings::parse(&writer.0[..writer.0.len() - 1]).is_none());
    }
}
