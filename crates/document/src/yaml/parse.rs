//! From events to a tree.

use std::borrow::Cow;
use std::ops::Range;

use granit_parser::{Event, Options, Parser, ScalarStyle, Span as EventSpan, StrInput, StructureStyle};
use secret::SecretBytes;

use super::{keys, lines, strict};
use crate::document::{Form, Limits};
use crate::error::{Error, Position};
use crate::tree::{Child, Node, NodeId, Span, Style, Text, Tree, TreeBuilder};

/// The tree without comments, and its containers in the order in which they begin.
pub(super) fn read(text: &str, form: Form, limits: &Limits) -> Result<(Tree, Vec<NodeId>), Error> {
    Reader::new(text, form, limits).read()
}

/// A container that has begun and not yet ended.
struct Open {
    list: bool,
    flow: bool,
    start: usize,
    mark: usize,
    ordinal: usize,
    key: Option<(Text, Span)>,
    anchor: Option<(usize, Span)>,
    /// How many nodes the container will hold with every alias expanded.
    expanded: usize,
}

struct Reader<'a> {
    text: &'a str,
    form: Form,
    limits: &'a Limits,
    events: Parser<'a, StrInput<'a>>,
    builder: TreeBuilder,
    open: Vec<Open>,
    /// Containers in the order in which they begin, as comments name them.
    containers: Vec<NodeId>,
    /// By anchor id: the node and its expanded size; `None` until the node has ended.
    anchors: Vec<Option<(NodeId, usize)>>,
    ends: Vec<u32>,
    /// Whether the end of the last document is still to be found.
    end_pending: bool,
    /// End of the last token that has text.
    last_end: usize,
    root: Option<NodeId>,
    indent: u8,
    /// The outermost collections in brackets.
    flows: Vec<Span>,
    /// Whether the text holds a tab at all, and is an author's: only then gaps are looked at.
    check_gaps: bool,
    /// Behind a plain scalar: the column in which its further lines would begin.
    plain_column: Option<usize>,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str, form: Form, limits: &'a Limits) -> Self {
        let mut options = Options::default();
        options.set_emit_comments(false);
        options.emit_anchor_events = true;
        options.flow_nesting_limit = limits.depth;
        options.block_nesting_limit = limits.depth;
        Self {
            text,
            form,
            limits,
            events: Parser::new_from_str_with_options(text, options),
            builder: TreeBuilder::with_capacity(text.len() / 48),
            open: Vec::new(),
            containers: Vec::new(),
            anchors: Vec::new(),
            ends: Vec::new(),
            end_pending: false,
            last_end: 0,
            root: None,
            indent: 0,
            flows: Vec::new(),
            check_gaps: form == Form::Plain && memchr::memchr(b'\t', text.as_bytes()).is_some(),
            plain_column: None,
        }
    }

    fn read(mut self) -> Result<(Tree, Vec<NodeId>), Error> {
        while let Some((event, span)) = self.next()? {
            self.event(event, span)?;
        }
        self.check_gap(self.text.len())?;
        let mut tree = self.builder.finish();
        tree.ends = self.ends;
        tree.indent = self.indent;
        tree.flows = self.flows;
        Ok((tree, self.containers))
    }

    fn next(&mut self) -> Result<Option<(Event<'a>, EventSpan)>, Error> {
        let bytes = self.text.as_bytes();
        self.events.next_event().transpose().map_err(|error| {
            let offset = error.marker().byte_offset().unwrap_or(bytes.len());
            match strict::conflict(bytes) {
                Some(at) => Error::Conflict {
                    at: Position::of(bytes, at),
                },
                None => Error::syntax(bytes, offset, error.kind().to_string()),
            }
        })
    }

    fn event(&mut self, event: Event<'a>, at: EventSpan) -> Result<(), Error> {
        let range = at.byte_range().unwrap_or_default();
        match event {
            Event::DocumentStart(explicit, version) => {
                if explicit {
                    self.close_document(range.start)?;
                    strict::directives(self.text, self.last_end, range.start, version.is_some())?;
                    self.last_end = range.end;
                }
                self.root = None;
            }
            Event::DocumentEnd => self.end_document(range)?,
            Event::StreamEnd => self.close_document(self.text.len())?,
            Event::MappingStart(style, anchor, tag) => {
                if let Some(tag) = tag {
                    strict::collection_tag(self.text, &at, &tag.to_string(), false)?;
                }
                self.begin(false, style, anchor, &at, range)?;
            }
            Event::SequenceStart(style, anchor, tag) => {
                if let Some(tag) = tag {
                    strict::collection_tag(self.text, &at, &tag.to_string(), true)?;
                }
                self.begin(true, style, anchor, &at, range)?;
            }
            Event::MappingEnd | Event::SequenceEnd => self.end(range)?,
            Event::Scalar(value, style, anchor, _) => self.scalar(value, style, anchor, &at, range)?,
            Event::Alias(id) => self.alias(id, range)?,
            _ => {}
        }
        Ok(())
    }

    /// The `&name` of the node whose event came last: granit sends it right behind that event.
    fn anchor_of(&mut self, id: usize) -> Result<Option<(usize, Span)>, Error> {
        if id == 0 {
            return Ok(None);
        }
        let Some((Event::Anchor(..), span)) = self.next()? else {
            return Ok(None);
        };
        let range = span.byte_range().unwrap_or_default();
        if self.anchors.len() <= id {
            self.anchors.resize(id + 1, None);
        }
        Ok(Some((id, Span::new(range.start, range.end))))
    }

    fn begin(
        &mut self,
        list: bool,
        style: StructureStyle,
        anchor: usize,
        at: &EventSpan,
        range: Range<usize>,
    ) -> Result<(), Error> {
        let tag_end = at
            .tag_span()
            .and_then(|span| span.byte_range())
            .map_or(0, |range| range.end);
        let anchor = self.anchor_of(anchor)?;
        if let Some((_, name)) = anchor {
            self.check_name(&name.range())?;
        }
        if self.open.len() >= self.limits.depth {
            let why = format!("nested deeper than {} levels", self.limits.depth);
            return Err(Error::Limit {
                at: self.position(range.start),
                why,
            });
        }
        if self
            .open
            .last()
            .is_some_and(|parent| !parent.list && parent.key.is_none())
        {
            return Err(self.refuse(
                range.start,
                "a map or list stands as a key; only text can be a key",
            ));
        }
        let flow = matches!(style, StructureStyle::Flow);
        self.check_properties(at, anchor, range.start)?;
        let mut start = range.start;
        if list && !flow {
            // The parser may report a place behind the first dash.
            let properties = anchor.map_or(0, |(_, name)| name.end as usize).max(tag_end);
            let from = self.announced(self.last_end.max(properties), properties > 0);
            start = lines::find(self.text.as_bytes(), from, b'-').unwrap_or(range.start);
        }
        if self.indent == 0 && !flow && !list {
            self.indent = self.indent_step(range.start);
        }
        self.last_end = self.last_end.max(if flow { range.end } else { start });
        self.plain_column = None;
        self.containers.push(NodeId(0));
        self.open.push(Open {
            list,
            flow,
            start,
            mark: self.builder.mark(),
            ordinal: self.containers.len() - 1,
            key: None,
            anchor,
            expanded: 1,
        });
        Ok(())
    }

    /// By how many columns a block map that begins at `start` stands deeper than the map around it.
    fn indent_step(&self, start: usize) -> u8 {
        let Some(parent) = self.open.last().filter(|parent| !parent.list && !parent.flow) else {
            return 0;
        };
        let (inner, outer) = (
            lines::column(self.text, start),
            lines::column(self.text, parent.start),
        );
        if self.text[parent.start..start].contains('\n') && (1..=16).contains(&inner.saturating_sub(outer)) {
            (inner - outer) as u8
        } else {
            0
        }
    }

    fn end(&mut self, range: Range<usize>) -> Result<(), Error> {
        let Some(open) = self.open.pop() else {
            return Ok(());
        };
        let end = if open.flow && range.end > range.start {
            range.end
        } else {
            self.last_end.max(open.start)
        };
        self.last_end = self.last_end.max(end);
        let span = Span::new(open.start, end);
        if open.flow && !self.open.iter().any(|outer| outer.flow) {
            self.flows.push(span);
        }
        if self.form == Form::Plain && !open.list {
            self.check_keys(open.mark)?;
        }
        let id = if open.list {
            self.builder.end_list(open.mark, span, open.flow)
        } else {
            self.builder.end_map(open.mark, span, open.flow)
        };
        self.containers[open.ordinal] = id;
        if let Some((anchor, name)) = open.anchor {
            self.builder.anchor(id, name);
            self.anchors[anchor] = Some((id, open.expanded));
        }
        self.place(id, open.expanded)
    }

    /// Refuses a map that names a key twice: sops takes it in some documents and not in others.
    fn check_keys(&self, mark: usize) -> Result<(), Error> {
        let bytes = self.text.as_bytes();
        match keys::duplicate(bytes, &self.builder, mark) {
            Some((first, again)) => Err(strict::duplicate(bytes, first, again)),
            None => Ok(()),
        }
    }

    fn scalar(
        &mut self,
        value: Cow<'a, str>,
        style: ScalarStyle,
        anchor: usize,
        at: &EventSpan,
        range: Range<usize>,
    ) -> Result<(), Error> {
        let mut anchor = self.anchor_of(anchor)?;
        let mut range = range;
        let mut value = value;
        if let Some((_, name)) = &mut anchor
            && let Some(cut) = self.cut_name(*name, style, &range)
        {
            name.end = cut as u32;
            range.start = cut;
            value = Cow::Borrowed(&self.text[range.clone()]);
        } else if let Some((_, name)) = anchor {
            self.check_name(&name.range())?;
        }
        let tag = at
            .tag_span()
            .and_then(|span| span.byte_range())
            .map(|range| Span::new(range.start, range.end));
        let from = [
            Some(self.last_end),
            tag.map(|s| s.end as usize),
            anchor.map(|(_, s)| s.end as usize),
        ];
        let from = from.into_iter().flatten().max().unwrap_or(0);
        let style = match style {
            ScalarStyle::Plain => Style::Plain,
            ScalarStyle::SingleQuoted => Style::SingleQuoted,
            ScalarStyle::DoubleQuoted => Style::DoubleQuoted,
            ScalarStyle::Literal => Style::Literal,
            ScalarStyle::Folded => Style::Folded,
        };
        let span = match style {
            Style::Literal | Style::Folded => lines::block_scalar(self.text, from, range),
            Style::Plain if range.is_empty() => {
                let at = self.announced(from, tag.is_some() || anchor.is_some());
                Span::new(at, at)
            }
            _ => Span::new(range.start, range.end),
        };
        self.check_properties(at, anchor, span.start as usize)?;
        self.plain_column = None;
        if self.form == Form::Plain && (self.check_gaps || style == Style::DoubleQuoted || self.in_flow()) {
            // In brackets no column counts, and counting in a long line for every value takes the square of its length.
            let outer = self.open.last().filter(|open| !open.flow);
            let column = outer.map_or(0, |open| lines::column(self.text, open.start) + 1);
            strict::scalar(self.text, span, style, self.in_flow(), column)?;
            let is_plain = style == Style::Plain && !span.is_empty() && !self.in_flow();
            self.plain_column = is_plain.then_some(column);
        }
        let value = match style {
            Style::Literal | Style::Folded => lines::block_value(self.text.as_bytes(), span, value),
            _ => value,
        };
        let text = match value {
            _ if span.is_empty() => Text::in_source(span),
            Cow::Borrowed(text) => {
                let start = text.as_ptr() as usize - self.text.as_ptr() as usize;
                Text::in_source(Span::new(start, start + text.len()))
            }
            Cow::Owned(text) => self.builder.decoded(SecretBytes::new(text.into_bytes()).expose()),
        };
        self.last_end = self.last_end.max(span.end as usize).max(from);
        let id = if self.is_key() {
            return self.key(text, span, style, tag, anchor);
        } else {
            self.builder.node(Node::Scalar {
                span,
                text,
                style,
                tag,
            })
        };
        if let Some((anchor, name)) = anchor {
            self.builder.anchor(id, name);
            self.anchors[anchor] = Some((id, 1));
        }
        self.place(id, 1)
    }

    /// Where a value may begin, and where an absent one stands: right behind the `:` or `-` that announces it, or
    /// behind its properties, which end at `from`.
    fn announced(&self, from: usize, has_properties: bool) -> usize {
        let bytes = self.text.as_bytes();
        let sign = match self.open.last() {
            Some(parent) if parent.list => Some(b'-'),
            Some(parent) if parent.key.is_some() => Some(b':'),
            _ => None,
        };
        let found = sign
            .filter(|_| !has_properties)
            .and_then(|sign| lines::find(bytes, from, sign));
        found.map_or(from, |at| at + 1)
    }

    fn is_key(&self) -> bool {
        self.open
            .last()
            .is_some_and(|parent| !parent.list && parent.key.is_none())
    }

    fn key(
        &mut self,
        text: Text,
        span: Span,
        style: Style,
        tag: Option<Span>,
        anchor: Option<(usize, Span)>,
    ) -> Result<(), Error> {
        let node = Node::Scalar {
            span,
            text,
            style,
            tag,
        };
        if !strict::is_text_key(
            self.text.as_bytes(),
            self.builder.text(self.text.as_bytes(), text),
            &node,
        ) {
            return Err(self.refuse(span.start as usize, "a key is not text; put it in quotes"));
        }
        if self.form == Form::Plain && self.in_flow() {
            strict::flow_key(self.text, span)?;
        }
        if let Some((anchor, name)) = anchor {
            let id = self.builder.node(node);
            self.builder.anchor(id, name);
            self.anchors[anchor] = Some((id, 1));
        }
        if let Some(parent) = self.open.last_mut() {
            parent.key = Some((text, span));
        }
        Ok(())
    }

    fn alias(&mut self, id: usize, range: Range<usize>) -> Result<(), Error> {
        let span = Span::new(range.start, range.end);
        self.check_gap(range.start)?;
        self.check_name(&range)?;
        self.last_end = self.last_end.max(range.end);
        let Some((target, expanded)) = self.anchors.get(id).copied().flatten() else {
            return Err(self.refuse(range.start, "the alias stands inside the very node it names"));
        };
        if self.is_key() {
            return self.alias_key(target, span);
        }
        let total = self
            .open
            .iter()
            .fold(expanded, |sum, open| sum.saturating_add(open.expanded));
        if total > self.limits.expanded {
            let why = format!("aliases expand to more than {} nodes", self.limits.expanded);
            return Err(Error::Limit {
                at: self.position(range.start),
                why,
            });
        }
        let node = self.builder.node(Node::Alias { span, target });
        self.place(node, expanded)
    }

    /// An alias in place of a key: the entry has the name that its anchor says.
    fn alias_key(&mut self, target: NodeId, span: Span) -> Result<(), Error> {
        let node = *self.builder.get(target);
        let bytes = self.text.as_bytes();
        let text = match node {
            Node::Scalar { text, .. }
                if strict::is_text_key(bytes, self.builder.text(bytes, text), &node) =>
            {
                text
            }
            _ => return Err(self.refuse(span.start as usize, "the alias stands as a key, but not for text")),
        };
        self.builder.alias_key(span, target);
        if let Some(parent) = self.open.last_mut() {
            parent.key = Some((text, span));
        }
        Ok(())
    }

    /// Puts a finished node where it belongs: under the pending key, in the list, or as the root.
    fn place(&mut self, id: NodeId, expanded: usize) -> Result<(), Error> {
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(id);
            return Ok(());
        };
        parent.expanded = parent.expanded.saturating_add(expanded);
        let child = match parent.key.take() {
            Some((key, key_span)) => Child::Entry {
                key,
                key_span,
                value: id,
            },
            None => Child::Item(id),
        };
        self.builder.push(child);
        Ok(())
    }

    fn end_document(&mut self, range: Range<usize>) -> Result<(), Error> {
        self.end_pending = true;
        if range.end > range.start {
            self.close_document(range.start)?;
            self.last_end = range.end;
        }
        Ok(())
    }

    /// Notes that the last document, if its end is still open, ends at `offset`.
    fn close_document(&mut self, offset: usize) -> Result<(), Error> {
        if !std::mem::take(&mut self.end_pending) {
            return Ok(());
        }
        self.ends.push(offset as u32);
        let root = match self.root.take() {
            Some(id) if !matches!(self.builder.get(id), Node::Scalar { span, .. } if span.is_empty()) => id,
            _ => self.empty_root(offset),
        };
        let node = self.builder.get(root);
        if !matches!(node, Node::Map { .. }) {
            let why = "the document is not a map; only a map can be sealed, so put it below a key";
            return Err(self.refuse(node.span().start as usize, why));
        }
        self.builder.root(root);
        Ok(())
    }

    /// The root of a document that says nothing. The block that will stand there makes it a map, in the order
    /// of beginnings too.
    fn empty_root(&mut self, offset: usize) -> NodeId {
        let mark = self.builder.mark();
        let id = self.builder.end_map(mark, Span::new(offset, offset), false);
        if self.form == Form::Plain {
            self.containers.push(id);
        }
        id
    }

    fn in_flow(&self) -> bool {
        self.open.last().is_some_and(|open| open.flow)
    }

    /// Looks at the blanks between the last token and the one at `to`.
    fn check_gap(&self, to: usize) -> Result<(), Error> {
        if self.check_gaps && !self.in_flow() && self.last_end < to {
            strict::gap(self.text, self.last_end, to, self.plain_column)?;
        }
        Ok(())
    }

    /// Looks at the gap before a node and at the tag and anchor in it.
    fn check_properties(
        &self,
        at: &EventSpan,
        anchor: Option<(usize, Span)>,
        start: usize,
    ) -> Result<(), Error> {
        let tag = at.tag_span().and_then(|span| span.byte_range());
        let first = [
            tag.as_ref().map(|tag| tag.start),
            anchor.map(|(_, name)| name.start as usize),
            Some(start),
        ];
        self.check_gap(first.into_iter().flatten().min().unwrap_or(start))?;
        match tag {
            Some(tag) if self.form == Form::Plain => strict::tag(self.text, tag, start),
            _ => Ok(()),
        }
    }

    /// Where the name of an anchor ends for sops' library if that is earlier than here: a colon ends it and
    /// begins a plain scalar.
    fn cut_name(&self, name: Span, style: ScalarStyle, value: &Range<usize>) -> Option<usize> {
        let text = &self.text[name.range()];
        let cut = 1 + text[1..].find(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_')?;
        let line = &self.text[name.start as usize..value.end];
        let fits = style == ScalarStyle::Plain && !self.in_flow() && !self.is_key() && !value.is_empty();
        let one_line = text[cut..].starts_with(':')
            && cut > 1
            && cut + 1 < text.len()
            && !line.contains(['\n', '#', '!']);
        (fits && one_line && self.form == Form::Plain).then_some(name.start as usize + cut)
    }

    /// The characters that sops' library takes in the name of an anchor.
    fn check_name(&self, range: &Range<usize>) -> Result<(), Error> {
        let fine = self.text[range.clone()]
            .bytes()
            .skip(1)
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        if fine || self.form == Form::Sealed {
            return Ok(());
        }
        Err(self.refuse(
            range.start,
            "the name of an anchor may hold only letters, digits, - and _",
        ))
    }

    fn position(&self, offset: usize) -> Position {
        Position::of(self.text.as_bytes(), offset)
    }

    fn refuse(&self, offset: usize, why: &str) -> Error {
        Error::syntax(self.text.as_bytes(), offset, why)
    }
}
