//! The content of the layout field: what the author spelled otherwise than opening alone would.

use document::{Document, Event};
use secret::SecretBytes;

use crate::body::{last_clear_scalar, unclosed_header};
use crate::error::Error;
use crate::plan::{Plan, Subject, locate};
use crate::spellings::{Kind, Place, SpellingsWriter};
use crate::value;
use crate::values::Values;

/// The layout's content: every spelling that opening alone would not bring back.
pub(crate) fn spellings(
    document: &Document,
    plan: &Plan<'_>,
    sealed: &Document,
    sealed_plan: &Plan<'_>,
    values: &Values,
) -> Result<SecretBytes, Error> {
    let mut writer = SpellingsWriter::default();
    let mut place = Place::default();
    let (mut next, mut ordinal, mut next_alias, mut outermost) = (0, 0, 0, None);
    let unclosed = unclosed_header(document, plan).and_then(|_| last_clear_scalar(document, plan));
    let mut spelled = SecretBytes::default();
    let (has_alias_keys, mut aliases) = (!document.tree().alias_keys.is_empty(), 0);
    for event in document.walk() {
        match event {
            Event::Document(number) => place.document(number),
            Event::Key(key, span) => {
                place.key(key);
                if has_alias_keys && aliases == 0 && document.source()[span.range()].starts_with(b"*") {
                    writer.entry(Kind::Key, place.bytes(), b"", &document.source()[span.range()]);
                }
            }
            Event::Alias(_) => aliases += 1,
            Event::AliasEnd(_) => aliases -= 1,
            Event::Map(_) | Event::List(_) | Event::Leaf(_) => place.value(),
            Event::End => place.leave(),
            _ => {}
        }
        // The place of an alias is that of what stands for it: the event behind its own.
        if let Some(alias) = outermost.take() {
            let span = document.tree().node(alias).span();
            writer.entry(Kind::Alias, place.bytes(), b"", &document.source()[span.range()]);
        }
        if let Event::Alias(id) = event
            && let Some(alias) = plan.aliases.get(next_alias).filter(|alias| alias.id == id)
        {
            outermost = alias.expanded.then_some(id);
            next_alias += 1;
        }
        match event {
            Event::Map(_) => place.enter(false),
            Event::List(_) => place.enter(true),
            _ => {}
        }
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
