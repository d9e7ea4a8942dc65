//! The lock on a file (CC-04), and what comes between the look at a file and the lock on it.

use std::fs::{self, File};
use std::io::Write as _;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use support::run::{Output, Tool};
use support::strace::{Fault, Injection, Sweep};

use crate::scene::{EVERYTHING, Result, Scene, ended, people};

/// One recipient more than [`EVERYTHING`] names.
const MORE: &str = "creation_rules:\n  - path_regex: .\n    age: PERSON0,PERSON1\n";

/// Waits until `child` waits for a lock.
fn await_waiting(child: &Child) -> Result {
    let start = Instant::now();
    // `1: -> FLOCK  ADVISORY  WRITE 4711 fd:01:4242 0 EOF`
    let waits = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.get(1..3) == Some(&["->", "FLOCK"]) && words.get(5) == Some(&child.id().to_string().as_str())
    };
    while !fs::read_to_string("/proc/locks")?.lines().any(waits) {
        if start.elapsed() > Duration::from_secs(30) {
            return Err("nobody waits for the lock".into());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

fn collect(child: Child) -> Result<Output> {
    let output = child.wait_with_output()?;
    Ok(Output {
        code: output.status.code(),
        signal: None,
        stdout: output.stdout,
        stderr: output.stderr,
    })
}

/// Starts a command with `input`, and leaves it.
fn begin(tool: &Tool, arguments: &[&str], input: &[u8]) -> Result<Child> {
    let mut command = tool.command(arguments);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn()?;
    child.stdin.take().ok_or("no input")?.write_all(input)?;
    Ok(child)
}

/// `seal`, whose keys come from a script that runs while the file is locked.
fn with_key_script(scene: &Scene, script: &str) -> Result<Tool> {
    scene.write("key", &people()?[0].secret)?;
    let seal = env!("CARGO_BIN_EXE_seal");
    let seal = format!("seal() {{ env -u SOPS_AGE_KEY_CMD SOPS_AGE_KEY_FILE=key '{seal}' -q \"$@\"; }}\n");
    scene.write("script", format!("{seal}{script}\ncat key\n"))?;
    let tool = scene.tool(env!("CARGO_BIN_EXE_seal"), &[])?;
    Ok(tool.dir(scene.folder()).env("SOPS_AGE_KEY_CMD", "sh ./script"))
}

fn sealed(content: &str) -> Result<Scene> {
    let scene = Scene::new(EVERYTHING)?;
    scene.write("a.yaml", content)?;
    scene.must(&["-q", "a.yaml"])?;
    Ok(scene)
}

/// CC-04: the lock is the process's own. It goes with it, even if a program that it started lives on.
#[test]
fn the_lock_of_a_killed_writer_is_free_at_once() -> Result {
    let scene = sealed("a: 1\nb: 2\n")?;
    let holder = with_key_script(
        &scene,
        "echo $$ > started.new; mv started.new started; exec sleep 30",
    )?;
    let set = |key| ["-q", "set", "a.yaml", key, "--value-stdin"];
    let mut holder = begin(&holder, &set("[\"a\"]"), b"7")?;
    let start = Instant::now();
    while !scene.path("started").exists() {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "the holder did not start"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
    let tool = scene.tool(env!("CARGO_BIN_EXE_seal"), &[0])?.dir(scene.folder());
    let mut waiter = begin(&tool, &set("[\"b\"]"), b"8")?;
    await_waiting(&waiter)?;
    assert!(waiter.try_wait()?.is_none(), "it did not wait");
    holder.kill()?;
    let start = Instant::now();
    let output = collect(waiter)?;
    let took = start.elapsed();
    holder.wait()?;
    let pid: i32 = fs::read_to_string(scene.path("started"))?.trim().parse()?;
    let sleeper = rustix::process::Pid::from_raw(pid).ok_or("no process")?;
    rustix::process::kill_process(sleeper, rustix::process::Signal::KILL)?;
    assert!(output.success(), "{}", ended(&output));
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(scene.must(&["decrypt", "a.yaml"])?, b"a: 1\nb: 8\n");
    Ok(())
}

/// CC-04: on a file system without locks who was faster is seen by comparing, and nothing of it is written over.
#[test]
fn without_locks_the_faster_writer_is_noticed() -> Result {
    let scene = sealed("a: 1\nb: 2\n")?;
    let quick = "echo 8 | seal set a.yaml '[\"b\"]' --value-stdin || exit 9; cp a.yaml kept";
    let slow = with_key_script(&scene, quick)?;
    scene.write("value", "7")?;
    let fault = Fault::Lasting("ENOLCK");
    let injection = Injection {
        call: "flock".to_owned(),
        index: 1,
        fault,
    };
    let arguments = ["set", "a.yaml", "[\"a\"]", "--value-file", "value"].map(Into::into);
    let output = Sweep::new(fault, ["flock"])?.inject(&injection, &slow, &arguments)?;
    let output = output.ok_or("it locked nothing")?;
    assert_eq!(output.code, Some(3), "{}", ended(&output));
    assert!(output.err().contains("changed on disk"), "{}", output.err());
    assert!(scene.read("a.yaml")? == scene.read("kept")?);
    assert_eq!(scene.must(&["decrypt", "a.yaml"])?, b"a: 1\nb: 8\n");
    // And without anyone else it is written.
    let alone = scene.tool(env!("CARGO_BIN_EXE_seal"), &[0])?.dir(scene.folder());
    let output = Sweep::new(fault, ["flock"])?.inject(&injection, &alone, &arguments)?;
    assert!(output.is_some_and(|output| output.success()));
    assert_eq!(scene.must(&["decrypt", "a.yaml"])?, b"a: 7\nb: 8\n");
    Ok(())
}

/// Runs `seal` on `a.yaml`, and when it has looked at the file and waits for the lock, puts what `other` makes of the
/// file in its place.
fn meanwhile(scene: &Scene, arguments: &[&str], other: impl FnOnce(&Scene) -> Result) -> Result<Output> {
    let name = arguments.last().ok_or("no file")?;
    let path = scene.path(name);
    let held = File::open(&path)?;
    flock(&held, FlockOperation::LockExclusive)?;
    let tool = scene.tool(env!("CARGO_BIN_EXE_seal"), &[0])?.dir(scene.folder());
    let child = begin(&tool, arguments, b"")?;
    await_waiting(&child)?;
    // A copy, because the file itself is locked.
    let before = scene.path("before");
    fs::rename(&path, &before)?;
    fs::copy(&before, &path)?;
    other(scene)?;
    fs::copy(&path, scene.path("kept"))?;
    drop(held);
    collect(child)
}

/// Two runs of `seal` on one plaintext seal it once: also a binary one, which could be sealed again.
#[test]
fn what_another_run_has_sealed_meanwhile_is_not_sealed_again() -> Result {
    for (name, content) in [("a.yaml", "a: 1\n"), ("a.bin", "plain\n")] {
        let scene = Scene::new(EVERYTHING)?;
        scene.write(name, content)?;
        let output = meanwhile(&scene, &["-q", name], |scene| {
            scene.must(&["-q", "encrypt", "-i", name]).map(drop)
        })?;
        assert!(output.success(), "{name}: {}", ended(&output));
        assert!(
            scene.read(name)? == scene.read("kept")?,
            "{name}: it was sealed again"
        );
        assert_eq!(scene.must(&["decrypt", name])?, content.as_bytes());
    }
    Ok(())
}

/// When `seal` gives a file its integrity field back, it works on the recipients that the file has then.
#[test]
fn recipients_that_came_meanwhile_stay_when_integrity_is_restored() -> Result {
    let scene = sealed("a: 1\n")?;
    let text = String::from_utf8(scene.read("a.yaml")?)?;
    let stripped = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("integrity:"));
    scene.write(
        "a.yaml",
        stripped.map(|line| format!("{line}\n")).collect::<String>(),
    )?;
    let output = meanwhile(&scene, &["-q", "a.yaml"], |scene| {
        scene.policy(MORE)?;
        scene.must(&["-q", "updatekeys", "--yes", "a.yaml"]).map(drop)
    })?;
    assert!(output.success(), "{}", ended(&output));
    let text = String::from_utf8(scene.read("a.yaml")?)?;
    assert!(text.contains("integrity:"), "it was not restored:\n{text}");
    assert!(
        text.contains(&people()?[1].recipient),
        "the new recipient is lost"
    );
    scene.must(&["check", "a.yaml"])?;
    Ok(())
}

/// The same for changes of authors: the block they were judged by must be the one that is written.
#[test]
fn changes_are_not_sealed_under_a_block_that_changed_meanwhile() -> Result {
    let scene = sealed("a: 1\nb_unencrypted: 2\n")?;
    let git = |arguments: &[&str]| -> Result {
        let tool = scene
            .tool("/usr/bin/env", &[])?
            .dir(scene.folder())
            .first(["git"]);
        Ok(tool.run(arguments)?.expect_success().map(drop)?)
    };
    git(&["init", "-q"])?;
    git(&["add", "a.yaml"])?;
    let text = String::from_utf8(scene.read("a.yaml")?)?;
    scene.write("a.yaml", text.replace("b_unencrypted: 2", "b_unencrypted: 3"))?;
    let output = meanwhile(&scene, &["-q", "a.yaml"], |scene| {
        scene.policy(MORE)?;
        scene.must(&["-q", "updatekeys", "--yes", "a.yaml"]).map(drop)
    })?;
    assert_eq!(output.code, Some(3), "{}", ended(&output));
    assert!(output.err().contains("changed on disk"), "{}", output.err());
    assert!(scene.read("a.yaml")? == scene.read("kept")?);
    Ok(())
}

/// `updatekeys` does what it has shown or nothing; other people's values are none of its business.
#[test]
fn recipients_are_changed_as_shown_or_not_at_all() -> Result {
    let stranger = people()?[3].recipient.as_str();
    let group = ["-q", "groups", "add", "--file", "a.yaml", "--age", stranger];
    let same = ["-q", "updatekeys", "--yes", "a.yaml"];
    let value = ["-q", "set", "a.yaml", "[\"a\"]", "--value-file", "value"];
    for (other, code, kept) in [
        (&group[..], 3, true),
        (&same[..], 0, true),
        (&value[..], 0, false),
    ] {
        let scene = sealed("a: 1\n")?;
        scene.write("value", "7")?;
        scene.policy(MORE)?;
        let output = meanwhile(&scene, &["updatekeys", "--yes", "a.yaml"], |scene| {
            scene.must(other).map(drop)
        })?;
        assert_eq!(output.code, Some(code), "{other:?}: {}", ended(&output));
        let (now, then) = (scene.read("a.yaml")?, scene.read("kept")?);
        assert_eq!(now == then, kept, "{other:?}");
        if !kept {
            assert_eq!(scene.must(&["decrypt", "a.yaml"])?, b"a: 7\n");
            assert!(String::from_utf8(now)?.contains(&people()?[1].recipient));
        }
    }
    Ok(())
}
