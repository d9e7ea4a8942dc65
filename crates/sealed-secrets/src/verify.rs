//! What can be told of a SealedSecret without any key.

use document::Position;

use crate::hint::SEALED_WITH;
use crate::item::{Item, ItemError};
use crate::manifests::Field;
use crate::metadata::Metadata;
use crate::names;
use crate::scope::{CLUSTER_WIDE, NAMESPACE_WIDE, Scope};
use crate::sealed_secret::{API_VERSION, SealedSecret};

/// Something wrong with a SealedSecret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where.
    pub at: Position,
    /// The key path.
    pub path: String,
    /// What is wrong, and where it helps, what to do. Never a value.
    pub what: String,
    /// Whether it will not work; else it works and is probably not meant.
    pub is_error: bool,
}

/// Looks at names, scope, items and their lengths.
pub fn verify(sealed: &SealedSecret<'_>) -> Vec<Finding> {
    let mut findings = Findings {
        sealed,
        found: Vec::new(),
    };
    findings.names();
    findings.scope();
    findings.items();
    findings.found
}

struct Findings<'s, 'm> {
    sealed: &'s SealedSecret<'m>,
    found: Vec<Finding>,
}

impl<'m> Findings<'_, 'm> {
    fn add(&mut self, field: Field<'_>, path: &str, what: impl Into<String>, is_error: bool) {
        self.found.push(Finding {
            at: field.position(),
            path: path.to_owned(),
            what: what.into(),
            is_error,
        });
    }

    fn field(&self, path: &[&str]) -> Field<'m> {
        let object = self.sealed.object.field;
        object.at(path).unwrap_or(object)
    }

    fn names(&mut self) {
        let metadata = &self.sealed.metadata;
        if self.sealed.object.field.text_at("apiVersion").as_deref() != Some(API_VERSION) {
            let what = format!("is not {API_VERSION}, the only version there is");
            self.add(self.field(&["apiVersion"]), "apiVersion", what, true);
        }
        if let Err(why) = names::check_name(&metadata.name) {
            self.add(self.field(&["metadata", "name"]), "metadata.name", why, true);
        }
        if metadata.namespace.is_empty() {
            if self.sealed.scope != Scope::ClusterWide {
                let what = "is missing: the value opens only in the namespace that it was sealed for";
                self.add(self.field(&["metadata"]), "metadata.namespace", what, false);
            }
        } else if let Err(why) = names::check_namespace(&metadata.namespace) {
            self.add(
                self.field(&["metadata", "namespace"]),
                "metadata.namespace",
                why,
                true,
            );
        }
    }

    fn scope(&mut self) {
        for name in [CLUSTER_WIDE, NAMESPACE_WIDE] {
            let path = ["metadata", "annotations", name];
            match self.sealed.metadata.annotation(name) {
                None | Some("true") => {}
                Some(_) => self.add(
                    self.field(&path),
                    &format!("metadata.annotations.{name}"),
                    "has no effect: only the text \"true\" counts",
                    false,
                ),
            }
        }
        let template = self
            .sealed
            .template
            .and_then(|template| Metadata::read(template).ok());
        let inner = template
            .as_ref()
            .map(|template| Scope::of_annotations(template.annotations()));
        if let Some(inner) = inner.filter(|inner| *inner != Scope::Strict && *inner != self.sealed.scope) {
            let what = format!(
                "says {}, but the scope comes from the object's own annotations: it is {}",
                inner.word(),
                self.sealed.scope.word()
            );
            let field = self.field(&["spec", "template", "metadata", "annotations"]);
            self.add(field, "spec.template.metadata.annotations", what, false);
        }
    }

    fn items(&mut self) {
        let sealed = self.sealed;
        for twice in sealed.duplicates() {
            let path = format!("spec.encryptedData.{}", twice.key);
            self.add(twice.field, &path, "stands more than once", true);
        }
        for item in &sealed.items {
            let path = format!("spec.encryptedData.{}", item.key);
            if let Err(why) = names::check_key(&item.key) {
                self.add(item.field, &path, why, true);
            }
            match Item::parse(&item.text) {
                Ok(_) => {}
                Err(error) if error == ItemError::NotBase64 || !begins_as_sealed(&item.text) => {
                    self.add(
                        item.field,
                        &path,
                        "is not sealed: it may stand here in the clear",
                        true,
                    );
                }
                Err(error) => self.add(item.field, &path, format!("is {error}"), true),
            }
        }
        if let Some(whole) = sealed.whole {
            let what =
                "is the form of the first versions, which kubeseal does not read: open it and seal it again";
            let both = !sealed.items.is_empty();
            let what = if both {
                "stands beside spec.encryptedData: only one of them can be"
            } else {
                what
            };
            self.add(whole, "spec.data", what, both);
        } else if sealed.items.is_empty() && self.field(&["spec", "encryptedData"]).entries().next().is_none()
        {
            let has_data = sealed
                .template
                .and_then(|template| template.get("data"))
                .is_some();
            if !has_data {
                self.add(self.field(&["spec"]), "spec.encryptedData", "is empty", false);
            }
        }
        self.hint();
    }

    fn hint(&mut self) {
        let Some(text) = self.sealed.metadata.annotation(SEALED_WITH) else {
            return;
        };
        let hint = self.sealed.hint();
        let unknown = self
            .sealed
            .items
            .iter()
            .any(|item| hint.key_of(&item.text).is_none());
        if hint.is_empty() && !text.is_empty() || unknown && !hint.is_empty() {
            let field = self.field(&["metadata", "annotations", SEALED_WITH]);
            let what = "does not name every item: something else changed this file; `seal kube reseal` writes it anew";
            self.add(field, &format!("metadata.annotations.{SEALED_WITH}"), what, false);
        }
    }
}

/// Whether a text begins with the size of a sealing key: the first sign of base64 has its upper bits.
fn begins_as_sealed(text: &[u8]) -> bool {
    matches!(text.first(), Some(b'A' | b'B'))
}
