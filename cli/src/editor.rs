//! The user's editor, kept from leaving copies of what it edits.

use std::borrow::Cow;
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
            let found = USUAL.iter().find_map(|name| find(name));
            let program = found.ok_or_else(|| {
                Error::new(Code::Editor, "there is no editor: vim, nano and vi are not there")
                    .hint("name one with EDITOR")
            })?;
            return Ok(Self::new(program, &[]));
        };
        let unreadable = |why| {
            let text = format!("{name} does not read as a command line: {why}");
            Error::new(Code::Editor, text)
        };
        let words = key_providers::split_words(&line).map_err(unreadable)?;
        let (program, arguments) = words.split_first().ok_or_else(|| unreadable("it is empty"))?;
        let program = find(program).ok_or_else(|| {
            Error::new(
                Code::Editor,
                format!("the program that {name} names is in no folder of PATH"),
            )
            .hint("relative folders of PATH are not looked into")
        })?;
        let arguments: Vec<String> = arguments.iter().map(|word| word.to_string()).collect();
        Ok(Self::new(program, &arguments))
    }

    fn new(program: PathBuf, arguments: &[String]) -> Self {
        let name = file_name(&program);
        let mut arguments = arguments.to_vec();
        match &*name {
            // These return at once unless they are told to wait.
            "code" | "codium" | "code-insiders" | "subl" | "atom" | "gedit" | "mate" | "zed" => {
                let waits = arguments.iter().any(|word| word == "--wait" || word == "-w");
                if !waits {
                    arguments.push("--wait".to_owned());
                }
            }
            _ => {
                let own = hardening(&program).iter().map(|argument| (*argument).to_owned());
                arguments.splice(0..0, own).for_each(drop);
            }
        }
        Self { program, arguments }
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

/// What keeps an editor from writing swap files, backups, undo files and histories. It goes by the name that the program
/// was called by, else by that of the file behind its links: `vi` and `editor` may be any of them.
fn hardening(program: &Path) -> &'static [&'static str] {
    let own = hardening_of(&file_name(program));
    match std::fs::canonicalize(program) {
        Ok(behind) if own.is_empty() => hardening_of(&file_name(&behind)),
        _ => own,
    }
}

fn hardening_of(name: &str) -> &'static [&'static str] {
    const NO_COPIES: &str = "set nobackup nowritebackup noundofile noswapfile viminfo=";
    const VIM: [&str; 8] = [
        "-n", "-i", "NONE",
        // Before the file is loaded, and once more behind the user's own settings.
        "--cmd", NO_COPIES, "-c", NO_COPIES, // Only with a window: it stays until it is closed.
        "-f",
    ];
    match name.split('.').next().unwrap_or_default() {
        "vim" | "nvim" | "vimx" => &VIM[..7],
        "gvim" | "mvim" => &VIM,
        "nano" => &["--ignorercfiles"],
        name if name == "emacs" || name.starts_with("emacs-") => &[
            "--eval",
            "(setq make-backup-files nil auto-save-default nil create-lockfiles nil)",
        ],
        _ => &[],
    }
}

fn file_name(path: &Path) -> Cow<'_, str> {
    path.file_name().unwrap_or_default().to_string_lossy()
}

/// A program of this name, as every other is found: in absolute folders only.
fn find(name: &str) -> Option<PathBuf> {
    key_providers::find_program(name.as_ref(), std::env::var_os("PATH").as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(program: &str, arguments: &[&str]) -> Vec<String> {
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        Editor::new(program.into(), &arguments).arguments
    }

    #[test]
    fn vim_leaves_no_copies_and_keeps_its_arguments() {
        let words = words("/usr/bin/vim", &["-O"]);
        assert_eq!(words[..3], ["-n", "-i", "NONE"]);
        assert_eq!(words.last().map(String::as_str), Some("-O"));
        // `--cmd` comes before the user's vimrc, which may switch backups and undo files on again.
        let late = words.iter().position(|word| word == "-c").expect("given");
        assert!(words[late + 1].contains("nobackup") && words[late + 1].contains("noundofile"));
    }

    #[test]
    fn an_editor_behind_a_link_is_known() {
        let folder = tempfile::tempdir().expect("a folder");
        for (behind, first) in [
            ("vim.basic", "-n"),
            ("nano", "--ignorercfiles"),
            ("emacs-gtk", "--eval"),
        ] {
            let (file, link) = (folder.path().join(behind), folder.path().join("editor"));
            std::fs::write(&file, "").expect("written");
            std::os::unix::fs::symlink(&file, &link).expect("linked");
            assert_eq!(words(link.to_str().expect("text"), &[])[0], first, "{behind}");
            std::fs::remove_file(&link).expect("removed");
        }
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
