//! `seal agent`: what it holds, for whom, and for how long.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::run::{Output, Tool};

use crate::scene::{EVERYTHING, Result, Scene, ended};

/// A scene with an agent, which ends with it.
struct Warm {
    scene: Scene,
    /// With the identity of person 0, and with none.
    holder: Tool,
    stranger: Tool,
}

impl Warm {
    fn new(keep: &str) -> Result<Self> {
        let scene = Scene::new(EVERYTHING)?;
        scene.write("a.yaml", "port: 5432\n")?;
        scene.must(&["-q", "a.yaml"])?;
        let socket = scene.path("agent.sock");
        let tool = |holders: &[usize]| -> Result<Tool> {
            let tool = scene.tool(env!("CARGO_BIN_EXE_seal"), holders)?;
            Ok(tool.env("SEAL_AGENT_SOCK", &socket))
        };
        let (holder, stranger) = (tool(&[0])?, tool(&[])?);
        let warm = Self {
            scene,
            holder,
            stranger,
        };
        let start = warm.stranger.run(["agent", "start", "--keep", keep])?;
        assert!(start.success(), "{}", ended(&start));
        Ok(warm)
    }

    fn opens(tool: &Tool) -> Result<bool> {
        let output = tool.run(["decrypt", "a.yaml"])?;
        assert!(output.success() || output.code == Some(128), "{}", ended(&output));
        Ok(output.success())
    }

    fn status(&self) -> Result<Value> {
        let output = self.stranger.run(["--json", "agent", "status"])?;
        assert!(output.success(), "{}", ended(&output));
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    fn agent(&self, command: &str) -> Result<Output> {
        Ok(self.stranger.run(["agent", command])?)
    }

    /// Where the system shows the agent's process.
    fn process(&self) -> Result<PathBuf> {
        let socket = self.scene.path("agent.sock");
        for entry in std::fs::read_dir("/proc")?.flatten() {
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).into_owned();
            if line.contains("--inherited") && line.contains(&*socket.to_string_lossy()) {
                return Ok(entry.path());
            }
        }
        Err("there is no agent".into())
    }
}

impl Drop for Warm {
    fn drop(&mut self) {
        let _ = self.stranger.run(["agent", "stop"]);
    }
}

#[test]
fn a_file_that_was_opened_opens_again_until_the_agent_is_locked() -> Result {
    let warm = Warm::new("1h")?;
    assert!(!Warm::opens(&warm.stranger)?, "nothing is held yet");
    assert!(Warm::opens(&warm.holder)?);
    assert!(Warm::opens(&warm.stranger)?, "the agent has its key");
    let status = warm.status()?;
    let key = &status["keys"][0];
    assert_eq!(status["keys"].as_array().map(Vec::len), Some(1), "{status}");
    assert!(
        key["key"].as_str().is_some_and(|key| key.starts_with("age age1")),
        "{status}"
    );
    assert_eq!(key["uses"], 1, "{status}");
    assert!(
        key["seconds_left"]
            .as_u64()
            .is_some_and(|left| (3500..=3600).contains(&left)),
        "{status}"
    );
    // A changed file is refused as it always is: the agent gives a key, not its word.
    let sealed = String::from_utf8(warm.scene.read("a.yaml")?)?;
    warm.scene.write("b.yaml", sealed.replace("port:", "gate:"))?;
    let output = warm.stranger.run(["decrypt", "b.yaml"])?;
    assert!(
        !output.success() && output.stdout.is_empty(),
        "{}",
        ended(&output)
    );

    assert!(warm.agent("lock")?.success());
    assert!(!Warm::opens(&warm.stranger)?);
    assert!(warm.agent("stop")?.success());
    assert!(!warm.scene.path("agent.sock").exists());
    let gone = warm.agent("status")?;
    assert_eq!(gone.code, Some(1), "{}", ended(&gone));
    assert!(gone.err().contains("seal agent start"), "{}", gone.err());
    assert!(Warm::opens(&warm.holder)?, "without an agent all is as it was");
    Ok(())
}

#[test]
fn a_key_is_held_no_longer_than_was_said() -> Result {
    let warm = Warm::new("1s")?;
    assert!(Warm::opens(&warm.holder)?);
    let start = Instant::now();
    while Warm::opens(&warm.stranger)? {
        assert!(start.elapsed() < Duration::from_secs(20), "it is held for ever");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(warm.status()?["keys"].as_array().map(Vec::len), Some(0));
    Ok(())
}

/// LK-11: no core file, no other process reads it, its memory is locked where the system allows, and its socket is its
/// user's own.
#[test]
fn what_the_agent_holds_stays_in_its_memory() -> Result {
    use std::os::unix::fs::PermissionsExt as _;
    let warm = Warm::new("1h")?;
    assert!(Warm::opens(&warm.holder)?);
    let mode = std::fs::metadata(warm.scene.path("agent.sock"))?
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let process = warm.process()?;
    let limits = std::fs::read_to_string(process.join("limits"))?;
    let core = limits.lines().find(|line| line.starts_with("Max core file size"));
    let core: Vec<&str> = core.ok_or("no line")?.split_whitespace().collect();
    assert_eq!(core[4..6], ["0", "0"], "{core:?}");
    let status = std::fs::read_to_string(process.join("status"))?;
    let locked = status.lines().find_map(|line| line.strip_prefix("VmLck:"));
    let locked: u64 = locked.ok_or("no line")?.trim().trim_end_matches(" kB").parse()?;
    assert_eq!(
        warm.status()?["memory_locked"],
        locked >= 256,
        "{locked} kB are locked"
    );
    // Nothing of the environment that it was started from is with it.
    assert!(std::fs::read(process.join("environ"))?.is_empty());
    Ok(())
}

/// LK-11: where memory cannot be locked the agent says so once and works.
#[test]
fn without_locked_memory_it_is_told() -> Result {
    let scene = Scene::new(EVERYTHING)?;
    let shell = scene
        .tool("sh", &[0])?
        .env("SEAL_AGENT_SOCK", scene.path("agent.sock"));
    let seal = env!("CARGO_BIN_EXE_seal");
    // Without the right to lock whatever it likes, which root has.
    let script = format!(
        "ulimit -l 0; setpriv --bounding-set -ipc_lock --inh-caps -ipc_lock {seal} agent start; {seal} --json agent status; {seal} -q agent stop"
    );
    let output = shell.run(["-c", &script])?;
    assert!(output.success(), "{}", ended(&output));
    assert_eq!(output.err().matches("ulimit -l").count(), 1, "{}", output.err());
    assert!(
        output.out().contains("\"memory_locked\":false"),
        "{}",
        output.out()
    );
    Ok(())
}

#[test]
fn a_second_agent_is_refused_and_a_dead_one_is_no_hindrance() -> Result {
    let warm = Warm::new("1h")?;
    let second = warm.agent("start")?;
    assert_eq!(second.code, Some(1), "{}", ended(&second));
    let process = warm.process()?;
    let pid = process.file_name().ok_or("no pid")?.to_owned();
    let killed = std::process::Command::new("kill")
        .arg("-KILL")
        .arg(&pid)
        .status()?;
    assert!(killed.success());
    let start = Instant::now();
    while warm.process().is_ok() && start.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(Warm::opens(&warm.holder)?, "nobody answers, and nobody is needed");
    let again = warm.agent("start")?;
    assert!(again.success(), "{}", ended(&again));
    Ok(())
}

/// An agent that says nothing is waited for once, for a second.
#[test]
fn an_agent_that_hangs_is_left_alone() -> Result {
    let scene = Scene::new(EVERYTHING)?;
    for name in ["a.yaml", "b.yaml", "c.yaml"] {
        scene.write(name, "port: 5432\n")?;
    }
    scene.must(&["-q"])?;
    let socket = scene.path("agent.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&socket)?;
    let seal = scene.tool(env!("CARGO_BIN_EXE_seal"), &[0])?;
    let start = Instant::now();
    let output = seal.env("SEAL_AGENT_SOCK", &socket).run([
        "decrypt",
        "--output-dir",
        "out",
        "a.yaml",
        "b.yaml",
        "c.yaml",
    ])?;
    assert!(output.success(), "{}", ended(&output));
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    Ok(())
}
