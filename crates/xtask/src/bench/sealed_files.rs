//! SealedSecrets without a cluster, against the real kubeseal.
//!
//! The variables of [`sops`](super::sops) work here too; the parts are one, clusters and reseal.

use super::ground::{Ground, LOOP, ROUNDS, SHORT_ROUNDS, wanted};
use super::measure::{Program, alone, by_turns};
use super::row::{self, Goal, Row};
use crate::Failure;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;
use support::peers;
use support::random::Random;

/// What a program that starts in less than this is to be beaten by: 5 times, not 8.
const QUICK_START: Duration = Duration::from_millis(16);
/// Clusters that one tree is sealed for.
const CLUSTERS: usize = 10;
/// Keys that a cluster has had.
const OLD_KEYS: usize = 12;

/// Runs every row and prints the table.
pub(super) fn run() -> Result<(), Failure> {
    let ground = Ground::new()?;
    let kubeseal = Program::new(&peers::kubeseal()?, &ground.path("."))?;
    ground.print_what_is_measured();
    row::print_header("kubeseal 0.36.6");
    if wanted("one") {
        one(&ground, &kubeseal)?;
    }
    if wanted("clusters") {
        clusters(&ground, &kubeseal)?;
    }
    if wanted("reseal") {
        reseal(&ground)?;
    }
    Ok(())
}

/// A small Secret, for a certificate in a file.
fn one(ground: &Ground, kubeseal: &Program) -> Result<(), Failure> {
    key(ground, "one")?;
    ground.write("secret.yaml", &secret(1, 2, 0))?;
    let (_, start) = by_turns(
        SHORT_ROUNDS,
        || ground.ours.run(&["--version"]),
        || kubeseal.run(&["--version"]),
    )?;
    let (ours, theirs) = by_turns(
        SHORT_ROUNDS,
        || {
            ground
                .ours
                .run(&["kube", "seal", "--cert", "one.pem", "secret.yaml"])
        },
        || kubeseal.run(&["--cert", "one.pem", "-f", "secret.yaml"]),
    )?;
    let goal = if start.median() < QUICK_START { 5.0 } else { 8.0 };
    Row::new("seal one small Secret", Goal::Ratio(goal), &ours, Some(&theirs)).print();
    println!(
        "| start of kubeseal (`--version`) | - | {} | | | | |",
        start.text()
    );
    Ok(())
}

/// A tree of Secrets, each sealed for every cluster; of kubeseal a loop over files and clusters.
fn clusters(ground: &Ground, kubeseal: &Program) -> Result<(), Failure> {
    let count = ground.scaled(1_000);
    let mut policy = String::from("seal:\n  clusters:\n");
    for cluster in 0..CLUSTERS {
        key(ground, &format!("c{cluster}"))?;
        writeln!(policy, "    - {{name: c{cluster}, certificate: c{cluster}.pem}}")?;
    }
    let names: Vec<String> = (0..CLUSTERS).map(|cluster| format!("c{cluster}")).collect();
    let names = names.join(", ");
    writeln!(
        policy,
        "  sealed_secrets:\n    - path_regex: ^apps/\n      clusters: [{names}]\n      output: 'out/{{cluster}}/{{dir}}/{{file}}'"
    )?;
    ground.write(".sops.yaml", &policy)?;
    let files: Vec<String> = (0..count).map(|index| format!("apps/f{index:05}.yaml")).collect();
    for (index, file) in files.iter().enumerate() {
        ground.write(file, &secret(index, 2, 0))?;
    }
    let some = &files[..files.len().min(LOOP)];
    let (ours, theirs) = by_turns(
        ROUNDS,
        || {
            ground.remove("out")?;
            ground.ours.run(&["--quiet", "apps"])
        },
        || {
            kubeseal.loop_over(some, |file| {
                ["--cert", "c0.pem", "-f", file, "-w", "one.yaml"].map(str::to_owned)
            })
        },
    )?;
    let made = fs::read_dir(ground.path("out/c9/apps"))?.count();
    if made != count {
        return Err(format!("{made} of {count} files were made").into());
    }
    let theirs = theirs.times((count * CLUSTERS) as f64 / some.len() as f64);
    let work = format!("{count} Secrets of 2 items for {CLUSTERS} clusters");
    Row::new(&work, Goal::Below(Duration::from_secs(5)), &ours, Some(&theirs)).print();
    ground.remove("out")?;
    ground.remove("apps")?;
    fs::remove_file(ground.path(".sops.yaml"))?;
    Ok(())
}

/// A tree on twelve old keys moves to a new certificate, without hints and with them.
fn reseal(ground: &Ground) -> Result<(), Failure> {
    let count = ground.scaled(1_000);
    key(ground, "newest")?;
    let mut policy = String::from("seal:\n  clusters:\n");
    let mut rules = String::from("  sealed_secrets:\n");
    let mut words = vec![
        "--quiet".to_owned(),
        "kube".into(),
        "reseal".into(),
        "--cert".into(),
        "newest.pem".into(),
    ];
    for old in 0..OLD_KEYS {
        key(ground, &format!("k{old:02}"))?;
        writeln!(policy, "    - {{name: k{old:02}, certificate: k{old:02}.pem}}")?;
        writeln!(
            rules,
            "    - {{path_regex: 'k{old:02}\\.yaml$', clusters: [k{old:02}]}}"
        )?;
        words.extend(["--key".to_owned(), format!("k{old:02}.key")]);
    }
    ground.write(".sops.yaml", &(policy + &rules))?;
    let mut random = Random::new(1);
    let files: Vec<String> = (0..count)
        .map(|index| format!("f{index:05}.k{:02}.yaml", random.below(OLD_KEYS)))
        .collect();
    for (index, file) in files.iter().enumerate() {
        ground.write(&format!("hinted/{file}"), &secret(index, 5, random.below(50)))?;
    }
    ground.ours.output(&["--quiet", "hinted"])?;
    for file in &files {
        let hinted = fs::read_to_string(ground.path(&format!("hinted/{file}")))?;
        let plain: Vec<&str> = hinted
            .lines()
            .filter(|line| !line.contains("sealed-with") && *line != "  annotations:")
            .collect();
        ground.write(&format!("plain/{file}"), &(plain.join("\n") + "\n"))?;
    }
    fs::remove_file(ground.path(".sops.yaml"))?;
    words.push("work".to_owned());
    for (folder, hints, limit) in [("plain", "no hints", 10), ("hinted", "hints", 5)] {
        let ours = alone(ROUNDS, || {
            ground.remove("work")?;
            for file in &files {
                let text = fs::read_to_string(ground.path(&format!("{folder}/{file}")))?;
                ground.write(&format!("work/{file}"), &text)?;
            }
            ground.ours.run(&words)
        })?;
        let check = ["--quiet", "kube", "verify", "--key", "newest.key", "work"];
        ground.ours.output(&check)?;
        let work = format!("reseal {count} SealedSecrets of 5 items, {OLD_KEYS} old keys, {hints}");
        Row::new(&work, Goal::Below(Duration::from_secs(limit)), &ours, None).print();
    }
    Ok(())
}

/// A sealing key of 4,096 bits and its certificate.
fn key(ground: &Ground, name: &str) -> Result<(), Failure> {
    let (key, certificate) = (format!("{name}.key"), format!("{name}.pem"));
    if !Path::new(&ground.path(&key)).exists() {
        let make = [
            "--quiet",
            "kube",
            "cert",
            "new",
            "--key",
            &key,
            "--cert",
            &certificate,
        ];
        ground.ours.output(&make)?;
    }
    Ok(())
}

/// A Secret of `items` values.
fn secret(index: usize, items: usize, namespace: usize) -> String {
    let mut text = format!(
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: app-{index}\n  namespace: team-{namespace}\nstringData:\n"
    );
    for item in 0..items {
        // A String takes everything.
        let _ = writeln!(
            text,
            "  item-{item}: value {item} of {index}, which nobody should know"
        );
    }
    text
}
