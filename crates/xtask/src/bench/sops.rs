//! Files of SOPS: `seal` against released SOPS, whole processes, on the same inputs and under the same age key.
//!
//! Every input of a decryption is sealed once, by ours, and opened by both; before anything is timed, ours must give the
//! plain text back. Files lie in a temporary folder and are warm in the page cache. A goal that was missed is told in its
//! row and is no failure.
//!
//! | variable | effect |
//! |---|---|
//! | `SEALWRIGHT_BENCH_OURS_ONLY=1` | runs ours alone where the peer takes minutes |
//! | `SEALWRIGHT_BENCH_SCALE=N` | divides the inputs by N, to try the benchmark itself |
//! | `SEALWRIGHT_BENCH_ONLY=A,B` | measures only these of small, maps.yaml, flat.yaml, flat.json, many, check |
//! | `SEALWRIGHT_BENCH_SEAL=FILE` | measures this program instead of building the release |

mod floor;

use super::ground::{Ground, LOOP, ROUNDS, wanted};
use super::measure::{Runs, alone, by_turns};
use super::row::{self, Goal, Memory, Row};
use super::{input, small_file};
use crate::Failure;
use floor::Floor;
use std::time::Duration;

/// Runs every row and prints the table.
pub(super) fn run() -> Result<(), Failure> {
    let ground = Ground::new()?;
    ground.print_what_is_measured();
    row::print_header("sops 3.11.0");
    if wanted("small") {
        small_file(&ground)?;
    }
    for map in maps(&ground).into_iter().filter(|map| wanted(map.file)) {
        map.encrypt_and_decrypt(&ground)?;
    }
    if wanted("many") {
        many_files(&ground)?;
    }
    if wanted("check") {
        check(&ground)?;
    }
    Ok(())
}

/// A large map, which is encrypted and decrypted.
struct Map {
    work: String,
    file: &'static str,
    text: String,
    /// For encryption and for decryption.
    at_least: [f64; 2],
    /// The peer takes minutes.
    slow: bool,
    memory: Memory,
    /// How far ours is from the floor is told too.
    floor: bool,
}

fn maps(ground: &Ground) -> [Map; 3] {
    let (many, flat) = (ground.scaled(1_000), ground.scaled(100_000));
    [
        Map {
            work: format!("YAML, {many} maps of 100 values"),
            file: "maps.yaml",
            text: input::yaml_maps(2, many, 100),
            at_least: [12.0, 20.0],
            slow: false,
            memory: Memory::AtMost(1.0 / 3.0),
            floor: true,
        },
        Map {
            work: format!("YAML, one flat map of {flat} values"),
            file: "flat.yaml",
            text: input::yaml(3, flat),
            at_least: [100.0, 150.0],
            slow: true,
            memory: Memory::Told,
            floor: false,
        },
        Map {
            work: format!("JSON, one flat map of {flat} values"),
            file: "flat.json",
            text: input::json(3, flat),
            at_least: [800.0, 100.0],
            slow: true,
            memory: Memory::Ignored,
            floor: false,
        },
    ]
}

impl Map {
    fn encrypt_and_decrypt(&self, ground: &Ground) -> Result<(), Failure> {
        ground.write(self.file, &self.text)?;
        let sealed = ground.seal_copy(self.file)?;
        let encrypt = ["encrypt", "--age", ground.recipient(), self.file];
        let encrypting = self.row(ground, "encrypt", self.at_least[0], &encrypt)?;
        let decrypting = self.row(ground, "decrypt", self.at_least[1], &["decrypt", &sealed])?;
        if self.floor {
            let floor = Floor::measure(&ground.path(self.file), &ground.path(&sealed))?;
            println!(
                "{}",
                floor.row("encrypting", &Floor::ENCRYPT, encrypting.shortest())
            );
            println!(
                "{}",
                floor.row("decrypting", &Floor::DECRYPT, decrypting.shortest())
            );
        }
        Ok(())
    }

    fn row(&self, ground: &Ground, verb: &str, at_least: f64, arguments: &[&str]) -> Result<Runs, Failure> {
        let (ours, theirs) = match self.memory {
            Memory::Ignored => (&ground.ours, &ground.theirs),
            Memory::Told | Memory::AtMost(_) => (&ground.ours_measured, &ground.theirs_measured),
        };
        let (ours, theirs) = if self.slow && ground.ours_only {
            (alone(ROUNDS, || ours.run(arguments))?, None)
        } else {
            let (ours, theirs) = by_turns(ROUNDS, || ours.run(arguments), || theirs.run(arguments))?;
            (ours, Some(theirs))
        };
        let work = format!("{verb} {}", self.work);
        let row = Row::new(&work, Goal::Ratio(at_least), &ours, theirs.as_ref());
        row.memory(self.memory).print();
        Ok(ours)
    }
}

/// One `seal decrypt --output-dir` against a loop of `sops decrypt --output`: both write the plain files.
fn many_files(ground: &Ground) -> Result<(), Failure> {
    let count = ground.scaled(1_000);
    let files = ground.sealed_folder("many", count, ground.recipient())?;
    let decrypt = ["decrypt", "--output-dir", "opened", "many"];
    ground.ours.output(&decrypt)?;
    for file in &files {
        ground.expect_same(&format!("opened/{}", file.path), &file.text)?;
    }
    let some = &files[..count.min(LOOP)];
    let (ours, theirs) = by_turns(
        ROUNDS,
        || {
            ground.remove("opened")?;
            ground.ours.run(&decrypt)
        },
        || {
            ground.theirs.loop_over(some, |file| {
                ["decrypt", "--output", "opened-by-sops.yaml", &file.path].map(str::to_owned)
            })
        },
    )?;
    let theirs = theirs.times(count as f64 / some.len() as f64);
    let work = format!(
        "decrypt {count} files (of sops: a loop over {}, scaled)",
        some.len()
    );
    Row::new(&work, Goal::Ratio(50.0), &ours, Some(&theirs)).print();
    Ok(())
}

/// No peer has such a command.
fn check(ground: &Ground) -> Result<(), Failure> {
    let count = ground.scaled(10_000);
    ground.sealed_folder("checked", count, ground.recipient())?;
    let ours = alone(ROUNDS, || ground.ours_without_key.run(&["check", "checked"]))?;
    let work = format!("check {count} files without a key");
    Row::new(&work, Goal::Below(Duration::from_secs(2)), &ours, None).print();
    Ok(())
}
