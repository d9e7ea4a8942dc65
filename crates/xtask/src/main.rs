//! The project's own tasks. What CI does, a person does with the same words: `cargo xtask test` is a push's gate.
#![allow(clippy::print_stdout, clippy::print_stderr)] // These tasks exist to print.

mod bench;
mod campaign;
mod cargo;
mod deny;
mod floors;
mod fuzz;
mod release;
mod servers;
mod sizes;
mod test;
mod vectors;

use std::process::ExitCode;

/// What went wrong, for a person to read.
type Failure = Box<dyn std::error::Error>;

const HELP: &str = "cargo xtask TASK

  test [--fast]      every check and every test; --fast: only what needs neither network nor peers
  campaign [NAME]    the full counts of a test family, hours long, with a log; without NAME: the list
  bench [NAME]       ours against its peers, as ratios; without NAME: the list
  fuzz [TARGET]      every parser for half a minute under libFuzzer; what it finds is kept
  floors             no crate imports from its own floor or a higher one
  sizes              files that have grown too long
  vectors [pin]      testdata is documented and unchanged; pin: write its sums anew
  deny               dependencies: banned crates, licences, sources
  release            builds `seal` as it is released: static on Linux; prints where it is
  servers            finds or installs the peers that the tests talk to
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words[..] {
        ["test"] => test::everything(),
        ["test", "--fast"] => test::fast(),
        ["campaign"] => campaign::list(),
        ["campaign", name] => campaign::run(name),
        ["bench"] => bench::list(),
        ["bench", name] => bench::run(name),
        ["fuzz"] => fuzz::run(None),
        ["fuzz", target] => fuzz::run(Some(target)),
        ["floors"] => floors::check(),
        ["sizes"] => sizes::check(),
        ["vectors"] => vectors::check(),
        ["vectors", "pin"] => vectors::pin(),
        ["deny"] => deny::check(),
        ["release"] => release::run(),
        ["servers"] => servers::check(),
        [] | ["help" | "--help" | "-h"] => help(),
        _ => Err(format!("no such task: {}\n\n{HELP}", words.join(" ")).into()),
    };
    result.map_or_else(
        |failure| (eprintln!("error: {failure}"), ExitCode::FAILURE).1,
        |()| ExitCode::SUCCESS,
    )
}

fn help() -> Result<(), Failure> {
    print!("{HELP}");
    Ok(())
}
