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
/// All places together that values are compared with may be this long, in bytes.
const MOST_BYTES: usize = 64 << 20;
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
    /// Which leaf of the walk it is, from 0.
    number: usize,
    /// What a sealed value is bound to: the keys on its path, a colon behind each.
    bound_to: Vec<u8>,
}

impl Values {
    /// Walks a document.
    pub(super) fn of(document: &Document) -> Self {
        let mut values = Self {
            leaves: Vec::new(),
            sealed: 0,
            clear: 0,
        };
        // The keys down to here, and how long they were in each container above.
        let (mut keys, mut above, mut bytes) = (Vec::new(), Vec::new(), 0);
        let mut key: Option<&[u8]> = None;
        let down = |keys: &mut Vec<u8>, key: &mut Option<&[u8]>| {
            let begin = keys.len();
            if let Some(key) = key.take() {
                keys.extend_from_slice(key);
                keys.push(b':');
            }
            begin
        };
        for (number, event) in leaves_numbered(document) {
            match event {
                Event::Document(_) => above.push(keys.len()),
                Event::Key(name, _) => key = Some(name),
                Event::Map(_) | Event::List(_) => above.push(down(&mut keys, &mut key)),
                Event::End => keys.truncate(above.pop().unwrap_or_default()),
                Event::Leaf(id) => {
                    let begin = down(&mut keys, &mut key);
                    bytes += keys.len();
                    if values.counts(document, id) && bytes < MOST_BYTES {
                        let bound_to = if keys.is_empty() {
                            b":".to_vec()
                        } else {
                            keys.clone()
                        };
                        values.leaves.push(Leaf { id, number, bound_to });
                    }
                    keys.truncate(begin);
                }
                _ => {}
            }
        }
        values
    }

    /// Counts a leaf; whether it is a sealed value.
    fn counts(&mut self, document: &Document, id: NodeId) -> bool {
        match Sealed::parse(text(document, id)) {
            // sops writes comments of a list as items; they are no values.
            Ok(Some(sealed)) if sealed.ty == ValueType::Comment => return false,
            Ok(Some(_)) => {
                self.sealed += 1;
                return true;
            }
            _ => self.clear += 1,
        }
        false
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
                let error = Error::new(Code::DecryptTree, why(home))
                    .at(at)
                    .path(path_of(document, leaf.number));
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
        Some(home) => {
            let keys = String::from_utf8_lossy(&home.bound_to);
            let place = keys.trim_end_matches(':').replace(':', ".");
            format!("the value that stands here was sealed for {place}: it was moved")
        }
        None => "the value that stands here was not sealed for this place, or not under this file's key: it comes from \
                 another place or version, or is damaged"
            .to_owned(),
    }
}

/// The events of a walk, each with the number of leaves before it.
fn leaves_numbered(document: &Document) -> impl Iterator<Item = (usize, Event<'_>)> {
    document.walk().scan(0, |leaves, event| {
        let before = *leaves;
        *leaves += usize::from(matches!(event, Event::Leaf(_)));
        Some((before, event))
    })
}

/// The path of a leaf. Only what is told asks, so it walks again.
fn path_of(document: &Document, leaf: usize) -> Path {
    let mut path = Path::default();
    // The next position in each list above; none in a map.
    let mut above: Vec<Option<usize>> = Vec::new();
    let mut key: &[u8] = &[];
    for (number, event) in leaves_numbered(document) {
        match event {
            Event::Document(_) => above = vec![None],
            Event::Key(name, _) => key = name,
            Event::Map(_) | Event::List(_) | Event::Leaf(_) => {
                if let Event::Leaf(id) = event
                    && text(document, id).ends_with(b",type:comment]")
                {
                    continue;
                }
                path.0.push(match above.last_mut() {
                    Some(Some(next)) => {
                        *next += 1;
                        Step::Index(*next - 1)
                    }
                    _ => Step::Key(String::from_utf8_lossy(key).into_owned()),
                });
                match event {
                    Event::Leaf(_) if number == leaf => return path,
                    Event::Leaf(_) => drop(path.0.pop()),
                    Event::List(_) => above.push(Some(0)),
                    _ => above.push(None),
                }
            }
            Event::End => {
                above.pop();
                path.0.pop();
            }
            _ => {}
        }
    }
    path
}

/// Keys that stand twice in one map: what is left of a merge that kept both sides. Of each the second place.
pub(super) fn twice(document: &Document, file: &FilePath) -> Vec<Error> {
    let (tree, source) = (document.tree(), document.source());
    let mut found = Vec::new();
    // Each container with the one above it, as a number in this list, and its step from there.
    let mut containers: Vec<(NodeId, usize, Option<Step>)> =
        tree.roots.iter().map(|root| (*root, 0, None)).collect();
    let mut at = 0;
    while let Some((id, ..)) = containers.get(at) {
        let mut known: BTreeMap<&[u8], usize> = BTreeMap::new();
        let mut index = 0;
        for child in tree.children(*id).to_vec() {
            let (step, value) = match child {
                Child::Entry { key, key_span, value } => {
                    let name = tree.text(source, key);
                    let step = Step::Key(String::from_utf8_lossy(name).into_owned());
                    let place = key_span.start as usize;
                    let first = *known.entry(name).or_insert(place);
                    if first != place && found.len() < MOST_TOLD {
                        let line = document.position(first).line;
                        let why =
                            format!("stands twice, first in line {line}: a merge may have kept both sides");
                        let error = Error::new(Code::Read, why).at(document.position(place));
                        found.push(error.path(chain(&containers, at, &step)).file(file));
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
                containers.push((value, at, Some(step)));
            }
        }
        at += 1;
    }
    found
}

/// The path of what is `step` below the container `at`.
fn chain(containers: &[(NodeId, usize, Option<Step>)], mut at: usize, step: &Step) -> Path {
    let mut steps = vec![step.clone()];
    while let (_, above, Some(step)) = &containers[at] {
        steps.push(step.clone());
        at = *above;
    }
    steps.reverse();
    Path(steps)
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

    fn parsed(source: &str) -> Document {
        let source = SecretBytes::new(source.as_bytes().to_vec());
        let limits = document::Limits::default();
        Document::parse(document::Format::Yaml, document::Form::Sealed, source, &limits).expect("a document")
    }

    #[test]
    fn leaves_are_found_by_their_number() {
        let document = parsed("a:\n  - 1\n  - b: 2\n    c: [[3]]\n---\nd: 4\n");
        let paths: Vec<String> = (0..4).map(|leaf| path_of(&document, leaf).to_string()).collect();
        assert_eq!(paths, ["a[0]", "a[1].b", "a[1].c[0][0]", "d"]);
    }

    #[test]
    fn keys_that_stand_twice_are_told_with_both_lines() {
        let found = twice(
            &parsed("a:\n  - b: 1\n    c: 2\n    b: 3\nd: 4\n"),
            FilePath::new("f"),
        );
        let told: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            ["f:4:5: a[0].b: stands twice, first in line 2: a merge may have kept both sides"]
        );
    }

    #[test]
    fn either_side_can_be_taken() {
        assert_eq!(side(MERGE, true).expose(), b"a\nb\ne\n");
        assert_eq!(side(MERGE, false).expose(), b"a\nd\ne\n");
        assert_eq!(side(b"=======\nx", false).expose(), b"=======\nx");
    }
}
