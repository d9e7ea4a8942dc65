//! Which texts of a document are sealed or to be opened, and under which path.
//!
//! The plan is made once, in one walk, and then worked off on all cores: a job names its text and its path, so
//! that no job depends on another.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use document::{Comment, Document, Event, Format, Node, NodeId, Path, Span, Step, Text};

use crate::error::Error;
use crate::selector::Selector;
use crate::value::{Sealed, ValueType};

/// All paths of the jobs of one file together may be this long, in bytes: they are hashed once per value.
const MAX_PATHS: usize = 1 << 30;

/// What a job seals or opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A scalar.
    Leaf(NodeId),
    /// A comment: what its sealed form replaces, and its text.
    Comment(Span, Text),
    /// A comment that sops itself wrote as an item of a list; whether it is the first of a list that holds nothing
    /// else, so that the list must be written out as an empty one.
    CommentItem(NodeId, bool),
}

/// One text to be sealed or opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job<'a> {
    pub(crate) subject: Subject,
    /// The keys down to the container, each followed by a colon: a range of the plan's `prefixes`.
    prefix: (usize, usize),
    /// The key in the container; `None` in lists and for comments.
    key: Option<&'a [u8]>,
    /// Which leaf or comment of the walk this is, from 0.
    pub(crate) ordinal: usize,
    /// Whether it was reached through an alias.
    pub(crate) aliased: bool,
    in_list: bool,
}

impl Job<'_> {
    /// What is sealed for a comment line with this text.
    ///
    /// An empty text cannot be sealed, and sops makes an empty *item* of an empty comment in a list when it opens the
    /// file. So there it is sealed as a tab, and a text of nothing but tabs with one tab more.
    pub(crate) fn padded<'t>(&self, text: &'t [u8]) -> Cow<'t, [u8]> {
        if self.in_list && text.iter().all(|byte| *byte == b'\t') {
            return [text, b"\t"].concat().into();
        }
        text.into()
    }

    /// The text of a comment line that was sealed as `padded`.
    pub(crate) fn unpadded<'t>(&self, padded: &'t [u8]) -> &'t [u8] {
        match padded.split_last() {
            Some((b'\t', text)) if self.in_list && text.iter().all(|byte| *byte == b'\t') => text,
            _ => padded,
        }
    }
}

/// An alias that the walk went through: the jobs and the leaves below it.
#[derive(Clone, Debug)]
pub(crate) struct AliasRange {
    pub(crate) id: NodeId,
    pub(crate) target: NodeId,
    pub(crate) jobs: (usize, usize),
    pub(crate) ordinals: (usize, usize),
    pub(crate) holds_comments: bool,
    /// The scalars that the walk met below it.
    pub(crate) leaves: Vec<NodeId>,
    /// Whether it must be written out: something below it, or below its anchor, is sealed.
    pub(crate) expanded: bool,
}

/// The jobs of one document in the order of the walk.
pub(crate) struct Plan<'a> {
    pub(crate) jobs: Vec<Job<'a>>,
    /// The outermost aliases, in order.
    pub(crate) aliases: Vec<AliasRange>,
    prefixes: Vec<u8>,
}

/// Reads the text of a comment that may be sealed, for rules that look at comments: (text, authenticated path).
pub(crate) type ReadComment<'r> = dyn FnMut(&[u8], &[u8]) -> Option<Vec<u8>> + 'r;

struct Level {
    list: bool,
    prefix: (usize, usize),
    /// Whether anything but comments stands in it.
    has_data: bool,
    /// The job of its first comment that stands as an item.
    first_comment: Option<usize>,
}

impl<'a> Plan<'a> {
    /// Walks `document` and collects what `selector` selects. Values that the format never seals (null, the
    /// empty text) are left out.
    pub(crate) fn new(
        document: &'a Document,
        selector: &Selector,
        read_comment: &mut ReadComment<'_>,
    ) -> Result<Self, Error> {
        let planner = Planner {
            document,
            plan: Plan {
                jobs: Vec::new(),
                aliases: Vec::new(),
                prefixes: Vec::new(),
            },
            selecting: selector.walk(),
            reads_comments: selector.uses_comments(),
            read_comment,
            levels: Vec::new(),
            key: None,
            alias_depth: 0,
            ordinal: 0,
            path_bytes: 0,
        };
        planner.run()
    }

    /// Writes the authenticated path of `job` into `out`, which is cleared first.
    pub(crate) fn aad(&self, job: &Job<'_>, out: &mut Vec<u8>) {
        let (prefix, key) = self.path(job);
        out.clear();
        out.extend_from_slice(prefix);
        if let Some(key) = key {
            out.extend_from_slice(key);
            out.push(b':');
        } else if out.is_empty() {
            out.push(b':');
        }
    }

    /// The path of `job`: its container's, with a colon behind each key, and its own key.
    pub(crate) fn path(&self, job: &Job<'a>) -> (&[u8], Option<&'a [u8]>) {
        (&self.prefixes[job.prefix.0..job.prefix.1], job.key)
    }

    /// Marks the aliases that cannot stay: a reader would find sealed text, or text to be sealed, below them.
    fn mark_expanded(&mut self) {
        if self.aliases.is_empty() {
            return;
        }
        let sealed = self.sealed_leaves();
        let mut holders: HashMap<NodeId, bool> = HashMap::new();
        for alias in &mut self.aliases {
            alias.expanded = *holders
                .entry(alias.target)
                .or_insert_with(|| alias.leaves.iter().any(|leaf| sealed.contains(leaf)));
        }
    }

    /// The scalars that are sealed.
    pub(crate) fn sealed_leaves(&self) -> HashSet<NodeId> {
        let leaves = self.jobs.iter().filter_map(|job| match job.subject {
            Subject::Leaf(id) => Some(id),
            _ => None,
        });
        leaves.collect()
    }

    /// The authenticated paths of all containers that hold jobs, shortest first, without repetition.
    pub(crate) fn containers(&self) -> Vec<&[u8]> {
        let mut prefixes: Vec<&[u8]> = self
            .jobs
            .iter()
            .map(|job| &self.prefixes[job.prefix.0..job.prefix.1])
            .collect();
        prefixes.sort_unstable_by_key(|prefix| (prefix.len(), *prefix));
        prefixes.dedup();
        prefixes
    }
}

struct Planner<'a, 's, 'r> {
    document: &'a Document,
    plan: Plan<'a>,
    selecting: crate::selector::Selecting<'s>,
    reads_comments: bool,
    read_comment: &'r mut ReadComment<'r>,
    levels: Vec<Level>,
    key: Option<&'a [u8]>,
    alias_depth: usize,
    ordinal: usize,
    path_bytes: usize,
}

impl<'a> Planner<'a, '_, '_> {
    fn run(mut self) -> Result<Plan<'a>, Error> {
        let document = self.document;
        for event in document.walk() {
            match event {
                Event::Document(_) => self.enter(false, (0, 0)),
                Event::Map(_) | Event::List(_) => {
                    let prefix = self.child_prefix()?;
                    self.enter(matches!(event, Event::List(_)), prefix);
                }
                Event::End => {
                    self.leave();
                    self.selecting.leave_container();
                    self.entry_done();
                }
                Event::Key(key, _) => {
                    self.selecting.enter_key(&String::from_utf8_lossy(key));
                    self.key = Some(key);
                }
                Event::Leaf(id) => self.leaf(id)?,
                Event::Comment(comment) => self.comment(&comment)?,
                Event::Lost(_, comment) => self.lost(&comment)?,
                Event::Alias(id) => self.alias(id),
                Event::AliasEnd(_) => self.alias_end(),
            }
        }
        self.plan.mark_expanded();
        Ok(self.plan)
    }

    fn enter(&mut self, list: bool, prefix: (usize, usize)) {
        self.levels.push(Level {
            list,
            prefix,
            has_data: false,
            first_comment: None,
        });
        self.selecting.enter_container();
        self.key = None;
    }

    fn leave(&mut self) {
        let Some(level) = self.levels.pop() else { return };
        if let (false, Some(first)) = (level.has_data, level.first_comment)
            && let Subject::CommentItem(_, alone) = &mut self.plan.jobs[first].subject
        {
            *alone = true;
        }
    }

    fn entry_done(&mut self) {
        let Some(level) = self.levels.last_mut() else {
            return;
        };
        level.has_data = true;
        if !level.list {
            self.selecting.leave_key();
        }
        self.selecting.entry_done();
        self.key = None;
    }

    fn in_list(&self) -> bool {
        self.levels.last().is_some_and(|level| level.list)
    }

    fn prefix(&self) -> (usize, usize) {
        self.levels.last().map_or((0, 0), |level| level.prefix)
    }

    /// The path of a container below the current one: a key adds itself, a list adds nothing.
    fn child_prefix(&mut self) -> Result<(usize, usize), Error> {
        let (start, end) = self.prefix();
        let Some(key) = self.key else {
            return Ok((start, end));
        };
        let begin = self.plan.prefixes.len();
        self.plan.prefixes.extend_from_within(start..end);
        self.plan.prefixes.extend_from_slice(key);
        self.plan.prefixes.push(b':');
        if self.plan.prefixes.len() > MAX_PATHS {
            return Err(Error::Paths);
        }
        Ok((begin, self.plan.prefixes.len()))
    }

    fn job(&mut self, subject: Subject, key: Option<&'a [u8]>) -> Result<(), Error> {
        let prefix = self.prefix();
        self.path_bytes += prefix.1 - prefix.0 + key.map_or(0, <[u8]>::len);
        if self.path_bytes > MAX_PATHS {
            return Err(Error::Paths);
        }
        let aliased = self.alias_depth > 0;
        self.plan.jobs.push(Job {
            subject,
            prefix,
            key,
            ordinal: self.ordinal,
            aliased,
            in_list: self.in_list(),
        });
        Ok(())
    }

    fn leaf(&mut self, id: NodeId) -> Result<(), Error> {
        let (document, tree) = (self.document, self.document.tree());
        let Node::Scalar { text, .. } = *tree.node(id) else {
            return Ok(());
        };
        let text = tree.text(document.source(), text);
        // sops writes a comment of a list as an item; it must become a comment again before rules look at it.
        if self.in_list() && document.form() == document::Form::Sealed && is_sealed_comment(text) {
            if self.selecting_comment(text) {
                if let Some(level) = self.levels.last_mut() {
                    level.first_comment.get_or_insert(self.plan.jobs.len());
                }
                self.job(Subject::CommentItem(id, false), None)?;
            }
            self.ordinal += 1;
            return Ok(());
        }
        if self.alias_depth > 0
            && let Some(outer) = self.plan.aliases.last_mut()
        {
            outer.leaves.push(id);
        }
        if self.selecting.leaf() && is_sealable(document, id)? {
            self.job(Subject::Leaf(id), self.key)?;
        }
        self.ordinal += 1;
        self.entry_done();
        Ok(())
    }

    fn comment(&mut self, comment: &Comment) -> Result<(), Error> {
        if self.alias_depth > 0 {
            // Told once already, where the anchor stands; only the rules look at it again.
            if let Some(outer) = self.plan.aliases.last_mut() {
                outer.holds_comments = true;
            }
        }
        let text = self.document.tree().text(self.document.source(), comment.text);
        let sealable = !text.is_empty() || (self.in_list() && self.document.form() == document::Form::Plain);
        if self.selecting_comment(text) && sealable && self.alias_depth == 0 {
            self.job(Subject::Comment(comment.span, comment.text), None)?;
        }
        self.ordinal += 1;
        Ok(())
    }

    fn lost(&mut self, comment: &Comment) -> Result<(), Error> {
        // No rule of sops ever sees it; it is sealed so that nothing is left to be read.
        if !comment.span.is_empty() {
            self.job(Subject::Comment(comment.span, comment.text), None)?;
        }
        self.ordinal += 1;
        Ok(())
    }

    /// Tells the rules of a comment, opened if it is sealed; whether it is one to be sealed.
    fn selecting_comment(&mut self, text: &[u8]) -> bool {
        let opened = if self.reads_comments && text.starts_with(b"ENC[") {
            let (start, end) = self.prefix();
            let aad = if start == end {
                &b":"[..]
            } else {
                &self.plan.prefixes[start..end]
            };
            (self.read_comment)(text, aad).map(secret::SecretBytes::new)
        } else {
            None
        };
        let text = opened.as_ref().map_or(text, |opened| opened.expose());
        self.selecting.comment(&String::from_utf8_lossy(text))
    }

    fn alias(&mut self, id: NodeId) {
        if self.alias_depth == 0 {
            let Node::Alias { target, .. } = *self.document.tree().node(id) else {
                return;
            };
            self.plan.aliases.push(AliasRange {
                id,
                target,
                jobs: (self.plan.jobs.len(), 0),
                ordinals: (self.ordinal, 0),
                holds_comments: false,
                leaves: Vec::new(),
                expanded: false,
            });
        }
        self.alias_depth += 1;
    }

    fn alias_end(&mut self) {
        self.alias_depth -= 1;
        if self.alias_depth == 0
            && let Some(alias) = self.plan.aliases.last_mut()
        {
            alias.jobs.1 = self.plan.jobs.len();
            alias.ordinals.1 = self.ordinal;
        }
    }
}

/// Whether a scalar is one that the format can seal: null and the empty text are not.
fn is_sealable(document: &Document, id: NodeId) -> Result<bool, Error> {
    let tree = document.tree();
    let Node::Scalar { text, .. } = *tree.node(id) else {
        return Ok(false);
    };
    if tree.text(document.source(), text).is_empty() {
        return Ok(false);
    }
    if !matches!(document.format(), Format::Yaml | Format::Json) {
        return Ok(true);
    }
    match document.scalar(id)? {
        document::Scalar::Null => Ok(false),
        document::Scalar::Str(text) => Ok(!text.is_empty()),
        _ => Ok(true),
    }
}

fn is_sealed_comment(text: &[u8]) -> bool {
    text.ends_with(b",type:comment]")
        && matches!(
            Sealed::parse(text),
            Ok(Some(Sealed {
                ty: ValueType::Comment,
                ..
            }))
        )
}

/// Where the leaf or comment number `ordinal` of the walk stands: its key path and its offset in the source.
/// Only errors ask, so it walks again.
pub(crate) fn locate(document: &Document, ordinal: usize) -> (Path, usize) {
    let mut path = Path::default();
    let mut lists: Vec<Option<usize>> = Vec::new();
    let mut count = 0;
    let leave = |path: &mut Path, lists: &mut Vec<Option<usize>>| {
        path.0.pop();
        if let Some(Some(next)) = lists.last_mut() {
            *next += 1;
        }
    };
    for event in document.walk() {
        if let Some(Some(next)) = lists.last()
            && matches!(event, Event::Map(_) | Event::List(_) | Event::Leaf(_))
        {
            path.0.push(Step::Index(*next));
        }
        match event {
            Event::Document(_) => lists = vec![None],
            Event::Map(_) => lists.push(None),
            Event::List(_) => lists.push(Some(0)),
            Event::End => {
                lists.pop();
                leave(&mut path, &mut lists);
            }
            Event::Key(key, _) => path.0.push(Step::Key(String::from_utf8_lossy(key).into_owned())),
            Event::Leaf(id) => {
                if count == ordinal {
                    return (path, document.tree().node(id).span().start as usize);
                }
                count += 1;
                leave(&mut path, &mut lists);
            }
            Event::Comment(comment) | Event::Lost(_, comment) => {
                if count == ordinal {
                    return (path, comment.span.start as usize);
                }
                count += 1;
            }
            Event::Alias(_) | Event::AliasEnd(_) => {}
        }
    }
    (path, 0)
}
