//! Programs of others: found in absolute folders only, started without our key variables, never through a shell.
//!
//! A program that is waited for has a time limit and a bound on what it may print, and ends when nobody waits for
//! it any more.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use secret::SecretBytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use zeroize::Zeroizing;

/// Variables that hold identities or lead to them: no child process inherits them from us.
pub const KEY_VARIABLES: [&str; 3] = ["SOPS_AGE_KEY", "SOPS_AGE_KEY_CMD", "SOPS_AGE_SSH_PRIVATE_KEY_CMD"];

/// What one stream of a program may hold, in bytes; a data key takes a few hundred.
const MOST_PRINTED: u64 = 1024 * 1024;

/// A program that ended by itself.
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: SecretBytes,
    /// Empty if it was inherited.
    pub(crate) stderr: SecretBytes,
}

/// Why a program did not end by itself. Repeats nothing that it was given or printed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Start(ErrorKind),
    Follow(ErrorKind),
    Time(Duration),
    TooMuch,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(kind) => write!(f, "could not start: {kind}"),
            Self::Follow(kind) => write!(f, "could not be followed: {kind}"),
            Self::Time(limit) => write!(f, "did not end within {} seconds", limit.as_secs()),
            Self::TooMuch => f.write_str("printed more than a key can be"),
        }
    }
}

/// The full name of the program `name`. One with a separator is taken as it is; relative entries of the search
/// path are skipped, so that a file in the current folder never runs by accident.
pub fn find_program(name: &OsStr, search_path: Option<&OsStr>) -> Option<PathBuf> {
    let path = Path::new(name);
    if path.components().count() > 1 || path.is_absolute() {
        return Some(path.to_owned());
    }
    let mut file = OsString::from(name);
    if path.extension().is_none_or(|extension| !is_suffix(extension)) {
        file.push(std::env::consts::EXE_SUFFIX);
    }
    let folders = search_path.into_iter().flat_map(std::env::split_paths);
    folders
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(&file))
        .find(|candidate| is_executable(candidate))
}

/// Splits as SOPS does: blanks between words; single quotes keep everything; in double quotes and outside a
/// backslash keeps the next character; `#` at the start of a word starts a comment.
///
/// # Errors
/// What is wrong with the line, which is not repeated.
pub fn split_words(line: &str) -> Result<Vec<Zeroizing<String>>, &'static str> {
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

fn is_suffix(extension: &OsStr) -> bool {
    let extension = extension.to_ascii_lowercase();
    extension == std::env::consts::EXE_EXTENSION && !extension.is_empty()
}

/// A command for `program` without our key variables. Dropping its child ends it.
pub(crate) fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    for name in KEY_VARIABLES {
        command.env_remove(name);
    }
    command.kill_on_drop(true);
    command
}

/// Runs `command` with `input` on its standard input and captures its standard output, and its standard error
/// too if it is piped.
///
/// # Panics
/// Outside of a tokio runtime with I/O and time enabled.
pub(crate) async fn run(mut command: Command, input: &[u8], limit: Duration) -> Result<Finished, Fault> {
    command.stdout(Stdio::piped()).stdin(match input {
        [] => Stdio::null(),
        _ => Stdio::piped(),
    });
    let mut child = command.spawn().map_err(|error| Fault::Start(error.kind()))?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let Some(mut stdin) = stdin {
            // A program may end without reading all of it: that is its choice, and its status tells.
            let _ = stdin.write_all(input).await;
        }
    };
    let all = async {
        let ((), stdout, stderr) = tokio::join!(feed, captured(stdout), captured(stderr));
        let (stdout, stderr) = (stdout?, stderr?);
        let status = child.wait().await.map_err(|error| Fault::Follow(error.kind()))?;
        Ok(Finished {
            status,
            stdout,
            stderr,
        })
    };
    tokio::time::timeout(limit, all)
        .await
        .unwrap_or(Err(Fault::Time(limit)))
}

async fn captured(stream: Option<impl AsyncRead + Unpin>) -> Result<SecretBytes, Fault> {
    let mut bytes = SecretBytes::new(Vec::with_capacity(4096));
    if let Some(stream) = stream {
        stream
            .take(MOST_PRINTED + 1)
            .read_to_end(bytes.expose_mut())
            .await
            .map_err(|error| Fault::Follow(error.kind()))?;
    }
    match bytes.len() as u64 > MOST_PRINTED {
        true => Err(Fault::TooMuch),
        false => Ok(bytes),
    }
}

#[cfg(unix)]
fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    file.metadata()
        .is_ok_and(|facts| facts.is_file() && facts.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(file: &Path) -> bool {
    file.is_file()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

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

    fn script(folder: &Path, name: &str, body: &str) -> PathBuf {
        let file = folder.join(name);
        std::fs::write(&file, format!("#!/bin/sh\n{body}\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o700)).unwrap();
        file
    }

    #[test]
    fn programs_are_found_in_absolute_folders_only() {
        let folder = tempfile::tempdir().unwrap();
        let file = script(folder.path(), "show", "");
        std::fs::write(folder.path().join("plain"), "no program").unwrap();
        let here = std::env::current_dir().unwrap();
        // The same folder, seen from here: up to the root, then down.
        let up: PathBuf = here.components().skip(1).map(|_| "..").collect();
        let relative = up.join(folder.path().strip_prefix("/").unwrap());
        assert!(relative.join("show").exists(), "{relative:?}");
        let absolute = folder.path().as_os_str();
        assert_eq!(find_program("show".as_ref(), Some(absolute)), Some(file));
        assert_eq!(find_program("plain".as_ref(), Some(absolute)), None);
        for path in [
            None,
            Some(relative.as_os_str()),
            Some("".as_ref()),
            Some(".:".as_ref()),
        ] {
            assert_eq!(find_program("show".as_ref(), path), None);
        }
        assert_eq!(find_program("./show".as_ref(), None), Some("./show".into()));
    }

    #[tokio::test]
    async fn what_goes_in_and_comes_out_is_whole_and_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let cat = script(folder.path(), "cat", "cat; echo no >&2; exit 3");
        let input = vec![b'x'; 900_000];
        let mut both = command(&cat);
        both.stderr(Stdio::piped());
        let done = run(both, &input, Duration::from_secs(60)).await.ok().unwrap();
        assert_eq!(
            (done.stdout.expose(), done.stderr.expose()),
            (&input[..], &b"no\n"[..])
        );
        assert_eq!(done.status.code(), Some(3));

        let endless = script(
            folder.path(),
            "endless",
            "while :; do echo xxxxxxxxxxxxxxxx; done",
        );
        let fault = run(command(&endless), &[], Duration::from_secs(60)).await.err();
        assert_eq!(fault, Some(Fault::TooMuch));
        let sleeps = script(folder.path(), "sleeps", "exec sleep 600");
        let limit = Duration::from_millis(20);
        let fault = run(command(&sleeps), &[], limit).await.err();
        assert_eq!(fault, Some(Fault::Time(limit)));
        let fault = run(command(Path::new("/nowhere/at/all")), &[], limit).await.err();
        assert_eq!(fault, Some(Fault::Start(ErrorKind::NotFound)));
    }
}
