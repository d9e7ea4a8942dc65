//! Hands the records to the nodes, as sops' YAML parser does while it reads tokens, and turns what the nodes
//! hold into places, as sops does when it makes its own tree.

mod nodes;

use super::scan::{Kind, Scan, Side, Token};
use super::{Attachment, Place};

/// Delivers all records of a scan.
pub(super) fn deliver(scan: &Scan) -> Vec<Attachment> {
    let mut delivery = Delivery {
        scan,
        next: 0,
        heads: Vec::new(),
        lines: Vec::new(),
        feet: Vec::new(),
        lost: Vec::new(),
        frames: Vec::new(),
        collections: 0,
        stem: None,
        document: None,
        documents: 0,
        last_root: None,
        placed: Vec::with_capacity(scan.lines.len()),
    };
    for token in &scan.tokens {
        delivery.token(*token);
    }
    delivery.placed.sort_by_key(|(order, _)| *order);
    delivery
        .placed
        .into_iter()
        .map(|(_, attachment)| attachment)
        .collect()
}

/// Comment lines, as indices into [`Scan::lines`].
type Lines = Vec<u32>;

/// Container, slot and rank: what the answer is sorted by. Even slots are in front of a child, odd ones behind.
type Order = (u32, u32, u8);

struct Delivery<'s> {
    scan: &'s Scan,
    /// The next record.
    next: usize,
    /// What the next taker gets.
    heads: Lines,
    lines: Lines,
    feet: Lines,
    /// What no taker gets, until the next child begins.
    lost: Lines,
    /// The open collections.
    frames: Vec<Frame>,
    /// How many collections have begun.
    collections: u32,
    /// Directly behind a dash: how many heads were waiting in front of it.
    stem: Option<usize>,
    /// The open document.
    document: Option<Document>,
    documents: u32,
    /// The last root that was a collection, as in [`Document`].
    last_root: Option<(u32, u32)>,
    placed: Vec<(Order, Attachment)>,
}

#[derive(Default)]
struct Document {
    /// The first part of its head, while there is no root.
    head: Lines,
    /// Its root, if that is a collection, and how many children that has once it has ended.
    root: Option<(u32, u32)>,
}

/// An open collection.
struct Frame {
    id: u32,
    shape: Shape,
    role: Role,
    expects: Expects,
    children: u32,
    /// Feet of the key at hand, or of the one before while a key is expected.
    slot: Lines,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    BlockMap,
    BlockList,
    /// A list in the column of its key: no token starts or ends it.
    BareList,
    FlowMap,
    FlowList,
    /// The map in `[a: b]`: no text starts or ends it.
    Pair,
}

/// What comes next in an open collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expects {
    /// The next entry or item.
    Child,
    /// A key.
    Key,
    /// The mark in front of a value.
    Colon,
    /// A value.
    Value,
    /// An item.
    Item,
}

/// What a node is to the collection around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Root,
    Key,
    Value,
    Item,
}

impl Delivery<'_> {
    fn token(&mut self, token: Token) {
        let kind = token.kind;
        self.gather(token);
        let stem = self.stem.take();
        self.end_bare_lists(kind);
        match kind {
            Kind::StreamStart | Kind::Directive => {}
            Kind::Property => self.property(),
            Kind::DocumentStart => {
                self.end_document();
                self.document = Some(Document::default());
            }
            Kind::DocumentEnd => self.end_document(),
            Kind::StreamEnd => self.end_stream(),
            Kind::Leaf => self.leaf(),
            Kind::MapStart => self.block_start(Shape::BlockMap, stem),
            Kind::ListStart => self.block_start(Shape::BlockList, stem),
            Kind::BlockEnd => self.block_end(),
            Kind::FlowMapStart => self.flow_start(Shape::FlowMap),
            Kind::FlowListStart => self.flow_start(Shape::FlowList),
            Kind::FlowMapEnd | Kind::FlowListEnd => self.flow_end(),
            Kind::Dash => self.dash(),
            Kind::Comma => {
                self.end_pair();
                self.end_entry();
                self.end_item();
            }
            Kind::Key => self.key(),
            Kind::Value => self.colon(),
        }
    }

    /// Moves the records that `token` may take. No end of a block may have a head: there it waits, with all behind it.
    fn gather(&mut self, token: Token) {
        while let Some(record) = self.scan.records.get(self.next) {
            let early = record.mark > token.at && token.kind != Kind::StreamEnd;
            if early || record.side == Side::Head && token.kind == Kind::BlockEnd {
                return;
            }
            let into = match record.side {
                Side::Head => &mut self.heads,
                Side::Line => &mut self.lines,
                Side::Foot => &mut self.feet,
                Side::Nowhere => &mut self.lost,
            };
            into.extend(record.lines.0..record.lines.1);
            self.next += 1;
        }
    }

    /// Puts lines into their place; the rank orders lines of one slot that do not come in order.
    fn put(&mut self, lines: &mut Lines, order: Order, place: Place) {
        for line in lines.drain(..) {
            let span = self.scan.lines[line as usize].span;
            self.placed.push((order, Attachment { span, place }));
        }
    }

    /// In front of a child: rank 0 and 1 for what belongs to the collection itself, 2 for the child.
    fn put_before(&mut self, mut lines: Lines, container: u32, child: u32, rank: u8) {
        self.put(
            &mut lines,
            (container, 2 * child, rank),
            Place::Before { container, child },
        );
    }

    fn put_after(&mut self, mut lines: Lines, container: u32, child: u32) {
        self.put(
            &mut lines,
            (container, 2 * child + 1, 0),
            Place::After { container, child },
        );
    }

    fn put_root(&mut self, mut lines: Lines, document: u32, at_end: bool) {
        let order = (u32::MAX, document, u8::from(at_end));
        self.put(&mut lines, order, Place::Root { document, at_end });
    }

    /// A child begins: the lost ones before it get its place.
    fn child(&mut self) {
        if self.lost.is_empty() {
            return;
        }
        if let Some(Frame { id, children, .. }) = self.frames.last() {
            let (container, child) = (*id, *children);
            let mut lost = std::mem::take(&mut self.lost);
            self.put(
                &mut lost,
                (container, 2 * child, 3),
                Place::Lost { container, child },
            );
        }
    }
}

/// Documents.
impl Delivery<'_> {
    /// Content without `---` begins a document; its head up to the last empty line is the document's own.
    fn begin_document(&mut self) {
        if self.document.is_some() {
            return;
        }
        let is_last = |line: &u32| self.scan.lines[*line as usize].last_of_group;
        let own = self.heads.iter().rposition(is_last).map_or(0, |last| last + 1);
        self.document = Some(Document {
            head: self.heads.drain(..own).collect(),
            root: None,
        });
    }

    /// Takes what the root node is given.
    fn root(&mut self, collection: Option<u32>) {
        let number = self.documents;
        let Some(document) = &mut self.document else {
            return;
        };
        let head = std::mem::take(&mut document.head);
        match collection {
            Some(id) => {
                document.root = Some((id, 0));
                self.put_before(head, id, 0, 0);
            }
            None => self.put_root(head, number, false),
        }
    }

    /// Ends the open document, if there is one: heads become feet, unless there are feet.
    fn end_document(&mut self) {
        while let Some(frame) = self.frames.pop() {
            self.put_slot(frame);
        }
        let Some(document) = self.document.take() else {
            return;
        };
        self.lost.append(&mut self.lines);
        if self.feet.is_empty() {
            self.feet.append(&mut self.heads);
        } else {
            self.lost.append(&mut self.heads);
        }
        let feet = std::mem::take(&mut self.feet);
        if let Some((container, child)) = document.root {
            self.put_before(feet, container, child, 2);
            let mut lost = std::mem::take(&mut self.lost);
            self.put(
                &mut lost,
                (container, 2 * child, 3),
                Place::Lost { container, child },
            );
            self.last_root = document.root;
        } else {
            self.put_root(document.head, self.documents, false);
            self.put_root(feet, self.documents, true);
        }
        self.documents += 1;
    }

    /// What is left behind the last document belongs to none of them.
    fn end_stream(&mut self) {
        self.end_document();
        let mut left = std::mem::take(&mut self.lost);
        left.append(&mut self.heads);
        left.append(&mut self.lines);
        left.append(&mut self.feet);
        match self.last_root {
            Some((container, child)) => {
                self.put(
                    &mut left,
                    (container, 2 * child, 3),
                    Place::Lost { container, child },
                );
            }
            None => self.put_root(left, self.documents.saturating_sub(1), true),
        }
    }
}
