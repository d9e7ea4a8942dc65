//! `encrypt` and `rotate`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use document::Format;
use secret::SecretBytes;
use sops::Rules;

use super::Session;
use crate::audit::Action;
use crate::error::{Code, Error, Result};
use crate::files::{self, Access};
use crate::rekey::{change, groups_of_file, renewed};
use crate::workbench::{OpenFile, Recipe, new_data_key};

impl Session {
    pub(super) fn encrypt(&self) -> Result<ExitCode> {
        self.check_outputs()?;
        let from_stdin = self.given.word(0).is_none();
        if from_stdin && self.given.filled("filename-override").is_none() {
            let text = "must specify --filename-override when reading from stdin";
            return Err(Error::new(Code::Conflict, text));
        }
        if from_stdin && self.given.on("in-place") {
            return Err(Error::new(Code::Conflict, "stdin cannot be sealed in place"));
        }
        let path = match self.given.word(0) {
            Some(_) => self.file(0, Code::NoFile)?,
            None => PathBuf::from("-"),
        };
        let name = self.name(&path);
        let (input, output) = (self.input(&name), self.output(&name));
        let (target, source) = if from_stdin {
            self.bench.reads(&path);
            (None, files::read_stdin(self.bench.global.max_size)?)
        } else {
            self.read(&path)?
        };
        let recipe = self.recipe(&name)?;
        if input != output {
            // A sealed file is told before it is taken for values.
            self.bench
                .parse_plain(&name, input, SecretBytes::copy_from(source.expose()))?;
        }
        let source = self.converted(&name, input, output, source)?;
        let sealed = self.bench.seal_new(&name, output, source, &recipe);
        let sealed = sealed.map_err(|error| match error.code() {
            Code::NoEncryptionKey => error.with_code(Code::Generic),
            _ => error,
        })?;
        self.write(target, sealed.bytes.expose(), Access::Shared)
    }

    /// A plaintext in another format, as sops' stores convert it.
    pub(super) fn converted(
        &self,
        name: &Path,
        input: Format,
        output: Format,
        plaintext: SecretBytes,
    ) -> Result<SecretBytes> {
        if input == output {
            return Ok(plaintext);
        }
        self.emitted(name, input, output, plaintext)
    }

    /// A plaintext printed anew, as sops prints it.
    pub(super) fn emitted(
        &self,
        name: &Path,
        input: Format,
        output: Format,
        plaintext: SecretBytes,
    ) -> Result<SecretBytes> {
        let indent = self.given.filled("indent").and_then(|indent| indent.parse().ok());
        let indent = indent.filter(|_| self.legacy);
        crate::commands::emitted(&self.bench, name, (input, output), plaintext, indent)
    }

    /// Keys of the flags, else of the rule; rules of the flags, else of the rule. A policy without a rule for the file
    /// fails even if keys are given.
    pub(super) fn recipe(&self, name: &Path) -> Result<Recipe> {
        let policy = self.bench.rule(name)?;
        let keys = self.keys("")?;
        let no_rule = || Error::new(Code::Generic, "no matching creation rules found").file(name);
        let rule = match policy {
            Some((policy, None)) if !policy.config.creation_rules.is_empty() => return Err(no_rule()),
            Some((_, rule)) => rule,
            None => None,
        };
        if keys.is_empty() && rule.is_none() {
            let text = "config file not found, or has no creation rules, and no keys provided through \
                        command line options";
            return Err(Error::new(Code::Generic, text));
        }
        let rule = rule.unwrap_or_default().with_context(&self.encryption_context()?);
        let mut recipe = crate::commands::recipe_of(&rule);
        if !keys.is_empty() {
            recipe.groups = vec![keys];
        }
        recipe.threshold = self
            .number("shamir-secret-sharing-threshold")?
            .or(recipe.threshold);
        if let Some(rules) = self.rules()? {
            recipe.rules = rules;
        }
        recipe.mac_only_encrypted |= self.legacy && self.given.on("mac-only-encrypted");
        if recipe.groups.iter().all(Vec::is_empty) {
            return Err(Error::new(Code::NoEncryptionKey, "no key to encrypt with").file(name));
        }
        Ok(recipe)
    }

    /// The one rule that the flags name.
    fn rules(&self) -> Result<Option<Rules>> {
        let given = |flag: &str| self.given.filled(flag).map(str::to_owned);
        let rules = Rules {
            unencrypted_suffix: given("unencrypted-suffix"),
            encrypted_suffix: given("encrypted-suffix"),
            unencrypted_regex: given("unencrypted-regex"),
            encrypted_regex: given("encrypted-regex"),
            unencrypted_comment_regex: given("unencrypted-comment-regex"),
            encrypted_comment_regex: given("encrypted-comment-regex"),
        };
        let count = [
            &rules.unencrypted_suffix,
            &rules.encrypted_suffix,
            &rules.unencrypted_regex,
            &rules.encrypted_regex,
            &rules.unencrypted_comment_regex,
            &rules.encrypted_comment_regex,
        ]
        .into_iter()
        .flatten()
        .count();
        match count {
            0 => Ok(None),
            1 => Ok(Some(rules)),
            _ => Err(Error::new(
                Code::Conflict,
                "only one rule of selection can be given",
            )),
        }
    }

    pub(super) fn rotate(&self) -> Result<ExitCode> {
        self.check_outputs()?;
        let path = self.file(0, if self.legacy { Code::NoFile } else { Code::Read })?;
        let name = self.name(&path);
        let (input, output) = (self.input(&name), self.output(&name));
        let (target, source) = self.read(&path)?;
        let file = self.sealed(&name, input, source)?;
        let (added, removed) = (self.keys("add-")?, self.keys("rm-")?);
        let named = [added.as_slice(), &removed].concat();
        let mut groups = groups_of_file(&self.bench, &name, &file.metadata, &named, &[])?;
        change(&mut groups, &added, &removed);
        self.bench.record(Action::Rotate, &name)?;
        let OpenFile { metadata, opened, .. } =
            self.bench.open(&name, file, self.given.on("ignore-mac"), true)?;
        let key = new_data_key()?;
        let renewed = renewed(&self.bench, &metadata, &groups, &key);
        let renewed = renewed.map_err(|error| error.with_code(Code::Generic))?;
        let kept = opened.kept.map(|(reuse, block)| (reuse.emptied(), block));
        let kept = kept.filter(|_| input == output);
        let plaintext = self.converted(&name, input, output, opened.plaintext)?;
        let sealed = self
            .bench
            .seal_again(&name, output, plaintext, renewed, &key, kept)?;
        self.write(target, sealed.bytes.expose(), Access::Shared)
    }
}
