//! Programs built from Go modules with `go install`; Go's checksum database vouches for every module.

use super::{Missing, cache};
use std::path::PathBuf;

/// The program `name` of `package` at `version`, built if need be.
pub(super) fn program(
    peer: &'static str,
    package: &str,
    version: &str,
    name: &str,
) -> Result<PathBuf, Missing> {
    let line = format!("go install {package}@{version} (Go 1.24 or newer)");
    let folder = cache::folder(peer, &line, |folder| {
        let go = cache::on_path("go").ok_or("no `go` on PATH")?;
        let target = format!("{package}@{version}");
        // Without cgo the build is quicker and needs no C compiler.
        let variables = [
            ("GOBIN", folder.as_os_str()),
            ("CGO_ENABLED", "0".as_ref()),
            ("GOFLAGS", "".as_ref()),
        ];
        cache::installer(go, ["install", "-trimpath", &target], &variables, folder).map(drop)
    })?;
    Ok(folder.join(name))
}
