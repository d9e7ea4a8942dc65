//! `seal filestatus`: whether a file is sealed.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::args::InputFormat;
use crate::error::Result;
use crate::files;
use crate::workbench::Workbench;

/// Print whether a file is sealed
///
/// One line of JSON: {"encrypted":true} or {"encrypted":false}. `seal check` says more.
#[derive(clap::Args)]
pub(crate) struct FileStatus {
    /// The file
    file: PathBuf,

    #[command(flatten)]
    input: InputFormat,
}

impl FileStatus {
    pub(crate) fn run(self, bench: &Workbench) -> Result<ExitCode> {
        let source = files::read(&self.file, bench.global.max_size)?;
        let format = self.input.of(&self.file);
        let sealed = bench.read_sealed(&self.file, format, source)?.is_some();
        bench.ui.record(&serde_json::json!({ "encrypted": sealed }))?;
        Ok(ExitCode::SUCCESS)
    }
}
