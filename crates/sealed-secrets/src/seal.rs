//! A Secret becomes a SealedSecret.

use ::secret::SecretBytes;
use document::emit::Item;
use document::{Format, Scalar};

use crate::certificate::Certificate;
use crate::error::{Random, SealError};
use crate::hint::{Hint, SEALED_WITH};
use crate::metadata::Metadata;
use crate::names::OBJECT_BYTES;
use crate::scope::{CLUSTER_WIDE, NAMESPACE_WIDE, Scope};
use crate::sealed_secret::{API_VERSION, KIND};
use crate::secret::{self, Secret};

/// A SealedSecret that does not stand in a file yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewSealedSecret {
    /// Its own metadata: name, namespace, and annotations for scope and hint.
    pub metadata: Metadata,
    /// The metadata of the Secret that it becomes.
    pub template: Metadata,
    /// The type of the Secret that it becomes.
    pub kind: Option<String>,
    /// Whether the Secret that it becomes is immutable.
    pub immutable: Option<bool>,
    /// Keys and sealed values.
    pub items: Vec<(String, String)>,
}

impl NewSealedSecret {
    /// Seals every value of `secret` for the holder of `certificate`. With `hint` the object names its key.
    ///
    /// # Errors
    /// When the random source fails.
    pub fn seal(
        secret: &Secret,
        scope: Scope,
        certificate: &Certificate,
        hint: bool,
        random: &mut Random<'_>,
    ) -> Result<Self, SealError> {
        let of = &secret.metadata;
        let label = scope.label(&of.namespace, &of.name);
        let mut seal = |(key, value): &(String, SecretBytes)| {
            let text = certificate.seal(value.expose(), &label, random)?;
            Ok((key.clone(), text))
        };
        let items: Vec<(String, String)> = secret
            .data
            .iter()
            .map(&mut seal)
            .collect::<Result<_, SealError>>()?;
        let template = Self::template_of(secret, scope);
        let mut metadata = Metadata {
            name: of.name.clone(),
            namespace: of.namespace.clone(),
            ..Metadata::default()
        };
        set_scope(&mut metadata, scope);
        if hint && !items.is_empty() {
            let known = items
                .iter()
                .map(|(_, text)| (text.as_bytes(), Some(certificate.fingerprint().short())));
            metadata.set_annotation(SEALED_WITH, Some(Hint::of(known).to_string()));
        }
        Ok(Self {
            metadata,
            template,
            kind: secret.kind.clone(),
            immutable: secret.immutable,
            items,
        })
    }

    /// The metadata of the Secret that a sealed `secret` becomes.
    pub fn template_of(secret: &Secret, scope: Scope) -> Metadata {
        let mut template = secret.metadata.clone().without_copies();
        template.set_annotation(SEALED_WITH, None);
        set_scope(&mut template, scope);
        template
    }

    /// The size in bytes that sealing would give an object as etcd keeps it, without sealing anything.
    pub fn size_of(secret: &Secret, certificate: &Certificate) -> usize {
        let texts = |map: &[(String, String)]| {
            map.iter()
                .map(|(name, text)| name.len() + text.len() + 6)
                .sum::<usize>()
        };
        let metadata = &secret.metadata;
        let head = texts(&metadata.labels)
            + texts(&metadata.annotations)
            + 2 * (metadata.name.len() + metadata.namespace.len());
        let items = secret.data.iter();
        let items = items.map(|(key, value)| key.len() + certificate.sealed_len(value.len()) + 6);
        512 + head + items.sum::<usize>()
    }

    /// Whether an object of that size is stored at all.
    pub fn fits(size: usize) -> bool {
        size <= OBJECT_BYTES
    }

    /// The manifest, in the order in which people read it.
    pub fn write(&self, format: Format) -> SecretBytes {
        let mut items = vec![Item::Map];
        secret::entry(&mut items, "apiVersion", API_VERSION);
        secret::entry(&mut items, "kind", KIND);
        secret::key(&mut items, "metadata");
        self.metadata.items(&mut items);
        secret::key(&mut items, "spec");
        items.push(Item::Map);
        secret::key(&mut items, "encryptedData");
        let texts = self.items.iter().map(|(key, text)| (key.as_str(), text.as_str()));
        secret::texts(&mut items, texts);
        secret::key(&mut items, "template");
        items.push(Item::Map);
        secret::key(&mut items, "metadata");
        self.template.items(&mut items);
        if let Some(kind) = &self.kind {
            secret::entry(&mut items, "type", kind);
        }
        if let Some(immutable) = self.immutable {
            secret::key(&mut items, "immutable");
            items.push(Item::Scalar(Scalar::Bool(immutable)));
        }
        items.extend([Item::End, Item::End, Item::End]);
        secret::write(format, &items)
    }
}

/// Makes the annotations say this scope and no other.
fn set_scope(metadata: &mut Metadata, scope: Scope) {
    for name in [CLUSTER_WIDE, NAMESPACE_WIDE] {
        let value = (scope.annotation() == Some(name)).then(|| "true".to_owned());
        metadata.set_annotation(name, value);
    }
}
