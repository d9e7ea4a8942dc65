//! How files are read and printed.

use std::path::Path;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use document::Format;

/// sops' words for the formats.
const WORDS: [&str; 5] = ["yaml", "json", "dotenv", "ini", "binary"];

/// The format of the input.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Formats")]
pub(crate) struct InputFormat {
    /// Read the input in this format, instead of the one its name says
    #[arg(long, value_name = "FORMAT", value_parser = words())]
    pub(crate) input_type: Option<Format>,
}

impl InputFormat {
    /// The format of the file at `path`: the given one, else the one of its name.
    pub(crate) fn of(&self, path: &Path) -> Format {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        self.input_type.unwrap_or_else(|| Format::of_name(&name))
    }
}

/// The format of the output.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Formats")]
pub(crate) struct OutputFormat {
    /// Print in this format, instead of the input's
    #[arg(long, value_name = "FORMAT", value_parser = words())]
    pub(crate) output_type: Option<Format>,

    /// Blanks a level where a document is printed anew; -1 is a tab (JSON only)
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) indent: Option<i32>,
}

fn words() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(WORDS).try_map(|word| Format::of_word(&word).ok_or("unknown format"))
}
