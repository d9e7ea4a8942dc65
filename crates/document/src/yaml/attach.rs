//! From the places of comments to the tree.

use std::borrow::Cow;

use super::{comments, lines};
use crate::document::Form;
use crate::error::Error;
use crate::tree::{Comment, Node, NodeId, Span, Text, Tree};

/// Puts the comments into the tree as they will be attached once the metadata block stands at the end of each
/// document: in a sealed file it does already, in an author's file a stand-in takes its place.
pub(super) fn attach(text: &str, form: Form, tree: &mut Tree, containers: &[NodeId]) -> Result<(), Error> {
    let marked = match form {
        Form::Sealed => Stand::none(text),
        Form::Plain => Stand::in_for_blocks(text, tree),
    };
    let attached = comments::attach(&marked.text)
        .map_err(|error| Error::syntax(text.as_bytes(), marked.offset(error.offset), error.why))?;
    let mut places = Vec::with_capacity(attached.len());
    for attachment in attached {
        let span = Span::new(
            marked.offset(attachment.span.start as usize),
            marked.offset(attachment.span.end as usize),
        );
        let comment = Comment {
            span,
            text: Text::in_source(span),
        };
        let container = |ordinal: u32| containers.get(ordinal as usize).copied();
        match attachment.place {
            comments::Place::Before {
                container: ordinal,
                child,
            } => {
                places.extend(container(ordinal).map(|id| (id, child, comment)));
            }
            comments::Place::After {
                container: ordinal,
                child,
            } => {
                places.extend(container(ordinal).map(|id| (id, child + 1, comment)));
            }
            comments::Place::Root { document, .. } => {
                places.extend(
                    tree.roots
                        .get(document as usize)
                        .map(|root| (*root, u32::MAX, comment)),
                );
            }
            comments::Place::Lost {
                container: ordinal, ..
            } => {
                tree.lost.extend(container(ordinal).map(|id| (id, comment)));
            }
        }
    }
    // Stable: comments of one place keep the order in which they are delivered.
    places.sort_by_key(|(container, before, _)| (*container, *before));
    tree.add_comments(&places);
    Ok(())
}

/// A text with a stand-in for the metadata block at the end of each document.
struct Stand<'a> {
    text: Cow<'a, str>,
    /// Offset in the original, and how many bytes were put in before it in all.
    inserted: Vec<(usize, usize)>,
}

impl<'a> Stand<'a> {
    fn none(text: &'a str) -> Self {
        Self {
            text: Cow::Borrowed(text),
            inserted: Vec::new(),
        }
    }

    fn in_for_blocks(text: &'a str, tree: &Tree) -> Self {
        let mut out = String::with_capacity(text.len() + 16 * tree.ends.len());
        let (mut inserted, mut done, mut total) = (Vec::new(), 0, 0);
        for (root, end) in tree.roots.iter().zip(&tree.ends) {
            let Node::Map {
                span, flow: false, ..
            } = *tree.node(*root)
            else {
                continue;
            };
            let end = *end as usize;
            out.push_str(&text[done..end]);
            let before = out.len();
            if !text[..end].is_empty() && !text[..end].ends_with('\n') {
                out.push('\n');
            }
            let column = if span.is_empty() {
                0
            } else {
                lines::column(text, span.start as usize)
            };
            out.extend(std::iter::repeat_n(' ', column));
            out.push_str("sops: x\n");
            total += out.len() - before;
            inserted.push((end, total));
            done = end;
        }
        out.push_str(&text[done..]);
        Self {
            text: Cow::Owned(out),
            inserted,
        }
    }

    /// Where `offset` of the marked text lies in the original.
    fn offset(&self, offset: usize) -> usize {
        let mut before = 0;
        for &(end, total) in &self.inserted {
            if offset < end + total {
                return if offset <= end + before {
                    offset - before
                } else {
                    end
                };
            }
            before = total;
        }
        offset - before
    }
}
