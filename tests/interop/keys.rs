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

/// A new post-quantum identity by age's own key generator.
fn hybrid_key(scene: &Scene) -> Result<(String, String)> {
    let made = scene
        .tool(peers::age_keygen_1_3()?, &[])?
        .run(["-pq"])?
        .expect_success()?;
    let text = String::from_utf8(made)?;
    let identity = text.lines().last().ok_or("no identity")?.to_owned();
    let recipient = text.lines().find_map(|line| line.strip_prefix("# public key: "));
    Ok((identity, recipient.ok_or("no recipient")?.to_owned()))
}

#[test]
fn post_quantum_keys() -> Result {
    let scene = Scene::with_identities("{}\n", &[])?;
    let (identity, recipient) = hybrid_key(&scene)?;
    let key = Key::age(recipient, "SOPS_AGE_KEY", &identity);
    // 3.11.0 has no post-quantum keys.
    both_ways(&scene, &key, peers::sops_3_13()?)?;
    scene.write("identity.txt", &identity)?;
    let file = scene.path("identity.txt");
    through_age(&scene, &key, peers::age_1_3()?, file.to_str().ok_or("not UTF-8")?)?;

    // A program with the manners of age around the npm package.
    scene.write(
        "age.mjs",
        format!(
            "import {{ createRequire }} from 'node:module';
             import {{ readFileSync, writeSync }} from 'node:fs';
             const {{ Encrypter, Decrypter, armor }} =
                 await import(createRequire('{}/').resolve('age-encryption'));
             const [mode] = process.argv.slice(2), input = readFileSync(0);
             if (mode === '-d') {{
                 const age = new Decrypter();
                 age.addIdentity(readFileSync(process.argv[4], 'utf8').trim());
                 writeSync(1, await age.decrypt(armor.decode(input.toString())));
             }} else {{
                 const age = new Encrypter();
                 age.addRecipient(process.argv[4]);
                 writeSync(1, armor.encode(await age.encrypt(new Uint8Array(input))) + '\\n');
             }}",
            peers::age_encryption()?.display()
        ),
    )?;
    scene.write(
        "age-npm",
        format!(
            "#!/bin/sh\nexec node '{}' \"$@\"\n",
            scene.path("age.mjs").display()
        ),
    )?;
    let npm = scene.path("age-npm");
    executable(&npm)?;
    through_age(&scene, &key, npm, file.to_str().ok_or("not UTF-8")?)
}

/// An identity file under a passphrase: the terminal is asked, and without one nothing waits.
#[test]
fn an_identity_file_under_a_passphrase_without_a_terminal() -> Result {
    let scene = Scene::with_identities("{}\n", &[])?;
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/keys/locked");
    let recipient = std::fs::read_to_string(folder.join("recipient.txt"))?;
    scene.write("plain.json", PLAIN)?;
    std::fs::remove_file(scene.path(".sops.yaml"))?;
    let seal = program(&scene, seal(), None)?.env("SOPS_AGE_KEY_FILE", folder.join("identity.age"));
    let sealed = seal.run(["encrypt", "--age", recipient.trim(), "plain.json"])?;
    scene.write("sealed.json", sealed.expect_success()?)?;
    // A session of its own has no terminal, whoever runs the tests.
    let mut arguments: Vec<OsString> = vec![seal.program().into()];
    arguments.extend(["decrypt", "sealed.json"].map(OsString::from));
    let alone = program(&scene, "/usr/bin/setsid".into(), None)?
        .env("SOPS_AGE_KEY_FILE", folder.join("identity.age"))
        .first(["--wait"])
        .run(arguments)?;
    assert_eq!(alone.code, Some(128), "{}", ended(&alone));
    let said = alone.err();
    assert!(said.contains("under a passphrase, and nobody gave one"), "{said}");
    Ok(())
}

/// Runs a program on a terminal of its own and types a line when it asks for a passphrase. What it prints there is
/// printed here.
const ON_A_TERMINAL: &str = "
import os, pty, sys, termios, time
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[2], sys.argv[2:])
shown = b''
while True:
    try:
        read = os.read(terminal, 1024)
    except OSError:
        break
    if not read:
        break
    if b'Passphrase' not in shown and b'Passphrase' in shown + read:
        while termios.tcgetattr(terminal)[3] & termios.ECHO:
            time.sleep(0.001)
        os.write(terminal, sys.argv[1].encode() + b'\\n')
    shown += read
sys.stdout.buffer.write(shown)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
";

#[test]
fn passphrases_are_asked_for_on_the_terminal_and_not_shown() -> Result {
    let scene = Scene::with_identities("{}\n", &[])?;
    let keys = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/keys");
    scene.write("plain.json", PLAIN)?;
    std::fs::remove_file(scene.path(".sops.yaml"))?;
    for (recipient, variable, identity) in [
        ("locked/recipient.txt", "SOPS_AGE_KEY_FILE", "locked/identity.age"),
        ("ssh/rsa.pub", "SOPS_AGE_SSH_PRIVATE_KEY_FILE", "ssh/rsa-locked"),
        (
            "ssh/ed25519.pub",
            "SOPS_AGE_SSH_PRIVATE_KEY_FILE",
            "ssh/ed25519-locked",
        ),
    ] {
        let recipient = std::fs::read_to_string(keys.join(recipient))?;
        let seal = program(&scene, seal(), None)?;
        let sealed = seal.run(["encrypt", "--age", recipient.trim(), "plain.json"])?;
        scene.write("sealed.json", sealed.expect_success()?)?;
        let shown = program(&scene, "/usr/bin/env".into(), None)?
            .env(variable, keys.join(identity))
            .first(["python3", "-c", ON_A_TERMINAL, "correct horse"])
            .run([
                seal.program().as_os_str(),
                "decrypt".as_ref(),
                "--output".as_ref(),
                "out.json".as_ref(),
                "sealed.json".as_ref(),
            ])?;
        assert!(shown.success(), "{identity}: {}{}", shown.out(), ended(&shown));
        assert_eq!(scene.read("out.json")?, PLAIN);
        assert!(
            shown.out().contains("Passphrase for") && !shown.out().contains("correct"),
            "{}",
            shown.out()
        );
        std::fs::remove_file(scene.path("out.json"))?;
    }
    Ok(())
}

/// The plugin that protects nothing, found on `PATH` by `seal`, by sops and by age.
#[test]
fn plugins() -> Result {
    let scene = Scene::with_identities("{}\n", &[])?;
    let example = peers::age_plugin_example();
    let program_of = |argument: &str| -> Result<String> {
        let plugin = Tool::new(example.join("age-plugin-example"))?;
        Ok(
            String::from_utf8(plugin.run([argument, "plain"])?.expect_success()?)?
                .trim()
                .to_owned(),
        )
    };
    let (recipient, identity) = (program_of("--recipient")?, program_of("--identity")?);
    let mut key = Key::age(recipient, "SOPS_AGE_KEY", &identity);
    key.environment.push(("PATH".into(), path_with(&example)?));
    for sops in sops()? {
        both_ways(&scene, &key, sops)?;
    }
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

/// age's own plugin: it opens, with an identity of its kind, what was sealed for a native recipient.
#[test]
fn a_real_plugin_opens_what_is_sealed_for_a_native_recipient() -> Result {
    let scene = Scene::with_identities("{}\n", &[])?;
    let (identity, recipient) = hybrid_key(&scene)?;
    let plugin = peers::age_plugin_pq()?;
    let converted = Tool::new(&plugin)?.run_with_input(["-identity"], identity.as_bytes())?;
    let converted = String::from_utf8(converted.expect_success()?)?;
    let identity = converted.lines().find(|line| line.starts_with("AGE-PLUGIN-PQ-1"));
    let mut key = Key::age(recipient, "SOPS_AGE_KEY", identity.ok_or("no identity")?);
    let folder = plugin.parent().ok_or("no folder")?;
    key.environment.push(("PATH".into(), path_with(folder)?));
    both_ways(&scene, &key, peers::sops_3_13()?)
}

/// `rotate` would start the plugin of a recipient that only the file names: it must be allowed to (LK-10).
#[test]
fn a_recipient_of_a_file_starts_no_plugin_unless_it_is_accepted() -> Result {
    let scene = Scene::with_identities("{}\n", &[])?;
    let person = &crate::scene::people()?[0];
    let example = peers::age_plugin_example();
    let plugin = Tool::new(example.join("age-plugin-example"))?.run(["--recipient", "plain"])?;
    let recipient = String::from_utf8(plugin.expect_success()?)?.trim().to_owned();
    let seal = program(&scene, seal(), None)?
        .env("SOPS_AGE_KEY", &person.secret)
        .env("PATH", path_with(&example)?);
    scene.write("plain.json", PLAIN)?;
    std::fs::remove_file(scene.path(".sops.yaml"))?;
    let both = format!("{},{recipient}", person.recipient);
    let sealed = seal
        .run(["encrypt", "--age", &both, "plain.json"])?
        .expect_success()?;
    scene.write("sealed.json", &sealed)?;
    let refused = seal.run(["rotate", "sealed.json"])?;
    assert_eq!(refused.code, Some(8), "{}", ended(&refused));
    assert!(refused.err().contains("age-plugin-example"), "{}", refused.err());
    assert_eq!(scene.read("sealed.json")?, sealed);
    let accepted = seal.run(["rotate", "--accept-recipient", &recipient, "sealed.json"])?;
    assert!(accepted.success(), "{}", ended(&accepted));
    // Neither does opening it.
    let without = program(&scene, self::seal(), None)?.env("SOPS_AGE_KEY", &person.secret);
    assert_eq!(without.run(["decrypt", "sealed.json"])?.stdout, PLAIN);
    Ok(())
}

/// The search path with one more folder in front.
fn path_with(folder: &std::path::Path) -> Result<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder.to_owned()).chain(std::env::split_paths(&path));
    Ok(std::env::join_paths(folders)?)
}

/// A folder of GnuPG with an agent of its own, which ends with it.
struct GnuPg {
    home: tempfile::TempDir,
    gpg: PathBuf,
}

impl GnuPg {
    /// A folder with short names above it: the agent's socket must fit into 108 bytes.
    fn new() -> Result<Self> {
        let home = tempfile::TempDir::with_prefix("gnupg-")?;
        let gpg = peers::gpg()?;
        Ok(Self { home, gpg })
    }

    fn tool(&self, program: impl Into<PathBuf>) -> Result<Tool> {
        Ok(Tool::new(program)?.env("GNUPGHOME", self.home.path()))
    }

    /// A new key pair for `name`; its fingerprint. Without a passphrase unless one is given.
    fn generate(&self, name: &str, passphrase: &str) -> Result<String> {
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

    fn key(&self, fingerprint: String) -> Key {
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
    let opened = program(&scene, self::seal(), Some(&key))?
        .env("SOPS_GPG_EXEC", &knows)
        .run(["decrypt", "sealed.json"])?;
    assert_eq!(opened.stdout, PLAIN, "{}", ended(&opened));
    // The agent has it now.
    let opened = seal.run(["decrypt", "sealed.json"])?;
    assert_eq!(opened.stdout, PLAIN, "{}", ended(&opened));
    Ok(())
}

fn executable(file: &std::path::Path) -> Result {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(std::fs::set_permissions(
        file,
        std::fs::Permissions::from_mode(0o700),
    )?)
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
