//! The user's editor, kept from leaving copies of what it edits.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Code, Error, Result};

/// Tried in this order where no editor is named.
const USUAL: [&str; 3] = ["vim", "nano", "vi"];

/// A program with its arguments.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Editor {
    program: PathBuf,
    arguments: Vec<String>,
}

impl Editor {
    /// The editor that SOPS_EDITOR or EDITOR names, as a shell would split the line; else one that is usual.
    ///
    /// # Errors
    /// Code 201 if the line does not read, or no editor is found.
    pub(crate) fn of_user() -> Result<Self> {
        let named = ["SOPS_EDITOR", "EDITOR"]
            .into_iter()
            .filter_map(|name| Some((name, std::env::var(name).ok()?)))
            .find(|(_, line)| !line.trim().is_empty());
        let Some((name, line)) = named else {
            let found = USUAL.iter().find(|program| is_on_path(program));
            let program = found.ok_or_else(|| {
                Error::new(Code::Editor, "there is no editor: vim, nano and vi are not there")
                    .hint("name one with EDITOR")
            })?;
            return Ok(Self::new(program, &[]));
        };
        let words = shlex::split(&line).unwrap_or_default();
        match words.split_first() {
            Some((program, arguments)) => Ok(Self::new(program, arguments)),
            None => Err(Error::new(
                Code::Editor,
                format!("{name} does not read as a command line"),
            )),
        }
    }

    fn new(program: &str, arguments: &[String]) -> Self {
        let name = Path::new(program)
            .file_name()
            .unwrap_or_default()
            .to_string_lossy();
        let mut arguments = arguments.to_vec();
        let own = hardening(&name).iter().map(|argument| (*argument).to_owned());
        match &*name {
            // These return at once unless they are told to wait.
            "code" | "codium" | "code-insiders" | "subl" | "atom" | "gedit" | "mate" | "zed" => {
                let waits = arguments.iter().any(|word| word == "--wait" || word == "-w");
                if !waits {
                    arguments.push("--wait".to_owned());
                }
            }
            _ => arguments.splice(0..0, own).for_each(drop),
        }
        Self {
            program: program.into(),
            arguments,
        }
    }

    /// The editor on `file`, without the variables that hold private keys.
    pub(crate) fn command(&self, file: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).arg(file);
        for name in key_providers::KEY_VARIABLES {
            command.env_remove(name);
        }
        command
    }
}

/// What keeps an editor from writing swap files, backups, undo files and histories.
fn hardening(name: &str) -> &'static [&'static str] {
    match name {
        "vim" | "nvim" | "gvim" | "mvim" | "vimx" => &[
            "-n",
            "-i",
            "NONE",
            "--cmd",
            "set nobackup nowritebackup noundofile noswapfile",
        ],
        "nano" => &["--ignorercfiles", "--nohelp"],
        "emacs" => &[
            "--eval",
            "(setq make-backup-files nil auto-save-default nil create-lockfiles nil)",
        ],
        "kak" => &["-e", "set-option global autosave no"],
        _ => &[],
    }
}

fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| {
        let access = rustix::fs::access(folder.join(program), rustix::fs::Access::EXEC_OK);
        access.is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(program: &str, arguments: &[&str]) -> Vec<String> {
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        Editor::new(program, &arguments).arguments
    }

    #[test]
    fn vim_leaves_no_copies_and_keeps_its_arguments() {
        let words = words("/usr/bin/vim", &["-O"]);
        assert_eq!(words[..3], ["-n", "-i", "NONE"]);
        assert_eq!(words.last().map(String::as_str), Some("-O"));
    }

    #[test]
    fn editors_with_windows_are_waited_for() {
        assert_eq!(words("code", &[]), ["--wait"]);
        assert_eq!(words("code", &["-w"]), ["-w"]);
    }

    #[test]
    fn others_are_left_alone() {
        assert_eq!(words("sed", &["-i", "s/a/b/"]), ["-i", "s/a/b/"]);
    }
}
