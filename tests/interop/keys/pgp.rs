//! PGP keys: the real gpg with an agent.

use std::path::{Path, PathBuf};

use serde_json::Value;
use support::peers;
use support::run::Tool;

use super::age::ssh_key;
use super::{Key, PLAIN, both_ways, executable, program, seal, sops};
use crate::scene::{Result, Scene, ended};

/// A folder of GnuPG with an agent of its own, which ends with it.
pub(crate) struct GnuPg {
    home: tempfile::TempDir,
    gpg: PathBuf,
}

impl GnuPg {
    /// A folder with short names above it: the agent's socket must fit into 108 bytes.
    pub(crate) fn new() -> Result<Self> {
        let home = tempfile::TempDir::with_prefix("gnupg-")?;
        let gpg = peers::gpg()?;
        Ok(Self { home, gpg })
    }

    fn tool(&self, program: impl Into<PathBuf>) -> Result<Tool> {
        Ok(Tool::new(program)?.env("GNUPGHOME", self.home.path()))
    }

    /// A new key pair for `name`; its fingerprint. Without a passphrase unless one is given.
    pub(crate) fn generate(&self, name: &str, passphrase: &str) -> Result<String> {
        let protection = match passphrase {
            "" => "%no-protection".to_owned(),
            passphrase => format!("Passphrase: {passphrase}"),
        };
        let recipe = format!(
            "Key-Type: eddsa\nKey-Curve: ed25519\nSubkey-Type: ecdh\nSubkey-Curve: cv25519\n\
             Name-Real: {name}\nExpire-Date: 0\n{protection}\n%commit\n"
        );
        let gpg = self.tool(&self.gpg)?;
        let arguments = ["--batch", "--pinentry-mode", "loopback", "--gen-key"];
        gpg.run_with_input(arguments, recipe.as_bytes())?
            .expect_success()?;
        let listed = gpg
            .run(["--with-colons", "--list-keys", name])?
            .expect_success()?;
        let listed = String::from_utf8(listed)?;
        let fingerprint = listed.lines().find_map(|line| line.strip_prefix("fpr:::::::::"));
        Ok(fingerprint
            .ok_or("no fingerprint")?
            .trim_end_matches(':')
            .to_owned())
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    pub(super) fn key(&self, fingerprint: String) -> Key {
        Key {
            flag: "--pgp",
            recipient: fingerprint,
            environment: vec![("GNUPGHOME".into(), self.home.path().into())],
        }
    }

    /// Lets go of every passphrase.
    fn kill_agent(&self) -> Result {
        let gpgconf = self.gpg.with_file_name("gpgconf");
        self.tool(gpgconf)?
            .run(["--kill", "gpg-agent"])?
            .expect_success()?;
        Ok(())
    }
}

impl Drop for GnuPg {
    fn drop(&mut self) {
        // Its own folder goes: an agent that is left would end by itself when it notices.
        drop(self.kill_agent());
    }
}

#[test]
fn pgp_keys() -> Result {
    let scene = Scene::with_identities("{}\n", &[])?;
    let gnupg = GnuPg::new()?;
    let fingerprint = gnupg.generate("Somebody", "")?;
    for sops in sops()? {
        both_ways(&scene, &gnupg.key(fingerprint.clone()), sops)?;
    }
    // The same key by its long ID, as older files have it.
    let long_id = fingerprint[fingerprint.len() - 16..].to_owned();
    both_ways(&scene, &gnupg.key(long_id), peers::sops_3_13()?)?;

    // The entry is written as sops writes it.
    let key = gnupg.key(fingerprint);
    let shape = |tool: &Tool| -> Result<Vec<(String, String)>> {
        let sealed = tool.run(["encrypt", key.flag, &key.recipient, "plain.json"])?;
        let sealed: Value = serde_json::from_slice(&sealed.expect_success()?)?;
        let entry = sealed["sops"]["pgp"][0].as_object().ok_or("no entry")?.clone();
        let enc = entry["enc"].as_str().ok_or("no enc")?;
        let lines: Vec<&str> = enc.split('\n').collect();
        let fields = entry.iter().map(|(name, value)| match name.as_str() {
            "enc" => (
                "enc".to_owned(),
                format!("{} {} {}", lines[0], lines[1], lines[lines.len() - 1]),
            ),
            "created_at" => ("created_at".to_owned(), value.to_string().len().to_string()),
            name => (name.to_owned(), value.to_string()),
        });
        Ok(fields.collect())
    };
    let ours = shape(&program(&scene, seal(), Some(&key))?)?;
    let theirs = shape(&program(&scene, peers::sops_3_11()?, Some(&key))?)?;
    assert_eq!(ours, theirs);
    Ok(())
}

/// A key under a passphrase: opened while the agent knows it, and by the passphrase that a configured gpg is given.
#[test]
fn a_pgp_key_under_a_passphrase() -> Result {
    let scene = Scene::with_identities("{}\n", &[])?;
    let gnupg = GnuPg::new()?;
    let key = gnupg.key(gnupg.generate("Locked", "correct horse")?);
    scene.write("plain.json", PLAIN)?;
    std::fs::remove_file(scene.path(".sops.yaml"))?;
    let seal = program(&scene, seal(), Some(&key))?;
    let sealed = seal.run(["encrypt", "--pgp", &key.recipient, "plain.json"])?;
    scene.write("sealed.json", sealed.expect_success()?)?;
    gnupg.kill_agent()?;

    let locked = seal.run(["decrypt", "sealed.json"])?;
    assert_eq!(locked.code, Some(128), "{}", ended(&locked));
    assert!(
        locked.err().contains("could not ask for the passphrase"),
        "{}",
        locked.err()
    );

    // SOPS_GPG_EXEC names another program, here one that knows the passphrase.
    scene.write(
        "knows",
        format!(
            "#!/bin/sh\nexec '{}' --pinentry-mode loopback --passphrase 'correct horse' \"$@\"\n",
            gnupg.gpg.display()
        ),
    )?;
    let knows = scene.path("knows");
    executable(&knows)?;
    let opened = program(&scene, super::seal(), Some(&key))?
        .env("SOPS_GPG_EXEC", &knows)
        .run(["decrypt", "sealed.json"])?;
    assert_eq!(opened.stdout, PLAIN, "{}", ended(&opened));
    // The agent has it now.
    let opened = seal.run(["decrypt", "sealed.json"])?;
    assert_eq!(opened.stdout, PLAIN, "{}", ended(&opened));
    Ok(())
}

/// LK-09: programs that are started see none of the variables that hold keys; and none is started while an age
/// identity opens the file.
#[test]
fn programs_get_no_key_variables_and_start_only_when_needed() -> Result {
    let scene = Scene::with_identities("{}\n", &[])?;
    let gnupg = GnuPg::new()?;
    let pgp = gnupg.key(gnupg.generate("Somebody", "")?);
    let person = &crate::scene::people()?[0];
    scene.write("plain.json", PLAIN)?;
    std::fs::remove_file(scene.path(".sops.yaml"))?;
    let note = scene.path("environment");
    scene.write(
        "spy",
        format!(
            "#!/bin/sh\nenv >> '{}'\nexec '{}' \"$@\"\n",
            note.display(),
            gnupg.gpg.display()
        ),
    )?;
    executable(&scene.path("spy"))?;
    let spied = |identity: &str| -> Result<Tool> {
        Ok(program(&scene, seal(), Some(&pgp))?
            .env("SOPS_GPG_EXEC", scene.path("spy"))
            .env("SOPS_AGE_KEY", identity)
            .env("SOPS_AGE_SSH_PRIVATE_KEY_CMD", "false"))
    };
    let (right, wrong) = (spied(&person.secret)?, spied(&crate::scene::people()?[1].secret)?);
    let sealed = right.run([
        "encrypt",
        "--age",
        &person.recipient,
        "--pgp",
        &pgp.recipient,
        "plain.json",
    ])?;
    scene.write("sealed.json", sealed.expect_success()?)?;
    let seen = std::fs::read_to_string(&note)?;
    assert!(
        seen.contains("GNUPGHOME=") && !seen.contains("SOPS_AGE_KEY"),
        "{seen}"
    );
    assert!(!seen.contains("SOPS_AGE_SSH_PRIVATE_KEY_CMD"), "{seen}");

    std::fs::remove_file(&note)?;
    assert_eq!(right.run(["decrypt", "sealed.json"])?.stdout, PLAIN);
    assert!(
        !note.exists(),
        "gpg was started though an age identity opens the file"
    );
    let opened = wrong.run(["decrypt", "sealed.json"])?;
    assert_eq!(opened.stdout, PLAIN, "{}", ended(&opened));
    assert!(!std::fs::read_to_string(&note)?.contains("SOPS_AGE_KEY"));
    Ok(())
}

/// A policy that `init` writes names keys of both kinds, and sops understands it.
#[test]
fn a_policy_for_ssh_and_pgp_keys() -> Result {
    let scene = Scene::with_identities("{}\n", &[])?;
    std::fs::remove_file(scene.path(".sops.yaml"))?;
    let (_, ssh) = ssh_key(&scene, "key", &["-t", "ed25519"])?;
    let gnupg = GnuPg::new()?;
    let key = gnupg.key(gnupg.generate("Somebody", "")?);
    let seal = program(&scene, seal(), Some(&key))?;
    let written = seal.run(["init", "--yes", "--age", &ssh, "--pgp", &key.recipient])?;
    assert!(written.success(), "{}", ended(&written));
    scene.write("plain.enc.json", PLAIN)?;
    let recipients = |tool: &Tool| -> Result<Vec<String>> {
        let sealed = tool.run(["encrypt", "plain.enc.json"])?.expect_success()?;
        let sealed: Value = serde_json::from_slice(&sealed)?;
        let named = [
            &sealed["sops"]["age"][0]["recipient"],
            &sealed["sops"]["pgp"][0]["fp"],
        ];
        Ok(named
            .iter()
            .map(|name| name.as_str().unwrap_or_default().to_owned())
            .collect())
    };
    let ours = recipients(&seal)?;
    assert_eq!(ours, [ssh, key.recipient.clone()]);
    assert_eq!(
        recipients(&program(&scene, peers::sops_3_13()?, Some(&key))?)?,
        ours
    );
    Ok(())
}
