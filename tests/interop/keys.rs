//! Every kind of key: what `seal` seals for it the other programs open, and the other way round.
//!
//! Small form and campaign are the same; every case is a few runs of programs.

mod age;
mod aws;
mod azure;
mod gcp;
pub(super) mod pgp;
mod service;
mod tls_faults;
mod vault;
mod vault_faults;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde_json::Value;
use support::peers;
use support::run::Tool;

use crate::scene::{Result, Scene, ended};

const PLAIN: &[u8] = b"{\n\t\"a\": \"hunter2\",\n\t\"b\": [\n\t\t1\n\t]\n}\n";

/// A key pair of some kind, and what its holder has to say to programs.
struct Key {
    /// The flag that names its kind, and the recipient.
    flag: &'static str,
    recipient: String,
    /// The environment of its holder.
    environment: Vec<(OsString, OsString)>,
}

impl Key {
    fn age(recipient: String, variable: &str, value: impl Into<OsString>) -> Self {
        Self {
            flag: "--age",
            recipient,
            environment: vec![(variable.into(), value.into())],
        }
    }
}

/// A program: `seal` or a version of sops.
fn program(scene: &Scene, path: PathBuf, holder: Option<&Key>) -> Result<Tool> {
    let mut tool = scene.tool(path, &[])?;
    for (name, value) in holder.into_iter().flat_map(|key| &key.environment) {
        tool = tool.env(name, value);
    }
    Ok(tool)
}

pub(crate) fn seal() -> PathBuf {
    env!("CARGO_BIN_EXE_seal").into()
}

/// Both directions between `seal` and `other`, and that nobody opens anything without the key.
fn both_ways(scene: &Scene, key: &Key, other: PathBuf) -> Result {
    exchange(scene, key, &[], other)
}

/// As [`both_ways`], for a kind of key whose service is there for somebody without the key, too.
fn exchange(scene: &Scene, key: &Key, stranger: &[(OsString, OsString)], other: PathBuf) -> Result {
    scene.write("plain.json", PLAIN)?;
    std::fs::remove_file(scene.path(".sops.yaml")).ok();
    for (from, to) in [(seal(), other.clone()), (other, seal())] {
        let sealed =
            program(scene, from, Some(key))?.run(["encrypt", key.flag, &key.recipient, "plain.json"])?;
        scene.write("sealed.json", sealed.expect_success()?)?;
        let opened = program(scene, to.clone(), Some(key))?.run(["decrypt", "sealed.json"])?;
        if opened.stdout != PLAIN {
            return Err(format!("{}: {}: {}", key.recipient, to.display(), ended(&opened)).into());
        }
        let mut nobody = program(scene, seal(), None)?;
        for (name, value) in stranger {
            nobody = nobody.env(name, value);
        }
        let stranger = nobody.run(["decrypt", "sealed.json"])?;
        if stranger.code != Some(128) || !stranger.stdout.is_empty() {
            return Err(format!("{}: without the key: {}", key.recipient, ended(&stranger)).into());
        }
    }
    Ok(())
}

/// The wrapped data key of a sealed JSON file, with an age program in between: it opens what `seal` wrapped, and `seal`
/// opens what it wraps.
fn through_age(scene: &Scene, key: &Key, age: PathBuf, identity: &str) -> Result {
    scene.write("plain.json", PLAIN)?;
    let seal = program(scene, seal(), Some(key))?;
    let sealed = seal.run(["encrypt", "--age", &key.recipient, "plain.json"])?;
    let sealed = String::from_utf8(sealed.expect_success()?)?;
    let enc = &serde_json::from_str::<Value>(&sealed)?["sops"]["age"][0]["enc"];
    let wrapped = enc.as_str().ok_or("no enc")?;
    let age = program(scene, age, None)?;
    let data_key = age
        .run_with_input(["-d", "-i", identity], wrapped.as_bytes())?
        .expect_success()?;
    if data_key.len() != 32 {
        return Err(format!("{}: age finds {} bytes", key.recipient, data_key.len()).into());
    }
    let again = age.run_with_input(["-a", "-r", &key.recipient], &data_key)?;
    let again = Value::from(String::from_utf8(again.expect_success()?)?);
    scene.write(
        "sealed.json",
        sealed.replace(&enc.to_string(), &again.to_string()),
    )?;
    let opened = seal.run(["decrypt", "--ignore-mac", "sealed.json"])?;
    match opened.stdout == PLAIN {
        true => Ok(()),
        false => Err(format!("{}: what age wrapped: {}", key.recipient, ended(&opened)).into()),
    }
}

pub(crate) fn sops() -> Result<[PathBuf; 2]> {
    Ok([peers::sops_3_11()?, peers::sops_3_13()?])
}

fn executable(file: &Path) -> Result {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(std::fs::set_permissions(
        file,
        std::fs::Permissions::from_mode(0o700),
    )?)
}

/// The search path with one more folder in front.
fn path_with(folder: &Path) -> Result<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder.to_owned()).chain(std::env::split_paths(&path));
    Ok(std::env::join_paths(folders)?)
}
