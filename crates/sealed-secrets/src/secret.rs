//! Secrets as manifests: what is sealed, and what comes out again.

use std::collections::HashMap;

use ::secret::SecretBytes;
use base64::Engine as _;
use document::emit::{self, Indent, Item, Options};
use document::{Format, Scalar};

use crate::error::ManifestError;
use crate::item;
use crate::manifests::Field;
use crate::metadata::{self, Metadata};
use crate::names::{self, SECRET_BYTES};

/// A Secret of Kubernetes.
#[derive(Debug, Default)]
pub struct Secret {
    /// Who it is.
    pub metadata: Metadata,
    /// `type`, where it has one.
    pub kind: Option<String>,
    /// `immutable`, where it has it.
    pub immutable: Option<bool>,
    /// Its values in the order of the file, no key twice: a key under `stringData` wins over one under `data`.
    pub data: Vec<(String, SecretBytes)>,
}

impl Secret {
    /// Reads a manifest of kind Secret.
    ///
    /// # Errors
    /// When a field has another type than the API server takes, a key stands twice in one map, or a value under `data` is
    /// not base64.
    pub fn read(object: Field<'_>) -> Result<Self, ManifestError> {
        for way in [&[][..], &["data"], &["stringData"]] {
            metadata::once_each(object, way)?;
        }
        let mut values = Values::default();
        for (key, field) in map(object, "data")? {
            values.put(key, decoded(&field)?);
        }
        for (key, field) in map(object, "stringData")? {
            values.put(key, plain(&field)?);
        }
        let immutable = object.get("immutable").filter(|field| !field.is_null());
        let immutable = immutable.map(|field| match field.scalar() {
            Some(Scalar::Bool(value)) => Ok(value),
            _ => Err(field.error("immutable", "must be true or false")),
        });
        let kind = metadata::text(object, "type")?;
        Ok(Self {
            metadata: Metadata::read(object)?,
            kind: (!kind.is_empty()).then_some(kind),
            immutable: immutable.transpose()?,
            data: values.in_order,
        })
    }

    /// What the API server would refuse, told before anything is sealed: names, keys, and more than 1 MiB of values.
    ///
    /// # Errors
    /// The first of them, at `object`, from which the Secret was read.
    pub fn check(&self, object: Field<'_>) -> Result<(), ManifestError> {
        let at = |path: &[&str]| object.at(path).unwrap_or(object);
        if self.metadata.name.is_empty() {
            return Err(object.error(
                "metadata.name",
                "is missing: a Secret needs a name before it is sealed",
            ));
        }
        names::check_name(&self.metadata.name)
            .map_err(|why| at(&["metadata", "name"]).error("metadata.name", why))?;
        if !self.metadata.namespace.is_empty() {
            names::check_namespace(&self.metadata.namespace)
                .map_err(|why| at(&["metadata", "namespace"]).error("metadata.namespace", why))?;
        }
        for (key, _) in &self.data {
            let part = if at(&["stringData"]).get(key).is_some() {
                "stringData"
            } else {
                "data"
            };
            names::check_key(key).map_err(|why| at(&[part]).error(&format!("{part}.{key:?}"), why))?;
        }
        let bytes: usize = self.data.iter().map(|(_, value)| value.len()).sum();
        if bytes > SECRET_BYTES {
            let why = format!("the values have {bytes} bytes together; Kubernetes takes {SECRET_BYTES}");
            return Err(object.error("", why));
        }
        Ok(())
    }

    /// The manifest. Values that are text stand under `stringData`, others as base64 under `data`; with `encoded`, all under
    /// `data`.
    pub fn write(&self, format: Format, encoded: bool) -> SecretBytes {
        let is_text =
            |value: &SecretBytes| !encoded && std::str::from_utf8(value.expose()).is_ok_and(is_printable);
        let texts: Vec<Option<SecretBytes>> = self
            .data
            .iter()
            .map(|(_, value)| {
                (!is_text(value)).then(|| SecretBytes::new(item::encode(value.expose()).into_bytes()))
            })
            .collect();
        let mut items = vec![Item::Map];
        entry(&mut items, "apiVersion", "v1");
        entry(&mut items, "kind", "Secret");
        key(&mut items, "metadata");
        self.metadata.items(&mut items);
        if let Some(kind) = &self.kind {
            entry(&mut items, "type", kind);
        }
        if let Some(immutable) = self.immutable {
            key(&mut items, "immutable");
            items.push(Item::Scalar(Scalar::Bool(immutable)));
        }
        let values = self.data.iter().zip(&texts);
        for (part, is_encoded) in [("data", true), ("stringData", false)] {
            let mut these = values
                .clone()
                .filter(|(_, text)| text.is_some() == is_encoded)
                .peekable();
            if these.peek().is_none() {
                continue;
            }
            key(&mut items, part);
            items.push(Item::Map);
            for ((name, value), text) in these {
                key(&mut items, name);
                let shown = text.as_ref().unwrap_or(value).expose();
                items.push(Item::Scalar(Scalar::Str(shown.into())));
            }
            items.push(Item::End);
        }
        items.push(Item::End);
        write(format, &items)
    }
}

/// Values by key, in the order in which the keys came.
#[derive(Default)]
struct Values {
    in_order: Vec<(String, SecretBytes)>,
    known: HashMap<String, usize>,
}

impl Values {
    fn put(&mut self, key: String, value: SecretBytes) {
        match self.known.get(&key) {
            Some(at) => self.in_order[*at].1 = value,
            None => {
                self.known.insert(key.clone(), self.in_order.len());
                self.in_order.push((key, value));
            }
        }
    }
}

/// A value with the path that it stands at.
struct Placed<'m> {
    field: Field<'m>,
    path: String,
}

fn map<'m>(object: Field<'m>, name: &'static str) -> Result<Vec<(String, Placed<'m>)>, ManifestError> {
    let Some(map) = object.get(name).filter(|field| !field.is_null()) else {
        return Ok(Vec::new());
    };
    if !map.is_map() {
        return Err(map.error(name, "must be a map"));
    }
    let entries = map.entries().map(|(key, field)| {
        let path = format!("{name}.{key}");
        (key.into_owned(), Placed { field, path })
    });
    Ok(entries.collect())
}

fn decoded(placed: &Placed<'_>) -> Result<SecretBytes, ManifestError> {
    let text = plain(placed)?;
    let why = "is not base64; what is not encoded stands under stringData";
    item::decode(text.expose())
        .map(SecretBytes::new)
        .map_err(|_| placed.field.error(&placed.path, why))
}

fn plain(placed: &Placed<'_>) -> Result<SecretBytes, ManifestError> {
    if placed.field.is_null() {
        return Ok(SecretBytes::default());
    }
    match placed.field.text() {
        Some(text) => Ok(SecretBytes::new(text.into_owned())),
        None => Err(metadata::no_text(placed.field, &placed.path)),
    }
}

/// Whether a text can stand in a document as it is.
fn is_printable(text: &str) -> bool {
    text.chars()
        .all(|sign| !sign.is_control() || matches!(sign, '\n' | '\t'))
}

impl Metadata {
    /// As a map.
    pub(crate) fn items<'a>(&'a self, items: &mut Vec<Item<'a>>) {
        items.push(Item::Map);
        for (name, text) in [("name", &self.name), ("namespace", &self.namespace)] {
            if !text.is_empty() {
                entry(items, name, text);
            }
        }
        for (name, map) in [("labels", &self.labels), ("annotations", &self.annotations)] {
            if !map.is_empty() {
                key(items, name);
                texts(
                    items,
                    map.iter().map(|(name, value)| (name.as_str(), value.as_str())),
                );
            }
        }
        if !self.finalizers.is_empty() {
            key(items, "finalizers");
            items.push(Item::List);
            items.extend(self.finalizers.iter().map(|text| string(text)));
            items.push(Item::End);
        }
        items.push(Item::End);
    }
}

/// A map of texts.
pub(crate) fn texts<'a>(items: &mut Vec<Item<'a>>, map: impl IntoIterator<Item = (&'a str, &'a str)>) {
    items.push(Item::Map);
    for (name, value) in map {
        entry(items, name, value);
    }
    items.push(Item::End);
}

/// A key with a text.
pub(crate) fn entry<'a>(items: &mut Vec<Item<'a>>, name: &'a str, value: &'a str) {
    key(items, name);
    items.push(string(value));
}

pub(crate) fn key<'a>(items: &mut Vec<Item<'a>>, name: &'a str) {
    items.push(Item::Key(name.as_bytes().into()));
}

pub(crate) fn string(text: &str) -> Item<'_> {
    Item::Scalar(Scalar::Str(text.as_bytes().into()))
}

/// As YAML with two columns, or as JSON with two.
pub(crate) fn write(format: Format, items: &[Item<'_>]) -> SecretBytes {
    let options = Options {
        yaml_indent: 2,
        json_indent: Indent::Spaces(2),
    };
    // The items are made here and nest; no number is among them.
    let mut text = emit::emit(format, items, &options).unwrap_or_default();
    if format == Format::Json && !text.expose().ends_with(b"\n") {
        text.expose_mut().push(b'\n');
    }
    text
}

/// Base64 of a value, for those who write manifests themselves.
pub fn encoded(value: &SecretBytes) -> SecretBytes {
    SecretBytes::new(
        base64::engine::general_purpose::STANDARD
            .encode(value.expose())
            .into_bytes(),
    )
}

/// What base64 of a value says, read as Kubernetes reads it; `None` if it is none.
pub fn decode(text: &SecretBytes) -> Option<SecretBytes> {
    item::decode(text.expose()).ok().map(SecretBytes::new)
}
