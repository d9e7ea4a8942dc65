//! Generated documents of all five formats and real-looking manifests, under every rule, MAC mode and kind of key group.

use std::path::PathBuf;

use support::random::Random;
use support::run::Tool;
use support::{corpus, generate, peers, tier};

use crate::compare::{Case, Outcome, compare};
use crate::scene::{Result, Scene, verdict};

/// What stands in a creation rule; the first leaves the default. In patterns for comments are blanks: what may come up in
/// sealed text by chance is refused, here and by sops.
const RULES: [&str; 7] = [
    "",
    "encrypted_regex: '(?i)(pass|token|key|secret|data|e$)'",
    "unencrypted_regex: '^(name|port|host|image|kind|apiVersion|metadata)'",
    "encrypted_suffix: e",
    "unencrypted_suffix: s",
    "encrypted_comment_regex: ' the |by hand|until May|TODO '",
    "unencrypted_comment_regex: ' the |by hand|until May|TODO '",
];

/// Rules that JSON and binary files can be under: those with no need of comments.
const WITHOUT_COMMENTS: usize = 5;

const KEYS: [&str; 3] = [
    "age: PERSON0",
    "age: 'PERSON1,PERSON2'",
    "shamir_threshold: 2\n    key_groups: [{age: [PERSON0]}, {age: [PERSON1]}, {age: [PERSON2]}]",
];

fn policy() -> String {
    let mut text = "creation_rules:\n".to_owned();
    for (rule, rule_text) in RULES.iter().enumerate() {
        for (keys, keys_text) in KEYS.iter().enumerate() {
            for mac in [false, true] {
                let folder = folder(rule, keys, mac);
                text.push_str(&format!("  - path_regex: ^{folder}/\n    {keys_text}\n"));
                if !rule_text.is_empty() {
                    text.push_str(&format!("    {rule_text}\n"));
                }
                if mac {
                    text.push_str("    mac_only_encrypted: true\n");
                }
            }
        }
    }
    text
}

fn folder(rule: usize, keys: usize, mac: bool) -> String {
    format!("rule{rule}-keys{keys}-{}", if mac { "sealed" } else { "all" })
}

pub fn versions() -> Result<Vec<PathBuf>> {
    let mut versions = vec![peers::sops_3_11()?];
    if tier::is_campaign() {
        versions.push(peers::sops_3_13()?);
    }
    Ok(versions)
}

/// Compares `count` documents; 7 rules, 3 kinds of keys and 2 MAC modes have no common factor, so all pairs come.
fn run(
    ending: &'static str,
    rules: usize,
    count: usize,
    text: impl Fn(u64) -> Option<(String, Vec<u8>)>,
) -> Result {
    let scene = Scene::new(&policy())?;
    let mut wrong = Vec::new();
    let mut done = 0;
    for version in versions()? {
        let sops: Tool = scene.tool(version, &[0, 2])?;
        let mut compared = 0;
        // A fifth more seeds than wanted, and some: for the cases that prove nothing.
        for seed in 0..(count + count / 5 + 8) {
            if compared == count {
                break;
            }
            let Some((name, text)) = text(seed as u64) else {
                break;
            };
            let folder = folder(seed % rules, seed % 3, seed % 2 == 1);
            let case = Case {
                folder,
                name,
                ending,
                text,
            };
            match compare(&scene, &sops, &case) {
                Ok(Outcome::NoOracle) => continue,
                Ok(Outcome::Same) => {}
                Err(error) => wrong.push(format!("{error} (seed {seed})")),
            }
            compared += 1;
        }
        done += compared;
    }
    verdict(&wrong, done, count * versions()?.len() * 4 / 5)
}

fn generated(kind: &str, seed: u64, text: String) -> Option<(String, Vec<u8>)> {
    Some((format!("{kind}-{seed}"), text.into_bytes()))
}

#[test]
fn generated_yaml() -> Result {
    let count = tier::count(21, 126);
    run("yaml", RULES.len(), count, |seed| {
        generated("yaml", seed, generate::yaml(seed))
    })
}

#[test]
fn generated_json() -> Result {
    let count = tier::count(10, 60);
    run("json", WITHOUT_COMMENTS, count, |seed| {
        generated("json", seed, generate::json(seed))
    })
}

#[test]
fn generated_dotenv() -> Result {
    let count = tier::count(8, 42);
    run("env", RULES.len(), count, |seed| {
        generated("dotenv", seed, generate::dotenv(seed))
    })
}

#[test]
fn generated_ini() -> Result {
    let count = tier::count(8, 42);
    run("ini", RULES.len(), count, |seed| {
        generated("ini", seed, generate::ini(seed))
    })
}

#[test]
fn binary_files() -> Result {
    let count = tier::count(5, 20);
    run("bin", 1, count, |seed| {
        Some((format!("binary-{seed}"), binary(seed)))
    })
}

#[test]
fn manifests() -> Result {
    let mut manifests = if tier::is_campaign() {
        corpus::all()?
    } else {
        corpus::originals()?
    };
    manifests.retain(|manifest| !manifest.list_at_root);
    // On every push another kind of file each: every fifth.
    let (step, count) = if tier::is_campaign() {
        (1, manifests.len().min(150))
    } else {
        (5, 12)
    };
    run("yaml", RULES.len(), count, |seed| {
        let manifest = manifests.get(seed as usize * step)?;
        Some((manifest.name.clone(), manifest.text.clone().into_bytes()))
    })
}

/// Nothing, text, a line break, or bytes that are no text.
fn binary(seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    match seed % 5 {
        0 => (0..random.between(1, 3_000))
            .map(|_| random.number() as u8)
            .collect(),
        1 => Vec::new(),
        2 => b"one line\r\nanother".to_vec(),
        3 => b"\n".to_vec(),
        _ => random.bytes::<32>().to_vec(),
    }
}
