//! Commands that change files in place or start programs: `seal` against released SOPS, each on copies of its own.
//!
//! The variables of [`sops`](super::sops) work here too; the parts are small, flat.yaml, maps.yaml, updatekeys, rotate and
//! exec-env.

use super::ground::{File, Ground, LOOP, ROUNDS, wanted};
use super::measure::by_turns;
use super::row::{self, Goal, Row};
use super::{input, short_runs, small_file, update_keys};
use crate::Failure;
use std::fs;
use support::keys::Identity;

/// Runs every row and prints the table.
pub(super) fn run() -> Result<(), Failure> {
    let ground = Ground::new()?;
    ground.print_what_is_measured();
    row::print_header("sops 3.11.0");
    if wanted("small") {
        small_file(&ground)?;
    }
    let (many, flat) = (ground.scaled(1_000), ground.scaled(100_000));
    if wanted("flat.yaml") {
        let work = format!("edit one of {flat} values of a flat YAML map");
        edit(&ground, &work, &input::yaml(3, flat), 1, 30.0)?;
    }
    if wanted("maps.yaml") {
        let work = format!("edit one value of {many} YAML maps of 100");
        edit(&ground, &work, &input::yaml_maps(2, many, 100), 2, 15.0)?;
    }
    if wanted("updatekeys") {
        second_recipient(&ground)?;
    }
    if wanted("rotate") {
        rotate(&ground)?;
    }
    if wanted("exec-env") {
        exec_env(&ground)?;
    }
    Ok(())
}

/// The editor puts another value into one line; both start the same editor.
fn edit(ground: &Ground, work: &str, text: &str, line: usize, at_least: f64) -> Result<(), Failure> {
    ground.write("edited.yaml", text)?;
    let sealed = ground.seal_copy("edited.yaml")?;
    let (mine, peers) = ("edited-by-ours.yaml", "edited-by-sops.yaml");
    for copy in [mine, peers] {
        fs::copy(ground.path(&sealed), ground.path(copy))?;
    }
    ground.write("editor", &format!("sed -i \"{line}s/: .*/: new$$/\" \"$1\"\n"))?;
    let (ours, theirs) = by_turns(
        ROUNDS,
        || ground.ours.run(&["--quiet", "edit", mine]),
        || ground.theirs.run(&["edit", peers]),
    )?;
    for copy in [mine, peers] {
        let opened = ground.ours.output(&["decrypt", copy])?;
        let opened = String::from_utf8(opened)?;
        let changed = opened.lines().nth(line - 1).unwrap_or_default();
        if !changed.contains(": new") || opened.lines().count() != text.lines().count() {
            return Err(format!("{copy}: the edit is not in it").into());
        }
    }
    Row::new(work, Goal::Ratio(at_least), &ours, Some(&theirs)).print();
    Ok(())
}

/// Two equal folders, one for each program, sealed for two recipients.
fn folders(ground: &Ground, count: usize) -> Result<[Vec<File>; 2], Failure> {
    let recipients = format!("{},{}", ground.recipient(), Identity::from_seed(2)?.recipient);
    Ok([
        ground.sealed_folder("ours", count, &recipients)?,
        ground.sealed_folder("theirs", count, &recipients)?,
    ])
}

/// Every run finds another second recipient in the policy.
fn second_recipient(ground: &Ground) -> Result<(), Failure> {
    let count = ground.scaled(1_000);
    let [_, files] = folders(ground, count)?;
    let rule = |second: &str| format!("age: {},{second}", ground.recipient());
    let (ours, theirs) = update_keys(ground, [&ground.ours, &ground.theirs], &files, rule)?;
    let work = format!("updatekeys of {count} files for two recipients, one process each");
    Row::new(&work, Goal::Ratio(2.0), &ours, Some(&theirs)).print();
    Ok(())
}

fn rotate(ground: &Ground) -> Result<(), Failure> {
    let count = ground.scaled(1_000);
    let [_, files] = folders(ground, count)?;
    let some = &files[..count.min(LOOP)];
    let (ours, theirs) = by_turns(
        ROUNDS,
        || ground.ours.run(&["--quiet", "rotate", "ours"]),
        || {
            ground
                .theirs
                .loop_over(some, |file| ["rotate", "-i", &file.path].map(str::to_owned))
        },
    )?;
    let theirs = theirs.times(count as f64 / some.len() as f64);
    let work = format!(
        "rotate {count} files for two recipients (of sops: a loop over {}, scaled)",
        some.len()
    );
    Row::new(&work, Goal::Ratio(20.0), &ours, Some(&theirs)).print();
    Ok(())
}

fn exec_env(ground: &Ground) -> Result<(), Failure> {
    let work = "exec-env of `true` with a small file";
    short_runs(ground, work, 4.0, 4, |file| ["exec-env", file, "true"])
}
