//! `set`, `unset` and `edit`.

use std::path::PathBuf;
use std::process::ExitCode;

use document::{Document, Edits, Form, Format};
use secret::SecretBytes;

use super::Session;
use crate::commands::{Change, Edit};
use crate::error::{Code, Error, Result};
use crate::files;

impl Session {
    pub(super) fn set(&self) -> Result<ExitCode> {
        let (path, index, value) = if self.legacy {
            self.legacy_set()?
        } else {
            self.words_of_set()?
        };
        let index = document::Path::parse_sops(&index).map_err(|why| Error::new(Code::SetFormat, why))?;
        let value = value_of(&self.bench, value)?;
        let edit = |document: &Document, edits: &mut Edits| document.set(&index, &value, edits);
        self.change(path).run(&self.bench, &edit)
    }

    /// `--set 'PATH VALUE'`
    fn legacy_set(&self) -> Result<(PathBuf, String, SecretBytes)> {
        let path = self.file(0, Code::NoFile)?;
        let text = self.given.text("set").unwrap_or_default();
        let split = text.find("] ").map(|at| text.split_at(at + 1));
        let (index, value) = split.ok_or_else(|| Error::new(Code::SetFormat, "invalid --set format"))?;
        Ok((
            path,
            index.to_owned(),
            SecretBytes::copy_from(value.trim_start().as_bytes()),
        ))
    }

    fn words_of_set(&self) -> Result<(PathBuf, String, SecretBytes)> {
        let from_stdin = self.given.on("value-stdin");
        let due = if from_stdin { 2 } else { 3 };
        if self.given.words.len() != due {
            let text = "no file specified, or index and value are missing";
            return Err(Error::new(Code::NoFile, text));
        }
        let path = self.file(0, Code::Read)?;
        let index = self.given.words[1].to_string_lossy().into_owned();
        let cap = self.bench.global.max_size;
        let value = match self.given.word(2) {
            None => files::read_stdin(cap)?,
            Some(file) if self.given.on("value-file") => files::read(file.as_ref(), cap)?,
            Some(value) => SecretBytes::copy_from(value.as_encoded_bytes()),
        };
        Ok((path, index, value))
    }

    pub(super) fn unset(&self) -> Result<ExitCode> {
        if self.given.words.len() < 2 {
            return Err(Error::new(Code::NoFile, "no file specified, or index is missing"));
        }
        let path = self.file(0, Code::Read)?;
        let index = self.given.words[1].to_string_lossy().into_owned();
        let index = document::Path::parse_sops(&index).map_err(|why| Error::new(Code::SetFormat, why))?;
        let edit = |document: &Document, edits: &mut Edits| document.unset(&index, edits);
        match self.change(path).run(&self.bench, &edit) {
            Err(error) if error.is_missing() && self.given.on("idempotent") => Ok(ExitCode::SUCCESS),
            Err(error) if error.is_missing() => Err(error.with_code(Code::Generic)),
            done => done,
        }
    }

    fn change(&self, file: PathBuf) -> Change {
        Change {
            format: self.input(&file),
            file,
            ignore_mac: self.given.on("ignore-mac"),
            accepted: Vec::new(),
        }
    }

    pub(super) fn edit(&self) -> Result<ExitCode> {
        let word = self.given.word(0);
        let path = PathBuf::from(word.ok_or_else(|| Error::new(Code::NoFile, "no file specified"))?);
        let format = self.input(&path);
        let edit = Edit::of_sops(path, self.given.on("ignore-mac"));
        edit.run_with(&self.bench, format, &|name| self.recipe(name))
    }
}

/// The value as sops takes it: JSON, its numbers floats, lists refused.
fn value_of(bench: &crate::workbench::Workbench, value: SecretBytes) -> Result<Document> {
    let wrong = || Error::new(Code::SetFormat, "the value is not valid JSON, or a list");
    let text = value.expose().trim_ascii();
    if text.first() == Some(&b'[') {
        return Err(wrong());
    }
    let mut json = SecretBytes::new(b"{\"value\":".to_vec());
    json.expose_mut().extend_from_slice(text);
    let is_integer = text
        .strip_prefix(b"-")
        .unwrap_or(text)
        .iter()
        .all(u8::is_ascii_digit)
        && !text.is_empty();
    if is_integer {
        json.expose_mut().extend_from_slice(b".0");
    }
    json.expose_mut().push(b'}');
    let parsed = Document::parse(Format::Json, Form::Plain, json, &bench.limits());
    let fine = parsed.ok().filter(|document| {
        let root = document.tree().roots.first().copied();
        root.is_some_and(|root| document.tree().children(root).len() == 1)
    });
    fine.ok_or_else(wrong)
}
