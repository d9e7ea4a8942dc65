//! Reads a pattern by RE2's grammar and writes the same pattern for the `regex` crate.
//!
//! Only "is there a match" is ever asked, so greediness and captures are checked and then dropped. What the
//! reader must remember of a thing already written is small: where it starts (a repetition may have to wrap
//! it), how deep it is, and the product of the counts inside it (RE2 allows at most 1000 copies of anything).

mod sets;

use super::PatternError;
use super::class::{self, Set};

/// Groups and repetitions inside each other.
pub(super) const MAX_DEPTH: u32 = 200;
/// RE2's bound on one count and on the product of nested ones.
const MAX_COPIES: u32 = 1000;
/// Character ranges looked up or written for one pattern; keeps a pattern full of `\pL` cheap.
const MAX_RANGES: usize = 40_000;

/// The pattern for the `regex` crate that matches exactly the texts that `pattern` matches under RE2.
pub(super) fn translate(pattern: &str) -> Result<String, PatternError> {
    let mut parser = Parser {
        pattern,
        rest: pattern,
        flags: Flags::default(),
        out: String::with_capacity(pattern.len() * 2 + 16),
        levels: vec![Level::default()],
        last: None,
        ranges: 0,
        not_at_word_edge: false,
    };
    parser.run()?;
    if parser.not_at_word_edge {
        // An ASCII `\B` also holds between the bytes of one character. A search that starts at the first byte
        // and walks by whole characters never looks there.
        return Ok(format!(r"\A(?s:.)*?(?:{})", parser.out));
    }
    Ok(parser.out)
}

/// `i`, `m` and `s`; `U` changes nothing that is asked.
#[derive(Clone, Copy, Default)]
struct Flags {
    fold: bool,
    multi_line: bool,
    dot_newline: bool,
}

/// A group being read, or the whole pattern.
#[derive(Default)]
struct Level {
    /// Offset of its `(` in the output.
    start: usize,
    /// The flags that hold again after it.
    flags: Flags,
    copies: u32,
    depth: u32,
}

/// The last complete thing written, which a repetition would repeat.
#[derive(Clone, Copy)]
struct Atom {
    start: usize,
    copies: u32,
    depth: u32,
    /// It ends in a repetition of its own.
    repeated: bool,
}

struct Parser<'p> {
    pattern: &'p str,
    rest: &'p str,
    flags: Flags,
    out: String,
    levels: Vec<Level>,
    last: Option<Atom>,
    ranges: usize,
    not_at_word_edge: bool,
}

type Result<T = (), E = PatternError> = std::result::Result<T, E>;

impl<'p> Parser<'p> {
    fn run(&mut self) -> Result {
        let mut after_repetition = false;
        while let Some(c) = self.next() {
            let stacked = std::mem::take(&mut after_repetition);
            match c {
                '(' if self.rest.starts_with('?') => self.flag_group()?,
                '(' => self.open(self.flags)?,
                ')' => self.close()?,
                '|' => {
                    self.settle();
                    self.out.push('|');
                }
                '^' => self.look(if self.flags.multi_line { "(?m:^)" } else { r"\A" }),
                '$' => self.look(if self.flags.multi_line { "(?m:$)" } else { r"\z" }),
                '.' => self.look(if self.flags.dot_newline {
                    "(?s:.)"
                } else {
                    r"[^\n]"
                }),
                '[' => self.class()?,
                '*' | '+' | '?' => {
                    let (low, high) = (u32::from(c == '+'), (c == '?').then_some(1));
                    self.repeat(low, high, stacked, false)?;
                    after_repetition = true;
                }
                '{' => match self.counts()? {
                    Some((low, high)) => {
                        self.repeat(low, high, stacked, true)?;
                        after_repetition = true;
                    }
                    None => self.literal('{' as u32)?,
                },
                '\\' => self.escape()?,
                c => self.literal(c as u32)?,
            }
        }
        if self.levels.len() > 1 {
            Err(self.error("missing closing )"))
        } else {
            Ok(())
        }
    }

    // -- reading ---------------------------------------------------------------------------------

    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    fn eat(&mut self, prefix: &str) -> bool {
        let rest = self.rest.strip_prefix(prefix);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn next_digit(&mut self, radix: u32) -> Option<u32> {
        let digit = self.rest.chars().next()?.to_digit(radix)?;
        self.rest = &self.rest[1..];
        Some(digit)
    }

    fn error(&self, why: &'static str) -> PatternError {
        PatternError {
            at: (self.pattern.len() - self.rest.len()).max(1),
            why,
        }
    }

    // -- writing ---------------------------------------------------------------------------------

    /// Nothing more can be done to the last atom: its measures become its level's.
    fn settle(&mut self) {
        if let (Some(atom), Some(level)) = (self.last.take(), self.levels.last_mut()) {
            level.copies = level.copies.max(atom.copies);
            level.depth = level.depth.max(atom.depth);
        }
    }

    fn begin_atom(&mut self) {
        self.settle();
        self.last = Some(Atom {
            start: self.out.len(),
            copies: 1,
            depth: 0,
            repeated: false,
        });
    }

    /// Something that depends on no flag of the `regex` crate.
    fn look(&mut self, text: &str) {
        self.begin_atom();
        self.out.push_str(text);
    }

    fn literal(&mut self, code: u32) -> Result {
        let Some(range) = class::range(code, code) else {
            return self.set(&Set::empty()); // a surrogate
        };
        if self.flags.fold {
            let set = self.fold(Set::new([range]))?;
            return self.set(&set);
        }
        self.begin_atom();
        write_char(&mut self.out, range.start());
        Ok(())
    }

    fn set(&mut self, set: &Set) -> Result {
        self.spend(set)?;
        self.begin_atom();
        let ranges = set.ranges();
        self.out.push_str(if ranges.is_empty() {
            r"[^\x{0}-\x{10FFFF}"
        } else {
            "["
        });
        for range in ranges {
            write_char(&mut self.out, range.start());
            if range.end() != range.start() {
                self.out.push('-');
                write_char(&mut self.out, range.end());
            }
        }
        self.out.push(']');
        Ok(())
    }

    /// `set` with the other cases of its members.
    fn fold(&mut self, set: Set) -> Result<Set> {
        let (folded, looked_up) = class::fold(set);
        // a look-up costs about an eighth of a range written
        self.ranges += looked_up / 8;
        self.spend(&folded)?;
        Ok(folded)
    }

    fn spend(&mut self, set: &Set) -> Result {
        self.ranges += set.ranges().len() + 1;
        if self.ranges > MAX_RANGES {
            Err(self.error("pattern names too many characters"))
        } else {
            Ok(())
        }
    }

    // -- groups ----------------------------------------------------------------------------------

    fn open(&mut self, inner: Flags) -> Result {
        self.settle();
        if self.levels.len() as u32 >= MAX_DEPTH {
            return Err(self.error("pattern is nested too deeply"));
        }
        let level = Level {
            start: self.out.len(),
            flags: self.flags,
            ..Level::default()
        };
        self.levels.push(level);
        self.flags = inner;
        self.out.push_str("(?:");
        Ok(())
    }

    fn close(&mut self) -> Result {
        self.settle();
        let level = if self.levels.len() > 1 {
            self.levels.pop()
        } else {
            None
        };
        let Some(level) = level else {
            return Err(self.error("unexpected )"));
        };
        self.out.push(')');
        self.flags = level.flags;
        self.last = Some(Atom {
            start: level.start,
            copies: level.copies.max(1),
            depth: self.deeper(level.depth)?,
            repeated: false,
        });
        Ok(())
    }

    fn deeper(&self, depth: u32) -> Result<u32> {
        if depth >= MAX_DEPTH {
            Err(self.error("pattern is nested too deeply"))
        } else {
            Ok(depth + 1)
        }
    }

    /// What follows `(` when it is `?`: a named group, or flags up to `:` or `)`.
    fn flag_group(&mut self) -> Result {
        if self.eat("?P<") || self.eat("?<") {
            return self.named_group();
        }
        self.eat("?");
        let mut flags = self.flags;
        let (mut on, mut seen) = (true, false);
        loop {
            match self.next() {
                Some('i') => flags.fold = on,
                Some('m') => flags.multi_line = on,
                Some('s') => flags.dot_newline = on,
                Some('U') => {}
                Some('-') if on => {
                    (on, seen) = (false, false);
                    continue;
                }
                Some(end @ (':' | ')')) if on || seen => {
                    if end == ':' {
                        return self.open(flags);
                    }
                    self.flags = flags;
                    return Ok(());
                }
                _ => return Err(self.error("invalid or unsupported (? group")),
            }
            seen = true;
        }
    }

    fn named_group(&mut self) -> Result {
        let Some((name, rest)) = self.rest.split_once('>') else {
            return Err(self.error("invalid group name"));
        };
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(self.error("invalid group name"));
        }
        self.rest = rest;
        self.open(self.flags)
    }

    // -- repetition ------------------------------------------------------------------------------

    /// `n}`, `n,}` or `n,m}` after `{`. Anything else, `{,n}` and `{01}` too, is literal text.
    fn counts(&mut self) -> Result<Option<(u32, Option<u32>)>> {
        let Some((inside, rest)) = self.rest.split_once('}') else {
            return Ok(None);
        };
        let (low, high) = match inside.split_once(',') {
            None => (count(inside), count(inside).map(Some)),
            Some((low, "")) => (count(low), Some(None)),
            Some((low, high)) => (count(low), count(high).map(Some)),
        };
        let (Some(low), Some(high)) = (low, high) else {
            return Ok(None);
        };
        self.rest = rest;
        if low > MAX_COPIES || high.is_some_and(|high| high > MAX_COPIES || low > high) {
            return Err(self.error("invalid repeat count"));
        }
        Ok(Some((low, high)))
    }

    fn repeat(&mut self, low: u32, high: Option<u32>, stacked: bool, counted: bool) -> Result {
        self.eat("?"); // lazy
        if stacked {
            return Err(self.error("invalid nested repetition operator"));
        }
        let Some(mut atom) = self.last.take() else {
            return Err(self.error("missing argument to repetition operator"));
        };
        if atom.repeated {
            // as in `a*(?i)*`
            self.out.insert_str(atom.start, "(?:");
            self.out.push(')');
        }
        match high {
            Some(high) => self.out.push_str(&format!("{{{low},{high}}}")),
            None => self.out.push_str(&format!("{{{low},}}")),
        }
        if counted {
            atom.copies = match high {
                Some(0) => 1,
                _ => atom.copies * high.unwrap_or(low).max(1),
            };
            if atom.copies > MAX_COPIES {
                return Err(self.error("invalid repeat count"));
            }
        }
        self.last = Some(Atom {
            depth: self.deeper(atom.depth)?,
            repeated: true,
            ..atom
        });
        Ok(())
    }
}

/// A count without leading zero; `None` when it is not one. Too large is as good as any large one.
fn count(digits: &str) -> Option<u32> {
    let plain = !digits.is_empty()
        && digits.bytes().all(|b| b.is_ascii_digit())
        && (digits == "0" || !digits.starts_with('0'));
    plain.then(|| digits.parse().unwrap_or(u32::MAX))
}

/// A character that can stand in and outside of a class without meaning anything else.
fn write_char(out: &mut String, c: char) {
    if c.is_alphanumeric() {
        out.push(c);
    } else {
        out.push_str(&format!("\\x{{{:X}}}", c as u32));
    }
}
