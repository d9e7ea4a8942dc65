//! Campaigns: test families at their full counts, for hours, with a log that is kept.
//!
//! A campaign is the tests whose path contains its name, run with `SEALWRIGHT_TIER=campaign`, which `support::tier`
//! reads. So nothing is written twice: a push runs the same tests with small counts.

use crate::{Failure, cargo};
use std::fs::{self, File};
use std::time::{SystemTime, UNIX_EPOCH};
use support::peers::cache;
use support::tier;

/// One campaign.
struct Campaign {
    name: &'static str,
    what: &'static str,
    /// The arguments of `cargo test` that select its tests.
    selection: &'static str,
}

const CAMPAIGNS: [Campaign; 6] = [
    Campaign {
        name: "inputs",
        what: "every manifest and mutation, and 2,000 generated documents a format, through two versions of SOPS",
        selection: "--package support --lib -- corpus generate",
    },
    Campaign {
        name: "interop",
        what: "400 files of five formats, 12,000 placed comments and 300 patterns, between seal and two versions of SOPS",
        selection: "--package seal --test interop",
    },
    Campaign {
        name: "tampering",
        what: "ten ways to change a sealed file without its key, by hand and in 1,000 generated variants",
        selection: "--package seal --test cli -- tampering variants",
    },
    Campaign {
        name: "faults",
        what: "seal killed, and its system calls failed, at every one of them; many writers of one file; a tree of 10,000",
        selection: "--package seal --test faults",
    },
    Campaign {
        name: "reading",
        what: "3,000,000 small YAML documents with random changes, read line by line and by the parser",
        selection: "--release --package document --lib -- by_line",
    },
    Campaign {
        name: "timing",
        what: "10,000,000 timings of each operation on secrets, fixed inputs against random ones",
        selection: "--release --package sops --test timing",
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
    let mut command = cargo::command("test --locked --no-fail-fast");
    command
        .args(campaign.selection.split(' '))
        .env(tier::VARIABLE, "campaign");
    let (counts, content) = cargo::test(command, Some(File::create(&log)?))?;
    println!(
        "{} passed, {} failed; log: {}",
        counts.passed,
        counts.failed,
        log.display()
    );
    if content && counts.passed > 0 {
        Ok(())
    } else {
        Err(format!("campaign {name} failed").into())
    }
}
