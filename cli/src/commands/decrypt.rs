//! `seal decrypt`: the author's bytes again.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use document::Format;
use secret::SecretBytes;

use crate::args::{InputFormat, OutputFormat};
use crate::error::{Code, Error, Result};
use crate::escape;
use crate::files::{self, Access, Existing, OutputDir, Target};
use crate::walk::{Found, Walk, is_document};
use crate::workbench::Workbench;

/// Open files: print one, or write many
///
/// One file is printed unless -i or --output is given; several files or a folder need -i or --output-dir.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  seal decrypt app.yaml\n  seal decrypt --extract '[\"db\"][\"password\"]' app.yaml\n  seal decrypt --output-dir /run/secrets deploy/"
)]
pub(crate) struct Decrypt {
    /// Files and folders; without any, or for -, stdin is read
    files: Vec<PathBuf>,

    /// Open the files where they stand
    #[arg(long, short)]
    in_place: bool,

    /// Write the plaintext to this file, readable by its owner only
    #[arg(long, value_name = "FILE", conflicts_with_all = ["in_place", "output_dir"])]
    output: Option<PathBuf>,

    /// Write each file below this folder, under the path it was named by
    #[arg(long, value_name = "DIR", conflicts_with = "in_place")]
    output_dir: Option<PathBuf>,

    /// Print one value only
    #[arg(long, value_name = "PATH", conflicts_with_all = ["in_place", "output_dir"])]
    extract: Option<String>,

    /// Do not check the MAC and the integrity field
    #[arg(long)]
    ignore_mac: bool,

    /// The name that decides the format when stdin is read
    #[arg(long, value_name = "NAME")]
    filename_override: Option<PathBuf>,

    #[command(flatten)]
    input: InputFormat,
    #[command(flatten)]
    output_format: OutputFormat,
}

impl Decrypt {
    pub(crate) fn run(self, bench: &Workbench) -> Result<ExitCode> {
        if self.in_place || self.output_dir.is_some() {
            return self.many(bench);
        }
        if self.files.len() > 1 || self.files.iter().any(|file| file.is_dir()) {
            return Err(
                Error::new(Code::Conflict, "several files cannot be printed as one")
                    .hint("--output-dir DIR writes each below a folder, -i opens them in place"),
            );
        }
        let file = self.files.first().filter(|file| *file != Path::new("-"));
        let source = match file {
            Some(file) => files::read(file, bench.global.max_size)?,
            None => {
                bench.ui.awaits_stdin();
                files::read_stdin(bench.global.max_size)?
            }
        };
        let name = self
            .filename_override
            .as_ref()
            .or(file)
            .cloned()
            .unwrap_or_else(|| "-".into());
        bench.reads(file.map_or(Path::new("-"), PathBuf::as_path));
        let format = self.input.of(&name);
        let plaintext = self.open(bench, &name, format, source)?;
        let out = match &self.extract {
            Some(path) => super::get::extract(
                &name,
                bench,
                format,
                plaintext,
                path,
                self.output_format.output_type,
            )?,
            None => converted(bench, &name, format, &self.output_format, plaintext)?,
        };
        match &self.output {
            Some(output) => files::create_fresh(output, out.expose(), Access::Private, Existing::Replace)?,
            None => files::write_stdout(out.expose())?,
        }
        Ok(ExitCode::SUCCESS)
    }

    fn open(
        &self,
        bench: &Workbench,
        name: &Path,
        format: Format,
        source: SecretBytes,
    ) -> Result<SecretBytes> {
        let file = bench
            .read_sealed(name, format, source)?
            .ok_or_else(|| super::not_sealed(name))?;
        Ok(bench.open(name, file, self.ignore_mac, false)?.opened.plaintext)
    }

    /// Every sealed file below the arguments.
    fn many(&self, bench: &Workbench) -> Result<ExitCode> {
        let walk = Walk::over(&self.files, &is_document, &[]);
        if self.output_dir.is_some() {
            apart(&walk.files)?;
        }
        let outputs = match &self.output_dir {
            Some(folder) => Some(OutputDir::open(folder, Access::Private, Existing::Replace)?),
            None => None,
        };
        let results = bench.for_each(&walk.files, |bench, found| {
            self.one_of_many(bench, found, outputs.as_ref())
        })?;
        if let Some(outputs) = outputs {
            outputs.finish()?;
        }
        let failed = results.into_iter().filter_map(Result::err);
        Ok(super::tell_all(
            bench,
            &walk.errors.into_iter().chain(failed).collect::<Vec<_>>(),
        ))
    }

    fn one_of_many(&self, bench: &Workbench, found: &Found, outputs: Option<&OutputDir>) -> Result<()> {
        let path = &found.path;
        let format = self.input.of(path);
        if let Some(outputs) = outputs {
            let source = files::read(path, bench.global.max_size)?;
            if !found.explicit && !super::looks_sealed(format, source.expose()) {
                return Ok(());
            }
            let plaintext = self.open(bench, path, format, source)?;
            return outputs.write(&super::below(path), plaintext.expose());
        }
        let (target, source) = Target::open(path, bench.global.max_size)?;
        if !found.explicit && !super::looks_sealed(format, source.expose()) {
            return Ok(());
        }
        let plaintext = self.open(bench, path, format, source)?;
        for text in target.replace(plaintext.expose())? {
            bench.ui.warn(Some(path), &text);
        }
        bench.ui.report("opened", path, None)
    }
}

/// Refuses two files that would be written as one: `a.yaml` and `../a.yaml`.
fn apart(files: &[Found]) -> Result<()> {
    let mut taken = HashMap::new();
    for file in files {
        if let Some(other) = taken.insert(super::below(&file.path), &file.path) {
            let text = format!("would be written to the same file as {}", escape::path(other));
            return Err(Error::new(Code::Conflict, text).file(&file.path));
        }
    }
    Ok(())
}

/// A plaintext in the format that was asked for.
pub(super) fn converted(
    bench: &Workbench,
    name: &Path,
    format: Format,
    output: &OutputFormat,
    plaintext: SecretBytes,
) -> Result<SecretBytes> {
    let Some(wanted) = output.output_type.filter(|wanted| *wanted != format) else {
        return Ok(plaintext);
    };
    super::emitted(bench, name, (format, wanted), plaintext, output.indent)
}
