//! `seal rotate`: a new data key.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::args::{ChangeArgs, InputFormat};
use crate::error::{Code, Error, Result};
use crate::files::Target;
use crate::rekey::{change, groups_of_file, renewed};
use crate::walk::{Walk, is_document};
use crate::workbench::{OpenFile, Workbench, new_data_key};

/// Seal files again under new data keys
///
/// For the same recipients, or with some added and removed, in place, over files and whole folders. A recipient that the
/// policy does not name is refused: nothing in a file says who put it there.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  seal rotate clusters/production/\n  seal rotate --add-age age1... --rm-age age1... app.yaml"
)]
pub(crate) struct Rotate {
    /// Files and folders
    #[arg(required = true)]
    files: Vec<PathBuf>,

    /// Do not check the MAC and the integrity field
    #[arg(long)]
    ignore_mac: bool,

    /// Keep a recipient that the policy does not name
    #[arg(long, value_name = "RECIPIENT")]
    accept_recipient: Vec<String>,

    #[command(flatten)]
    changes: ChangeArgs,

    #[command(flatten)]
    input: InputFormat,
}

impl Rotate {
    pub(crate) fn run(self, bench: &Workbench) -> Result<ExitCode> {
        let walk = Walk::over(&self.files, &is_document, &[]);
        let done = bench.for_each(&walk.files, |bench, found| {
            self.one(bench, &found.path, found.explicit)
        })?;
        let failed = done.into_iter().filter_map(Result::err);
        Ok(super::tell_all(
            bench,
            &walk.errors.into_iter().chain(failed).collect::<Vec<_>>(),
        ))
    }

    fn one(&self, bench: &Workbench, path: &Path, explicit: bool) -> Result<()> {
        let format = self.input.of(path);
        let (target, source) = Target::open(path, bench.global.max_size)?;
        if !explicit && !super::looks_sealed(format, source.expose()) {
            return Ok(());
        }
        let Some(file) = bench.read_sealed(path, format, source)? else {
            return if explicit {
                Err(super::not_sealed(path))
            } else {
                Ok(())
            };
        };
        let (added, removed) = (self.changes.added()?, self.changes.removed()?);
        let named = [added.as_slice(), &removed].concat();
        let mut groups = groups_of_file(bench, path, &file.metadata, &named, &self.accept_recipient)?;
        change(&mut groups, &added, &removed);
        if groups.iter().any(Vec::is_empty) {
            return Err(
                Error::new(Code::Conflict, "a key group would be left without any key")
                    .file(path)
                    .hint("`seal groups delete` removes a whole group"),
            );
        }
        let OpenFile { metadata, opened, .. } = bench.open(path, file, self.ignore_mac, true)?;
        let key = new_data_key()?;
        let renewed = renewed(bench, &metadata, &groups, &key)?;
        // The block keeps its form, the texts do not: they were sealed under the old key.
        let kept = opened.kept.map(|(reuse, block)| (reuse.emptied(), block));
        let sealed = bench.seal_again(path, format, opened.plaintext, renewed, &key, kept)?;
        for text in target.replace(sealed.bytes.expose())? {
            bench.ui.warn(Some(path), &text);
        }
        bench.ui.report("rotated", path, None)
    }
}
