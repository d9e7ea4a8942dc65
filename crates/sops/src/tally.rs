//! One walk over a document and its opened values that feeds the MAC and the integrity body alike.

use document::{Document, Event, Scalar};

use crate::error::Error;
use crate::integrity::{Body, IntegrityBuilder};
use crate::mac::Mac;
use crate::plan::{Plan, Subject, locate};
use crate::value::{self, ValueType};
use crate::values::{self, Values};

/// How old tools hashed where versions of sops differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Variant {
    /// Clear JSON numbers as floats (sops up to 3.13.1).
    pub(crate) numbers_as_floats: bool,
    /// Comments that stand as items of lists are hashed (sops 3.13.2).
    pub(crate) list_comments: bool,
}

/// What the walk computes.
pub(crate) struct Tally {
    pub(crate) mac: Mac,
    pub(crate) body: Option<Body>,
    /// Whether another [`Variant`] could give another MAC.
    pub(crate) varies: bool,
}

/// Walks `document`, whose jobs opened to `values`. The body is computed only if a builder for it is given.
pub(crate) fn tally(
    document: &Document,
    plan: &Plan<'_>,
    values: &Values,
    only_encrypted: bool,
    mut body: Option<IntegrityBuilder>,
    variant: Variant,
) -> Result<Tally, Error> {
    let mut mac = Mac::new(only_encrypted);
    let (mut next, mut ordinal, mut varies) = (0, 0, false);
    let mut lists = Vec::new();
    for event in document.walk() {
        let is_leaf = matches!(event, Event::Leaf(_));
        let job = plan
            .jobs
            .get(next)
            .filter(|job| job.ordinal == ordinal)
            .map(|job| (next, job.subject));
        let is_comment_item = matches!(job, Some((_, Subject::CommentItem(..)))) && is_leaf;
        if let Some(body) = &mut body {
            feed_structure(&event, &mut lists, is_comment_item, body);
        }
        if !(is_leaf || matches!(event, Event::Comment(_) | Event::Lost(..))) {
            continue;
        }
        next += usize::from(job.is_some());
        ordinal += 1;
        match (job, event) {
            (Some((index, Subject::Leaf(_))), _) => {
                let Some((ty, plaintext)) = values.get(index) else {
                    continue;
                };
                let normal = normal(document, ty, plaintext, ordinal - 1)?;
                let plaintext = normal.as_deref().unwrap_or(plaintext);
                mac.leaf(plaintext);
                if let Some(body) = &mut body {
                    body.leaf(ty, true, plaintext);
                }
            }
            (Some((index, subject)), _) => {
                let Some((_, text)) = values.get(index) else {
                    // A clear comment where a sealed one is due: it was put there by somebody else.
                    if let Some(body) = &mut body {
                        body.comment(false, values::text(document, &plan.jobs[index]));
                    }
                    continue;
                };
                if matches!(subject, Subject::CommentItem(..)) {
                    varies = true;
                    if variant.list_comments {
                        mac.leaf(text);
                    }
                }
                if let Some(body) = &mut body {
                    body.comment(true, text);
                }
            }
            (None, Event::Leaf(id)) => {
                let scalar = document.scalar(id)?;
                let as_float = match scalar {
                    Scalar::Int(number) if document.format() == document::Format::Json => {
                        varies |= number.unsigned_abs() > 1 << 53;
                        variant.numbers_as_floats.then_some(Scalar::Float(number as f64))
                    }
                    _ => None,
                };
                let scalar = as_float.unwrap_or(scalar);
                match value::plaintext(&scalar) {
                    Some((ty, plaintext)) => {
                        if !only_encrypted {
                            mac.leaf(&plaintext);
                        }
                        if let Some(body) = &mut body {
                            body.leaf(ty, false, &plaintext);
                        }
                    }
                    None => {
                        if let Some(body) = &mut body {
                            body.null();
                        }
                    }
                }
            }
            (None, Event::Comment(comment) | Event::Lost(_, comment)) => {
                if let Some(body) = &mut body {
                    body.comment(false, document.tree().text(document.source(), comment.text));
                }
            }
            _ => {}
        }
    }
    Ok(Tally {
        mac,
        body: body.map(IntegrityBuilder::finish),
        varies,
    })
}

fn feed_structure(event: &Event<'_>, lists: &mut Vec<bool>, is_comment: bool, body: &mut IntegrityBuilder) {
    let is_value = matches!(event, Event::Map(_) | Event::List(_) | Event::Leaf(_));
    if is_value && !is_comment && lists.last() == Some(&true) {
        body.item();
    }
    match event {
        Event::Document(_) => {
            *lists = vec![false];
            body.document();
            body.map();
        }
        Event::Map(_) => {
            lists.push(false);
            body.map();
        }
        Event::List(_) => {
            lists.push(true);
            body.list();
        }
        Event::End => {
            lists.pop();
            body.end();
        }
        Event::Key(key, _) => body.key(key),
        _ => {}
    }
}

/// sops hashes what a value reads as, not what was sealed: `007` of type int is hashed as `7`. `None` where
/// both are the same.
fn normal(
    document: &Document,
    ty: ValueType,
    plaintext: &[u8],
    ordinal: usize,
) -> Result<Option<Vec<u8>>, Error> {
    if ty == ValueType::Str {
        return Ok(None);
    }
    let scalar = value::scalar_in(ty, plaintext).map_err(|why| {
        let (path, offset) = locate(document, ordinal);
        Error::Value {
            at: document.position(offset),
            path,
            why,
        }
    })?;
    let normal = value::plaintext(&scalar).map(|(_, normal)| normal.into_owned());
    Ok(normal.filter(|normal| normal != plaintext))
}
