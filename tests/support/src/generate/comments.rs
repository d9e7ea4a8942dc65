//! Generated YAML with comments at every kind of place: above, behind and below everything that YAML has, at columns of
//! their own, with and without blank lines.
//!
//! Comments and leaves carry marks, each of which stands in the text once and cannot come up in sealed text: so a test
//! sees by a search what is clear and what is not.

mod values;

use super::PHRASES;
use crate::random::Random;

/// A stream of documents with marked comments and leaves.
#[derive(Debug, Clone, Default)]
pub struct Commented {
    /// The documents, each with what separates it from the one before.
    documents: Vec<String>,
    /// How deep all of it stands.
    indent: usize,
    crlf: bool,
    final_break: bool,
    /// Whether each document ends in an entry at its root, so that no comment stands last.
    pub closed: bool,
    /// Whether there is an alias.
    pub aliased: bool,
    /// The marks of the comments, one a comment line.
    pub comments: Vec<String>,
    /// The marks of the texts.
    pub leaves: Vec<String>,
}

/// What stands in about every third comment and nowhere else, for rules that look at comments.
pub const WORD: &str = "marked so";

impl Commented {
    /// The stream of `seed`; aliases are left out unless asked for, since rules on comments refuse them.
    pub fn new(seed: u64, aliases: bool, closed: bool) -> Self {
        let mut random = Random::new(seed ^ 0x636f_6d00);
        let mut writer = Writer {
            step: [2, 2, 4, 3][random.below(4)],
            lists_indented: random.one_in(2),
            anchors: aliases.then(Vec::new),
            made: Self {
                indent: if random.one_in(8) { 2 } else { 0 },
                crlf: random.one_in(6),
                final_break: !random.one_in(6),
                closed,
                ..Self::default()
            },
            ..Writer::default()
        };
        let documents = if random.one_in(5) { 2 + random.below(2) } else { 1 };
        for number in 0..documents {
            writer.document(&mut random, number);
        }
        writer.made
    }

    /// The text.
    pub fn text(&self) -> String {
        let mut text = self.documents.concat();
        if !self.final_break && text.ends_with('\n') {
            text.pop();
        }
        self.with_breaks(text)
    }

    /// The text with `block`, a mapping's last lines, at the end of each document.
    pub fn with_block(&self, block: &str) -> String {
        let margin = " ".repeat(self.indent);
        let lines = block.lines().flat_map(|line| [&margin, line, "\n"]);
        let block = lines.collect::<String>();
        let parts = self
            .documents
            .iter()
            .flat_map(|document| [document, block.as_str()]);
        self.with_breaks(parts.collect())
    }

    fn with_breaks(&self, text: String) -> String {
        if self.crlf {
            text.replace('\n', "\r\n")
        } else {
            text
        }
    }
}

#[derive(Default)]
struct Writer {
    /// Columns a level.
    step: usize,
    /// Whether a list stands deeper than its key.
    lists_indented: bool,
    /// Anchors that an alias may name; `None` for no aliases at all.
    anchors: Option<Vec<String>>,
    /// Columns of the open block collections.
    open: Vec<usize>,
    /// The next gap's comments must stand left of this column: they would belong to a block scalar.
    left_of: Option<usize>,
    /// The next gap must be empty: a comment there would belong to a collection that is copied.
    no_gap: bool,
    keys: usize,
    begun: usize,
    text: String,
    made: Commented,
}

impl Writer {
    fn document(&mut self, random: &mut Random, number: usize) {
        let column = self.made.indent;
        if let Some(anchors) = &mut self.anchors {
            anchors.clear();
        }
        if number > 0 && random.one_in(4) {
            self.text.push_str("...\n");
            self.left_of = None;
            self.gap(random, 0);
        }
        if number == 0 && random.one_in(3) {
            self.gap(random, 0);
        }
        if number > 0 || random.one_in(4) {
            self.text.push_str("---");
            self.left_of = None;
            self.end(random);
        }
        self.mapping(random, column, 0);
        if self.made.closed {
            self.gap(random, column);
            self.indent(column);
            let (key, leaf) = (self.key(random), self.leaf());
            self.text.push_str(&format!("{key}: {leaf}\n"));
            self.left_of = None;
        } else {
            // The last line break counts for the value of a block scalar.
            self.made.final_break |= self.left_of.is_some();
            self.gap(random, column);
        }
        self.made.documents.push(std::mem::take(&mut self.text));
    }

    fn mapping(&mut self, random: &mut Random, column: usize, depth: usize) {
        self.open.push(column);
        for _ in 0..random.between(1, 4) {
            self.gap(random, column);
            self.indent(column);
            self.entry(random, column, depth);
        }
        self.open.pop();
    }

    fn list(&mut self, random: &mut Random, column: usize, depth: usize) {
        self.open.push(column);
        for _ in 0..random.between(1, 3) {
            self.gap(random, column);
            self.indent(column);
            self.item(random, column, depth);
        }
        self.open.pop();
    }

    /// The end of a line, sometimes with a comment.
    fn end(&mut self, random: &mut Random) {
        self.left_of = None;
        if random.one_in(4) {
            let blank = random.pick(&[" ", " ", "  ", "\t"]);
            // Where a key may follow, a tab may not.
            let key_may_follow = self.text.ends_with([':', '-']);
            self.text.push_str(if key_may_follow { " " } else { blank });
            self.comment(random);
        } else {
            self.text.push('\n');
        }
    }

    /// Lines of comments and empty lines before what will stand at `column`.
    fn gap(&mut self, random: &mut Random, column: usize) {
        let mut left_of = self.left_of.take();
        if std::mem::take(&mut self.no_gap) || random.one_in(2) {
            return;
        }
        for _ in 0..random.between(1, 4) {
            if random.one_in(4) {
                // Empty lines would belong to a block scalar's value.
                if left_of.is_none() {
                    self.text.push_str(random.pick(&["\n", "\n", "\n\n", "  \n"]));
                }
                continue;
            }
            let at = match random.below(8) {
                0 => 0,
                1 => column + self.step,
                2 => column + 1,
                3 => column.saturating_sub(1),
                4 | 5 if !self.open.is_empty() => self.open[random.below(self.open.len())],
                6 => random.below(column + 5),
                _ => column,
            };
            let at = left_of.map_or(at, |limit| at.min(limit.saturating_sub(1)));
            self.indent(at);
            self.comment(random);
            // It ended the block scalar, if there was one.
            left_of = None;
        }
    }

    /// A comment with its line break, at the place where the text ends.
    fn comment(&mut self, random: &mut Random) {
        if random.one_in(20) {
            self.text.push_str("#\n");
            return;
        }
        let mark = format!("c.{}.", self.made.comments.len());
        let start = random.pick(&[" ", " ", "", "  ", "# "]);
        let word = if random.one_in(3) {
            format!(" {WORD}")
        } else {
            String::new()
        };
        let rest = match random.below(6) {
            0 => format!(" {}", random.pick(&PHRASES)),
            1 => "  ".to_owned(),
            _ => String::new(),
        };
        self.text.push_str(&format!("#{start}{mark}{word}{rest}\n"));
        self.made.comments.push(mark);
    }

    fn indent(&mut self, column: usize) {
        self.text.push_str(&" ".repeat(column));
    }

    fn key(&mut self, random: &mut Random) -> String {
        self.keys += 1;
        format!(
            "k{}{}",
            self.keys,
            random.pick(&["", "", "", "_unencrypted", "_secret"])
        )
    }

    fn leaf(&mut self) -> String {
        let mark = format!("v.{}.", self.made.leaves.len());
        self.made.leaves.push(mark.clone());
        mark
    }
}
