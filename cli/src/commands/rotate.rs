//! `seal rotate`: a new data key.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::args::{ChangeArgs, InputFormat};
use crate::audit::Action;
use crate::error::{Code, Error, Result};
use crate::files::{self, Target};
use crate::ledger::Ledger;
use crate::rekey::{change, changes, groups_of_file, renewed};
use crate::walk::{Walk, is_document};
use crate::workbench::{OpenFile, Workbench, new_data_key};

/// Seal files again under new data keys
///
/// For the same recipients, or with some added and removed, in place, over files and whole folders. A recipient that the
/// policy does not name is refused: nothing in a file says who put it there. A run that was broken off goes on with
/// --resume: what it wrote is left as it is.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  seal rotate --plan clusters/\n  seal rotate clusters/production/\n  seal rotate --resume clusters/production/\n  seal rotate --add-age age1... --rm-age age1... app.yaml"
)]
pub(crate) struct Rotate {
    /// Files and folders
    #[arg(required = true)]
    files: Vec<PathBuf>,

    /// Show what would be done, and do nothing
    #[arg(long)]
    plan: bool,

    /// Go on where the last run of this very command was broken off
    #[arg(long, conflicts_with = "plan")]
    resume: bool,

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
        let ledger = self.ledger(bench, walk.files.len())?;
        let done = bench.for_each(&walk.files, |bench, found| {
            self.one(bench, &found.path, found.explicit, ledger.as_ref())
        })?;
        let mut failed = walk.errors;
        failed.extend(done.into_iter().filter_map(Result::err));
        let code = super::tell_all(bench, &failed);
        match ledger {
            Some(ledger) if failed.is_empty() || ledger.is_empty() => ledger.end(),
            Some(_) => bench
                .ui
                .hint("the same command with --resume leaves what is done"),
            None => {}
        }
        Ok(code)
    }

    /// Where the run is noted: what would be done twice is worth it from two files on.
    fn ledger(&self, bench: &Workbench, files: usize) -> Result<Option<Ledger>> {
        if self.plan || files == 0 || (files == 1 && !self.resume) {
            return Ok(None);
        }
        let flags = format!("{:?} {:?}", self.changes.added()?, self.changes.removed()?);
        let paths: Vec<PathBuf> = self
            .files
            .iter()
            .map(|path| std::fs::canonicalize(path).unwrap_or_else(|_| path.clone()))
            .collect();
        let mut words: Vec<&[u8]> = vec![b"rotate", flags.as_bytes()];
        words.extend(paths.iter().map(|path| path.as_os_str().as_encoded_bytes()));
        match Ledger::open(&words, self.resume) {
            Err(error) if !self.resume => {
                bench.ui.hint(&format!("this run could not be resumed: {error}"));
                Ok(None)
            }
            ledger => {
                let ledger = ledger?;
                if let Some(time) = ledger.last_note() {
                    bench
                        .ui
                        .hint(&format!("going on with the run that ended at {time}"));
                }
                Ok(Some(ledger))
            }
        }
    }

    fn one(&self, bench: &Workbench, path: &Path, explicit: bool, ledger: Option<&Ledger>) -> Result<()> {
        let format = self.input.of(path);
        let (target, source) = if self.plan {
            (None, files::read(path, bench.global.max_size)?)
        } else {
            let (target, source) = Target::open(path, bench.global.max_size)?;
            (Some(target), source)
        };
        if !explicit && !super::looks_sealed(format, source.expose()) {
            return Ok(());
        }
        if ledger.is_some_and(|ledger| ledger.has(source.expose())) {
            return bench.ui.report("done before", path, None);
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
        let Some(target) = target else {
            let changes = changes(&file.metadata, &groups, file.metadata.shamir_threshold).join(", ");
            let detail = Some(changes.as_str()).filter(|changes| !changes.is_empty());
            return bench.ui.report("would rotate", path, detail);
        };
        bench.record(Action::Rotate, path)?;
        let OpenFile { metadata, opened, .. } = bench.open(path, file, self.ignore_mac, true)?;
        let key = new_data_key()?;
        let renewed = renewed(bench, &metadata, &groups, &key)?;
        // The block keeps its form, the texts do not: they were sealed under the old key.
        let kept = opened.kept.map(|(reuse, block)| (reuse.emptied(), block));
        let sealed = bench.seal_again(path, format, opened.plaintext, renewed, &key, kept)?;
        for text in target.replace(sealed.bytes.expose())? {
            bench.ui.warn(Some(path), &text);
        }
        if let Some(ledger) = ledger {
            ledger.note(sealed.bytes.expose());
        }
        bench.ui.report("rotated", path, None)
    }
}
