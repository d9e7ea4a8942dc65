//! Which node a token begins or ends, and what the node takes: the grammar, as far as comments care. A text that
//! does not follow it gets some answer.

use super::super::scan::Kind;
use super::{Delivery, Expects, Frame, Lines, Role, Shape};

impl Delivery<'_> {
    /// What the node that begins now is to the collection around it.
    fn role(&mut self) -> Role {
        let Some(frame) = self.frames.last() else {
            return Role::Root;
        };
        let role = match frame.expects {
            Expects::Colon | Expects::Value => return Role::Value,
            Expects::Item => Role::Item,
            Expects::Key => Role::Key,
            Expects::Child if matches!(frame.shape, Shape::BlockMap | Shape::FlowMap | Shape::Pair) => {
                Role::Key
            }
            Expects::Child => Role::Item,
        };
        self.child();
        role
    }

    /// The innermost open collection and the number of the child at hand.
    fn place(&self) -> (u32, u32) {
        self.frames
            .last()
            .map_or((0, 0), |frame| (frame.id, frame.children))
    }

    pub(super) fn leaf(&mut self) {
        self.begin_document();
        let (heads, lines, feet) = self.take();
        if self.role() == Role::Root {
            self.root(None);
            self.put_root(heads, self.documents, false);
            self.put_root(lines, self.documents, false);
            self.put_root(feet, self.documents, true);
            return;
        }
        let (id, child) = self.place();
        self.put_before(heads, id, child, 2);
        self.put_before(lines, id, child, 2);
        self.done(feet, None);
    }

    fn take(&mut self) -> (Lines, Lines, Lines) {
        (
            std::mem::take(&mut self.heads),
            std::mem::take(&mut self.lines),
            std::mem::take(&mut self.feet),
        )
    }

    /// Only the heads in front of the dash of an item are taken at the start of a block collection.
    pub(super) fn block_start(&mut self, shape: Shape, stem: Option<usize>) {
        self.begin_document();
        let role = self.role();
        if let Some(stem) = stem {
            let (id, child) = self.place();
            let heads = self.heads.drain(..stem).collect();
            self.put_before(heads, id, child, 2);
        }
        self.open(shape, role);
    }

    pub(super) fn block_end(&mut self) {
        self.end_entry();
        let Some(mut frame) = self.frames.pop() else {
            return;
        };
        if frame.shape == Shape::BlockMap {
            let (mut heads, lines, feet) = self.take();
            self.lost.append(&mut heads);
            self.put_line(lines, &frame);
            if !feet.is_empty() {
                self.lost.append(&mut frame.slot);
                frame.slot = feet;
            }
        }
        self.close(frame, Lines::new());
    }

    pub(super) fn flow_start(&mut self, shape: Shape) {
        self.begin_document();
        let (heads, mut lines, mut feet) = self.take();
        let role = self.role();
        let (id, child) = self.place();
        let own = self.open(shape, role);
        match role {
            Role::Key | Role::Item => self.put_before(heads, id, child, 2),
            Role::Value | Role::Root => self.put_before(heads, own, 0, 0),
        }
        self.lost.append(&mut lines);
        self.lost.append(&mut feet);
    }

    pub(super) fn flow_end(&mut self) {
        self.end_pair();
        self.end_entry();
        let Some(frame) = self.frames.pop() else { return };
        let (mut heads, lines, feet) = self.take();
        self.lost.append(&mut heads);
        self.put_line(lines, &frame);
        self.close(frame, feet);
    }

    /// The comment on the last line of a collection that has just ended: the collection's own.
    fn put_line(&mut self, lines: Lines, frame: &Frame) {
        let (id, child) = self.place();
        match frame.role {
            Role::Key | Role::Item => self.put_before(lines, id, child, 2),
            Role::Value | Role::Root => self.put_before(lines, frame.id, 0, 1),
        }
    }

    fn open(&mut self, shape: Shape, role: Role) -> u32 {
        let id = self.collections;
        self.collections += 1;
        if role == Role::Root {
            self.root(Some(id));
        }
        let (expects, slot) = (Expects::Child, Lines::new());
        self.frames.push(Frame {
            id,
            shape,
            role,
            expects,
            children: 0,
            slot,
        });
        id
    }

    /// A collection has ended and left the frames.
    fn close(&mut self, mut frame: Frame, feet: Lines) {
        if frame.expects == Expects::Item {
            frame.children += 1;
        }
        let collection = (frame.id, frame.children);
        self.put_slot(frame);
        self.done(feet, Some(collection));
    }

    pub(super) fn put_slot(&mut self, frame: Frame) {
        self.put_after(frame.slot, frame.id, frame.children.saturating_sub(1));
    }

    /// A node is complete; the collection around it, if there is one, takes its feet.
    fn done(&mut self, feet: Lines, collection: Option<(u32, u32)>) {
        let Some(frame) = self.frames.last() else {
            if let Some((id, children)) = collection {
                self.put_before(feet, id, children, 2);
                if let Some(document) = &mut self.document {
                    document.root = collection;
                }
            }
            return;
        };
        match (frame.shape, frame.expects) {
            (Shape::BlockList | Shape::BareList | Shape::FlowList, _) => self.item_done(feet),
            (_, Expects::Child | Expects::Key | Expects::Item) => self.key_done(feet),
            (_, Expects::Colon | Expects::Value) => self.value_done(feet, collection),
        }
    }

    fn item_done(&mut self, feet: Lines) {
        let (id, child) = self.place();
        self.put_after(feet, id, child);
        if let Some(frame) = self.frames.last_mut() {
            frame.children += 1;
            frame.expects = Expects::Child;
        }
    }

    /// In a block map the feet of a key belong to the key before, instead of what that had.
    fn key_done(&mut self, mut feet: Lines) {
        let Some(frame) = self.frames.last_mut() else {
            return;
        };
        frame.expects = Expects::Colon;
        if frame.children == 0 {
            frame.slot = feet;
            return;
        }
        if frame.shape == Shape::BlockMap && !feet.is_empty() {
            self.lost.append(&mut frame.slot);
            std::mem::swap(&mut frame.slot, &mut feet);
        }
        let (id, before) = (frame.id, frame.children - 1);
        let slot = std::mem::replace(&mut frame.slot, feet);
        self.put_after(slot, id, before);
        // The key itself has begun before they were lost.
        self.child();
    }

    /// The feet of a value belong to its key, unless that has some of its own.
    fn value_done(&mut self, feet: Lines, collection: Option<(u32, u32)>) {
        let Some(frame) = self.frames.last_mut() else {
            return;
        };
        let (id, child) = (frame.id, frame.children);
        frame.expects = Expects::Child;
        frame.children += 1;
        if frame.slot.is_empty() {
            frame.slot = feet;
        } else if let Some((id, children)) = collection {
            self.put_before(feet, id, children, 2);
        } else {
            self.put_after(feet, id, child);
        }
    }
}

/// Tokens that are no nodes.
impl Delivery<'_> {
    /// `-`
    pub(super) fn dash(&mut self) {
        let in_map = self
            .frames
            .last()
            .is_some_and(|frame| frame.shape == Shape::BlockMap);
        if in_map {
            let role = self.role();
            self.open(Shape::BareList, role);
        }
        self.end_item();
        if let Some(frame) = self.frames.last_mut() {
            frame.expects = Expects::Item;
        }
        self.stem = Some(self.heads.len());
    }

    /// An anchor or a tag: a node begins, even if nothing follows.
    pub(super) fn property(&mut self) {
        self.begin_document();
        if self
            .frames
            .last()
            .is_none_or(|frame| frame.expects != Expects::Child)
        {
            return;
        }
        let role = self.role();
        if let Some(frame) = self.frames.last_mut() {
            frame.expects = if role == Role::Key {
                Expects::Key
            } else {
                Expects::Item
            };
        }
    }

    /// An item without a value takes nothing.
    pub(super) fn end_item(&mut self) {
        if self
            .frames
            .last()
            .is_some_and(|frame| frame.expects == Expects::Item)
        {
            self.item_done(Lines::new());
        }
    }

    /// `?`, or what stands for it in front of a simple key.
    pub(super) fn key(&mut self) {
        self.begin_pair();
        self.end_entry();
        if let Some(frame) = self.frames.last_mut() {
            frame.expects = Expects::Key;
        }
    }

    /// `:`
    pub(super) fn colon(&mut self) {
        self.begin_pair();
        let Some(frame) = self.frames.last() else { return };
        if matches!(frame.expects, Expects::Child | Expects::Key) {
            self.child();
            self.key_done(Lines::new());
        }
        if let Some(frame) = self.frames.last_mut() {
            frame.expects = Expects::Value;
        }
    }

    fn begin_pair(&mut self) {
        if self
            .frames
            .last()
            .is_some_and(|frame| frame.shape == Shape::FlowList)
        {
            self.child();
            self.open(Shape::Pair, Role::Item);
        }
    }

    pub(super) fn end_pair(&mut self) {
        if self.frames.last().is_some_and(|frame| frame.shape == Shape::Pair) {
            self.end_entry();
            if let Some(frame) = self.frames.pop() {
                self.close(frame, Lines::new());
            }
        }
    }

    /// Keys and values that are not there take nothing.
    pub(super) fn end_entry(&mut self) {
        let Some(Frame {
            shape: Shape::BlockMap | Shape::FlowMap | Shape::Pair,
            expects,
            ..
        }) = self.frames.last()
        else {
            return;
        };
        let expects = *expects;
        if expects == Expects::Key {
            self.key_done(Lines::new());
        }
        if expects != Expects::Child {
            self.value_done(Lines::new(), None);
        }
    }

    /// A list in the column of its key ends with the first token that cannot be part of it.
    pub(super) fn end_bare_lists(&mut self, kind: Kind) {
        while let Some(Frame {
            shape: Shape::BareList,
            expects,
            ..
        }) = self.frames.last()
        {
            let ends_item = matches!(kind, Kind::Key | Kind::Value | Kind::BlockEnd);
            match expects {
                Expects::Item if ends_item => self.end_item(),
                Expects::Child if kind != Kind::Dash => {
                    if let Some(frame) = self.frames.pop() {
                        self.close(frame, Lines::new());
                    }
                }
                _ => return,
            }
        }
    }
}
