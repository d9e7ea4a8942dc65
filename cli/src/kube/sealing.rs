//! Files of Secrets become files of SealedSecrets.

use std::path::Path;

use document::{Event, Format};
use sealed_secrets::{
    Certificate, Manifest, NewSealedSecret, OBJECT_BYTES, Object, Scope, SealError, SealedSecret, Secret,
};
use secret::SecretBytes;

use super::files::{format_of, kind_of, manifest_error, parse};
use super::random;
use crate::error::{Code, Error, Result};
use crate::workbench::Workbench;

/// What is asked of a seal beyond what the Secrets say themselves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    /// The scope, whatever annotations say.
    pub(crate) scope: Option<Scope>,
    /// The name, whatever the Secret says.
    pub(crate) name: Option<String>,
    /// The namespace of Secrets that name none; others must agree.
    pub(crate) namespace: Option<String>,
    /// The namespace of Secrets that name none, others may differ.
    pub(crate) default_namespace: Option<String>,
    /// Whether a Secret may have no value at all.
    pub(crate) allow_empty: bool,
    /// Whether no hint is written.
    pub(crate) no_hint: bool,
    /// The format of the result; else that of the file.
    pub(crate) format: Option<Format>,
}

/// Secrets of one file, ready to be sealed.
pub(crate) struct Prepared {
    secrets: Vec<Ready>,
    format: Format,
    no_hint: bool,
    /// Comments that do not stand above an object.
    lost_comments: usize,
}

struct Ready {
    secret: Secret,
    scope: Scope,
    /// Comments above the object, as they are written.
    comments: Vec<u8>,
}

/// What stands in a file.
pub(crate) enum Content {
    /// Secrets only.
    Secrets(Prepared),
    /// SealedSecrets only.
    Sealed,
    /// No Secret.
    Other,
}

/// Reads a file of Secrets and finds all that would be wrong with it, before anything is sealed.
///
/// # Errors
/// Code 2 with the place: what is no Secret beside Secrets, no name, no namespace, no value, a value that is no text, names
/// and sizes that Kubernetes refuses.
pub(crate) fn prepare(bench: &Workbench, path: &Path, source: SecretBytes, asked: &Asked) -> Result<Content> {
    let own_format = format_of(path, source.expose());
    let manifests = parse(bench, path, source)?;
    let mut prepared = Prepared {
        secrets: Vec::new(),
        format: asked.format.unwrap_or(own_format),
        no_hint: asked.no_hint,
        lost_comments: 0,
    };
    let mut other: Option<Error> = None;
    let mut is_sealed = true;
    for manifest in manifests.iter() {
        let objects = manifest.objects().map_err(|error| manifest_error(path, error))?;
        let (mut comments, lost) = comments(manifest);
        prepared.lost_comments += lost;
        for object in objects {
            if !is_secret(&object) {
                is_sealed &= SealedSecret::is(&object);
                other.get_or_insert_with(|| {
                    let text = format!("{} stands among Secrets", kind_of(&object));
                    Error::new(Code::Read, text)
                        .file(path)
                        .at(object.field.position())
                        .hint("a file that is sealed holds Secrets only: put the rest into another file")
                });
                continue;
            }
            let (secret, scope) = read(&object, asked).map_err(|error| error.file(path))?;
            prepared.secrets.push(Ready {
                secret,
                scope,
                comments: std::mem::take(&mut comments),
            });
        }
    }
    match other {
        Some(_) if prepared.secrets.is_empty() && is_sealed => Ok(Content::Sealed),
        _ if prepared.secrets.is_empty() => Ok(Content::Other),
        Some(error) => Err(error),
        None => Ok(Content::Secrets(prepared)),
    }
}

fn is_secret(object: &Object<'_>) -> bool {
    object.kind() == "Secret"
        && object
            .field
            .text_at("apiVersion")
            .is_none_or(|version| version == "v1")
}

fn read(object: &Object<'_>, asked: &Asked) -> Result<(Secret, Scope)> {
    let refuse = |error: sealed_secrets::ManifestError| {
        let told = Error::new(Code::Read, error.why).at(error.at);
        if error.path.is_empty() {
            told
        } else {
            told.path(error.path)
        }
    };
    let at = |why: &'static str| Error::new(Code::Read, why).at(object.field.position());
    if let Some(block) = object.field.get("sops") {
        return Err(Error::new(
            Code::AlreadyEncrypted,
            "the Secret is sealed in the SOPS format: its values are not there to be sealed",
        )
        .at(block.position())
        .path("sops")
        .hint("`seal decrypt -i FILE` opens it first"));
    }
    let mut secret = Secret::read(object.field).map_err(refuse)?;
    if let Some(name) = &asked.name {
        secret.metadata.name.clone_from(name);
    }
    let scope = asked
        .scope
        .unwrap_or_else(|| Scope::of_annotations(secret.metadata.annotations()));
    match &asked.namespace {
        Some(namespace) if secret.metadata.namespace.is_empty() => {
            secret.metadata.namespace.clone_from(namespace);
        }
        Some(namespace) if secret.metadata.namespace != *namespace => {
            return Err(at("the Secret names another namespace than --namespace").path("metadata.namespace"));
        }
        _ => {}
    }
    if secret.metadata.namespace.is_empty()
        && let Some(namespace) = &asked.default_namespace
    {
        secret.metadata.namespace.clone_from(namespace);
    }
    if secret.metadata.namespace.is_empty() && scope != Scope::ClusterWide {
        return Err(at("is missing: the value will open only in the namespace that it is sealed for")
            .path("metadata.namespace")
            .hint("write it into the manifest, pass --namespace, or set `namespace` in the rule of seal.sealed_secrets"));
    }
    if secret.data.is_empty() && !asked.allow_empty {
        return Err(at("has no values to seal")
            .path("data")
            .hint("--allow-empty seals a Secret without any"));
    }
    secret.check(object.field).map_err(refuse)?;
    Ok((secret, scope))
}

/// The comments above the object, and how many stand elsewhere.
fn comments(manifest: &Manifest) -> (Vec<u8>, usize) {
    let document = manifest.document();
    if document.format() != Format::Yaml {
        return (Vec::new(), 0);
    }
    let start = manifest.root().map_or(u32::MAX, |root| root.span().start);
    let (mut above, mut elsewhere) = (Vec::new(), 0);
    for event in document.walk() {
        let (Event::Comment(comment) | Event::Lost(_, comment)) = event else {
            continue;
        };
        if comment.span.start < start {
            above.push(b'#');
            above.extend_from_slice(&document.source()[comment.span.range()]);
            above.push(b'\n');
        } else {
            elsewhere += 1;
        }
    }
    (above, elsewhere)
}

impl Prepared {
    /// The file of SealedSecrets for the holder of a certificate.
    ///
    /// # Errors
    /// Code 23 if an object would be larger than Kubernetes stores.
    pub(crate) fn seal(&self, path: &Path, certificate: &Certificate) -> Result<SecretBytes> {
        let mut file = SecretBytes::default();
        for (at, ready) in self.secrets.iter().enumerate() {
            let size = NewSealedSecret::size_of(&ready.secret, certificate);
            if !NewSealedSecret::fits(size) {
                let text = format!(
                    "the SealedSecret {} would have about {size} bytes, and Kubernetes stores {OBJECT_BYTES}",
                    ready.secret.metadata.name
                );
                return Err(Error::new(Code::EncryptTree, text)
                    .file(path)
                    .hint("every value grows by the size of the key: put the values into several Secrets"));
            }
            let sealed = NewSealedSecret::seal(
                &ready.secret,
                ready.scope,
                certificate,
                !self.no_hint,
                &mut random,
            )
            .map_err(|error| seal_error(&error))?;
            let out = file.expose_mut();
            if at > 0 && self.format == Format::Yaml {
                out.extend_from_slice(b"---\n");
            }
            if self.format == Format::Yaml {
                out.extend_from_slice(&ready.comments);
            }
            out.extend_from_slice(sealed.write(self.format).expose());
        }
        Ok(file)
    }
}

impl Prepared {
    /// Whether a file holds a SealedSecret for each of these Secrets, with the same keys and all for one certificate.
    pub(crate) fn is_in(&self, found: &[(usize, SealedSecret<'_>)], certificate: &Certificate) -> bool {
        let short = certificate.fingerprint().short();
        let is_same = |ready: &Ready, sealed: &SealedSecret<'_>| {
            let hint = sealed.hint();
            let of = &ready.secret.metadata;
            let keys = ready.secret.data.iter().map(|(key, _)| key);
            of.name == sealed.metadata.name
                && of.namespace == sealed.metadata.namespace
                && ready.scope == sealed.scope
                && keys.eq(sealed.items.iter().map(|item| &item.key))
                && sealed
                    .items
                    .iter()
                    .all(|item| hint.key_of(&item.text) == Some(&short))
        };
        let mut pairs = self.secrets.iter().zip(found);
        found.len() == self.secrets.len() && pairs.all(|(ready, (_, sealed))| is_same(ready, sealed))
    }

    /// Tells of comments that were left out.
    pub(crate) fn warn(&self, bench: &Workbench, path: &Path) {
        if self.lost_comments > 0 {
            let text = format!(
                "{} not in the sealed file: only comments above an object are, for others may tell what is secret",
                match self.lost_comments {
                    1 => "1 comment is".to_owned(),
                    count => format!("{count} comments are"),
                }
            );
            bench.ui.warn(Some(path), &text);
        }
    }
}

/// The operation itself failed.
pub(crate) fn seal_error(error: &SealError) -> Error {
    Error::new(Code::Generic, error.to_string())
}
