//! The tree of a document: small numbers that point into the source, so that building it copies nothing.
//!
//! Nodes stand in one vector in the order in which they end; the children of a container stand side by side
//! in another. Text that the source spells with escapes or line folds is decoded once into a side buffer.

use secret::SecretBytes;

/// A half-open range of bytes in the source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Offset behind the last byte.
    pub end: u32,
}

impl Span {
    /// The bytes from `start` up to, not including, `end`. Both lie in a source below 2 GiB.
    pub fn new(start: usize, end: usize) -> Self {
        debug_assert!(start <= end);
        Self {
            start: start as u32,
            end: end as u32,
        }
    }

    /// Length in bytes.
    pub fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    /// Whether the range holds no byte.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// As an index into the source.
    pub fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// A piece of decoded text: either a range of the source itself or of the tree's side buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text {
    span: Span,
    decoded: bool,
}

impl Text {
    /// Text that stands in the source exactly as it reads.
    pub fn in_source(span: Span) -> Self {
        Self { span, decoded: false }
    }
}

/// Names one node of a [`Tree`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub(crate) u32);

/// How a scalar is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// No quotes: a YAML plain scalar, a JSON number or literal, a dotenv value, a bare INI value.
    Plain,
    /// `'...'`
    SingleQuoted,
    /// `"..."`, JSON strings included.
    DoubleQuoted,
    /// YAML `|`.
    Literal,
    /// YAML `>`.
    Folded,
    /// INI: `` `...` ``.
    BackQuoted,
    /// INI: `"""..."""`.
    TripleQuoted,
}

/// A node: what stands where a value can stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    /// Named values in order; comments stand among them.
    Map {
        /// From the first byte of the first key or the opening bracket to the end of the last value or the closing bracket.
        span: Span,
        /// Which children, as a range of [`Tree::children`].
        children: Span,
        /// Whether it is written in brackets.
        flow: bool,
    },
    /// Values in order; comments stand among them.
    List {
        /// As for a map.
        span: Span,
        /// As for a map.
        children: Span,
        /// As for a map.
        flow: bool,
    },
    /// One value.
    Scalar {
        /// The whole spelling: quotes, and for block scalars everything from the header to the last line break.
        span: Span,
        /// What it says, decoded; empty for an absent value.
        text: Text,
        /// How it is written.
        style: Style,
        /// A YAML tag as written (`!!str`, `!x`), if there is one.
        tag: Option<Span>,
    },
    /// A YAML alias.
    Alias {
        /// The whole `*name`.
        span: Span,
        /// The node that carries the anchor; always an earlier one.
        target: NodeId,
    },
}

impl Node {
    /// Where the node stands in the source.
    pub fn span(&self) -> Span {
        match *self {
            Node::Map { span, .. }
            | Node::List { span, .. }
            | Node::Scalar { span, .. }
            | Node::Alias { span, .. } => span,
        }
    }
}

/// A comment line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Comment {
    /// The text that a sealed form replaces: everything behind the comment mark, up to the line end.
    pub span: Span,
    /// The text as sops sees it. In YAML and dotenv the same range.
    pub text: Text,
}

/// What stands in a map or a list, in document order as sops orders it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Child {
    /// An entry of a map.
    Entry {
        /// The decoded key.
        key: Text,
        /// Where the key is written, quotes included.
        key_span: Span,
        /// Its value.
        value: NodeId,
    },
    /// An item of a list.
    Item(NodeId),
    /// A comment.
    Comment(Comment),
}

/// All documents of one source.
#[derive(Debug, Default)]
pub struct Tree {
    nodes: Vec<Node>,
    children: Vec<Child>,
    /// One root per document. A root is a map; an empty YAML document has an empty map of its own.
    pub roots: Vec<NodeId>,
    /// YAML: comments that sops' own reader loses, each with the container of the entry that follows.
    pub lost: Vec<(NodeId, Comment)>,
    /// YAML: where a metadata block goes, one offset per document: behind its last line, before the `...` or
    /// `---` that ends it.
    pub ends: Vec<u32>,
    /// YAML: columns by which the file indents, 0 where it shows none.
    pub indent: u8,
    /// YAML: the outermost collections in brackets, in order.
    pub(crate) flows: Vec<Span>,
    /// YAML: every `&name` with the node that carries it, in order of nodes.
    pub(crate) anchors: Vec<(NodeId, Span)>,
    /// YAML: every alias that stands as a key, with the text that it names.
    pub alias_keys: Vec<(Span, NodeId)>,
    decoded: SecretBytes,
}

impl Tree {
    /// The node that `id` names.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no node at all.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The children of a map or list; nothing for other nodes.
    pub fn children(&self, id: NodeId) -> &[Child] {
        match *self.node(id) {
            Node::Map { children, .. } | Node::List { children, .. } => &self.children[children.range()],
            _ => &[],
        }
    }

    /// The whole `&name` that stands before the node, if it carries an anchor.
    pub fn anchor(&self, id: NodeId) -> Option<Span> {
        let at = self.anchors.binary_search_by_key(&id, |(node, _)| *node).ok()?;
        Some(self.anchors[at].1)
    }

    /// Whether `offset` lies inside brackets.
    pub(crate) fn in_flow(&self, offset: u32) -> bool {
        let next = self.flows.partition_point(|flow| flow.start <= offset);
        next > 0 && offset < self.flows[next - 1].end
    }

    /// Puts comments among the children of the containers they belong to. `places` is sorted by container;
    /// each names how many data children of the container come before the comment.
    pub(crate) fn add_comments(&mut self, places: &[(NodeId, u32, Comment)]) {
        let old = std::mem::take(&mut self.children);
        self.children.reserve(old.len() + places.len());
        for (index, node) in self.nodes.iter_mut().enumerate() {
            let (Node::Map { children, .. } | Node::List { children, .. }) = node else {
                continue;
            };
            let id = NodeId(index as u32);
            let first = places.partition_point(|(container, ..)| *container < id);
            let mut pending = places[first..]
                .iter()
                .take_while(|(container, ..)| *container == id)
                .peekable();
            let start = self.children.len();
            for (position, child) in old[children.range()].iter().enumerate() {
                while let Some((_, _, comment)) =
                    pending.next_if(|(_, before, _)| *before as usize <= position)
                {
                    self.children.push(Child::Comment(*comment));
                }
                self.children.push(*child);
            }
            self.children
                .extend(pending.map(|(_, _, comment)| Child::Comment(*comment)));
            *children = Span::new(start, self.children.len());
        }
    }

    /// In what another tree differs.
    #[cfg(test)]
    pub(crate) fn differs(&self, other: &Self) -> Option<&'static str> {
        [
            ("nodes", self.nodes != other.nodes),
            ("children", self.children != other.children),
            ("roots", self.roots != other.roots),
            ("lost comments", self.lost != other.lost),
            ("ends", self.ends != other.ends),
            ("indent", self.indent != other.indent),
            ("brackets", self.flows != other.flows),
            ("anchors", self.anchors != other.anchors),
            ("aliases as keys", self.alias_keys != other.alias_keys),
            ("decoded text", self.decoded.expose() != other.decoded.expose()),
        ]
        .into_iter()
        .find_map(|(what, differs)| differs.then_some(what))
    }

    /// The bytes of `text`, given the source the tree was built from.
    pub fn text<'a>(&'a self, source: &'a [u8], text: Text) -> &'a [u8] {
        let from = if text.decoded {
            self.decoded.expose()
        } else {
            source
        };
        &from[text.span.range()]
    }
}

/// Builds a [`Tree`]: children are collected on a stack and laid down side by side when their container ends.
#[derive(Debug, Default)]
pub struct TreeBuilder {
    tree: Tree,
    pending: Vec<Child>,
}

impl TreeBuilder {
    /// An empty tree, with room for about `nodes` nodes.
    pub fn with_capacity(nodes: usize) -> Self {
        let mut builder = Self::default();
        builder.tree.nodes.reserve(nodes);
        builder.tree.children.reserve(nodes);
        builder
    }

    /// Puts text that the source does not spell literally into the side buffer.
    pub fn decoded(&mut self, bytes: &[u8]) -> Text {
        self.decoded_by(|buffer| buffer.extend_from_slice(bytes))
    }

    /// The same for text that `append` puts there, which must leave alone what is there already.
    pub fn decoded_by(&mut self, append: impl FnOnce(&mut Vec<u8>)) -> Text {
        let buffer = self.tree.decoded.expose_mut();
        let start = buffer.len();
        append(buffer);
        Text {
            span: Span::new(start, buffer.len()),
            decoded: true,
        }
    }

    /// Adds a node and names it.
    pub fn node(&mut self, node: Node) -> NodeId {
        self.tree.nodes.push(node);
        NodeId(self.tree.nodes.len() as u32 - 1)
    }

    /// The node that `id` names.
    pub fn get(&self, id: NodeId) -> &Node {
        self.tree.node(id)
    }

    /// The bytes of `text`, given the source the tree is built from.
    pub fn text<'a>(&'a self, source: &'a [u8], text: Text) -> &'a [u8] {
        self.tree.text(source, text)
    }

    /// Marks where the children of a container begin; hand the mark to [`Self::end_map`] or [`Self::end_list`].
    pub fn mark(&self) -> usize {
        self.pending.len()
    }

    /// The children collected since `mark`.
    pub fn pending(&self, mark: usize) -> &[Child] {
        &self.pending[mark..]
    }

    /// Adds a child to the innermost open container.
    pub fn push(&mut self, child: Child) {
        self.pending.push(child);
    }

    /// Ends the map whose children began at `mark`.
    pub fn end_map(&mut self, mark: usize, span: Span, flow: bool) -> NodeId {
        let children = self.lay_down(mark);
        self.node(Node::Map { span, children, flow })
    }

    /// Ends the list whose children began at `mark`.
    pub fn end_list(&mut self, mark: usize, span: Span, flow: bool) -> NodeId {
        let children = self.lay_down(mark);
        self.node(Node::List { span, children, flow })
    }

    /// Adds the root of one more document.
    pub fn root(&mut self, root: NodeId) {
        self.tree.roots.push(root);
    }

    /// Notes the `&name` of a node.
    pub fn anchor(&mut self, id: NodeId, name: Span) {
        self.tree.anchors.push((id, name));
    }

    /// Notes an alias that stands as a key.
    pub fn alias_key(&mut self, span: Span, target: NodeId) {
        self.tree.alias_keys.push((span, target));
    }

    /// The finished tree.
    pub fn finish(self) -> Tree {
        debug_assert!(self.pending.is_empty(), "a container was left open");
        let mut tree = self.tree;
        tree.anchors.sort_unstable_by_key(|(node, _)| *node);
        tree
    }

    fn lay_down(&mut self, mark: usize) -> Span {
        let start = self.tree.children.len();
        self.tree.children.extend(self.pending.drain(mark..));
        Span::new(start, self.tree.children.len())
    }
}
