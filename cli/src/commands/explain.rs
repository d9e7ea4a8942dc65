//! `seal explain FILE`: everything that can be said of one file, and the next step.
//!
//! Nothing stops the telling: what cannot be read, opened or found is part of what is told. Key paths, names of
//! recipients and of fields are shown, values never.

mod damage;
mod next;
mod policy;
mod recipients;
mod seals;
mod show;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use document::{Document, Form, Format};
use secret::SecretBytes;
use sops::{DataKey, Rules};

use crate::args::InputFormat;
use crate::error::{Code, Error, Result};
use crate::files;
use crate::workbench::{SealedFile, Workbench};
use damage::{Conflict, Values};
use next::Next;
use policy::Applied;
use recipients::Access;
use seals::Seals;

/// Tell everything about one file, and what to do next
///
/// Whether it is sealed, for whom, which of your identities opens it, which rule of which policy it is under, whether its
/// seals hold, what is damaged and where, and the nearest fix as a command line. Never shows a value. The exit code is 0
/// for a file in order, else what `seal decrypt` would give, or 1 for what only `seal check` finds.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  seal explain secret.yaml\n  seal explain --json secret.yaml")]
pub(crate) struct Explain {
    /// The file
    file: PathBuf,

    #[command(flatten)]
    input: InputFormat,
}

/// What a file turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Sealed,
    Unsealed,
    /// It does not read as its format, or its metadata do not read.
    Unreadable,
}

/// What was found out about one file.
struct Report {
    file: PathBuf,
    format: Format,
    state: State,
    /// `version`, `lastmodified` and the selection rule of the metadata.
    block: Option<(String, String, Rules)>,
    access: Option<Access>,
    /// `None` if a policy that counts cannot be used.
    policy: Option<Applied>,
    /// Why, until it is told.
    policy_error: Option<Error>,
    values: Option<Values>,
    seals: Option<Seals>,
    conflict: Option<Conflict>,
    /// Plaintext stands where a sealed value is due.
    plaintext: bool,
    /// Where in git there is a version that is whole.
    base: Option<crate::git::Origin>,
    problems: Vec<Error>,
    /// What `seal decrypt` would fail with.
    code: Option<Code>,
    next: Option<Next>,
}

impl Explain {
    pub(crate) fn run(self, bench: &Workbench) -> Result<ExitCode> {
        let path = &self.file;
        let format = self.input.of(path);
        let source = files::read(path, bench.global.max_size)?;
        let (policy, policy_error) = match policy::find(bench, path) {
            Ok(policy) => (Some(policy), None),
            Err(error) => (None, Some(error)),
        };
        let mut report = Report {
            file: path.clone(),
            format,
            state: State::Unreadable,
            block: None,
            access: None,
            policy,
            policy_error,
            values: None,
            seals: None,
            conflict: None,
            plaintext: false,
            base: None,
            problems: Vec::new(),
            code: None,
            next: None,
        };
        report.examine(bench, source)?;
        report.finish(bench);
        if bench.ui.manner().json {
            bench.ui.record(&report.json())?;
        } else {
            report.say(&bench.ui)?;
        }
        if bench.ui.manner().quiet {
            report.problems.iter().for_each(|problem| bench.ui.error(problem));
        }
        Ok(report.code.map_or(ExitCode::SUCCESS, ExitCode::from))
    }
}

impl Report {
    /// Something that stops `seal decrypt`.
    fn fails(&mut self, error: Error) {
        self.code.get_or_insert(error.code());
        self.finds(error);
    }

    /// Something that is not as it should be; each thing is told once.
    fn finds(&mut self, error: Error) {
        let told = error.to_string();
        if !self.problems.iter().any(|known| known.to_string() == told) {
            self.problems.push(error);
        }
    }

    fn examine(&mut self, bench: &Workbench, source: SecretBytes) -> Result<()> {
        let text = SecretBytes::new(source.expose().to_vec());
        match bench.read_sealed(&self.file, self.format, source) {
            Ok(Some(file)) => {
                self.state = State::Sealed;
                self.sealed(bench, &file);
            }
            Ok(None) => {
                self.state = State::Unsealed;
                self.unsealed(bench, text);
            }
            Err(error) => {
                self.conflict = damage::conflict(text.expose());
                self.fails(error);
                self.unreadable(bench, &text);
            }
        }
        Ok(())
    }

    fn sealed(&mut self, bench: &Workbench, file: &SealedFile) {
        let SealedFile { document, metadata } = file;
        let rules = metadata.rules.clone();
        self.block = Some((metadata.version.clone(), metadata.lastmodified.clone(), rules));
        let values = Values::of(document);
        let key = self.unwrap(bench, metadata);
        let mut required = false;
        if let Some(applied) = &mut self.policy {
            applied.compare(document, metadata);
            required = applied.require_integrity;
        }
        self.tell_policy_error();
        let (seals, failure) = Seals::of(document, metadata, key.as_ref(), required);
        if let (Some(failure), Some(key)) = (failure, &key) {
            self.does_not_open(bench, document, key, &values, failure);
            self.told_twice(Some(document));
        }
        match sops::check(document, metadata) {
            Ok(found) => {
                self.plaintext = found
                    .iter()
                    .any(|error| matches!(error, sops::Error::Unsealed { .. }));
                for error in found {
                    self.finds(Error::from((self.file.as_path(), error)));
                }
            }
            Err(error) => self.finds(Error::from((self.file.as_path(), error))),
        }
        if let Some(applied) = &self.policy {
            let differences = applied.problems(&self.file);
            differences.into_iter().for_each(|error| self.finds(error));
        }
        self.values = Some(values);
        self.seals = Some(seals);
    }

    fn told_twice(&mut self, document: Option<&Document>) {
        let found = document.map(|document| damage::twice(document, &self.file));
        found.into_iter().flatten().for_each(|error| self.finds(error));
    }

    /// The data key, if it can be had here; what is known of those who have it, whether or not.
    fn unwrap(&mut self, bench: &Workbench, metadata: &sops::Metadata) -> Option<DataKey> {
        let (access, unwrapped) = Access::of(bench, &self.file, metadata);
        self.access = Some(access);
        match unwrapped {
            Ok(key) => Some(key),
            Err(error) => {
                self.fails(error);
                None
            }
        }
    }

    /// Tells what opening the file fails with; of values that do not open each one, with the place that it was sealed
    /// for if that can be told.
    fn does_not_open(
        &mut self,
        bench: &Workbench,
        document: &Document,
        key: &DataKey,
        values: &Values,
        failure: sops::Error,
    ) {
        let last = next::base(bench, &self.file, self.format);
        let places = last.map(|(_, document)| Values::of(&document));
        let moved = values.moved(document, key, places.as_ref(), &self.file);
        let is_one_of_them = matches!(failure, sops::Error::Value { .. }) && !moved.is_empty();
        if !is_one_of_them {
            self.fails(Error::from((self.file.as_path(), failure)));
        }
        moved.into_iter().for_each(|error| self.fails(error));
    }

    fn tell_policy_error(&mut self) {
        if let Some(error) = self.policy_error.take() {
            self.fails(error);
        }
    }

    fn unsealed(&mut self, bench: &Workbench, text: SecretBytes) {
        self.tell_policy_error();
        let document = match Document::parse(self.format, Form::Plain, text, &bench.limits()) {
            Ok(document) => document,
            Err(error) => return self.finds(Error::from((self.file.as_path(), error))),
        };
        self.values = Some(Values::of(&document));
        let Some(applied) = &mut self.policy else { return };
        applied.select(&document);
        let error = match &applied.rule {
            None => Some(Error::new(Code::ConfigNotFound, applied.no_rule())),
            Some(rule) => rule
                .selects
                .as_ref()
                .filter(|paths| !paths.is_empty())
                .map(|paths| {
                    let count = paths.len();
                    let values = if count == 1 {
                        "1 value".to_owned()
                    } else {
                        format!("{count} values")
                    };
                    Error::new(
                        Code::Generic,
                        format!("not sealed, though its rule selects {values}"),
                    )
                }),
        };
        if let Some(error) = error {
            self.finds(error.file(&self.file));
        }
    }

    /// Of a file in the middle of a merge each side is looked at; of another one the block, as far as it reads.
    fn unreadable(&mut self, bench: &Workbench, text: &SecretBytes) {
        self.tell_policy_error();
        let Some(mut conflict) = self.conflict.take() else {
            let text = SecretBytes::new(text.expose().to_vec());
            let document = Document::parse(self.format, Form::Sealed, text, &bench.limits());
            return self.told_twice(document.ok().as_ref());
        };
        for side in &mut conflict.sides {
            let text = damage::side(text.expose(), side.ours);
            side.state = match bench.read_sealed(&self.file, self.format, text) {
                Err(error) => format!("does not read: {error}"),
                Ok(None) => "is not sealed".to_owned(),
                Ok(Some(file)) => {
                    let (access, key) = Access::of(bench, &self.file, &file.metadata);
                    self.access.get_or_insert(access);
                    let key = key.ok();
                    let (_, failure) = Seals::of(&file.document, &file.metadata, key.as_ref(), false);
                    match (&key, &failure) {
                        (None, _) => "is sealed; no key here opens it".to_owned(),
                        (Some(_), None) => "is whole: it opens and its seals hold".to_owned(),
                        (Some(_), Some(failure)) => format!("is not whole: {failure}"),
                    }
                }
            };
        }
        self.conflict = Some(conflict);
    }

    /// What follows from all of it.
    fn finish(&mut self, bench: &Workbench) {
        if !self.problems.is_empty() {
            self.code.get_or_insert(Code::Generic);
            self.base = next::base(bench, &self.file, self.format).map(|(origin, _)| origin);
        }
        self.next = next::step(self);
    }
}

/// How people name a format.
fn format_name(format: Format) -> &'static str {
    match format {
        Format::Yaml => "YAML",
        Format::Json => "JSON",
        Format::Dotenv => "dotenv",
        Format::Ini => "INI",
        Format::Binary => "binary",
    }
}

/// A file's name in a command line.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    // Not to be taken for a flag.
    let text = if text.starts_with('-') {
        format!("./{text}").into()
    } else {
        text
    };
    shlex::try_quote(&text).map_or_else(|_| text.to_string(), |text| text.into_owned())
}
