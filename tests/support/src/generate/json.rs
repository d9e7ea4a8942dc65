//! Generated JSON: objects, arrays, every kind of value, several layouts.

use super::{PHRASES, key, word};
use crate::random::Random;
use std::collections::BTreeSet;

/// The JSON document of `seed`.
pub fn json(seed: u64) -> String {
    let mut random = Random::new(seed ^ 0x6a73_6f6e);
    let mut writer = Writer {
        indent: [0, 1, 2, 4][random.below(4)],
        tabs: random.one_in(6),
        text: String::new(),
    };
    writer.object(&mut random, 0);
    if !random.one_in(5) {
        writer.text.push('\n');
    }
    writer.text
}

struct Writer {
    /// Columns a level; 0 puts all on one line.
    indent: usize,
    tabs: bool,
    text: String,
}

impl Writer {
    fn line(&mut self, depth: usize) {
        if self.indent > 0 {
            self.text.push('\n');
            let unit = if self.tabs {
                "\t".to_owned()
            } else {
                " ".repeat(self.indent)
            };
            self.text.push_str(&unit.repeat(depth));
        }
    }

    fn object(&mut self, random: &mut Random, depth: usize) {
        let mut taken = BTreeSet::from(["sops".to_owned()]);
        self.text.push('{');
        for index in 0..random.between(usize::from(depth == 0), 6) {
            self.text.push_str(if index == 0 { "" } else { "," });
            self.line(depth + 1);
            let key = key(random, &mut taken);
            self.text.push_str(&format!("\"{key}\":"));
            self.text.push_str(if self.indent > 0 { " " } else { "" });
            self.value(random, depth + 1);
        }
        self.close(depth, '}', '{');
    }

    fn array(&mut self, random: &mut Random, depth: usize) {
        self.text.push('[');
        for index in 0..random.below(5) {
            self.text.push_str(if index == 0 { "" } else { "," });
            self.line(depth + 1);
            self.value(random, depth + 1);
        }
        self.close(depth, ']', '[');
    }

    fn close(&mut self, depth: usize, bracket: char, opening: char) {
        if !self.text.ends_with(opening) {
            self.line(depth);
        }
        self.text.push(bracket);
    }

    fn value(&mut self, random: &mut Random, depth: usize) {
        match random.below(if depth < 4 { 12 } else { 9 }) {
            0 => self.text.push_str(random.pick(&["true", "false"])),
            1 => self.text.push_str("null"),
            2 => self.text.push_str(&format!("{}", random.number() as i32)),
            3 => self
                .text
                .push_str(&format!("{}.{:02}", random.below(1000), random.below(99) + 1)),
            4 => self.text.push_str("\"\""),
            5 => self.string(random.pick(&PHRASES), random),
            6 => self.string(&format!("line {}\nline two\ttab\r\n", random.below(9)), random),
            7 | 8 => self.string(&word(random), random),
            9 => self.array(random, depth),
            _ => self.object(random, depth),
        }
    }

    /// A string; once in a while with an escape that it does not need.
    fn string(&mut self, value: &str, random: &mut Random) {
        let needless = random.one_in(4);
        self.text.push('"');
        for character in value.chars() {
            match character {
                '"' => self.text.push_str("\\\""),
                '\\' => self.text.push_str("\\\\"),
                '\n' => self.text.push_str("\\n"),
                '\r' => self.text.push_str("\\r"),
                '\t' => self.text.push_str("\\t"),
                'a' if needless => self.text.push_str("\\u0061"),
                other => self.text.push(other),
            }
        }
        self.text.push('"');
    }
}
