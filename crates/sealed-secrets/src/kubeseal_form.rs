//! Manifests as kubeseal writes them: JSON in the order of Kubernetes' own types, YAML in the order of the alphabet behind
//! `---`, maps sorted in both.

use ::secret::SecretBytes;
use document::Format;
use document::emit::{self, Indent, Item, Options};
use document::{Scalar, Value};

use crate::item;
use crate::manifests::Manifest;
use crate::metadata::Metadata;
use crate::seal::NewSealedSecret;
use crate::sealed_secret::{API_VERSION, KIND};
use crate::secret::{Secret, string};

/// A manifest before it has an order. Texts are lent.
enum Part<'a> {
    Map(Vec<(&'a str, Part<'a>)>),
    List(Vec<Part<'a>>),
    Text(&'a str),
    Bool(bool),
    Int(i64),
}

/// The SealedSecret that a recovered Secret belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// Its name.
    pub name: String,
    /// What the cluster calls it; empty for one that comes from a file.
    pub uid: String,
}

impl NewSealedSecret {
    /// The manifest as kubeseal writes it.
    pub fn write_as_kubeseal(&self, format: Format) -> SecretBytes {
        let mut template = vec![("metadata", metadata(&self.template, None))];
        template.extend(self.kind.as_deref().map(|kind| ("type", Part::Text(kind))));
        template.extend(self.immutable.map(|is| ("immutable", Part::Bool(is))));
        let items = self.items.iter();
        let items = items.map(|(key, text)| (key.as_str(), Part::Text(text)));
        let spec = vec![
            ("template", Part::Map(template)),
            ("encryptedData", sorted(items)),
        ];
        write(
            format,
            vec![
                ("kind", Part::Text(KIND)),
                ("apiVersion", Part::Text(API_VERSION)),
                ("metadata", metadata(&self.metadata, None)),
                ("spec", Part::Map(spec)),
            ],
        )
    }
}

impl Secret {
    /// The manifest as kubeseal writes a recovered one, all values under `data`.
    pub fn write_as_kubeseal(&self, format: Format, owner: Option<&Owner>) -> SecretBytes {
        let encoded: Vec<(&str, SecretBytes)> = self
            .data
            .iter()
            .map(|(key, value)| {
                (
                    key.as_str(),
                    SecretBytes::new(item::encode(value.expose()).into_bytes()),
                )
            })
            .collect();
        let mut secret = vec![
            ("kind", Part::Text("Secret")),
            ("apiVersion", Part::Text("v1")),
            ("metadata", metadata(&self.metadata, owner)),
        ];
        secret.extend(self.immutable.map(|is| ("immutable", Part::Bool(is))));
        if !encoded.is_empty() {
            let values = encoded.iter();
            secret.push((
                "data",
                sorted(values.map(|(key, value)| (*key, Part::Text(ascii(value))))),
            ));
        }
        secret.extend(self.kind.as_deref().map(|kind| ("type", Part::Text(kind))));
        write(format, secret)
    }
}

impl Manifest {
    /// The document in another format, its maps sorted. For documents that hold no plaintext.
    pub fn write_sorted(&self, format: Format) -> Option<SecretBytes> {
        let value = self.root()?.value();
        let part = of_value(&value)?;
        let Part::Map(entries) = part else { return None };
        Some(write(format, entries))
    }
}

fn of_value(value: &Value) -> Option<Part<'_>> {
    Some(match value {
        Value::Map(entries) => {
            let entries = entries.iter().filter(|(_, value)| *value != Value::Null);
            let parts = entries.map(|(key, value)| Some((key.as_str(), of_value(value)?)));
            sorted(parts.collect::<Option<Vec<_>>>()?)
        }
        Value::List(items) => Part::List(items.iter().map(of_value).collect::<Option<_>>()?),
        Value::Str(text) => Part::Text(text),
        Value::Bool(is) => Part::Bool(*is),
        Value::Int(number) => Part::Int(*number),
        Value::Null => return None,
    })
}

fn metadata<'a>(of: &'a Metadata, owner: Option<&'a Owner>) -> Part<'a> {
    let mut parts = Vec::new();
    for (name, text) in [("name", &of.name), ("namespace", &of.namespace)] {
        if !text.is_empty() {
            parts.push((name, Part::Text(text)));
        }
    }
    for (name, map) in [("labels", &of.labels), ("annotations", &of.annotations)] {
        if !map.is_empty() {
            let texts = map.iter();
            let texts = texts.map(|(name, value)| (name.as_str(), Part::Text(value)));
            parts.push((name, sorted(texts)));
        }
    }
    if let Some(owner) = owner {
        let reference = vec![
            ("apiVersion", Part::Text(API_VERSION)),
            ("kind", Part::Text(KIND)),
            ("name", Part::Text(&owner.name)),
            ("uid", Part::Text(&owner.uid)),
            ("controller", Part::Bool(true)),
        ];
        parts.push(("ownerReferences", Part::List(vec![Part::Map(reference)])));
    }
    if !of.finalizers.is_empty() {
        let names = of.finalizers.iter();
        parts.push((
            "finalizers",
            Part::List(names.map(|name| Part::Text(name)).collect()),
        ));
    }
    Part::Map(parts)
}

/// A map of which no key stands twice: the last one counts, as Go's decoder has it.
fn sorted<'a>(entries: impl IntoIterator<Item = (&'a str, Part<'a>)>) -> Part<'a> {
    let entries: std::collections::BTreeMap<&str, Part<'_>> = entries.into_iter().collect();
    Part::Map(entries.into_iter().collect())
}

fn write(format: Format, entries: Vec<(&str, Part<'_>)>) -> SecretBytes {
    let options = Options {
        yaml_indent: 2,
        json_indent: Indent::Spaces(2),
    };
    let mut items = Vec::new();
    flatten(&Part::Map(entries), format == Format::Yaml, &mut items);
    // The items are made here and nest; no number is among them.
    let text = emit::emit(format, &items, &options).unwrap_or_default();
    match format {
        Format::Yaml => SecretBytes::new([b"---\n", text.expose()].concat()),
        _ => text,
    }
}

/// What is base64 is ASCII.
fn ascii(text: &SecretBytes) -> &str {
    std::str::from_utf8(text.expose()).unwrap_or_default()
}

fn flatten<'a>(part: &Part<'a>, sort: bool, items: &mut Vec<Item<'a>>) {
    match part {
        Part::Map(entries) => {
            let mut order: Vec<&(&str, Part<'_>)> = entries.iter().collect();
            if sort {
                order.sort_by_key(|(key, _)| *key);
            }
            items.push(Item::Map);
            for (key, value) in order {
                items.push(Item::Key(key.as_bytes().into()));
                flatten(value, sort, items);
            }
            items.push(Item::End);
        }
        Part::List(parts) => {
            items.push(Item::List);
            for part in parts {
                flatten(part, sort, items);
            }
            items.push(Item::End);
        }
        Part::Text(text) => items.push(string(text)),
        Part::Bool(is) => items.push(Item::Scalar(Scalar::Bool(*is))),
        Part::Int(number) => items.push(Item::Scalar(Scalar::Int(*number))),
    }
}
