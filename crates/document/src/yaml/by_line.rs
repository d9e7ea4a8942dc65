//! YAML as nearly all files have it, read line by line: many times as fast as by the events of a full parser.
//!
//! [`read`] makes exactly the tree that the events make, or says nothing. It never judges: what is wrong, rare or
//! open to doubt is left to the events, which know all of YAML and have the words for what they refuse.
//!
//! One pass over the lines with a stack of the open maps and lists. What is read: documents, with `---` on a line
//! of its own between them, of block maps and block lists; keys that are text, without escapes; values on the line
//! of their key or dash, plain, in quotes with the usual escapes, or in brackets; literal and folded blocks;
//! comments; absent values.
//!
//! # What this does not read
//! Tabs, carriage returns and a byte order mark; `...` and directives; anchors, aliases and tags; scalars and
//! brackets that go on in the next line; values below the line of their key; in brackets comments, absent values
//! and a last comma; blocks with an indentation in their header, without text, or with lines of only spaces; `?`;
//! a key that stands twice.

mod brackets;
mod leaf;
#[cfg(test)]
mod tests;

use super::keys;
use crate::document::{Form, Limits};
use crate::tree::{Child, Node, NodeId, Span, Style, Text, Tree, TreeBuilder};

/// What [`read`] finds.
pub(super) struct Read {
    pub(super) tree: Tree,
    /// Containers in the order in which they begin.
    pub(super) containers: Vec<NodeId>,
    pub(super) has_comments: bool,
}

/// Reads `text`, if it is of the kind that this module reads.
pub(super) fn read(text: &str, form: Form, limits: &Limits) -> Option<Read> {
    let bytes = text.as_bytes();
    if memchr::memchr2(b'\t', b'\r', bytes).is_some() || bytes.starts_with(b"\xEF\xBB\xBF") {
        return None;
    }
    let mut reader = Reader {
        text,
        bytes,
        form,
        limits,
        builder: TreeBuilder::with_capacity(text.len() / 48),
        open: Vec::new(),
        containers: Vec::new(),
        due: None,
        has_root: false,
        is_marked: false,
        ends: Vec::new(),
        last_end: 0,
        indent: 0,
        flows: Vec::new(),
        has_comments: false,
    };
    let mut at = 0;
    while at < bytes.len() {
        at = reader.line(at)?;
    }
    reader.finish()
}

/// A block map or block list that has begun and not yet ended.
struct Open {
    list: bool,
    column: usize,
    start: usize,
    mark: usize,
    ordinal: usize,
    /// The key whose value is due.
    key: Option<(Text, Span)>,
}

struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    form: Form,
    limits: &'a Limits,
    builder: TreeBuilder,
    open: Vec<Open>,
    containers: Vec<NodeId>,
    /// Behind a `:` or `-` with nothing else on its line: the value is on the next lines or absent.
    due: Option<usize>,
    /// Whether a root has begun since the last `---`.
    has_root: bool,
    /// Whether there was a `---`.
    is_marked: bool,
    ends: Vec<u32>,
    /// End of the last token.
    last_end: usize,
    indent: u8,
    flows: Vec<Span>,
    has_comments: bool,
}

/// Lines and containers. Each step answers where the next one begins, and `None` for what is not read here.
impl Reader<'_> {
    /// Reads the line that begins at `start`, with the lines of a block scalar that begins in it.
    fn line(&mut self, start: usize) -> Option<usize> {
        let first = self.skip_spaces(start);
        match self.bytes.get(first) {
            None | Some(b'\n') => Some(first + 1),
            Some(b'#') => Some(self.comment(first)),
            Some(_) => self.content(first, first - start),
        }
    }

    /// Reads the dashes, the key and the value that begin at `at`, in `column`.
    fn content(&mut self, mut at: usize, mut column: usize) -> Option<usize> {
        if column == 0 && self.is_blank(at + 3) {
            match &self.bytes[at..self.bytes.len().min(at + 3)] {
                b"---" => return self.marker(at),
                b"..." => return None,
                _ => {}
            }
        }
        let mut dash = self.is_dash(at);
        self.unwind(column, dash)?;
        if self.due.is_some() || self.open.is_empty() {
            self.begin(dash, at, column)?;
        }
        // The innermost container is now the one that the dash or key at `at` belongs to.
        while dash {
            let value = self.skip_spaces(at + 1);
            if let Some(next) = self.end_of_line(value) {
                self.due = Some(at + 1);
                return Some(next);
            }
            (column, at) = (column + value - at, value);
            dash = self.is_dash(at);
            if !dash && self.key(at).is_none() {
                return self.value(at);
            }
            self.begin(dash, at, column)?;
        }
        self.entry(at)
    }

    /// Reads a `---` at `at`: it ends a document, or it stands in front of the first.
    fn marker(&mut self, at: usize) -> Option<usize> {
        if self.has_root {
            self.end_document(at)?;
        } else if self.is_marked {
            return None;
        }
        (self.has_root, self.is_marked) = (false, true);
        let behind = self.skip_spaces(at + 3);
        self.end_of_line(behind)
    }

    fn end_document(&mut self, at: usize) -> Option<()> {
        while !self.open.is_empty() {
            self.end()?;
        }
        self.ends.push(at as u32);
        Some(())
    }

    fn entry(&mut self, at: usize) -> Option<usize> {
        let (text, span) = self.key(at)?;
        self.open.last_mut()?.key = Some((text, span));
        self.last_end = span.end as usize;
        let behind = self.last_end + 1;
        let value = self.skip_spaces(behind);
        match self.end_of_line(value) {
            Some(next) => {
                self.due = Some(behind);
                Some(next)
            }
            None => self.value(value),
        }
    }

    /// Ends what a line with a dash or key in `column` ends. Then that line goes on in the innermost container, or
    /// it begins the value that is due.
    fn unwind(&mut self, column: usize, dash: bool) -> Option<()> {
        while let Some(&Open {
            list, column: outer, ..
        }) = self.open.last()
        {
            if outer < column {
                return self.due.map(drop);
            }
            if outer == column && list == dash {
                self.absent();
                return Some(());
            }
            if outer == column && dash {
                // A list in the column of its key.
                return self.due.map(drop);
            }
            self.end()?;
        }
        // Behind a root that has ended there can be no more.
        (!self.has_root).then_some(())
    }

    /// Begins a block map or block list.
    fn begin(&mut self, list: bool, start: usize, column: usize) -> Option<()> {
        let parent = self.open.last();
        if list && parent.is_none() {
            return None;
        }
        let step = parent
            .filter(|parent| self.indent == 0 && !list && !parent.list)
            .map(|parent| column - parent.column);
        if let Some(step @ 1..=16) = step {
            self.indent = step as u8;
        }
        self.due = None;
        self.last_end = start;
        self.has_root = true;
        self.push(list, start, column)
    }

    /// Begins any map or list.
    fn push(&mut self, list: bool, start: usize, column: usize) -> Option<()> {
        if self.open.len() >= self.limits.depth {
            return None;
        }
        self.open.push(Open {
            list,
            column,
            start,
            mark: self.builder.mark(),
            ordinal: self.containers.len(),
            key: None,
        });
        self.containers.push(NodeId(0));
        Some(())
    }

    /// Ends the innermost container, which is none in brackets.
    fn end(&mut self) -> Option<()> {
        self.absent();
        self.pop(false).map(drop)
    }

    /// Ends any map or list, and answers its span.
    fn pop(&mut self, in_brackets: bool) -> Option<Span> {
        let open = self.open.pop()?;
        let span = Span::new(open.start, self.last_end);
        let id = if open.list {
            self.builder.end_list(open.mark, span, in_brackets)
        } else {
            if self.form == Form::Plain && keys::duplicate(self.bytes, &self.builder, open.mark).is_some() {
                return None;
            }
            self.builder.end_map(open.mark, span, in_brackets)
        };
        self.containers[open.ordinal] = id;
        if self.open.is_empty() {
            self.builder.root(id);
        } else {
            self.place(id);
        }
        Some(span)
    }

    /// Puts a finished value under its key or into its list.
    fn place(&mut self, id: NodeId) {
        let child = match self.open.last_mut().and_then(|open| open.key.take()) {
            Some((key, key_span)) => Child::Entry {
                key,
                key_span,
                value: id,
            },
            None => Child::Item(id),
        };
        self.builder.push(child);
    }

    /// If a value is still due, there is none.
    fn absent(&mut self) {
        if let Some(at) = self.due.take() {
            let span = Span::new(at, at);
            self.scalar(span, Text::in_source(span), Style::Plain);
        }
    }

    fn scalar(&mut self, span: Span, text: Text, style: Style) {
        self.last_end = span.end as usize;
        let node = Node::Scalar {
            span,
            text,
            style,
            tag: None,
        };
        let id = self.builder.node(node);
        self.place(id);
    }

    fn finish(mut self) -> Option<Read> {
        if !self.has_root {
            return None;
        }
        self.end_document(self.bytes.len())?;
        let mut tree = self.builder.finish();
        tree.ends = self.ends;
        tree.indent = self.indent;
        tree.flows = self.flows;
        Some(Read {
            tree,
            containers: self.containers,
            has_comments: self.has_comments,
        })
    }
}

/// Bytes.
impl Reader<'_> {
    fn skip_spaces(&self, at: usize) -> usize {
        let spaces = self.bytes[at.min(self.bytes.len())..].iter();
        at + spaces.take_while(|byte| **byte == b' ').count()
    }

    /// Whether a blank, a line break or the end of the text stands at `at`.
    fn is_blank(&self, at: usize) -> bool {
        matches!(self.bytes.get(at), None | Some(b' ' | b'\n'))
    }

    fn is_dash(&self, at: usize) -> bool {
        self.bytes[at] == b'-' && self.is_blank(at + 1)
    }

    /// Where the next line begins, if the one at hand says nothing more at `at`, where a blank stands in front.
    fn end_of_line(&mut self, at: usize) -> Option<usize> {
        match self.bytes.get(at) {
            None | Some(b'\n') => Some(at + 1),
            Some(b'#') => Some(self.comment(at)),
            Some(_) => None,
        }
    }

    /// Goes over the comment at `at` to the next line.
    fn comment(&mut self, at: usize) -> usize {
        self.has_comments = true;
        memchr::memchr(b'\n', &self.bytes[at..]).map_or(self.bytes.len(), |end| at + end + 1)
    }
}
