//! SealedSecrets as manifests: reading one, and opening it.

use std::borrow::Cow;
use std::collections::HashSet;

use ::secret::SecretBytes;
use document::Scalar;

use crate::error::{ManifestError, OpenError};
use crate::fingerprint::Fingerprint;
use crate::hint::{Hint, SEALED_WITH};
use crate::item::Item;
use crate::manifests::{Field, Object};
use crate::metadata::{self, Metadata};
use crate::scope::Scope;
use crate::sealing_keys::SealingKeys;
use crate::secret::Secret;

/// The group of the kind, before its version.
pub const GROUP: &str = "bitnami.com/";
/// Group and version of the kind.
pub const API_VERSION: &str = "bitnami.com/v1alpha1";
/// The kind.
pub const KIND: &str = "SealedSecret";

/// A SealedSecret as it stands in a file.
#[derive(Debug)]
pub struct SealedSecret<'m> {
    /// Where it stands.
    pub object: Object<'m>,
    /// Who it is. Name, namespace and scope of the label come from here, never from the template.
    pub metadata: Metadata,
    /// How far it may move.
    pub scope: Scope,
    /// Its items in the order of the file. A key that stands twice is there twice.
    pub items: Vec<SealedItem<'m>>,
    /// `spec.template`, where it has one.
    pub template: Option<Field<'m>>,
    /// `spec.data`: the whole Secret in one value, as the first versions sealed it.
    pub whole: Option<Field<'m>>,
}

/// One entry of `spec.encryptedData`.
#[derive(Debug)]
pub struct SealedItem<'m> {
    /// Its key.
    pub key: String,
    /// Its text.
    pub text: Cow<'m, [u8]>,
    /// Where it stands.
    pub field: Field<'m>,
}

/// A value that does not open.
#[derive(Debug)]
pub struct Unopened {
    /// The key of the item; empty for an object that is sealed as one.
    pub key: String,
    /// Why.
    pub error: OpenError,
}

impl<'m> SealedSecret<'m> {
    /// Whether an object is one.
    pub fn is(object: &Object<'_>) -> bool {
        object.kind() == KIND
            && object
                .field
                .text_at("apiVersion")
                .is_some_and(|version| version.starts_with(GROUP))
    }

    /// Reads an object for which [`Self::is`] says yes.
    ///
    /// # Errors
    /// When a field has another type than the API server takes, or stands twice.
    pub fn read(object: Object<'m>) -> Result<Self, ManifestError> {
        let field = object.field;
        let Some(spec) = field.get("spec").filter(|spec| spec.is_map()) else {
            return Err(field.error("spec", "is missing"));
        };
        for way in [&[][..], &["spec"], &["spec", "template"]] {
            metadata::once_each(field, way)?;
        }
        let metadata = Metadata::read(field)?;
        let not_null = |field: &Field<'m>| !field.is_null();
        Ok(Self {
            scope: Scope::of_annotations(metadata.annotations()),
            items: items(spec)?,
            template: spec.get("template").filter(not_null),
            whole: spec.get("data").filter(not_null),
            metadata,
            object,
        })
    }

    /// The label that its items are bound to.
    pub fn label(&self) -> Vec<u8> {
        self.scope.label(&self.metadata.namespace, &self.metadata.name)
    }

    /// What its hint says.
    pub fn hint(&self) -> Hint {
        self.metadata
            .annotation(SEALED_WITH)
            .map(Hint::parse)
            .unwrap_or_default()
    }

    /// Opens all items: each with the key that the hint names, then the one that opened the item before it, then `first`,
    /// then all others.
    pub fn open(
        &self,
        keys: &SealingKeys,
        first: &[Fingerprint],
    ) -> Vec<Result<(SecretBytes, Fingerprint), OpenError>> {
        let (label, hint) = (self.label(), self.hint());
        let mut last: Option<Fingerprint> = None;
        let open = |item: &SealedItem<'_>| {
            let read = Item::parse(&item.text)?;
            let hinted = hint.key_of(&item.text).and_then(|short| keys.hinted(short));
            let hinted = hinted.map(|key| key.fingerprint());
            let order: Vec<Fingerprint> = hinted
                .into_iter()
                .chain(last)
                .chain(first.iter().copied())
                .collect();
            let (plaintext, key) = keys.open(&read, &label, &order)?;
            last = Some(key.fingerprint());
            Ok((plaintext, key.fingerprint()))
        };
        self.items.iter().map(open).collect()
    }

    /// The Secret that the controller makes of it, but for owner references. Entries of `template.data` are taken as they
    /// stand; a template language is not read here.
    ///
    /// # Errors
    /// All values that do not open, each with its reason.
    pub fn unseal(&self, keys: &SealingKeys) -> Result<Result<Secret, Vec<Unopened>>, ManifestError> {
        if let Some(whole) = self.whole {
            return self.unseal_whole(whole, keys);
        }
        metadata::once_each(self.object.field, &["spec", "encryptedData"])?;
        let mut secret = self.template_only()?;
        let mut unopened = Vec::new();
        for (item, opened) in self.items.iter().zip(self.open(keys, &[])) {
            match opened {
                Ok((plaintext, _)) => secret.data.push((item.key.clone(), plaintext)),
                Err(error) => unopened.push(Unopened {
                    key: item.key.clone(),
                    error,
                }),
            }
        }
        if !unopened.is_empty() {
            return Ok(Err(unopened));
        }
        for (key, text) in self.template_data()? {
            secret.data.retain(|(known, _)| *known != key);
            secret.data.push((key, SecretBytes::new(text.into_bytes())));
        }
        Ok(Ok(secret))
    }

    /// What the template says, without values.
    fn template_only(&self) -> Result<Secret, ManifestError> {
        let mut secret = Secret::default();
        if let Some(template) = self.template {
            secret.metadata = Metadata::read(template)?;
            let kind = metadata::text(template, "type")?;
            secret.kind = (!kind.is_empty()).then_some(kind);
            secret.immutable = match template.get("immutable").and_then(Field::scalar) {
                Some(Scalar::Bool(value)) => Some(value),
                _ => None,
            };
        }
        secret.metadata.name.clone_from(&self.metadata.name);
        secret.metadata.namespace.clone_from(&self.metadata.namespace);
        Ok(secret)
    }

    /// `spec.template.data`. What would have to be rendered is refused.
    ///
    /// # Errors
    /// When an entry uses the template language.
    pub fn template_data(&self) -> Result<Vec<(String, String)>, ManifestError> {
        let Some(template) = self.template else {
            return Ok(Vec::new());
        };
        let data = metadata::texts(template, "data")?;
        if let Some((key, _)) = data.iter().find(|(_, text)| text.contains("{{")) {
            let path = format!("spec.template.data.{key}");
            let why = "is a template that the controller renders; here only its items can be opened";
            return Err(template.error(&path, why));
        }
        Ok(data)
    }

    /// A Secret that was sealed as one JSON document. Name and namespace are the object's own, the template counts for
    /// nothing.
    fn unseal_whole(
        &self,
        whole: Field<'m>,
        keys: &SealingKeys,
    ) -> Result<Result<Secret, Vec<Unopened>>, ManifestError> {
        if !self.items.is_empty() {
            return Err(whole.error(
                "spec.data",
                "stands beside spec.encryptedData: only one of them can be",
            ));
        }
        let Some(text) = whole.text() else {
            return Err(metadata::no_text(whole, "spec.data"));
        };
        let open = || -> Result<SecretBytes, OpenError> {
            let item = Item::parse(&text)?;
            Ok(keys.open(&item, &self.label(), &[])?.0)
        };
        let plaintext = match open() {
            Ok(plaintext) => plaintext,
            Err(error) => {
                let key = String::new();
                return Ok(Err(vec![Unopened { key, error }]));
            }
        };
        let limits = document::Limits::default();
        let inner = crate::Manifests::parse(document::Format::Json, plaintext, &limits);
        let secret = match inner {
            Ok(inner) => {
                let root = inner.iter().next().and_then(crate::Manifest::root);
                root.and_then(|root| Secret::read(root).ok())
            }
            Err(_) => None,
        };
        let Some(mut secret) = secret else {
            return Err(whole.error("spec.data", "opens, but holds no Secret"));
        };
        secret.metadata.name.clone_from(&self.metadata.name);
        secret.metadata.namespace.clone_from(&self.metadata.namespace);
        Ok(Ok(secret))
    }

    /// The keys that stand more than once: YAML that Kubernetes refuses.
    pub fn duplicates(&self) -> Vec<&SealedItem<'m>> {
        let mut seen = HashSet::new();
        self.items
            .iter()
            .filter(|item| !seen.insert(item.key.as_str()))
            .collect()
    }
}

fn items(spec: Field<'_>) -> Result<Vec<SealedItem<'_>>, ManifestError> {
    let Some(map) = spec.get("encryptedData").filter(|field| !field.is_null()) else {
        return Ok(Vec::new());
    };
    if !map.is_map() {
        return Err(map.error("spec.encryptedData", "must be a map of texts"));
    }
    let entries = map.entries().map(|(key, field)| {
        let path = format!("spec.encryptedData.{key}");
        let text = if field.is_null() {
            Some(Cow::default())
        } else {
            field.text()
        };
        Ok(SealedItem {
            text: text.ok_or_else(|| metadata::no_text(field, &path))?,
            key: key.into_owned(),
            field,
        })
    });
    entries.collect()
}
