//! `seal get`: one value.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use document::{Format, emit};
use secret::SecretBytes;

use crate::args::InputFormat;
use crate::error::{Code, Error, Result};
use crate::files;
use crate::workbench::Workbench;

/// Print one value of a sealed file
///
/// A text is printed as it is, without a line break unless to a terminal; a map or list in the file's format.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  seal get app.yaml '[\"db\"][\"password\"]'")]
pub(crate) struct Get {
    /// The sealed file
    file: PathBuf,

    /// Which value, like `["key"][0]`
    path: String,

    /// Do not check the MAC and the integrity field
    #[arg(long)]
    ignore_mac: bool,

    #[command(flatten)]
    input: InputFormat,
}

impl Get {
    pub(crate) fn run(self, bench: &Workbench) -> Result<ExitCode> {
        let format = self.input.of(&self.file);
        let plaintext = super::plaintext(bench, &self.file, format, self.ignore_mac)?;
        let out = extract(&self.file, bench, format, plaintext, &self.path, None)?;
        files::write_stdout(out.expose())?;
        if !out.expose().ends_with(b"\n") && std::io::stdout().is_terminal() {
            files::write_stdout(b"\n")?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What stands at `path` of a plaintext, as sops prints it.
pub(crate) fn extract(
    name: &Path,
    bench: &Workbench,
    format: Format,
    plaintext: SecretBytes,
    path: &str,
    output: Option<Format>,
) -> Result<SecretBytes> {
    let path = super::tree_path(path)?;
    let options = super::emit_options(None)?;
    super::with_items(bench, name, format, plaintext, |items| {
        let value = emit::select(items, &path).ok_or_else(|| {
            Error::new(Code::Path, "there is nothing at this path")
                .file(name)
                .path(&path)
                .missing()
        })?;
        emit::emit_value(output.unwrap_or(format), value, &options)
            .map_err(|error| super::emit_error(name, &error))
    })
}
