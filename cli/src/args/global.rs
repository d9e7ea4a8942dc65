//! Flags of every command.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::OsStringValueParser;

use super::ServiceArgs;
use crate::files::Cap;
use crate::ui::Manner;

/// Flags that stand before or after any command.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Global {
    /// The policy file to use, instead of the nearest .sops.yaml above each file
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "SOPS_CONFIG",
        hide_env_values = true
    )]
    #[arg(value_parser = OsStringValueParser::new(), help_heading = "Global options")]
    config: Option<OsString>,

    /// The largest file to read, such as 64M or 1G, or `none` for the 1 GiB that is possible
    #[arg(long, global = true, value_name = "SIZE", default_value = "64M", value_parser = size)]
    #[arg(help_heading = "Global options")]
    pub(crate) max_size: Cap,

    #[command(flatten)]
    pub(crate) services: ServiceArgs,

    /// Print one JSON object a line instead of text
    #[arg(long, global = true, help_heading = "Global options")]
    json: bool,

    /// Answer yes to every question
    #[arg(long, short = 'y', global = true, help_heading = "Global options")]
    yes: bool,

    /// Print nothing but warnings and errors
    #[arg(
        long,
        short,
        global = true,
        conflicts_with = "verbose",
        help_heading = "Global options"
    )]
    quiet: bool,

    /// Tell more; twice, tell everything
    #[arg(long, short, global = true, action = clap::ArgAction::Count, help_heading = "Global options")]
    verbose: u8,
}

impl Global {
    /// The policy file that was named; an empty name is none.
    pub(crate) fn config(&self) -> Option<PathBuf> {
        self.config
            .as_ref()
            .filter(|config| !config.is_empty())
            .map(PathBuf::from)
    }

    /// What the command line of sops comes to: no bound on sizes, nothing reported.
    pub(crate) fn of_sops(config: Option<PathBuf>) -> Self {
        Self {
            config: config.map(PathBuf::into_os_string),
            max_size: Cap::none(),
            services: ServiceArgs::default(),
            json: false,
            yes: false,
            quiet: true,
            verbose: 0,
        }
    }

    /// How the user wants to be spoken to.
    pub(crate) fn manner(&self) -> Manner {
        Manner {
            json: self.json,
            quiet: self.quiet,
            yes: self.yes,
            verbose: self.verbose,
            log: false,
        }
    }
}

/// Reads `64M`, `1GiB`, `512`, `none`.
fn size(text: &str) -> Result<Cap, String> {
    if text == "none" {
        return Ok(Cap::none());
    }
    let lower = text.to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match &lower[digits.len()..] {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return Err("a size is a number and B, K, M or G, or the word none".into()),
    };
    let number: u64 = digits
        .parse()
        .map_err(|_| "a size begins with a whole number".to_owned())?;
    number
        .checked_mul(1 << shift)
        .map(Cap::bytes)
        .ok_or_else(|| "the size is too large".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_and_without_units() {
        for (text, bytes) in [
            ("0", 0),
            ("512", 512),
            ("4k", 4096),
            ("64M", 64 << 20),
            ("1GiB", 1 << 30),
        ] {
            assert_eq!(size(text), Ok(Cap::bytes(bytes)), "{text}");
        }
        assert_eq!(size("none"), Ok(Cap::none()));
        for text in ["", "M", "-1", "1.5M", "1T", "1 M", "99999999999G", "\u{661}"] {
            assert!(size(text).is_err(), "{text:?} was accepted");
        }
    }
}
