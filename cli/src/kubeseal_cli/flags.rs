//! Flags as kubeseal's library reads them: `--name value` and `--name=value`, letters behind one dash, and a variable
//! `SEALED_SECRETS_NAME` for every flag of its own.

use std::collections::HashMap;
use std::ffi::OsString;

use super::table::FLAGS;

/// What a flag takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    /// Nothing: it is on or off.
    Nothing,
    /// A word; the last one counts.
    Word,
    /// A list with commas, each time.
    List,
    /// A scope; the last one counts.
    Scope,
    /// A whole number that nobody asks for.
    Number,
}

/// One flag.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flag {
    pub(super) name: &'static str,
    /// Behind one dash; a blank for none.
    pub(super) letter: char,
    pub(super) takes: Takes,
    /// Whether a variable is read for it: not for those of the log library.
    pub(super) variable: bool,
}

/// A command line taken apart.
#[derive(Debug, Default)]
pub(super) struct Given {
    values: HashMap<&'static str, Vec<String>>,
}

/// Why a command line cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Misuse {
    /// `-h`: the usage is asked for.
    Usage,
    /// A flag that there is not, or a wrong value.
    Wrong(String),
}

impl Given {
    /// Reads `arguments`; words that are no flags count for nothing. `variable` gives the value of an environment variable.
    pub(super) fn read(
        arguments: &[OsString],
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Misuse> {
        let mut given = Self::default();
        for flag in FLAGS.iter().filter(|flag| flag.variable) {
            let name = flag.name.to_ascii_uppercase().replace('-', "_");
            if let Some(value) = variable(&format!("SEALED_SECRETS_{name}")) {
                // What does not fit counts as not given, as kubeseal has it.
                let _ = given.put(flag, &value);
            }
        }
        let mut rest = arguments.iter().map(|argument| argument.to_string_lossy());
        while let Some(argument) = rest.next() {
            let mut next = || rest.next().map(std::borrow::Cow::into_owned);
            match argument.strip_prefix("--") {
                Some("") => break,
                Some(long) => given.long(long, &mut next)?,
                None => {
                    let letters = argument.strip_prefix('-').unwrap_or_default();
                    given.short(letters, &mut next)?;
                }
            }
        }
        Ok(given)
    }

    fn long(&mut self, text: &str, next: &mut dyn FnMut() -> Option<String>) -> Result<(), Misuse> {
        if text.starts_with(['-', '=']) {
            return Err(Misuse::Wrong(format!("bad flag syntax: --{text}")));
        }
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
        let found = FLAGS.iter().find(|flag| flag.name == name);
        let flag = found.ok_or_else(|| Misuse::Wrong(format!("unknown flag: --{name}")))?;
        let value = match (value, flag.takes) {
            (Some(value), _) => value,
            (None, Takes::Nothing) => "true".to_owned(),
            (None, _) => next().ok_or_else(|| Misuse::Wrong(format!("flag needs an argument: --{name}")))?,
        };
        self.put(flag, &value).map_err(|why| wrong(flag, &value, &why))
    }

    /// `-o yaml`, `-oyaml`, `-o=yaml`.
    fn short(&mut self, letters: &str, next: &mut dyn FnMut() -> Option<String>) -> Result<(), Misuse> {
        let mut signs = letters.chars();
        let Some(letter) = signs.next() else {
            return Ok(());
        };
        let found = FLAGS.iter().find(|flag| flag.letter == letter && letter != ' ');
        let Some(flag) = found else {
            return Err(match letter {
                'h' => Misuse::Usage,
                _ => Misuse::Wrong(format!("unknown shorthand flag: '{letter}' in -{letters}")),
            });
        };
        let value = match signs.as_str() {
            "" => next()
                .ok_or_else(|| Misuse::Wrong(format!("flag needs an argument: '{letter}' in -{letters}")))?,
            // A sign of equality on its own is the value.
            "=" => "=".to_owned(),
            value => value.strip_prefix('=').unwrap_or(value).to_owned(),
        };
        self.put(flag, &value).map_err(|why| wrong(flag, &value, &why))
    }

    fn put(&mut self, flag: &Flag, value: &str) -> Result<(), String> {
        let values = match flag.takes {
            Takes::Nothing => vec![truth(value)?.to_string()],
            Takes::Word => vec![value.to_owned()],
            Takes::List => list(value)?,
            Takes::Scope if value.is_empty() || sealed_secrets::Scope::of_word(value).is_some() => {
                vec![value.to_owned()]
            }
            Takes::Scope => return Err("must be one of: strict, namespace-wide, cluster-wide".to_owned()),
            Takes::Number if value.parse::<i32>().is_ok() => Vec::new(),
            Takes::Number => return Err(format!("strconv.ParseInt: parsing {value:?}: invalid syntax")),
        };
        let known = self.values.entry(flag.name).or_default();
        if flag.takes != Takes::List {
            known.clear();
        }
        known.extend(values);
        Ok(())
    }

    /// Whether a flag that takes nothing is on.
    pub(super) fn on(&self, name: &str) -> bool {
        self.text(name) == Some("true")
    }

    /// The word of a flag, if it was given.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name)?.last().map(String::as_str)
    }

    /// The word of a flag that is not empty.
    pub(super) fn filled(&self, name: &str) -> Option<&str> {
        self.text(name).filter(|text| !text.is_empty())
    }

    /// The words of a list.
    pub(super) fn all(&self, name: &str) -> &[String] {
        self.values.get(name).map_or(&[], Vec::as_slice)
    }
}

fn wrong(flag: &Flag, value: &str, why: &str) -> Misuse {
    let name = match flag.letter {
        ' ' => format!("--{}", flag.name),
        letter => format!("-{letter}, --{}", flag.name),
    };
    Misuse::Wrong(format!("invalid argument {value:?} for {name:?} flag: {why}"))
}

fn truth(value: &str) -> Result<bool, String> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("strconv.ParseBool: parsing {value:?}: invalid syntax")),
    }
}

/// A line of CSV: a word with commas stands in quotes.
fn list(value: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut rest = value;
    while !rest.is_empty() || !words.is_empty() {
        let Some(quoted) = rest.strip_prefix('"') else {
            let (word, behind) = rest
                .split_once(',')
                .map_or((rest, None), |(word, behind)| (word, Some(behind)));
            words.push(word.to_owned());
            match behind {
                Some(behind) => rest = behind,
                None => break,
            }
            continue;
        };
        let end = quoted.replace("\"\"", "__").find('"');
        let end = end.ok_or("a quote is not closed")?;
        words.push(quoted[..end].replace("\"\"", "\""));
        match quoted[end + 1..].strip_prefix(',') {
            Some(behind) => rest = behind,
            None if quoted.len() == end + 1 => break,
            None => return Err("text behind a quote".to_owned()),
        }
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &[&str]) -> Result<Given, Misuse> {
        let words: Vec<OsString> = line.iter().map(OsString::from).collect();
        Given::read(&words, &|name| match name {
            "SEALED_SECRETS_CERT" => Some("of-env".to_owned()),
            "SEALED_SECRETS_RECOVERY_PRIVATE_KEY" => Some("a".to_owned()),
            "SEALED_SECRETS_SCOPE" => Some("bogus".to_owned()),
            "SEALED_SECRETS_V" => Some("x".to_owned()),
            _ => None,
        })
    }

    #[test]
    fn all_spellings_and_variables() {
        let given = read(&["-oyaml", "word", "-n=x", "--name", "--raw", "--", "--bogus"]).expect("read");
        assert_eq!(
            (given.text("format"), given.text("namespace")),
            (Some("yaml"), Some("x"))
        );
        assert_eq!((given.text("name"), given.on("raw")), (Some("--raw"), false));
        assert_eq!((given.text("cert"), given.text("scope")), (Some("of-env"), None));
        let given = read(&["--cert=f", "-n=", "--recovery-private-key", "b,c", "--raw=T"]).expect("read");
        assert_eq!(
            (given.text("cert"), given.text("namespace")),
            (Some("f"), Some("="))
        );
        assert_eq!(given.all("recovery-private-key"), ["a", "b", "c"]);
        assert!(given.on("raw"));
    }

    #[test]
    fn lists_are_lines_of_csv() {
        for (text, words) in [
            ("", &[][..]),
            ("a", &["a"]),
            ("a,b", &["a", "b"]),
            ("a,", &["a", ""]),
            ("\"a,b\",c", &["a,b", "c"]),
            ("\"a\"\"b\"", &["a\"b"]),
        ] {
            assert_eq!(
                list(text).as_deref(),
                Ok(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()[..]),
                "{text}"
            );
        }
        assert!(list("\"a").is_err() && list("\"a\"b").is_err());
    }

    #[test]
    fn mistakes_are_named_as_kubeseal_names_them() {
        for (line, said) in [
            (&["--bogus"][..], "unknown flag: --bogus"),
            (&["--=x"], "bad flag syntax: --=x"),
            (&["-zx"], "unknown shorthand flag: 'z' in -zx"),
            (&["--cert"], "flag needs an argument: --cert"),
            (&["-o"], "flag needs an argument: 'o' in -o"),
            (
                &["-v", "x"],
                "invalid argument \"x\" for \"-v, --v\" flag: strconv.ParseInt: parsing \"x\": invalid syntax",
            ),
        ] {
            assert_eq!(read(line).map(drop), Err(Misuse::Wrong(said.to_owned())));
        }
        assert_eq!(read(&["-h"]).map(drop), Err(Misuse::Usage));
    }
}
