//! Commands that run other programs: editors get the plaintext in memory only, commands get values and no keys, and
//! nothing is left at any end.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::run::{Output, Tool};

use crate::scene::{EVERYTHING, Result, Scene, people};

const PLAIN: &str = "# of the shop\nname: shop\npassword: hunter2 # rotate\nport: 5432\n";

/// A scene with one sealed file.
fn sealed() -> Result<Scene> {
    let scene = Scene::new(EVERYTHING)?;
    scene.write("a.yaml", PLAIN)?;
    scene.must(&["-q", "a.yaml"])?;
    Ok(scene)
}

/// `seal` with this line as the editor.
fn editing(scene: &Scene, editor: &str) -> Result<Tool> {
    let tool = scene.tool(env!("CARGO_BIN_EXE_seal"), &[0, 2])?;
    Ok(tool.dir(scene.folder()).env("SOPS_EDITOR", editor))
}

fn edit(scene: &Scene, editor: &str) -> Result<Output> {
    Ok(editing(scene, editor)?.run(["edit", "a.yaml"])?)
}

/// Folders for plaintext that a program with this number made.
fn private_folders(pid: u32) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/dev/shm")? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.starts_with(&format!("sealwright-private-{pid}-")) {
            found.push(name);
        }
    }
    Ok(found)
}

#[test]
fn an_edit_changes_its_own_lines_and_the_seals() -> Result {
    let scene = sealed()?;
    let before = String::from_utf8(scene.read("a.yaml")?)?;
    assert!(edit(&scene, "sed -i s/hunter2/correct/")?.success());
    assert_eq!(
        scene.must(&["decrypt", "a.yaml"])?,
        PLAIN.replace("hunter2", "correct").as_bytes()
    );
    let after = String::from_utf8(scene.read("a.yaml")?)?;
    let changed = before
        .lines()
        .zip(after.lines())
        .filter(|(before, after)| before != after);
    for (line, _) in changed {
        let name = line.trim_start().split(':').next().unwrap_or_default();
        assert!(
            ["password", "mac", "lastmodified", "integrity"].contains(&name),
            "{line}"
        );
    }
    Ok(())
}

/// The shown block goes again to the last byte, also where a file has no line break at its end.
#[test]
fn an_edit_with_the_block_shown_changes_only_what_was_edited() -> Result {
    let scene = Scene::new(EVERYTHING)?;
    for (name, text) in [
        ("a.yaml", "# top\na: one\nb: |\n  two"),
        ("b.yaml", "a: one\r\n---\r\nb: two\r\n"),
        ("c.yaml", "{a: one}"),
        ("a.json", "{\"a\": \"one\"}"),
        ("a.env", "A=one\nB=two"),
        ("a.ini", "[s]\na = one"),
    ] {
        scene.write(name, text)?;
        scene.must(&["-q", name])?;
        let edited = editing(&scene, "sed -i s/one/three/")?.run(["sops", "edit", "-s", name])?;
        assert!(edited.success(), "{name}: {}", edited.err());
        let opened = String::from_utf8(scene.must(&["decrypt", name])?)?;
        assert_eq!(opened, text.replace("one", "three"), "{name}");
    }
    Ok(())
}

#[test]
fn what_an_editor_does_wrong_changes_nothing() -> Result {
    let scene = sealed()?;
    let before = scene.read("a.yaml")?;
    for (editor, code) in [
        ("true", 200),
        ("false", 201),
        ("no-such-editor", 201),
        ("rm", 2),
        ("truncate -s 0", 92),
        ("sed -i s/name/[/", 2),
        ("sed -i '$a name: twice'", 2),
        ("'", 201),
    ] {
        let output = edit(&scene, editor)?;
        assert_eq!(output.code, Some(code), "{editor}: {}", output.err());
        assert!(!output.err().contains("hunter2"), "{editor}: {}", output.err());
        assert!(scene.read("a.yaml")? == before, "{editor}");
    }
    Ok(())
}

/// LK-09: a program of the folder one stands in never runs because of a relative entry of PATH.
#[test]
fn an_editor_of_the_current_folder_is_not_started() -> Result {
    use std::os::unix::fs::PermissionsExt as _;
    let scene = sealed()?;
    scene.write("here", "#!/bin/sh\ntouch started\n")?;
    std::fs::set_permissions(scene.path("here"), std::fs::Permissions::from_mode(0o755))?;
    let editor = |name: &str| -> Result<Output> {
        let tool = editing(&scene, name)?.env("PATH", ".::/usr/bin:/bin");
        Ok(tool.run(["edit", "a.yaml"])?)
    };
    assert_eq!(editor("here")?.code, Some(201));
    assert!(!scene.path("started").exists());
    // Named with a folder it is what the user typed.
    assert_eq!(editor("./here")?.code, Some(200));
    assert!(scene.path("started").exists());
    Ok(())
}

#[test]
fn a_file_that_changed_meanwhile_is_kept() -> Result {
    let scene = sealed()?;
    // An editor gets no keys: this one has its own.
    scene.write("key", &people()?[0].secret)?;
    let set = format!(
        "{} -q set a.yaml '[\"port\"]' --value-stdin",
        env!("CARGO_BIN_EXE_seal")
    );
    let script = format!("echo 9 | SOPS_AGE_KEY_FILE=key {set}\nsed -i s/hunter2/lost/ \"$1\"\n");
    scene.write("editor", script)?;
    let output = edit(&scene, "sh ./editor")?;
    assert_eq!(output.code, Some(3), "{}", output.err());
    let kept = PLAIN.replace("5432", "9");
    assert_eq!(scene.must(&["decrypt", "a.yaml"])?, kept.as_bytes());
    Ok(())
}

#[test]
fn a_new_file_is_sealed_or_not_made() -> Result {
    let scene = Scene::new(EVERYTHING)?;
    let run = |editor: &str| -> Result<Output> { Ok(editing(&scene, editor)?.run(["edit", "new.env"])?) };
    assert_eq!(run("true")?.code, Some(200));
    assert!(!scene.path("new.env").exists());
    assert!(run("sed -i s/value/secret/")?.success());
    let sealed = String::from_utf8(scene.read("new.env")?)?;
    assert!(sealed.contains("ENC[") && !sealed.contains("secret"), "{sealed}");
    Ok(())
}

/// TERM ends both and leaves nothing; after KILL the next run sweeps.
#[test]
fn no_end_of_an_edit_leaves_plaintext() -> Result {
    for signal in ["TERM", "KILL"] {
        let scene = sealed()?;
        let before = scene.read("a.yaml")?;
        let tool = editing(&scene, "sh -c 'sleep 30' --")?;
        let mut child = tool.command(["edit", "a.yaml"]);
        let mut child = child.stdin(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let start = Instant::now();
        while private_folders(child.id())?.is_empty() {
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "the editor was not started"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        std::thread::sleep(Duration::from_millis(200));
        Command::new("kill")
            .args(["-s", signal, &child.id().to_string()])
            .status()?;
        let status = child.wait()?;
        if signal == "KILL" {
            assert!(!private_folders(child.id())?.is_empty(), "nothing to sweep");
            edit(&scene, "true")?;
        } else {
            assert_eq!(status.code(), Some(85), "{signal}");
        }
        assert!(private_folders(child.id())?.is_empty(), "{signal}");
        assert!(scene.read("a.yaml")? == before, "{signal}");
    }
    Ok(())
}

#[test]
fn values_are_variables_and_keys_are_not() -> Result {
    let scene = sealed()?;
    let out = scene.must(&[
        "exec-env",
        "a.yaml",
        "echo \"$name $password $port ${SOPS_AGE_KEY:-none}\"",
    ])?;
    assert_eq!(String::from_utf8(out)?, "shop hunter2 5432 none\n");
    assert_eq!(scene.seal(&["exec-env", "a.yaml", "exit 7"])?.code, Some(7));
    assert_eq!(scene.seal(&["exec-env", "a.yaml", "kill -9 $$"])?.code, Some(137));
    let out = scene.must(&["exec-env", "--pristine", "a.yaml", "echo ${HOME:-none} $name"])?;
    assert_eq!(String::from_utf8(out)?, "none shop\n");
    let out = scene.must(&["exec-env", "--same-process", "a.yaml", "echo $port"])?;
    assert_eq!(String::from_utf8(out)?, "5432\n");
    scene.write("nested.yaml", "a:\n  b: hunter2\n")?;
    scene.must(&["-q", "nested.yaml"])?;
    let refused = scene.seal(&["exec-env", "nested.yaml", "true"])?;
    assert_eq!(refused.code, Some(1));
    assert!(refused.err().contains("nested.yaml: a:") && !refused.err().contains("hunter2"));
    Ok(())
}

#[test]
fn a_command_reads_the_opened_file_from_memory() -> Result {
    let scene = sealed()?;
    assert_eq!(scene.must(&["exec-file", "a.yaml", "cat {}"])?, PLAIN.as_bytes());
    let twice = scene.must(&["exec-file", "--no-fifo", "a.yaml", "cat {} {}"])?;
    assert_eq!(twice, PLAIN.repeat(2).as_bytes());
    let named = scene.must(&[
        "exec-file",
        "--filename",
        "x.yaml",
        "a.yaml",
        "basename {}; dirname {} | cut -d/ -f2,3",
    ])?;
    let named = String::from_utf8(named)?;
    assert!(named.starts_with("x.yaml\n"), "{named}");
    assert_eq!(scene.seal(&["exec-file", "a.yaml", "exit 9"])?.code, Some(9));
    assert_eq!(
        scene
            .seal(&["exec-file", "--filename", "../x", "a.yaml", "true"])?
            .code,
        Some(1)
    );
    Ok(())
}

#[test]
fn recipients_follow_the_policy_and_groups_need_their_quorum() -> Result {
    let scene = sealed()?;
    let open = |holder: usize| -> Result<bool> {
        let tool = scene.tool(env!("CARGO_BIN_EXE_seal"), &[holder])?;
        Ok(tool.dir(scene.folder()).run(["decrypt", "a.yaml"])?.success())
    };
    assert!(open(0)? && !open(1)?);
    let [zero, one] = [0, 1].map(|number| people().map(|people| people[number].recipient.clone()));
    let (zero, one) = (zero?, one?);
    let policy = |keys: &str| {
        scene.write(
            ".sops.yaml",
            format!("creation_rules:\n  - path_regex: .\n    age: {keys}\n"),
        )
    };
    policy(&format!("{zero},{one}"))?;
    let asked = scene.seal(&["updatekeys", "a.yaml"])?;
    assert_eq!(asked.code, Some(1));
    assert!(asked.out().contains(&format!("+ {one}")) && !open(1)?);
    scene.must(&["updatekeys", "--yes", "a.yaml"])?;
    assert!(open(0)? && open(1)?);
    policy(&zero)?;
    let told = String::from_utf8(scene.must(&["updatekeys", "--yes", "a.yaml"])?)?;
    assert!(told.contains(&format!("- {one}")), "{told}");
    assert!(open(0)? && !open(1)?);
    assert!(String::from_utf8(scene.must(&["updatekeys", "--yes", "a.yaml"])?)?.contains("in order"));
    // Nobody else's change of the block is carried on.
    let text = String::from_utf8(scene.read("a.yaml")?)?;
    scene.write(
        "b.yaml",
        text.replace("unencrypted_suffix: _unencrypted", "unencrypted_suffix: _changed"),
    )?;
    policy(&format!("{zero},{one}"))?;
    assert_eq!(scene.seal(&["updatekeys", "--yes", "b.yaml"])?.code, Some(51));

    scene.must(&["groups", "add", "--file", "a.yaml", "--age", &one])?;
    assert!(!open(0)? && !open(1)?);
    let delete = [
        "groups",
        "delete",
        "--file",
        "a.yaml",
        "0",
        "--shamir-secret-sharing-threshold",
        "1",
    ];
    assert_eq!(scene.seal(&delete[..5])?.code, Some(1));
    assert_eq!(scene.seal(&delete)?.code, Some(128));
    let both = scene
        .tool(env!("CARGO_BIN_EXE_seal"), &[0, 1])?
        .dir(scene.folder());
    assert_eq!(
        both.run(["decrypt", "a.yaml"])?.expect_success()?,
        PLAIN.as_bytes()
    );
    both.run(delete)?.expect_success()?;
    assert!(!open(0)? && open(1)?);
    Ok(())
}
