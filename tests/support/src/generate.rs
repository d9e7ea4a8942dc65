//! Documents made from a seed, for interop campaigns: YAML, JSON, dotenv and INI with comments.
//!
//! Each document is valid for the released and the newest SOPS: keys are unique within their mapping, none is `sops`, the
//! root of YAML and JSON is a mapping. The same seed gives the same text on every machine and in every version: a
//! change here changes what past seeds mean, so add variety at the end of a list of choices.

mod comments;
mod dotenv;
mod ini;
mod json;
mod yaml;

pub use comments::{Commented, WORD};
pub use dotenv::dotenv;
pub use ini::ini;
pub use json::json;
pub use yaml::{plain_yaml, yaml};

use crate::random::Random;
use std::collections::BTreeSet;

const NOUNS: [&str; 40] = [
    "database", "password", "token", "replicas", "image", "host", "port", "user", "url", "timeout", "region",
    "bucket", "cert", "key", "secret", "name", "labels", "limits", "cpu", "memory", "ingress", "path",
    "service", "backend", "queue", "cache", "redis", "smtp", "sender", "retries", "enabled", "debug",
    "level", "zone", "account", "client", "issuer", "audience", "schedule", "webhook",
];

const PHRASES: [&str; 16] = [
    "rotated every quarter",
    "see the runbook",
    "must match the ingress: example.test",
    "TODO ask the platform team",
    "was 42 until May",
    "do not edit by hand!",
    "owner = payments",
    "überprüft am 3. Mai",
    "日本語のメモ",
    "a # inside",
    "'quoted' and \"double\"",
    "key: value",
    "- looks like a list",
    "trailing backslash \\",
    "100% of traffic",
    "emoji 🔐 here",
];

/// A key that is not in `taken` yet.
fn key(random: &mut Random, taken: &mut BTreeSet<String>) -> String {
    loop {
        let noun = random.pick(&NOUNS);
        let key = match random.below(6) {
            0 => format!("{noun}_{}", random.pick(&NOUNS)),
            1 => format!("{noun}-{}", random.below(100)),
            2 => format!("{noun}_unencrypted"),
            3 => format!("{}{}", noun, random.below(10)),
            _ => noun.to_owned(),
        };
        if taken.insert(key.to_lowercase()) {
            return key;
        }
    }
}

/// A word such as a password or a token.
fn word(random: &mut Random) -> String {
    let length = random.between(1, 24);
    random.text(
        b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
        length,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tier;
    use serde::Deserialize;

    fn seeds() -> std::ops::Range<u64> {
        0..tier::count(300, 100_000) as u64
    }

    #[test]
    fn a_seed_repeats_its_document() {
        for make in [yaml, plain_yaml, json, dotenv, ini] {
            assert_eq!(make(5), make(5));
            assert_ne!(make(5), make(6));
        }
    }

    #[test]
    fn generated_yaml_is_valid_with_a_mapping_at_each_root() {
        for seed in seeds() {
            for (make, text) in [("yaml", yaml(seed)), ("plain_yaml", plain_yaml(seed))] {
                for document in serde_yaml::Deserializer::from_str(&text) {
                    let value = serde_yaml::Value::deserialize(document);
                    assert!(
                        value.as_ref().is_ok_and(serde_yaml::Value::is_mapping),
                        "{make}({seed}): {:?}\n{text}",
                        value.err()
                    );
                }
            }
        }
    }

    #[test]
    fn each_mark_of_a_commented_stream_stands_in_it_once() {
        for seed in seeds() {
            let made = Commented::new(seed, seed % 3 == 0, seed % 2 == 0);
            let text = made.text();
            for mark in made.comments.iter().chain(&made.leaves) {
                assert_eq!(text.matches(mark.as_str()).count(), 1, "{seed}: {mark}\n{text}");
            }
            for document in serde_yaml::Deserializer::from_str(&text) {
                let value = serde_yaml::Value::deserialize(document);
                let valid = value.as_ref().is_ok_and(serde_yaml::Value::is_mapping);
                assert!(valid, "{seed}: {:?}\n{text}", value.err());
            }
        }
    }

    #[test]
    fn generated_json_is_valid_with_an_object_at_its_root() {
        for seed in seeds() {
            let text = json(seed);
            let value = serde_json::from_str::<serde_json::Value>(&text);
            assert!(
                value.as_ref().is_ok_and(|v| v.is_object()),
                "{seed}: {:?}\n{text}",
                value.err()
            );
        }
    }

    #[test]
    fn generated_dotenv_and_ini_have_unique_keys_on_lines_of_their_own() {
        for seed in seeds() {
            let text = dotenv(seed);
            let keys: Vec<&str> = assignments(&text, "#").collect();
            let unique: BTreeSet<&&str> = keys.iter().collect();
            assert!(
                !keys.is_empty() && unique.len() == keys.len(),
                "dotenv({seed}):\n{text}"
            );

            let (text, mut taken, mut section) = (ini(seed), BTreeSet::new(), "");
            for line in text.lines() {
                if line.starts_with('[') {
                    section = line;
                } else if let Some(key) = assignments(line, "#;").next() {
                    assert!(taken.insert((section, key)), "ini({seed}): {key} twice\n{text}");
                }
            }
            assert!(!taken.is_empty(), "ini({seed})");
        }
    }

    #[test]
    fn both_versions_of_sops_encrypt_what_is_generated() -> Result<(), Box<dyn std::error::Error>> {
        let recipient = crate::keys::Identity::from_seed(1)?.recipient;
        let count = tier::count(15, 2_000) as u64;
        for program in [crate::peers::sops_3_11()?, crate::peers::sops_3_13()?] {
            let sops = crate::run::Tool::new(program)?;
            for (kind, make) in [
                ("yaml", yaml as fn(u64) -> String),
                ("json", json),
                ("dotenv", dotenv),
                ("ini", ini),
            ] {
                for seed in 0..count {
                    let path = sops.home().join("document");
                    std::fs::write(&path, make(seed))?;
                    let output = sops.run(["-e", "--age", &recipient, "--input-type", kind, "document"])?;
                    assert!(
                        output.success(),
                        "{kind}({seed}): {}\n{}",
                        output.err(),
                        make(seed)
                    );
                }
            }
        }
        Ok(())
    }

    fn assignments<'a>(text: &'a str, comments: &'a str) -> impl Iterator<Item = &'a str> {
        text.lines()
            .filter(move |line| !line.is_empty() && !comments.contains(&line[..1]))
            .map(|line| line.split_once('=').unwrap_or((line, "")).0.trim())
    }
}
