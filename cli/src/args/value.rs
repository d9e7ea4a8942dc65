//! Where a value comes from: a hidden prompt, a file, stdin, or with a warning the command line.

use std::ffi::OsString;
use std::path::Path;

use secret::SecretBytes;

use crate::error::Result;
use crate::files::{self, Cap};
use crate::ui::Ui;

const OTHERWISE: &str = "--value-stdin reads the value from stdin, --value-file from a file";

/// The value of `set`, as sops takes it. Flattened last, for it ends with a positional argument.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct ValueArgs {
    /// Read the value from stdin
    #[arg(long, conflicts_with_all = ["value_file", "value"])]
    value_stdin: bool,

    /// Read the value from the file that VALUE names
    #[arg(long, requires = "value")]
    value_file: bool,

    /// The value, or with --value-file the file that holds it; asked for if not given
    #[arg(allow_hyphen_values = true)]
    value: Option<OsString>,
}

impl ValueArgs {
    /// Reads the value. What is given on the command line works, but others can see it: a warning says so.
    ///
    /// # Errors
    /// Code 100 or 2 if the file cannot be read, 1 if there is no terminal to ask on.
    pub(crate) fn read(&self, ui: &Ui, question: &str, cap: Cap) -> Result<SecretBytes> {
        match &self.value {
            _ if self.value_stdin => files::read_stdin(cap),
            Some(file) if self.value_file => files::read(Path::new(file), cap),
            Some(value) => {
                ui.warn(
                    None,
                    "a value on the command line can be seen by others on this machine",
                );
                ui.hint(OTHERWISE);
                Ok(SecretBytes::copy_from(value.as_encoded_bytes()))
            }
            None => ui.prompt(question, OTHERWISE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::Manner;

    #[test]
    fn a_file_is_read_as_it_is() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("v");
        std::fs::write(&path, "\"secret\"\n").expect("written");
        let ui = Ui::new(Manner {
            quiet: true,
            ..Manner::default()
        });
        let value = ValueArgs {
            value_file: true,
            value: Some(path.into()),
            ..ValueArgs::default()
        };
        assert_eq!(
            value.read(&ui, "?", Cap::default()).expect("read").expose(),
            b"\"secret\"\n"
        );
        let given = ValueArgs {
            value: Some("-1".into()),
            ..ValueArgs::default()
        };
        assert_eq!(
            given.read(&ui, "?", Cap::default()).expect("read").expose(),
            b"-1"
        );
    }
}
