//! Reading JSON into a tree: one pass over the bytes, nesting on a heap stack.

use std::hash::{BuildHasher, RandomState};

use super::string::Strings;
use crate::document::{Form, Limits};
use crate::error::{Error, Position};
use crate::tree::{Child, Node, NodeId, Span, Style, Text, Tree, TreeBuilder};

/// Objects with at most so many members are searched for duplicates by comparing all pairs.
const FEW_MEMBERS: usize = 12;

/// Reads a whole source.
pub(super) fn read(source: &[u8], form: Form, limits: &Limits) -> Result<Tree, Error> {
    if source.starts_with(b"\xEF\xBB\xBF") {
        return Err(Error::syntax(
            source,
            0,
            "a byte order mark, which JSON does not allow; remove it",
        ));
    }
    if let Err(error) = std::str::from_utf8(source) {
        return Err(Error::syntax(source, error.valid_up_to(), "not valid UTF-8"));
    }
    Reader {
        source,
        at: 0,
        strings: Strings::new(form),
        builder: TreeBuilder::with_capacity(source.len() / 128 + 8),
        levels: Vec::new(),
        depth: limits.depth,
    }
    .document()
}

/// Refuses an object that has one key twice, naming both lines.
pub(super) fn refuse_duplicates(source: &[u8], tree: &Tree) -> Result<(), Error> {
    let hasher = RandomState::new();
    let mut hashes = Vec::new();
    for map in (0..tree.len() as u32).map(NodeId) {
        let children = tree.children(map);
        let key = |nth: usize| match children[nth] {
            Child::Entry { key, key_span, .. } => Some((tree.text(source, key), key_span)),
            _ => None,
        };
        let is_twice = |first: usize, second: usize| {
            key(first)
                .zip(key(second))
                .is_some_and(|((first, _), (second, _))| first == second)
        };
        let twice = if children.len() <= FEW_MEMBERS {
            (1..children.len())
                .find_map(|second| Some(((0..second).find(|first| is_twice(*first, second))?, second)))
        } else {
            // Sorting hashes is several times faster than filling a table.
            hashes.clear();
            hashes.extend((0..children.len()).filter_map(|nth| Some((hasher.hash_one(key(nth)?.0), nth))));
            hashes.sort_unstable();
            let alike = hashes
                .chunk_by(|(one, _), (next, _)| one == next)
                .filter(|group| group.len() > 1);
            alike
                .flat_map(|group| group.windows(2).map(|pair| (pair[0].1, pair[1].1)))
                .filter(|(first, second)| is_twice(*first, *second))
                .min_by_key(|(_, second)| *second)
        };
        if let Some(((key, first), (_, second))) = twice.and_then(|(one, two)| key(one).zip(key(two))) {
            let line = Position::of(source, first.start as usize).line;
            let key = String::from_utf8_lossy(key);
            let why = format!("the key {key:?} stands twice in one object, first on line {line}");
            return Err(Error::syntax(source, second.start as usize, why));
        }
    }
    Ok(())
}

/// An object or list that is still open.
struct Level {
    /// Where its children begin on the builder's stack.
    mark: usize,
    start: usize,
    map: bool,
    /// The key whose value is read next.
    key: Option<(Text, Span)>,
}

struct Reader<'a> {
    source: &'a [u8],
    at: usize,
    strings: Strings,
    builder: TreeBuilder,
    levels: Vec<Level>,
    depth: usize,
}

impl Reader<'_> {
    fn document(mut self) -> Result<Tree, Error> {
        self.blanks();
        match self.peek() {
            Some(b'{') => {}
            None => return Err(self.error("the file is empty; sops needs an object like {}")),
            Some(_) => return Err(self.error("the root must be an object; wrap it like {\"data\": ...}")),
        }
        let root = loop {
            let Some(node) = self.value()? else { continue };
            if let Some(root) = self.attach(node)? {
                break root;
            }
        };
        self.blanks();
        if self.at < self.source.len() {
            return Err(self.error("text behind the end of the root object"));
        }
        self.builder.root(root);
        Ok(self.builder.finish())
    }

    /// Reads one value; `None` when a container was opened that has something in it.
    fn value(&mut self) -> Result<Option<NodeId>, Error> {
        self.blanks();
        match self.peek() {
            Some(b'{') => self.open(true),
            Some(b'[') => self.open(false),
            Some(b'"') => {
                let (span, text) = self.string()?;
                Ok(Some(self.builder.node(Node::Scalar {
                    span,
                    text,
                    style: Style::DoubleQuoted,
                    tag: None,
                })))
            }
            Some(_) => {
                let start = self.at;
                self.at += bare_length(&self.source[start..]);
                if self.at == start {
                    return Err(self.error("expected a value"));
                }
                let span = Span::new(start, self.at);
                let text = Text::in_source(span);
                Ok(Some(self.builder.node(Node::Scalar {
                    span,
                    text,
                    style: Style::Plain,
                    tag: None,
                })))
            }
            None => Err(self.error("the file ends where a value is expected")),
        }
    }

    fn open(&mut self, map: bool) -> Result<Option<NodeId>, Error> {
        if self.levels.len() >= self.depth {
            let why = format!("nested deeper than the limit of {} levels", self.depth);
            return Err(Error::Limit {
                at: Position::of(self.source, self.at),
                why,
            });
        }
        self.levels.push(Level {
            mark: self.builder.mark(),
            start: self.at,
            map,
            key: None,
        });
        self.at += 1;
        self.blanks();
        if self.peek() == Some(if map { b'}' } else { b']' }) {
            return Ok(self.close());
        }
        if map {
            self.key()?;
        }
        Ok(None)
    }

    /// Ends the innermost container at the bracket that stands here.
    fn close(&mut self) -> Option<NodeId> {
        let level = self.levels.pop()?;
        self.at += 1;
        let span = Span::new(level.start, self.at);
        Some(if level.map {
            self.builder.end_map(level.mark, span, true)
        } else {
            self.builder.end_list(level.mark, span, true)
        })
    }

    /// Puts a finished value where it belongs, ends what ends behind it, and goes to the next value. The
    /// answer is the root when that was the last.
    fn attach(&mut self, mut node: NodeId) -> Result<Option<NodeId>, Error> {
        loop {
            let Some(level) = self.levels.last_mut() else {
                return Ok(Some(node));
            };
            let map = level.map;
            self.builder.push(match level.key.take() {
                Some((key, key_span)) => Child::Entry {
                    key,
                    key_span,
                    value: node,
                },
                None => Child::Item(node),
            });
            self.blanks();
            match self.peek() {
                Some(b',') => {
                    self.at += 1;
                    self.blanks();
                    if map {
                        self.key()?;
                    }
                    return Ok(None);
                }
                Some(b'}') if map => {}
                Some(b']') if !map => {}
                Some(_) if map => return Err(self.error("expected , or } behind a value")),
                Some(_) => return Err(self.error("expected , or ] behind an item")),
                None => return Err(self.error("the file ends inside an object or a list")),
            }
            match self.close() {
                Some(closed) => node = closed,
                None => return Ok(None),
            }
        }
    }

    fn key(&mut self) -> Result<(), Error> {
        if self.peek() != Some(b'"') {
            return Err(self.error("expected a key in double quotes"));
        }
        let (span, text) = self.string()?;
        self.blanks();
        if self.peek() != Some(b':') {
            return Err(self.error("expected : behind a key"));
        }
        self.at += 1;
        if let Some(level) = self.levels.last_mut() {
            level.key = Some((text, span));
        }
        Ok(())
    }

    fn string(&mut self) -> Result<(Span, Text), Error> {
        let start = self.at;
        let (end, text) = self.strings.read(self.source, start, &mut self.builder)?;
        self.at = end;
        Ok((Span::new(start, end), text))
    }

    fn blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.source.get(self.at).copied()
    }

    fn error(&self, why: &str) -> Error {
        Error::syntax(self.source, self.at, why)
    }
}

/// How many bytes of `text` are a literal or a number as the grammar has them; 0 where there is none.
fn bare_length(text: &[u8]) -> usize {
    for literal in [b"null".as_slice(), b"true", b"false"] {
        if text.starts_with(literal) {
            return literal.len();
        }
    }
    let digits = |from: usize| {
        text[from..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count()
    };
    let mut at = usize::from(text.first() == Some(&b'-'));
    at += match text.get(at) {
        Some(b'0') => 1,
        Some(b'1'..=b'9') => digits(at),
        _ => return 0,
    };
    if text.get(at) == Some(&b'.') {
        match digits(at + 1) {
            0 => return 0,
            fraction => at += 1 + fraction,
        }
    }
    if let Some(b'e' | b'E') = text.get(at) {
        let sign = usize::from(matches!(text.get(at + 1), Some(b'+' | b'-')));
        match digits(at + 1 + sign) {
            0 => return 0,
            exponent => at += 1 + sign + exponent,
        }
    }
    at
}
