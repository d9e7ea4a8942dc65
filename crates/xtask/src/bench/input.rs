//! The inputs: maps of the passwords, numbers and switches that people keep in such files.
//!
//! A seed repeats its text. No string needs quotes in YAML, and none reads as a number: each begins with a letter and has
//! at least eight characters.

use std::fmt::Write;
use support::random::Random;

/// A flat YAML map of `count` values.
pub(super) fn yaml(seed: u64, count: usize) -> String {
    let mut text = String::new();
    push_yaml(&mut text, "", &mut Random::new(seed), count);
    text
}

/// A YAML map of `maps` maps of `count` values each.
pub(super) fn yaml_maps(seed: u64, maps: usize, count: usize) -> String {
    let (mut text, mut random) = (String::new(), Random::new(seed));
    for map in 0..maps {
        push(&mut text, format_args!("m{map:05}:\n"));
        push_yaml(&mut text, "    ", &mut random, count);
    }
    text
}

/// The map of [`yaml`] as JSON, indented as SOPS prints it.
pub(super) fn json(seed: u64, count: usize) -> String {
    let (mut text, mut random) = (String::from("{"), Random::new(seed));
    for key in 0..count {
        let comma = if key == 0 { "" } else { "," };
        match value(&mut random) {
            Value::Text(word) => push(&mut text, format_args!("{comma}\n\t\"k{key:05}\": \"{word}\"")),
            Value::Number(number) => push(&mut text, format_args!("{comma}\n\t\"k{key:05}\": {number}")),
            Value::Switch(on) => push(&mut text, format_args!("{comma}\n\t\"k{key:05}\": {on}")),
        }
    }
    text + "\n}\n"
}

fn push_yaml(text: &mut String, indent: &str, random: &mut Random, count: usize) {
    for key in 0..count {
        match value(random) {
            Value::Text(word) => push(text, format_args!("{indent}k{key:05}: {word}\n")),
            Value::Number(number) => push(text, format_args!("{indent}k{key:05}: {number}\n")),
            Value::Switch(on) => push(text, format_args!("{indent}k{key:05}: {on}\n")),
        }
    }
}

fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("a string takes any text");
}

enum Value {
    Text(String),
    Number(usize),
    Switch(bool),
}

/// Eight of ten are passwords or tokens, one is a number, one a switch.
fn value(random: &mut Random) -> Value {
    match random.below(10) {
        0 => Value::Number(random.below(65_536)),
        1 => Value::Switch(random.one_in(2)),
        _ => Value::Text(password(random)),
    }
}

/// 8 to 40 characters.
fn password(random: &mut Random) -> String {
    const LETTERS: &[u8; 52] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    const ALL: &[u8; 70] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.!@%+=";
    let rest = random.between(7, 39);
    random.text(LETTERS, 1) + &random.text(ALL, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flat_maps_hold_the_same_values_in_both_formats() {
        let json: serde_json::Value = serde_json::from_str(&json(7, 500)).unwrap_or_default();
        let values = json.as_object().into_iter().flatten();
        let lines: String = values
            .map(|(key, value)| match value.as_str() {
                Some(text) => format!("{key}: {text}\n"),
                None => format!("{key}: {value}\n"),
            })
            .collect();
        assert_eq!(lines, yaml(7, 500));
        assert!(lines.contains(": true\n") && lines.lines().count() == 500);
    }

    #[test]
    fn the_maps_have_all_their_values() {
        let text = yaml_maps(1, 20, 30);
        assert_eq!(text.lines().filter(|line| line.starts_with('m')).count(), 20);
        assert_eq!(text.lines().filter(|line| line.starts_with("    k")).count(), 600);
    }
}
