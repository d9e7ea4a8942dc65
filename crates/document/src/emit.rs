//! Writing values in sops' own formatting.
//!
//! A document that stays in its format keeps its bytes and never comes here. This is for the cases where
//! there are no bytes to keep: another output format, one value on its own, or a user who asks for what sops
//! itself would print. What goes in is a flat list of [`Item`]s, the same walk in document order that sops'
//! tree has; what comes out equals sops 3.11.0's output, except where that would not read back as the same
//! values (see `yaml`).
//!
//! What sops refuses to write is refused: nested values in dotenv, values outside sections in INI, infinite
//! numbers in JSON, anything but one text in a binary file.

mod binary;
mod dotenv;
mod ini;
mod json;
mod number;
#[cfg(test)]
mod tests;
pub(crate) mod yaml;

use std::borrow::Cow;

use secret::SecretBytes;

use crate::document::Document;
use crate::path::{Path, Step};
use crate::scalar::{Format, Scalar};
use crate::tree::{Comment, NodeId};
use crate::walk::Event;

/// One step of the walk through a list of documents. A document is its root, in practice an
/// [`Item::Map`], and everything up to the [`Item::End`] that belongs to it.
///
/// Text can be lent or owned; owned text is not wiped here, so opened secrets should be lent.
#[derive(Clone, Debug, PartialEq)]
pub enum Item<'a> {
    /// A map begins: keys, each followed by its value, with comments among them, up to [`Item::End`].
    Map,
    /// A list begins: values with comments among them, up to [`Item::End`].
    List,
    /// The innermost open map or list ends.
    End,
    /// A key of a map; its value comes next.
    Key(Cow<'a, [u8]>),
    /// A value.
    Scalar(Scalar<'a>),
    /// A comment: what stands behind the comment mark. Never between a key and its value.
    Comment(Cow<'a, [u8]>),
}

/// What stands before every nested line of JSON, once per level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Indent {
    /// One tab.
    Tab,
    /// So many spaces; with 0 there are line breaks and nothing else.
    Spaces(usize),
}

/// How far things are indented.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Spaces per level in YAML. 0 stands for 4; 1 and everything above 9 for 2, as in sops' own writer.
    pub yaml_indent: usize,
    /// JSON.
    pub json_indent: Indent,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            yaml_indent: 4,
            json_indent: Indent::Tab,
        }
    }
}

/// Why values cannot be written in a format. sops ends with code 4 on all of these but [`Self::Document`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// There is nothing to write.
    #[error("there is no document to write")]
    NoDocument,
    /// dotenv holds texts, not maps and lists.
    #[error("{key}: a dotenv file cannot hold a map or a list")]
    Nested {
        /// The root key.
        key: String,
    },
    /// INI holds sections of keys.
    #[error("{key}: an INI file cannot hold a value outside a section")]
    OutsideSection {
        /// The root key.
        key: String,
    },
    /// INI has no spelling for a section or key without a name.
    #[error("an INI file cannot hold a section or key without a name")]
    Nameless,
    /// JSON has no spelling for infinities and not-a-number.
    #[error("JSON cannot hold an infinite number or a not-a-number")]
    NotFinite,
    /// A binary file is the one text under the root key `data`.
    #[error("a binary file is one text under the key `data` of one document; choose another output type")]
    NotBinary,
    /// A value on its own that the format has no spelling for.
    #[error("this format can print single texts only; choose another output type")]
    NotText,
    /// The items do not nest.
    #[error("a map or list is not closed")]
    Unbalanced,
    /// Aliases expand to more nodes than allowed.
    #[error("the aliases of the document expand to more than {bound} nodes")]
    TooLarge {
        /// The bound.
        bound: usize,
    },
    /// A value of the source cannot be typed.
    #[error(transparent)]
    Document(#[from] crate::Error),
}

/// What can be substituted while a document is taken apart into items.
#[derive(Clone, Copy, Debug)]
pub enum Leaf {
    /// A scalar.
    Scalar(NodeId),
    /// A comment.
    Comment(Comment),
}

/// What stands instead of a [`Leaf`].
#[derive(Clone, Debug, PartialEq)]
pub enum Opened<'a> {
    /// A value; ignored where a comment stood.
    Scalar(Scalar<'a>),
    /// A comment. In a list it can stand for a text: sops' own writer seals comments of lists as items.
    Comment(Cow<'a, [u8]>),
}

/// All documents of `document`: aliases expanded, the metadata block left out. `open` may put another value in
/// place of any scalar or comment; `None` leaves it as it stands.
///
/// # Errors
/// When aliases expand to more than `bound` items, or a scalar cannot be typed.
pub fn from_document<'a>(
    document: &'a Document,
    bound: usize,
    mut open: impl FnMut(Leaf) -> Option<Opened<'a>>,
) -> Result<Vec<Item<'a>>, EmitError> {
    let mut items = Vec::with_capacity(2 * document.tree().len());
    for event in document.walk() {
        let item = match event {
            Event::Document(_) | Event::Map(_) => Item::Map,
            Event::List(_) => Item::List,
            Event::End => Item::End,
            Event::Key(key, _) => Item::Key(key.into()),
            Event::Leaf(id) => match open(Leaf::Scalar(id)) {
                Some(Opened::Scalar(value)) => Item::Scalar(value),
                Some(Opened::Comment(text)) => Item::Comment(text),
                None => Item::Scalar(document.scalar(id)?),
            },
            Event::Comment(comment) => Item::Comment(match open(Leaf::Comment(comment)) {
                Some(Opened::Comment(text)) => text,
                _ => document.tree().text(document.source(), comment.text).into(),
            }),
            Event::Alias(_) | Event::AliasEnd(_) | Event::Lost(..) => continue,
        };
        if items.len() >= bound {
            return Err(EmitError::TooLarge { bound });
        }
        items.push(item);
    }
    Ok(items)
}

/// One map with the entries of all documents, in their order; entries with the same key are all there.
///
/// # Errors
/// [`EmitError::NoDocument`] if there is none, [`EmitError::Unbalanced`] if one is no map.
pub fn merged<'a>(items: &[Item<'a>]) -> Result<Vec<Item<'a>>, EmitError> {
    check(items)?;
    let mut merged = vec![Item::Map];
    let mut at = 0;
    while let Some(item) = items.get(at) {
        let end = behind(items, at);
        if *item != Item::Map {
            return Err(EmitError::Unbalanced);
        }
        merged.extend_from_slice(&items[at + 1..end - 1]);
        at = end;
    }
    merged.push(Item::End);
    Ok(merged)
}

/// The value at `path` of the first document: of several entries with one key the first, as in sops.
pub fn select<'i, 'a>(items: &'i [Item<'a>], path: &Path) -> Option<&'i [Item<'a>]> {
    let mut at = 0;
    for step in &path.0 {
        at = match (step, items.get(at)?) {
            (Step::Key(key), Item::Map) => entry(items, at, key.as_bytes())?,
            (Step::Index(index), Item::List) => nth(items, at, *index)?,
            _ => return None,
        };
    }
    (at < items.len()).then(|| &items[at..behind(items, at)])
}

/// Writes documents in `format`. JSON and dotenv hold one document: further ones are left out, as sops does.
///
/// # Errors
/// When the format cannot hold the values.
pub fn emit(format: Format, items: &[Item<'_>], options: &Options) -> Result<SecretBytes, EmitError> {
    check(items)?;
    let mut out = SecretBytes::new(Vec::with_capacity(room(items)));
    let to = out.expose_mut();
    match format {
        Format::Yaml => yaml::documents(items, options.yaml_indent, to),
        Format::Json => json::document(items, options.json_indent, to)?,
        Format::Dotenv => dotenv::document(items, to)?,
        Format::Ini => ini::documents(items, to)?,
        Format::Binary => binary::document(items, to)?,
    }
    Ok(out)
}

/// Writes one value as `sops decrypt --extract` prints it: a text as its bytes with nothing behind it, a map
/// as a document, everything else in the format's own spelling.
///
/// # Errors
/// When the format cannot hold the value.
pub fn emit_value(format: Format, items: &[Item<'_>], options: &Options) -> Result<SecretBytes, EmitError> {
    match items {
        [Item::Scalar(Scalar::Str(text))] => return Ok(SecretBytes::copy_from(text)),
        [Item::Map, ..] => return emit(format, items, options),
        _ => check(items)?,
    }
    let mut out = SecretBytes::new(Vec::with_capacity(room(items)));
    let to = out.expose_mut();
    match format {
        Format::Yaml => yaml::documents(items, options.yaml_indent, to),
        Format::Json => json::value(items, options.json_indent, to)?,
        Format::Ini => ini::value(items, to)?,
        Format::Dotenv | Format::Binary => return Err(EmitError::NotText),
    }
    Ok(out)
}

/// Appends a scalar as the formats that know only text print it; a text as its bytes.
pub fn text(value: &Scalar<'_>, out: &mut Vec<u8>) {
    dotenv::plain(value, out);
}

/// Position behind the value that begins at `at`.
fn behind(items: &[Item<'_>], at: usize) -> usize {
    let mut depth = 0_usize;
    for (offset, item) in items[at..].iter().enumerate() {
        match item {
            Item::Map | Item::List => depth += 1,
            Item::End => depth = depth.saturating_sub(1),
            Item::Scalar(_) => {}
            Item::Key(_) | Item::Comment(_) => continue,
        }
        if depth == 0 {
            return at + offset + 1;
        }
    }
    items.len()
}

/// Whether the map or list that begins at `at` holds nothing but comments.
fn is_bare(items: &[Item<'_>], at: usize) -> bool {
    let first = items[at + 1..]
        .iter()
        .find(|item| !matches!(item, Item::Comment(_)));
    matches!(first, None | Some(Item::End))
}

/// A name for messages.
fn shown(key: &[u8]) -> String {
    String::from_utf8_lossy(key).escape_debug().collect()
}

/// Refuses items that are not a sequence of whole values, so that the writers need not look back.
fn check(items: &[Item<'_>]) -> Result<(), EmitError> {
    let mut maps: Vec<bool> = Vec::new();
    let mut keyed = false;
    for item in items {
        let in_map = maps.last() == Some(&true);
        let fits = match item {
            Item::Key(_) => in_map && !keyed,
            Item::Comment(_) => !maps.is_empty() && !keyed,
            Item::End => !maps.is_empty() && !keyed,
            Item::Map | Item::List | Item::Scalar(_) => keyed == in_map,
        };
        if !fits {
            return Err(EmitError::Unbalanced);
        }
        keyed = matches!(item, Item::Key(_));
        match item {
            Item::Map => maps.push(true),
            Item::List => maps.push(false),
            Item::End => drop(maps.pop()),
            _ => {}
        }
    }
    match (maps.is_empty(), items.is_empty()) {
        (false, _) => Err(EmitError::Unbalanced),
        (true, true) => Err(EmitError::NoDocument),
        (true, false) => Ok(()),
    }
}

/// About how many bytes the items become, so that secrets are rarely moved while they are written.
fn room(items: &[Item<'_>]) -> usize {
    let text = |item: &Item<'_>| match item {
        Item::Key(text) | Item::Comment(text) | Item::Scalar(Scalar::Str(text)) => text.len() + 12,
        _ => 12,
    };
    items.iter().map(text).sum::<usize>() * 5 / 4
}

/// Position of the value under `key` in the map that begins at `at`.
fn entry(items: &[Item<'_>], at: usize, key: &[u8]) -> Option<usize> {
    let mut at = at + 1;
    loop {
        at = match items.get(at)? {
            Item::Key(name) if **name == *key => return Some(at + 1),
            Item::Key(_) => behind(items, at + 1),
            Item::Comment(_) => at + 1,
            _ => return None,
        };
    }
}

/// Position of the value number `index` in the list that begins at `at`.
fn nth(items: &[Item<'_>], at: usize, index: usize) -> Option<usize> {
    let (mut at, mut left) = (at + 1, index);
    loop {
        at = match items.get(at)? {
            Item::End => return None,
            Item::Comment(_) => at + 1,
            _ if left == 0 => return Some(at),
            _ => {
                left -= 1;
                behind(items, at)
            }
        };
    }
}
