//! `seal rotate`: a new data key.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use sops::{MasterKey, Metadata};

use crate::args::{ChangeArgs, InputFormat};
use crate::error::{Code, Error, Result};
use crate::files::Target;
use crate::rekey::known_groups;
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
        super::recipients::check_for_wrapping(bench, path, &file.metadata, &named, &self.accept_recipient)?;
        let OpenFile { metadata, opened, .. } = bench.open(path, file, self.ignore_mac, true)?;
        let key = new_data_key()?;
        let mut groups = known_groups(path, &metadata)?;
        change(&mut groups, &added, &removed).map_err(|error| error.file(path))?;
        let renewed = renew(bench, &metadata, &groups, &key)?;
        // The block keeps its form, the texts do not: they were sealed under the old key.
        let kept = opened.kept.map(|(reuse, block)| (reuse.emptied(), block));
        let sealed = bench.seal_again(path, format, opened.plaintext, renewed, &key, kept)?;
        for text in target.replace(sealed.bytes.expose())? {
            bench.ui.warn(Some(path), &text);
        }
        bench.ui.report("rotated", path, None)
    }
}

/// Adds keys to the first group and removes others from all of them, as sops does.
fn change(groups: &mut Vec<Vec<MasterKey>>, added: &[MasterKey], removed: &[MasterKey]) -> Result<()> {
    for group in &mut *groups {
        group.retain(|key| !removed.contains(key));
    }
    if let Some(first) = groups.first_mut() {
        let new = added.iter().filter(|key| !first.contains(key)).cloned();
        first.extend(new.collect::<Vec<_>>());
    }
    if groups.iter().any(Vec::is_empty) {
        return Err(
            Error::new(Code::Conflict, "a key group would be left without any key")
                .hint("`seal groups delete` removes a whole group"),
        );
    }
    Ok(())
}

/// The metadata of the file with `key` wrapped for `groups`.
fn renew(
    bench: &Workbench,
    old: &Metadata,
    groups: &[Vec<MasterKey>],
    key: &sops::DataKey,
) -> Result<Metadata> {
    let wrapped = bench.wrap(
        groups,
        old.shamir_threshold,
        key,
        old.rules.clone(),
        old.mac_only_encrypted,
    )?;
    Ok(Metadata {
        groups: wrapped.groups,
        shamir_threshold: wrapped.shamir_threshold,
        ..old.clone()
    })
}
