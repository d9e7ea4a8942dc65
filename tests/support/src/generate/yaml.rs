//! Generated YAML: block and flow collections, every scalar style and chomping, comments, anchors, aliases, merge keys,
//! several documents, several indents.

use super::{PHRASES, key, word};
use crate::random::Random;
use std::collections::BTreeSet;

/// The YAML document, or stream of documents, of `seed`, with everything YAML has.
pub fn yaml(seed: u64) -> String {
    stream(Random::new(seed ^ 0x7961_6d6c), true)
}

/// The YAML document of `seed` without anchors, aliases, merge keys and further documents: for readers that lack them.
pub fn plain_yaml(seed: u64) -> String {
    stream(Random::new(seed ^ 0x706c_6e00), false)
}

fn stream(mut random: Random, rich: bool) -> String {
    let documents = if rich && random.one_in(5) {
        random.between(2, 3)
    } else {
        1
    };
    let step = [2, 2, 2, 4, 3][random.below(5)];
    let mut writer = Writer {
        step,
        lists_indented: random.one_in(2),
        rich,
        anchors: Vec::new(),
        begun: 0,
        text: String::new(),
    };
    for index in 0..documents {
        if index > 0 || (rich && random.one_in(4)) {
            writer.text.push_str("---\n");
        }
        writer.anchors.clear();
        writer.mapping(&mut random, 0, 0);
    }
    if random.one_in(8) && !writer.text.ends_with("\n\n") {
        writer.text.truncate(writer.text.trim_end_matches('\n').len());
    }
    writer.text
}

struct Writer {
    /// Columns a level.
    step: usize,
    /// Whether a list stands deeper than its key.
    lists_indented: bool,
    rich: bool,
    /// Anchored mappings, complete, so that an alias can name them.
    anchors: Vec<String>,
    /// Anchors begun, so that each has a name of its own.
    begun: usize,
    text: String,
}

impl Writer {
    fn indent(&mut self, column: usize) {
        self.text.push_str(&" ".repeat(column));
    }

    /// A block mapping at `column`; the caller is at the start of a line.
    fn mapping(&mut self, random: &mut Random, column: usize, depth: usize) {
        let mut taken = BTreeSet::from(["sops".to_owned()]);
        let count = random.between(1, if depth == 0 { 8 } else { 4 });
        for _ in 0..count {
            self.above(random, column);
            self.indent(column);
            let key = key(random, &mut taken);
            self.key(random, &key);
            self.entry(random, column, depth);
        }
        let merge = self.rich && depth > 0 && random.one_in(8);
        if let Some(anchor) = self.anchors.last().filter(|_| merge).cloned() {
            self.indent(column);
            self.text.push_str(&format!("<<: *{anchor}\n"));
        }
    }

    fn key(&mut self, random: &mut Random, key: &str) {
        let quoted = match random.below(12) {
            0 => format!("\"{key}\""),
            1 => format!("'{key}'"),
            _ => key.to_owned(),
        };
        self.text.push_str(&quoted);
        self.text.push(':');
    }

    /// What follows `key:`, up to and with its line break.
    fn entry(&mut self, random: &mut Random, column: usize, depth: usize) {
        let deeper = depth < 4;
        match random.below(14) {
            0 | 1 if deeper => self.nested(random, column, depth),
            2 | 3 if deeper => {
                self.after(random);
                self.text.push('\n');
                let offset = if self.lists_indented { self.step } else { 0 };
                self.list(random, column + offset, depth + 1);
            }
            4 => self.block_scalar(random, column),
            5 => {
                let flow = flow(random, 0);
                self.text.push(' ');
                self.text.push_str(&flow);
                self.end(random);
            }
            6 if self.rich && !self.anchors.is_empty() => {
                let alias = self.anchors[random.below(self.anchors.len())].clone();
                self.text.push_str(&format!(" *{alias}"));
                self.text.push('\n');
            }
            7 => {
                // An empty value is null.
                self.end(random);
            }
            _ => {
                let scalar = scalar(random);
                self.text.push(' ');
                self.text.push_str(&scalar);
                self.end(random);
            }
        }
    }

    fn nested(&mut self, random: &mut Random, column: usize, depth: usize) {
        let anchor = (self.rich && random.one_in(3)).then(|| format!("a{}", self.begun));
        self.begun += 1;
        if let Some(anchor) = &anchor {
            self.text.push_str(&format!(" &{anchor}"));
        }
        self.after(random);
        self.text.push('\n');
        // The anchor is named only once its mapping is complete: no alias may name what holds it.
        self.mapping(random, column + self.step, depth + 1);
        self.anchors.extend(anchor);
    }

    fn list(&mut self, random: &mut Random, column: usize, depth: usize) {
        for _ in 0..random.between(1, 4) {
            self.above(random, column);
            self.indent(column);
            self.text.push('-');
            if depth < 4 && random.one_in(4) {
                // A compact mapping: its first key stands on the line of the dash.
                let (mut taken, mut first) = (BTreeSet::from(["sops".to_owned()]), true);
                for _ in 0..random.between(1, 3) {
                    if first {
                        self.text.push(' ');
                    } else {
                        self.indent(column + 2);
                    }
                    first = false;
                    let (key, value) = (key(random, &mut taken), scalar(random));
                    self.key(random, &key);
                    self.text.push_str(&format!(" {value}"));
                    self.end(random);
                }
            } else if random.one_in(8) {
                self.block_scalar(random, column);
            } else {
                let scalar = scalar(random);
                self.text.push_str(&format!(" {scalar}"));
                self.end(random);
            }
        }
    }

    /// ` |` or ` >` with any chomping, and its lines below `column`.
    fn block_scalar(&mut self, random: &mut Random, column: usize) {
        let style = random.pick(&["|", ">"]);
        let chomping = random.pick(&["", "-", "+"]);
        self.text.push_str(&format!(" {style}{chomping}\n"));
        for index in 0..random.between(1, 4) {
            if index > 0 && random.one_in(4) {
                self.text.push('\n');
            }
            self.indent(column + self.step);
            let extra = if index > 0 && random.one_in(4) { "  " } else { "" };
            self.text
                .push_str(&format!("{extra}{} {}\n", word(random), random.pick(&PHRASES)));
        }
        if chomping == "+" && random.one_in(2) {
            self.text.push('\n');
        }
    }

    /// A comment or an empty line above an entry, sometimes.
    fn above(&mut self, random: &mut Random, column: usize) {
        match random.below(9) {
            0 => {
                self.indent(column);
                self.text.push_str(&format!("# {}\n", random.pick(&PHRASES)));
            }
            1 if !self.text.is_empty() && !self.text.ends_with("\n\n") => self.text.push('\n'),
            _ => {}
        }
    }

    /// A comment at the end of a line, sometimes.
    fn after(&mut self, random: &mut Random) {
        if random.one_in(10) {
            self.text.push_str(&format!(" # {}", random.pick(&PHRASES)));
        }
    }

    fn end(&mut self, random: &mut Random) {
        self.after(random);
        self.text.push('\n');
    }
}

/// A scalar on one line, plain or quoted.
fn scalar(random: &mut Random) -> String {
    match random.below(14) {
        0 => (random.number() as i32).to_string(),
        1 => format!("{}.{:02}", random.below(1000), random.below(99) + 1),
        2 => random.pick(&["true", "false"]).to_owned(),
        3 => random.pick(&["yes", "no", "on", "off", "y", "n"]).to_owned(),
        4 => random.pick(&["null", "~"]).to_owned(),
        5 => format!(
            "\"{}\"",
            random.pick(&["", "tab\\there", "a: b # c", "\\u00e9\\n", "quote \\\" and \\\\"])
        ),
        6 => format!(
            "'{}'",
            random.pick(&["", "it''s", "# no comment", "{not: flow}", "007"])
        ),
        7 => format!("{} {}", word(random), word(random)),
        8 => random
            .pick(&["2024-05-03", "12:30:45", "1e3", "0x1F", "0o17", "1_000"])
            .to_owned(),
        9 => format!("https://example.test/{}#part", word(random)),
        10 => format!(
            "\"{}\"",
            random.pick(&["123", "true", "null", "2024-05-03", "1.10"])
        ),
        _ => format!("w{}", word(random)),
    }
}

/// A flow collection on one line.
fn flow(random: &mut Random, depth: usize) -> String {
    let count = random.below(4);
    let item = |random: &mut Random| match random.below(if depth < 2 { 6 } else { 4 }) {
        0 => random.below(1000).to_string(),
        1 => format!("\"{}\"", word(random)),
        2 | 3 => format!("w{}", word(random)),
        _ => flow(random, depth + 1),
    };
    if random.one_in(2) {
        let items: Vec<String> = (0..count).map(|_| item(random)).collect();
        return format!("[{}]", items.join(", "));
    }
    let mut taken = BTreeSet::from(["sops".to_owned()]);
    let items: Vec<String> = (0..count)
        .map(|_| format!("{}: {}", key(random, &mut taken), item(random)))
        .collect();
    if items.is_empty() {
        "{}".to_owned()
    } else {
        format!("{{ {} }}", items.join(", "))
    }
}
