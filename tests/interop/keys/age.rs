//! age keys: SSH, post-quantum, under a passphrase, through plugins.

use std::ffi::OsString;
use std::path::PathBuf;

use support::peers;
use support::run::Tool;

use super::{Key, PLAIN, both_ways, executable, path_with, program, seal, sops, through_age};
use crate::scene::{Result, Scene, ended};

/// A new SSH key pair: the private key's file and the recipient.
pub(super) fn ssh_key(scene: &Scene, name: &str, arguments: &[&str]) -> Result<(PathBuf, String)> {
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
        let printing = program(&scene, super::seal(), None)?.env(
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

/// `rotate` and `groups` would start the plugin of a recipient that only the file names: they must be allowed to (LK-10).
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
    let add = [
        "groups",
        "add",
        "--file",
        "sealed.json",
        "--age",
        &person.recipient,
    ];
    for line in [
        &add[..],
        &["sops", "rotate", "-i", "sealed.json"],
        &[&["sops"], &add[..]].concat(),
    ] {
        let refused = seal.run(line)?;
        assert!(!refused.success(), "{line:?}");
        assert!(
            refused.err().contains("age-plugin-example"),
            "{line:?}: {}",
            refused.err()
        );
    }
    assert_eq!(scene.read("sealed.json")?, sealed);
    let accepted = seal.run(["rotate", "--accept-recipient", &recipient, "sealed.json"])?;
    assert!(accepted.success(), "{}", ended(&accepted));
    // Neither does opening it.
    let without = program(&scene, super::seal(), None)?.env("SOPS_AGE_KEY", &person.secret);
    assert_eq!(without.run(["decrypt", "sealed.json"])?.stdout, PLAIN);
    Ok(())
}
