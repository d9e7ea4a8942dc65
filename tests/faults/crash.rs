//! Every command that writes in place is killed, and its system calls fail, at calls that touch its folder.
//!
//! Small form: 20 kills and 20 errors a command, spread over all calls. Campaign: every call, every error.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use support::canary::Canary;
use support::run::{Output, Tool};
use support::strace::{FILE_CALLS, Fault, Injection, Sweep};
use support::tier;

use crate::scene::{EVERYTHING, Result, Scene, ended, verdict};

const ERRORS: [&str; 4] = ["ENOSPC", "EIO", "EDQUOT", "EROFS"];

/// A command, and what it does to the plaintext.
struct Command {
    arguments: &'static [&'static str],
    /// Whether the file is sealed before.
    from_sealed: bool,
    /// The plaintext after, where it changes.
    after: fn(&str) -> String,
}

fn plain(canary: &Canary) -> String {
    let lines = (0..50).map(|number| format!("key{number}: value {number} {}\n", canary.text()));
    format!(
        "# a comment\ngone: {}\n{}",
        canary.text(),
        lines.collect::<String>()
    )
}

fn same(plain: &str) -> String {
    plain.to_owned()
}

fn without_gone(plain: &str) -> String {
    plain
        .lines()
        .filter(|line| !line.starts_with("gone:"))
        .flat_map(|line| [line, "\n"])
        .collect()
}

fn with_new(plain: &str) -> String {
    let lines = plain.lines().map(|line| {
        if line.starts_with("key7:") {
            "key7: new"
        } else {
            line
        }
    });
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// The scene of one injection: a folder that only the program under test writes to.
struct Stage {
    scene: Scene,
    old: Vec<u8>,
    plain: String,
    canary: Canary,
}

impl Stage {
    fn new(command: &Command) -> Result<Self> {
        let scene = Scene::new(EVERYTHING)?;
        let canary = Canary::new(80);
        let plain = plain(&canary);
        scene.write("work/file.yaml", &plain)?;
        if command.from_sealed {
            scene.must(&["encrypt", "-i", "work/file.yaml"])?;
        }
        scene.write("value", "\"new\"")?;
        let old = scene.read("work/file.yaml")?;
        Ok(Self {
            scene,
            old,
            plain,
            canary,
        })
    }

    /// Sets the scene again. The program stands outside the folder, so that only its own file's calls name it.
    fn prepare(&self, command: &Command) -> io::Result<(Tool, Vec<OsString>)> {
        let folder = self.scene.path("work");
        std::fs::remove_dir_all(&folder)?;
        std::fs::create_dir(&folder)?;
        std::fs::write(folder.join("file.yaml"), &self.old)?;
        let tool = self
            .scene
            .tool(env!("CARGO_BIN_EXE_seal"), &[0])
            .map_err(io::Error::other)?;
        let home = tool.home().to_owned();
        let arguments = command.arguments.iter().map(|argument| match *argument {
            "FILE" => folder.join("file.yaml").into(),
            "VALUE" => self.scene.path("value").into(),
            other => other.into(),
        });
        Ok((tool.dir(home), arguments.collect()))
    }

    /// What the file is now.
    fn state(&self, command: &Command) -> io::Result<State> {
        let bytes = self.scene.read("work/file.yaml")?;
        if bytes == self.old {
            return Ok(State::Old);
        }
        let expected = (command.after)(&self.plain);
        let sealed_after = command.arguments[0] != "decrypt";
        let found = if sealed_after {
            if self.canary.find(&bytes).is_some() {
                return Err(io::Error::other("the new file holds plaintext"));
            }
            let output = self.scene.seal(&["decrypt", "work/file.yaml"])?;
            if !output.success() {
                return Err(io::Error::other(format!(
                    "the new file does not open: {}",
                    ended(&output)
                )));
            }
            output.stdout
        } else {
            bytes
        };
        if found == expected.as_bytes() {
            Ok(State::New)
        } else {
            Err(io::Error::other(format!(
                "neither the old file nor the new one: {} bytes",
                found.len()
            )))
        }
    }

    /// Everything in the folder but the file itself.
    fn left_over(&self) -> io::Result<Vec<std::path::PathBuf>> {
        let entries = std::fs::read_dir(self.scene.path("work"))?;
        let paths = entries
            .map(|entry| Ok(entry?.path()))
            .collect::<io::Result<Vec<_>>>()?;
        Ok(paths
            .into_iter()
            .filter(|path| !path.ends_with("file.yaml"))
            .collect())
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Old,
    New,
}

/// After a kill: the old file or the new one, and no plaintext that was not there before.
fn after_kill(stage: &Stage, command: &Command, output: &Output) -> io::Result<State> {
    if output.code.is_some_and(|code| code == 101) {
        return Err(io::Error::other(format!("a panic: {}", ended(output))));
    }
    let state = stage.state(command)?;
    for path in stage.left_over()? {
        if command.arguments[0] != "decrypt" && stage.canary.find(&std::fs::read(&path)?).is_some() {
            return Err(io::Error::other(format!("{} holds plaintext", path.display())));
        }
        // What is left may hold what the file was to hold, so nobody may read it who may not read the file.
        if mode(&path)? & !mode(&stage.scene.path("work/file.yaml"))? & 0o777 != 0 {
            return Err(io::Error::other(format!(
                "{} is open to more people",
                path.display()
            )));
        }
    }
    Ok(state)
}

fn mode(path: &Path) -> io::Result<u32> {
    use std::os::unix::fs::PermissionsExt;
    Ok(std::fs::metadata(path)?.permissions().mode())
}

/// After an error: an error that names the file (or the policy beside it) and leaves the old one, or a success with the new one.
fn after_error(stage: &Stage, command: &Command, injection: &Injection, output: &Output) -> io::Result<()> {
    let state = after_kill(stage, command, output)?;
    let Some(code) = output.code else {
        return Err(io::Error::other(format!("it did not exit: {}", ended(output))));
    };
    if code == 0 && state == State::Old {
        return Err(io::Error::other("success was claimed and nothing written"));
    }
    if code != 0 && !output.err().contains("/work/") {
        return Err(io::Error::other(format!("no file is named: {}", ended(output))));
    }
    // Once renamed the file is new, even if the folder cannot be made durable: that must be said.
    let late = injection.call.contains("sync") || injection.call == "close";
    if code != 0 && state == State::New && !late {
        return Err(io::Error::other(format!(
            "an error was claimed and the file written: {}",
            ended(output)
        )));
    }
    let removing = injection.call.starts_with("unlink");
    let left = stage.left_over()?;
    if !left.is_empty() && !removing {
        return Err(io::Error::other(format!("left over: {left:?}")));
    }
    Ok(())
}

fn sweep(command: &Command) -> Result {
    let stage = Stage::new(command)?;
    let folder = stage.scene.path("work");
    let enough = tier::count(20, usize::MAX);
    let faults = Sweep::new(Fault::Kill, FILE_CALLS)?
        .touching(&folder)
        .spread(enough);
    let (mut old, mut wrong) = (false, Vec::new());
    let kills = faults.run(
        || stage.prepare(command),
        |injection, output| {
            match after_kill(&stage, command, output) {
                Ok(state) => old |= state == State::Old,
                Err(error) => wrong.push(format!("{injection:?}: {error}")),
            }
            Ok(())
        },
    )?;
    // A sweep that never saw the old file was not about the writing of it.
    assert!(old, "no kill came before the rename: {wrong:?}");
    let mut errors = 0;
    for (number, error) in ERRORS.into_iter().enumerate() {
        // Each error is spread another way, so that together they meet more calls.
        let runs = (enough / ERRORS.len()).saturating_add(number);
        let faults = Sweep::new(Fault::Error(error), FILE_CALLS)?
            .touching(&folder)
            .spread(runs);
        errors += faults.run(
            || stage.prepare(command),
            |injection, output| {
                let found = after_error(&stage, command, injection, output);
                wrong.extend(found.err().map(|error| format!("{injection:?}: {error}")));
                Ok(())
            },
        )?;
    }
    verdict(&wrong, kills + errors, 24)?;
    assert!(kills >= 12 && errors >= 12, "{kills} kills, {errors} errors");
    Ok(())
}

#[test]
fn encrypt_loses_nothing() -> Result {
    sweep(&Command {
        arguments: &["encrypt", "-q", "-i", "FILE"],
        from_sealed: false,
        after: same,
    })
}

#[test]
fn decrypt_loses_nothing() -> Result {
    sweep(&Command {
        arguments: &["decrypt", "-q", "-i", "FILE"],
        from_sealed: true,
        after: same,
    })
}

#[test]
fn set_loses_nothing() -> Result {
    let arguments = &["set", "-q", "FILE", "[\"key7\"]", "--value-file", "VALUE"];
    sweep(&Command {
        arguments,
        from_sealed: true,
        after: with_new,
    })
}

#[test]
fn unset_loses_nothing() -> Result {
    sweep(&Command {
        arguments: &["unset", "-q", "FILE", "[\"gone\"]"],
        from_sealed: true,
        after: without_gone,
    })
}

#[test]
fn rotate_loses_nothing() -> Result {
    sweep(&Command {
        arguments: &["rotate", "-q", "FILE"],
        from_sealed: true,
        after: same,
    })
}

#[test]
fn seal_loses_nothing() -> Result {
    sweep(&Command {
        arguments: &["-q", "FILE"],
        from_sealed: false,
        after: same,
    })
}
