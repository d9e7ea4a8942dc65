//! Files of manifests: documents beside each other, each kept as it is written.

use document::{Child, Node, NodeId};
use document::{Document, Edits, Error, Form, Format, Limits, Position, Scalar, Span, Style, Value};
use secret::SecretBytes;

use crate::error::ManifestError;

/// What YAML 1.1 takes for booleans and YAML 1.2 for texts.
const OLD_BOOLEANS: [&[u8]; 16] = [
    b"y", b"Y", b"yes", b"Yes", b"YES", b"on", b"On", b"ON", b"n", b"N", b"no", b"No", b"NO", b"off", b"Off",
    b"OFF",
];

/// Levels that manifests nest at most; what reads them may go down level by level.
const DEPTH: usize = 200;

/// A file with any number of documents: YAML parted by `---`, or JSON values behind each other.
#[derive(Debug)]
pub struct Manifests {
    parts: Vec<Manifest>,
    /// What stands behind the last document.
    rest: SecretBytes,
}

/// One document of a file.
#[derive(Debug)]
pub struct Manifest {
    document: Document,
    /// Lines before it.
    lines: u32,
}

impl Manifests {
    /// Reads a file. YAML also takes JSON, as Kubernetes does.
    ///
    /// # Errors
    /// Where and why it does not read.
    pub fn parse(format: Format, source: SecretBytes, limits: &Limits) -> Result<Self, Error> {
        let limits = Limits {
            depth: limits.depth.min(DEPTH),
            ..*limits
        };
        match format {
            Format::Json => Self::parse_json(source, &limits),
            _ => Self::parse_yaml(source, &limits),
        }
    }

    fn parse_yaml(source: SecretBytes, limits: &Limits) -> Result<Self, Error> {
        let whole = Document::parse(Format::Yaml, Form::Sealed, source, limits)?;
        if whole.tree().roots.len() < 2 {
            return Ok(Self::of_one(whole));
        }
        let mut ends: Vec<usize> = whole.tree().ends.iter().map(|end| *end as usize).collect();
        if let Some(last) = ends.last_mut() {
            *last = whole.source().len();
        }
        let mut parts = Parts::new(limits);
        for end in ends {
            parts.add(Format::Yaml, whole.source(), end)?;
        }
        Ok(parts.end(whole.source()))
    }

    fn parse_json(source: SecretBytes, limits: &Limits) -> Result<Self, Error> {
        let mut parts = Parts::new(limits);
        let text = source.expose();
        let mut values = serde_json::Deserializer::from_slice(text).into_iter::<serde::de::IgnoredAny>();
        let mut ends = Vec::new();
        while let Some(value) = values.next() {
            match value {
                Ok(_) => ends.push(values.byte_offset()),
                // Our own reader says better what is wrong.
                Err(_) => ends.push(text.len()),
            }
            if ends.last() == Some(&text.len()) {
                break;
            }
        }
        if ends.len() < 2 {
            return Ok(Self::of_one(Document::parse(
                Format::Json,
                Form::Sealed,
                source,
                limits,
            )?));
        }
        for end in ends {
            parts.add(Format::Json, text, end)?;
        }
        Ok(parts.end(text))
    }

    fn of_one(document: Document) -> Self {
        Self {
            parts: vec![Manifest { document, lines: 0 }],
            rest: SecretBytes::default(),
        }
    }

    /// Its documents, in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Manifest> {
        self.parts.iter()
    }

    /// The file with edits of its documents, as many as there are documents.
    pub fn render(&self, edits: &[Edits]) -> SecretBytes {
        let mut whole = SecretBytes::default();
        for (part, edits) in self.parts.iter().zip(edits) {
            whole
                .expose_mut()
                .extend_from_slice(part.document.render(edits).expose());
        }
        whole.expose_mut().extend_from_slice(self.rest.expose());
        whole
    }
}

/// Documents cut off a source one by one.
struct Parts<'l> {
    limits: &'l Limits,
    parts: Vec<Manifest>,
    done: usize,
    lines: u32,
}

impl<'l> Parts<'l> {
    fn new(limits: &'l Limits) -> Self {
        Self {
            limits,
            parts: Vec::new(),
            done: 0,
            lines: 0,
        }
    }

    fn add(&mut self, format: Format, source: &[u8], end: usize) -> Result<(), Error> {
        let text = &source[self.done..end];
        let document = Document::parse(format, Form::Sealed, SecretBytes::copy_from(text), self.limits)
            .map_err(|error| error.below(self.lines))?;
        self.parts.push(Manifest {
            document,
            lines: self.lines,
        });
        self.lines += memchr::memchr_iter(b'\n', text).count() as u32;
        self.done = end;
        Ok(())
    }

    fn end(self, source: &[u8]) -> Manifests {
        Manifests {
            rest: SecretBytes::copy_from(&source[self.done..]),
            parts: self.parts,
        }
    }
}

impl Manifest {
    /// Its document, to be edited.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// The field at the top; `None` for an empty document.
    pub fn root(&self) -> Option<Field<'_>> {
        let id = *self.document.tree().roots.first()?;
        let root = Field { manifest: self, id };
        root.entries().next().is_some().then_some(root)
    }

    /// The objects in it: itself, or the items if it is a list.
    ///
    /// # Errors
    /// When a list holds something else than objects, or lists in lists.
    pub fn objects(&self) -> Result<Vec<Object<'_>>, ManifestError> {
        let Some(root) = self.root() else {
            return Ok(Vec::new());
        };
        if !root.text_at("kind").is_some_and(|kind| kind.ends_with("List")) {
            return Ok(vec![Object {
                field: root,
                path: Vec::new(),
            }]);
        }
        let Some(items) = root.get("items") else {
            return Ok(Vec::new());
        };
        let objects = items.items().enumerate().map(|(index, field)| {
            if field.entries().next().is_none() {
                return Err(field.error("", "an item of a list must be an object"));
            }
            let path = vec![
                document::Step::Key("items".to_owned()),
                document::Step::Index(index),
            ];
            Ok(Object { field, path })
        });
        objects.collect()
    }
}

/// One object of a document, and the way to it.
#[derive(Clone, Debug)]
pub struct Object<'m> {
    /// The object.
    pub field: Field<'m>,
    /// From the top of its document.
    pub path: Vec<document::Step>,
}

impl Object<'_> {
    /// Its kind; empty if it has none.
    pub fn kind(&self) -> String {
        self.field.text_at("kind").unwrap_or_default()
    }

    /// The path of a field below it.
    pub fn path_to(&self, keys: &[&str]) -> document::Path {
        let mut steps = self.path.clone();
        steps.extend(keys.iter().map(|key| document::Step::Key((*key).to_owned())));
        document::Path(steps)
    }
}

/// A value in a manifest. Aliases are followed.
#[derive(Clone, Copy, Debug)]
pub struct Field<'m> {
    manifest: &'m Manifest,
    id: NodeId,
}

impl<'m> Field<'m> {
    fn resolved(self) -> NodeId {
        match *self.manifest.document.tree().node(self.id) {
            Node::Alias { target, .. } => target,
            _ => self.id,
        }
    }

    fn children(self) -> &'m [Child] {
        self.manifest.document.tree().children(self.resolved())
    }

    fn bytes(self, text: document::Text) -> &'m [u8] {
        let document = &self.manifest.document;
        document.tree().text(document.source(), text)
    }

    /// The entries of a map, none for anything else. Keys that are no UTF-8 are read as far as they are.
    pub fn entries(self) -> impl Iterator<Item = (std::borrow::Cow<'m, str>, Field<'m>)> {
        self.children().iter().filter_map(move |child| match *child {
            Child::Entry { key, value, .. } => Some((
                String::from_utf8_lossy(self.bytes(key)),
                Field {
                    manifest: self.manifest,
                    id: value,
                },
            )),
            _ => None,
        })
    }

    /// The items of a list, none for anything else.
    pub fn items(self) -> impl Iterator<Item = Field<'m>> {
        self.children().iter().filter_map(move |child| match *child {
            Child::Item(id) => Some(Field {
                manifest: self.manifest,
                id,
            }),
            _ => None,
        })
    }

    /// The entry of this name.
    pub fn get(self, name: &str) -> Option<Field<'m>> {
        self.entries()
            .find(|(key, _)| key == name)
            .map(|(_, field)| field)
    }

    /// The entry that several names lead to.
    pub fn at(self, names: &[&str]) -> Option<Field<'m>> {
        names.iter().try_fold(self, |field, name| field.get(name))
    }

    /// The text of the entry of this name, if it is one.
    pub fn text_at(self, name: &str) -> Option<String> {
        self.get(name)?
            .text()
            .map(|text| String::from_utf8_lossy(&text).into_owned())
    }

    /// Whether it is a map.
    pub fn is_map(self) -> bool {
        matches!(
            self.manifest.document.tree().node(self.resolved()),
            Node::Map { .. }
        )
    }

    /// Whether it is a list.
    pub fn is_list(self) -> bool {
        matches!(
            self.manifest.document.tree().node(self.resolved()),
            Node::List { .. }
        )
    }

    /// Its typed value, if it is a scalar.
    pub fn scalar(self) -> Option<Scalar<'m>> {
        let id = self.resolved();
        if !matches!(self.manifest.document.tree().node(id), Node::Scalar { .. }) {
            return None;
        }
        self.manifest.document.scalar(id).ok()
    }

    /// Its text, if it is one. `yes`, `off` and their like without quotes are none: Kubernetes reads them as booleans.
    pub fn text(self) -> Option<std::borrow::Cow<'m, [u8]>> {
        match self.scalar()? {
            Scalar::Str(_) if self.is_old_boolean() => None,
            Scalar::Str(text) => Some(text),
            // YAML of Kubernetes has no dates: they are texts.
            Scalar::Time(_) => self.spelling().map(Into::into),
            _ => None,
        }
    }

    /// Whether it is a boolean of YAML 1.1, which the YAML of Kubernetes still is, and not one of YAML 1.2.
    fn is_old_boolean(self) -> bool {
        let node = self.manifest.document.tree().node(self.resolved());
        let is_plain = matches!(
            node,
            Node::Scalar {
                style: Style::Plain,
                tag: None,
                ..
            }
        );
        is_plain
            && self
                .spelling()
                .is_some_and(|spelling| OLD_BOOLEANS.contains(&spelling))
    }

    /// How a scalar is spelled, without quotes.
    fn spelling(self) -> Option<&'m [u8]> {
        match *self.manifest.document.tree().node(self.resolved()) {
            Node::Scalar { text, .. } => Some(self.bytes(text)),
            _ => None,
        }
    }

    /// Its tag as written, such as `!!binary`.
    pub fn tag(self) -> Option<&'m [u8]> {
        match *self.manifest.document.tree().node(self.resolved()) {
            Node::Scalar { tag: Some(tag), .. } => Some(&self.manifest.document.source()[tag.range()]),
            _ => None,
        }
    }

    /// Whether it is null or has no value.
    pub fn is_null(self) -> bool {
        matches!(self.scalar(), Some(Scalar::Null))
    }

    /// As plain data, for fields that hold no secret. Numbers with a fraction are told by their spelling.
    pub fn value(self) -> Value {
        if self.is_map() {
            let entries = self
                .entries()
                .map(|(key, field)| (key.into_owned(), field.value()));
            return Value::Map(entries.collect());
        }
        if self.is_list() {
            return Value::List(self.items().map(Field::value).collect());
        }
        let spelled = || String::from_utf8_lossy(self.spelling().unwrap_or_default()).into_owned();
        match self.scalar() {
            None | Some(Scalar::Null) => Value::Null,
            Some(Scalar::Bool(value)) => Value::Bool(value),
            Some(Scalar::Int(value)) => Value::Int(value),
            Some(Scalar::Str(text)) => Value::Str(String::from_utf8_lossy(&text).into_owned()),
            Some(Scalar::Float(_) | Scalar::Time(_)) => Value::Str(spelled()),
        }
    }

    /// The node, to be edited; where an alias stands, the alias.
    pub fn node(self) -> NodeId {
        self.id
    }

    /// The bytes of the source that it takes.
    pub fn span(self) -> Span {
        self.manifest.document.tree().node(self.id).span()
    }

    /// Where it stands in the file.
    pub fn position(self) -> Position {
        let at = self.manifest.document.position(self.span().start as usize);
        Position {
            line: at.line + self.manifest.lines,
            ..at
        }
    }

    /// An error about it.
    pub fn error(self, path: &str, why: impl Into<String>) -> ManifestError {
        ManifestError {
            at: self.position(),
            path: path.to_owned(),
            why: why.into(),
        }
    }
}
