//! The content of the layout field: what the author spelled otherwise than opening alone would.

use document::{Document, Event};
use secret::SecretBytes;

use crate::body::unclosed_header;
use crate::error::Error;
use crate::parallel;
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
    let odd = odd_spellings(document, plan, sealed, sealed_plan, values)?;
    let unclosed = unclosed_header(document, plan)?.map(|(id, ..)| id);
    // In most files every spelling comes back by itself, and there is no place to be found.
    if odd.is_empty() && unclosed.is_none() {
        return Ok(SecretBytes::new(writer.0));
    }
    let mut place = Place::default();
    let (mut odd, mut ordinal) = (odd.into_iter().peekable(), 0);
    for event in document.walk() {
        place.follow(&event);
        let (Event::Leaf(_) | Event::Comment(_) | Event::Lost(..)) = event else {
            continue;
        };
        if let Event::Leaf(id) = event {
            let source = document.source();
            let header = document
                .header(id)
                .map_or(&[][..], |(span, _)| &source[span.range()]);
            if Some(id) == unclosed {
                writer.entry(Kind::Header, place.bytes(), header, b"");
            }
            if odd.next_if_eq(&ordinal).is_some() {
                let original = &source[document.frame(id).span.range()];
                writer.entry(Kind::Value, place.bytes(), header, original);
            }
            place.done();
        }
        ordinal += 1;
    }
    Ok(SecretBytes::new(writer.0))
}

/// The ordinals of the sealed leaves that their author spelled otherwise than opening would, in order.
fn odd_spellings(
    document: &Document,
    plan: &Plan<'_>,
    sealed: &Document,
    sealed_plan: &Plan<'_>,
    values: &Values,
) -> Result<Vec<usize>, Error> {
    let runs = parallel::in_runs(&plan.jobs, |jobs, first| {
        let (mut odd, mut spelled) = (Vec::new(), SecretBytes::default());
        for (at, job) in jobs.iter().enumerate() {
            let again = sealed_plan.jobs[first + at];
            if let (Subject::Leaf(id), Subject::Leaf(sealed_id), false) =
                (job.subject, again.subject, job.aliased)
                && let Some((ty, plaintext)) = values.get(first + at)
            {
                let scalar = value::scalar_in(ty, plaintext).map_err(|why| {
                    let (path, offset) = locate(document, job.ordinal);
                    Error::Value {
                        at: document.position(offset),
                        path,
                        why,
                    }
                })?;
                spelled.expose_mut().clear();
                sealed.spell(sealed_id, &scalar, spelled.expose_mut());
                let same_text = spelled.expose() == &document.source()[document.frame(id).span.range()];
                let same_header = document.header(id).is_none_or(|(span, _)| {
                    let header = &document.source()[span.range()];
                    let spelled = sealed.spell_header(sealed_id, &scalar);
                    spelled.is_some_and(|spelled| spelled == header)
                });
                // Opening takes tabs away where the text that it puts there may not have them.
                if !(same_text && same_header) || sealed.tabs_behind(sealed_id).is_some() {
                    odd.push(job.ordinal);
                }
            }
        }
        Ok(odd)
    });
    let runs: Vec<Vec<usize>> = runs.into_iter().collect::<Result<_, Error>>()?;
    Ok(runs.concat())
}
