//! Faults at every system call: a program is run again and again, and each time one more of its calls fails or kills it.
//!
//! [`Sweep`] first traces a clean run and notes, per system call and per thread, which calls touch the folder under test.
//! Then it repeats the run once for each of them with `strace --inject`, and hands each outcome to the test. Where the
//! folder is not given it counts K = 1, 2, ... until a run ends without an injection. A sweep that injected nothing is
//! an error: a harness that proves nothing must not pass.
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
    touching: Option<PathBuf>,
    /// Of the planned calls so many are taken, spread evenly.
    spread: usize,
    /// Runs after which the sweep gives up: a program that never ends cleanly.
    at_most: usize,
}

impl Sweep {
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
            touching: None,
            spread: usize::MAX,
            at_most: 10_000,
        })
    }

    /// Only calls that name something below `folder`, or that act on an open file below it.
    pub fn touching(mut self, folder: impl Into<PathBuf>) -> Self {
        self.touching = Some(folder.into());
        self
    }

    /// Injects at no more than `runs` of the calls that [`Sweep::touching`] plans, spread evenly over all of them.
    pub fn spread(mut self, runs: usize) -> Self {
        self.spread = runs;
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
        let plan = match &self.touching {
            Some(folder) => Some(self.plan(folder, &mut prepare)?),
            None => None,
        };
        let mut injected = 0;
        for call in &self.calls {
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
    fn inject(
        &self,
        injection: &Injection,
        tool: &Tool,
        arguments: &[OsString],
    ) -> io::Result<Option<Output>> {
        let what = match injection.fault {
            Fault::Kill => "signal=SIGKILL".to_owned(),
            Fault::Error(name) => format!("error={name}"),
        };
        let expression = format!("inject={}:{what}:when={}", injection.call, injection.index);
        let (output, trace) = self.trace(&injection.call, &["-e", &expression], tool, arguments)?;
        let happened = trace.contains("(INJECTED)") || trace.contains("+++ killed by SIGKILL +++");
        Ok(happened.then_some(output))
    }

    /// For each call the numbers, per thread, of those that touch `folder` in a clean run.
    fn plan(
        &self,
        folder: &Path,
        prepare: &mut impl FnMut() -> io::Result<(Tool, Vec<OsString>)>,
    ) -> io::Result<BTreeMap<String, BTreeSet<usize>>> {
        let (tool, arguments) = prepare()?;
        let (_, trace) = self.trace(&self.calls.join(","), &["-y"], &tool, &arguments)?;
        Ok(thinned(touching(&trace, folder), self.spread))
    }

    /// Runs the program under `strace` and returns what it did and the trace.
    fn trace(
        &self,
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
        let mut wrapper: Vec<OsString> = vec![self.strace.clone().into(), "-f".into(), "-qq".into()];
        wrapper.extend(["-s", "4096", "-e"].map(OsString::from));
        wrapper.push(format!("trace={calls}").into());
        wrapper.extend(options.iter().map(OsString::from));
        wrapper.extend([OsStr::new("-o"), log.path().as_os_str(), OsStr::new("--")].map(OsStr::to_owned));
        let output = capture(tool.wrapped(&wrapper, arguments), &[], tool.time_limit())?;
        Ok((
            output,
            String::from_utf8_lossy(&std::fs::read(log.path())?).into_owned(),
        ))
    }
}

/// Reads lines such as `4711 openat(AT_FDCWD</work>, "secrets.yaml", O_RDONLY) = 3</work/secrets.yaml>`.
fn touching(trace: &str, folder: &Path) -> BTreeMap<String, BTreeSet<usize>> {
    let folder = folder.to_string_lossy();
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
        if arguments.contains(folder.as_ref()) {
            plan.entry(call.to_owned()).or_default().insert(*count);
        }
    }
    plan
}

/// `runs` of the planned calls, evenly spread, the first and the last among them.
fn thinned(plan: BTreeMap<String, BTreeSet<usize>>, runs: usize) -> BTreeMap<String, BTreeSet<usize>> {
    let total: usize = plan.values().map(BTreeSet::len).sum();
    if total <= runs {
        return plan;
    }
    let chosen: BTreeSet<usize> = (0..runs)
        .map(|run| run * (total - 1) / runs.saturating_sub(1).max(1))
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
mod tests {
    use super::*;

    fn writer(folder: &Path) -> io::Result<(Tool, Vec<OsString>)> {
        std::fs::write(folder.join("file"), "old")?;
        let script = "printf new > file.tmp && mv file.tmp file";
        Ok((
            Tool::new("/bin/sh")?.dir(folder),
            vec!["-c".into(), script.into()],
        ))
    }

    #[test]
    fn a_file_replaced_by_rename_survives_a_kill_at_every_call() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let sweep = Sweep::new(Fault::Kill, FILE_CALLS)
            .map_err(io::Error::other)?
            .touching(folder.path());
        let mut seen = BTreeSet::new();
        let injected = sweep.run(
            || writer(folder.path()),
            |injection, _| {
                seen.insert(injection.call.clone());
                let text = std::fs::read_to_string(folder.path().join("file"))?;
                if text == "old" || text == "new" {
                    Ok(())
                } else {
                    Err(io::Error::other(text))
                }
            },
        )?;
        assert!(injected >= 3, "{injected}");
        assert!(
            seen.contains("openat") && seen.iter().any(|call| call.starts_with("rename")),
            "{seen:?}"
        );
        Ok(())
    }

    #[test]
    fn a_file_written_in_place_is_caught() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let sweep = Sweep::new(Fault::Error("ENOSPC"), ["write"])
            .map_err(io::Error::other)?
            .touching(folder.path());
        let error = sweep
            .run(
                || {
                    std::fs::write(folder.path().join("file"), "old")?;
                    let script = "printf new > file";
                    Ok((
                        Tool::new("/bin/sh")?.dir(folder.path()),
                        vec!["-c".into(), script.into()],
                    ))
                },
                |_, _| match std::fs::read_to_string(folder.path().join("file"))?.as_str() {
                    "" => Err(io::Error::other("the file is empty")),
                    _ => Ok(()),
                },
            )
            .unwrap_err();
        assert!(error.to_string().contains("the file is empty"), "{error}");
        Ok(())
    }

    #[test]
    fn a_sweep_without_a_folder_ends_with_the_first_clean_run() -> io::Result<()> {
        let sweep = Sweep::new(Fault::Error("EIO"), ["write"]).map_err(io::Error::other)?;
        let mut codes = Vec::new();
        let injected = sweep.run(
            || {
                Ok((
                    Tool::new("/bin/sh")?,
                    vec!["-c".into(), "echo a && echo b && echo c".into()],
                ))
            },
            |_, output| {
                codes.push(output.code);
                Ok(())
            },
        )?;
        assert!(
            injected >= 3 && codes.iter().any(|code| *code != Some(0)),
            "{codes:?}"
        );
        Ok(())
    }

    #[test]
    fn a_sweep_that_injects_nothing_fails() -> io::Result<()> {
        let sweep = Sweep::new(Fault::Kill, ["linkat"]).map_err(io::Error::other)?;
        let prepare = || Ok((Tool::new("/bin/true")?, Vec::new()));
        assert!(sweep.run(prepare, |_, _| Ok(())).is_err());
        Ok(())
    }

    #[test]
    fn a_thinned_plan_keeps_both_ends() {
        let plan = || {
            BTreeMap::from([
                ("a".to_owned(), (1..=6).collect()),
                ("b".to_owned(), (3..=7).collect()),
            ])
        };
        let thin = thinned(plan(), 4);
        assert_eq!(thin["a"], BTreeSet::from([1, 4]));
        assert_eq!(thin["b"], BTreeSet::from([3, 7]));
        assert_eq!(thinned(plan(), 11), plan());
        assert_eq!(thinned(plan(), 1).values().flatten().count(), 1);
    }

    #[test]
    fn calls_are_counted_per_thread_and_resumed_ones_once() {
        let trace = "7 openat(AT_FDCWD</x>, \"/lib/c\", O_RDONLY) = 3</lib/c>\n\
                     7 openat(AT_FDCWD</x>, \"/d/f\", O_RDONLY <unfinished ...>\n\
                     8 openat(AT_FDCWD</x>, \"/d/g\", O_RDONLY) = 4</d/g>\n\
                     7 <... openat resumed>) = 3</d/f>\n\
                     7 write(3</d/f>, \"x\", 1) = 1\n";
        let plan = touching(trace, Path::new("/d"));
        assert_eq!(plan["openat"], BTreeSet::from([1, 2]));
        assert_eq!(plan["write"], BTreeSet::from([1]));
    }
}
