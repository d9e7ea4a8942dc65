//! `seal exec-env`: a command with the values of a file in its environment.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use document::Document;
use document::emit::{self, Item};

use crate::args::InputFormat;
use crate::child::{self, ChildArgs};
use crate::error::{Code, Error, Result};
use crate::workbench::Workbench;

/// Run a command with the values of a sealed file as environment variables
///
/// The command is a line for the shell. Its exit code is that of `seal`. Values of the file win over variables of the
/// same name; variables that hold private keys are not handed on.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  seal exec-env app.env 'psql \"$DATABASE_URL\"'")]
pub(crate) struct ExecEnv {
    /// The sealed file: one map of single values
    file: PathBuf,

    /// The command line
    command: OsString,

    /// Put the command in the place of this program
    #[arg(long)]
    same_process: bool,

    #[command(flatten)]
    child: ChildArgs,

    /// Do not check the MAC and the integrity field
    #[arg(long)]
    ignore_mac: bool,

    #[command(flatten)]
    input: InputFormat,
}

impl ExecEnv {
    /// The keys go before the command runs.
    pub(crate) fn run(self, bench: Workbench) -> Result<ExitCode> {
        let command = self.command(&bench)?;
        drop(bench);
        if self.same_process {
            return Err(child::become_it(command));
        }
        child::run(command)
    }

    fn command(&self, bench: &Workbench) -> Result<Command> {
        let path = self.file.as_path();
        let format = self.input.of(path);
        let plaintext = super::plaintext(bench, path, format, self.ignore_mac)?;
        let document = super::opened(bench, path, format, plaintext)?;
        let mut command = self.child.shell(&self.command)?;
        set_variables(path, bench, &document, &mut command)?;
        Ok(command)
    }
}

/// Sets one variable for each entry of the first document.
pub(crate) fn set_variables(
    path: &Path,
    bench: &Workbench,
    document: &Document,
    command: &mut Command,
) -> Result<()> {
    let items = emit::from_document(document, bench.limits().expanded, |_| None)
        .map_err(|error| super::emit_error(path, &error))?;
    let mut name: &[u8] = b"";
    for item in items.iter().skip(1) {
        match item {
            Item::Key(key) => name = key,
            Item::Comment(_) => {}
            Item::Scalar(value) => {
                let mut text = secret::SecretBytes::default();
                emit::text(value, text.expose_mut());
                let Some((name, value)) = child::variable(name, text.expose()) else {
                    return Err(refused(
                        path,
                        name,
                        "this entry cannot be an environment variable",
                    ));
                };
                command.env(name, value);
            }
            Item::Map | Item::List => {
                return Err(refused(
                    path,
                    name,
                    "a map or list cannot be an environment variable",
                ));
            }
            Item::End => break,
        }
    }
    Ok(())
}

fn refused(path: &Path, name: &[u8], why: &'static str) -> Error {
    Error::new(Code::Generic, why)
        .file(path)
        .path(String::from_utf8_lossy(name))
        .hint("exec-env takes a file of names with single values; exec-file takes any file")
}
