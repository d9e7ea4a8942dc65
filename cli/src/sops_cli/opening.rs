//! `decrypt`, `exec-env`, `exec-file` and `filestatus`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use document::{Format, Step};
use secret::SecretBytes;

use super::Session;
use crate::child::{self, ChildArgs};
use crate::error::{Code, Error, Result};
use crate::files::{self, Access};
use crate::log::Level;
use crate::workbench::SealedFile;

impl Session {
    /// A sealed file.
    pub(super) fn sealed(&self, name: &Path, format: Format, source: SecretBytes) -> Result<SealedFile> {
        let file = self.bench.read_sealed(name, format, source);
        let file = file.map_err(|error| match error.code() {
            Code::Read => error.with_code(Code::Generic),
            _ => error,
        })?;
        file.ok_or_else(|| Error::new(Code::Generic, "sops metadata not found").file(name))
    }

    fn opened(&self, name: &Path, format: Format, source: SecretBytes) -> Result<SecretBytes> {
        let file = self.sealed(name, format, source)?;
        Ok(self
            .bench
            .open(name, file, self.given.on("ignore-mac"), false)?
            .opened
            .plaintext)
    }

    pub(super) fn decrypt(&self) -> Result<ExitCode> {
        self.check_outputs()?;
        let from_stdin = self.given.word(0).is_none();
        let path = match self.given.word(0) {
            Some(_) => self.file(0, Code::NoFile)?,
            None => PathBuf::new(),
        };
        let name = self.name(&path);
        let (input, output) = (self.input(&name), self.output(&name));
        let (target, source) = if from_stdin {
            self.bench.reads(&path);
            (None, files::read_stdin(self.bench.global.max_size)?)
        } else {
            self.read(&path)?
        };
        let plaintext = self.opened(&name, input, source)?;
        let out = match self.given.filled("extract") {
            Some(extract) => {
                self.narrows(extract);
                let value =
                    crate::commands::extract(&name, &self.bench, input, plaintext, extract, Some(output));
                // What is not there is another mistake than a path that does not read.
                value.map_err(|error| match error.is_missing() {
                    true => error.with_code(Code::Generic),
                    false => error,
                })?
            }
            None if self.prints_anew() => self.emitted(&name, input, output, plaintext)?,
            None => self.converted(&name, input, output, plaintext)?,
        };
        self.write(target, out.expose(), Access::Private)
    }

    /// Logs the place of the one value that is wanted, as sops spells it: `[a 0]`.
    fn narrows(&self, extract: &str) {
        let steps = document::Path::parse_sops(extract)
            .map(|path| path.0)
            .unwrap_or_default();
        let steps: Vec<String> = steps
            .iter()
            .map(|step| match step {
                Step::Key(key) => key.clone(),
                Step::Index(index) => index.to_string(),
            })
            .collect();
        let path = [("path", format!("[{}]", steps.join(" ")))];
        self.bench.ui.log("SOPS", Level::Info, "Truncating tree", &path);
    }

    /// Whether sops' own formatting is wanted.
    fn prints_anew(&self) -> bool {
        self.given.on("sops-style") || (self.legacy && self.given.filled("indent").is_some())
    }

    fn child(&self) -> Result<ChildArgs> {
        if self.given.on("background") {
            self.bench
                .ui
                .warn(None, "--background is deprecated and does nothing here");
        }
        Ok(ChildArgs::of_sops(
            self.given.on("pristine"),
            self.given.filled("user").map(str::to_owned),
        ))
    }

    /// The file and the command line of `exec-env` and `exec-file`.
    fn file_and_command(&self) -> Result<(PathBuf, OsString)> {
        let [_, command] = &self.given.words[..] else {
            return Err(Error::new(Code::Generic, "a file and a command are due"));
        };
        Ok((self.file(0, Code::Read)?, command.clone()))
    }

    pub(super) fn exec_env(self) -> Result<ExitCode> {
        let command = self.command_with_values()?;
        let same_process = self.given.on("same-process");
        drop(self);
        if same_process {
            return Err(child::become_it(command));
        }
        child::run(command)
    }

    fn command_with_values(&self) -> Result<Command> {
        let (path, line) = self.file_and_command()?;
        let format = self.input(&path);
        let plaintext = self.opened(&path, format, files::read(&path, self.bench.global.max_size)?)?;
        let document = crate::commands::opened(&self.bench, &path, format, plaintext)?;
        let mut command = self.child()?.shell(&line)?;
        crate::commands::set_variables(&path, &self.bench, &document, &mut command)?;
        Ok(command)
    }

    pub(super) fn exec_file(self) -> Result<ExitCode> {
        let (path, line) = self.file_and_command()?;
        let plaintext = self.opened(
            &path,
            self.input(&path),
            files::read(&path, self.bench.global.max_size)?,
        )?;
        let plaintext = self.converted(&path, self.input(&path), self.output(&path), plaintext)?;
        let named = self.given.filled("filename").map(OsString::from);
        let filename = named.unwrap_or_else(|| "tmp-file".into());
        let (as_pipe, child) = (!self.given.on("no-fifo"), self.child()?);
        drop(self);
        crate::commands::with_file(plaintext, &filename, as_pipe, &line, &child)
    }

    pub(super) fn file_status(&self) -> Result<ExitCode> {
        let path = self.file(0, Code::Generic)?;
        let source = files::read(&path, self.bench.global.max_size)?;
        let sealed = self.bench.read_sealed(&path, self.input(&path), source);
        let sealed = sealed.map_err(|error| error.with_code(Code::Generic))?.is_some();
        files::write_stdout(format!("{{\"encrypted\":{sealed}}}\n").as_bytes())?;
        Ok(ExitCode::SUCCESS)
    }
}
