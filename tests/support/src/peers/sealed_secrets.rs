//! Sealed Secrets: the program `kubeseal`, and two others that know the format and share no code with it.

use super::{Missing, go, npm, pip};
use std::path::PathBuf;

/// The program `kubeseal` 0.36.6, built from its Go module.
///
/// # Errors
/// [`Missing`], if it cannot be built.
pub fn kubeseal() -> Result<PathBuf, Missing> {
    go::program(
        "kubeseal 0.36.6",
        "github.com/bitnami-labs/sealed-secrets/cmd/kubeseal",
        "v0.36.6",
        "kubeseal",
    )
}

/// A Python that can `import kubesealpy`, version 1.0.1: it seals and opens. Without the packages that only its talk to
/// clusters needs.
///
/// # Errors
/// [`Missing`], if it cannot be installed.
pub fn kubesealpy() -> Result<PathBuf, Missing> {
    pip::locked(
        "kubesealpy 1.0.1",
        "kubesealpy==1.0.1",
        include_str!("../../peers/kubesealpy/requirements.txt"),
        "python",
    )
}

/// A folder whose `node_modules` holds the npm package `@linode/kubeseal-encrypt` 1.0.1: it seals single values for a
/// namespace.
///
/// # Errors
/// [`Missing`], if it cannot be installed.
pub fn kubeseal_encrypt() -> Result<PathBuf, Missing> {
    npm::locked(
        "kubeseal-encrypt 1.0.1",
        include_str!("../../peers/kubeseal-encrypt/package.json"),
        include_str!("../../peers/kubeseal-encrypt/package-lock.json"),
    )
}
