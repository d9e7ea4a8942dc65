//! Reading an INI file into a tree, line by line as go-ini does.

use std::borrow::Cow;
use std::collections::HashMap;

use super::value::{self, next_line, trim_end, trim_start};
use super::{DEFAULT, comment};
use crate::conflict;
use crate::document::{Form, Limits};
use crate::error::{Error, Position};
use crate::tree::{Child, Comment, Node, NodeId, Span, Text, Tree, TreeBuilder};

/// Reads a whole source.
pub(crate) fn read(source: &[u8], form: Form, _limits: &Limits) -> Result<Tree, Error> {
    conflict::refuse(source)?;
    if let [0xFE, 0xFF, ..] | [0xFF, 0xFE, ..] = source {
        return Err(Error::syntax(source, 0, "the file is UTF-16; save it as UTF-8"));
    }
    if form == Form::Plain && source.ends_with(b"\r") {
        return Err(Error::syntax(
            source,
            source.len() - 1,
            "a carriage return without a line feed ends the file",
        ));
    }
    let mut builder = TreeBuilder::with_capacity(source.len() / 64 + 8);
    let key = builder.decoded(DEFAULT);
    let start = body(source);
    let section = Section::new(key, Span::new(start, start), start, true);
    Reader {
        source,
        form,
        builder,
        section,
        done: Vec::new(),
        lines: None,
        data: None,
        lost: Vec::new(),
    }
    .document()
}

/// Where the text begins: behind the byte order mark, if there is one.
pub(super) fn body(source: &[u8]) -> usize {
    if source.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 }
}

/// The section that is being read.
struct Section<'a> {
    key: Text,
    key_span: Span,
    start: usize,
    end: usize,
    /// Whether it is not the metadata block.
    data: bool,
    children: Vec<Child>,
    /// Every key with its place among the children.
    names: HashMap<Cow<'a, [u8]>, usize>,
    /// How many keys called `-` there were.
    unnamed: usize,
    /// Comments that go-ini drops.
    lost: Vec<Comment>,
}

impl Section<'_> {
    fn new(key: Text, key_span: Span, start: usize, data: bool) -> Self {
        let names = HashMap::new();
        let (children, lost) = (Vec::new(), Vec::new());
        Self {
            key,
            key_span,
            start,
            end: key_span.end as usize,
            data,
            children,
            names,
            unnamed: 0,
            lost,
        }
    }
}

struct Reader<'a> {
    source: &'a [u8],
    form: Form,
    builder: TreeBuilder,
    section: Section<'a>,
    /// The sections before it, as children of the root.
    done: Vec<Child>,
    /// The comment lines that wait for a key or a section: from the first mark to the end of the last.
    lines: Option<(usize, usize)>,
    /// The last section that is not the metadata block.
    data: Option<NodeId>,
    lost: Vec<(NodeId, Comment)>,
}

impl<'a> Reader<'a> {
    fn document(mut self) -> Result<Tree, Error> {
        let mut at = body(self.source);
        while at < self.source.len() {
            at = self.line(at)?;
        }
        let trailing = self.waiting();
        self.end_section();
        if let (Some(comment), Some(section)) = (trailing, self.data) {
            self.lost.push((section, comment));
        }
        let mark = self.builder.mark();
        for child in self.done {
            self.builder.push(child);
        }
        let root = self.builder.end_map(mark, Span::new(0, self.source.len()), false);
        self.builder.root(root);
        let mut tree = self.builder.finish();
        tree.lost = self.lost;
        Ok(tree)
    }

    /// Reads the line at `at`, and those that belong to its value; gives the offset of the next.
    fn line(&mut self, at: usize) -> Result<usize, Error> {
        let next = next_line(self.source, at);
        let line = trim_start(&self.source[at..next]);
        let start = next - line.len();
        match line.first() {
            None => Ok(next),
            Some(b'#' | b';') => {
                let end = start + trim_end(line).len();
                let from = self.lines.map_or(start, |(from, _)| from);
                self.lines = Some((from, end));
                Ok(next)
            }
            Some(b'[') => self.header(start, next),
            Some(_) => self.entry(start, next),
        }
    }

    fn header(&mut self, start: usize, next: usize) -> Result<usize, Error> {
        let line = &self.source[start..next];
        let Some(close) = memchr::memrchr(b']', line) else {
            return Err(self.error(start, "a section header without ]"));
        };
        let (name, rest) = (&line[1..close], &line[close + 1..]);
        if name.is_empty() {
            return Err(self.error(start, "a section header without a name"));
        }
        let comment = rest.iter().position(|byte| matches!(byte, b'#' | b';'));
        if comment.is_some() || name.contains(&b']') {
            self.doubt(
                start,
                "a comment behind a section header, or ] inside it, cannot be sealed: \
                               put the comment on a line of its own above",
            )?;
        }
        if !trim_end(rest).is_empty() {
            self.doubt(start, "sops drops the text behind a section header")?;
        }
        self.utf8(start, name)?;
        let above = self.waiting();
        let data = name != b"sops";
        self.end_section();
        let key_span = Span::new(start + 1, start + close);
        self.section = Section::new(Text::in_source(key_span), key_span, start, data);
        self.section.end = start + close + 1;
        match (above, self.data) {
            (Some(comment), Some(before)) if !data => self.lost.push((before, comment)),
            (above, _) => self.section.children.extend(above.map(Child::Comment)),
        }
        if let Some(mark) = comment {
            let mark = start + close + 1 + mark;
            let end = mark + trim_end(&self.source[mark..next]).len();
            let comment = comment::read(self.source, mark, end, &mut self.builder);
            self.section.children.push(Child::Comment(comment));
        }
        Ok(next)
    }

    fn entry(&mut self, start: usize, next: usize) -> Result<usize, Error> {
        let line = &self.source[start..next];
        let name = Name::read(line).map_err(|why| self.error(start, why))?;
        if let Some(why) = name.doubt {
            self.doubt(start, why)?;
        }
        self.utf8(start, name.text)?;
        let from = start + name.length;
        let value = value::read(self.source, from).map_err(|why| self.error(start, why))?;
        if let Some(why) = value.doubt {
            self.doubt(start, why)?;
        }
        let text = match &value.text {
            Cow::Borrowed(text) => Text::in_source(Span::new(value.body, value.body + text.len())),
            Cow::Owned(text) => self.builder.decoded(text),
        };
        let span = Span::new(value.span.0, value.span.1);
        let node = self.builder.node(Node::Scalar {
            span,
            text,
            style: value.style,
            tag: None,
        });
        let key_span = Span::new(start, start + name.written);
        self.add(name.text, key_span, start + name.offset, node)?;
        self.section.end = value.span.1;
        let above = self.waiting();
        self.section.children.extend(above.map(Child::Comment));
        if let Some((mark, end)) = value.comment {
            if above.is_some_and(|above| above.span.is_empty()) {
                self.doubt(
                    start,
                    "sops crashes on a comment without text above a key with a comment behind it",
                )?;
            }
            let comment = comment::read(self.source, mark, end, &mut self.builder);
            match value.kept {
                true => self.section.children.push(Child::Comment(comment)),
                false => self.section.lost.push(comment),
            }
        }
        Ok(value.next)
    }

    /// Adds a key to the section. One that stands there already gets the new value, as in go-ini.
    fn add(&mut self, name: &'a [u8], key_span: Span, offset: usize, value: NodeId) -> Result<(), Error> {
        let (name, key) = if name == b"-" {
            self.section.unnamed += 1;
            let name = format!("#{}", self.section.unnamed).into_bytes();
            let key = self.builder.decoded(&name);
            (Cow::Owned(name), key)
        } else {
            (
                Cow::Borrowed(name),
                Text::in_source(Span::new(offset, offset + name.len())),
            )
        };
        let place = self.section.children.len();
        let entry = Child::Entry { key, key_span, value };
        match self.section.names.get(&name) {
            None => {
                self.section.names.insert(name, place);
                self.section.children.push(entry);
            }
            Some(first) => {
                let first = *first;
                if let (Form::Plain, Child::Entry { key_span: first, .. }) =
                    (self.form, self.section.children[first])
                {
                    let line = Position::of(self.source, first.start as usize).line;
                    let name = String::from_utf8_lossy(&name);
                    let why = format!("the key {name:?} stands twice in its section, first on line {line}");
                    return Err(self.error(key_span.start as usize, why));
                }
                self.section.children[first] = entry;
            }
        }
        Ok(())
    }

    /// The comment that the waiting lines are.
    fn waiting(&mut self) -> Option<Comment> {
        let (start, end) = self.lines.take()?;
        Some(comment::read(self.source, start, end, &mut self.builder))
    }

    fn end_section(&mut self) {
        let mark = self.builder.mark();
        for child in self.section.children.drain(..) {
            self.builder.push(child);
        }
        let Section {
            key,
            key_span,
            start,
            end,
            data,
            ..
        } = self.section;
        let value = self
            .builder
            .end_map(mark, Span::new(start, end.max(start)), false);
        self.done.push(Child::Entry { key, key_span, value });
        if data {
            self.data = Some(value);
            self.lost
                .extend(self.section.lost.drain(..).map(|comment| (value, comment)));
        }
    }

    /// Refuses in an author's file what is only tolerated in a sealed one.
    fn doubt(&self, at: usize, why: &str) -> Result<(), Error> {
        match self.form {
            Form::Plain => Err(self.error(at, why)),
            Form::Sealed => Ok(()),
        }
    }

    fn utf8(&self, at: usize, name: &[u8]) -> Result<(), Error> {
        match std::str::from_utf8(name) {
            Ok(_) => Ok(()),
            Err(_) => self.doubt(at, "a name that is not valid UTF-8"),
        }
    }

    fn error(&self, at: usize, why: impl Into<String>) -> Error {
        Error::syntax(self.source, at, why)
    }
}

/// The name before a delimiter.
pub(super) struct Name<'a> {
    pub(super) text: &'a [u8],
    /// Offset of `text` in the line.
    offset: usize,
    /// Length as written, quotes included.
    written: usize,
    /// Length up to and with the delimiter.
    length: usize,
    pub(super) doubt: Option<&'static str>,
}

impl<'a> Name<'a> {
    /// Reads the name that begins a line.
    pub(super) fn read(line: &'a [u8]) -> Result<Self, &'static str> {
        let is_delimiter = |byte: &u8| matches!(byte, b'=' | b':');
        let quote: &[u8] = match line {
            [b'"', b'"', b'"', ..] if line.len() > 6 => b"\"\"\"",
            [b'"', ..] => b"\"",
            [b'`', ..] => b"`",
            _ => b"",
        };
        let (inner, written) = if quote.is_empty() {
            let end = line
                .iter()
                .position(is_delimiter)
                .ok_or("a line without = that is no section header")?;
            (0..end, trim_end(&line[..end]).len())
        } else {
            let length =
                memchr::memmem::find(&line[quote.len()..], quote).ok_or("the quoted key is not closed")?;
            (quote.len()..quote.len() + length, length + 2 * quote.len())
        };
        let text = trim_start(&line[inner.clone()]);
        let offset = inner.end - text.len();
        let text = trim_end(text);
        if text.is_empty() {
            return Err("a value without a key");
        }
        let between = line[written..]
            .iter()
            .position(is_delimiter)
            .ok_or("a key without =")?;
        let doubt = if text == b"-" {
            Some("sops loses keys called -")
        } else if !trim_start(&line[written..written + between]).is_empty() {
            Some("sops drops what stands between a quoted key and =")
        } else {
            None
        };
        Ok(Self {
            text,
            offset,
            written,
            length: written + between + 1,
            doubt,
        })
    }
}
