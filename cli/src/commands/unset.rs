//! `seal unset`: one value less.

use std::path::PathBuf;
use std::process::ExitCode;

use document::{Document, Edits};

use super::set::Change;
use crate::args::InputFormat;
use crate::error::Result;
use crate::workbench::Workbench;

/// Remove one value from a sealed file
///
/// Its own lines go; comments above it stay.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  seal unset app.yaml '[\"db\"][\"old_password\"]'")]
pub(crate) struct Unset {
    /// The sealed file
    file: PathBuf,

    /// Which value, like `["key"][0]`
    path: String,

    /// Do not check the MAC and the integrity field
    #[arg(long)]
    ignore_mac: bool,

    /// Keep a recipient that the policy does not name
    #[arg(long, value_name = "RECIPIENT")]
    accept_recipient: Vec<String>,

    #[command(flatten)]
    input: InputFormat,
}

impl Unset {
    pub(crate) fn run(self, bench: &Workbench) -> Result<ExitCode> {
        let path = super::tree_path(&self.path)?;
        let edit = |document: &Document, edits: &mut Edits| document.unset(&path, edits);
        let change = Change {
            format: self.input.of(&self.file),
            file: self.file,
            ignore_mac: self.ignore_mac,
            accepted: self.accept_recipient,
        };
        change.run(bench, &edit)
    }
}
