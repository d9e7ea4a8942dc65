//! From opened values back to the author's bytes: each sealed text becomes the spelling that the layout keeps
//! for it or else the usual one, aliases become aliases again, and the metadata block goes.

use std::collections::HashMap;

use document::{Child, Document, Edits, Event, Form, Format, Limits, Node, NodeId, Scalar, Span};
use secret::SecretBytes;

use crate::error::Error;
use crate::plan::{Plan, Subject, locate};
use crate::spellings::{Kind, Place, Spellings};
use crate::value::{self, ValueType};
use crate::values::Values;

/// The plaintext of `document`, whose jobs opened to `values`; `layout` is the content of the layout field.
pub(crate) fn restore(
    document: &Document,
    plan: &Plan<'_>,
    values: &Values,
    layout: &[u8],
) -> Result<SecretBytes, Error> {
    let mut edits = Edits::with_capacity(plan.jobs.len() + 1, plan.jobs.len() * 24);
    let spellings = Spellings::parse(layout).unwrap_or_default();
    let mut restorer = Restorer {
        document,
        plan,
        values,
        spellings,
        edits: &mut edits,
        by_node: HashMap::new(),
        replaced: Vec::new(),
    };
    restorer.run()?;
    Ok(document.render_without_block(edits, |text| needs_break(text, document, plan, values)))
}

/// Whether a text ends with a block scalar whose value would lose a line break with the text's last one.
fn needs_break(text: &[u8], document: &Document, plan: &Plan<'_>, values: &Values) -> bool {
    let Some(last) = last_leaf(document).filter(|id| document.header(*id).is_some()) else {
        return false;
    };
    let job = plan
        .jobs
        .iter()
        .rposition(|job| job.subject == Subject::Leaf(last));
    let wanted = match job.and_then(|job| values.get(job)) {
        Some((_, plaintext)) => plaintext.ends_with(b"\n"),
        None => ends_in_break(document, last),
    };
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    let last_line = text.rsplit(|byte| *byte == b'\n').next().unwrap_or(text);
    let only_spaces = !last_line.is_empty() && last_line.iter().all(|byte| *byte == b' ');
    // Spaces may be a line of the value; as a layout may have kept them, they may also stand for its line break.
    wanted && !(only_spaces && reads_with_break(text))
}

/// Whether the last value of `text` ends with a line break.
fn reads_with_break(text: &[u8]) -> bool {
    let source = SecretBytes::copy_from(text);
    Document::parse(Format::Yaml, Form::Plain, source, &Limits::default())
        .is_ok_and(|read| last_leaf(&read).is_some_and(|id| ends_in_break(&read, id)))
}

fn last_leaf(document: &Document) -> Option<NodeId> {
    let leaves = document.walk().filter_map(|event| match event {
        Event::Leaf(id) => Some(id),
        _ => None,
    });
    leaves.last()
}

fn ends_in_break(document: &Document, id: NodeId) -> bool {
    matches!(document.scalar(id), Ok(Scalar::Str(text)) if text.ends_with(b"\n"))
}

struct Restorer<'a, 'e> {
    document: &'a Document,
    plan: &'a Plan<'a>,
    values: &'a Values,
    spellings: Spellings<'a>,
    edits: &'e mut Edits,
    /// Which job opened a node; filled only when an alias is to be compared with its anchor.
    by_node: HashMap<NodeId, usize>,
    /// What was replaced by an alias as a whole, in order.
    replaced: Vec<Span>,
}

impl Restorer<'_, '_> {
    fn run(&mut self) -> Result<(), Error> {
        let document = self.document;
        if self.spellings.is_empty() {
            for (index, job) in self.plan.jobs.iter().enumerate() {
                self.job(index, job.subject, job.ordinal, job.aliased, None)?;
            }
            return Ok(());
        }
        let mut place = Place::default();
        let (mut next, mut ordinal) = (0, 0);
        for event in document.walk() {
            match event {
                Event::Document(number) => place.document(number),
                Event::Key(key, span) => {
                    place.key(key);
                    if !self.is_replaced(span.start) {
                        self.alias_key(key, span, &place)?;
                    }
                }
                Event::Map(id) | Event::List(id) => {
                    place.value();
                    self.alias(id, &place)?;
                    place.enter(matches!(event, Event::List(_)));
                }
                Event::End => place.leave(),
                _ => {}
            }
            if let Event::Leaf(id) = event {
                place.value();
                self.alias(id, &place)?;
                let sealed = self.plan.jobs.get(next).is_some_and(|job| job.ordinal == ordinal);
                if !sealed && !self.is_replaced(document.tree().node(id).span().start) {
                    self.clear_header(id, &place);
                }
            }
            if let Event::Leaf(_) | Event::Comment(_) | Event::Lost(..) = event {
                if let Some(job) = self.plan.jobs.get(next).filter(|job| job.ordinal == ordinal) {
                    let kept = self.spellings.take(Kind::Value, place.bytes());
                    if !self.is_replaced(offset(document, job.subject)) || job.aliased {
                        self.job(next, job.subject, job.ordinal, job.aliased, kept)?;
                    }
                    next += 1;
                }
                ordinal += 1;
            }
            if let Event::Leaf(_) = event {
                place.done();
            }
        }
        Ok(())
    }

    fn job(
        &mut self,
        index: usize,
        subject: Subject,
        ordinal: usize,
        aliased: bool,
        kept: Option<(&[u8], &[u8])>,
    ) -> Result<(), Error> {
        let Some((ty, plaintext)) = self.values.get(index) else {
            return Ok(());
        };
        if aliased {
            return Ok(());
        }
        match subject {
            Subject::Comment(span, _) => {
                let plaintext = self.plan.jobs[index].unpadded(plaintext);
                self.edits
                    .replace_with(span, |out| self.document.spell_comment(plaintext, out));
            }
            Subject::CommentItem(id, alone) => {
                let (span, mark) = self.document.item_as_comment(id);
                let empty: &[u8] = if alone && !mark.is_empty() { b"[] " } else { b"" };
                self.edits.replace(span, &[empty, mark, plaintext]);
            }
            Subject::Leaf(id) => {
                let scalar = value::scalar_in(ty, plaintext).map_err(|why| {
                    let (path, offset) = locate(self.document, ordinal);
                    Error::Value {
                        at: self.document.position(offset),
                        path,
                        why,
                    }
                })?;
                self.leaf(id, &scalar, kept);
            }
        }
        Ok(())
    }

    fn leaf(&mut self, id: NodeId, scalar: &Scalar<'_>, kept: Option<(&[u8], &[u8])>) {
        let document = self.document;
        let span = document.frame(id).span;
        let header = document.header(id);
        if let Some((kept_header, text)) = kept
            && document.reads_as(id, kept_header, text, scalar)
        {
            self.edits.replace(span, &[text]);
            if let Some((header, _)) = header {
                self.edits.replace(header, &[kept_header]);
            }
            return;
        }
        self.edits
            .replace_with(span, |out| document.spell(id, scalar, out));
        if let (Some((header, _)), Some(spelled)) = (header, document.spell_header(id, scalar)) {
            self.edits.replace(header, &[&spelled]);
        }
        if let Some((blanks, without_tabs)) = document.tabs_behind(id) {
            self.edits.replace(blanks, &[&without_tabs]);
        }
    }

    /// The header of a clear block scalar that had to change because the file has no final line break.
    fn clear_header(&mut self, id: NodeId, place: &Place) {
        let Some((header, _)) = self.spellings.take(Kind::Header, place.bytes()) else {
            return;
        };
        let plain = header
            .iter()
            .all(|byte| matches!(byte, b'|' | b'>' | b'+' | b'-' | b'0'..=b'9'));
        if let (Some((span, _)), true) = (self.document.header(id), plain)
            && header.first() == Some(&self.document.source()[span.start as usize])
            && !self.document.source().ends_with(b"\n")
        {
            self.edits.replace(span, &[header]);
        }
    }

    /// Puts an alias back where what stands there is equal to what its anchor holds.
    fn alias(&mut self, id: NodeId, place: &Place) -> Result<(), Error> {
        let Some((_, text)) = self.spellings.take(Kind::Alias, place.bytes()) else {
            return Ok(());
        };
        let span = self.document.tree().node(id).span();
        if self.is_replaced(span.start) {
            return Ok(());
        }
        let Some(target) = self
            .document
            .anchored(text.strip_prefix(b"*").unwrap_or(text), span.start)
        else {
            return Ok(());
        };
        self.fill_by_node();
        if self.content(id)?.ct_eq(&self.content(target)?) {
            let span = Span {
                start: self.document.frame_start(id),
                end: span.end,
            };
            self.edits.replace(span, &[text]);
            self.replaced.push(span);
        }
        Ok(())
    }

    /// Puts an alias back that stood as a key, where the key is what its anchor holds.
    fn alias_key(&mut self, key: &[u8], span: Span, place: &Place) -> Result<(), Error> {
        let Some((_, text)) = self.spellings.take(Kind::Key, place.bytes()) else {
            return Ok(());
        };
        let Some(target) = self
            .document
            .anchored(text.strip_prefix(b"*").unwrap_or(text), span.start)
        else {
            return Ok(());
        };
        self.fill_by_node();
        let mut named = SecretBytes::default();
        put(ValueType::Str.code(), key, &mut named);
        if named.ct_eq(&self.content(target)?) {
            self.edits.replace(span, &[text]);
        }
        Ok(())
    }

    fn fill_by_node(&mut self) {
        if self.by_node.is_empty() {
            self.by_node = self
                .plan
                .jobs
                .iter()
                .enumerate()
                .filter_map(|(index, job)| match job.subject {
                    Subject::Leaf(id) if !job.aliased => Some((id, index)),
                    _ => None,
                })
                .collect();
        }
    }

    /// Comments do not always come in the order in which they stand: one before an alias may come as its first.
    fn is_replaced(&self, offset: u32) -> bool {
        let begun = self.replaced.partition_point(|span| span.start <= offset);
        begun > 0 && offset < self.replaced[begun - 1].end
    }

    /// Keys, types and values below a node, comments left out, as one unambiguous text.
    fn content(&self, root: NodeId) -> Result<SecretBytes, Error> {
        let (document, tree) = (self.document, self.document.tree());
        let mut out = SecretBytes::default();
        // Positions on the way down: the node, and how many of its children were told.
        let mut stack = vec![(root, 0)];
        while let Some((id, child)) = stack.pop() {
            let id = match *tree.node(id) {
                Node::Alias { target, .. } => target,
                _ => id,
            };
            if let Node::Scalar { .. } = tree.node(id) {
                let opened = self.by_node.get(&id).and_then(|index| self.values.get(*index));
                match opened {
                    Some((ty, plaintext)) => put(ty.code(), plaintext, &mut out),
                    None => match value::plaintext(&document.scalar(id)?) {
                        Some((ty, plaintext)) => put(ty.code(), &plaintext, &mut out),
                        None => put(b'0', b"", &mut out),
                    },
                }
                continue;
            }
            let Some(next) = tree.children(id).get(child) else {
                put(b')', b"", &mut out);
                continue;
            };
            if child == 0 {
                put(
                    if matches!(tree.node(id), Node::Map { .. }) {
                        b'{'
                    } else {
                        b'['
                    },
                    b"",
                    &mut out,
                );
            }
            stack.push((id, child + 1));
            match *next {
                Child::Entry { key, value, .. } => {
                    put(b'k', tree.text(document.source(), key), &mut out);
                    stack.push((value, 0));
                }
                Child::Item(value) => stack.push((value, 0)),
                Child::Comment(_) => {}
            }
        }
        Ok(out)
    }
}

/// Appends one piece of a content.
fn put(tag: u8, bytes: &[u8], out: &mut SecretBytes) {
    let out = out.expose_mut();
    out.push(tag);
    out.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
    out.extend_from_slice(bytes);
}

fn offset(document: &Document, subject: Subject) -> u32 {
    match subject {
        Subject::Leaf(id) | Subject::CommentItem(id, _) => document.tree().node(id).span().start,
        Subject::Comment(span, _) => span.start,
    }
}
