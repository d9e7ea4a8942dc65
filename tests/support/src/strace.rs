//! Faults at every system call: a program is run again and again, and each time one more of its calls fails or kills it.
//!
//! [`Sweep`] first traces a clean run and notes, per system call and per thread, which calls there are, or which of them
//! touch the folder under test. Then it repeats the run once for each of them with `strace --inject`, and hands each
//! outcome to the test. Without a plan it counts K = 1, 2, ... until a run ends without an injection. A sweep that
//! injected nothing is an error: a harness that proves nothing must not pass.
//!
//! `strace` counts `when=` per thread, and so does the plan; a call that another thread makes instead is simply hit, too.

use crate::peers;
use crate::run::{Output, Tool, capture};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

/// The system calls that can lose a file.
pub const FILE_CALLS: [&str; 22] = [
    "open",
    "openat",
    "openat2",
    "write",
    "pwrite64",
    "writev",
    "fsync",
    "fdatasync",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "unlink",
    "unlinkat",
    "chmod",
    "fchmod",
    "fchmodat",
    "fchown",
    "ftruncate",
    "flock",
    "close",
];

/// What happens at the chosen call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// SIGKILL as the call is entered.
    Kill,
    /// The call does nothing and fails with this error, such as `ENOSPC`.
    Error(&'static str),
    /// The call and all later ones of its kind in its thread do nothing and fail: a full disk stays full.
    Lasting(&'static str),
}

/// One injected fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Injection {
    /// The system call.
    pub call: String,
    /// The how-manieth of its kind in its thread, from 1.
    pub index: usize,
    /// What was done.
    pub fault: Fault,
}

/// A fault at every system call of one command.
#[derive(Debug, Clone)]
pub struct Sweep {
    strace: PathBuf,
    calls: Vec<String>,
    fault: Fault,
    plan: Plan,
    /// Of the planned calls so many are taken, spread evenly.
    spread: usize,
    /// From which of them on.
    from: usize,
    /// Whether the programs that it starts are met, too.
    children: bool,
    /// Runs after which the sweep gives up: a program that never ends cleanly.
    at_most: usize,
}

/// Where the faults go.
#[derive(Debug, Clone)]
enum Plan {
    /// At each call until a run ends without one.
    UntilClean,
    /// At the calls of a clean run that touch the folder.
    Touching(PathBuf),
    /// At all calls of a clean run.
    All,
}

impl Sweep {
    /// Injects `fault` at every system call that a clean run makes, whatever it is.
    ///
    /// # Errors
    /// [`peers::Missing`], if there is no `strace`.
    pub fn everywhere(fault: Fault) -> Result<Self, peers::Missing> {
        let sweep = Self::new(fault, ["all"])?;
        Ok(Self {
            plan: Plan::All,
            ..sweep
        })
    }

    /// Injects `fault` at each of `calls`, the system calls' names.
    ///
    /// # Errors
    /// [`peers::Missing`], if there is no `strace`.
    pub fn new<S: Into<String>>(
        fault: Fault,
        calls: impl IntoIterator<Item = S>,
    ) -> Result<Self, peers::Missing> {
        let calls = calls.into_iter().map(Into::into).collect();
        Ok(Self {
            strace: peers::strace()?,
            calls,
            fault,
            plan: Plan::UntilClean,
            spread: usize::MAX,
            from: 0,
            children: true,
            at_most: 10_000,
        })
    }

    /// Only calls that name something below `folder`, or that act on an open file below it.
    pub fn touching(mut self, folder: impl Into<PathBuf>) -> Self {
        self.plan = Plan::Touching(folder.into());
        self
    }

    /// Injects at no more than `runs` of the planned calls, spread evenly over all of them.
    pub fn spread(mut self, runs: usize) -> Self {
        self.spread = runs;
        self
    }

    /// Begins the spread at another of the planned calls, so that several small sweeps meet different ones.
    pub fn from(mut self, number: usize) -> Self {
        self.from = number;
        self
    }

    /// Only calls of the program's first thread: what it starts, such as an editor, is left alone.
    pub fn alone(mut self) -> Self {
        self.children = false;
        self
    }

    /// Gives up after so many runs for one system call.
    pub fn at_most(mut self, runs: usize) -> Self {
        self.at_most = runs;
        self
    }

    /// Runs the sweep and returns how many faults were injected. `prepare` sets the scene before each run and returns
    /// the program and its arguments; `check` sees each injected fault and how the program ended.
    ///
    /// # Errors
    /// If a run cannot be made, or no fault was injected at all, or `prepare` or `check` fails.
    pub fn run(
        &self,
        mut prepare: impl FnMut() -> io::Result<(Tool, Vec<OsString>)>,
        mut check: impl FnMut(&Injection, &Output) -> io::Result<()>,
    ) -> io::Result<usize> {
        let plan = match &self.plan {
            Plan::UntilClean => None,
            Plan::Touching(folder) => Some(self.planned(Some(folder), &mut prepare)?),
            Plan::All => Some(self.planned(None, &mut prepare)?),
        };
        let calls: Vec<String> = match &plan {
            Some(plan) => plan.keys().cloned().collect(),
            None => self.calls.clone(),
        };
        let mut injected = 0;
        for call in &calls {
            let indices: Box<dyn Iterator<Item = usize>> = match &plan {
                Some(plan) => Box::new(plan.get(call).into_iter().flatten().copied()),
                None => Box::new(1..),
            };
            let mut runs = 0;
            for index in indices {
                runs += 1;
                if runs > self.at_most {
                    return Err(io::Error::other(format!(
                        "{call}: no clean end after {} runs",
                        self.at_most
                    )));
                }
                let injection = Injection {
                    call: call.clone(),
                    index,
                    fault: self.fault,
                };
                let (tool, arguments) = prepare()?;
                let Some(output) = self.inject(&injection, &tool, &arguments)? else {
                    if plan.is_some() { continue } else { break }
                };
                injected += 1;
                check(&injection, &output).map_err(|error| {
                    io::Error::other(format!("{:?} at {call} number {index}: {error}", self.fault))
                })?;
            }
        }
        if injected == 0 {
            return Err(io::Error::other(
                "no fault was injected: none of the calls was made",
            ));
        }
        Ok(injected)
    }

    /// One run with one fault; `None` if the program never came to that call.
    ///
    /// # Errors
    /// If the run cannot be made.
    pub fn inject(
        &self,
        injection: &Injection,
        tool: &Tool,
        arguments: &[OsString],
    ) -> io::Result<Option<Output>> {
        let what = match injection.fault {
            Fault::Kill => "signal=SIGKILL".to_owned(),
            Fault::Error(name) | Fault::Lasting(name) => format!("error={name}"),
        };
        let on = if matches!(injection.fault, Fault::Lasting(_)) {
            "+"
        } else {
            ""
        };
        let expression = format!("inject={}:{what}:when={}{on}", injection.call, injection.index);
        let (output, trace) = self.trace(&injection.call, &["-e", &expression], tool, arguments)?;
        let happened = trace.contains("(INJECTED)") || trace.contains("+++ killed by SIGKILL +++");
        Ok(happened.then_some(output))
    }

    /// For each call the numbers, per thread, of those in a clean run, or of those that touch `folder`.
    fn planned(
        &self,
        folder: Option<&Path>,
        prepare: &mut impl FnMut() -> io::Result<(Tool, Vec<OsString>)>,
    ) -> io::Result<BTreeMap<String, BTreeSet<usize>>> {
        let (tool, arguments) = prepare()?;
        let (_, trace) = self.trace(&self.calls.join(","), &["-y"], &tool, &arguments)?;
        Ok(thinned(touching(&trace, folder), self.spread, self.from))
    }

    /// Runs the program under `strace` and returns what it did and the trace.
    fn trace(
        &self,
        calls: &str,
        options: &[&str],
        tool: &Tool,
        arguments: &[OsString],
    ) -> io::Result<(Output, String)> {
        trace(&self.strace, self.children, calls, options, tool, arguments)
    }
}

/// Runs the program once, without a fault, and returns what it did and its calls of these names (`all` for all), one a
/// line, with the paths behind file descriptors.
///
/// # Errors
/// If there is no `strace`, or the run cannot be made.
pub fn record(calls: &[&str], tool: &Tool, arguments: &[OsString]) -> io::Result<(Output, String)> {
    let strace = peers::strace().map_err(io::Error::other)?;
    trace(&strace, true, &calls.join(","), &["-y"], tool, arguments)
}

/// One run under `strace`. Every line of the trace begins with the number of a thread.
fn trace(
    strace: &Path,
    children: bool,
    calls: &str,
    options: &[&str],
    tool: &Tool,
    arguments: &[OsString],
) -> io::Result<(Output, String)> {
    let log = tempfile::NamedTempFile::new()?;
    // `?` before a name: not every machine has every call (arm64 has no `open`).
    let calls = calls
        .split(',')
        .map(|call| format!("?{call}"))
        .collect::<Vec<_>>()
        .join(",");
    let mut wrapper: Vec<OsString> = vec![strace.into(), "-qq".into()];
    if children {
        wrapper.push("-f".into());
    }
    wrapper.extend(["-s", "4096", "-e"].map(OsString::from));
    wrapper.push(format!("trace={calls}").into());
    wrapper.extend(options.iter().map(OsString::from));
    wrapper.extend([OsStr::new("-o"), log.path().as_os_str(), OsStr::new("--")].map(OsStr::to_owned));
    let output = capture(tool.wrapped(&wrapper, arguments), &[], tool.time_limit())?;
    let trace = String::from_utf8_lossy(&std::fs::read(log.path())?).into_owned();
    if children {
        return Ok((output, trace));
    }
    // Of one thread alone strace writes no number.
    Ok((output, trace.lines().map(|line| format!("0 {line}\n")).collect()))
}

/// Reads lines such as `4711 openat(AT_FDCWD</work>, "secrets.yaml", O_RDONLY) = 3</work/secrets.yaml>`.
fn touching(trace: &str, folder: Option<&Path>) -> BTreeMap<String, BTreeSet<usize>> {
    let folder = folder.map(Path::to_string_lossy);
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut plan: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    for line in trace.lines() {
        let Some((pid, rest)) = line.split_once(char::is_whitespace) else {
            continue;
        };
        let rest = rest.trim_start();
        let Some((call, arguments)) = rest.split_once('(') else {
            continue;
        };
        // "<... openat resumed>" ends a call that is already counted; "+++ exited" is none.
        if !call
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        {
            continue;
        }
        let count = counts.entry((pid, call)).or_default();
        *count += 1;
        if folder
            .as_ref()
            .is_none_or(|folder| arguments.contains(folder.as_ref()))
        {
            plan.entry(call.to_owned()).or_default().insert(*count);
        }
    }
    plan
}

/// `runs` of the planned calls, evenly spread; shifted by `from`, else the first and the last are among them.
fn thinned(
    plan: BTreeMap<String, BTreeSet<usize>>,
    runs: usize,
    from: usize,
) -> BTreeMap<String, BTreeSet<usize>> {
    let total: usize = plan.values().map(BTreeSet::len).sum();
    if total <= runs {
        return plan;
    }
    let chosen: BTreeSet<usize> = (0..runs)
        .map(|run| (from + run * (total - 1) / runs.saturating_sub(1).max(1)) % total)
        .collect();
    let mut at = 0;
    plan.into_iter()
        .map(|(call, mut indices)| {
            indices.retain(|_| {
                at += 1;
                chosen.contains(&(at - 1))
            });
            (call, indices)
        })
        .collect()
}

#[cfg(test)]
mod tests;
