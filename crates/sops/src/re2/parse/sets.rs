//! What stands for one character: escapes, named sets, bracketed classes.

use regex_syntax::hir::ClassUnicodeRange;

use super::class::{self, Set};
use super::{Parser, Result};

/// A set that has a name, perhaps in its negated form.
struct Named {
    set: Set,
    negated: bool,
}

impl Parser<'_> {
    // -- escapes ---------------------------------------------------------------------------------

    /// What follows a backslash outside a class.
    pub(super) fn escape(&mut self) -> Result {
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
    pub(super) fn class(&mut self) -> Result {
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
