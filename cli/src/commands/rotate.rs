//! `seal rotate`: a new data key.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use sops::{KeyEntry, MasterKey, Metadata};

use crate::args::InputFormat;
use crate::error::Result;
use crate::files::Target;
use crate::walk::{Walk, is_document};
use crate::workbench::{OpenFile, Workbench, new_data_key};

/// Seal files again under new data keys
///
/// For the same recipients, in place, over files and whole folders. A recipient that the policy does not name
/// is refused: nothing in a file says who put it there.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  seal rotate clusters/production/")]
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
        super::recipients::check(bench, path, &file.metadata, &[], &self.accept_recipient)?;
        let OpenFile { metadata, opened, .. } = bench.open(path, file, self.ignore_mac, true)?;
        let key = new_data_key()?;
        let renewed = renew(bench, path, &metadata, &key)?;
        // The block keeps its form, the texts do not: they were sealed under the old key.
        let kept = opened.kept.map(|(reuse, block)| (reuse.emptied(), block));
        let sealed = bench.seal_again(path, format, opened.plaintext, renewed, &key, kept)?;
        for text in target.replace(sealed.bytes.expose())? {
            bench.ui.warn(Some(path), &text);
        }
        bench.ui.report("rotated", path, None)
    }
}

/// The metadata of the file with `key` wrapped for the same recipients; a kind that this program does not know
/// cannot be wrapped and is refused.
fn renew(bench: &Workbench, path: &Path, old: &Metadata, key: &sops::DataKey) -> Result<Metadata> {
    let known = |entry: &KeyEntry| {
        entry.master_key().cloned().ok_or_else(|| {
            let text = format!("cannot seal for a key of the kind {}", entry.kind());
            crate::error::Error::new(crate::error::Code::NoEncryptionKey, text).file(path)
        })
    };
    let groups: Vec<Vec<MasterKey>> = old
        .groups
        .iter()
        .map(|group| group.iter().map(known).collect())
        .collect::<Result<_>>()?;
    let wrapped = bench.wrap(
        &groups,
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
