//! The content of the layout field: what the author spelled otherwise than opening alone would.

use document::{Document, Event};
use secret::SecretBytes;

use crate::body::{last_clear_scalar, unclosed_header};
use crate::error::Error;
use crate::plan::{Plan, Subject, locate};
use crate::spellings::{Kind, Place, SpellingsWriter};
use crate::value;
use crate::values::Values;

/// The aliases that are written out in the sealed form.
pub(crate) fn aliases(author: &Document, plan: &Plan<'_>) -> SpellingsWriter {
    let mut writer = SpellingsWriter::default();
    let mut expanded = plan.aliases.iter().filter(|alias| alias.expanded).peekable();
    let has_keys = !author.tree().alias_keys.is_empty();
    if expanded.peek().is_none() && !has_keys {
        return writer;
    }
    let (mut place, mut outermost, mut depth) = (Place::default(), None, 0);
    for event in author.walk() {
        place.follow(&event);
        // The place of an alias is that of what stands for it: the event behind its own.
        if let Event::Alias(id) = event {
            outermost = outermost.or(expanded.next_if(|alias| alias.id == id));
        } else if let Some(alias) = outermost.take() {
            let span = author.tree().node(alias.id).span();
            writer.entry(Kind::Alias, place.bytes(), b"", &author.source()[span.range()]);
        }
        match event {
            Event::Alias(_) => depth += 1,
            Event::AliasEnd(_) => depth -= 1,
            Event::Leaf(_) => place.done(),
            Event::Key(_, span) if has_keys && depth == 0 => {
                let key = &author.source()[span.range()];
                if key.starts_with(b"*") {
                    writer.entry(Kind::Key, place.bytes(), b"", key);
                }
            }
            _ => {}
        }
    }
    writer
}

/// The layout's content: every spelling that opening alone would not bring back, behind the entries of `writer`.
pub(crate) fn spellings(
    mut writer: SpellingsWriter,
    document: &Document,
    plan: &Plan<'_>,
    sealed: &Document,
    sealed_plan: &Plan<'_>,
    values: &Values,
) -> Result<SecretBytes, Error> {
    let mut place = Place::default();
    let (mut next, mut ordinal) = (0, 0);
    let unclosed = unclosed_header(document, plan).and_then(|_| last_clear_scalar(document, plan));
    let mut spelled = SecretBytes::default();
    for event in document.walk() {
        place.follow(&event);
        let (Event::Leaf(_) | Event::Comment(_) | Event::Lost(..)) = event else {
            continue;
        };
        if let (Event::Leaf(id), true) = (event, unclosed.is_some())
            && Some(id) == unclosed
            && let Some((header, _)) = document.header(id)
        {
            writer.entry(
                Kind::Header,
                place.bytes(),
                &document.source()[header.range()],
                b"",
            );
        }
        if let Some(job) = plan.jobs.get(next).filter(|job| job.ordinal == ordinal) {
            let again = sealed_plan.jobs[next];
            if let (Subject::Leaf(id), Subject::Leaf(sealed_id), false) =
                (job.subject, again.subject, job.aliased)
            {
                let Some((ty, plaintext)) = values.get(next) else {
                    continue;
                };
                let scalar = value::scalar_in(ty, plaintext).map_err(|why| {
                    let (path, offset) = locate(document, ordinal);
                    Error::Value {
                        at: document.position(offset),
                        path,
                        why,
                    }
                })?;
                let original = &document.source()[document.frame(id).span.range()];
                let header = document
                    .header(id)
                    .map(|(span, _)| &document.source()[span.range()]);
                spelled.expose_mut().clear();
                sealed.spell(sealed_id, &scalar, spelled.expose_mut());
                let same_header = header.is_none_or(|header| {
                    sealed
                        .spell_header(sealed_id, &scalar)
                        .is_some_and(|spelled| spelled == header)
                });
                if spelled.expose() != original || !same_header {
                    writer.entry(Kind::Value, place.bytes(), header.unwrap_or_default(), original);
                }
            }
            next += 1;
        }
        ordinal += 1;
        if let Event::Leaf(_) = event {
            place.done();
        }
    }
    Ok(SecretBytes::new(writer.0))
}
