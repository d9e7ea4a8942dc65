//! Programs as they are released: on Linux without any shared library and at a fixed address. Where the C library is GNU's, a
//! program that links it at build time starts in four fifths of the time, and runs whatever libraries a system has. One that
//! needs no relocation saves another sixth: all tables of the clouds' libraries would be written to before `main` begins.

use crate::{Failure, cargo};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds `seal` and says where it is.
pub(crate) fn run() -> Result<(), Failure> {
    println!("{}", build("--package seal", "seal")?.display());
    Ok(())
}

/// Builds what `selection` names, and says where `program` of it stands below the release folder.
pub(crate) fn build(selection: &str, program: &str) -> Result<PathBuf, Failure> {
    let host = host()?;
    let mut command = cargo::command(&format!(
        "build --release --locked --quiet --target {host} {selection}"
    ));
    if host.ends_with("-linux-gnu") {
        let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
        command.env(
            "RUSTFLAGS",
            format!("{flags} -C target-feature=+crt-static -C relocation-model=static"),
        );
    }
    cargo::succeed(command)?;
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| cargo::root().join("target"), PathBuf::from);
    let program = target.join(host).join("release").join(program);
    write_anew(&program)?;
    Ok(program)
}

/// Puts a copy in the place of the file, as installing it would. What a linker writes piece by piece lies in the page cache
/// in small pieces as well, and starts a third slower until it is read from the disk again.
fn write_anew(program: &Path) -> Result<(), Failure> {
    let copy = program.with_extension("new");
    fs::copy(program, &copy)?;
    Ok(fs::rename(&copy, program)?)
}

/// What this machine is to the compiler.
pub(crate) fn host() -> Result<String, Failure> {
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(compiler).arg("-vV").output()?;
    let text = String::from_utf8(output.stdout)?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.ok_or("rustc -vV names no host")?.to_owned())
}
