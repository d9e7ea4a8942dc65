//! `seal kube edit`: a SealedSecret in an editor, with or without the keys that open it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use document::emit::{Item as Emitted, Options, emit};
use document::{Format, Scalar};
use sealed_secrets::{Certificate, Field, Manifests, SealedSecret, check_key};
use secret::SecretBytes;

use super::set::{for_one, of_cluster, seal_item};
use crate::args::{CertificateArgs, SealingKeyArgs};
use crate::audit::Action;
use crate::child;
use crate::commands::edit::{read, try_again, write};
use crate::editor::Editor;
use crate::error::{Code, Error, Result};
use crate::files::{self, Target};
use crate::kube::{
    Certificates, Rewrite, manifest_error, one_sealed_secret, parse, read_keys, rewrite, sealed_secrets,
};
use crate::private::PrivateFolder;
use crate::workbench::Workbench;

/// What stands in the place of a value that was not opened.
const SEALED: &str = "!sealed";

/// Edit a SealedSecret in $EDITOR
///
/// With --key the values stand in the editor; without, each stands as !sealed: what stays so stays sealed as it is, what is
/// written in its place is sealed anew, a line that goes takes its item away.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  seal kube edit --key keys.yaml sealed.yaml")]
pub(crate) struct Edit {
    /// The file of the SealedSecret
    file: PathBuf,

    /// Of several SealedSecrets in the file, the one of this name
    #[arg(long)]
    name: Option<String>,

    #[command(flatten)]
    certificate: CertificateArgs,

    #[command(flatten)]
    keys: SealingKeyArgs,
}

/// What stood in the editor, by key; `None` for what stays sealed.
type Values = Vec<(String, Option<SecretBytes>)>;

impl Edit {
    pub(crate) fn run(self, bench: &Workbench) -> Result<ExitCode> {
        let path = self.file.as_path();
        let mut certificates = Certificates::default();
        let certificate = match self.certificate.read(bench, &mut certificates)? {
            Some(named) => named,
            None => of_cluster(bench, &mut certificates, path)?,
        };
        let source = files::read_to_change(path, bench.global.max_size)?;
        let manifests = parse(bench, path, SecretBytes::copy_from(source.expose()))?;
        let (_, sealed) = one_sealed_secret(path, &manifests, self.name.as_deref())?;
        let before = self.open(bench, path, &sealed)?;
        let shown = text(&sealed, &before);
        let editor = Editor::of_user()?;
        let folder = PrivateFolder::new()?;
        let file = folder.path().join("secret.yaml");
        write(&file, shown.expose())?;
        loop {
            child::edit(editor.command(&file))?;
            let after = read(&file, bench)?;
            if after.expose() == shown.expose() {
                return Err(Error::new(Code::Unchanged, "nothing was changed").file(path));
            }
            let done = self.seal(
                bench,
                &source,
                &sealed,
                &manifests,
                (&before, after),
                &certificate,
            );
            match done {
                Ok(()) => return bench.ui.report("sealed", path, None).map(|()| ExitCode::SUCCESS),
                Err(error) => try_again(bench, error, &file)?,
            }
        }
    }

    /// The values, as far as the keys open them.
    fn open(&self, bench: &Workbench, path: &Path, sealed: &SealedSecret<'_>) -> Result<Values> {
        if self.keys.keys.is_empty() {
            return Ok(sealed.items.iter().map(|item| (item.key.clone(), None)).collect());
        }
        let keys = read_keys(bench, &self.keys.keys)?;
        bench.record(Action::Decrypt, path)?;
        let opened = sealed.open(&keys, &[]);
        let unopened = opened.iter().filter(|opened| opened.is_err()).count();
        let values = sealed.items.iter().zip(opened);
        if unopened > 0 {
            let text = format!(
                "{unopened} of {} items do not open with these keys: they stand as {SEALED}",
                sealed.items.len()
            );
            bench.ui.warn(Some(path), &text);
        }
        Ok(values
            .map(|(item, opened)| (item.key.clone(), opened.ok().map(|(value, _)| value)))
            .collect())
    }

    /// Seals what changed, and nothing else.
    fn seal(
        &self,
        bench: &Workbench,
        source: &SecretBytes,
        sealed: &SealedSecret<'_>,
        manifests: &Manifests,
        (before, after): (&Values, SecretBytes),
        certificate: &Certificate,
    ) -> Result<()> {
        let path = self.file.as_path();
        let after = values(bench, path, after)?;
        let mut old: HashMap<&str, &Option<SecretBytes>> =
            before.iter().map(|(key, value)| (key.as_str(), value)).collect();
        let mut change = Rewrite::default();
        for (key, value) in &after {
            match (old.remove(key.as_str()), value) {
                (Some(_), None) => {}
                (Some(Some(old)), Some(new)) if old.ct_eq(new) => {}
                (_, Some(new)) => {
                    let text = seal_item(path, sealed, new, certificate)?;
                    change.items.push((key.clone(), text));
                }
                (None, None) => {
                    let text = format!("{key} stands as {SEALED}, but the file has no such item");
                    return Err(Error::new(Code::Read, text).file(path));
                }
            }
        }
        change.removed = before
            .iter()
            .filter(|(key, _)| old.contains_key(key.as_str()))
            .map(|(key, _)| key.clone())
            .collect();
        if change.is_empty() {
            return Err(Error::new(Code::Unchanged, "nothing was changed").file(path));
        }
        let change = change.with_hint(sealed, certificate.fingerprint());
        let changes = for_one(sealed, &sealed_secrets(path, manifests)?, change);
        bench.record(Action::Encrypt, path)?;
        let (target, now) = Target::open(path, bench.global.max_size)?;
        if now.expose() != source.expose() {
            return Err(Error::new(Code::Write, "changed on disk while it was edited").file(path));
        }
        let text = rewrite(bench, path, now, changes)?;
        for warning in target.replace(text.expose())? {
            bench.ui.warn(Some(path), &warning);
        }
        Ok(())
    }
}

/// What the editor shows.
fn text(sealed: &SealedSecret<'_>, values: &Values) -> SecretBytes {
    let metadata = &sealed.metadata;
    let head = format!(
        "# {}/{}, {}. What stands as {SEALED} stays as it is.\n",
        metadata.namespace,
        metadata.name,
        sealed.scope.word()
    );
    let mut shown = SecretBytes::copy_from(head.as_bytes());
    let is_text = |value: &SecretBytes| {
        std::str::from_utf8(value.expose()).is_ok_and(|text| {
            text.chars()
                .all(|sign| !sign.is_control() || matches!(sign, '\n' | '\t'))
        })
    };
    let opened = |(key, value): &'_ (String, Option<SecretBytes>)| {
        value.as_ref().map(|value| (key.clone(), is_text(value)))
    };
    let encoded: HashMap<String, SecretBytes> = values
        .iter()
        .filter(|entry| opened(entry).is_some_and(|(_, is_text)| !is_text))
        .filter_map(|(key, value)| Some((key.clone(), sealed_secrets::encoded(value.as_ref()?))))
        .collect();
    let clear: Vec<(&str, &SecretBytes)> = values
        .iter()
        .filter_map(|(key, value)| Some((key.as_str(), value.as_ref()?)))
        .collect();
    let (texts, bytes): (Vec<_>, Vec<_>) = clear
        .into_iter()
        .partition(|(key, _)| !encoded.contains_key(*key));
    let bytes: Vec<(&str, &SecretBytes)> = bytes
        .into_iter()
        .filter_map(|(key, _)| Some((key, encoded.get(key)?)))
        .collect();
    if !bytes.is_empty() {
        part("data", &bytes, &mut shown);
    }
    if texts.is_empty() {
        shown.expose_mut().extend_from_slice(b"stringData:\n");
    } else {
        part("stringData", &texts, &mut shown);
    }
    for (key, _) in values.iter().filter(|(_, value)| value.is_none()) {
        let key = if check_key(key).is_ok() {
            key.clone()
        } else {
            serde_json::Value::from(key.as_str()).to_string()
        };
        shown
            .expose_mut()
            .extend_from_slice(format!("  {key}: {SEALED}\n").as_bytes());
    }
    shown
}

/// One map of values.
fn part(name: &str, values: &[(&str, &SecretBytes)], shown: &mut SecretBytes) {
    let mut items = vec![Emitted::Map, Emitted::Key(name.as_bytes().into()), Emitted::Map];
    for (key, value) in values {
        items.push(Emitted::Key(key.as_bytes().into()));
        items.push(Emitted::Scalar(Scalar::Str(value.expose().into())));
    }
    items.extend([Emitted::End, Emitted::End]);
    let options = Options {
        yaml_indent: 2,
        ..Options::default()
    };
    // The items are made here and nest.
    let text = emit(Format::Yaml, &items, &options).unwrap_or_default();
    shown.expose_mut().extend_from_slice(text.expose());
}

/// Reads what the editor left.
fn values(bench: &Workbench, path: &Path, text: SecretBytes) -> Result<Values> {
    let manifests = parse(bench, Path::new("secret.yaml"), text)?;
    let mut found = Values::new();
    let Some(root) = manifests.iter().next().and_then(sealed_secrets::Manifest::root) else {
        return Err(Error::new(
            Code::NeedsDocument,
            "the editor left nothing; no item was taken away",
        )
        .file(path)
        .hint("`stringData: {}` takes all items away"));
    };
    for (part, field) in root.entries() {
        if part != "data" && part != "stringData" {
            return Err(Error::new(Code::Read, "is neither data nor stringData")
                .file(path)
                .path(part));
        }
        for (key, field) in field.entries() {
            check_key(&key).map_err(|why| Error::new(Code::Read, why).file(path))?;
            if found.iter().any(|(known, _)| *known == key) {
                return Err(Error::new(Code::Read, "stands twice").file(path).path(&key));
            }
            found.push((key.into_owned(), value(path, &part, field)?));
        }
    }
    Ok(found)
}

fn value(path: &Path, part: &str, field: Field<'_>) -> Result<Option<SecretBytes>> {
    if field.tag() == Some(SEALED.as_bytes()) {
        let is_bare = field.is_null() || field.text().is_some_and(|text| text.is_empty());
        let why = "has a value behind !sealed: take !sealed away, or the value";
        return if is_bare {
            Ok(None)
        } else {
            Err(manifest_error(path, field.error(part, why)))
        };
    }
    let refuse = |error| manifest_error(path, error);
    let text = match field.text() {
        Some(text) => text.into_owned(),
        None if field.is_null() => Vec::new(),
        None => return Err(refuse(field.error(part, "must be a text; put it in quotes"))),
    };
    let text = SecretBytes::new(text);
    if part == "stringData" {
        return Ok(Some(text));
    }
    sealed_secrets::decode(&text).map(Some).ok_or_else(|| {
        refuse(field.error(part, "is not base64; what is not encoded stands under stringData"))
    })
}
