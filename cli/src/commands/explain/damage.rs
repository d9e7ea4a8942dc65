//! What an unfinished or a careless merge leaves: conflict marks, and values that stand where they were not sealed for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path as FilePath;

use document::{Child, Document, Event, Node, NodeId, Path, Step};
use secret::SecretBytes;
use sops::DataKey;
use sops::value::{Cipher, Sealed, ValueError, ValueType};

use crate::error::{Code, Error};

/// No more values than this are named one by one.
const MOST_TOLD: usize = 20;
/// No more pairs of a value and a place than this are tried.
const MOST_TRIES: usize = 1_000_000;

/// The marks of an unfinished merge.
pub(super) struct Conflict {
    /// The lines of each conflict, from 1: its first mark and its last.
    pub(super) hunks: Vec<(usize, usize)>,
    /// What the file is with either side taken.
    pub(super) sides: Vec<Side>,
}

/// One side of a merge.
pub(super) struct Side {
    /// Above the `=======`.
    pub(super) ours: bool,
    /// How it is, as a sentence without its subject.
    pub(super) state: String,
}

/// The conflicts in a source, if there are any.
pub(super) fn conflict(source: &[u8]) -> Option<Conflict> {
    let mut hunks = Vec::new();
    let mut first = None;
    for (number, line) in (1..).zip(source.split(|byte| *byte == b'\n')) {
        if line.starts_with(b"<<<<<<< ") {
            // A mark without an end counts as a conflict of its own.
            hunks.extend(first.replace(number).map(|first| (first, first)));
        } else if line.starts_with(b">>>>>>> ") {
            hunks.push((first.take().unwrap_or(number), number));
        }
    }
    hunks.extend(first.map(|first| (first, first)));
    let side = |ours| Side {
        ours,
        state: String::new(),
    };
    (!hunks.is_empty()).then(|| Conflict {
        hunks,
        sides: vec![side(true), side(false)],
    })
}

/// The source with one side of every conflict taken.
pub(super) fn side(source: &[u8], ours: bool) -> SecretBytes {
    #[derive(PartialEq)]
    enum Part {
        Common,
        Ours,
        Base,
        Theirs,
    }
    let mut part = Part::Common;
    let mut taken = SecretBytes::default();
    for line in source.split_inclusive(|byte| *byte == b'\n') {
        let inside = part != Part::Common;
        part = match line {
            _ if line.starts_with(b"<<<<<<< ") => Part::Ours,
            _ if inside && line.starts_with(b"||||||| ") => Part::Base,
            _ if inside && line.starts_with(b"=======") => Part::Theirs,
            _ if inside && line.starts_with(b">>>>>>> ") => Part::Common,
            _ => {
                let wanted = if ours { Part::Ours } else { Part::Theirs };
                if part == Part::Common || part == wanted {
                    taken.expose_mut().extend_from_slice(line);
                }
                continue;
            }
        };
    }
    taken
}

/// The leaves of a document.
pub(super) struct Values {
    leaves: Vec<Leaf>,
    /// How many are sealed.
    pub(super) sealed: usize,
    /// How many are not.
    pub(super) clear: usize,
}

struct Leaf {
    id: NodeId,
    path: Path,
    /// What a sealed value is bound to: the keys on its path, a colon behind each.
    bound_to: Vec<u8>,
}

enum Level {
    Map,
    List(usize),
}

impl Values {
    /// Walks a document.
    pub(super) fn of(document: &Document) -> Self {
        let mut values = Self {
            leaves: Vec::new(),
            sealed: 0,
            clear: 0,
        };
        let (mut levels, mut steps, mut key): (Vec<Level>, Vec<Step>, Option<&[u8]>) = Default::default();
        for event in document.walk() {
            match event {
                Event::Document(_) => levels.push(Level::Map),
                Event::Key(name, _) => key = Some(name),
                Event::Map(_) | Event::List(_) => {
                    steps.extend(step(&mut levels, key.take()));
                    levels.push(match event {
                        Event::Map(_) => Level::Map,
                        _ => Level::List(0),
                    });
                }
                Event::End => {
                    levels.pop();
                    steps.pop();
                }
                Event::Leaf(id) => values.leaf(document, id, &steps, &mut levels, key.take()),
                _ => {}
            }
        }
        values
    }

    fn leaf(
        &mut self,
        document: &Document,
        id: NodeId,
        above: &[Step],
        levels: &mut [Level],
        key: Option<&[u8]>,
    ) {
        let sealed = Sealed::parse(text(document, id));
        if matches!(&sealed, Ok(Some(sealed)) if sealed.ty == ValueType::Comment) {
            // sops writes comments of a list as items; they are no values and have no number.
            return;
        }
        if !matches!(sealed, Ok(Some(_))) {
            self.clear += 1;
        } else {
            self.sealed += 1;
        }
        let path = Path(above.iter().cloned().chain(step(levels, key)).collect());
        let mut bound_to = Vec::new();
        for step in &path.0 {
            if let Step::Key(key) = step {
                bound_to.extend_from_slice(key.as_bytes());
                bound_to.push(b':');
            }
        }
        if bound_to.is_empty() {
            bound_to.push(b':');
        }
        self.leaves.push(Leaf { id, path, bound_to });
    }

    /// Every sealed value that does not open where it stands, each with the place that it was sealed for: one in this
    /// file or, once it is gone from here, one in the last version.
    pub(super) fn moved(
        &self,
        document: &Document,
        key: &DataKey,
        last: Option<&Self>,
        file: &FilePath,
    ) -> Vec<Error> {
        let cipher = Cipher::new(key);
        let mut out = SecretBytes::default();
        let mut opens = |sealed: &Sealed<'_>, place: &[u8]| {
            let result = cipher.open_into(sealed, place, out.expose_mut());
            out = SecretBytes::default();
            result
        };
        let known = || {
            self.leaves
                .iter()
                .chain(last.iter().flat_map(|last| &last.leaves))
        };
        let mut tries = MOST_TRIES;
        let (mut found, mut strays, mut lost) = (Vec::new(), 0, 0);
        for leaf in &self.leaves {
            let Ok(Some(sealed)) = Sealed::parse(text(document, leaf.id)) else {
                continue;
            };
            if !matches!(opens(&sealed, &leaf.bound_to), Err(ValueError::Authentication)) {
                continue;
            }
            let mut tried = BTreeSet::new();
            let home = known().find(|other| {
                let new = tries > 0 && tried.insert(other.bound_to.as_slice());
                tries -= usize::from(new);
                new && opens(&sealed, &other.bound_to).is_ok()
            });
            strays += 1;
            lost += usize::from(home.is_none());
            if found.len() < MOST_TOLD {
                let at = document.position(document.tree().node(leaf.id).span().start as usize);
                let error = Error::new(Code::DecryptTree, why(home)).at(at).path(&leaf.path);
                found.push(error.file(file));
            }
        }
        if lost == self.sealed && lost > 1 {
            let why = "no value opens where it stands: either the values come from another version of the file than the \
                       `sops` block, or a key above all of them was renamed";
            return vec![Error::new(Code::DecryptTree, why).file(file)];
        }
        if strays > found.len() {
            let why = format!(
                "{} more values do not open where they stand",
                strays - found.len()
            );
            found.push(Error::new(Code::DecryptTree, why).file(file));
        }
        found
    }
}

fn why(home: Option<&Leaf>) -> String {
    match home {
        Some(home) => format!("the value that stands here was sealed for {}: it was moved", home.path),
        None => "the value that stands here was not sealed for this place, or not under this file's key: it comes from \
                 another place or version, or is damaged"
            .to_owned(),
    }
}

/// Keys that stand twice in one map: what is left of a merge that kept both sides. Of each the second place.
pub(super) fn twice(document: &Document, file: &FilePath) -> Vec<Error> {
    let (tree, source) = (document.tree(), document.source());
    let mut found = Vec::new();
    let mut maps: Vec<(Path, NodeId)> = tree.roots.iter().map(|root| (Path::default(), *root)).collect();
    while let Some((path, id)) = maps.pop() {
        let mut known: BTreeMap<&[u8], u32> = BTreeMap::new();
        let mut index = 0;
        for child in tree.children(id) {
            let (step, value) = match *child {
                Child::Entry { key, key_span, value } => {
                    let name = tree.text(source, key);
                    let at = document.position(key_span.start as usize);
                    let step = Step::Key(String::from_utf8_lossy(name).into_owned());
                    if let Some(line) = known.get(name) {
                        let path = Path(path.0.iter().cloned().chain([step.clone()]).collect());
                        let why =
                            format!("stands twice, first in line {line}: a merge may have kept both sides");
                        found.push(Error::new(Code::Read, why).at(at).path(path).file(file));
                    } else {
                        known.insert(name, at.line);
                    }
                    (step, value)
                }
                Child::Item(value) => {
                    index += 1;
                    (Step::Index(index - 1), value)
                }
                Child::Comment(_) => continue,
            };
            if matches!(tree.node(value), Node::Map { .. } | Node::List { .. }) {
                maps.push((Path(path.0.iter().cloned().chain([step]).collect()), value));
            }
        }
    }
    found.truncate(MOST_TOLD);
    found
}

fn step(levels: &mut [Level], key: Option<&[u8]>) -> Option<Step> {
    match levels.last_mut()? {
        Level::Map => Some(Step::Key(
            String::from_utf8_lossy(key.unwrap_or_default()).into_owned(),
        )),
        Level::List(next) => {
            *next += 1;
            Some(Step::Index(*next - 1))
        }
    }
}

fn text(document: &Document, id: NodeId) -> &[u8] {
    match *document.tree().node(id) {
        Node::Scalar { text, .. } => document.tree().text(document.source(), text),
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MERGE: &[u8] = b"a\n<<<<<<< ours\nb\n||||||| base\nc\n=======\nd\n>>>>>>> theirs\ne\n<<<<<<< x\n";

    #[test]
    fn conflicts_are_told_by_their_lines() {
        let found = conflict(MERGE).expect("two conflicts");
        assert_eq!(found.hunks, [(2, 8), (10, 10)]);
        assert!(conflict(b"=======\na <<<<<<< b\n").is_none());
    }

    #[test]
    fn either_side_can_be_taken() {
        assert_eq!(side(MERGE, true).expose(), b"a\nb\ne\n");
        assert_eq!(side(MERGE, false).expose(), b"a\nd\ne\n");
        assert_eq!(side(b"=======\nx", false).expose(), b"=======\nx");
    }
}
