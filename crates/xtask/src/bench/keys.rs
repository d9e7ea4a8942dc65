//! Keys that lie with a server: AWS KMS and Vault's transit engine behind a proxy that makes each call slow and counts it.
//!
//! KMS is moto's emulation, Vault a real OpenBao; both programs ask the same server through the same proxy. What a call
//! costs the server itself is part of both sides.
//!
//! The variables of [`sops`](super::sops) work here too; the parts are kms, transit and agent.

use super::ground::{File, Ground, LOOP, ROUNDS, SHORT_ROUNDS, wanted};
use super::measure::{Program, by_turns};
use super::row::{self, Goal, Row};
use super::update_keys;
use crate::Failure;
use std::net::SocketAddr;
use std::time::Duration;
use support::moto::Moto;
use support::openbao::{OpenBao, ROOT};
use support::proxy::{Fate, Proxy};

/// What a call of KMS takes longer.
const KMS: Duration = Duration::from_millis(50);
/// What a call of Vault takes longer.
const VAULT: Duration = Duration::from_millis(10);
/// What opening a file through an agent may take longer than with an identity at hand.
const AGENT: Duration = Duration::from_millis(1);
/// At least so many calls are to be under way at once.
const AT_ONCE: usize = 20;

/// Runs every row and prints the table.
pub(super) fn run() -> Result<(), Failure> {
    let ground = Ground::new()?;
    ground.print_what_is_measured();
    row::print_header("sops 3.11.0");
    if wanted("kms") {
        kms(&ground)?;
    }
    if wanted("transit") {
        transit(&ground)?;
    }
    if wanted("agent") {
        agent(&ground)?;
    }
    Ok(())
}

/// Both programs with a server's address and credentials.
struct Pair {
    ours: Program,
    theirs: Program,
}

impl Pair {
    fn new(ground: &Ground, environment: &[(&str, &str)]) -> Result<Self, Failure> {
        let with = |program: Program| {
            let named = environment.iter();
            named.fold(program, |program, (name, value)| program.env(name, value))
        };
        let [ours, theirs] = ground.strangers()?;
        Ok(Self {
            ours: with(ours),
            theirs: with(theirs),
        })
    }
}

fn slowed(address: &str, pause: Duration) -> Result<Proxy, Failure> {
    let target: SocketAddr = address.trim_start_matches("http://").parse()?;
    Ok(Proxy::start(target, move |_| Fate::Pass(pause))?)
}

/// One run over a tree against a loop over its files: each with its own data key, then all with the same.
fn kms(ground: &Ground) -> Result<(), Failure> {
    let moto = Moto::start()?;
    let key = moto.key("eu-west-1")?;
    let proxy = slowed(&moto.address, KMS)?;
    let address = proxy.address();
    let programs = Pair::new(
        ground,
        &[
            ("AWS_ENDPOINT_URL", &address),
            ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "none"),
        ],
    )?;
    let count = ground.scaled(300);
    let files = ground.sealed_by(&programs.ours, "own", count, &format!("kms: {key}"))?;
    let work = format!("decrypt {count} files under one KMS key, {KMS:?} a call");
    tree(ground, &programs, &proxy, &files, "own", &work, count)?;
    let shared = std::fs::read(ground.path(&files[0].path))?;
    let files: Vec<File> = files
        .iter()
        .map(|file| File {
            path: file.path.replacen("own", "shared", 1),
            text: files[0].text.clone(),
        })
        .collect();
    for file in &files {
        ground.write(&file.path, std::str::from_utf8(&shared)?)?;
    }
    let work = format!("the same {count} files with one wrapped key");
    tree(ground, &programs, &proxy, &files, "shared", &work, 1)
}

fn tree(
    ground: &Ground,
    programs: &Pair,
    proxy: &Proxy,
    files: &[File],
    folder: &str,
    work: &str,
    keys: usize,
) -> Result<(), Failure> {
    let decrypt = ["decrypt", "--output-dir", "opened", folder];
    proxy.reset();
    programs.ours.output(&decrypt)?;
    let (calls, most) = (proxy.calls(), proxy.most_at_once());
    for file in files {
        ground.expect_same(&format!("opened/{}", file.path), &file.text)?;
    }
    let some = &files[..files.len().min(LOOP)];
    let (ours, theirs) = by_turns(
        ROUNDS,
        || programs.ours.run(&decrypt),
        || {
            programs.theirs.loop_over(some, |file| {
                let output = format!("{}.open", file.path);
                ["decrypt".into(), "--output".into(), output, file.path.clone()]
            })
        },
    )?;
    let theirs = theirs.times(files.len() as f64 / some.len() as f64);
    Row::new(work, Goal::Ratio(15.0), &ours, Some(&theirs)).print();
    let met = row::verdict(calls <= keys);
    println!("| calls for {keys} wrapped keys | {calls} | | | at most {keys} | {met} | |");
    if keys >= AT_ONCE {
        let met = row::verdict(most >= AT_ONCE);
        println!("| calls under way at once | {most} | | | at least {AT_ONCE} | {met} | |");
    }
    Ok(())
}

/// Every run finds another age recipient beside the transit key in the policy.
fn transit(ground: &Ground) -> Result<(), Failure> {
    let server = OpenBao::start()?;
    server.bao(&["secrets", "enable", "transit"])?;
    server.bao(&["write", "-f", "transit/keys/app"])?;
    let proxy = slowed(&server.address, VAULT)?;
    let programs = Pair::new(ground, &[("VAULT_TOKEN", ROOT)])?;
    let count = ground.scaled(1_000);
    let uri = format!("{}/v1/transit/keys/app", proxy.address());
    let rule = format!("hc_vault_transit_uri: {uri}");
    ground.sealed_by(&programs.ours, "ours", count, &rule)?;
    let files = ground.sealed_by(&programs.ours, "theirs", count, &rule)?;
    let rule = |recipient: &str| format!("{rule}\n    age: {recipient}");
    let (ours, theirs) = update_keys(ground, [&programs.ours, &programs.theirs], &files, rule)?;
    let work = format!("updatekeys of {count} files under a transit key, {VAULT:?} a call");
    Row::new(&work, Goal::Ratio(15.0), &ours, Some(&theirs)).print();
    Ok(())
}

/// A file under a KMS key, whose server has gone, through an agent that holds its data key; against the same file under an
/// age key at hand.
fn agent(ground: &Ground) -> Result<(), Failure> {
    let moto = Moto::start()?;
    let key = moto.key("eu-west-1")?;
    let socket = ground.path("agent.sock").display().to_string();
    let programs = Pair::new(
        ground,
        &[
            ("AWS_ENDPOINT_URL", &moto.address),
            ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "none"),
            ("SEAL_AGENT_SOCK", &socket),
        ],
    )?;
    let ours = &programs.ours;
    let held = ground.sealed_by(ours, "held", 1, &format!("kms: {key}"))?;
    let at_hand = ground.sealed_folder("at-hand", 1, ground.recipient())?;
    ours.output(&["agent", "start"])?;
    let _agent = Ending(ours);
    ours.output(&["decrypt", &held[0].path])?;
    drop(moto);
    let (through, local) = by_turns(
        SHORT_ROUNDS,
        || ours.run(&["decrypt", &held[0].path]),
        || ground.ours.run(&["decrypt", &at_hand[0].path]),
    )?;
    let more = through.median().saturating_sub(local.median());
    println!(
        "| decrypt through a warm agent; here \"sops\" is seal with a local age identity | {} | {} | {more:.1?} more | within {AGENT:?} | {} | |",
        through.text(),
        local.text(),
        row::verdict(more <= AGENT),
    );
    Ok(())
}

/// Ends the agent.
struct Ending<'a>(&'a Program);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.0.output(&["agent", "stop"]) {
            eprintln!("the agent was not ended: {error}");
        }
    }
}
