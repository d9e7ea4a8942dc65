//! The walk over a document as sops walks it: depth first, in the order in which things stand, with aliases
//! expanded. It uses no recursion, so depth costs no stack.

use crate::document::Document;
use crate::tree::{Child, Comment, Node, NodeId, Span};

/// What the walk meets.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A document begins; its root map follows.
    Document(usize),
    /// A map begins.
    Map(NodeId),
    /// A list begins.
    List(NodeId),
    /// The innermost map or list ends.
    End,
    /// The key of the value that follows, and where it is written.
    Key(&'a [u8], Span),
    /// A scalar.
    Leaf(NodeId),
    /// A comment of the innermost map or list.
    Comment(Comment),
    /// An alias: what it stands for follows, up to its [`Event::AliasEnd`].
    Alias(NodeId),
    /// Behind what an alias stands for.
    AliasEnd(NodeId),
    /// A comment that sops' reader loses, with the container of the entry that follows it. These come behind
    /// everything else of their document.
    Lost(NodeId, Comment),
}

/// An iterator over [`Event`]s; the metadata block is left out.
pub struct Walk<'a> {
    document: &'a Document,
    /// The next document to begin.
    next: usize,
    stack: Vec<Frame>,
    /// A value whose key was just told.
    pending: Option<NodeId>,
    /// How many lost comments were told.
    lost: usize,
}

enum Frame {
    Container { id: NodeId, child: usize, is_root: bool },
    Alias(NodeId),
}

impl Document {
    /// Walks all documents of the source.
    pub fn walk(&self) -> Walk<'_> {
        Walk {
            document: self,
            next: 0,
            stack: Vec::new(),
            pending: None,
            lost: 0,
        }
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = Event<'a>;

    fn next(&mut self) -> Option<Event<'a>> {
        if let Some(value) = self.pending.take() {
            return Some(self.value(value));
        }
        let tree = self.document.tree();
        loop {
            match self.stack.last_mut() {
                None => return self.next_document(),
                Some(Frame::Alias(id)) => {
                    let id = *id;
                    self.stack.pop();
                    return Some(Event::AliasEnd(id));
                }
                Some(Frame::Container { id, child, is_root }) => {
                    let Some(next) = tree.children(*id).get(*child) else {
                        self.stack.pop();
                        return Some(Event::End);
                    };
                    *child += 1;
                    match *next {
                        Child::Comment(comment) => return Some(Event::Comment(comment)),
                        Child::Item(value) => return Some(self.value(value)),
                        Child::Entry { key, key_span, value } => {
                            let key = tree.text(self.document.source(), key);
                            if *is_root && self.document.is_block_key(key) {
                                continue;
                            }
                            self.pending = Some(value);
                            return Some(Event::Key(key, key_span));
                        }
                    }
                }
            }
        }
    }
}

impl<'a> Walk<'a> {
    fn next_document(&mut self) -> Option<Event<'a>> {
        let tree = self.document.tree();
        // What the last document lost comes before the next one begins.
        let end = tree
            .ends
            .get(self.next.wrapping_sub(1))
            .copied()
            .unwrap_or(u32::MAX);
        if self.next > 0
            && let Some((container, comment)) = tree
                .lost
                .get(self.lost)
                .filter(|(_, comment)| comment.span.start < end)
        {
            self.lost += 1;
            return Some(Event::Lost(*container, *comment));
        }
        let root = *tree.roots.get(self.next)?;
        self.next += 1;
        self.stack.push(Frame::Container {
            id: root,
            child: 0,
            is_root: true,
        });
        Some(Event::Document(self.next - 1))
    }

    fn value(&mut self, id: NodeId) -> Event<'a> {
        match *self.document.tree().node(id) {
            Node::Map { .. } => {
                self.stack.push(Frame::Container {
                    id,
                    child: 0,
                    is_root: false,
                });
                Event::Map(id)
            }
            Node::List { .. } => {
                self.stack.push(Frame::Container {
                    id,
                    child: 0,
                    is_root: false,
                });
                Event::List(id)
            }
            Node::Scalar { .. } => Event::Leaf(id),
            Node::Alias { target, .. } => {
                self.stack.push(Frame::Alias(id));
                self.pending = Some(target);
                Event::Alias(id)
            }
        }
    }
}
