//! Files of manifests and of keys, with errors that say where.

use std::path::{Path, PathBuf};

use document::Format;
use sealed_secrets::{KeyError, ManifestError, Manifests, Object, SealedSecret, SealingKeys};
use secret::SecretBytes;

use crate::error::{Code, Error, Result};
use crate::files;
use crate::workbench::Workbench;

/// The format of a file of manifests: JSON by its name or by its first byte, else YAML.
pub(crate) fn format_of(path: &Path, source: &[u8]) -> Format {
    match Format::of_name(&path.to_string_lossy()) {
        Format::Json => Format::Json,
        Format::Yaml => Format::Yaml,
        _ if source.trim_ascii_start().starts_with(b"{") => Format::Json,
        _ => Format::Yaml,
    }
}

/// Reads a file of manifests.
///
/// # Errors
/// Code 2, with the place, if it does not read.
pub(crate) fn parse(bench: &Workbench, path: &Path, source: SecretBytes) -> Result<Manifests> {
    let format = format_of(path, source.expose());
    Manifests::parse(format, source, &bench.limits()).map_err(|error| Error::from((path, error)))
}

/// All SealedSecrets of a file, each with the number of its document. Other objects are passed over.
///
/// # Errors
/// Code 2 if one of them does not read.
pub(crate) fn sealed_secrets<'m>(
    path: &Path,
    manifests: &'m Manifests,
) -> Result<Vec<(usize, SealedSecret<'m>)>> {
    let mut found = Vec::new();
    for (number, manifest) in manifests.iter().enumerate() {
        let objects = manifest.objects().map_err(|error| manifest_error(path, error))?;
        for object in objects.into_iter().filter(|object| SealedSecret::is(object)) {
            let sealed = SealedSecret::read(object).map_err(|error| manifest_error(path, error))?;
            found.push((number, sealed));
        }
    }
    Ok(found)
}

/// The one SealedSecret of a file, or of several the one of this name.
///
/// # Errors
/// Code 2 if there is none, 8 if there are several to choose from.
pub(crate) fn one_sealed_secret<'m>(
    path: &Path,
    manifests: &'m Manifests,
    name: Option<&str>,
) -> Result<(usize, SealedSecret<'m>)> {
    let mut found = sealed_secrets(path, manifests)?;
    if let Some(name) = name {
        found.retain(|(_, sealed)| sealed.metadata.name == name);
    }
    match (found.pop(), found.is_empty()) {
        (Some(only), true) => Ok(only),
        (Some(_), false) => Err(Error::new(Code::Conflict, "holds several SealedSecrets")
            .file(path)
            .hint("--name says which one is meant")),
        (None, _) => {
            let error = Error::new(Code::Read, "holds no SealedSecret").file(path);
            Err(match name {
                Some(name) => error.because(&format!("none has the name {name}")),
                None => error,
            })
        }
    }
}

/// Reads sealing keys from files.
///
/// # Errors
/// Code 128 if a file holds no key that can be used.
pub(crate) fn read_keys(bench: &Workbench, paths: &[PathBuf]) -> Result<SealingKeys> {
    let mut keys = SealingKeys::default();
    for path in paths {
        let file = files::read(path, bench.global.max_size)?;
        keys.read(file, &bench.limits())
            .map_err(|error| key_error(path, &error))?;
    }
    Ok(keys)
}

/// A file of keys that cannot be used.
pub(crate) fn key_error(path: &Path, error: &KeyError) -> Error {
    if let KeyError::Manifest(error) = error {
        return manifest_error(path, error.clone());
    }
    Error::new(Code::DataKey, error.to_string()).file(path).hint(
        "`kubectl get secret -n kube-system -l sealedsecrets.bitnami.com/sealed-secrets-key -o yaml` prints the keys of a cluster",
    )
}

/// A manifest that cannot be used.
pub(crate) fn manifest_error(path: &Path, error: ManifestError) -> Error {
    let told = Error::new(Code::Read, error.why).file(path).at(error.at);
    if error.path.is_empty() {
        told
    } else {
        told.path(error.path)
    }
}

/// What an object is called in messages.
pub(crate) fn kind_of(object: &Object<'_>) -> String {
    let kind = object.kind();
    if kind.is_empty() {
        "an object without a kind".to_owned()
    } else {
        format!("a {kind}")
    }
}
