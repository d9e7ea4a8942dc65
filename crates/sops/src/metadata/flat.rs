//! The flat form of the block in dotenv and INI files: a map step is `__map_NAME`, a list step `__list_INDEX`,
//! the first step is bare. The prefix `sops_` and the spelling of line breaks belong to the document formats.

use std::collections::BTreeMap;

use document::Value;

use crate::metadata::MetadataError;

const MAP: &str = "__map_";
const LIST: &str = "__list_";

/// Deepest flat name; the deepest that any tool writes has seven steps.
const MOST_STEPS: usize = 32;

/// The texts of `block`, each under its flat name, sorted by name. Nulls and empty lists and maps vanish.
pub fn flatten(block: &Value) -> Vec<(String, String)> {
    let mut out = Vec::new();
    if let Value::Map(entries) = block {
        for (name, value) in entries {
            collect(name.clone(), value, &mut out);
        }
    }
    out.sort();
    out
}

fn collect(name: String, value: &Value, out: &mut Vec<(String, String)>) {
    match value {
        Value::Null => {}
        Value::Bool(value) => out.push((name, value.to_string())),
        Value::Int(value) => out.push((name, value.to_string())),
        Value::Str(value) => out.push((name, value.clone())),
        Value::List(items) => {
            for (index, item) in items.iter().enumerate() {
                collect(format!("{name}{LIST}{index}"), item, out);
            }
        }
        Value::Map(entries) => {
            for (key, item) in entries {
                collect(format!("{name}{MAP}{key}"), item, out);
            }
        }
    }
}

/// The nested block of flat names in any order; maps come out sorted by name, all values as texts.
///
/// # Errors
/// [`MetadataError::ListIndex`], [`MetadataError::IncompleteList`], [`MetadataError::Conflict`],
/// [`MetadataError::Twice`] or [`MetadataError::TooDeep`], each with the flat name.
pub fn unflatten(fields: &[(String, String)]) -> Result<Value, MetadataError> {
    let mut root = Tree::Map(BTreeMap::new());
    for (name, text) in fields {
        let mut place = &mut root;
        for (depth, step) in steps(name).enumerate() {
            if depth == MOST_STEPS {
                return Err(MetadataError::TooDeep(name.clone()));
            }
            place = place.child(step, name)?;
        }
        *place = match place {
            Tree::Empty => Tree::Leaf(text),
            Tree::Leaf(_) => return Err(MetadataError::Twice(name.clone())),
            _ => return Err(MetadataError::Conflict(name.clone())),
        };
    }
    root.into_value("")
}

/// A step of a flat name.
enum Step<'a> {
    Key(&'a str),
    Item(&'a str),
}

/// The name split at every occurrence of the two separators.
fn steps(name: &str) -> impl Iterator<Item = Step<'_>> {
    let mut rest = Some((false, name));
    std::iter::from_fn(move || {
        let (item, text) = rest?;
        let (map, list) = (text.find(MAP), text.find(LIST));
        let next_is_list = list.is_some_and(|list| map.is_none_or(|map| list < map));
        let separator = if next_is_list { LIST } else { MAP };
        let (step, behind) = match text.split_once(separator) {
            Some((step, behind)) => (step, Some((next_is_list, behind))),
            None => (text, None),
        };
        rest = behind;
        Some(if item { Step::Item(step) } else { Step::Key(step) })
    })
}

/// The block while it grows.
enum Tree<'a> {
    Empty,
    Leaf(&'a str),
    List(BTreeMap<usize, Tree<'a>>),
    Map(BTreeMap<&'a str, Tree<'a>>),
}

impl<'a> Tree<'a> {
    /// The place that one step of `name` leads to.
    fn child(&mut self, step: Step<'a>, name: &str) -> Result<&mut Self, MetadataError> {
        if let Tree::Empty = self {
            *self = match step {
                Step::Key(_) => Tree::Map(BTreeMap::new()),
                Step::Item(_) => Tree::List(BTreeMap::new()),
            };
        }
        match (self, step) {
            (Tree::Map(entries), Step::Key(key)) => Ok(entries.entry(key).or_insert(Tree::Empty)),
            (Tree::List(items), Step::Item(index)) => {
                let index = position(index).ok_or_else(|| MetadataError::ListIndex(name.to_owned()))?;
                Ok(items.entry(index).or_insert(Tree::Empty))
            }
            _ => Err(MetadataError::Conflict(name.to_owned())),
        }
    }

    /// The finished value; `name` is the flat name up to here.
    fn into_value(self, name: &str) -> Result<Value, MetadataError> {
        Ok(match self {
            Tree::Empty => Value::Null,
            Tree::Leaf(text) => Value::Str(text.to_owned()),
            Tree::List(items) => {
                if items.keys().enumerate().any(|(at, index)| at != *index) {
                    return Err(MetadataError::IncompleteList(name.to_owned()));
                }
                let item =
                    |(index, item): (usize, Tree<'_>)| item.into_value(&format!("{name}{LIST}{index}"));
                Value::List(items.into_iter().map(item).collect::<Result<_, _>>()?)
            }
            Tree::Map(entries) => {
                let entry = |(key, value): (&str, Tree<'_>)| {
                    let below = if name.is_empty() {
                        key.to_owned()
                    } else {
                        format!("{name}{MAP}{key}")
                    };
                    Ok((key.to_owned(), value.into_value(&below)?))
                };
                Value::Map(entries.into_iter().map(entry).collect::<Result<_, _>>()?)
            }
        })
    }
}

/// A position in its one canonical spelling.
fn position(digits: &str) -> Option<usize> {
    let index: usize = digits.parse().ok()?;
    (index.to_string() == digits).then_some(index)
}
