//! Generated INI: sections, one `key = value` a line, comments of both marks.

use super::{PHRASES, key, word};
use crate::random::Random;
use std::collections::BTreeSet;

/// The INI document of `seed`.
pub fn ini(seed: u64) -> String {
    let mut random = Random::new(seed ^ 0x696e_6900);
    let mut sections = BTreeSet::from(["sops".to_owned(), "default".to_owned()]);
    let mut text = String::new();
    if random.one_in(3) {
        entries(&mut random, &mut text);
    }
    for _ in 0..random.between(1, 4) {
        let section = key(&mut random, &mut sections);
        if random.one_in(3) {
            comment(&mut random, &mut text);
        }
        text.push_str(&format!("[{section}]\n"));
        entries(&mut random, &mut text);
        if random.one_in(2) {
            text.push('\n');
        }
    }
    text
}

fn entries(random: &mut Random, text: &mut String) {
    let mut taken = BTreeSet::new();
    let (spaced, count) = (!random.one_in(3), random.between(1, 6));
    for _ in 0..count {
        if random.one_in(4) {
            comment(random, text);
        }
        let (key, value) = (key(random, &mut taken), value(random));
        text.push_str(&if spaced {
            format!("{key} = {value}\n")
        } else {
            format!("{key}={value}\n")
        });
    }
}

/// A comment line. Phrases with a quote or a backslash at their end are left to YAML: INI libraries disagree on them.
fn comment(random: &mut Random, text: &mut String) {
    let phrase = random.pick(&PHRASES[..10]);
    text.push_str(&format!("{} {phrase}\n", random.pick(&["#", ";"])));
}

fn value(random: &mut Random) -> String {
    match random.below(6) {
        0 => random.below(100_000).to_string(),
        1 => random.pick(&["true", "false", "on", "off"]).to_owned(),
        2 => format!("{} {}", word(random), word(random)),
        3 => format!(
            "https://{}.example.test/path?q={}",
            word(random).to_lowercase(),
            word(random)
        ),
        4 => format!("{},{},{}", word(random), word(random), word(random)),
        _ => word(random),
    }
}
