//! `seal completions` and `seal man`: what shells and readers of manuals need, made from the command line itself.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Command, ValueEnum};

use crate::error::{Code, Error, Result};
use crate::files;

/// Print a completion script for a shell
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  seal completions bash > /etc/bash_completion.d/seal\n  seal completions fish > ~/.config/fish/completions/seal.fish"
)]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

/// The shells that scripts are made for.
#[derive(Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Elvish,
    Fish,
    Nushell,
    Powershell,
    Zsh,
}

impl Completions {
    pub(crate) fn run(self, cli: Command) -> Result<ExitCode> {
        files::write_stdout(&script(self.shell, cli))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn script(shell: Shell, mut cli: Command) -> Vec<u8> {
    use clap_complete::{generate, shells};
    let name = cli.get_name().to_owned();
    let mut out = Vec::new();
    match shell {
        Shell::Bash => generate(shells::Bash, &mut cli, name, &mut out),
        Shell::Elvish => generate(shells::Elvish, &mut cli, name, &mut out),
        Shell::Fish => generate(shells::Fish, &mut cli, name, &mut out),
        Shell::Nushell => generate(clap_complete_nushell::Nushell, &mut cli, name, &mut out),
        Shell::Powershell => generate(shells::PowerShell, &mut cli, name, &mut out),
        Shell::Zsh => generate(shells::Zsh, &mut cli, name, &mut out),
    }
    out
}

/// Print the manual page, or write one for every command
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  seal man | man -l -\n  seal man --output-dir /usr/local/share/man/man1")]
pub(crate) struct Man {
    /// Write seal.1 and one page per command into this folder
    #[arg(long, value_name = "DIR")]
    output_dir: Option<PathBuf>,
}

impl Man {
    pub(crate) fn run(self, cli: Command) -> Result<ExitCode> {
        let Some(folder) = self.output_dir else {
            let mut page = Vec::new();
            let written = clap_mangen::Man::new(cli).render(&mut page);
            written.map_err(|cause| Error::new(Code::Generic, "the page cannot be made").cause(&cause))?;
            files::write_stdout(&page)?;
            return Ok(ExitCode::SUCCESS);
        };
        let failed = |cause: std::io::Error| {
            Error::new(Code::Write, "the pages cannot be written")
                .file(&folder)
                .cause(&cause)
        };
        std::fs::create_dir_all(&folder).map_err(failed)?;
        clap_mangen::generate_to(cli, &folder).map_err(failed)?;
        Ok(ExitCode::SUCCESS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_learns_every_command() {
        for shell in Shell::value_variants() {
            let script = String::from_utf8(script(*shell, crate::commands::cli())).expect("text");
            for command in ["updatekeys", "exec-env", "completions"] {
                assert!(script.contains(command), "{command}");
            }
        }
    }
}
