//! Generated dotenv: assignments, comments and empty lines, as SOPS reads them (no `export`, no quoting of its own).

use super::{PHRASES, key, word};
use crate::random::Random;
use std::collections::BTreeSet;

/// The dotenv document of `seed`.
pub fn dotenv(seed: u64) -> String {
    let mut random = Random::new(seed ^ 0x656e_7600);
    let mut taken = BTreeSet::from(["sops".to_owned()]);
    let mut text = String::new();
    for _ in 0..random.between(1, 12) {
        match random.below(8) {
            0 => text.push('\n'),
            1 => text.push_str(&format!("# {}\n", random.pick(&PHRASES))),
            2 => text.push_str("#NO_BLANK=after the mark\n"),
            _ => {}
        }
        let name = key(&mut random, &mut taken).to_uppercase().replace('-', "_");
        if taken.insert(name.clone()) {
            text.push_str(&format!("{name}={}\n", value(&mut random)));
        }
    }
    if text.lines().all(|line| line.is_empty() || line.starts_with('#')) {
        text.push_str("LAST=value\n");
    }
    text
}

fn value(random: &mut Random) -> String {
    match random.below(9) {
        0 => String::new(),
        1 => format!("\"{}\"", word(random)),
        2 => format!("'{} {}'", word(random), word(random)),
        3 => format!(
            "postgres://{}:{}@db.example.test:5432/app?sslmode=require",
            word(random),
            word(random)
        ),
        4 => format!("{}=={}", word(random), word(random)),
        5 => format!("first\\nsecond {}", word(random)),
        6 => format!("{} # not a comment", word(random)),
        7 => random.below(1_000_000).to_string(),
        _ => word(random),
    }
}
