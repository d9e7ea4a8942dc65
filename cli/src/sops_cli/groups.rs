//! `updatekeys`, `groups add` and `groups delete`.

use std::path::PathBuf;
use std::process::ExitCode;

use sops::MasterKey;

use super::Session;
use crate::commands::UpdateKeys;
use crate::error::{Code, Error, Result};
use crate::files::Access;
use crate::rekey::{groups_of_file, rekeyed};

impl Session {
    pub(super) fn update_keys(&self) -> Result<ExitCode> {
        if self.given.words.is_empty() {
            return Err(Error::new(Code::Generic, "no file specified"));
        }
        let files: Vec<PathBuf> = self.given.words.iter().map(PathBuf::from).collect();
        for file in &files {
            self.must_exist(file, Code::Generic)?;
        }
        if self.bench.rule(&files[0])?.is_none() {
            return Err(Error::new(Code::Generic, "config file not found"));
        }
        let format = self.given.text("input-type").and_then(document::Format::of_word);
        UpdateKeys::of_sops(files, format).run_with(&self.bench, self.given.on("yes"))
    }

    pub(super) fn add_group(&self) -> Result<ExitCode> {
        let keys = self.keys("")?;
        self.change_groups(|groups| {
            groups.push(keys);
            Ok(())
        })
    }

    pub(super) fn delete_group(&self) -> Result<ExitCode> {
        let index = self
            .given
            .word(0)
            .and_then(|word| word.to_str()?.parse::<usize>().ok());
        let index = index.ok_or_else(|| Error::new(Code::Generic, "failed to parse [index] argument"))?;
        self.change_groups(|groups| {
            if index >= groups.len() {
                return Err(Error::new(Code::Generic, format!("there is no group {index}")));
            }
            groups.remove(index);
            Ok(())
        })
    }

    fn change_groups(&self, change: impl FnOnce(&mut Vec<Vec<MasterKey>>) -> Result<()>) -> Result<ExitCode> {
        let path = self.given.filled("file").map(PathBuf::from);
        let path = path.ok_or_else(|| Error::new(Code::Read, "--file is missing"))?;
        self.must_exist(&path, Code::Read)?;
        let (target, source) = self.read(&path)?;
        let file = self.sealed(&path, self.input(&path), source)?;
        let mut groups = groups_of_file(&self.bench, &path, &file.metadata, &[], &[])?;
        change(&mut groups)?;
        let threshold = self
            .number("shamir-secret-sharing-threshold")?
            .or(file.metadata.shamir_threshold);
        if groups.len() < threshold.map_or(1, usize::from) {
            return Err(Error::new(
                Code::Generic,
                "removing this group would make the file impossible to open",
            ));
        }
        let threshold = threshold.filter(|_| groups.len() > 1);
        let bytes = rekeyed(&self.bench, &path, file, &groups, threshold)
            .map_err(|error| error.with_code(Code::Generic))?;
        self.write(target, bytes.expose(), Access::Shared)
    }
}
