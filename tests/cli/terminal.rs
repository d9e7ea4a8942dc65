//! What a terminal shows: no secret while one is typed, its echo at every end, and names that cannot act.

use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use crate::scene::{EVERYTHING, Result, Scene};

const PATIENCE: Duration = Duration::from_secs(20);

/// `seal set`, asking for its value on a terminal of its own.
struct Prompt {
    script: Child,
    keyboard: ChildStdin,
    scene: Scene,
}

impl Prompt {
    fn new() -> Result<Self> {
        let scene = Scene::new(EVERYTHING)?;
        scene.write("a.yaml", "port: 5432\n")?;
        scene.must(&["-q", "a.yaml"])?;
        let ask = format!(
            "tty > terminal; sh -c 'echo $$ > pid; exec env --default-signal=HUP {} -q set a.yaml \"[\\\"port\\\"]\" --string'; \
             echo $? > code; stty -a > after; echo > over",
            env!("CARGO_BIN_EXE_seal")
        );
        let tool = scene.tool("script", &[0])?.env("SHELL", "/bin/sh");
        let mut script = tool
            .command(["-qfc", &ask, "/dev/null"])
            .stdin(Stdio::piped())
            .stdout(std::fs::File::create(scene.path("screen"))?)
            .spawn()
            .map_err(|error| format!("script (apt-get install bsdutils): {error}"))?;
        let keyboard = script.stdin.take().ok_or("no keyboard")?;
        let prompt = Self {
            script,
            keyboard,
            scene,
        };
        prompt.await_that("the question", || Ok(prompt.screen()?.contains("not shown: ")))?;
        assert!(!prompt.echoes()?, "what is typed would show");
        Ok(prompt)
    }

    fn screen(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&self.scene.read("screen")?).into_owned())
    }

    /// Whether the terminal shows what is typed.
    fn echoes(&self) -> Result<bool> {
        let terminal = std::fs::File::open(String::from_utf8(self.scene.read("terminal")?)?.trim())?;
        let modes = Command::new("stty").arg("-a").stdin(terminal).output()?;
        let modes = String::from_utf8(modes.stdout)?;
        modes
            .split_whitespace()
            .find_map(|word| match word {
                "echo" => Some(true),
                "-echo" => Some(false),
                _ => None,
            })
            .ok_or_else(|| format!("no echo in {modes:?}").into())
    }

    fn await_that(&self, what: &str, holds: impl Fn() -> Result<bool>) -> Result {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if holds().unwrap_or(false) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(format!("{what} did not come: {}", self.screen()?).into())
    }

    fn send(&self, signal: &str) -> Result {
        let pid = String::from_utf8(self.scene.read("pid")?)?;
        let sent = Command::new("kill").args([signal, pid.trim()]).status()?;
        assert!(sent.success());
        Ok(())
    }

    /// The exit code; the echo must be back.
    fn end(mut self) -> Result<(String, Scene)> {
        self.await_that("its end", || Ok(!self.scene.read("over")?.is_empty()))?;
        drop(self.keyboard);
        self.script.wait()?;
        let after = String::from_utf8(self.scene.read("after")?)?;
        assert!(after.split_whitespace().any(|word| word == "echo"), "{after}");
        let mut code = String::new();
        std::fs::File::open(self.scene.path("code"))?.read_to_string(&mut code)?;
        let screen = String::from_utf8_lossy(&self.scene.read("screen")?).into_owned();
        assert!(!screen.contains("hunter2"), "{screen}");
        Ok((code.trim().to_owned(), self.scene))
    }
}

/// LK-08
#[test]
fn a_value_is_typed_without_echo_and_the_echo_comes_back() -> Result {
    let mut prompt = Prompt::new()?;
    writeln!(prompt.keyboard, "hunter2")?;
    let (code, scene) = prompt.end()?;
    assert_eq!(code, "0");
    assert_eq!(scene.must(&["get", "a.yaml", "[\"port\"]"])?, b"hunter2");

    let mut prompt = Prompt::new()?;
    prompt.keyboard.write_all(b"hunter2\x03")?;
    prompt.keyboard.flush()?;
    assert_eq!(prompt.end()?.0, "85");

    for signal in ["-TERM", "-HUP", "-INT"] {
        let prompt = Prompt::new()?;
        prompt.send(signal)?;
        assert_eq!(prompt.end()?.0, "85", "{signal}");
    }
    Ok(())
}

/// LK-08: a shell puts its own modes on the terminal of a stopped program.
#[test]
fn a_stopped_prompt_hides_again_what_is_typed() -> Result {
    let mut prompt = Prompt::new()?;
    prompt.send("-STOP")?;
    let terminal = std::fs::File::open(String::from_utf8(prompt.scene.read("terminal")?)?.trim())?;
    assert!(
        Command::new("stty")
            .arg("echo")
            .stdin(terminal)
            .status()?
            .success()
    );
    assert!(prompt.echoes()?);
    prompt.send("-CONT")?;
    prompt.await_that("silence", || Ok(!prompt.echoes()?))?;
    writeln!(prompt.keyboard, "hunter2")?;
    assert_eq!(prompt.end()?.0, "0");
    Ok(())
}

/// LK-08: without a terminal nothing waits for an answer.
#[test]
fn without_a_terminal_a_prompt_is_refused() -> Result {
    let scene = Scene::new(EVERYTHING)?;
    scene.write("a.yaml", "port: 5432\n")?;
    scene.must(&["-q", "a.yaml"])?;
    let tool = scene.tool("setsid", &[0])?.limit(Duration::from_secs(10));
    let output = tool.run(["-w", env!("CARGO_BIN_EXE_seal"), "set", "a.yaml", "[\"port\"]"])?;
    assert_eq!(output.code, Some(1), "{}", output.err());
    assert!(output.err().contains("--value-stdin"), "{}", output.err());
    Ok(())
}

/// LK-07: a value among the arguments works, with a warning; the other ways need none.
#[test]
fn a_value_on_the_command_line_is_warned_of() -> Result {
    let scene = Scene::new(EVERYTHING)?;
    scene.write("a.yaml", "port: 5432\n")?;
    scene.must(&["-q", "a.yaml"])?;
    let seen = scene.seal(&["set", "a.yaml", "[\"port\"]", "1"])?;
    assert!(
        seen.success()
            && seen
                .err()
                .contains("warning: a value on the command line can be seen")
    );
    scene.write("value", "2")?;
    let file = scene.seal(&["set", "a.yaml", "[\"port\"]", "--value-file", "value"])?;
    let stdin = scene.seal_with_input(&["set", "a.yaml", "[\"port\"]", "--value-stdin"], b"3")?;
    for output in [file, stdin] {
        assert!(output.success() && output.err().is_empty(), "{}", output.err());
    }
    Ok(())
}

/// LK-06: names and keys are written out, one line a record.
#[test]
fn names_cannot_act_on_a_terminal() -> Result {
    let scene = Scene::new(EVERYTHING)?;
    let name = "a\x1b[2J\n\u{202e}b\u{7}.yaml";
    scene.write(name, "\"k\\e[2J\\n\\u202E\": 1\n\"k\\e[2J\\n\\u202E\": 2\n")?;
    for arguments in [
        &["encrypt", name][..],
        &["check", name],
        &["decrypt", name],
        &["explain", name],
        &[name],
        &["edit", name],
        &["exec-file", name, "true {}"],
        &["sops", "-d", name],
        &["--json", "check", name],
    ] {
        let output = scene.seal(arguments)?;
        for text in [output.out(), output.err()] {
            let acts = text.chars().any(|c| matches!(c, '\x1b' | '\u{202e}' | '\u{7}'));
            assert!(!acts, "{arguments:?}: {text:?}");
        }
    }
    let refused = scene.seal(&["encrypt", name])?.err();
    assert!(
        refused.contains("a\\u{1b}[2J\\n\\u{202e}b\\u{7}.yaml:2:1"),
        "{refused}"
    );
    assert_eq!(
        refused.lines().filter(|line| line.starts_with("error:")).count(),
        1,
        "{refused}"
    );
    Ok(())
}
