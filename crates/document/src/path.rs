//! Paths: how keys and list positions are named, typed and shown.

use std::fmt;

/// One step from a container to what it holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// A key of a map.
    Key(String),
    /// A position in a list, from 0; comments do not count.
    Index(usize),
}

/// The way from the root of one document to a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Path(pub Vec<Step>);

impl Path {
    /// Reads sops' notation `["key"]['key'][0]`: no escapes, a key cannot hold `[`.
    ///
    /// # Errors
    /// A sentence fragment that says which part does not read.
    pub fn parse_sops(text: &str) -> Result<Self, String> {
        let mut steps = Vec::new();
        if text.is_empty() {
            return Err("the path is empty; write it like [\"key\"][0]".into());
        }
        let Some(rest) = text.strip_prefix('[') else {
            return Err("the path must begin with [, like [\"key\"][0]".into());
        };
        for part in rest.split('[') {
            let Some(inner) = part.trim_end().strip_suffix(']') else {
                return Err("a part of the path has no closing ]".into());
            };
            let quoted = ['"', '\''].into_iter().find_map(|quote| {
                inner
                    .strip_prefix(quote)
                    .and_then(|rest| rest.strip_suffix(quote))
            });
            steps.push(match quoted {
                Some(key) => Step::Key(key.to_owned()),
                None => Step::Index(inner.trim().parse().map_err(|_| {
                    "a part of the path is neither a quoted key nor a position from 0".to_owned()
                })?),
            });
        }
        Ok(Self(steps))
    }
}

impl fmt::Display for Path {
    /// For people: `a.b[2]`, with keys that hold other signs quoted and control characters escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) => {
                    if at > 0 {
                        f.write_str(".")?;
                    }
                    let plain = !key.is_empty()
                        && key
                            .chars()
                            .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '/' | '$' | '@'));
                    if plain {
                        f.write_str(key)?
                    } else {
                        write!(f, "{key:?}")?
                    }
                }
            }
        }
        if self.0.is_empty() {
            f.write_str("(root)")
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sops_notation_reads_keys_and_positions() {
        let path = Path::parse_sops("[\"a b\"]['c'][3]").expect("a path");
        assert_eq!(
            path.0,
            [Step::Key("a b".into()), Step::Key("c".into()), Step::Index(3)]
        );
        assert_eq!(path.to_string(), "\"a b\".c[3]");
    }

    #[test]
    fn broken_paths_are_refused() {
        for text in ["", "a", "[", "[\"a\"", "[-1]", "[1x]", "[\"a]", "[]"] {
            assert!(Path::parse_sops(text).is_err(), "{text:?} was accepted");
        }
    }
}
