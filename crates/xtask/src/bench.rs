//! Benchmarks: ours against its peers, as ratios.
//!
//! A machine's mood moves absolute times by tens of percent; runs that alternate between ours and theirs share it. What
//! is reported is the median of each and their quotient. A benchmark is one function in the list [`benches`].

mod cli;
mod ground;
mod input;
mod keys;
mod measure;
mod row;
mod sealed_files;
mod sops;

use crate::{Failure, release};
use ground::{File, Ground, ROUNDS, SHORT_ROUNDS, SMALL};
use measure::{Program, Runs, by_turns};
use row::{Goal, Row};
use std::cell::Cell;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use support::keys::Identity;
use support::peers;
use support::run::Tool;

/// Name, what it compares, and the function that does.
type Bench = (&'static str, &'static str, fn() -> Result<(), Failure>);

fn benches() -> Vec<Bench> {
    vec![
        (
            "startup",
            "`--version` of ours against released and newest SOPS",
            startup,
        ),
        (
            "sops",
            "files of SOPS, small, large and many, against released SOPS",
            sops::run,
        ),
        (
            "cli",
            "commands that change files or start programs, against released SOPS",
            cli::run,
        ),
        (
            "keys",
            "keys that lie with AWS KMS and Vault, behind a slow network, against released SOPS",
            keys::run,
        ),
        (
            "sealed-files",
            "SealedSecrets without a cluster, against kubeseal",
            sealed_files::run,
        ),
    ]
}

/// Prints the benchmarks.
pub(crate) fn list() -> Result<(), Failure> {
    for (name, what, _) in benches() {
        println!("{name:<12} {what}");
    }
    Ok(())
}

/// Runs the benchmark `name`.
pub(crate) fn run(name: &str) -> Result<(), Failure> {
    let bench = benches().into_iter().find(|(candidate, ..)| *candidate == name);
    let (.., bench) = bench.ok_or_else(|| format!("no benchmark {name}; `cargo xtask bench` lists them"))?;
    bench()
}

/// Our program, built as it is released.
pub(crate) fn seal() -> Result<PathBuf, Failure> {
    release::build("--package seal", "seal")
}

/// Runs `ours` and `theirs` by turns, `rounds` times after one warm-up, and prints the medians and their quotient.
pub(crate) fn compare(
    label: &str,
    rounds: usize,
    mut ours: impl FnMut() -> Result<(), Failure>,
    mut theirs: impl FnMut() -> Result<(), Failure>,
) -> Result<f64, Failure> {
    let mut times = (Vec::with_capacity(rounds), Vec::with_capacity(rounds));
    ours()?;
    theirs()?;
    for _ in 0..rounds {
        times.0.push(timed(&mut ours)?);
        times.1.push(timed(&mut theirs)?);
    }
    let (ours, theirs) = (median(times.0), median(times.1));
    let ratio = theirs.as_secs_f64() / ours.as_secs_f64().max(1e-9);
    println!("{label}: ours {ours:.1?}, theirs {theirs:.1?}: {ratio:.2} times as fast (median of {rounds})");
    Ok(ratio)
}

fn timed(run: &mut impl FnMut() -> Result<(), Failure>) -> Result<Duration, Failure> {
    let start = Instant::now();
    run()?;
    Ok(start.elapsed())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// Opening a file of a few values: what scripts do most.
fn small_file(ground: &Ground) -> Result<(), Failure> {
    short_runs(ground, "decrypt one small age file", 8.0, 1, |file| {
        ["decrypt", file]
    })
}

/// The same command line of both with one small sealed file, which `seed` fills.
fn short_runs<const WORDS: usize>(
    ground: &Ground,
    work: &str,
    at_least: f64,
    seed: u64,
    command: impl for<'a> Fn(&'a str) -> [&'a str; WORDS],
) -> Result<(), Failure> {
    ground.write("small.yaml", &input::yaml(seed, SMALL))?;
    let sealed = ground.seal_copy("small.yaml")?;
    let command = command(&sealed);
    let (ours, theirs) = by_turns(
        SHORT_ROUNDS,
        || ground.ours.run(&command),
        || ground.theirs.run(&command),
    )?;
    Row::new(work, Goal::Ratio(at_least), &ours, Some(&theirs)).print();
    Ok(())
}

/// `updatekeys` over the folders `ours` and `theirs`, in which `files` are, one process each: every run finds another age
/// recipient in the policy, whose rule `rule` makes of it. Ours writes each file durably, SOPS does not.
fn update_keys(
    ground: &Ground,
    [ours, theirs]: [&Program; 2],
    files: &[File],
    rule: impl Fn(&str) -> String,
) -> Result<(Runs, Runs), Failure> {
    let next = Cell::new(2);
    let renew = |folder: &str| -> Result<(), Failure> {
        next.set(next.get() + 1);
        let recipient = Identity::from_seed(next.get())?.recipient;
        Ok(ground.write_policy(folder, &rule(&recipient))?)
    };
    let mut of_sops = vec!["--config", "theirs/.sops.yaml", "updatekeys", "--yes"];
    of_sops.extend(files.iter().map(|file| file.path.as_str()));
    by_turns(
        ROUNDS,
        || {
            renew("ours")?;
            ours.run(&["--yes", "--quiet", "updatekeys", "ours"])
        },
        || {
            renew("theirs")?;
            theirs.run(&of_sops)
        },
    )
}

fn startup() -> Result<(), Failure> {
    let ours = Tool::new(seal()?)?;
    for (version, program) in [("3.11.0", peers::sops_3_11()?), ("3.13.3", peers::sops_3_13()?)] {
        let theirs = Tool::new(program)?;
        let run =
            |tool: &Tool| -> Result<(), Failure> { Ok(tool.run(["--version"])?.expect_success().map(drop)?) };
        compare(
            &format!("startup against sops {version}"),
            51,
            || run(&ours),
            || run(&theirs),
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_and_theirs_take_turns_and_the_median_is_in_the_middle() -> Result<(), Failure> {
        let turns = std::cell::RefCell::new(String::new());
        let turn = |mark| {
            turns.borrow_mut().push(mark);
            Ok(())
        };
        compare("turns", 3, || turn('o'), || turn('t'))?;
        assert_eq!(turns.into_inner(), "otototot");
        assert_eq!(
            median([3, 1, 2].map(Duration::from_secs).to_vec()),
            Duration::from_secs(2)
        );
        Ok(())
    }
}
