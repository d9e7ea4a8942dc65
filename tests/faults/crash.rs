//! Every command that writes in place is killed at its system calls, and these fail: FS-01 and FS-02.
//!
//! A kill goes to every call of the whole process, an error to every call that touches the folder of the file. After
//! each the file is the old one or the new one, whole, and the command, run again, succeeds and cleans up.
//!
//! Small form: two of each a case, at calls all over the run. Campaign: every call, every error.

use std::io::{self, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use support::random::Random;
use support::run::Output;
use support::strace::{FILE_CALLS, Fault, Injection, Sweep};
use support::tier;

use crate::cases::{self, Around, Case, Command, Kind};
use crate::scene::{Result, ended, verdict};
use crate::stage::{Stage, State};

/// Calls that cannot lose a file, but may make a command believe that there is nothing to do.
const LOOKING_CALLS: [&str; 13] = [
    "read",
    "pread64",
    "stat",
    "lstat",
    "statx",
    "fstat",
    "newfstatat",
    "readlink",
    "readlinkat",
    "getdents64",
    "flistxattr",
    "fgetxattr",
    "fsetxattr",
];

/// What a disk and its quota do, and a signal that comes at the wrong time.
const ERRORS: [Fault; 7] = [
    Fault::Error("EIO"),
    Fault::Error("EINTR"),
    Fault::Error("ENOSPC"),
    Fault::Error("EDQUOT"),
    Fault::Error("EROFS"),
    Fault::Lasting("ENOSPC"),
    Fault::Lasting("EIO"),
];

/// A variable that names the commands to look at, for a run by hand: `SEALWRIGHT_FAULTS=Edit,UpdateKeys`.
const ONLY: &str = "SEALWRIGHT_FAULTS";

#[test]
fn a_kill_at_any_call_loses_nothing() -> Result {
    campaign("kills at system calls", tier::count(100, 2_000), kills)
}

#[test]
fn an_error_of_any_call_loses_nothing() -> Result {
    campaign("errors of system calls", tier::count(100, 1_000), errors)
}

/// Between two calls, and in the middle of a long one: a kill at a random time of a run on a big file.
#[test]
fn a_kill_at_any_moment_loses_nothing() -> Result {
    let case = Case {
        command: Command::Rotate,
        kind: Kind::Binary,
        around: Around::Nothing,
        values: 300,
    };
    let stage = Stage::new(case)?;
    let (tool, arguments) = stage.prepare()?;
    let start = Instant::now();
    tool.run(arguments)?.expect_success()?;
    let mut length = start.elapsed().as_micros() as usize;
    let (mut random, mut wrong, mut killed) = (Random::new(1), Vec::new(), 0);
    let runs = tier::count(10, 1_000);
    for _ in 0..runs {
        let (tool, arguments) = stage.prepare()?;
        let mut child = tool.command(arguments).spawn()?;
        let pause = random.below(length);
        std::thread::sleep(Duration::from_micros(pause as u64));
        child.kill()?;
        let status = child.wait()?;
        // How long a run takes depends on what else the machine does: the pauses follow it.
        if status.signal() == Some(9) {
            killed += 1;
            length += length / 8;
        } else {
            length = pause.max(1_000);
        }
        let output = Output {
            code: status.code(),
            signal: status.signal(),
            stdout: Vec::new(),
            stderr: Vec::new(),
        };
        let checked = stage.states(&output).and_then(|_| stage.rerun());
        wrong.extend(checked.err().map(|error| error.to_string()));
    }
    say(&format!(
        "{killed} kills at random times, {runs} runs: {} files lost or damaged",
        wrong.len()
    ));
    assert!(killed >= runs / 4, "only {killed} of {runs} runs were killed");
    verdict(&wrong, runs, runs)
}

/// What became of one case.
#[derive(Default)]
struct Found {
    injected: usize,
    wrong: Vec<String>,
}

/// Runs all cases, two at a time, and says how many faults there were: on standard output, which the log of a
/// campaign keeps.
fn campaign(what: &str, at_least: usize, run: impl Fn(Case, usize) -> Result<Found> + Sync) -> Result {
    let run = &run;
    let mut cases = cases::all();
    if !tier::is_campaign() {
        cases.retain(|case| !case.is_big() && case.is_first());
    }
    let only = std::env::var(ONLY).ok();
    if let Some(only) = &only {
        cases.retain(|case| only.split(',').any(|name| format!("{:?}", case.command) == name));
    }
    let at_least = if only.is_some() { 1 } else { at_least };
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Found::default());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = cases.get(number) else {
                        break;
                    };
                    // A thread of its own: what it gives up to be refused by a folder it does not get back.
                    let one = scope.spawn(move || run(*case, number)).join();
                    let mut one = match one {
                        Ok(Ok(one)) => one,
                        Ok(Err(error)) => Found {
                            injected: 0,
                            wrong: vec![error.to_string()],
                        },
                        Err(_) => Found {
                            injected: 0,
                            wrong: vec!["the test panicked".to_owned()],
                        },
                    };
                    let mut all = found.lock().unwrap_or_else(|error| error.into_inner());
                    if tier::is_campaign() {
                        say(&format!(
                            "{case:?}: {} {what}, {} wrong",
                            one.injected,
                            one.wrong.len()
                        ));
                    }
                    all.injected += one.injected;
                    all.wrong
                        .extend(one.wrong.drain(..).map(|text| format!("{case:?}: {text}")));
                }
            });
        }
    });
    let found = found.into_inner().unwrap_or_else(|error| error.into_inner());
    say(&format!(
        "{} {what}, {} cases: {} files lost or damaged",
        found.injected,
        cases.len(),
        found.wrong.len()
    ));
    verdict(&found.wrong, found.injected, at_least)
}

/// Past the capture of the test harness.
fn say(text: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "faults: {text}").and_then(|()| out.flush());
}

/// A kill at every call of the process, from the loader's to the last; of a big file's, at those that touch it.
fn kills(case: Case, number: usize) -> Result<Found> {
    let stage = staged(case)?;
    let all = tier::is_campaign();
    let faults = if case.is_big() {
        Sweep::new(Fault::Kill, FILE_CALLS.into_iter().chain(LOOKING_CALLS))?.touching(stage.folder())
    } else {
        Sweep::everywhere(Fault::Kill)?
    };
    let faults = alone(faults, &case);
    let faults = if all {
        faults
    } else {
        // A prime, so that the cases meet calls all over the run.
        faults.spread(2).from(number * 97)
    };
    let (mut found, mut seen) = (Found::default(), Vec::new());
    found.injected = faults.run(
        || stage.prepare(),
        |injection, output| {
            match after_kill(&stage, output) {
                Ok(states) => seen.extend(states),
                Err(error) => found.wrong.push(format!("{injection:?}: {error}")),
            }
            Ok(())
        },
    )?;
    // A sweep that never saw both was not about the writing of the file.
    let new_too = seen.contains(&State::New) == (case.around != Around::ReadOnly);
    if all && !(seen.contains(&State::Old) && new_too) {
        found
            .wrong
            .push("the kills came all before or all after the writing".to_owned());
    }
    Ok(found)
}

fn after_kill(stage: &Stage, output: &Output) -> io::Result<Vec<State>> {
    if output.signal != Some(9) {
        return Err(io::Error::other(format!("it was not killed: {}", ended(output))));
    }
    let states = stage.states(output)?;
    stage.rerun()?;
    Ok(states)
}

/// Every error at every call that touches the folder. Of a big file two errors will do.
fn errors(case: Case, number: usize) -> Result<Found> {
    let stage = staged(case)?;
    let mut found = Found::default();
    let faults: Vec<Fault> = match (tier::is_campaign(), case.is_big()) {
        (true, false) => ERRORS.to_vec(),
        (true, true) => vec![ERRORS[0], ERRORS[5]],
        (false, _) => vec![ERRORS[number % ERRORS.len()], ERRORS[(number + 2) % ERRORS.len()]],
    };
    for fault in faults {
        let mut calls = FILE_CALLS.to_vec();
        if matches!(fault, Fault::Error("EIO" | "EINTR")) {
            calls.extend(LOOKING_CALLS);
        }
        let mut sweep = alone(Sweep::new(fault, calls)?.touching(stage.folder()), &case);
        if !tier::is_campaign() {
            sweep = sweep.spread(1).from(number * 97);
        }
        found.injected += sweep.run(
            || stage.prepare(),
            |injection, output| {
                let after = after_error(&stage, &case, injection, output);
                let after = after.and_then(|()| stage.rerun());
                found
                    .wrong
                    .extend(after.err().map(|error| format!("{injection:?}: {error}")));
                Ok(())
            },
        )?;
    }
    Ok(found)
}

/// After an error: an error that names the file (or the policy beside it) and leaves the old one, or a success
/// with the new one.
fn after_error(stage: &Stage, case: &Case, injection: &Injection, output: &Output) -> io::Result<()> {
    let wrong = |text: String| Err(io::Error::other(text));
    if injection.call == "close"
        && output.err().contains("panicked at /rustc/")
        && output.err().contains("/library/std/src/sys/fs/")
    {
        // The standard library panics when a folder it has listed cannot be closed. No file system refuses that:
        // there is nothing to flush. It comes before anything is written, or after all, when the folder is removed
        // that an editor was given.
        let after_all = case.command == Command::Edit;
        let half_done = stage.found()?.contains(&State::New) && !after_all;
        let left = !stage.left_over()?.is_empty() && case.around != Around::LeftOver;
        return match half_done || left {
            false => Ok(()),
            true => wrong("a panic in the middle of writing".to_owned()),
        };
    }
    let states = stage.states(output)?;
    // What works on a tree is another thread: the call with the same number in the first one is hit, too.
    let in_a_tree = case.around == Around::Tree;
    if in_a_tree && output.code == Some(127) && output.err().contains("error while loading shared libraries")
    {
        return match states.contains(&State::New) {
            false => Ok(()),
            true => wrong("the program was not loaded, and a file is new".to_owned()),
        };
    }
    let Some(code) = output.code else {
        return wrong(format!("it did not exit: {}", ended(output)));
    };
    if code == 0 && states.contains(&State::Old) {
        return wrong("success was claimed and nothing written".to_owned());
    }
    // An error that hit the standard error stream cannot be told there.
    let untold = injection.call == "write"
        && (matches!(injection.fault, Fault::Lasting(_)) || case.around == Around::ReadOnly || in_a_tree);
    if code != 0 && !untold && !output.err().contains("/work") {
        return wrong(format!("no file is named: {}", ended(output)));
    }
    // Once renamed the file is new, even if the folder cannot be made durable: that must be said.
    let late = injection.call.contains("sync") || injection.call == "close" || in_a_tree;
    if code != 0 && states.contains(&State::New) && !late {
        return wrong(format!(
            "an error was claimed and the file written: {}",
            ended(output)
        ));
    }
    // What cannot be removed stays, until the next run; and what another run left is not this one's failure.
    let removing = injection.call.starts_with("unlink");
    let left = stage.left_over()?;
    if !left.is_empty() && !removing && case.around != Around::LeftOver {
        return wrong(format!("left over: {left:?}"));
    }
    // The folder for the editor is opened to be removed.
    let removing = removing || matches!(injection.fault, Fault::Lasting(_));
    if let Some(left) = stage.in_memory()?.filter(|_| !removing) {
        return wrong(format!("plaintext is left in memory: {}", left.display()));
    }
    Ok(())
}

/// The editor is not under test.
fn alone(sweep: Sweep, case: &Case) -> Sweep {
    match case.command {
        Command::Edit => sweep.alone(),
        _ => sweep,
    }
}

/// A folder that may not be written refuses root only if root gives up its right to write everywhere.
fn staged(case: Case) -> Result<Stage> {
    if case.around == Around::ReadOnly && rustix::process::geteuid().is_root() {
        let everywhere = rustix::thread::CapabilitySet::DAC_OVERRIDE;
        rustix::thread::remove_capability_from_bounding_set(everywhere)?;
    }
    Stage::new(case)
}
