//! Whether an edit does what it was asked for, and nothing else: the edited text is read again and compared with what was
//! meant, value by value.
//!
//! YAML can be laid out in ways that an edit of lines does not foresee: explicit keys, properties in front of keys, tabs,
//! single pairs in brackets. What would come out as something else is refused, and nothing is changed.

use crate::document::{Document, Limits};
use crate::edit::Edits;
use crate::error::Error;
use crate::path::{Path, Step};
use crate::scalar::Scalar;
use crate::tree::{Child, Node, NodeId};
use crate::walk::Event;

/// Refuses `edits` after which `document` would not read: a value beside a comment that holds its quotes.
pub(crate) fn check_reads(document: &Document, edits: &Edits, path: &Path) -> Result<(), Error> {
    read_again(document, edits)
        .map(drop)
        .map_err(|_| unsafe_place(path))
}

fn read_again(document: &Document, edits: &Edits) -> Result<Document, Error> {
    let limits = Limits {
        bytes: usize::MAX,
        ..Limits::default()
    };
    Document::parse(
        document.format(),
        document.form(),
        document.render(edits),
        &limits,
    )
}

fn unsafe_place(path: &Path) -> Error {
    Error::Path {
        path: path.to_string(),
        why: "the text around it is laid out so that it cannot be changed safely; change it in an editor"
            .into(),
    }
}

/// What an edit is to do.
pub(crate) enum Change<'a> {
    /// Set what the path names to the value of a JSON document.
    Set(&'a Path, &'a Document),
    /// Take what the path names away.
    Unset(&'a Path),
}

impl Change<'_> {
    /// Refuses `edits` of `document` that would do anything else.
    pub(crate) fn check(&self, document: &Document, edits: &Edits) -> Result<(), Error> {
        let (Self::Set(path, _) | Self::Unset(path)) = self;
        match read_again(document, edits) {
            Ok(again) if self.is_made(document, &again) => Ok(()),
            _ => Err(unsafe_place(path)),
        }
    }

    /// Whether `after` says what `before` said, but for this change.
    fn is_made(&self, before: &Document, after: &Document) -> bool {
        let (Self::Set(path, _) | Self::Unset(path)) = self;
        let Some((at, rest)) = deepest(before, path) else {
            return false;
        };
        let mut found = after.walk().filter_map(|event| Token::of(after, event));
        let mut meets = |token: Option<Token<'_>>| match (token, found.next()) {
            (Some(token), Some(found)) => token.equals(&found),
            _ => false,
        };
        let is_absent = matches!(before.tree().node(at), Node::Scalar { .. } | Node::Alias { .. });
        let replaced = (rest.is_empty() || is_absent).then_some(at);
        let (mut open, mut skipped) = (Vec::new(), 0_usize);
        let mut events = before.walk().peekable();
        while let Some(event) = events.next() {
            let node = node(before, event);
            if skipped > 0 {
                skipped += usize::from(begins(event));
                skipped -= usize::from(ends(event));
                continue;
            }
            if let Event::Key(..) = event
                && matches!(self, Self::Unset(_))
                && events
                    .peek()
                    .is_some_and(|next| self::node(before, *next) == replaced)
            {
                continue;
            }
            if node.is_some() && node == replaced && !matches!(event, Event::Document(_) | Event::AliasEnd(_))
            {
                skipped = usize::from(begins(event));
                if !self.value(rest).into_iter().all(&mut meets) {
                    return false;
                }
                continue;
            }
            match event {
                Event::Document(_) | Event::Map(_) | Event::List(_) => open.push(node),
                Event::End => {
                    let ended = open.pop().flatten();
                    if replaced.is_none()
                        && ended == Some(at)
                        && !self.entry(rest).into_iter().all(&mut meets)
                    {
                        return false;
                    }
                }
                _ => {}
            }
            if is_told(event) && !meets(Token::of(before, event)) {
                return false;
            }
        }
        found.next().is_none()
    }

    /// A new entry or item: the first step, and the value in what the others name.
    fn entry<'t>(&'t self, rest: &'t [Step]) -> Vec<Option<Token<'t>>> {
        let Some((first, below)) = rest.split_first() else {
            return Vec::new();
        };
        let key = match first {
            Step::Key(key) => Some(Some(Token::Key(key.as_bytes()))),
            Step::Index(_) => None,
        };
        key.into_iter().chain(self.value(below)).collect()
    }

    /// The value in what the steps name; nothing if it is to be taken away.
    fn value<'t>(&'t self, steps: &'t [Step]) -> Vec<Option<Token<'t>>> {
        let Self::Set(_, value) = self else {
            return Vec::new();
        };
        let begin = steps.iter().flat_map(|step| match step {
            Step::Key(key) => vec![Some(Token::Map), Some(Token::Key(key.as_bytes()))],
            Step::Index(_) => vec![Some(Token::List)],
        });
        // Without the map around it, its key, and the end of the map.
        let mut inside: Vec<_> = value.walk().filter(|event| is_told(*event)).skip(2).collect();
        inside.pop();
        let end = steps.iter().map(|_| Some(Token::End));
        let inside = inside.into_iter().map(|event| Token::of(value, event));
        begin.chain(inside).chain(end).collect()
    }
}

/// What the walk tells, whatever the node.
enum Token<'a> {
    Map,
    List,
    End,
    Key(&'a [u8]),
    Scalar(Scalar<'a>),
}

impl<'a> Token<'a> {
    /// `None` for what says nothing, and for a scalar without a type.
    fn of(document: &'a Document, event: Event<'a>) -> Option<Self> {
        Some(match event {
            Event::Document(_) | Event::Map(_) => Self::Map,
            Event::List(_) => Self::List,
            Event::End => Self::End,
            Event::Key(key, _) => Self::Key(key),
            Event::Leaf(id) => Self::Scalar(document.scalar(id).ok()?),
            _ => return None,
        })
    }

    fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Map, Self::Map) | (Self::List, Self::List) | (Self::End, Self::End) => true,
            (Self::Key(one), Self::Key(other)) => one == other,
            (Self::Scalar(Scalar::Float(one)), Self::Scalar(Scalar::Float(other))) => {
                one.to_bits() == other.to_bits() || one.is_nan() && other.is_nan()
            }
            // A float without fraction may be spelled as a whole number.
            (Self::Scalar(Scalar::Float(one)), Self::Scalar(Scalar::Int(other))) => *one == *other as f64,
            (Self::Scalar(one), Self::Scalar(other)) => one == other,
            _ => false,
        }
    }
}

/// The deepest node that the path leads to in the first document, and the steps that lead on.
fn deepest<'p>(document: &Document, path: &'p Path) -> Option<(NodeId, &'p [Step])> {
    let tree = document.tree();
    let mut at = *tree.roots.first()?;
    for (depth, step) in path.0.iter().enumerate() {
        let holder = match *tree.node(at) {
            Node::Alias { target, .. } => target,
            _ => at,
        };
        let mut items = 0;
        let child = tree
            .children(holder)
            .iter()
            .find_map(|child| match (child, step) {
                (Child::Entry { key, value, .. }, Step::Key(name)) => {
                    (tree.text(document.source(), *key) == name.as_bytes()).then_some(*value)
                }
                (Child::Item(value), Step::Index(index)) => {
                    items += 1;
                    (items - 1 == *index).then_some(*value)
                }
                _ => None,
            });
        match child {
            Some(child) => at = child,
            None => return Some((holder, &path.0[depth..])),
        }
    }
    Some((at, &[]))
}

fn node(document: &Document, event: Event<'_>) -> Option<NodeId> {
    match event {
        Event::Document(number) => document.tree().roots.get(number).copied(),
        Event::Map(id) | Event::List(id) | Event::Leaf(id) | Event::Alias(id) => Some(id),
        _ => None,
    }
}

fn begins(event: Event<'_>) -> bool {
    matches!(event, Event::Map(_) | Event::List(_) | Event::Alias(_))
}

fn ends(event: Event<'_>) -> bool {
    matches!(event, Event::End | Event::AliasEnd(_))
}

fn is_told(event: Event<'_>) -> bool {
    matches!(
        event,
        Event::Document(_) | Event::Map(_) | Event::List(_) | Event::End | Event::Key(..) | Event::Leaf(_)
    )
}
