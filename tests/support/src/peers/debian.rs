//! Programs that come as Debian packages. They need root to install, so tests only look them up; the one line that
//! installs all that is missing is [`line`], and [`install`] runs it where we are root.

use super::{Missing, cache};
use std::path::PathBuf;
use std::process::Command;

/// Each program and its package.
const PROGRAMS: [(&str, &str); 6] = [
    ("age", "age"),
    ("age-keygen", "age"),
    ("gpg", "gnupg"),
    ("gpgconf", "gnupg"),
    ("ssh-keygen", "openssh-client"),
    ("strace", "strace"),
];

/// The program `name` on `PATH`.
pub(super) fn program(name: &'static str) -> Result<PathBuf, Missing> {
    cache::on_path(name).ok_or_else(|| {
        Missing::new(
            name,
            line().unwrap_or_else(|| format!("apt-get install -y {name}")),
            "not on PATH",
        )
    })
}

/// The newest server of PostgreSQL: Debian keeps them beside each other, none on `PATH`.
pub(super) fn postgres() -> Result<PathBuf, Missing> {
    newest_postgres().ok_or_else(|| {
        let line = line().unwrap_or_else(|| "apt-get install -y postgresql".to_owned());
        Missing::new("postgres", line, "not below /usr/lib/postgresql")
    })
}

fn newest_postgres() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
    let versions = versions.filter_map(|version| version.file_name().to_str()?.parse::<u32>().ok());
    let program = |version: u32| PathBuf::from(format!("/usr/lib/postgresql/{version}/bin/postgres"));
    let mut found: Vec<u32> = versions.filter(|version| program(*version).is_file()).collect();
    found.sort_unstable();
    found.pop().map(program)
}

/// The one line that installs every missing package; `None` if none is missing.
pub fn line() -> Option<String> {
    let packages = missing();
    (!packages.is_empty()).then(|| {
        format!(
            "apt-get install -y --no-install-recommends {}",
            packages.join(" ")
        )
    })
}

/// Installs what is missing, if we are root.
///
/// # Errors
/// [`Missing`] with the line for root to run, if we are not, or with apt-get's own error.
pub fn install() -> Result<(), Missing> {
    let Some(line) = line() else { return Ok(()) };
    if !is_root() {
        return Err(Missing::new("a Debian package", line, "only root can install it"));
    }
    let folder = std::env::temp_dir();
    let quiet = [("DEBIAN_FRONTEND", "noninteractive".as_ref())];
    let apt = |arguments: &[&str]| cache::installer("apt-get", arguments, &quiet, &folder);
    let mut arguments = vec!["install", "-y", "-q", "--no-install-recommends"];
    arguments.extend(missing());
    // A new machine has no package lists yet; one that has them is spared the update.
    apt(&arguments)
        .or_else(|_| apt(&["update", "-q"]).and_then(|_| apt(&arguments)))
        .map(drop)
        .map_err(|cause| Missing::new("a Debian package", line, cause))
}

fn missing() -> Vec<&'static str> {
    let mut packages: Vec<&str> = PROGRAMS
        .iter()
        .filter(|(program, _)| cache::on_path(program).is_none())
        .map(|(_, package)| *package)
        .collect();
    packages.dedup();
    if newest_postgres().is_none() {
        packages.push("postgresql");
    }
    // Debian's Python comes without what makes a virtual environment.
    let python = Command::new("python3")
        .args(["-c", "import venv, ensurepip"])
        .output();
    if !python.is_ok_and(|output| output.status.success()) {
        packages.push("python3-venv");
    }
    packages
}

fn is_root() -> bool {
    Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
