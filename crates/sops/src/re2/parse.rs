//! Reads a pattern by RE2's grammar and writes the same pattern for the `regex` crate.
//!
//! Only "is there a match" is ever asked, so greediness and captures are checked and then dropped. What the
//! reader must remember of a thing already written is small: where it starts (a repetition may have to wrap
//! it), how deep it is, and the product of the counts inside it (RE2 allows at most 1000 copies of anything).

use regex_syntax::hir::ClassUnicodeRange;

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

    // -- escapes ---------------------------------------------------------------------------------

    /// What follows a backslash outside a class.
    fn escape(&mut self) -> Result {
        let before = self.rest;
        match self.next() {
            Some('A') => self.look(r"\A"),
            Some('z') => self.look(r"\z"),
            Some('b') => self.look(r"(?-u:\b)"),
            Some('B') => {
                self.not_at_word_edge = true;
                self.look(r"(?-u:\B)");
            }
            Some('Q') => {
                let (quoted, rest) = self.rest.split_once(r"\E").unwrap_or((self.rest, ""));
                for c in quoted.chars() {
                    self.literal(c as u32)?;
                }
                self.rest = rest;
            }
            _ => {
                self.rest = before;
                if let Some(item) = self.named_set()? {
                    let set = self.resolve(item)?;
                    return self.set(&set);
                }
                let code = self.escaped_char()?;
                return self.literal(code);
            }
        }
        Ok(())
    }

    /// `\d`-like and `\p`-like escapes, after the backslash.
    fn named_set(&mut self) -> Result<Option<Named>> {
        let Some(letter) = self.rest.chars().next() else {
            return Ok(None);
        };
        if let Some(set) = class::perl(letter.to_ascii_lowercase()) {
            self.next();
            return self.named(set, letter.is_ascii_uppercase()).map(Some);
        }
        if !matches!(letter, 'p' | 'P') {
            return Ok(None);
        }
        self.next();
        let unknown = "unknown character property";
        let name = if self.eat("{") {
            let Some((name, rest)) = self.rest.split_once('}') else {
                return Err(self.error(unknown));
            };
            self.rest = rest;
            name
        } else {
            let from = self.rest;
            self.next();
            &from[..from.len() - self.rest.len()]
        };
        let inverted = name.strip_prefix('^').filter(|_| name.len() > 1);
        let Some(set) = class::property(inverted.unwrap_or(name)) else {
            return Err(self.error(unknown));
        };
        self.named(set, (letter == 'P') != inverted.is_some()).map(Some)
    }

    fn named(&mut self, set: Set, negated: bool) -> Result<Named> {
        self.spend(&set)?;
        Ok(Named { set, negated })
    }

    /// Folded first, negated then.
    fn resolve(&mut self, item: Named) -> Result<Set> {
        let mut set = if self.flags.fold {
            self.fold(item.set)?
        } else {
            item.set
        };
        if item.negated {
            set.negate();
        }
        Ok(set)
    }

    /// The single character that an escape names, after the backslash, inside or outside a class.
    fn escaped_char(&mut self) -> Result<u32> {
        let Some(c) = self.next() else {
            return Err(self.error("trailing backslash"));
        };
        let code = match c {
            // `\1` alone would be a back-reference
            '1'..='7' if !self.rest.starts_with(|c| matches!(c, '0'..='7')) => None,
            '0'..='7' => {
                let mut code = c as u32 - '0' as u32;
                for _ in 0..2 {
                    let Some(digit) = self.next_digit(8) else { break };
                    code = code * 8 + digit;
                }
                Some(code)
            }
            'x' => self.hex(),
            'a' => Some(0x07),
            'f' => Some(0x0C),
            'n' => Some(0x0A),
            'r' => Some(0x0D),
            't' => Some(0x09),
            'v' => Some(0x0B),
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => Some(c as u32),
            _ => None,
        };
        code.ok_or_else(|| self.error("invalid escape"))
    }

    fn hex(&mut self) -> Option<u32> {
        if !self.eat("{") {
            return Some(self.next_digit(16)? * 16 + self.next_digit(16)?);
        }
        let mut code = self.next_digit(16)?;
        while !self.eat("}") {
            code = code * 16 + self.next_digit(16)?;
            if code > char::MAX as u32 {
                return None;
            }
        }
        Some(code)
    }

    // -- classes ---------------------------------------------------------------------------------

    /// A bracketed class, after its `[`.
    fn class(&mut self) -> Result {
        let negated = self.eat("^");
        // those that case folding is still to be applied to, and those that are as they must be
        let mut plain: Vec<ClassUnicodeRange> = Vec::new();
        let mut resolved: Vec<ClassUnicodeRange> = Vec::new();
        let mut first = true;
        while first || !self.rest.starts_with(']') {
            first = false;
            if let Some(item) = self.class_name()? {
                if item.negated {
                    resolved.extend_from_slice(self.resolve(item)?.ranges());
                } else {
                    plain.extend_from_slice(item.set.ranges());
                }
                continue;
            }
            let low = self.class_char()?;
            let mut high = low;
            if self.rest.starts_with('-') && !self.rest.starts_with("-]") && self.rest.len() > 1 {
                self.next();
                high = self.class_char()?;
                if high < low {
                    return Err(self.error("invalid character class range"));
                }
            }
            plain.extend(class::range(low, high));
        }
        self.eat("]");
        let mut set = Set::new(plain);
        if self.flags.fold {
            set = self.fold(set)?;
        }
        set.union(&Set::new(resolved));
        if negated {
            set.negate();
        }
        self.set(&set)
    }

    /// `[:alpha:]`, `\d` or `\pL` inside a class, if one stands here.
    fn class_name(&mut self) -> Result<Option<Named>> {
        if let Some(inside) = self.rest.strip_prefix("[:")
            && let Some((name, rest)) = inside.split_once(":]")
        {
            self.rest = rest;
            let (name, negated) = name.strip_prefix('^').map_or((name, false), |name| (name, true));
            let Some(set) = class::posix(name) else {
                return Err(self.error("unknown character class name"));
            };
            return self.named(set, negated).map(Some);
        }
        let before = self.rest;
        if self.eat("\\") {
            let item = self.named_set()?;
            if item.is_none() {
                self.rest = before;
            }
            return Ok(item);
        }
        Ok(None)
    }

    fn class_char(&mut self) -> Result<u32> {
        match self.next() {
            None => Err(self.error("missing closing ]")),
            Some('\\') => self.escaped_char(),
            Some(c) => Ok(c as u32),
        }
    }
}

/// A set that has a name, perhaps in its negated form.
struct Named {
    set: Set,
    negated: bool,
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
