//! What git knows of a file: its last committed version, else the staged one.
//!
//! git is run as a program, found in absolute folders of PATH only, with every `GIT_*` variable and our key
//! variables taken away, without optional locks, hooks, filters, textconv, replaced objects or the network.
//! One `git cat-file --batch` serves all files of a repository.
//!
//! # What this does not do
//! It writes nothing and decides nothing about what is ignored.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use secret::SecretBytes;

use crate::error::{Code, Error, Result};
use crate::files::Cap;

/// Where a version comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The last commit.
    Head,
    /// What is staged; only asked where the last commit does not have the file.
    Index,
}

/// A repository's working tree.
pub(crate) struct Repository {
    root: PathBuf,
    reader: Option<Reader>,
}

/// A running `git cat-file --batch`.
struct Reader {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Repository {
    /// The repository that holds `path`, if one does. git is not run for this.
    pub(crate) fn holding(path: &Path) -> Option<Self> {
        let real = match fs::canonicalize(path) {
            Ok(real) => real,
            Err(_) => fs::canonicalize(
                path.parent()
                    .filter(|parent| *parent != "")
                    .unwrap_or(Path::new(".")),
            )
            .ok()?,
        };
        let root = real.ancestors().find(|folder| folder.join(".git").exists())?;
        Some(Self {
            root: root.to_owned(),
            reader: None,
        })
    }

    /// The top folder of the working tree, without links.
    #[cfg(test)]
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The version of `path` in the last commit, else in the index; `None` if git has neither.
    ///
    /// # Errors
    /// Code 1 if there is no git, or it refuses the repository; code 2 if the version is larger than `cap`.
    pub(crate) fn base(&mut self, path: &Path, cap: Cap) -> Result<Option<(Origin, SecretBytes)>> {
        let Some(name) = self.name_of(path)? else {
            return Ok(None);
        };
        for (origin, prefix) in [(Origin::Head, "HEAD:"), (Origin::Index, ":0:")] {
            if let Some(content) = self.blob(prefix, &name, cap).map_err(|error| error.file(path))? {
                return Ok(Some((origin, content)));
            }
        }
        Ok(None)
    }

    /// Files that git tracks although a rule would ignore them, by absolute path.
    ///
    /// # Errors
    /// Code 1 if there is no git, or it refuses the repository.
    pub(crate) fn tracked_though_ignored(&self) -> Result<Vec<PathBuf>> {
        let mut command = command(&self.root)?;
        command.args(["ls-files", "-z", "--cached", "--ignored", "--exclude-standard"]);
        let output = command
            .stdin(Stdio::null())
            .output()
            .map_err(|cause| self.failed().cause(&cause))?;
        if !output.status.success() {
            return Err(self.failed());
        }
        let names = output
            .stdout
            .split(|byte| *byte == 0)
            .filter(|name| !name.is_empty());
        Ok(names
            .map(|name| self.root.join(OsStr::from_bytes(name)))
            .collect())
    }

    /// The name git knows a file by: from the root, links in folders resolved, but not a last link.
    fn name_of(&self, path: &Path) -> Result<Option<OsString>> {
        let parent = path
            .parent()
            .filter(|parent| *parent != "")
            .unwrap_or(Path::new("."));
        let (Ok(folder), Some(last)) = (fs::canonicalize(parent), path.file_name()) else {
            return Ok(None);
        };
        let real = folder.join(last);
        let Ok(name) = real.strip_prefix(&self.root) else {
            return Ok(None);
        };
        if name.as_os_str().as_bytes().contains(&b'\n') {
            return Err(
                Error::new(Code::Read, "git cannot be asked for a name with a line break").file(path),
            );
        }
        Ok(Some(name.as_os_str().to_owned()))
    }

    /// Asks for one object: `<oid> blob <size>\n<bytes>\n`, or `<request> missing\n`.
    fn blob(&mut self, prefix: &str, name: &OsStr, cap: Cap) -> Result<Option<SecretBytes>> {
        let failed = self.failed();
        let reader = self.reader()?;
        let request = [prefix.as_bytes(), name.as_bytes(), b"\n"].concat();
        let mut header = Vec::new();
        let asked = reader
            .requests
            .write_all(&request)
            .and_then(|()| reader.requests.flush());
        asked
            .and_then(|()| reader.answers.read_until(b'\n', &mut header))
            .map_err(|cause| failed.cause(&cause))?;
        let failed = self.failed();
        if header.ends_with(b" missing\n") {
            return Ok(None);
        }
        let words: Vec<_> = str::from_utf8(&header)
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        let [_, kind, size] = words[..] else {
            return Err(failed);
        };
        let Ok(size) = size.parse::<u64>() else {
            return Err(failed);
        };
        if size > cap.limit() {
            // What follows is not read: the next request needs a new reader.
            self.reader = None;
            return Err(Error::new(
                Code::Read,
                "the version that git holds is larger than the limit",
            ));
        }
        let mut content = SecretBytes::new(vec![0; usize::try_from(size).unwrap_or(0) + 1]);
        let reader = self.reader()?;
        reader
            .answers
            .read_exact(content.expose_mut())
            .map_err(|cause| failed.cause(&cause))?;
        content.expose_mut().pop();
        Ok((kind == "blob").then_some(content))
    }

    fn reader(&mut self) -> Result<&mut Reader> {
        let reader = match self.reader.take() {
            Some(reader) => reader,
            None => Reader::start(&self.root)?.ok_or_else(|| self.failed())?,
        };
        Ok(self.reader.insert(reader))
    }

    fn failed(&self) -> Error {
        Error::new(Code::Generic, "git cannot read this repository")
            .file(&self.root)
            .hint("`git status` there says why")
    }
}

impl Reader {
    fn start(root: &Path) -> Result<Option<Self>> {
        let mut command = command(root)?;
        command
            .args(["cat-file", "--batch"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command
            .spawn()
            .map_err(|cause| Error::new(Code::Generic, "git cannot be started").cause(&cause))?;
        let (Some(requests), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Ok(None);
        };
        Ok(Some(Self {
            child,
            requests,
            answers: BufReader::new(answers),
        }))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // It may be in the middle of an answer that nobody reads.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A git command for the repository at `root` that does nothing but read.
fn command(root: &Path) -> Result<Command> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path)
        .filter(|folder| folder.is_absolute())
        .collect();
    let program = key_providers::find_program("git".as_ref(), Some(&path));
    let none =
        || Error::new(Code::Generic, "git is not installed").hint("it is looked for in the folders of PATH");
    let mut command = Command::new(program.ok_or_else(none)?);
    for (name, _) in std::env::vars_os() {
        if name.as_bytes().starts_with(b"GIT_") || key_providers::KEY_VARIABLES.iter().any(|key| name == *key)
        {
            command.env_remove(name);
        }
    }
    if let Ok(folders) = std::env::join_paths(&folders) {
        command.env("PATH", folders);
    }
    command
        .env("GIT_NO_LAZY_FETCH", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("LC_ALL", "C");
    command.args(["--no-optional-locks", "--no-replace-objects", "--no-pager"]);
    command.args(["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"]);
    command.arg("-C").arg(root).stderr(Stdio::null());
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn is_program(path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    }

    struct Tree(tempfile::TempDir);

    impl Tree {
        fn new() -> Self {
            let tree = Self(tempfile::tempdir().expect("a folder"));
            tree.git(&["init", "-q"]);
            tree
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn write(&self, name: &str, content: &str) {
            fs::create_dir_all(self.path(name).parent().expect("a parent")).expect("made");
            fs::write(self.path(name), content).expect("written");
        }

        fn git(&self, arguments: &[&str]) {
            let mut command = command(self.0.path()).expect("git");
            command
                .args(["-c", "user.name=a", "-c", "user.email=a@example.org"])
                .args(arguments);
            assert!(
                command.stdout(Stdio::null()).status().expect("run").success(),
                "{arguments:?}"
            );
        }

        fn base(&self, repository: &mut Repository, name: &str) -> Option<(Origin, Vec<u8>)> {
            let base = repository.base(&self.path(name), Cap::default()).expect("asked");
            base.map(|(origin, content)| (origin, content.expose().to_vec()))
        }
    }

    #[test]
    fn the_last_commit_counts_then_the_index_then_nothing() {
        let tree = Tree::new();
        let mut repository = Repository::holding(&tree.path("a.yaml")).expect("found");
        tree.write("a.yaml", "staged");
        tree.git(&["add", "a.yaml"]);
        // No commit yet.
        assert_eq!(
            tree.base(&mut repository, "a.yaml"),
            Some((Origin::Index, b"staged".to_vec()))
        );
        tree.write("d/b.yaml", "b\n");
        tree.git(&["add", "."]);
        tree.git(&["commit", "-q", "-m", "x"]);
        tree.write("a.yaml", "later");
        tree.git(&["add", "a.yaml"]);
        tree.write("new.yaml", "new");
        assert_eq!(
            tree.base(&mut repository, "a.yaml"),
            Some((Origin::Head, b"staged".to_vec()))
        );
        assert_eq!(
            tree.base(&mut repository, "d/b.yaml"),
            Some((Origin::Head, b"b\n".to_vec()))
        );
        assert_eq!(
            tree.base(&mut repository, "d/../d/b.yaml"),
            Some((Origin::Head, b"b\n".to_vec()))
        );
        assert_eq!(tree.base(&mut repository, "new.yaml"), None);
        assert_eq!(tree.base(&mut repository, "d"), None);
        assert_eq!(tree.base(&mut repository, "none/x.yaml"), None);
    }

    #[test]
    fn names_are_never_options_or_revisions() {
        let tree = Tree::new();
        for name in [
            "-rf.yaml",
            "--help",
            "a:b.yaml",
            "^x.yaml",
            "@{u}.yaml",
            "a b missing",
            "HEAD~1",
            "\u{e4}.yaml",
        ] {
            tree.write(name, name);
        }
        tree.git(&["add", "."]);
        tree.git(&["commit", "-q", "-m", "x"]);
        let mut repository = Repository::holding(tree.0.path()).expect("found");
        for name in [
            "-rf.yaml",
            "--help",
            "a:b.yaml",
            "^x.yaml",
            "@{u}.yaml",
            "a b missing",
            "HEAD~1",
            "\u{e4}.yaml",
        ] {
            assert_eq!(
                tree.base(&mut repository, name),
                Some((Origin::Head, name.as_bytes().to_vec()))
            );
        }
        assert!(repository.base(&tree.path("a\nb"), Cap::default()).is_err());
    }

    #[test]
    fn the_cap_holds_and_the_next_request_still_works() {
        let tree = Tree::new();
        tree.write("big.yaml", &"x".repeat(100_000));
        tree.write("small.yaml", "");
        tree.git(&["add", "."]);
        tree.git(&["commit", "-q", "-m", "x"]);
        let mut repository = Repository::holding(tree.0.path()).expect("found");
        assert!(
            repository
                .base(&tree.path("big.yaml"), Cap::bytes(99_999))
                .is_err()
        );
        assert_eq!(
            tree.base(&mut repository, "small.yaml"),
            Some((Origin::Head, Vec::new()))
        );
        assert_eq!(
            repository
                .base(&tree.path("big.yaml"), Cap::bytes(100_000))
                .expect("read")
                .expect("there")
                .1
                .len(),
            100_000
        );
    }

    #[test]
    fn tracked_files_are_told_although_ignored() {
        let tree = Tree::new();
        tree.write("kept.yaml", "x");
        tree.git(&["add", "."]);
        tree.write(".gitignore", "*.yaml\n");
        tree.write("other.yaml", "x");
        let repository = Repository::holding(tree.0.path()).expect("found");
        let tracked = repository.tracked_though_ignored().expect("asked");
        assert_eq!(tracked, [repository.root().join("kept.yaml")]);
    }

    #[test]
    fn outside_of_a_repository_there_is_none_and_a_broken_one_is_an_error() {
        let dir = tempfile::tempdir().expect("a folder");
        assert!(Repository::holding(&dir.path().join("x")).is_none());
        fs::create_dir(dir.path().join(".git")).expect("made");
        let mut repository = Repository::holding(&dir.path().join("x.yaml")).expect("looks like one");
        assert!(
            repository
                .base(&dir.path().join("x.yaml"), Cap::default())
                .is_err()
        );
        assert!(repository.tracked_though_ignored().is_err());
    }

    #[test]
    fn variables_that_steer_git_or_hold_keys_are_gone() {
        let removed = |command: &Command, wanted: &str| {
            command
                .get_envs()
                .any(|(name, value)| name == wanted && value.is_none())
        };
        let command = command(Path::new("/")).expect("git");
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("GIT_") && text != "GIT_TERMINAL_PROMPT" && text != "GIT_NO_LAZY_FETCH" {
                assert!(removed(&command, &text), "{text}");
            }
        }
        let program = Path::new(command.get_program());
        assert!(program.is_absolute() && is_program(program));
    }
}
