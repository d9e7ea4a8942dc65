//! `--verbose`: the same lines as sops', for whoever reads them.
//!
//! Small form and campaign are the same.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use support::moto::Moto;
use support::openbao::{OpenBao, ROOT};
use support::peers;
use support::run::Tool;

use crate::keys::pgp::GnuPg;
use crate::scene::{Result, Scene, ended, people};

const POLICY: &str = "creation_rules:\n  - age: PERSON0\n";

/// Each line of a log as `WHO LEVEL MESSAGE FIELDS`; lines of other shapes are none. Addresses in memory are left out.
fn log(text: &str) -> Vec<String> {
    let line = |line: &str| {
        let (who, rest) = line.strip_prefix('[')?.split_once("]\t time=\"")?;
        let (time, rest) = rest.split_once("\" ")?;
        let form: String = time
            .chars()
            .map(|c| if c.is_ascii_digit() { '0' } else { c })
            .collect();
        let stamp = form.starts_with("0000-00-00T00:00:00");
        let wanted = stamp && !rest.contains("Master keys available");
        wanted.then(|| format!("{who} {rest}"))
    };
    text.lines().filter_map(line).collect()
}

fn programs() -> Result<[(PathBuf, &'static [&'static str]); 3]> {
    Ok([
        (peers::sops_3_11()?, &[]),
        (peers::sops_3_13()?, &[]),
        (env!("CARGO_BIN_EXE_seal").into(), &["sops"]),
    ])
}

/// The lines of every program for every command, the files made anew for each program.
fn compared(scene: &Scene, commands: &[&[&str]], prepare: impl Fn(Tool) -> Tool) -> Result<Vec<Vec<String>>> {
    let files = ["p.yaml", "e.yaml", "two.yaml", "tampered.yaml"];
    let kept: Vec<_> = files
        .iter()
        .map(|name| Ok((name, scene.read(name)?)))
        .collect::<Result<_>>()?;
    let mut all: Vec<Vec<Vec<String>>> = Vec::new();
    for (path, first) in programs()? {
        for (name, bytes) in &kept {
            scene.write(name, bytes)?;
        }
        let _ = std::fs::remove_file(scene.path("fresh.yaml"));
        let tool = prepare(scene.tool(path, &[0])?.first(first));
        let tool = tool.env("EDITOR", "sh -c 'echo more: x >> \"$0\"'");
        let lines = commands.iter().map(|command| {
            let said = tool.run(*command)?.err();
            assert!(!said.contains("hunter2"), "{command:?}: a value: {said}");
            Ok(log(&said))
        });
        all.push(lines.collect::<Result<_>>()?);
    }
    for (name, bytes) in &kept {
        scene.write(name, bytes)?;
    }
    for (at, command) in commands.iter().enumerate() {
        assert_eq!(all[0][at], all[1][at], "{command:?}: the two versions of sops");
        assert_eq!(all[2][at], all[1][at], "{command:?}: seal and sops");
    }
    Ok(all.pop().unwrap_or_default())
}

fn scene() -> Result<Scene> {
    let scene = Scene::with_identities(POLICY, &[0])?;
    let [one, two] = [0, 1].map(|number| people().map(|people| &people[number].recipient));
    let both = format!("{},{}", one?, two?);
    scene.write("p.yaml", "a: hunter2\nl: [x, y]\n")?;
    scene.write("e.yaml", scene.must(&["encrypt", "p.yaml"])?)?;
    scene.write("two.yaml", scene.must(&["encrypt", "--age", &both, "p.yaml"])?)?;
    let sealed = String::from_utf8(scene.read("e.yaml")?)?;
    scene.write("tampered.yaml", sealed.replacen("data:", "data:AAAA", 1))?;
    Ok(scene)
}

#[test]
fn the_form_without_a_command_logs() -> Result {
    let scene = scene()?;
    let two = &people()?[1].recipient;
    let lines = compared(
        &scene,
        &[
            &["--verbose", "-d", "e.yaml"],
            &["--verbose", "-d", "--extract", "[\"l\"][1]", "e.yaml"],
            &["--verbose", "-d", "two.yaml"],
            &["--verbose", "-d", "tampered.yaml"],
            &["--verbose", "-d", "none.yaml"],
            &["--verbose", "-d", "p.yaml"],
            &["--verbose", "-e", "p.yaml"],
            &["--verbose", "-e", "--output", "out.yaml", "p.yaml"],
            &["--verbose", "-e", "-i", "p.yaml"],
            &["--verbose", "-e", "-i", "p.yaml"],
            &["--verbose", "-d", "-i", "p.yaml"],
            &["--verbose", "-r", "e.yaml"],
            &["--verbose", "-r", "-i", "--add-age", two, "e.yaml"],
            &["--verbose", "--set", "[\"a\"] \"v\"", "e.yaml"],
            &["--verbose", "e.yaml"],
            &["--verbose", "fresh.yaml"],
            &["--verbose", "-d", "--keyservice", "unix:///nonexistent", "e.yaml"],
        ],
        |tool| tool,
    )?;
    let opened = [
        "AGE level=info msg=\"Decryption succeeded\"",
        "SOPS level=info msg=\"Data key recovered successfully\"",
        "SOPS level=debug msg=\"Decrypting tree\"",
    ];
    assert_eq!(lines[0], opened);
    assert_eq!(
        lines[1].last().map(String::as_str),
        Some("SOPS level=info msg=\"Truncating tree\" path=\"[l 1]\"")
    );
    assert!(lines[4].is_empty() && lines[5].is_empty());
    assert_eq!(lines[12].len(), 6, "{:?}", lines[12]);
    // Somebody whose keys do not open it.
    let lines = compared(&scene, &[&["--verbose", "-d", "e.yaml"]], |tool| {
        tool.env(
            "SOPS_AGE_KEY",
            people()
                .map(|people| people[1].secret.clone())
                .unwrap_or_default(),
        )
    })?;
    assert_eq!(lines, [["AGE level=info msg=\"Decryption failed\""]]);
    Ok(())
}

/// In front of a command, and without the flag, sops logs nothing of this.
#[test]
fn other_forms_are_silent() -> Result {
    let scene = scene()?;
    let lines = compared(
        &scene,
        &[
            &["--verbose", "decrypt", "e.yaml"],
            &["--verbose", "encrypt", "p.yaml"],
            &["--verbose", "rotate", "e.yaml"],
            &["--verbose", "set", "e.yaml", "[\"a\"]", "1"],
            &["--verbose", "edit", "e.yaml"],
            &["--verbose", "updatekeys", "-y", "two.yaml"],
            &["-d", "e.yaml"],
            &["decrypt", "e.yaml"],
        ],
        |tool| tool,
    )?;
    assert!(lines.iter().all(Vec::is_empty), "{lines:?}");
    Ok(())
}

/// Keys of a server are logged by their names.
#[test]
fn keys_of_a_server() -> Result {
    let server = OpenBao::start()?;
    server.bao(&["secrets", "enable", "-path", "team/sops", "transit"])?;
    server.bao(&["write", "-f", "team/sops/keys/app"])?;
    let scene = scene()?;
    let key = format!("{}/v1/team/sops/keys/app", server.address);
    let other = format!("{}/v1/team/sops/keys/other", server.address);
    let encrypt = ["--verbose", "-e", "-i", "--hc-vault-transit", &key, "p.yaml"];
    let token = |tool: Tool| tool.env("VAULT_TOKEN", ROOT);
    let lines = compared(
        &scene,
        &[
            &encrypt,
            &["--verbose", "-d", "p.yaml"],
            &["--verbose", "-r", "-i", "p.yaml"],
        ],
        token,
    )?;
    assert_eq!(
        lines[0][0],
        "VAULT_TRANSIT level=info msg=\"Encryption successful\" Path=team/sops/encrypt/app"
    );
    let stranger = |tool: Tool| tool.env("VAULT_TOKEN", "wrong");
    let encrypt = ["--verbose", "-e", "--hc-vault-transit", &other, "p.yaml"];
    let lines = compared(&scene, &[&encrypt], stranger)?;
    assert_eq!(
        lines,
        [["VAULT_TRANSIT level=info msg=\"Encryption failed\" Path=team/sops/encrypt/other"]]
    );
    Ok(())
}

#[test]
fn keys_of_aws_and_of_gpg() -> Result {
    let server = Moto::start()?;
    let key = server.key("eu-west-1")?;
    let scene = scene()?;
    let aws = |tool: Tool| {
        tool.env("AWS_ENDPOINT_URL", &server.address)
            .env("AWS_ACCESS_KEY_ID", "x")
            .env("AWS_SECRET_ACCESS_KEY", "x")
    };
    let encrypt = ["--verbose", "-e", "-i", "--kms", &key, "p.yaml"];
    let lines = compared(&scene, &[&encrypt, &["--verbose", "-d", "p.yaml"]], aws)?;
    let said = format!("AWSKMS level=info msg=\"Encryption succeeded\" arn=\"{key}\"");
    assert_eq!(lines[0][0], said);
    let gpg = GnuPg::new()?;
    let fingerprint = gpg.generate("someone", "")?;
    let encrypt = ["--verbose", "-e", "-i", "--pgp", &fingerprint, "p.yaml"];
    let lines = compared(&scene, &[&encrypt, &["--verbose", "-d", "p.yaml"]], |tool| {
        tool.env("GNUPGHOME", gpg.home())
    })?;
    let said = format!("PGP level=info msg=\"Encryption succeeded\" fingerprint={fingerprint}");
    assert_eq!(lines[0][0], said);
    let lines = compared(&scene, &[&encrypt], |tool| tool)?;
    let said = format!("PGP level=info msg=\"Encryption failed\" fingerprint={fingerprint}");
    assert_eq!(lines, [[said]]);
    Ok(())
}

/// A key service logs where it listens and every key that it uses; whoever asks it, where.
#[test]
fn a_key_service() -> Result {
    let scene = scene()?;
    let socket = scene.path("service.sock");
    let socket = socket.to_string_lossy();
    let mut said = Vec::new();
    for (path, first) in programs()? {
        let _ = std::fs::remove_file(&*socket);
        let tool = scene.tool(&path, &[0])?.first(first);
        let arguments = [
            "keyservice",
            "--verbose",
            "--network",
            "unix",
            "--address",
            &socket,
        ];
        let mut service = tool.command(arguments).stderr(Stdio::piped()).spawn()?;
        let start = Instant::now();
        while !std::path::Path::new(&*socket).exists() && start.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let address = format!("unix://{socket}");
        let ask = [
            "--verbose",
            "-d",
            "--enable-local-keyservice=false",
            "--keyservice",
            &address,
            "e.yaml",
        ];
        let asked = scene.tool(&path, &[])?.first(first).run(ask)?;
        assert!(asked.success(), "{path:?}: {}", ended(&asked));
        std::process::Command::new("kill")
            .args(["-TERM", &service.id().to_string()])
            .status()?;
        let mut text = String::new();
        service
            .stderr
            .take()
            .ok_or("no stderr")?
            .read_to_string(&mut text)?;
        service.wait()?;
        // How it ends differs between the versions of sops.
        let service: Vec<String> = log(&text).into_iter().take(2).collect();
        said.push((service, log(&asked.err())));
    }
    assert_eq!(said[0], said[1]);
    assert_eq!(said[2], said[1]);
    let listens = format!("KEYSERVICE level=info msg=\"Listening on unix://{socket}\"");
    assert_eq!(
        said[2].0,
        [listens.as_str(), "AGE level=info msg=\"Decryption succeeded\""]
    );
    assert_eq!(
        said[2].1[0],
        format!("CMD level=info msg=\"Connecting to key service\" address=\"unix://{socket}\"")
    );
    Ok(())
}
