//! A document: its source, its tree, and what can be asked of them whatever the format.

use std::borrow::Cow;

use secret::SecretBytes;

use crate::edit::Edits;
use crate::edited::{Change, check_reads};
use crate::error::{Error, Position};
use crate::path::Path;
use crate::scalar::{Format, Scalar};
use crate::tree::{Node, NodeId, Span, Style, Tree};
use crate::value::Value;
use crate::{binary, dotenv, ini, json, yaml};

/// Bounds on what is read.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Largest source in bytes; never above 1 GiB.
    pub bytes: usize,
    /// Deepest nesting of maps and lists.
    pub depth: usize,
    /// Most nodes that aliases may expand to, all together.
    pub expanded: usize,
}

impl Default for Limits {
    /// 64 MiB, 10,000 levels, 4 million expanded nodes.
    fn default() -> Self {
        Self {
            bytes: 64 << 20,
            depth: 10_000,
            expanded: 4_000_000,
        }
    }
}

/// Which of the two forms of a file a source is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// An author's file, about to be sealed: what sops would refuse or lose is refused, and comments are
    /// attached as they will be once the `sops` block stands at the end of each document.
    Plain,
    /// A sealed file: whatever sops may have written is tolerated.
    Sealed,
}

/// How sealed text stands in place of a leaf: `span` of the source becomes `before`, the text, `after`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What is replaced.
    pub span: Span,
    /// What stands before the sealed text.
    pub before: Cow<'static, str>,
    /// What stands behind it.
    pub after: Cow<'static, str>,
}

/// A parsed source.
#[derive(Debug)]
pub struct Document {
    format: Format,
    form: Form,
    source: SecretBytes,
    tree: Tree,
}

impl Document {
    /// Reads `source`.
    ///
    /// # Errors
    /// Where and why the source is not well-formed, too large or too deep, or (for [`Form::Plain`]) cannot be
    /// sealed without losing something.
    pub fn parse(format: Format, form: Form, source: SecretBytes, limits: &Limits) -> Result<Self, Error> {
        let bytes = source.expose();
        if bytes.len() > limits.bytes.min(1 << 30) {
            let why = format!(
                "the file has {} bytes, more than the limit of {}",
                bytes.len(),
                limits.bytes
            );
            return Err(Error::Limit {
                at: Position { line: 1, column: 1 },
                why,
            });
        }
        let tree = match format {
            Format::Yaml => yaml::parse(bytes, form, limits)?,
            Format::Json => json::parse(bytes, form, limits)?,
            Format::Dotenv => dotenv::parse(bytes, form, limits)?,
            Format::Ini => ini::parse(bytes, form, limits)?,
            Format::Binary => binary::parse(bytes, form, limits)?,
        };
        Ok(Self {
            format,
            form,
            source,
            tree,
        })
    }

    /// The format it was read as.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The form it was read as.
    pub fn form(&self) -> Form {
        self.form
    }

    /// The bytes it was read from.
    pub fn source(&self) -> &[u8] {
        self.source.expose()
    }

    /// Its tree.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The source with `edits` applied; with none, the source itself byte for byte.
    pub fn render(&self, edits: &Edits) -> SecretBytes {
        edits.apply(self.source(), 0)
    }

    /// The same, with room behind it for `room` bytes that [`Self::into_rendered`] of a later document adds.
    pub fn render_with_room(&self, edits: &Edits, room: usize) -> SecretBytes {
        edits.apply(self.source(), room)
    }

    /// The source with `edits` applied to it where it stands.
    pub fn into_rendered(self, edits: &Edits) -> SecretBytes {
        edits.apply_to(self.source)
    }

    /// The line and column of a byte offset.
    pub fn position(&self, offset: usize) -> Position {
        Position::of(self.source(), offset)
    }

    /// Whether a root entry of this name belongs to the metadata and not to the data.
    pub fn is_block_key(&self, key: &[u8]) -> bool {
        match self.format {
            Format::Dotenv => key.starts_with(b"sops_"),
            _ => key == b"sops",
        }
    }

    /// The typed value of a scalar node.
    ///
    /// # Errors
    /// When the spelling is one that cannot be typed as sops types it (only for [`Form::Plain`]).
    pub fn scalar(&self, id: NodeId) -> Result<Scalar<'_>, Error> {
        let (source, tree) = (self.source(), &self.tree);
        match self.format {
            Format::Yaml => yaml::scalar(source, tree, id),
            Format::Json => json::scalar(source, tree, id),
            Format::Dotenv => dotenv::scalar(source, tree, id),
            Format::Ini => ini::scalar(source, tree, id),
            Format::Binary => binary::scalar(source, tree, self.form, id),
        }
    }

    /// Whether a scalar is spelled as a whole number that does not fit into 64 bits with sign: sops takes it
    /// for a float, and versions of it differ in how.
    pub fn is_big_integer(&self, id: NodeId) -> bool {
        let crate::tree::Node::Scalar {
            text,
            style: crate::tree::Style::Plain,
            ..
        } = *self.tree.node(id)
        else {
            return false;
        };
        let text = self.tree.text(self.source(), text);
        match self.format {
            Format::Yaml => yaml::is_big_integer(text),
            Format::Json => {
                let digits = text.strip_prefix(b"-").unwrap_or(text);
                digits.len() > 18
                    && digits.iter().all(u8::is_ascii_digit)
                    && std::str::from_utf8(text).is_ok_and(|text| text.parse::<i64>().is_err())
            }
            _ => false,
        }
    }

    /// How a sealed text stands in place of the scalar `id`.
    pub fn frame(&self, id: NodeId) -> Frame {
        let (source, tree) = (self.source(), &self.tree);
        match self.format {
            Format::Yaml => yaml::frame(source, tree, id),
            Format::Json => json::frame(source, tree, id),
            Format::Dotenv => dotenv::frame(source, tree, id),
            Format::Ini => ini::frame(source, tree, id),
            Format::Binary => binary::frame(source, tree, id),
        }
    }

    /// How `value` is spelled where the sealed scalar `id` stands, when nothing is known of the author's own
    /// spelling: the style of the sealed scalar is kept. Appends to `out` what replaces the node's span.
    pub fn spell(&self, id: NodeId, value: &Scalar<'_>, out: &mut Vec<u8>) {
        let (source, tree) = (self.source(), &self.tree);
        match self.format {
            Format::Yaml => yaml::spell(source, tree, id, value, out),
            Format::Json => json::spell(source, tree, id, value, out),
            Format::Dotenv => dotenv::spell(source, tree, id, value, out),
            Format::Ini => ini::spell(source, tree, id, value, out),
            Format::Binary => binary::spell(source, tree, id, value, out),
        }
    }

    /// How the opened `text` of a sealed comment is spelled in place of its span. Appends to `out`.
    pub fn spell_comment(&self, text: &[u8], out: &mut Vec<u8>) {
        match self.format {
            Format::Yaml | Format::Json | Format::Binary => out.extend_from_slice(text),
            Format::Dotenv => dotenv::spell_comment(text, out),
            Format::Ini => ini::spell_comment(text, out),
        }
    }

    /// YAML block scalars: where the header (`|`, `>-`, ...) stands, and what it is once the scalar is sealed.
    pub fn header(&self, id: NodeId) -> Option<(Span, &'static [u8])> {
        if self.format != Format::Yaml {
            return None;
        }
        let span = yaml::header(self.source(), &self.tree, id)?;
        Some((span, yaml::sealed_header(self.source(), span)))
    }

    /// YAML plain scalars: the empty lines behind one that hold tabs, and what they are without them. Behind a plain scalar
    /// such lines may stand; behind one in quotes or a block they may not. On a line with something else on it tabs stay.
    pub fn tabs_behind(&self, id: NodeId) -> Option<(Span, Vec<u8>)> {
        let Node::Scalar {
            style: Style::Plain, ..
        } = self.tree.node(id)
        else {
            return None;
        };
        if self.format != Format::Yaml {
            return None;
        }
        let (source, start) = (self.source(), self.tree.node(id).span().end as usize);
        let blank = |byte: &&u8| matches!(**byte, b' ' | b'\t' | b'\r' | b'\n');
        let end = start + source[start..].iter().take_while(blank).count();
        let first = start + memchr::memchr(b'\n', &source[start..end])? + 1;
        let last = match memchr::memrchr(b'\n', &source[first..end]) {
            _ if end == source.len() => end,
            Some(at) => first + at + 1,
            None => return None,
        };
        let lines = &source[first..last];
        lines.contains(&b'\t').then(|| {
            let kept = lines.iter().copied().filter(|byte| *byte != b'\t');
            (Span::new(first, last), kept.collect())
        })
    }

    /// YAML block scalars: the header under which `value` reads back where it stands.
    pub fn spell_header(&self, id: NodeId, value: &Scalar<'_>) -> Option<Vec<u8>> {
        if self.format != Format::Yaml {
            return None;
        }
        yaml::spell_header(self.source(), &self.tree, id, value)
    }

    /// Whether the scalar `id`, spelled `text` (under `header`, for block scalars), would mean `value`.
    pub fn reads_as(&self, id: NodeId, header: &[u8], text: &[u8], value: &Scalar<'_>) -> bool {
        let probe: Vec<u8> = match self.format {
            Format::Yaml => return yaml::reads_as(self.source(), &self.tree, id, header, text, value),
            Format::Json => [b"{\"k\":", text, b"}"].concat(),
            Format::Dotenv => [b"k=", text].concat(),
            Format::Ini => [b"[s]\nk = ", text].concat(),
            Format::Binary => return false,
        };
        let probe = Self::parse(
            self.format,
            Form::Sealed,
            SecretBytes::new(probe),
            &Limits::default(),
        );
        probe.is_ok_and(|probe| {
            let mut leaves = probe.walk().filter_map(|event| match event {
                crate::Event::Leaf(id) => Some(id),
                _ => None,
            });
            let (leaf, more) = (leaves.next(), leaves.next().is_some());
            !more && leaf.is_some_and(|leaf| probe.scalar(leaf).is_ok_and(|read| read == *value))
        })
    }

    /// A sealed comment that sops wrote as an item of a list: what a comment line replaces, and its mark.
    pub fn item_as_comment(&self, id: NodeId) -> (Span, &'static [u8]) {
        let span = self.tree.node(id).span();
        if self.format != Format::Yaml || self.tree.in_flow(span.start) {
            return (span, b"");
        }
        let before = &self.source()[..span.start as usize];
        let dash = before
            .iter()
            .rposition(|byte| *byte == b'-')
            .unwrap_or(span.start as usize);
        (
            Span {
                start: dash as u32,
                end: span.end,
            },
            b"#",
        )
    }

    /// The node that carries the anchor `name` (without `&`) and ends before `offset`, the latest of them.
    pub fn anchored(&self, name: &[u8], offset: u32) -> Option<NodeId> {
        let anchors = self.tree.anchors.iter().filter(|(id, span)| {
            self.source()[span.range()].strip_prefix(b"&") == Some(name)
                && self.tree.node(*id).span().end <= offset
        });
        anchors.max_by_key(|(_, span)| span.start).map(|(id, _)| *id)
    }

    /// Appends the spelling of `key` in place of an alias that stands as a key at `span`.
    pub fn spell_key(&self, key: &[u8], span: Span, out: &mut Vec<u8>) {
        yaml::spell_key(&self.tree, key, span, out);
    }

    /// Whether a node stands inside brackets.
    pub fn is_in_brackets(&self, id: NodeId) -> bool {
        self.tree.in_flow(self.tree.node(id).span().start)
    }

    /// Where a node begins, its anchor or tag included.
    pub fn frame_start(&self, id: NodeId) -> u32 {
        match self.format {
            Format::Yaml => yaml::full_start(&self.tree, id),
            _ => self.tree.node(id).span().start,
        }
    }

    /// Where the first root entry stands that belongs to a metadata block, in any document.
    pub fn block_key(&self) -> Option<Position> {
        let entries = self.tree.roots.iter().flat_map(|root| self.tree.children(*root));
        let mut keys = entries.filter_map(|child| match child {
            crate::tree::Child::Entry { key, key_span, .. } => Some((*key, *key_span)),
            _ => None,
        });
        let (_, span) = keys.find(|(key, _)| self.is_block_key(self.tree.text(self.source(), *key)))?;
        Some(self.position(span.start as usize))
    }

    /// The metadata block: nested as in YAML and JSON, or for dotenv and INI one flat map of texts without
    /// the `sops_` prefix. `None` where there is none.
    ///
    /// # Errors
    /// When the block is not a map, stands twice in the first document, or holds aliases.
    pub fn block(&self) -> Result<Option<Value>, Error> {
        let (source, tree) = (self.source(), &self.tree);
        match self.format {
            Format::Yaml => yaml::block(source, tree),
            Format::Json | Format::Binary => json::block(source, tree),
            Format::Dotenv => dotenv::block(source, tree),
            Format::Ini => ini::block(source, tree),
        }
    }

    /// Records the edits that make the metadata block say `block` in every document: a missing block is put at
    /// the end; in an existing one only what differs is touched. `block` has the shape that [`Self::block`] has.
    pub fn set_block(&self, block: &Value, edits: &mut Edits) -> Result<(), Error> {
        let (source, tree) = (self.source(), &self.tree);
        match self.format {
            Format::Yaml => yaml::set_block(source, tree, block, edits),
            Format::Json => json::set_block(source, tree, block, edits),
            Format::Dotenv => dotenv::set_block(source, tree, block, edits),
            Format::Ini => ini::set_block(source, tree, block, edits),
            Format::Binary => binary::set_block(source, tree, self.form, block, edits),
        }
    }

    /// Records the edits that take the metadata block away again, the exact inverse of [`Self::set_block`] on
    /// a document that had none.
    ///
    /// Returns whether the text that remains is to lose its last line break, if it has one.
    pub fn remove_block(&self, edits: &mut Edits) -> bool {
        let (source, tree) = (self.source(), &self.tree);
        match self.format {
            Format::Yaml => return yaml::remove_block(source, tree, edits),
            Format::Json => json::remove_block(source, tree, edits),
            Format::Dotenv => dotenv::remove_block(source, tree, edits),
            Format::Ini => ini::remove_block(source, tree, edits),
            Format::Binary => binary::remove_block(source, tree, edits),
        }
        false
    }

    /// The source with `edits` applied and the metadata block taken away: what the file held before it had one. Where that
    /// ended without a line break so does the result, unless `keeps_break` says of it that its last value needs one.
    pub fn render_without_block(
        &self,
        mut edits: Edits,
        keeps_break: impl FnOnce(&[u8]) -> bool,
    ) -> SecretBytes {
        let unclosed = self.remove_block(&mut edits);
        let mut rest = self.render(&edits);
        if unclosed && !keeps_break(rest.expose()) {
            let text = rest.expose_mut();
            for sign in [b'\n', b'\r'] {
                text.truncate(text.len() - usize::from(text.last() == Some(&sign)));
            }
        }
        rest
    }

    /// Records the edits that make `path` in the first document hold `value`, a JSON document whose root map
    /// has the single key `value` (so that any JSON value can be given). Missing maps are made; a position at
    /// or behind the end of a list appends. Written in the file's own style; the key and everything else stay.
    ///
    /// # Errors
    /// When a step of the path leads through a scalar, the format cannot hold the value, or the text is laid out so that
    /// something else would change with it.
    pub fn set(&self, path: &Path, value: &Document, edits: &mut Edits) -> Result<(), Error> {
        let (source, tree) = (self.source(), &self.tree);
        match self.format {
            Format::Yaml => {
                let mut own = Edits::default();
                yaml::set(source, tree, path, value, &mut own)?;
                Change::Set(path, value).check(self, &own)?;
                edits.append(&own);
                Ok(())
            }
            Format::Json => json::set(source, tree, path, value, edits),
            Format::Dotenv => dotenv::set(source, tree, path, value, edits),
            Format::Ini => {
                let mut own = Edits::default();
                ini::set(source, tree, path, value, &mut own)?;
                check_reads(self, &own, path)?;
                edits.append(&own);
                Ok(())
            }
            Format::Binary => binary::set(source, tree, path, value, edits),
        }
    }

    /// Records the edits that take the entry or item at `path` in the first document away, with its own lines.
    ///
    /// # Errors
    /// When the path names nothing, or the text is laid out so that something else would change with it.
    pub fn unset(&self, path: &Path, edits: &mut Edits) -> Result<(), Error> {
        let (source, tree) = (self.source(), &self.tree);
        match self.format {
            Format::Yaml => {
                let mut own = Edits::default();
                yaml::unset(source, tree, path, &mut own)?;
                Change::Unset(path).check(self, &own)?;
                edits.append(&own);
                Ok(())
            }
            Format::Json => json::unset(source, tree, path, edits),
            Format::Dotenv => dotenv::unset(source, tree, path, edits),
            Format::Ini => ini::unset(source, tree, path, edits),
            Format::Binary => binary::unset(source, tree, path, edits),
        }
    }
}
