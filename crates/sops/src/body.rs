//! The sealed form of a document whose metadata block still lacks its seals.

use document::{Document, Edits, Event, Node, NodeId, Scalar};
use secret::SecretBytes;

use crate::error::Error;
use crate::metadata::Metadata;
use crate::plan::{Plan, Subject, locate};
use crate::reuse::BlockText;
use crate::seal::block_value;
use crate::texts::Texts;

/// The document with sealed texts in place and a metadata block that still lacks its seals.
pub(crate) fn sealed_body(
    document: &Document,
    plan: &Plan<'_>,
    texts: &Texts,
    metadata: &Metadata,
    block: Option<&BlockText>,
) -> Result<SecretBytes, Error> {
    let mut edits = Edits::with_capacity(plan.jobs.len() + 1, texts.bytes() / 32 * 33);
    for (index, job) in plan.jobs.iter().enumerate().filter(|(_, job)| !job.aliased) {
        let text = texts.get(index);
        match job.subject {
            Subject::Comment(span, _) => edits.replace(span, &[text]),
            Subject::Leaf(id) | Subject::CommentItem(id, _) => {
                let frame = document.frame(id);
                edits.replace(
                    frame.span,
                    &[frame.before.as_bytes(), text, frame.after.as_bytes()],
                );
                if let Some((header, sealed)) = document.header(id)
                    && &document.source()[header.range()] != sealed
                {
                    edits.replace(header, &[sealed]);
                }
            }
        }
    }
    if let Some((_, header, sealed)) = unclosed_header(document, plan)? {
        edits.replace(header, &[&sealed]);
    }
    if !put_block_back(document, block, &mut edits) {
        document.set_block(&block_value(document, metadata), &mut edits)?;
    }
    // Room for the seals, so that they can be put in where the text stands.
    let room = 4096 + 4 * plan.jobs.len();
    Ok(document.render_with_room(&edits, room))
}

/// A clear block scalar that ends the file without a line break: the metadata block that follows brings one, so its
/// header gets the chomping under which the value stays the same. The scalar, its header and what becomes of that.
///
/// # Errors
/// [`Error::NotRestorable`] for a value that ends with several line breaks: no chomping keeps these and no more.
pub(crate) fn unclosed_header(
    document: &Document,
    plan: &Plan<'_>,
) -> Result<Option<(NodeId, document::Span, Vec<u8>)>, Error> {
    let Some((id, ordinal)) = last_clear_scalar(document, plan) else {
        return Ok(None);
    };
    let Some((header, _)) = document.header(id) else {
        return Ok(None);
    };
    let scalar = document.scalar(id)?;
    let chomping: &[u8] = match &scalar {
        // Its last line holds nothing but spaces, or there would be no line break.
        Scalar::Str(text) if text.ends_with(b"\n") => match text[..text.len() - 1].last() {
            None | Some(b'\n') => {
                let (path, offset) = locate(document, ordinal);
                return Err(Error::NotRestorable {
                    at: document.position(offset),
                    path,
                });
            }
            Some(_) => b"",
        },
        _ => b"-",
    };
    let present = &document.source()[header.range()];
    let mut sealed = present.to_vec();
    sealed.retain(|byte| !matches!(byte, b'+' | b'-'));
    sealed.extend_from_slice(chomping);
    Ok((sealed != present).then_some((id, header, sealed)))
}

/// The clear leaf that ends a YAML file without a line break, and its ordinal.
fn last_clear_scalar(document: &Document, plan: &Plan<'_>) -> Option<(NodeId, usize)> {
    let source = document.source();
    if document.format() != document::Format::Yaml || source.is_empty() || source.ends_with(b"\n") {
        return None;
    }
    let counted = document
        .walk()
        .filter(|event| matches!(event, Event::Leaf(_) | Event::Comment(_) | Event::Lost(..)));
    let last = counted.enumerate().filter_map(|(ordinal, event)| match event {
        Event::Leaf(id) => Some((id, ordinal)),
        _ => None,
    });
    let (last, ordinal) = last.last()?;
    let Node::Scalar { span, .. } = *document.tree().node(last) else {
        return None;
    };
    let sealed = plan
        .jobs
        .iter()
        .rev()
        .any(|job| job.subject == Subject::Leaf(last));
    (span.end as usize == source.len() && !sealed).then_some((last, ordinal))
}

/// Puts the block of the file's last version where it stood; whether that could be done.
fn put_block_back(document: &Document, block: Option<&BlockText>, edits: &mut Edits) -> bool {
    let Some(block) = block else { return false };
    let source = document.source();
    if document.format() == document::Format::Yaml {
        let ends = &document.tree().ends;
        let in_brackets = document
            .tree()
            .roots
            .iter()
            .any(|root| matches!(document.tree().node(*root), Node::Map { flow: true, .. }));
        if in_brackets || ends.len() != block.cuts.len() {
            return false;
        }
        let newline: &[u8] = if source.windows(2).any(|pair| pair == b"\r\n") {
            b"\r\n"
        } else {
            b"\n"
        };
        for (end, (text, _)) in ends.iter().zip(&block.cuts) {
            let end = *end as usize;
            let text = text.strip_suffix(newline).unwrap_or(text);
            let unclosed = end > 0 && !source[..end].ends_with(b"\n");
            let (before, after) = if unclosed {
                (newline, &b""[..])
            } else {
                (&b""[..], newline)
            };
            edits.replace(document::Span::new(end, end), &[before, text, after]);
        }
        return true;
    }
    let [(text, behind)] = &block.cuts[..] else {
        return false;
    };
    let Some(at) = source.len().checked_sub(*behind) else {
        return false;
    };
    if document.format() == document::Format::Binary {
        return false;
    }
    edits.insert(at, text);
    true
}
