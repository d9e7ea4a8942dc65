//! Changes of a SealedSecret where it stands: every byte outside the items that change is kept.

use std::path::Path;

use document::{Document, Edits, Node, Scalar, Style};
use sealed_secrets::{Field, Fingerprint, Hint, Manifest, SEALED_WITH, SealedSecret};
use secret::SecretBytes;

use super::files::{parse, sealed_secrets};
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
    let asked = changes.clone();
    let mut text = source;
    loop {
        let manifests = parse(bench, path, text)?;
        let mut edits: Vec<Edits> = manifests.iter().map(|_| Edits::default()).collect();
        let mut is_done = true;
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
            one.change(change, &mut edits[*number])?;
            is_done &= change.is_empty();
        }
        text = manifests.render(&edits);
        if is_done {
            break;
        }
    }
    check(bench, path, &text, &asked)?;
    Ok(text)
}

/// One SealedSecret of a document.
struct One<'a> {
    bench: &'a Workbench,
    path: &'a Path,
    manifest: &'a Manifest,
    sealed: &'a SealedSecret<'a>,
}

impl One<'_> {
    /// Records what of a change can be done at once, and leaves the rest of it for another time.
    fn change(&self, change: &mut Rewrite, edits: &mut Edits) -> Result<()> {
        let known = |key: &str| self.sealed.items.iter().find(|item| item.key == key);
        let (there, new): (Vec<_>, Vec<_>) = std::mem::take(&mut change.items)
            .into_iter()
            .partition(|(key, _)| known(key).is_some());
        for (key, text) in &there {
            for item in self.sealed.items.iter().filter(|item| item.key == *key) {
                self.replace(item.field, &["spec", "encryptedData", key], text, edits)?;
            }
        }
        for key in std::mem::take(&mut change.removed) {
            let path = self.sealed.object.path_to(&["spec", "encryptedData", &key]);
            self.done(self.document().unset(&path, edits))?;
        }
        if let Some(hint) = change.hint.take() {
            let text = hint.to_string();
            let annotation = ["metadata", "annotations", SEALED_WITH];
            match self.sealed.object.field.at(&annotation) {
                Some(field) => self.replace(field, &annotation, &text, edits)?,
                None => self.set(&annotation, &text, edits)?,
            }
        }
        let mut is_new = false;
        let (now, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut change.texts)
                .into_iter()
                .partition(|(names, _)| {
                    let names: Vec<&str> = names.iter().map(String::as_str).collect();
                    let is_there = self.sealed.object.field.at(&names).is_some();
                    // Of what is not there yet one at a time: two could need the same map.
                    is_there || !std::mem::replace(&mut is_new, true)
                });
        for (names, text) in now {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            self.set(&names, &text, edits)?;
        }
        change.texts = later;
        // Where nothing stands yet, two new items would both be the first.
        let at_once = if self.sealed.items.is_empty() {
            1
        } else {
            new.len()
        };
        let mut new = new.into_iter();
        for (key, text) in new.by_ref().take(at_once) {
            self.set(&["spec", "encryptedData", &key], &text, edits)?;
        }
        change.items = new.collect();
        Ok(())
    }

    fn document(&self) -> &Document {
        self.manifest.document()
    }

    /// Puts a text in the place of a scalar, in its own quotes.
    fn replace(&self, field: Field<'_>, path: &[&str], text: &str, edits: &mut Edits) -> Result<()> {
        let is_simple = |style| !matches!(style, Style::Literal | Style::Folded);
        match *self.document().tree().node(field.node()) {
            Node::Scalar { span, style, .. } if is_simple(style) => {
                let value = Scalar::Str(text.as_bytes().into());
                edits.replace_with(span, |out| self.document().spell(field.node(), &value, out));
                Ok(())
            }
            _ => self.set(path, text, edits),
        }
    }

    fn set(&self, path: &[&str], text: &str, edits: &mut Edits) -> Result<()> {
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

/// Reads the changed file again and compares it with what was asked for.
fn check(bench: &Workbench, path: &Path, text: &SecretBytes, asked: &[Rewrite]) -> Result<()> {
    let manifests = parse(bench, path, SecretBytes::copy_from(text.expose()))?;
    let found = sealed_secrets(path, &manifests)?;
    let holds = |sealed: &SealedSecret<'_>, change: &Rewrite| {
        let has = |(key, text): &(String, String)| {
            let mut items = sealed.items.iter().filter(|item| item.key == *key);
            items.any(|item| &*item.text == text.as_bytes())
        };
        let gone = |key: &String| !sealed.items.iter().any(|item| item.key == *key);
        change.items.iter().all(has) && change.removed.iter().all(gone)
    };
    let whole = found.len() == asked.len()
        && found
            .iter()
            .zip(asked)
            .all(|((_, sealed), change)| holds(sealed, change));
    if whole {
        return Ok(());
    }
    let text = "is laid out so that it cannot be changed safely; nothing was changed";
    Err(Error::new(Code::Write, text).file(path))
}
