//! Dependencies: cargo-deny with the rules of `deny.toml`, for bans, licences and sources.
//!
//! The advisory database is fetched from a place that not every machine reaches, so advisories are a task of their own
//! for those who do: `cargo deny check advisories`.

use crate::{Failure, cargo};
use std::path::PathBuf;
use std::process::Command;
use support::peers::cache;

const VERSION: &str = "0.20.2";

/// Runs the three checks.
pub(crate) fn check() -> Result<(), Failure> {
    let mut command = Command::new(program()?);
    command.current_dir(cargo::root()).args([
        "--locked",
        "--all-features",
        "check",
        "bans",
        "licenses",
        "sources",
    ]);
    cargo::succeed(command)?;
    println!("deny: bans, licenses and sources checked; advisories are not part of this check");
    Ok(())
}

/// cargo-deny in the pinned version, from `PATH` or built into the cache folder. It is built without optimisation: that
/// is 2 minutes instead of 5, and it still checks this workspace in a second or two.
fn program() -> Result<PathBuf, Failure> {
    let on_path = Command::new("cargo-deny").arg("--version").output();
    if on_path
        .is_ok_and(|output| String::from_utf8_lossy(&output.stdout).trim() == format!("cargo-deny {VERSION}"))
    {
        return Ok("cargo-deny".into());
    }
    let folder = cache::once(&format!("cargo-deny-{VERSION}"), |folder| {
        println!("deny: building cargo-deny {VERSION}, once for this machine");
        let mut install = cargo::command("install cargo-deny --locked --no-default-features --quiet");
        install
            .args(["--version", VERSION, "--root"])
            .arg(folder)
            .env("CARGO_TARGET_DIR", folder.join("target"))
            .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0")
            .env("CARGO_PROFILE_RELEASE_LTO", "off")
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "256")
            .env("CARGO_PROFILE_RELEASE_DEBUG", "0");
        cargo::succeed(install).map_err(|failure| failure.to_string())?;
        std::fs::remove_dir_all(folder.join("target")).map_err(|error| error.to_string())
    })?;
    Ok(folder.join("bin/cargo-deny"))
}
