//! The hook that keeps plaintext out of commits.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::error::{Code, Error, Result};
use crate::files::{self, Access, Existing};
use crate::home::home;

/// What the hook does. The second look is for who staged a file and sealed it only then.
pub(super) const TEXT: &str = r#"#!/bin/sh
# Written by `seal init`: no commit of plaintext where the policy wants ciphertext. Needs no key.
git diff --cached --name-only --no-renames --diff-filter=ACM -z -- '*.yaml' '*.yml' '*.json' '*.env' '*.ini' |
  xargs -0 sh -c 'test $# = 0 || seal check --quiet -- "$@"' seal || exit 1
git -c status.renames=false status --porcelain -z --untracked-files=no |
  xargs -0 -n 1 sh -c 'case "$1" in
    [AM][MD]\ *) grep -qs "ENC\[AES256_GCM," "${1#???}" || exit 0
      echo "error: ${1#???}: what is staged is not the sealed file that stands here" >&2
      echo "hint: git add it again, or skip this check with git commit --no-verify" >&2
      exit 1 ;;
  esac' seal || exit 1
"#;

/// The line for a hook that somebody else looks after.
pub(super) const LINE: &str = "seal check";

/// Where the hook belongs.
pub(super) enum Hook {
    /// There is no git repository.
    NoGit,
    /// It is there already.
    There,
    /// It can be written here.
    At(PathBuf),
    /// This looks after hooks.
    Kept(PathBuf),
}

/// Looks for the place of the hook for `folder`.
pub(super) fn find(folder: &Path) -> Hook {
    let Ok(real) = fs::canonicalize(folder) else {
        return Hook::NoGit;
    };
    let Some(root) = real.ancestors().find(|folder| folder.join(".git").exists()) else {
        return Hook::NoGit;
    };
    let git = root.join(".git");
    let hook = git.join("hooks/pre-commit");
    if fs::read(&hook).is_ok_and(|text| memchr::memmem::find(&text, b"seal check").is_some()) {
        return Hook::There;
    }
    let managers = [
        ".pre-commit-config.yaml",
        ".husky",
        "lefthook.yml",
        "lefthook.yaml",
        ".lefthook.yml",
    ];
    let manager = managers
        .iter()
        .map(|name| root.join(name))
        .find(|path| path.exists());
    if let Some(manager) = manager {
        return Hook::Kept(manager);
    }
    if let Some(config) = configs(&git).into_iter().find(|path| sets_hooks_path(path)) {
        return Hook::Kept(config);
    }
    if fs::symlink_metadata(&hook).is_ok() || !git.is_dir() {
        return Hook::Kept(if git.is_dir() { hook } else { git });
    }
    // As the folder was named, if that leads to the same place.
    let short = PathBuf::from(".git/hooks/pre-commit");
    let is_here = folder == Path::new(".") && real == root;
    Hook::At(if is_here { short } else { hook })
}

/// The files that can say where hooks stand.
fn configs(git: &Path) -> Vec<PathBuf> {
    let home = home();
    let config = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
    let config = config.or_else(|| Some(home.as_ref()?.join(".config")));
    let own = home.map(|home| home.join(".gitconfig"));
    let shared = config.map(|config| config.join("git/config"));
    [git.join("config")]
        .into_iter()
        .chain(own)
        .chain(shared)
        .collect()
}

fn sets_hooks_path(config: &Path) -> bool {
    let text = fs::read_to_string(config)
        .unwrap_or_default()
        .to_ascii_lowercase();
    text.lines()
        .any(|line| line.trim_start().starts_with("hookspath"))
}

/// Writes the hook; what is there already stays.
pub(super) fn write(path: &Path) -> Result<()> {
    let failed = |cause: std::io::Error| {
        Error::new(Code::Write, "the hook cannot be written")
            .file(path)
            .cause(&cause)
    };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    files::create_fresh(path, TEXT.as_bytes(), Access::Shared, Existing::Refuse)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(failed)
}
