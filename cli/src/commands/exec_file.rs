//! `seal exec-file`: a command that reads the opened file.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rustix::fs::{CWD, FileType, Mode};
use secret::SecretBytes;

use crate::args::{InputFormat, OutputFormat};
use crate::child::{self, ChildArgs};
use crate::error::{Code, Error, Result};
use crate::private::PrivateFolder;
use crate::workbench::Workbench;

/// Run a command that reads the opened form of a sealed file
///
/// `{}` in the command line becomes the name of a pipe that gives the plaintext once, or with --no-fifo of a file in
/// memory. Nothing is written to a disk, and nothing is left when the command has ended.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  seal exec-file secrets.yaml 'kubectl apply -f {}'")]
pub(crate) struct ExecFile {
    /// The sealed file
    file: PathBuf,

    /// The command line, with {} for the name of the opened file
    command: OsString,

    /// Give a file that can be read many times
    #[arg(long)]
    no_fifo: bool,

    /// The name of the opened file, for commands that look at it
    #[arg(long, value_name = "NAME", default_value = "tmp-file")]
    filename: OsString,

    #[command(flatten)]
    child: ChildArgs,

    /// Do not check the MAC and the integrity field
    #[arg(long)]
    ignore_mac: bool,

    #[command(flatten)]
    input: InputFormat,

    #[command(flatten)]
    output: OutputFormat,
}

impl ExecFile {
    /// The keys go before the command runs.
    pub(crate) fn run(self, bench: Workbench) -> Result<ExitCode> {
        let path = self.file.as_path();
        let format = self.input.of(path);
        let plaintext = super::plaintext(&bench, path, format, self.ignore_mac)?;
        let plaintext = super::decrypt::converted(&bench, path, format, &self.output, plaintext)?;
        drop(bench);
        with_file(
            plaintext,
            &self.filename,
            !self.no_fifo,
            &self.command,
            &self.child,
        )
    }
}

/// Runs a command line in which `{}` stands for a file of this name with the plaintext: a pipe, or a file in memory.
pub(crate) fn with_file(
    plaintext: SecretBytes,
    filename: &OsStr,
    as_pipe: bool,
    line: &OsStr,
    child: &ChildArgs,
) -> Result<ExitCode> {
    if Path::new(filename).file_name() != Some(filename) {
        return Err(Error::new(
            Code::Generic,
            "--filename takes a name without folders",
        ));
    }
    let folder = PrivateFolder::new()?;
    let opened = folder.path().join(filename);
    let command = child.shell(&with_name(line, opened.as_os_str()))?;
    if as_pipe {
        feed(&opened, plaintext)?;
    } else {
        let mut file = private(&opened)?;
        file.write_all(plaintext.expose())
            .map_err(|cause| cannot_make(&opened, &cause))?;
        drop(plaintext);
    }
    child::run(command)
}

/// The command line with every `{}` replaced.
fn with_name(line: &OsStr, name: &OsStr) -> OsString {
    let mut out = Vec::new();
    let mut rest = line.as_bytes();
    while let Some(at) = memchr::memmem::find(rest, b"{}") {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(name.as_bytes());
        rest = &rest[at + 2..];
    }
    out.extend_from_slice(rest);
    OsString::from_vec(out)
}

fn private(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    file.map_err(|cause| cannot_make(path, &cause))
}

fn cannot_make(path: &Path, cause: &std::io::Error) -> Error {
    Error::new(Code::Write, "cannot make the opened file")
        .file(path)
        .cause(cause)
}

/// Makes a pipe that gives `plaintext` to whoever opens it first. Nobody waits for the thread: when the command has
/// ended without reading, so does this program.
fn feed(path: &Path, plaintext: SecretBytes) -> Result<()> {
    rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
        .map_err(|errno| cannot_make(path, &errno.into()))?;
    let path = path.to_owned();
    let write = move || {
        if let Ok(mut pipe) = OpenOptions::new().write(true).open(&path) {
            // A command that stops reading has seen enough.
            let _ = pipe.write_all(plaintext.expose());
        }
    };
    let thread = std::thread::Builder::new().name("pipe".into()).spawn(write);
    thread
        .map(drop)
        .map_err(|cause| Error::new(Code::Generic, "cannot start a thread").cause(&cause))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_braces_becomes_the_name() {
        let line = with_name(OsStr::new("cat {} '{}' ${x}"), OsStr::new("/m/f"));
        assert_eq!(line, "cat /m/f '/m/f' ${x}");
    }
}
