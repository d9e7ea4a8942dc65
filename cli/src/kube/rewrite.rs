//! Changes of a SealedSecret where it stands: every byte outside the items that change is kept.

use std::path::Path;

use document::{Document, Edits, Node, Scalar, Style};
use sealed_secrets::{Field, Fingerprint, Hint, Manifest, Metadata, SEALED_WITH, SealedSecret};
use secret::SecretBytes;

use super::files::{manifest_error, parse, sealed_secrets};
use crate::commands::json_value;
use crate::error::{Code, Error, Result};
use crate::workbench::Workbench;

/// What is to change in one SealedSecret.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rewrite {
    /// Items with their new texts; those that are not there are added, in this order.
    pub(crate) items: Vec<(String, String)>,
    /// Items that go.
    pub(crate) removed: Vec<String>,
    /// What the hint says afterwards; `None` leaves it alone.
    pub(crate) hint: Option<Hint>,
    /// Other texts, each with the way to it.
    pub(crate) texts: Vec<(Vec<String>, String)>,
}

impl Rewrite {
    /// Whether nothing is to change.
    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty() && self.removed.is_empty() && self.hint.is_none() && self.texts.is_empty()
    }

    /// What the hint of an object says once `self` is made and `key` holds what is new; nothing where there is no hint to
    /// keep true.
    pub(crate) fn with_hint(mut self, sealed: &SealedSecret<'_>, key: Fingerprint) -> Self {
        let old = sealed.hint();
        if old.is_empty() {
            return self;
        }
        let new = |name: &str| self.items.iter().find(|(known, _)| known == name);
        let kept = sealed
            .items
            .iter()
            .filter(|item| !self.removed.contains(&item.key));
        let kept = kept.map(|item| match new(&item.key) {
            Some((_, text)) => (text.as_bytes(), Some(key.short())),
            None => (&*item.text, old.key_of(&item.text).map(str::to_owned)),
        });
        let added = self
            .items
            .iter()
            .filter(|(name, _)| !sealed.items.iter().any(|item| item.key == *name));
        let added = added.map(|(_, text)| (text.as_bytes(), Some(key.short())));
        let hint = Hint::of(kept.chain(added));
        self.hint = (hint != old).then_some(hint);
        self
    }
}

/// The file with changes of its SealedSecrets: as many as there are, in their order.
///
/// # Errors
/// Code 3 if the text is laid out so that it cannot be changed safely; then nothing is changed.
pub(crate) fn rewrite(
    bench: &Workbench,
    path: &Path,
    source: SecretBytes,
    mut changes: Vec<Rewrite>,
) -> Result<SecretBytes> {
    let expected = Said::all(bench, path, SecretBytes::copy_from(source.expose()))?;
    let expected = expected
        .into_iter()
        .zip(&changes)
        .map(|(said, change)| said.after(change));
    let expected: Vec<Said> = expected.collect();
    let mut text = source;
    loop {
        let manifests = parse(bench, path, text)?;
        let mut edits: Vec<Edits> = manifests.iter().map(|_| Edits::default()).collect();
        for ((number, sealed), change) in sealed_secrets(path, &manifests)?.iter().zip(&mut changes) {
            let Some(manifest) = manifests.iter().nth(*number) else {
                continue;
            };
            let one = One {
                bench,
                path,
                manifest,
                sealed,
            };
            one.expect_single_items(change)?;
            if edits[*number].is_empty() {
                one.change(change, &mut edits[*number])?;
            } else {
                // Texts of several objects go together; what changes the shape of a document goes alone.
                one.replace_texts(change, &mut edits[*number])?;
            }
        }
        text = manifests.render(&edits);
        if changes.iter().all(Rewrite::is_empty) {
            break;
        }
    }
    if Said::all(bench, path, SecretBytes::copy_from(text.expose()))? == expected {
        return Ok(text);
    }
    Err(unsafe_to_change(path))
}

fn unsafe_to_change(path: &Path) -> Error {
    let text = "is laid out so that it cannot be changed safely; nothing was changed";
    Error::new(Code::Write, text).file(path)
}

/// What a SealedSecret says, in an order of its own.
#[derive(PartialEq, Eq)]
struct Said {
    items: Vec<(String, Vec<u8>)>,
    /// Names, labels and annotations, without the hint.
    metadata: Metadata,
    /// The metadata of the template.
    template: Metadata,
}

impl Said {
    /// What all SealedSecrets of a file say.
    fn all(bench: &Workbench, path: &Path, source: SecretBytes) -> Result<Vec<Self>> {
        let manifests = parse(bench, path, source)?;
        let found = sealed_secrets(path, &manifests)?;
        found.iter().map(|(_, sealed)| Self::of(path, sealed)).collect()
    }

    fn of(path: &Path, sealed: &SealedSecret<'_>) -> Result<Self> {
        let items = sealed.items.iter();
        let mut items: Vec<_> = items.map(|item| (item.key.clone(), item.text.to_vec())).collect();
        items.sort();
        let mut metadata = sealed.metadata.clone();
        metadata.set_annotation(SEALED_WITH, None);
        let template = sealed.template.map(Metadata::read).transpose();
        let template = template.map_err(|error| manifest_error(path, error))?;
        Ok(Self {
            items,
            metadata: in_order(metadata),
            template: in_order(template.unwrap_or_default()),
        })
    }

    /// The same once a change is made.
    fn after(mut self, change: &Rewrite) -> Self {
        let is_new = |key: &String| change.items.iter().any(|(new, _)| new == key);
        self.items
            .retain(|(key, _)| !is_new(key) && !change.removed.contains(key));
        let new = change.items.iter();
        self.items
            .extend(new.map(|(key, text)| (key.clone(), text.clone().into_bytes())));
        self.items.sort();
        for (names, text) in &change.texts {
            let (Some(part), Some(name)) = (names.get(names.len().wrapping_sub(2)), names.last()) else {
                continue;
            };
            let map = if part == "labels" {
                &mut self.template.labels
            } else {
                &mut self.template.annotations
            };
            map.retain(|(known, _)| known != name);
            map.push((name.clone(), text.clone()));
        }
        self.template = in_order(self.template);
        self
    }
}

fn in_order(mut metadata: Metadata) -> Metadata {
    metadata.labels.sort();
    metadata.annotations.sort();
    metadata
}

/// One SealedSecret of a document.
struct One<'a> {
    bench: &'a Workbench,
    path: &'a Path,
    manifest: &'a Manifest,
    sealed: &'a SealedSecret<'a>,
}

impl One<'_> {
    /// Refuses an item that stands twice: nobody knows which of them is meant.
    fn expect_single_items(&self, change: &Rewrite) -> Result<()> {
        match self.sealed.duplicates().first() {
            Some(twice) if !change.is_empty() => {
                Err(Error::new(Code::Read, "stands twice: which of the two is meant?")
                    .file(self.path)
                    .at(twice.field.position())
                    .path(format!("spec.encryptedData.{}", twice.key)))
            }
            _ => Ok(()),
        }
    }

    /// Records what of a change can be done at once, and leaves the rest of it for another time: texts in the place of texts
    /// all together, then of what changes the shape of the document one thing after the other.
    fn change(&self, change: &mut Rewrite, edits: &mut Edits) -> Result<()> {
        if change.is_empty() {
            return Ok(());
        }
        self.replace_texts(change, edits)?;
        if !edits.is_empty() {
            return Ok(());
        }
        if let Some(key) = change.removed.pop() {
            let path = self.sealed.object.path_to(&["spec", "encryptedData", &key]);
            return self.done(self.document().unset(&path, edits));
        }
        if let Some(hint) = change.hint.take() {
            return self.set(
                &["metadata", "annotations", SEALED_WITH],
                &hint.to_string(),
                edits,
            );
        }
        if let Some((names, text)) = change.texts.pop() {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            return self.set(&names, &text, edits);
        }
        // Where nothing stands yet, two new items would both be the first.
        let at_once = if self.sealed.items.is_empty() {
            1
        } else {
            change.items.len()
        };
        for (key, text) in change.items.drain(..at_once.min(change.items.len())) {
            self.set(&["spec", "encryptedData", &key], &text, edits)?;
        }
        Ok(())
    }

    /// Records the texts that stand in the place of others.
    fn replace_texts(&self, change: &mut Rewrite, edits: &mut Edits) -> Result<()> {
        let known = |key: &str| self.sealed.items.iter().find(|item| item.key == key);
        let (there, new): (Vec<_>, Vec<_>) = std::mem::take(&mut change.items)
            .into_iter()
            .partition(|(key, _)| known(key).is_some());
        change.items = new;
        for (key, text) in &there {
            self.replace(&["spec", "encryptedData", key], text, edits)?;
        }
        let annotation = ["metadata", "annotations", SEALED_WITH];
        if self.sealed.object.field.at(&annotation).is_some()
            && let Some(hint) = change.hint.take()
        {
            self.replace(&annotation, &hint.to_string(), edits)?;
        }
        let is_there = |names: &Vec<String>| {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            self.sealed.object.field.at(&names).is_some()
        };
        let (there, new): (Vec<_>, Vec<_>) = std::mem::take(&mut change.texts)
            .into_iter()
            .partition(|(names, _)| is_there(names));
        change.texts = new;
        for (names, text) in there {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            self.replace(&names, &text, edits)?;
        }
        Ok(())
    }

    fn document(&self) -> &Document {
        self.manifest.document()
    }

    /// Puts a text in the place of a scalar, in its own quotes. What carries an anchor, or stands behind an alias, says
    /// something in another place as well, and is left to its author.
    fn replace(&self, names: &[&str], text: &str, edits: &mut Edits) -> Result<()> {
        let field = self
            .sealed
            .object
            .field
            .at(names)
            .ok_or_else(|| unsafe_to_change(self.path))?;
        if self.is_shared(names) {
            let told = Error::new(
                Code::Write,
                "carries an anchor or stands behind an alias: what is sealed there changes elsewhere, too",
            );
            return Err(told
                .file(self.path)
                .at(field.position())
                .path(self.sealed.object.path_to(names))
                .hint("write it out where it is used, without anchor and alias"));
        }
        let is_simple = |style| !matches!(style, Style::Literal | Style::Folded);
        match *self.document().tree().node(field.node()) {
            Node::Scalar {
                span,
                style,
                tag: None,
                ..
            } if is_simple(style) => {
                let value = Scalar::Str(text.as_bytes().into());
                edits.replace_with(span, |out| self.document().spell(field.node(), &value, out));
                Ok(())
            }
            _ => self.set(names, text, edits),
        }
    }

    /// Whether anything on the way to a field has an anchor or is an alias.
    fn is_shared(&self, names: &[&str]) -> bool {
        let shared = |field: Field<'_>| {
            let is_alias = matches!(self.document().tree().node(field.node()), Node::Alias { .. });
            is_alias || self.document().tree().anchor(field.node()).is_some()
        };
        let mut field = self.sealed.object.field;
        let on_the_way = names.iter().any(|name| match field.get(name) {
            Some(next) => {
                field = next;
                shared(field)
            }
            None => false,
        });
        shared(self.sealed.object.field) || on_the_way
    }

    fn set(&self, path: &[&str], text: &str, edits: &mut Edits) -> Result<()> {
        if self.is_shared(&path[..path.len().saturating_sub(1)]) {
            return Err(
                unsafe_to_change(self.path).hint("an anchor or an alias stands on the way: write it out")
            );
        }
        let path = self.sealed.object.path_to(path);
        let value = serde_json::Value::from(text).to_string();
        let Some(value) = json_value(self.bench, value.as_bytes()) else {
            return Err(Error::new(Code::Generic, "a sealed text cannot be quoted"));
        };
        self.done(self.document().set(&path, &value, edits))
    }

    fn done(&self, result: Result<(), document::Error>) -> Result<()> {
        result.map_err(|error| Error::from((self.path, error)).with_code(Code::Write))
    }
}
