//! `set`, `unset` and `edit`.

use std::path::PathBuf;
use std::process::ExitCode;

use document::{Document, Edits};
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
        self.change(path)
            .run(&self.bench, &edit)
            .inspect(|_| self.wrote())
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
        let edit = Edit::of_sops(
            path,
            self.given.on("ignore-mac"),
            self.given.on("show-master-keys"),
        );
        let edited = edit.run_with(&self.bench, format, &|name| self.recipe(name));
        edited.inspect(|_| self.wrote())
    }
}

/// The value as sops takes it: JSON, its numbers floats, lists refused.
fn value_of(bench: &crate::workbench::Workbench, value: SecretBytes) -> Result<Document> {
    let wrong = || Error::new(Code::SetFormat, "the value is not valid JSON, or a list");
    let text = value.expose().trim_ascii();
    if text.first() == Some(&b'[') {
        return Err(wrong());
    }
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let is_integer = !text.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let fraction: &[u8] = if is_integer { b".0" } else { b"" };
    let json = SecretBytes::new([text, fraction].concat());
    crate::commands::json_value(bench, json.expose()).ok_or_else(wrong)
}
