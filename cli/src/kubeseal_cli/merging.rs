//! `--merge-into`: the values of a Secret are sealed and put into a file that is there already.
//!
//! The rest of the file keeps its bytes, and the file its format, unless another one is asked for.

use std::path::Path;

use sealed_secrets::{API_VERSION, Certificate, NewSealedSecret, Object, SealedSecret};

use super::sealing::Overrides;
use super::{Session, parse, refuse};
use crate::error::{Code, Result};
use crate::files::Target;
use crate::kube::{Rewrite, manifest_error, rewrite};

impl Session {
    pub(super) fn merge(&self, certificate: &Certificate, file: &Path) -> Result<()> {
        let bench = &self.bench;
        let (target, source) =
            Target::open(file, bench.global.max_size).map_err(|error| match error.code() {
                Code::NoFile => refuse(format!("open {}: no such file or directory", file.display())),
                _ => error,
            })?;
        let (manifests, own) = parse(bench, file, &source)?;
        let mut objects = Vec::new();
        for manifest in manifests.iter() {
            objects.extend(manifest.objects().map_err(|error| manifest_error(file, error))?);
        }
        let [object] = &objects[..] else {
            let text = format!(
                "there are {} objects in it; values are merged into one",
                objects.len()
            );
            return Err(refuse(text).file(file));
        };
        let sealed = sealed_secret(file, object.clone())?;
        if sealed.whole.is_some() {
            let text = "it is sealed as a whole (spec.data): single values cannot be put into it";
            return Err(refuse(text).file(file));
        }
        let asked = self.format_of_flag()?;
        let new = self.one_more(certificate, &sealed)?;
        let change = change(new).with_hint(&sealed, certificate.fingerprint());
        let mut merged = rewrite(bench, file, source, vec![change])?;
        if let Some(format) = asked.filter(|format| *format != own) {
            let (manifests, _) = parse(bench, file, &merged)?;
            let written = manifests
                .iter()
                .next()
                .and_then(|manifest| manifest.write_sorted(format));
            merged = written.ok_or_else(|| refuse("it holds what the other format cannot").file(file))?;
        }
        for text in target.replace(merged.expose())? {
            bench.ui.warn(Some(file), &text);
        }
        if self.given.filled("sealed-secret-file").is_some() {
            let text = "was changed itself: --sealed-secret-file counts for nothing beside --merge-into";
            bench.ui.warn(Some(file), text);
        }
        Ok(())
    }

    /// The Secret of the input, sealed as one with what is there.
    fn one_more(&self, certificate: &Certificate, there: &SealedSecret<'_>) -> Result<NewSealedSecret> {
        let filled = |text: &'_ str| (!text.is_empty()).then(|| text.to_owned());
        let overrides = Overrides {
            name: filled(&there.metadata.name),
            namespace: filled(&there.metadata.namespace),
            scope: Some(there.scope),
        };
        let input = self.input()?;
        let mut new = self.sealed(certificate, &input, &overrides)?;
        match (new.pop(), new.len()) {
            (Some(only), 0) => Ok(only),
            (_, others) => {
                let text = format!("there are {} Secrets in it; one is merged at a time", others + 1);
                Err(refuse(text).file(&input.name))
            }
        }
    }
}

/// The items, and the labels and annotations of the template.
fn change(new: NewSealedSecret) -> Rewrite {
    let maps = [
        ("labels", new.template.labels),
        ("annotations", new.template.annotations),
    ];
    let texts = maps.into_iter().flat_map(|(map, entries)| {
        entries.into_iter().map(move |(name, text)| {
            let names = ["spec", "template", "metadata", map, &name];
            (names.map(str::to_owned).to_vec(), text)
        })
    });
    Rewrite {
        items: new.items,
        texts: texts.collect(),
        ..Rewrite::default()
    }
}

/// The object as a SealedSecret.
pub(super) fn sealed_secret<'m>(file: &Path, object: Object<'m>) -> Result<SealedSecret<'m>> {
    let version = object.field.text_at("apiVersion").unwrap_or_default();
    if !SealedSecret::is(&object) || version != API_VERSION {
        let error = manifest_error(file, object.field.error("", "is no SealedSecret"));
        return Err(error.hint("kind: SealedSecret and apiVersion: bitnami.com/v1alpha1 make it one"));
    }
    SealedSecret::read(object).map_err(|error| manifest_error(file, error))
}
