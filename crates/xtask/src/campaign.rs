//! Campaigns: test families at their full counts, for hours, with a log that is kept.
//!
//! A campaign is tests, or a task, run with `SEALWRIGHT_TIER=campaign`, which `support::tier` reads. So nothing is
//! written twice: a push runs the same with small counts.

use crate::{Failure, cargo};
use std::fs::{self, File};
use std::time::{SystemTime, UNIX_EPOCH};
use support::peers::cache;
use support::tier;

/// One campaign.
struct Campaign {
    name: &'static str,
    what: &'static str,
    work: Work,
}

/// What it runs.
enum Work {
    /// The tests that these arguments of `cargo test` select.
    Tests(&'static str),
    /// A task of `cargo xtask`.
    Task(&'static str),
}

const CAMPAIGNS: [Campaign; 7] = [
    Campaign {
        name: "inputs",
        what: "every manifest and mutation, and 2,000 generated documents a format, through two versions of SOPS",
        work: Work::Tests("--package support --lib -- corpus generate"),
    },
    Campaign {
        name: "interop",
        what: "400 files of five formats, 12,000 placed comments and 300 patterns, between seal and two versions of SOPS",
        work: Work::Tests("--package seal --test interop"),
    },
    Campaign {
        name: "tampering",
        what: "ten ways to change a sealed file without its key, by hand and in 1,000 generated variants",
        work: Work::Tests("--package seal --test cli -- tampering variants"),
    },
    Campaign {
        name: "faults",
        what: "seal killed, and its system calls failed, at every one of them; many writers of one file; a tree of 10,000",
        work: Work::Tests("--package seal --test faults"),
    },
    Campaign {
        name: "reading",
        what: "3,000,000 small YAML documents with random changes, read line by line and by the parser",
        work: Work::Tests("--release --package document --lib -- by_line"),
    },
    Campaign {
        name: "fuzz",
        what: "every parser under libFuzzer for 10 minutes",
        work: Work::Task("fuzz"),
    },
    Campaign {
        name: "timing",
        what: "10,000,000 timings of each operation on secrets, 1,000,000 of each malformed item, against random ones",
        work: Work::Tests("--release --package sops --package sealed-secrets --test timing"),
    },
];

/// Prints the campaigns.
pub(crate) fn list() -> Result<(), Failure> {
    for campaign in &CAMPAIGNS {
        println!("{:<12} {}", campaign.name, campaign.what);
    }
    Ok(())
}

/// Runs the campaign `name`.
pub(crate) fn run(name: &str) -> Result<(), Failure> {
    let campaign = CAMPAIGNS.iter().find(|campaign| campaign.name == name);
    let campaign =
        campaign.ok_or_else(|| format!("no campaign {name}; `cargo xtask campaign` lists them"))?;
    let folder = cache::root()?.join("campaigns");
    fs::create_dir_all(&folder)?;
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let log = folder.join(format!("{name}-{seconds}.log"));
    println!("campaign {name}: {}; log: {}", campaign.what, log.display());
    let (mut command, tests) = match campaign.work {
        Work::Tests(selection) => (
            cargo::command(&format!("test --locked --no-fail-fast {selection}")),
            true,
        ),
        Work::Task(task) => (cargo::command(&format!("xtask {task}")), false),
    };
    command.env(tier::VARIABLE, "campaign");
    let (counts, content) = cargo::test(command, Some(File::create(&log)?))?;
    if tests {
        println!("{} passed, {} failed", counts.passed, counts.failed);
    }
    println!("log: {}", log.display());
    if content && (counts.passed > 0 || !tests) {
        Ok(())
    } else {
        Err(format!("campaign {name} failed").into())
    }
}
