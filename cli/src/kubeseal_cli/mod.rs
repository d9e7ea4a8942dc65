//! The command line of kubeseal: its flags, variables, outputs and exit codes, for `seal` called as `kubeseal` or as
//! `seal kubeseal ...`.
//!
//! Values, keys and files are handled as by every other command; only what is asked, printed and answered is kubeseal's.
//!
//! # What this does not do
//! It asks no cluster: certificates come from `--cert`, and `--validate`, `--re-encrypt` and `--fetch-cert` without it are
//! refused. It renders no templates.

mod certificate;
mod flags;
mod kubeconfig;
mod merging;
mod recovering;
mod sealing;
mod table;

use std::borrow::Cow;
use std::ffi::OsString;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use document::Format;
use sealed_secrets::{Manifests, Scope};
use secret::SecretBytes;

use crate::args::Global;
use crate::error::{Code, Error, Result};
use crate::files::{self, Access, Existing};
use crate::kube::now;
use crate::ui::Ui;
use crate::workbench::Workbench;
use flags::{Given, Misuse};
use kubeconfig::Kubeconfig;
use table::HELP;

/// The version whose command line this is.
const VERSION: &str = "0.36.6";
/// The exit code for a wrong command line.
const MISUSE: u8 = 2;

/// A command line of kubeseal, ready to run.
struct Session {
    given: Given,
    bench: Workbench,
}

/// What is read: a path, or stdin.
struct Input {
    name: PathBuf,
    source: SecretBytes,
}

/// Runs `arguments`, without the name of the program.
pub(crate) fn run(arguments: &[OsString]) -> ExitCode {
    let given = match Given::read(arguments, &|name| std::env::var(name).ok()) {
        Ok(given) => given,
        Err(Misuse::Usage) => {
            usage("");
            return ExitCode::SUCCESS;
        }
        Err(Misuse::Wrong(text)) => {
            usage(&format!("{text}\n"));
            return MISUSE.into();
        }
    };
    let done = Workbench::of_kubeseal().and_then(|bench| {
        let session = Session { given, bench };
        session.start()
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            Ui::new(Global::of_sops(None).manner()).error(&error);
            ExitCode::FAILURE
        }
    }
}

impl Session {
    fn start(&self) -> Result<()> {
        let given = &self.given;
        if given.on("rotate") {
            self.say("Flag --rotate has been deprecated, please use --re-encrypt instead");
        }
        if given.on("version") {
            return files::write_stdout(format!("kubeseal version: {VERSION}\n").as_bytes());
        }
        if given.on("help") {
            return files::write_stdout(HELP.as_bytes());
        }
        if !given.all("from-file").is_empty() && !given.on("raw") {
            return Err(refuse("--from-file requires --raw"));
        }
        self.check_input()?;
        if given.on("recovery-unseal") {
            return self.recover();
        }
        for mode in ["validate", "re-encrypt", "rotate"] {
            if given.on(mode) {
                return Err(needs_cluster(&format!("--{mode}")));
            }
        }
        let Some(place) = given.filled("cert") else {
            let what = match given.on("fetch-cert") {
                true => "--fetch-cert without --cert",
                false => "sealing without --cert",
            };
            return Err(needs_cluster(what));
        };
        let pem = certificate::fetch(&self.bench, place)?;
        if given.on("fetch-cert") {
            return self.write(&pem, Access::Shared);
        }
        let certificate = certificate::read(pem.expose(), now())?;
        match given.filled("merge-into") {
            Some(file) => self.merge(&certificate, Path::new(file)),
            None if given.on("raw") => self.seal_value(&certificate),
            None => self.seal(&certificate),
        }
    }

    /// Before anything else is done, the input must be there; and whoever is to type it is told so.
    fn check_input(&self) -> Result<()> {
        let given = &self.given;
        if let Some(path) = given.filled("secret-file") {
            // Not opened: what a pipe holds can be read once only.
            return std::fs::metadata(path)
                .map(drop)
                .map_err(|cause| refuse("Could not read file specified with --secret-file").cause(&cause));
        }
        if !given.on("raw") && !given.on("fetch-cert") && std::io::stdin().is_terminal() {
            self.say("(tty detected: expecting json/yaml k8s resource in stdin)");
        }
        Ok(())
    }

    /// The file of `-f`, or stdin.
    fn input(&self) -> Result<Input> {
        Ok(match self.given.filled("secret-file") {
            Some(path) => Input {
                name: path.into(),
                source: files::read(Path::new(path), self.bench.global.max_size)?,
            },
            None => Input {
                name: "(standard input)".into(),
                source: files::read_stdin(self.bench.global.max_size)?,
            },
        })
    }

    /// The scope of the flag; strict is also what is asked for without it.
    fn scope(&self) -> Scope {
        let word = self.given.text("scope").unwrap_or_default();
        Scope::of_word(word).unwrap_or_default()
    }

    fn kubeconfig(&self) -> Kubeconfig<'_> {
        Kubeconfig::new(&self.given)
    }

    /// The format of the output: the ending of its name decides before the flag does.
    fn format(&self) -> Result<Format> {
        let output = self.given.filled("sealed-secret-file").map(Path::new);
        let ending = output
            .and_then(Path::extension)
            .and_then(|ending| ending.to_str());
        if matches!(ending, Some("yaml" | "yml")) {
            return Ok(Format::Yaml);
        }
        self.format_of_flag().map(|format| format.unwrap_or(Format::Json))
    }

    /// The format of the flag, if it is given.
    fn format_of_flag(&self) -> Result<Option<Format>> {
        let word = self.given.text("format").unwrap_or_default();
        match word.to_ascii_lowercase().as_str() {
            "" => Ok(None),
            "json" => Ok(Some(Format::Json)),
            "yaml" => Ok(Some(Format::Yaml)),
            _ => Err(refuse(format!("unsupported output format: {word}"))),
        }
    }

    /// Writes all that a command made, at once.
    fn write(&self, bytes: &SecretBytes, access: Access) -> Result<()> {
        match self.given.filled("sealed-secret-file") {
            Some(path) => files::create_fresh(Path::new(path), bytes.expose(), access, Existing::Replace),
            None => files::write_stdout(bytes.expose()),
        }
    }

    /// A line on stderr as kubeseal prints it.
    fn say(&self, text: &str) {
        // Stderr that cannot be written is not an error of its own.
        let _ = writeln!(std::io::stderr(), "{text}");
    }
}

/// The documents of a file, and its format: what begins with a brace is JSON, or YAML if it is no JSON.
fn parse(bench: &Workbench, name: &Path, source: &SecretBytes) -> Result<(Manifests, Format)> {
    let text = source.expose();
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let copy = || SecretBytes::copy_from(source.expose());
    let read =
        |format| Manifests::parse(format, copy(), &bench.limits()).map(|manifests| (manifests, format));
    let refused = |error| Error::from((name, error));
    if !text.trim_ascii_start().starts_with(b"{") {
        return read(Format::Yaml).map_err(refused);
    }
    read(Format::Json).or_else(|error| read(Format::Yaml).map_err(|_| refused(error)))
}

/// Reads a file that must be there.
fn open(bench: &Workbench, path: &Path) -> Result<SecretBytes> {
    files::read(path, bench.global.max_size).map_err(|error| match error.code() {
        Code::NoFile => {
            let text = format!("open {}: no such file or directory", path.display());
            Error::new(Code::NoFile, text)
        }
        _ => error,
    })
}

/// An error that ends kubeseal with code 1.
fn refuse(text: impl Into<Cow<'static, str>>) -> Error {
    Error::new(Code::Generic, text)
}

fn needs_cluster(what: &str) -> Error {
    refuse(format!("{what} needs a cluster, which seal does not ask yet"))
        .hint("with --cert FILE Secrets are sealed without a cluster")
}

fn usage(behind: &str) {
    // Stderr that cannot be written is not an error of its own.
    let _ = write!(std::io::stderr(), "{HELP}{behind}");
}
