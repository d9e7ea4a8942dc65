//! Fuzzing: every parser under the properties of `tests/fuzz`, 30 seconds a target on a push and 10 minutes in a campaign.
//!
//! The targets are built as `cargo fuzz` builds them, but by cargo itself: with the committed lock file, and with nothing
//! to install but a C++ compiler. All of it stands in the cache folder:
//!
//! ```text
//! fuzz/target/           the build
//! fuzz/corpus/TARGET/    the inputs that reached something new, in this run or an earlier one
//! fuzz/seeds/TARGET/     what there is to begin with, beside the folders of `testdata`
//! fuzz/found/            inputs that broke a property
//! fuzz/TARGET.log        what the last run said
//! ```

use crate::{Failure, cargo, release};
use serde_json::Value;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use support::peers::cache;
use support::{generate, suites, tier};

/// What `cargo fuzz` gives the compiler: coverage that libFuzzer reads, and the address sanitizer.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-simplifycfg-branch-fold-threshold=0 \
    -Zsanitizer=address -Ccodegen-units=1 -Cdebug-assertions --cfg fuzzing";

/// Bounds of one input. A kibibyte holds every construct of every format several times over, and is quick. The program
/// is to need 2 s and 256 MiB at most; 10 s here are 1 s there, for sanitizer and coverage cost a factor of ten.
const BOUNDS: [&str; 3] = ["-max_len=1024", "-timeout=10", "-rss_limit_mb=256"];

/// The sanitizer keeps freed memory aside to catch later uses: little of it, for it counts. What is safe Rust may leak.
const SANITIZER: &str = "quarantine_size_mb=16:malloc_context_size=4:detect_leaks=0";

/// What became of one target.
struct Outcome {
    target: String,
    executions: String,
    coverage: String,
    peak: String,
    /// What broke it: the input, and what was said.
    finding: Option<String>,
}

/// Runs all targets, or the one that is named, as many at once as there are cores.
pub(crate) fn run(only: Option<&str>) -> Result<(), Failure> {
    let mut targets = targets()?;
    targets.retain(|target| only.is_none_or(|only| only == target));
    if targets.is_empty() {
        return Err("there is no such target; they stand in tests/fuzz/Cargo.toml".into());
    }
    let folder = cache::root()?.join("fuzz");
    let programs = build(&folder)?;
    let seconds = tier::count(30, 600);
    println!("fuzz: {} targets, {seconds} s each", targets.len());
    let cores = thread::available_parallelism()?.get().min(targets.len());
    let (waiting, failed) = (Mutex::new(targets.into_iter()), Mutex::new(Vec::new()));
    let next = || waiting.lock().ok().and_then(|mut waiting| waiting.next());
    let work = || {
        while let Some(target) = next() {
            let text = match fuzz(&target, &folder, &programs, seconds) {
                Ok(outcome) => {
                    println!("{}", outcome.line());
                    outcome.finding
                }
                Err(failure) => Some(format!("fuzz: {target}: {failure}")),
            };
            if let (Some(text), Ok(mut failed)) = (text, failed.lock()) {
                failed.push(text);
            }
        }
    };
    thread::scope(|scope| (0..cores).for_each(|_| drop(scope.spawn(work))));
    let failed = failed.into_inner().unwrap_or_default();
    if failed.is_empty() {
        return Ok(());
    }
    Err(failed.join("\n").into())
}

/// The programs of `tests/fuzz`.
fn targets() -> Result<Vec<String>, Failure> {
    let mut command = cargo::command("metadata --format-version 1 --no-deps --locked");
    let output = command
        .args(["--manifest-path", "tests/fuzz/Cargo.toml"])
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let targets = metadata["packages"][0]["targets"]
        .as_array()
        .into_iter()
        .flatten();
    Ok(targets
        .filter(|target| target["kind"][0] == "bin")
        .filter_map(|target| target["name"].as_str().map(str::to_owned))
        .collect())
}

/// Builds the programs and returns their folder.
fn build(folder: &Path) -> Result<PathBuf, Failure> {
    let (host, target) = (release::host()?, folder.join("target"));
    let mut command =
        cargo::command("build --release --locked --quiet --bins --manifest-path tests/fuzz/Cargo.toml");
    command
        .args(["--target", &host])
        .env("CARGO_TARGET_DIR", &target)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTFLAGS", FLAGS);
    cargo::succeed(command)?;
    Ok(target.join(host).join("release"))
}

fn fuzz(target: &str, folder: &Path, programs: &Path, seconds: usize) -> Result<Outcome, Failure> {
    let folders = [folder.join("corpus").join(target), seeds(target, folder)?];
    fs::create_dir_all(&folders[0])?;
    let (found, log) = (folder.join("found"), folder.join(format!("{target}.log")));
    fs::create_dir_all(&found)?;
    let (root, program) = (cargo::root().canonicalize()?, programs.join(target));
    let mut command = Command::new(&program);
    command
        .args(BOUNDS)
        .args([
            format!("-max_total_time={seconds}"),
            "-print_final_stats=1".to_owned(),
        ])
        .arg(format!("-artifact_prefix={}/{target}-", found.display()))
        .args(folders)
        .args(kept(target).map(|name| root.join("testdata").join(name)))
        .env("ASAN_OPTIONS", SANITIZER)
        .stderr(File::create(&log)?);
    let dictionary = root.join(format!("tests/fuzz/dictionaries/{target}.txt"));
    if dictionary.is_file() {
        command.arg(format!("-dict={}", dictionary.display()));
    }
    let status = command.status()?;
    let said = fs::read(&log)?;
    let said = String::from_utf8_lossy(&said);
    let finding = (!status.success()).then(|| report(target, &said, &program, &log));
    Ok(Outcome::read(target, &said, finding))
}

/// The folders of `testdata` that hold inputs of a target.
fn kept(target: &str) -> impl Iterator<Item = String> {
    let more: &[&str] = match target {
        "yaml" | "path" => &["manifests"],
        "metadata" | "json" | "dotenv" | "ini" => &["sops/values"],
        _ => &[],
    };
    std::iter::once(format!("fuzz/{target}")).chain(more.iter().map(|name| (*name).to_owned()))
}

/// Writes what there is to begin with into a folder, and returns it.
fn seeds(target: &str, folder: &Path) -> Result<PathBuf, Failure> {
    const GENERATED: std::ops::Range<u64> = 0..40;
    let texts: Vec<String> = match target {
        "yaml" => suites::yaml()?.into_iter().map(|case| case.yaml).collect(),
        "json" => suites::json()?.into_iter().map(|case| case.json).collect(),
        "dotenv" => GENERATED.map(generate::dotenv).collect(),
        "ini" => GENERATED.map(generate::ini).collect(),
        "config" => configurations()?,
        _ => Vec::new(),
    };
    let folder = folder.join("seeds").join(target);
    fs::create_dir_all(&folder)?;
    for (number, text) in texts.iter().enumerate() {
        fs::write(folder.join(number.to_string()), text)?;
    }
    Ok(folder)
}

/// The configurations and the patterns of `testdata/sops`.
fn configurations() -> Result<Vec<String>, Failure> {
    let folder = cargo::root().join("testdata/sops");
    let cases = fs::read_to_string(folder.join("config.txt"))?;
    let cases = cases
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut texts: Vec<String> = cases
        .filter_map(|case| case["text"].as_str().map(str::to_owned))
        .collect();
    let patterns = fs::read_to_string(folder.join("patterns.txt"))?;
    texts.extend(patterns.lines().map(str::to_owned));
    Ok(texts)
}

/// What was found, and how to see it again.
fn report(target: &str, said: &str, program: &Path, log: &Path) -> String {
    let input = said
        .lines()
        .find_map(|line| line.split_once("Test unit written to "));
    let Some((_, input)) = input else {
        return format!("fuzz: {target} ended early: {}", log.display());
    };
    let mut why = said
        .lines()
        .skip_while(|line| !line.contains("panicked at") && !line.contains("ERROR: "));
    let why: Vec<&str> = why.by_ref().take(2).collect();
    format!(
        "fuzz: {target}: {}\n  the input: {input}\n  once more: {} {input}\n  to keep it: move it to testdata/fuzz/{target}",
        why.join("\n  "),
        program.display()
    )
}

impl Outcome {
    /// Reads what libFuzzer says: `#714 DONE cov: 18108 ft: 64897 ...` and `stat::peak_rss_mb: 103`.
    fn read(target: &str, said: &str, finding: Option<String>) -> Self {
        let statistic = |name: &str| {
            let mut lines = said
                .lines()
                .filter_map(|line| line.strip_prefix("stat::")?.strip_prefix(name));
            let value = lines.next_back().and_then(|rest| rest.strip_prefix(':'));
            value.unwrap_or("?").trim().to_owned()
        };
        let coverage = said
            .rsplit_once(" cov: ")
            .and_then(|(_, rest)| rest.split(' ').next());
        Self {
            target: target.to_owned(),
            executions: statistic("number_of_executed_units"),
            coverage: coverage.unwrap_or("?").to_owned(),
            peak: statistic("peak_rss_mb"),
            finding,
        }
    }

    fn line(&self) -> String {
        let Self {
            target,
            executions,
            coverage,
            peak,
            finding,
        } = self;
        let end = if finding.is_some() { "BROKEN" } else { "ok" };
        format!("fuzz: {target}: {end}: {executions} executions, coverage {coverage}, at most {peak} MiB")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "#12\tNEW    cov: 17 ft: 20 corp: 2/3b\n#714\tDONE   cov: 18 ft: 21 corp: 2/3b lim: 9\n\
        stat::number_of_executed_units: 714\nstat::peak_rss_mb:              103\n";

    #[test]
    fn the_end_of_a_run_is_read() {
        let line = Outcome::read("yaml", SAID, None).line();
        assert_eq!(
            line,
            "fuzz: yaml: ok: 714 executions, coverage 18, at most 103 MiB"
        );
    }

    #[test]
    fn a_finding_says_how_to_see_it_again() {
        let said = "thread '<unnamed>' (1) panicked at properties/a.rs:1:2:\nno round trip\n\
            artifact_prefix='/c/yaml-'; Test unit written to /c/yaml-crash-12\n";
        let text = report("yaml", said, Path::new("/b/yaml"), Path::new("/c/yaml.log"));
        for expected in [
            "no round trip",
            "/b/yaml /c/yaml-crash-12\n",
            "testdata/fuzz/yaml",
        ] {
            assert!(text.contains(expected), "{text}");
        }
        let text = report("yaml", "killed", Path::new("/b/yaml"), Path::new("/c/yaml.log"));
        assert!(text.ends_with("ended early: /c/yaml.log"), "{text}");
    }
}
