//! The metadata of Kubernetes objects, as far as it matters here.

use std::collections::HashSet;

use document::Scalar;

use crate::error::ManifestError;
use crate::manifests::Field;

/// Annotations in which kubectl and kubecfg keep a copy of the whole object, values included.
const LAST_APPLIED: [&str; 2] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    "kubecfg.ksonnet.io/last-applied-configuration",
];

/// What of an object's metadata is kept when it is sealed. What the API server sets by itself is not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// Its name; empty if it has none.
    pub name: String,
    /// Its namespace; empty if it has none.
    pub namespace: String,
    /// Labels in the order of the file.
    pub labels: Vec<(String, String)>,
    /// Annotations in the order of the file.
    pub annotations: Vec<(String, String)>,
    /// Finalizers.
    pub finalizers: Vec<String>,
}

impl Metadata {
    /// Reads the `metadata` of an object.
    ///
    /// # Errors
    /// When a field has another type than the API server takes, or stands twice.
    pub fn read(object: Field<'_>) -> Result<Self, ManifestError> {
        let Some(field) = object.get("metadata").filter(|field| !field.is_null()) else {
            return Ok(Self::default());
        };
        if !field.is_map() {
            return Err(field.error("metadata", "must be a map"));
        }
        for way in [
            &["metadata"][..],
            &["metadata", "labels"],
            &["metadata", "annotations"],
        ] {
            once_each(object, way)?;
        }
        Ok(Self {
            name: text(field, "name")?,
            namespace: text(field, "namespace")?,
            labels: texts(field, "labels")?,
            annotations: texts(field, "annotations")?,
            finalizers: list(field, "finalizers")?,
        })
    }

    /// The annotations as pairs of text.
    pub fn annotations(&self) -> impl Iterator<Item = (&str, &str)> {
        self.annotations
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The value of an annotation.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.annotations()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    /// Sets an annotation, or takes it away.
    pub fn set_annotation(&mut self, name: &str, value: Option<String>) {
        match value {
            None => self.annotations.retain(|(known, _)| known != name),
            Some(value) => match self.annotations.iter_mut().find(|(known, _)| known == name) {
                Some((_, old)) => *old = value,
                None => self.annotations.push((name.to_owned(), value)),
            },
        }
    }

    /// The same without annotations that hold a copy of the whole object.
    pub fn without_copies(mut self) -> Self {
        self.annotations
            .retain(|(name, _)| !LAST_APPLIED.contains(&name.as_str()));
        self
    }
}

/// Refuses a key that stands twice in the map that `way` leads to: readers differ on which of the two counts.
pub(crate) fn once_each(object: Field<'_>, way: &[&str]) -> Result<(), ManifestError> {
    let Some(map) = object.at(way) else {
        return Ok(());
    };
    let mut seen = HashSet::new();
    for (key, field) in map.entries() {
        if key == "<<" {
            let why = "merges another map into this one; write out what it brings";
            return Err(field.error(&[way, &["<<"]].concat().join("."), why));
        }
        if !seen.insert(key.clone()) {
            let path = [way, &[&*key]].concat().join(".");
            return Err(field.error(&path, "stands twice: which of the two is meant?"));
        }
    }
    Ok(())
}

/// The text under `name`; empty where there is none.
pub(crate) fn text(field: Field<'_>, name: &str) -> Result<String, ManifestError> {
    let Some(field) = field.get(name).filter(|field| !field.is_null()) else {
        return Ok(String::new());
    };
    match field.text() {
        Some(text) => Ok(String::from_utf8_lossy(&text).into_owned()),
        None => Err(no_text(field, name)),
    }
}

/// The map of texts under `name`.
pub(crate) fn texts(field: Field<'_>, name: &str) -> Result<Vec<(String, String)>, ManifestError> {
    let Some(map) = field.get(name).filter(|field| !field.is_null()) else {
        return Ok(Vec::new());
    };
    if !map.is_map() {
        return Err(map.error(name, "must be a map of texts"));
    }
    let entries = map.entries().map(|(key, field)| match field.scalar() {
        Some(Scalar::Null) => Ok((key.into_owned(), String::new())),
        _ => match field.text() {
            Some(text) => Ok((key.into_owned(), String::from_utf8_lossy(&text).into_owned())),
            None => Err(no_text(field, &format!("{name}.{key}"))),
        },
    });
    entries.collect()
}

fn list(field: Field<'_>, name: &str) -> Result<Vec<String>, ManifestError> {
    let Some(list) = field.get(name).filter(|field| !field.is_null()) else {
        return Ok(Vec::new());
    };
    let items = list.items().map(|field| match field.text() {
        Some(text) => Ok(String::from_utf8_lossy(&text).into_owned()),
        None => Err(no_text(field, name)),
    });
    items.collect()
}

/// What to do about a value that is no text.
pub(crate) fn no_text(field: Field<'_>, path: &str) -> ManifestError {
    field.error(path, "must be a text; put it in quotes")
}
