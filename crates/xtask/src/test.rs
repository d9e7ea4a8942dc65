//! `cargo xtask test`: the whole gate of a push.
//!
//! Every step runs, even after another failed, so that one run tells everything. A step that lacks a peer fails.

use crate::cargo::{self, Counts};
use crate::{Failure, deny, floors, fuzz, servers, sizes, vectors};
use std::time::Instant;

/// The steps and what they said.
#[derive(Default)]
struct Run {
    failures: Vec<String>,
}

impl Run {
    fn step(&mut self, name: &str, step: impl FnOnce() -> Result<(), Failure>) {
        println!("== {name}");
        let start = Instant::now();
        let result = step();
        let seconds = start.elapsed().as_secs_f32();
        match result {
            Ok(()) => println!("== {name}: ok ({seconds:.1} s)"),
            Err(failure) => {
                eprintln!("error: {failure}");
                println!("== {name}: FAILED ({seconds:.1} s)");
                self.failures.push(name.to_owned());
            }
        }
    }

    fn checks(&mut self) {
        self.step("format", || cargo::succeed(cargo::command("fmt --all --check")));
        self.step("clippy", || {
            cargo::succeed(cargo::command(
                "clippy --workspace --all-targets --locked --quiet -- -D warnings",
            ))
        });
        self.step("floors", floors::check);
        self.step("sizes", sizes::check);
        self.step("vectors", vectors::check);
    }

    /// Runs the tests that `selection` names and closes with the sum of all of them.
    fn tests(mut self, selection: &str) -> Result<(), Failure> {
        let mut counts = Counts::default();
        self.step("tests", || {
            let mut command = cargo::command(&format!("test --locked --no-fail-fast {selection}"));
            // A snapshot that differs is a failure, never a new file in the checkout.
            command.env("INSTA_UPDATE", "no");
            let (sum, content) = cargo::test(command, None)?;
            counts = sum;
            match sum {
                Counts { passed: 0, .. } => Err("no test ran".into()),
                Counts { ignored: 1.., .. } => Err(format!("{} tests were skipped", sum.ignored).into()),
                _ if !content => Err("cargo test failed".into()),
                _ => Ok(()),
            }
        });
        println!("{} passed, {} failed", counts.passed, counts.failed);
        if self.failures.is_empty() {
            return Ok(());
        }
        Err(format!("these steps failed: {}", self.failures.join(", ")).into())
    }
}

/// Every check, every peer, every test.
pub(crate) fn everything() -> Result<(), Failure> {
    let mut run = Run::default();
    run.checks();
    run.step("doc", || {
        let mut command = cargo::command("doc --workspace --no-deps --locked --quiet");
        command.env("RUSTDOCFLAGS", "-D warnings");
        cargo::succeed(command)
    });
    run.step("deny", deny::check);
    run.step("servers", servers::check);
    run.step("fuzz", || fuzz::run(None));
    run.tests("--workspace")
}

/// The checks and the unit tests of the pure crates: neither network nor peers.
pub(crate) fn fast() -> Result<(), Failure> {
    let mut run = Run::default();
    run.checks();
    let pure = cargo::members()?
        .into_iter()
        .filter(|member| member.floor.is_some_and(|floor| floor <= floors::HIGHEST_PURE));
    let packages: Vec<String> = pure.map(|member| format!("--package {}", member.name)).collect();
    run.tests(&format!("--lib {}", packages.join(" ")))
}
