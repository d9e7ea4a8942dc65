//! Every kind of key: what `seal` seals for it the other programs open, and the other way round.
//!
//! Small form and campaign are the same; every case is a few runs of programs.

use std::ffi::OsString;
use std::path::PathBuf;

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

fn seal() -> PathBuf {
    env!("CARGO_BIN_EXE_seal").into()
}

/// Both directions between `seal` and `other`, and that nobody opens anything without the key.
fn both_ways(scene: &Scene, key: &Key, other: PathBuf) -> Result {
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
        let stranger = program(scene, seal(), None)?.run(["decrypt", "sealed.json"])?;
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

fn sops() -> Result<[PathBuf; 2]> {
    Ok([peers::sops_3_11()?, peers::sops_3_13()?])
}

/// A new SSH key pair: the private key's file and the recipient.
fn ssh_key(scene: &Scene, name: &str, arguments: &[&str]) -> Result<(PathBuf, String)> {
    let path = scene.path(name);
    let file = path.to_str().ok_or("the folder is not UTF-8")?;
    let keygen = scene.tool(peers::ssh_keygen()?, &[])?;
    let made = keygen.run([&["-q", "-N", "", "-C", "somebody@here", "-f", file], arguments].concat())?;
    made.expect_success()?;
    let public = std::fs::read_to_string(path.with_extension("pub"))?;
    Ok((path, public.trim().to_owned()))
}

#[test]
fn ssh_keys() -> Result {
    let scene = Scene::with_identities("{}\n", &[])?;
    for (name, arguments) in [
        ("ed25519", &["-t", "ed25519"][..]),
        ("rsa", &["-t", "rsa", "-b", "2048"]),
        ("rsa-3072-pem", &["-t", "rsa", "-b", "3072", "-m", "PEM"]),
        ("rsa-4096-pkcs8", &["-t", "rsa", "-b", "4096", "-m", "PKCS8"]),
    ] {
        let (file, recipient) = ssh_key(&scene, name, arguments)?;
        let key = Key::age(recipient, "SOPS_AGE_SSH_PRIVATE_KEY_FILE", &file);
        for sops in sops()? {
            both_ways(&scene, &key, sops)?;
        }
        through_age(&scene, &key, peers::age()?, file.to_str().ok_or("not UTF-8")?)?;
    }
    Ok(())
}

/// Where sops looks without being told, and the program that may print a key.
#[test]
fn ssh_keys_are_found_where_sops_finds_them() -> Result {
    let scene = Scene::with_identities("{}\n", &[])?;
    scene.write("plain.json", PLAIN)?;
    std::fs::remove_file(scene.path(".sops.yaml"))?;
    for (name, arguments) in [("id_ed25519", ["-t", "ed25519"]), ("id_rsa", ["-t", "rsa"])] {
        let (file, recipient) = ssh_key(&scene, name, &arguments)?;
        let seal = program(&scene, seal(), None)?;
        let sealed = seal.run(["encrypt", "--age", &recipient, "plain.json"])?;
        scene.write("sealed.json", sealed.expect_success()?)?;
        let opens =
            |tool: &Tool| -> Result<bool> { Ok(tool.run(["decrypt", "sealed.json"])?.stdout == PLAIN) };
        assert!(!opens(&seal)?, "{name} is nowhere yet");
        let printing = program(&scene, self::seal(), None)?.env(
            "SOPS_AGE_SSH_PRIVATE_KEY_CMD",
            format!("cat '{}'", file.display()),
        );
        assert!(opens(&printing)?, "{name} printed by a program");
        let home = seal.home().join(".ssh");
        std::fs::create_dir_all(&home)?;
        std::fs::copy(&file, home.join(name))?;
        assert!(opens(&seal)?, "{name} in the home folder");
    }
    Ok(())
}
