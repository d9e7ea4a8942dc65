//! A configured program that prints identities (`SOPS_AGE_KEY_CMD`).
//!
//! The line is split into words, no shell sees it; the program is looked for in absolute folders of the
//! search path only; it gets none of our own key variables. What it prints on standard error goes to ours,
//! because that is where such programs say what they wait for.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;

use secret::SecretBytes;
use tokio::process::Command;
use zeroize::Zeroizing;

/// Variables that hold identities or lead to them: no child process inherits them from us.
pub const KEY_VARIABLES: [&str; 3] = ["SOPS_AGE_KEY", "SOPS_AGE_KEY_CMD", "SOPS_AGE_SSH_PRIVATE_KEY_CMD"];

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
    /// Runs the program for `recipient` and returns what it printed. Dropping the future ends the program.
    /// An error is a reason that repeats neither the line nor any output.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O enabled.
    pub(crate) async fn run(&self, recipient: &str) -> Result<SecretBytes, String> {
        let line = self.line.to_str().ok_or("the command is not UTF-8 text")?;
        let words = split_words(line)?;
        let (program, arguments) = words.split_first().ok_or("the command is empty")?;
        let program = self.resolve(program)?;
        let mut command = Command::new(program);
        command.args(arguments.iter().map(|word| word.as_str()));
        for name in KEY_VARIABLES {
            command.env_remove(name);
        }
        command.env("SOPS_AGE_RECIPIENT", recipient);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true);
        let child = command
            .spawn()
            .map_err(|error| format!("the command could not start: {}", error.kind()))?;
        let output = child
            .wait_with_output()
            .await
            .map_err(|error| format!("the command could not be followed: {}", error.kind()))?;
        let printed = SecretBytes::new(output.stdout);
        match output.status.success() {
            true => Ok(printed),
            false => Err(format!("the command failed: {}", output.status)),
        }
    }

    /// The program's full name. A name with a separator is taken as it is; relative entries of the search
    /// path are skipped, so that a file in the current folder never runs by accident.
    fn resolve(&self, name: &str) -> Result<PathBuf, String> {
        if name.contains(std::path::is_separator) {
            return Ok(PathBuf::from(name));
        }
        let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
        let folders = self.search_path.iter().flat_map(std::env::split_paths);
        folders
            .filter(|folder| folder.is_absolute())
            .map(|folder| folder.join(&file))
            .find(|candidate| is_executable(candidate))
            .ok_or_else(|| "its program is in no absolute folder of PATH".to_owned())
    }
}

#[cfg(unix)]
fn is_executable(file: &std::path::Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    file.metadata()
        .is_ok_and(|facts| facts.is_file() && facts.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(file: &std::path::Path) -> bool {
    file.is_file()
}

/// Splits as SOPS does: blanks between words; single quotes keep everything; in double quotes and outside a
/// backslash keeps the next character; `#` at the start of a word starts a comment.
fn split_words(line: &str) -> Result<Vec<Zeroizing<String>>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<Zeroizing<String>> = None;
    let mut rest = line.chars();
    while let Some(next) = rest.next() {
        match next {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '#' if word.is_none() => {
                rest.find(|skipped| *skipped == '\n');
            }
            '\\' => word
                .get_or_insert_default()
                .push(rest.next().ok_or("a backslash ends the command")?),
            '\'' | '"' => quoted(next, &mut rest, word.get_or_insert_default())?,
            _ => word.get_or_insert_default().push(next),
        }
    }
    words.extend(word);
    Ok(words)
}

/// Appends what stands up to the closing `quote`.
fn quoted(quote: char, rest: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), &'static str> {
    const UNCLOSED: &str = "a quote in the command is not closed";
    loop {
        match rest.next().ok_or(UNCLOSED)? {
            next if next == quote => return Ok(()),
            '\\' if quote == '"' => word.push(rest.next().ok_or(UNCLOSED)?),
            next => word.push(next),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        split_words(line)
            .unwrap()
            .iter()
            .map(|word| word.to_string())
            .collect()
    }

    #[test]
    fn words_are_split_without_a_shell() {
        assert_eq!(words("  pass  show\tage/key\n"), ["pass", "show", "age/key"]);
        assert_eq!(
            words(r#"a 'b  "c' "d \" e" f\ g"#),
            ["a", "b  \"c", "d \" e", "f g"]
        );
        assert_eq!(words(r#"x"y"'z' "" ''"#), ["xyz", "", ""]);
        assert_eq!(
            words("a $(rm) `x` ; b | c > d ~ *"),
            ["a", "$(rm)", "`x`", ";", "b", "|", "c", ">", "d", "~", "*"]
        );
        assert_eq!(words("a b#c # d\ne"), ["a", "b#c", "e"]);
        assert_eq!(words(""), Vec::<String>::new());
        for broken in ["'a", "\"a", "a\\", "\"a\\"] {
            assert!(split_words(broken).is_err(), "{broken}");
        }
    }

    #[cfg(unix)]
    mod running {
        use super::*;
        use std::os::unix::fs::PermissionsExt as _;

        fn script(folder: &std::path::Path, name: &str, body: &str) -> PathBuf {
            let file = folder.join(name);
            std::fs::write(&file, format!("#!/bin/sh\n{body}\n")).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o700)).unwrap();
            file
        }

        async fn run(line: String, search_path: Option<OsString>) -> Result<String, String> {
            let printed = KeyCommand {
                line: line.into(),
                search_path,
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
            assert_eq!(run(line, None).await.unwrap(), "a b|$HOME|age1xyz|");
        }

        #[tokio::test]
        async fn it_is_found_in_absolute_folders_only() {
            let folder = tempfile::tempdir().unwrap();
            script(folder.path(), "show", "echo found");
            std::fs::write(folder.path().join("plain"), "no program").unwrap();
            let here = std::env::current_dir().unwrap();
            let absolute = folder.path().as_os_str().to_owned();
            // The same folder, seen from here: up to the root, then down.
            let up: PathBuf = here.components().skip(1).map(|_| "..").collect();
            let relative = up.join(folder.path().strip_prefix("/").unwrap());
            assert!(relative.join("show").exists(), "{relative:?}");
            assert_eq!(
                run("show".to_owned(), Some(absolute.clone())).await.unwrap(),
                "found\n"
            );
            for path in [
                None,
                Some(relative.into()),
                Some(OsString::from("")),
                Some(OsString::from(".:")),
            ] {
                assert!(run("show".to_owned(), path).await.is_err());
            }
            assert!(run("plain".to_owned(), Some(absolute)).await.is_err());
        }

        #[tokio::test]
        async fn failures_name_the_status_and_nothing_else() {
            let folder = tempfile::tempdir().unwrap();
            let file = script(folder.path(), "fail", "echo hunter2; exit 3");
            let error = run(format!("{} hunter2", file.display()), None)
                .await
                .unwrap_err();
            assert_eq!(error, "the command failed: exit status: 3");
            assert!(
                run("/nowhere/hunter2".to_owned(), None)
                    .await
                    .unwrap_err()
                    .contains("could not start")
            );
            assert!(
                run("'hunter2".to_owned(), None)
                    .await
                    .unwrap_err()
                    .contains("quote")
            );
            assert!(run(" ".to_owned(), None).await.unwrap_err().contains("empty"));
        }
    }
}
