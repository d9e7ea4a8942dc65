//! Timed runs of whole programs: wall time, and peak memory where `/usr/bin/time` can tell it.
//!
//! The outputs of a timed program are thrown away. Whether it succeeded is looked at after the clock has stopped, and a
//! failure ends the benchmark: a program that refuses its input is always fast.

use crate::Failure;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, io};
use support::run::Tool;

/// A peer that takes longer runs once.
const SLOW: Duration = Duration::from_secs(10);
/// What is not timed must end within this time.
const LIMIT: Duration = Duration::from_secs(900);

/// What one run took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    pub(super) time: Duration,
    /// The most memory it held at once, in KiB.
    pub(super) memory: Option<u64>,
}

/// All runs of one program at one work; never empty.
#[derive(Debug, Clone)]
pub(super) struct Runs(Vec<Run>);

impl Runs {
    pub(super) fn median(&self) -> Duration {
        super::median(self.0.iter().map(|run| run.time).collect())
    }

    pub(super) fn shortest(&self) -> Duration {
        self.0.iter().map(|run| run.time).min().unwrap_or_default()
    }

    /// The highest peak of all runs, in KiB; `None` if no run told one.
    pub(super) fn memory(&self) -> Option<u64> {
        self.0.iter().filter_map(|run| run.memory).max()
    }

    /// As if each run had taken `factor` times as long.
    pub(super) fn times(self, factor: f64) -> Self {
        let longer = |run: Run| Run {
            time: run.time.mul_f64(factor),
            ..run
        };
        Self(self.0.into_iter().map(longer).collect())
    }

    /// `median (shortest-longest)`, or the one time there is.
    pub(super) fn text(&self) -> String {
        let times = self.0.iter().map(|run| run.time);
        match (times.clone().min(), times.max(), self.0.len()) {
            (Some(shortest), Some(longest), 2..) => {
                format!("{:.1?} ({shortest:.1?}-{longest:.1?})", self.median())
            }
            _ => format!("{:.1?} (once)", self.median()),
        }
    }
}

#[cfg(test)]
impl From<Vec<Run>> for Runs {
    fn from(runs: Vec<Run>) -> Self {
        Self(runs)
    }
}

/// Runs `ours` alone, `rounds` times after a warm-up.
pub(super) fn alone(rounds: usize, mut ours: impl FnMut() -> Result<Run, Failure>) -> Result<Runs, Failure> {
    ours()?;
    (0..rounds).map(|_| ours()).collect::<Result<_, _>>().map(Runs)
}

/// Runs `ours` and `theirs` by turns, `rounds` times after a warm-up. If the warm-up of `theirs` was [`SLOW`] already, it
/// is their only run.
pub(super) fn by_turns(
    rounds: usize,
    mut ours: impl FnMut() -> Result<Run, Failure>,
    mut theirs: impl FnMut() -> Result<Run, Failure>,
) -> Result<(Runs, Runs), Failure> {
    let first = theirs()?;
    if first.time > SLOW {
        return Ok((alone(rounds, ours)?, Runs(vec![first])));
    }
    ours()?;
    let mut runs = (Vec::with_capacity(rounds), Vec::with_capacity(rounds));
    for _ in 0..rounds {
        runs.0.push(ours()?);
        runs.1.push(theirs()?);
    }
    Ok((Runs(runs.0), Runs(runs.1)))
}

/// A program to be timed.
#[derive(Debug)]
pub(super) struct Program {
    tool: Tool,
    /// Where `/usr/bin/time`, which then runs the program, writes its peak memory.
    memory: Option<PathBuf>,
}

impl Program {
    /// `program`, run in `folder`.
    pub(super) fn new(program: &Path, folder: &Path) -> io::Result<Self> {
        let tool = Tool::new(program)?.dir(folder).limit(LIMIT);
        Ok(Self { tool, memory: None })
    }

    /// `program`, run in `folder` and telling its peak memory, if this machine can. Each run then starts one more small
    /// program.
    pub(super) fn measured(program: &Path, folder: &Path) -> io::Result<Self> {
        let report = folder.join("peak-memory");
        if !tells_memory(&report) {
            return Self::new(program, folder);
        }
        let this = Self::new(Path::new(TIME), folder)?;
        let first = ["-f", "%M", "-o"].map(Path::new);
        Ok(Self {
            tool: this
                .tool
                .first(first.into_iter().chain([report.as_path(), program])),
            memory: Some(report),
        })
    }

    /// With the age identities of `file`.
    pub(super) fn key(self, file: &Path) -> Self {
        Self {
            tool: self.tool.env("SOPS_AGE_KEY_FILE", file),
            ..self
        }
    }

    /// With this variable.
    pub(super) fn env(self, name: &str, value: &str) -> Self {
        Self {
            tool: self.tool.env(name, value),
            ..self
        }
    }

    /// With this editor.
    pub(super) fn editor(self, command: &str) -> Self {
        Self {
            tool: self.tool.env("SOPS_EDITOR", command),
            ..self
        }
    }

    /// Whether its runs tell their peak memory.
    pub(super) fn tells_memory(&self) -> bool {
        self.memory.is_some()
    }

    /// The time from its start until its end has been seen.
    pub(super) fn run(&self, arguments: &[impl AsRef<str>]) -> Result<Run, Failure> {
        let arguments: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
        let mut command = self.tool.command(&arguments);
        // `Tool::run` looks for the end of the program in naps, which is too coarse here.
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let start = Instant::now();
        let output = command.output()?;
        let time = start.elapsed();
        if !output.status.success() {
            let (program, error) = (self.tool.program(), String::from_utf8_lossy(&output.stderr));
            let words = arguments.join(" ");
            return Err(format!("{} {words}: {}: {error}", program.display(), output.status).into());
        }
        let memory = match &self.memory {
            None => None,
            Some(report) => Some(fs::read_to_string(report)?.trim().parse()?),
        };
        Ok(Run { time, memory })
    }

    /// One run for each of `items`, as a shell's loop makes them, and the sum of their times.
    pub(super) fn loop_over<T, const N: usize>(
        &self,
        items: &[T],
        arguments: impl Fn(&T) -> [String; N],
    ) -> Result<Run, Failure> {
        let mut time = Duration::ZERO;
        for item in items {
            time += self.run(&arguments(item))?.time;
        }
        Ok(Run { time, memory: None })
    }

    /// Its standard output, untimed.
    pub(super) fn output(&self, arguments: &[&str]) -> Result<Vec<u8>, Failure> {
        Ok(self.tool.run(arguments)?.expect_success()?)
    }
}

const TIME: &str = "/usr/bin/time";

/// Whether there is a [`TIME`] that knows `-f` and `-o`: GNU's and BusyBox's do, that of the BSDs does not.
fn tells_memory(report: &Path) -> bool {
    let run = Command::new(TIME)
        .args(["-f", "%M", "-o"])
        .args([report, Path::new("true")])
        .output();
    run.is_ok_and(|output| output.status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    fn run(time: Duration, memory: Option<u64>) -> Result<Run, Failure> {
        Ok(Run { time, memory })
    }

    #[test]
    fn programs_take_turns_and_the_warm_up_does_not_count() -> Result<(), Failure> {
        let (mut ours, mut theirs) = (0, 0);
        let runs = by_turns(
            3,
            || (ours += 1, run(MILLISECOND * ours, Some(u64::from(ours)))).1,
            || (theirs += 10, run(MILLISECOND * theirs, None)).1,
        )?;
        assert_eq!(runs.0.text(), "3.0ms (2.0ms-4.0ms)");
        assert_eq!(runs.1.text(), "30.0ms (20.0ms-40.0ms)");
        assert_eq!((runs.0.memory(), runs.1.memory()), (Some(4), None));
        Ok(())
    }

    #[test]
    fn a_slow_peer_runs_once() -> Result<(), Failure> {
        let (mut ours, mut theirs) = (0, 0);
        let runs = by_turns(
            5,
            || (ours += 1, run(MILLISECOND, None)).1,
            || (theirs += 1, run(SLOW + MILLISECOND, None)).1,
        )?;
        assert_eq!((ours, theirs), (6, 1));
        assert_eq!(runs.1.text(), "10.0s (once)");
        Ok(())
    }

    #[test]
    fn a_program_that_fails_is_not_a_time() -> Result<(), Failure> {
        let folder = tempfile::tempdir()?;
        let shell = Program::measured(Path::new("/bin/sh"), folder.path())?;
        assert!(shell.run(&["-c", "exit 3"]).is_err());
        let run = shell.run(&["-c", "exit 0"])?;
        assert!(run.memory.is_none_or(|memory| memory > 0));
        Ok(())
    }
}
