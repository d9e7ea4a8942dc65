//! Hints: an annotation that says with which key an object was sealed, for the format itself does not.
//!
//! ```text
//! sealwright.dev/sealed-with: "<fp16>"                             every item
//! sealwright.dev/sealed-with: "<fp16>:<h8>,<h8>;<fp16>:<h8>"       items of several keys
//! ```
//! `fp16` is [`Fingerprint::short`](crate::Fingerprint::short), `h8` is [`short_hash`] of the item's text. A hint saves
//! operations and decides nothing: a false one costs one operation.

use crate::item::short_hash;

/// The annotation's name.
pub const SEALED_WITH: &str = "sealwright.dev/sealed-with";

/// What the annotation says. What does not read says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hint {
    groups: Vec<Group>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    key: String,
    /// `None`: every item.
    items: Option<Vec<String>>,
}

impl Hint {
    /// Reads the annotation's value.
    pub fn parse(text: &str) -> Self {
        let is_hex = |text: &str, len: usize| {
            text.len() == len
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        };
        let group = |text: &str| {
            let (key, items) = match text.split_once(':') {
                Some((key, items)) => (key, Some(items.split(',').map(str::to_owned).collect::<Vec<_>>())),
                None => (text, None),
            };
            let whole = is_hex(key, 16) && items.iter().flatten().all(|item| is_hex(item, 8));
            whole.then(|| Group {
                key: key.to_owned(),
                items,
            })
        };
        let groups: Option<Vec<Group>> = text.split(';').map(group).collect();
        let groups = groups.unwrap_or_default();
        // The short form speaks for all items, so it stands alone.
        if groups.len() > 1 && groups.iter().any(|group| group.items.is_none()) {
            return Self::default();
        }
        Self { groups }
    }

    /// The hint for items and the keys that they are sealed for, by the first digits of their fingerprints; items whose key
    /// is not known are left out.
    pub fn of<'i>(items: impl IntoIterator<Item = (&'i [u8], Option<String>)>) -> Self {
        let mut groups: Vec<Group> = Vec::new();
        let mut all_known = true;
        for (text, key) in items {
            let Some(key) = key else {
                all_known = false;
                continue;
            };
            let at = groups
                .iter()
                .position(|group| group.key == key)
                .unwrap_or_else(|| {
                    groups.push(Group {
                        key,
                        items: Some(Vec::new()),
                    });
                    groups.len() - 1
                });
            if let Some(items) = &mut groups[at].items {
                items.push(short_hash(text));
            }
        }
        if let ([only], true) = (&mut groups[..], all_known) {
            only.items = None;
        }
        Self { groups }
    }

    /// The key that an item of this text is said to be sealed for: the first digits of its fingerprint.
    pub fn key_of(&self, text: &[u8]) -> Option<&str> {
        self.find(text).map(|group| group.key.as_str())
    }

    /// The same where the hint knows this very text, and not only all items whatever they are.
    pub fn known_key_of(&self, text: &[u8]) -> Option<&str> {
        let group = self.find(text)?;
        group.items.is_some().then_some(group.key.as_str())
    }

    fn find(&self, text: &[u8]) -> Option<&Group> {
        if let [Group { items: None, .. }] = &self.groups[..] {
            return self.groups.first();
        }
        if self.groups.is_empty() {
            return None;
        }
        let hash = short_hash(text);
        self.groups
            .iter()
            .find(|group| group.items.iter().flatten().any(|item| *item == hash))
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }
}

impl std::fmt::Display for Hint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, group) in self.groups.iter().enumerate() {
            if at > 0 {
                f.write_str(";")?;
            }
            f.write_str(&group.key)?;
            if let Some(items) = &group.items {
                write!(f, ":{}", items.join(","))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fingerprint::Fingerprint;

    fn key(name: &[u8]) -> Option<String> {
        Some(Fingerprint::of_spki(name).short())
    }

    #[test]
    fn one_key_is_named_alone_and_several_by_item() {
        let (one, other) = (key(b"one"), key(b"other"));
        let short = |key: &Option<String>| key.clone().expect("a key");
        let all = Hint::of([(&b"a"[..], one.clone()), (b"b", one.clone())]);
        assert_eq!(all.to_string(), short(&one));
        assert_eq!(all.key_of(b"anything"), one.as_deref());
        assert_eq!(all.known_key_of(b"a"), None);
        let mixed = Hint::of([
            (&b"a"[..], one.clone()),
            (b"b", other.clone()),
            (b"c", one.clone()),
        ]);
        let text = format!(
            "{}:{},{};{}:{}",
            short(&one),
            short_hash(b"a"),
            short_hash(b"c"),
            short(&other),
            short_hash(b"b")
        );
        assert_eq!(mixed.to_string(), text);
        assert_eq!(Hint::parse(&text), mixed);
        assert_eq!(mixed.known_key_of(b"b"), other.as_deref());
        assert_eq!(mixed.key_of(b"changed by hand"), None);
        let partial = Hint::of([(&b"a"[..], one.clone()), (b"b", None)]);
        assert_eq!(
            partial.to_string(),
            format!("{}:{}", short(&one), short_hash(b"a"))
        );
    }

    #[test]
    fn what_does_not_read_says_nothing() {
        let print = Fingerprint::of_spki(b"x").short();
        for text in [
            "",
            "x",
            &print[1..],
            &print.to_uppercase().replace('0', "G"),
            &format!("{print}:1"),
            &format!("{print};{print}"),
        ] {
            assert!(Hint::parse(text).is_empty(), "{text}");
        }
        assert!(Hint::of([]).is_empty());
    }
}
