//! A configured program that prints identities (`SOPS_AGE_KEY_CMD`, `SOPS_AGE_SSH_PRIVATE_KEY_CMD`).
//!
//! The line is split into words, no shell sees it; the program is looked for in absolute folders of the
//! search path only; it gets none of our own key variables. What it prints on standard error goes to ours,
//! because that is where such programs say what they wait for.

use std::ffi::OsString;
use std::time::Duration;

use secret::SecretBytes;

use crate::process;

/// Such a program may wait for a person.
const TIME_LIMIT: Duration = Duration::from_secs(300);

/// A command line and where to look for its program.
#[derive(Clone)]
pub struct KeyCommand {
    /// The line as configured.
    pub line: OsString,
    /// The value of `PATH`.
    pub search_path: Option<OsString>,
}

impl std::fmt::Debug for KeyCommand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyCommand(***)")
    }
}

impl KeyCommand {
    /// Runs the program for `recipient` and returns what it printed. Dropping the future ends the program, and
    /// so do five minutes. An error is a reason that repeats neither the line nor any output.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O and time enabled.
    pub(crate) async fn run(&self, recipient: &str) -> Result<SecretBytes, String> {
        let line = self.line.to_str().ok_or("the command is not UTF-8 text")?;
        let words = process::split_words(line)?;
        let (program, arguments) = words.split_first().ok_or("the command is empty")?;
        let program = process::find_program(program.as_str().as_ref(), self.search_path.as_deref())
            .ok_or("its program is in no absolute folder of PATH")?;
        let mut command = process::command(&program);
        command
            .args(arguments.iter().map(|word| word.as_str()))
            .env("SOPS_AGE_RECIPIENT", recipient);
        let finished = process::run(command, &[], TIME_LIMIT)
            .await
            .map_err(|fault| format!("the command {fault}"))?;
        match finished.status.success() {
            true => Ok(finished.stdout),
            false => Err(format!("the command failed: {}", finished.status)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    mod running {
        use super::*;
        use std::os::unix::fs::PermissionsExt as _;
        use std::path::PathBuf;

        fn script(folder: &std::path::Path, name: &str, body: &str) -> PathBuf {
            let file = folder.join(name);
            std::fs::write(&file, format!("#!/bin/sh\n{body}\n")).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o700)).unwrap();
            file
        }

        async fn run(line: String) -> Result<String, String> {
            let printed = KeyCommand {
                line: line.into(),
                search_path: None,
            }
            .run("age1xyz")
            .await?;
            Ok(String::from_utf8(printed.expose().to_vec()).unwrap())
        }

        #[tokio::test]
        async fn the_program_gets_its_words_and_the_recipient() {
            let folder = tempfile::tempdir().unwrap();
            let file = script(
                folder.path(),
                "show",
                r#"printf '%s|' "$@" "$SOPS_AGE_RECIPIENT""#,
            );
            let line = format!("'{}' 'a b' \"$HOME\"", file.display());
            assert_eq!(run(line).await.unwrap(), "a b|$HOME|age1xyz|");
        }

        #[tokio::test]
        async fn failures_name_the_status_and_nothing_else() {
            let folder = tempfile::tempdir().unwrap();
            let file = script(folder.path(), "fail", "echo hunter2; exit 3");
            let error = run(format!("{} hunter2", file.display())).await.unwrap_err();
            assert_eq!(error, "the command failed: exit status: 3");
            assert!(
                run("/nowhere/hunter2".to_owned())
                    .await
                    .unwrap_err()
                    .contains("could not start")
            );
            assert!(run("'hunter2".to_owned()).await.unwrap_err().contains("quote"));
            assert!(run(" ".to_owned()).await.unwrap_err().contains("empty"));
        }
    }
}
