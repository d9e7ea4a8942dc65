//! The cache folder: peers are installed there once per machine, never inside the checkout.
//!
//! ```text
//! peers/NAME/           one installed peer
//! peers/NAME/.complete  written last: without it the folder is debris of an interrupted installation
//! peers/NAME.lock       held while looking and installing; the kernel lets go of it when the holder dies
//! ```

use super::Missing;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// `$SEALWRIGHT_CACHE`, else `sealwright` in `$XDG_CACHE_HOME` or `~/.cache`.
///
/// # Errors
/// If none of the three variables is set.
pub fn root() -> io::Result<PathBuf> {
    let variable = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    variable("SEALWRIGHT_CACHE")
        .or_else(|| variable("XDG_CACHE_HOME").map(|folder| folder.join("sealwright")))
        .or_else(|| variable("HOME").map(|home| home.join(".cache/sealwright")))
        .ok_or_else(|| {
            io::Error::other("set SEALWRIGHT_CACHE to a folder for tools and peers (HOME is not set)")
        })
}

/// The folder of the peer `name`, filled by `install` if it is not complete yet.
///
/// # Errors
/// What `install` says, or that the folder cannot be written.
pub(super) fn folder(
    name: &'static str,
    line: &str,
    install: impl FnOnce(&Path) -> Result<(), String>,
) -> Result<PathBuf, Missing> {
    once(&name.replace(' ', "-"), install).map_err(|cause| Missing::new(name, line, cause))
}

/// The folder `name` in the cache, filled by `install` if it is not complete yet. Safe to call from many processes.
///
/// # Errors
/// What `install` says, or that the folder cannot be written.
pub fn once(name: &str, install: impl FnOnce(&Path) -> Result<(), String>) -> Result<PathBuf, String> {
    let io = |error: io::Error| error.to_string();
    let peers = root().map_err(io)?.join("peers");
    fs::create_dir_all(&peers).map_err(io)?;
    let folder = peers.join(name);
    let complete = folder.join(".complete");
    if complete.exists() {
        return Ok(folder);
    }
    let lock = File::create(peers.join(format!("{name}.lock"))).map_err(io)?;
    lock.lock().map_err(io)?;
    if !complete.exists() {
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(io)?;
        }
        fs::create_dir(&folder).map_err(io)?;
        install(&folder)?;
        File::create(complete).map_err(io)?;
    }
    Ok(folder)
}

/// Runs an installer. The last lines of what it printed are the error.
pub(super) fn installer<S: AsRef<OsStr>>(
    program: impl AsRef<OsStr>,
    arguments: impl IntoIterator<Item = S>,
    variables: &[(&str, &OsStr)],
    folder: &Path,
) -> Result<Vec<u8>, String> {
    let name = program.as_ref().to_owned();
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(folder)
        .envs(variables.iter().copied());
    let output = command
        .output()
        .map_err(|error| format!("{}: {error}", name.display()))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let mut last: Vec<&str> = text
        .lines()
        .rev()
        .filter(|line| !line.trim().is_empty())
        .take(4)
        .collect();
    last.reverse();
    Err(format!(
        "{}: {}: {}",
        name.display(),
        output.status,
        last.join(" | ")
    ))
}

/// The program `name` on `PATH`.
pub(super) fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installation_happens_once_and_an_interrupted_one_is_repeated() -> Result<(), String> {
        let name = format!("test-{}", std::process::id());
        assert_eq!(once(&name, |_| Err("no".to_owned())), Err("no".to_owned()));
        let folder = once(&name, |folder| {
            fs::write(folder.join("f"), "1").map_err(|error| error.to_string())
        })?;
        assert_eq!(once(&name, |_| Err("asked twice".to_owned())), Ok(folder.clone()));
        fs::remove_file(folder.join(".complete")).map_err(|error| error.to_string())?;
        once(&name, |folder| {
            if folder.join("f").exists() {
                Err("debris".to_owned())
            } else {
                Ok(())
            }
        })?;
        fs::remove_dir_all(&folder).map_err(|error| error.to_string())?;
        fs::remove_file(folder.with_extension("lock")).map_err(|error| error.to_string())
    }
}
