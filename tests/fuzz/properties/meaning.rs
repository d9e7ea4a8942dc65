//! What a document says, whatever it looks like: keys and typed values, without comments. The model that edits and
//! printers are held against.

use std::fmt;

use document::emit::{self, Item};
use document::{Document, Form, Format, Limits, Path, Scalar, Step};
use secret::SecretBytes;
use sops::value;

/// The most items of a document that are looked at: aliases can make any number of them.
const BOUND: usize = 20_000;

/// A value.
#[derive(Clone, PartialEq)]
pub(crate) enum Meaning {
    Map(Vec<(Vec<u8>, Meaning)>),
    List(Vec<Meaning>),
    /// The word of its type and its text as it would be sealed.
    Leaf(&'static str, Vec<u8>),
}

/// Bounds for reading: those of the program, but that aliases may not make much more of a small input.
pub(crate) fn limits() -> Limits {
    Limits {
        expanded: BOUND,
        ..Limits::default()
    }
}

/// Reads `source`.
pub(crate) fn parse(format: Format, form: Form, source: &[u8]) -> Result<Document, document::Error> {
    Document::parse(format, form, SecretBytes::copy_from(source), &limits())
}

impl fmt::Debug for Meaning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Map(entries) => f
                .debug_map()
                .entries(
                    entries
                        .iter()
                        .map(|(key, value)| (String::from_utf8_lossy(key), value)),
                )
                .finish(),
            Self::List(items) => f.debug_list().entries(items).finish(),
            Self::Leaf(ty, text) => write!(f, "{ty} \"{}\"", text.escape_ascii()),
        }
    }
}

impl Meaning {
    /// What each document of the source says; `None` if aliases make too much of it, or a value has no type.
    pub(crate) fn of(document: &Document) -> Option<Vec<Self>> {
        let items = emit::from_document(document, BOUND, |_| None).ok()?;
        Some(Self::of_items(&items))
    }

    /// What the items say.
    pub(crate) fn of_items(mut items: &[Item<'_>]) -> Vec<Self> {
        std::iter::from_fn(|| Self::next(&mut items)).collect()
    }

    fn next(items: &mut &[Item<'_>]) -> Option<Self> {
        let mut open: Vec<(Self, Option<Vec<u8>>)> = Vec::new();
        loop {
            let (item, rest) = items.split_first()?;
            *items = rest;
            let mut done = match item {
                Item::Comment(_) => continue,
                Item::Key(name) => {
                    open.last_mut()?.1 = Some(name.to_vec());
                    continue;
                }
                Item::Map => {
                    open.push((Self::Map(Vec::new()), None));
                    continue;
                }
                Item::List => {
                    open.push((Self::List(Vec::new()), None));
                    continue;
                }
                Item::End => open.pop()?.0,
                Item::Scalar(scalar) => Self::scalar(scalar),
            };
            match open.last_mut() {
                None => return Some(done),
                Some((Self::Map(entries), key)) => {
                    entries.push((key.take()?, std::mem::replace(&mut done, Self::NULL)))
                }
                Some((Self::List(items), _)) => items.push(done),
                Some(_) => return None,
            }
        }
    }

    const NULL: Self = Self::Leaf("null", Vec::new());

    fn scalar(scalar: &Scalar<'_>) -> Self {
        match value::plaintext(scalar) {
            None => Self::NULL,
            Some((ty, text)) => Self::Leaf(ty.as_str(), text.into_owned()),
        }
    }

    /// Every path to a value of this one, containers too.
    pub(crate) fn paths(&self) -> Vec<Path> {
        let mut found = Vec::new();
        let mut todo = vec![(Path::default(), self)];
        while let Some((path, value)) = todo.pop() {
            let below: Vec<(Step, &Self)> = match value {
                Self::Map(entries) => entries
                    .iter()
                    .map(|(key, value)| (Step::Key(String::from_utf8_lossy(key).into_owned()), value))
                    .collect(),
                Self::List(items) => items
                    .iter()
                    .enumerate()
                    .map(|(at, item)| (Step::Index(at), item))
                    .collect(),
                Self::Leaf(..) => Vec::new(),
            };
            for (step, value) in below {
                let mut steps = path.0.clone();
                steps.push(step);
                found.push(Path(steps.clone()));
                todo.push((Path(steps), value));
            }
        }
        found
    }

    /// The value at `path`.
    pub(crate) fn get(&self, path: &[Step]) -> Option<&Self> {
        path.iter().try_fold(self, |value, step| match (value, step) {
            (Self::Map(entries), Step::Key(name)) => entries
                .iter()
                .find(|(key, _)| key == name.as_bytes())
                .map(|(_, value)| value),
            (Self::List(items), Step::Index(index)) => items.get(*index),
            _ => None,
        })
    }

    /// Puts `new` at `path`, as `set` is meant to; `None` if the path leads through a value.
    pub(crate) fn set(&mut self, path: &[Step], new: Self) -> Option<()> {
        let Some((step, rest)) = path.split_first() else {
            *self = new;
            return Some(());
        };
        if *self == Self::NULL {
            *self = match step {
                Step::Key(_) => Self::Map(Vec::new()),
                Step::Index(_) => Self::List(Vec::new()),
            };
        }
        let below = match (self, step) {
            (Self::Map(entries), Step::Key(name)) => {
                let at = entries
                    .iter()
                    .position(|(key, _)| key == name.as_bytes())
                    .unwrap_or_else(|| {
                        entries.push((name.clone().into_bytes(), Self::NULL));
                        entries.len() - 1
                    });
                &mut entries[at].1
            }
            (Self::List(items), Step::Index(index)) => {
                let at = (*index).min(items.len());
                if at == items.len() {
                    items.push(Self::NULL);
                }
                &mut items[at]
            }
            _ => return None,
        };
        below.set(rest, new)
    }

    /// Takes what is at `path` away; `None` if nothing is.
    pub(crate) fn unset(&mut self, path: &[Step]) -> Option<()> {
        let (last, parents) = path.split_last()?;
        let parent = parents.iter().try_fold(self, |value, step| match (value, step) {
            (Self::Map(entries), Step::Key(name)) => entries
                .iter_mut()
                .find(|(key, _)| key == name.as_bytes())
                .map(|(_, value)| value),
            (Self::List(items), Step::Index(index)) => items.get_mut(*index),
            _ => None,
        })?;
        match (parent, last) {
            (Self::Map(entries), Step::Key(name)) => {
                let at = entries.iter().position(|(key, _)| key == name.as_bytes())?;
                entries.remove(at);
            }
            (Self::List(items), Step::Index(index)) if *index < items.len() => {
                items.remove(*index);
            }
            _ => return None,
        }
        Some(())
    }

    /// The same where only text can stand.
    pub(crate) fn as_text(&self) -> Self {
        match self {
            Self::Leaf("bool", text) => Self::Leaf("str", text.to_ascii_lowercase()),
            Self::Leaf("null", _) => Self::Leaf("str", b"<nil>".to_vec()),
            Self::Leaf(_, text) => Self::Leaf("str", text.clone()),
            other => other.clone(),
        }
    }

    /// Whether it is a map with this key.
    pub(crate) fn has(&self, name: &[u8]) -> bool {
        matches!(self, Self::Map(entries) if entries.iter().any(|(key, _)| key == name))
    }

    /// The same where a whole number can be a float: sops prints the float 3.0 as 3, and -0.0 as -0.
    pub(crate) fn as_printed(&self) -> Self {
        match self {
            Self::Map(entries) => Self::Map(
                entries
                    .iter()
                    .map(|(key, value)| (key.clone(), value.as_printed()))
                    .collect(),
            ),
            Self::List(items) => Self::List(items.iter().map(Self::as_printed).collect()),
            Self::Leaf("float", text) if text == b"-0" => Self::Leaf("int", b"0".to_vec()),
            Self::Leaf("float", text) => Self::Leaf("int", text.clone()),
            leaf => leaf.clone(),
        }
    }

    /// The same without an order of keys.
    pub(crate) fn unordered(&self) -> Self {
        match self {
            Self::Map(entries) => {
                let mut entries: Vec<_> = entries
                    .iter()
                    .map(|(key, value)| (key.clone(), value.unordered()))
                    .collect();
                entries.sort_by(|(one, _), (other, _)| one.cmp(other));
                Self::Map(entries)
            }
            Self::List(items) => Self::List(items.iter().map(Self::unordered).collect()),
            leaf => leaf.clone(),
        }
    }
}
