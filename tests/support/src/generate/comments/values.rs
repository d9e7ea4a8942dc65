//! Entries, items and their values, each up to and with its line break.

use super::Writer;
use crate::random::Random;

impl Writer {
    /// `key: value` up to and with its line break; the caller has indented.
    pub(super) fn entry(&mut self, random: &mut Random, column: usize, depth: usize) {
        let key = self.key(random);
        if random.one_in(20) {
            self.text.push_str(&format!("? {key}"));
            self.end(random);
            self.indent(column);
            self.text.push(':');
        } else {
            self.text.push_str(&format!("{key}:"));
        }
        let deeper = depth < 4;
        match random.below(16) {
            0..=3 if deeper => {
                self.properties(random, "!!map");
                self.end(random);
                self.mapping(random, column + self.step, depth + 1);
            }
            4 | 5 if deeper => {
                self.properties(random, "!!seq");
                self.end(random);
                let offset = if self.lists_indented { self.step } else { 0 };
                self.list(random, column + offset, depth + 1);
            }
            6 => self.anchored(random, column),
            7 => {
                // The value stands on a line of its own.
                self.end(random);
                self.gap(random, column + self.step);
                self.indent(column + self.step);
                let leaf = self.leaf();
                self.text.push_str(&leaf);
                self.end(random);
            }
            _ => self.value(random, column),
        }
    }

    /// `- value` up to and with its line break; the caller has indented.
    pub(super) fn item(&mut self, random: &mut Random, column: usize, depth: usize) {
        self.text.push('-');
        let deeper = depth < 4;
        match random.below(12) {
            0 | 1 if deeper => {
                // The first entry stands on the line of the dash.
                self.text.push(' ');
                self.open.push(column + 2);
                self.entry(random, column + 2, depth + 1);
                for _ in 0..random.below(3) {
                    self.gap(random, column + 2);
                    self.indent(column + 2);
                    self.entry(random, column + 2, depth + 1);
                }
                self.open.pop();
            }
            2 if deeper => {
                self.end(random);
                self.mapping(random, column + 2, depth + 1);
            }
            3 if deeper => {
                self.text.push(' ');
                self.open.push(column + 2);
                self.item(random, column + 2, depth + 1);
                if random.one_in(2) {
                    self.gap(random, column + 2);
                    self.indent(column + 2);
                    self.item(random, column + 2, depth + 1);
                }
                self.open.pop();
            }
            4 if deeper => {
                self.end(random);
                self.list(random, column + 2, depth + 1);
            }
            _ => self.value(random, column),
        }
    }

    /// A value that begins on this line, with the blank before it, up to and with its line break.
    fn value(&mut self, random: &mut Random, column: usize) {
        match random.below(12) {
            0 => {}
            1 => self
                .text
                .push_str(random.pick(&[" ~", " null", " \"\"", " 12", " true"])),
            2 => return self.block_scalar(random, column),
            3 => {
                self.text.push(' ');
                let brackets = random.pick(&["[]", "{}", "[ ]"]);
                self.text.push_str(brackets);
            }
            4 | 5 => {
                self.text.push(' ');
                let broken = random.one_in(2);
                self.flow(random, column + 1, broken, 0);
            }
            6 => {
                let leaf = self.leaf();
                let margin = " ".repeat(column + 3);
                self.text.push_str(&format!(" {leaf}\n{margin}on"));
            }
            7 => {
                let leaf = self.leaf();
                let quoted = random.one_in(2);
                self.text.push_str(&if quoted {
                    format!(" \"{leaf}\"")
                } else {
                    format!(" '{leaf}'")
                });
            }
            8 if self.anchors.as_ref().is_some_and(|anchors| !anchors.is_empty()) => {
                let anchors = self.anchors.iter().flatten().collect::<Vec<_>>();
                let alias = format!(" *{}", anchors[random.below(anchors.len())]);
                self.text.push_str(&alias);
                self.made.aliased = true;
            }
            _ => {
                let leaf = self.leaf();
                self.text.push_str(&format!(" {leaf}"));
            }
        }
        self.end(random);
    }

    fn block_scalar(&mut self, random: &mut Random, column: usize) {
        let header = random.pick(&[" |", " >-", " |-", " |+", " |1"]);
        self.text.push_str(header);
        self.end(random);
        let margin = column + if header == " |1" { 1 } else { self.step };
        let leaf = self.leaf();
        self.indent(margin);
        self.text.push_str(&format!("{leaf}\n"));
        if random.one_in(2) {
            self.indent(margin);
            self.text.push_str("second\n");
        }
        self.left_of = Some(margin);
    }

    /// An anchored value without comments in it, so that its copies have none.
    fn anchored(&mut self, random: &mut Random, column: usize) {
        let name = format!("a{}", self.begun);
        self.begun += 1;
        let leaf = self.leaf();
        if random.one_in(2) {
            self.text.push_str(&format!(" &{name} {leaf}"));
            self.end(random);
        } else {
            let (key, margin) = (self.key(random), " ".repeat(column + self.step));
            self.text.push_str(&format!(" &{name}\n{margin}{key}: {leaf}\n"));
            self.no_gap = true;
        }
        if let Some(anchors) = &mut self.anchors {
            anchors.push(name);
        }
    }

    /// An anchor that nothing names, or a tag, sometimes.
    fn properties(&mut self, random: &mut Random, tag: &str) {
        match random.below(10) {
            0 => {
                self.text.push_str(&format!(" &b{}", self.begun));
                self.begun += 1;
            }
            1 => self.text.push_str(&format!(" {tag}")),
            _ => {}
        }
    }

    /// A flow collection, on one line or with breaks and comments between its tokens.
    fn flow(&mut self, random: &mut Random, column: usize, broken: bool, depth: usize) {
        let list = random.one_in(2);
        self.text.push(if list { '[' } else { '{' });
        self.between(random, column, broken);
        let count = random.between(1, 3);
        for index in 0..count {
            if !list {
                let key = self.key(random);
                self.text.push_str(&format!("{key}: "));
            }
            if depth < 2 && random.one_in(4) {
                self.flow(random, column, broken, depth + 1);
            } else {
                let leaf = self.leaf();
                self.text.push_str(&leaf);
            }
            if index + 1 < count {
                if random.one_in(6) {
                    self.between(random, column, broken);
                }
                self.text.push(',');
            }
            self.between(random, column, broken);
        }
        self.text.push(if list { ']' } else { '}' });
    }

    /// What stands between two tokens of a flow collection.
    fn between(&mut self, random: &mut Random, column: usize, broken: bool) {
        if broken && random.one_in(2) {
            self.end(random);
            self.open.push(column);
            self.gap(random, column);
            self.open.pop();
            self.indent(column);
        } else {
            self.text.push(' ');
        }
    }
}
