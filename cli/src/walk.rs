//! Which files a walk over a tree takes.
//!
//! Taken: regular files that git does not ignore, whose name ends like a document or is wanted by a rule.
//! Left alone: `.git`, `.sops.yaml`, temporary files of our own, links to folders, links that leave the tree,
//! links to a file that is taken by its own name anyway. What is named explicitly is always taken.
//!
//! The order is that of the arguments, and inside a folder by the bytes of the names: the same every time.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ignore::{DirEntry, WalkBuilder};
use rustix::io::Errno;

use crate::error::{Code, Error};
use crate::files;
use crate::policy;

/// The endings of names that are documents. The name `.env` is one too.
const ENDINGS: [&[u8]; 5] = [b".yaml", b".yml", b".json", b".env", b".ini"];

/// A file to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// The path as the user would write it.
    pub(crate) path: PathBuf,
    /// Whether the user named this very file.
    pub(crate) explicit: bool,
}

/// What a walk yields.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    /// The files, in order, none of them twice.
    pub(crate) files: Vec<Found>,
    /// Arguments that name nothing and folders that cannot be read. The rest was walked all the same.
    pub(crate) errors: Vec<Error>,
}

impl Walk {
    /// Walks `paths`, each a file or a folder. `wanted` says of a path whose name is no document's whether a
    /// rule names it; `tracked` are files, by absolute path, that git tracks although it would ignore them.
    pub(crate) fn over(paths: &[PathBuf], wanted: &dyn Fn(&Path) -> bool, tracked: &[PathBuf]) -> Self {
        let mut walk = Self::default();
        // A file that is both named and found below a folder counts as named.
        let mut taken: HashSet<PathBuf> = HashSet::new();
        let named: HashSet<PathBuf> = paths
            .iter()
            .filter(|path| !path.is_dir())
            .filter_map(|path| fs::canonicalize(path).ok())
            .collect();
        for path in paths {
            match fs::metadata(path) {
                Ok(found) if found.is_dir() => {
                    let mut found = below(path, wanted, tracked, &mut walk.errors);
                    found.retain(|(_, real)| !named.contains(real) && taken.insert(real.clone()));
                    walk.files.extend(found.into_iter().map(|(path, _)| Found {
                        path,
                        explicit: false,
                    }));
                }
                Ok(_) => {
                    let real = fs::canonicalize(path).unwrap_or_else(|_| path.clone());
                    if taken.insert(real) {
                        walk.files.push(Found {
                            path: path.clone(),
                            explicit: true,
                        });
                    }
                }
                Err(cause) => walk.errors.push(unreadable(path, &cause)),
            }
        }
        walk
    }

    /// Adds documents that git ignores and `wanted` names, and says which they are: plaintext that is kept out of git is
    /// the source of what is in it.
    pub(crate) fn add_ignored(
        &mut self,
        paths: &[PathBuf],
        wanted: &dyn Fn(&Path) -> bool,
    ) -> HashSet<PathBuf> {
        let known: HashSet<PathBuf> = self.files.iter().map(|found| found.path.clone()).collect();
        let mut added = HashSet::new();
        for root in paths.iter().filter(|path| path.is_dir()) {
            let all = builder(root)
                .git_ignore(false)
                .git_global(false)
                .git_exclude(false)
                .build();
            for entry in all.filter_map(Result::ok) {
                let path = entry.path();
                let shown = path.strip_prefix(".").unwrap_or(path).to_owned();
                let is_file = entry.file_type().is_some_and(|kind| kind.is_file());
                if is_file
                    && is_document(path)
                    && is_candidate(path)
                    && !known.contains(&shown)
                    && wanted(&shown)
                {
                    added.insert(shown);
                }
            }
        }
        let mut found: Vec<PathBuf> = added.iter().cloned().collect();
        found.sort();
        self.files.extend(found.into_iter().map(|path| Found {
            path,
            explicit: false,
        }));
        added
    }
}

/// Whether a file of this name is looked at without a rule that names it.
pub(crate) fn is_document(path: &Path) -> bool {
    let name = path.file_name().map(OsStr::as_encoded_bytes).unwrap_or_default();
    ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// The files below one folder with their real paths, sorted.
fn below(
    root: &Path,
    wanted: &dyn Fn(&Path) -> bool,
    tracked: &[PathBuf],
    errors: &mut Vec<Error>,
) -> Vec<(PathBuf, PathBuf)> {
    let real_root = match fs::canonicalize(root) {
        Ok(real_root) => real_root,
        Err(cause) => {
            errors.push(unreadable(root, &cause));
            return Vec::new();
        }
    };
    let mut found = Vec::new();
    let mut links = Vec::new();
    for entry in entries(root) {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                errors.push(
                    Error::new(Code::Read, "cannot walk the tree")
                        .file(root)
                        .cause(&error),
                );
                continue;
            }
        };
        let path = entry.path();
        let kind = entry.file_type();
        if !is_candidate(path) || !(is_document(path) || wanted(path)) {
            continue;
        }
        let shown = path.strip_prefix(".").unwrap_or(path).to_owned();
        // Folders below the root are not links, so the real path is known without asking.
        let real = path
            .strip_prefix(root)
            .map_or_else(|_| path.to_owned(), |rest| real_root.join(rest));
        if kind.is_some_and(|kind| kind.is_file()) {
            found.push((shown, real));
        } else if kind.is_some_and(|kind| kind.is_symlink()) {
            links.push((shown, real));
        }
    }
    add_tracked(root, &real_root, wanted, tracked, &mut found);
    let known: HashSet<PathBuf> = found.iter().map(|(_, real)| real.clone()).collect();
    for (shown, link) in links {
        let real = match fs::canonicalize(&link) {
            Ok(real) => real,
            Err(cause) => {
                // A link to nothing, to itself or to where we may not look is not of this tree; whatever else
                // fails may hide something.
                let elsewhere = [Errno::NOENT, Errno::NOTDIR, Errno::LOOP, Errno::ACCESS];
                if !Errno::from_io_error(&cause).is_some_and(|errno| elsewhere.contains(&errno)) {
                    errors.push(unreadable(&link, &cause));
                }
                continue;
            }
        };
        let inside = real.starts_with(&real_root) && real.is_file() && is_candidate(&real);
        if inside && !known.contains(&real) {
            found.push((shown, real));
        }
    }
    found.sort();
    found
}

/// Adds what git tracks below the root although a rule would ignore it.
fn add_tracked(
    root: &Path,
    real_root: &Path,
    wanted: &dyn Fn(&Path) -> bool,
    tracked: &[PathBuf],
    found: &mut Vec<(PathBuf, PathBuf)>,
) {
    let known: HashSet<PathBuf> = found.iter().map(|(_, real)| real.clone()).collect();
    for real in tracked {
        let Ok(rest) = real.strip_prefix(real_root) else {
            continue;
        };
        let shown = if root == Path::new(".") {
            rest.to_owned()
        } else {
            root.join(rest)
        };
        let regular = fs::symlink_metadata(real).is_ok_and(|found| found.is_file());
        let candidate = is_candidate(&shown) && (is_document(&shown) || wanted(&shown));
        if regular && candidate && !known.contains(real) {
            found.push((shown, real.clone()));
        }
    }
}

fn entries(root: &Path) -> ignore::Walk {
    builder(root).build()
}

fn builder(root: &Path) -> WalkBuilder {
    let mut builder = WalkBuilder::new(root);
    builder
        .hidden(false) // `.env` is a document
        .ignore(false) // `.ignore` files are another program's
        .follow_links(false)
        .filter_entry(|entry: &DirEntry| entry.depth() == 0 || entry.file_name() != ".git");
    builder
}

fn is_candidate(path: &Path) -> bool {
    path.file_name().is_some_and(|name| {
        name != policy::NAME
            && !files::is_own_temporary(name)
            && !path.components().any(|part| part.as_os_str() == ".git")
    })
}

fn unreadable(path: &Path, cause: &io::Error) -> Error {
    match cause.kind() {
        io::ErrorKind::NotFound => Error::new(Code::NoFile, "no such file or folder").file(path),
        _ => Error::new(Code::Read, "cannot read").file(path).cause(cause),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    struct Tree(tempfile::TempDir);

    impl Tree {
        fn new(files: &[&str]) -> Self {
            let dir = tempfile::tempdir().expect("a folder");
            for file in files {
                let path = dir.path().join(file);
                fs::create_dir_all(path.parent().expect("a parent")).expect("made");
                fs::write(path, "").expect("written");
            }
            Self(dir)
        }

        fn root(&self) -> &Path {
            self.0.path()
        }

        fn walk(&self, paths: &[&str], wanted: &dyn Fn(&Path) -> bool) -> Walk {
            let paths: Vec<_> = paths.iter().map(|path| self.root().join(path)).collect();
            Walk::over(&paths, wanted, &[])
        }

        fn names(&self, walk: &Walk) -> Vec<String> {
            let shown = |found: &Found| {
                found
                    .path
                    .strip_prefix(self.root())
                    .expect("inside")
                    .display()
                    .to_string()
            };
            walk.files.iter().map(shown).collect()
        }
    }

    #[test]
    fn documents_are_taken_in_order_and_nothing_else() {
        let tree = Tree::new(&[
            "b.yml",
            "a.yaml",
            "a/z.json",
            "a.json",
            ".env",
            "prod.env",
            "c.ini",
            "d.txt",
            "e",
            ".sops.yaml",
            "a/.sops.yaml",
            ".git/config.ini",
            "a/.git/x.yaml",
            "Upper.YAML",
            ".seal-tmp-0123456789abcdef0123456789abcdef",
        ]);
        let walk = tree.walk(&["."], &|_| false);
        assert!(walk.errors.is_empty());
        let expected = [
            ".env", "a/z.json", "a.json", "a.yaml", "b.yml", "c.ini", "prod.env",
        ];
        assert_eq!(tree.names(&walk), expected);
        let walk = tree.walk(&["."], &|path| {
            path.ends_with("e") || path.ends_with(".sops.yaml")
        });
        assert!(tree.names(&walk).contains(&"e".to_owned()));
        assert!(!tree.names(&walk).iter().any(|name| name.ends_with(".sops.yaml")));
    }

    #[test]
    fn what_git_ignores_is_left_alone_unless_named_or_tracked() {
        let tree = Tree::new(&[
            ".git/HEAD",
            "a.yaml",
            "local/b.yaml",
            "keep.yaml",
            "sub/c.yaml",
            "sub/d.yaml",
        ]);
        fs::write(tree.root().join(".gitignore"), "local/\nkeep.yaml\n").expect("written");
        fs::write(tree.root().join("sub/.gitignore"), "c.yaml\n").expect("written");
        fs::write(tree.root().join(".ignore"), "a.yaml\n").expect("written");
        assert_eq!(
            tree.names(&tree.walk(&["."], &|_| false)),
            ["a.yaml", "sub/d.yaml"]
        );
        // The rules of the folders above hold below too.
        assert_eq!(tree.names(&tree.walk(&["sub"], &|_| false)), ["sub/d.yaml"]);
        let walk = tree.walk(&["local/b.yaml", "."], &|_| false);
        assert_eq!(tree.names(&walk), ["local/b.yaml", "a.yaml", "sub/d.yaml"]);
        let real = fs::canonicalize(tree.root()).expect("a path");
        let tracked = [
            real.join("keep.yaml"),
            real.join("gone.yaml"),
            PathBuf::from("/etc/passwd"),
        ];
        let walk = Walk::over(&[tree.root().to_owned()], &|_| false, &tracked);
        assert_eq!(tree.names(&walk), ["a.yaml", "keep.yaml", "sub/d.yaml"]);
    }

    #[test]
    fn without_a_repository_no_ignore_file_counts() {
        let tree = Tree::new(&["a.yaml"]);
        fs::write(tree.root().join(".gitignore"), "a.yaml\n").expect("written");
        assert_eq!(tree.names(&tree.walk(&["."], &|_| false)), ["a.yaml"]);
    }

    #[test]
    fn links_are_taken_only_where_they_add_a_file_of_the_tree() {
        let tree = Tree::new(&["in/a.yaml", "in/d/real.txt", "out/b.yaml"]);
        let link = |target: &str, name: &str| symlink(target, tree.root().join(name)).expect("linked");
        link("a.yaml", "in/again.yaml");
        link("d/real.txt", "in/new.yaml");
        link("../out/b.yaml", "in/away.yaml");
        link("../out", "in/outdir");
        link("d", "in/inner");
        link("loop.yaml", "in/loop.yaml");
        link("nowhere", "in/dangling.yaml");
        assert_eq!(
            tree.names(&tree.walk(&["in"], &|_| false)),
            ["in/a.yaml", "in/new.yaml"]
        );
        // Named explicitly, a link may lead anywhere.
        let walk = tree.walk(&["in/away.yaml"], &|_| false);
        assert_eq!(
            (tree.names(&walk), walk.files[0].explicit),
            (vec!["in/away.yaml".to_owned()], true)
        );
    }

    #[test]
    fn nothing_is_taken_twice_and_what_was_named_counts_as_named() {
        let tree = Tree::new(&["d/a.yaml", "d/b.yaml"]);
        let walk = tree.walk(&["d", "d/b.yaml", ".", "d/../d"], &|_| false);
        assert_eq!(tree.names(&walk), ["d/a.yaml", "d/b.yaml"]);
        assert_eq!(
            walk.files.iter().map(|found| found.explicit).collect::<Vec<_>>(),
            [false, true]
        );
    }

    #[test]
    fn an_argument_that_names_nothing_is_an_error_and_the_rest_is_walked() {
        let tree = Tree::new(&["a.yaml"]);
        let walk = tree.walk(&["none", "a.yaml"], &|_| false);
        assert_eq!(tree.names(&walk), ["a.yaml"]);
        assert_eq!(walk.errors.len(), 1);
        assert_eq!(walk.errors[0].code(), Code::NoFile);
    }
}
