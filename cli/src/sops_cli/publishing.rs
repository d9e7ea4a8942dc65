//! `publish`.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io::BufRead as _;
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;

use secret_stores::Put;

use super::Session;
use crate::error::{Code, Error, Result};
use crate::files;
use crate::policy::{Policy, absolute};
use crate::publication::{Destination, Publishing};
use crate::rekey::diff_as_sops;

impl Session {
    /// One file after the other, up to the first that fails, as sops does: what was agreed to in between is published.
    pub(super) fn publish(&self) -> Result<ExitCode> {
        let policy = self.bench.rule(Path::new("."))?;
        let (policy, _) = policy.ok_or_else(|| Error::new(Code::Generic, "config file not found"))?;
        let word = self.given.word(0);
        let root = PathBuf::from(word.ok_or_else(|| Error::new(Code::NoFile, "no file specified"))?);
        self.must_exist(&root, Code::Generic)?;
        let is_folder = root.is_dir();
        if is_folder && !self.given.on("recursive") {
            let text = "can't operate on a directory without --recursive flag";
            return Err(Error::new(Code::Generic, text).file(&root));
        }
        let publishing = Publishing::from_env();
        let mut told = HashSet::new();
        if !is_folder {
            let name = root.file_name().unwrap_or_default();
            self.publish_one(&publishing, &policy, (&root, Path::new(name)), &mut told)?;
            return Ok(ExitCode::SUCCESS);
        }
        let root = clean(&root);
        let mut below = Vec::new();
        files_below(&root, &mut below)?;
        for path in below {
            let name = path.strip_prefix(&root).unwrap_or(&path).to_owned();
            self.publish_one(&publishing, &policy, (&path, &name), &mut told)?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn publish_one(
        &self,
        publishing: &Publishing,
        policy: &Policy,
        (path, name): (&Path, &Path),
        told: &mut HashSet<String>,
    ) -> Result<()> {
        let bench = &self.bench;
        let rule = policy.config.destination_for(&path.to_string_lossy());
        let rule = rule
            .ok_or_else(|| Error::new(Code::Generic, "no matching destination found in config").file(path))?;
        let destination = publishing.destination(path, rule, name, self.given.on("omit-extensions"))?;
        destination.warn_of_exposure(bench, told);
        let source = files::read(path, bench.global.max_size)?;
        let format = self.input(path);
        let file = self.sealed(path, format, source)?;
        let recreation = destination.recreation(&file);
        let content = destination.content(bench, path, format, file);
        // sops gives the code of a failed wrapping to nothing but opening.
        let content = content.map_err(|error| match error.code() {
            Code::NoEncryptionKey => error.with_code(Code::Generic),
            _ => error,
        })?;
        if let Some(recreation) = recreation.filter(|recreation| !recreation.changes.is_empty()) {
            let diff = diff_as_sops(&recreation.present, &recreation.wanted);
            let text = format!("The following changes will be made to the file's key groups:\n{diff}");
            files::write_stdout(text.as_bytes())?;
        }
        if !self.given.on("yes") && !self.agreed(path, &destination)? {
            return Ok(());
        }
        let put = destination.put(bench, path, content);
        let put = put.map_err(|error| error.with_code(Code::Generic))?;
        if put == Put::Equal && self.given.on("verbose") {
            bench
                .ui
                .notice(&format!("{} is already up-to-date", destination.place));
        }
        Ok(())
    }

    /// Asks until the answer is `y` or `n`; an answer that is no single word is a failure.
    fn agreed(&self, path: &Path, destination: &Destination) -> Result<bool> {
        let path = absolute(path)?;
        let shown = path.display();
        loop {
            let question = format!("uploading {shown} to {} ? (y/n): ", destination.place);
            files::write_stdout(question.as_bytes())?;
            let mut line = String::new();
            let read = std::io::stdin().lock().read_line(&mut line);
            let words: Vec<&str> = match read {
                Ok(1..) => line.split_whitespace().collect(),
                Ok(_) | Err(_) => return Err(Error::new(Code::Generic, "EOF")),
            };
            match words[..] {
                ["y"] => return Ok(true),
                ["n"] if self.given.on("recursive") => {
                    files::write_stdout(format!("Publication of {shown} canceled\n").as_bytes())?;
                    return Ok(false);
                }
                ["n"] => {
                    return Err(Error::new(
                        Code::Generic,
                        format!("Publication of {shown} canceled"),
                    ));
                }
                [_] => {}
                [] => return Err(Error::new(Code::Generic, "unexpected newline")),
                _ => return Err(Error::new(Code::Generic, "expected newline")),
            }
        }
    }
}

/// Everything below a folder that is no folder itself, by the bytes of names, as Go's `filepath.Walk` has it.
fn files_below(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let unreadable = |cause: std::io::Error| {
        Error::new(Code::Generic, "cannot be read")
            .file(folder)
            .cause(&cause)
    };
    let mut entries = std::fs::read_dir(folder)
        .and_then(Iterator::collect::<std::io::Result<Vec<_>>>)
        .map_err(unreadable)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = match folder == Path::new(".") {
            true => PathBuf::from(entry.file_name()),
            false => folder.join(entry.file_name()),
        };
        match entry.file_type().map_err(unreadable)?.is_dir() {
            true => files_below(&path, found)?,
            false => found.push(path),
        }
    }
    Ok(())
}

/// A path without `.` and without `..` that can be resolved by its text.
fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(clean.components().next_back(), Some(Component::Normal(_))) => {
                clean.pop();
            }
            part => clean.push(part),
        }
    }
    match clean.as_os_str() == OsStr::new("") {
        true => PathBuf::from("."),
        false => clean,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_as_go_cleans_them() {
        for (path, is) in [
            ("./a/./b", "a/b"),
            (".", "."),
            ("a/..", "."),
            ("../a", "../a"),
            ("/a/../b/", "/b"),
        ] {
            assert_eq!(clean(Path::new(path)), Path::new(is));
        }
    }

    #[test]
    fn a_walk_goes_by_the_bytes_of_names() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["b/z", "b/.a", "a.yaml", "c"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            std::fs::write(path, "").expect("written");
        }
        let mut found = Vec::new();
        files_below(folder.path(), &mut found).expect("walked");
        let names: Vec<_> = found
            .iter()
            .map(|path| path.strip_prefix(folder.path()).expect("below"))
            .collect();
        assert_eq!(names, ["a.yaml", "b/.a", "b/z", "c"].map(Path::new));
    }
}
