//! Flags as Go programs read them: `-name` and `--name` are the same, `=` may stand before the value, a flag that is
//! either on or off takes no word of its own.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};

/// What a flag takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    /// Nothing: it is on or off.
    Nothing,
    /// A word; the last one counts.
    Word,
    /// A word each time.
    Words,
}

/// One flag of a command.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flag {
    /// The name that the program asks for.
    pub(super) name: &'static str,
    /// Another name; the same one for none.
    pub(super) alias: &'static str,
    pub(super) takes: Takes,
    /// The variable that is read where the flag is not given; empty for none.
    pub(super) variable: &'static str,
}

/// A command line taken apart.
#[derive(Debug, Default)]
pub(super) struct Given {
    values: HashMap<&'static str, Vec<String>>,
    /// What is no flag, in order.
    pub(super) words: Vec<OsString>,
}

/// Where flags may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Before the first word that is no flag.
    FlagsFirst,
    /// Anywhere up to `--`.
    Anywhere,
}

/// A flag that the command does not have, or one without its word.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Misuse(pub(super) String);

impl Given {
    /// Reads `arguments`; `variable` gives the value of an environment variable.
    pub(super) fn read(
        flags: &[Flag],
        order: Order,
        arguments: &[OsString],
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Misuse> {
        let mut given = Self::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let Some((name, value)) = flag(argument) else {
                given.words.push(argument.clone());
                if order == Order::FlagsFirst {
                    break;
                }
                continue;
            };
            if name.is_empty() {
                break;
            }
            let found = flags.iter().find(|flag| flag.name == name || flag.alias == name);
            let found = found.ok_or_else(|| Misuse(format!("flag provided but not defined: -{name}")))?;
            let value = match (found.takes, value) {
                (Takes::Nothing, None) => "true".to_owned(),
                (Takes::Nothing, Some(value)) => match value.as_str() {
                    "1" | "t" | "T" | "true" | "TRUE" | "True" => "true".to_owned(),
                    "0" | "f" | "F" | "false" | "FALSE" | "False" => "false".to_owned(),
                    _ => return Err(Misuse(format!("invalid boolean value for -{name}"))),
                },
                (_, Some(value)) => value,
                (_, None) => {
                    let next = rest
                        .next()
                        .ok_or_else(|| Misuse(format!("flag needs an argument: -{name}")))?;
                    next.to_string_lossy().into_owned()
                }
            };
            given.values.entry(found.name).or_default().push(value);
        }
        given.words.extend(rest.cloned());
        for flag in flags.iter().filter(|flag| !flag.variable.is_empty()) {
            if !given.values.contains_key(flag.name)
                && let Some(value) = variable(flag.variable).filter(|value| !value.is_empty())
            {
                given.values.insert(flag.name, vec![value]);
            }
        }
        Ok(given)
    }

    /// Whether a flag that takes nothing is on.
    pub(super) fn on(&self, name: &str) -> bool {
        self.text(name).is_some_and(|value| value == "true")
    }

    /// The last word of a flag.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name)?.last().map(String::as_str)
    }

    /// The word of a flag that is not empty.
    pub(super) fn filled(&self, name: &str) -> Option<&str> {
        self.text(name).filter(|text| !text.is_empty())
    }

    /// All words of a flag.
    pub(super) fn all(&self, name: &str) -> &[String] {
        self.values.get(name).map_or(&[], Vec::as_slice)
    }

    /// The word at `position`.
    pub(super) fn word(&self, position: usize) -> Option<&OsStr> {
        self.words.get(position).map(OsString::as_os_str)
    }
}

/// The name and the value in it, if `argument` is a flag; an empty name for `--`.
fn flag(argument: &OsStr) -> Option<(String, Option<String>)> {
    let text = argument.to_str()?;
    let name = text.strip_prefix("--").or_else(|| text.strip_prefix('-'))?;
    if name.is_empty() {
        return (text == "--").then(|| (String::new(), None));
    }
    Some(match name.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => (name.to_owned(), None),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAGS: [Flag; 3] = [
        Flag {
            name: "in-place",
            alias: "i",
            takes: Takes::Nothing,
            variable: "",
        },
        Flag {
            name: "age",
            alias: "a",
            takes: Takes::Word,
            variable: "AGE",
        },
        Flag {
            name: "pgp",
            alias: "p",
            takes: Takes::Words,
            variable: "",
        },
    ];

    fn read(order: Order, line: &str) -> Result<Given, Misuse> {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        Given::read(&FLAGS, order, &words, &|name| {
            (name == "AGE").then(|| "from-env".to_owned())
        })
    }

    #[test]
    fn both_dashes_both_values_and_variables() {
        let given = read(Order::Anywhere, "-i f --age=x --pgp a -p b g").expect("read");
        assert!(given.on("in-place"));
        assert_eq!(given.text("age"), Some("x"));
        assert_eq!(given.all("pgp"), ["a", "b"]);
        assert_eq!(given.words, ["f", "g"]);
        let given = read(Order::Anywhere, "-in-place=false -- -i").expect("read");
        assert!(!given.on("in-place"));
        assert_eq!(given.text("age"), Some("from-env"));
        assert_eq!(given.words, ["-i"]);
    }

    #[test]
    fn in_legacy_mode_the_first_word_ends_the_flags() {
        let given = read(Order::FlagsFirst, "-i f --age x").expect("read");
        assert_eq!(given.words, ["f", "--age", "x"]);
        assert_eq!(given.word(0), Some(OsStr::new("f")));
    }

    #[test]
    fn mistakes_are_named() {
        for (line, said) in [
            ("--bogus", "flag provided but not defined: -bogus"),
            ("--age", "flag needs an argument: -age"),
            ("--in-place=maybe", "invalid boolean value for -in-place"),
        ] {
            assert_eq!(
                read(Order::Anywhere, line).expect_err(line),
                Misuse(said.to_owned())
            );
        }
    }
}
