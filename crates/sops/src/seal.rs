//! Sealing in place: an author's document becomes its sealed form, and nothing but the selected values, their
//! comments and the metadata block differs.
//!
//! The sealed text is read again and opened in memory before it leaves this module: the MAC and the integrity
//! body are computed from what a reader will see, and a file that would not open to the very bytes it was made
//! from is refused.

use std::cell::OnceCell;

use document::{Document, Edits, Form, Limits};
use secret::SecretBytes;

use crate::body::sealed_body;
use crate::clear::check_clear;
use crate::data_key::DataKey;
use crate::error::{Error, Warning};
use crate::expand::expand;
use crate::integrity::{IntegrityBuilder, seal_integrity};
use crate::layout::seal_layout;
use crate::mac::seal_mac;
use crate::metadata::{Metadata, flatten};
use crate::open::{integrity_mode, plan as plan_sealed, selector};
use crate::parallel;
use crate::plan::{Job, Plan, Subject, locate};
use crate::restore::restore;
use crate::reuse::{BlockText, Reuse};
use crate::spell::{aliases, spellings};
use crate::tally::{Variant, tally};
use crate::texts::Texts;
use crate::value::Cipher;
use crate::values::{self, Values};

/// Fills a buffer from the operating system's random source.
pub type Random<'r> = dyn FnMut(&mut [u8]) -> Result<(), crate::shamir::RandomFailed> + 'r;

/// How a document is sealed.
pub struct Sealing<'a> {
    /// The data key, already wrapped into the metadata's entries.
    pub key: &'a DataKey,
    /// Now, as RFC 3339 in UTC with whole seconds: becomes `lastmodified`.
    pub now: &'a str,
    /// Whether `integrity` and `layout` are written.
    pub fields: bool,
    /// The sealed texts the values had before, for a file that was opened and changed.
    pub reuse: Option<&'a mut Reuse>,
    /// The metadata block as it stood in that file.
    pub block: Option<&'a BlockText>,
    /// Bounds for reading the sealed form again.
    pub limits: &'a Limits,
}

/// A sealed file.
#[derive(Debug)]
pub struct Sealed {
    /// Its bytes.
    pub bytes: SecretBytes,
    /// Its metadata.
    pub metadata: Metadata,
    /// How many values and comments are sealed.
    pub count: usize,
    /// What a person should know.
    pub warnings: Vec<Warning>,
}

/// Seals `author` ([`Form::Plain`]) under `metadata`, whose keys, rules and version are taken as they are.
///
/// # Errors
/// See [`Error`]; nothing is returned in part.
pub fn seal(
    author: &Document,
    mut metadata: Metadata,
    sealing: Sealing<'_>,
    random: &mut Random<'_>,
) -> Result<Sealed, Error> {
    let cipher = Cipher::new(sealing.key);
    let selector = selector(author, &metadata.rules)?;
    let planned = |document| Plan::new(document, &selector, &mut |_, _| None);
    let own_plan = planned(author)?;
    let mut warnings = Vec::new();
    check_clear(author, &own_plan, &mut warnings)?;
    let own_aliases = aliases(author, &own_plan);
    let written = expand(author, &own_plan, &selector, sealing.limits, &mut warnings)?;
    let (document, written_plan) = match &written {
        Some(written) => (written, Some(planned(written)?)),
        None => (author, None),
    };
    let plan = written_plan.as_ref().unwrap_or(&own_plan);
    let texts = Texts::seal(document, plan, &cipher, sealing.reuse, random)?;

    metadata.lastmodified = sealing.now.to_owned();
    (metadata.mac, metadata.integrity, metadata.layout) = (None, None, None);
    // The texts are opened while the sealed form is made and read again. Below it is checked that a reader finds
    // every text where it was opened.
    let read_again = OnceCell::new();
    let (sealed_plan, opened) = parallel::join(
        plan.jobs.len(),
        || {
            let body = sealed_body(document, plan, &texts, &metadata, sealing.block)?;
            let again = Document::parse(document.format(), Form::Sealed, body, sealing.limits)?;
            plan_sealed(read_again.get_or_init(|| again), &metadata, &cipher)
        },
        || Values::of_texts(plan, &texts, &cipher),
    );
    let sealed_plan = sealed_plan?;
    let again = read_again.get().expect("it was planned");
    let values = match opened.filter(|_| stands_as_sealed(plan, &texts, again, &sealed_plan)) {
        Some(values) => values,
        None => Values::open(again, &sealed_plan, &cipher, false, &mut warnings)?,
    };
    drop(texts);
    if sealed_plan.jobs.len() != plan.jobs.len() {
        return Err(Error::NotRestorable {
            at: document.position(0),
            path: document::Path::default(),
        });
    }
    let only = metadata.mac_only_encrypted;
    let mode = integrity_mode(&metadata);
    let (layout, tally) = parallel::join(
        plan.jobs.len(),
        || {
            let reading = |layout: &SecretBytes| restore(again, &sealed_plan, &values, layout.expose());
            let layout = sealing
                .fields
                .then(|| spellings(own_aliases, document, plan, again, &sealed_plan, &values));
            layout.transpose()?.map_or(Ok(None), |layout| {
                let restored = reading(&layout)?;
                if restored.expose() != author.source() {
                    return Err(first_difference(author, &own_plan, restored.expose()));
                }
                Ok(Some(layout))
            })
        },
        || {
            let builder = sealing.fields.then(|| IntegrityBuilder::new(sealing.key, mode));
            tally(again, &sealed_plan, &values, only, builder, Variant::default())
        },
    );
    if let Some(layout) = layout?.filter(|layout| !layout.is_empty()) {
        let mut nonce = [0; 12];
        random(&mut nonce).map_err(|_| Error::Random)?;
        metadata.layout = Some(seal_layout(sealing.key, &nonce, layout.expose()));
    }
    let tally = tally?;
    let mut iv = [0; 32];
    random(&mut iv).map_err(|_| Error::Random)?;
    metadata.mac = Some(seal_mac(
        &cipher,
        &tally.mac.finish(),
        &metadata.lastmodified,
        &iv,
    ));
    if let Some(body) = &tally.body {
        metadata.integrity = Some(seal_integrity(sealing.key, body, &metadata));
    }
    let mut edits = Edits::default();
    again.set_block(&block_value(again, &metadata), &mut edits)?;
    let count = plan.jobs.len();
    drop((sealed_plan, values));
    let again = read_again.into_inner().expect("it was planned");
    Ok(Sealed {
        bytes: again.into_rendered(&edits),
        metadata,
        count,
        warnings,
    })
}

/// The metadata as the document's format writes it.
pub fn block_value(document: &Document, metadata: &Metadata) -> document::Value {
    let block = metadata.to_value();
    match document.format() {
        document::Format::Dotenv | document::Format::Ini => document::Value::Map(
            flatten(&block)
                .into_iter()
                .map(|(name, value)| (name, document::Value::Str(value)))
                .collect(),
        ),
        _ => block,
    }
}

/// Whether every job of the sealed form has the text and the path of the author's job with its number.
fn stands_as_sealed(plan: &Plan<'_>, texts: &Texts, again: &Document, sealed_plan: &Plan<'_>) -> bool {
    let is_leaf = |job: &Job<'_>| matches!(job.subject, Subject::Leaf(_));
    let same = |(index, (job, sealed)): (usize, (&Job<'_>, &Job<'_>))| {
        is_leaf(job) == is_leaf(sealed)
            && plan.path(job) == sealed_plan.path(sealed)
            && values::text(again, sealed) == texts.get(index)
    };
    plan.jobs.len() == sealed_plan.jobs.len() && plan.jobs.iter().zip(&sealed_plan.jobs).enumerate().all(same)
}

/// Names the place at which the restored text first differs from the author's.
fn first_difference(document: &Document, plan: &Plan<'_>, restored: &[u8]) -> Error {
    let source = document.source();
    let same = source.iter().zip(restored).take_while(|(a, b)| a == b).count();
    let job = plan.jobs.iter().rev().find(|job| match job.subject {
        Subject::Leaf(id) | Subject::CommentItem(id, _) => document.frame(id).span.start as usize <= same,
        Subject::Comment(span, _) => span.start as usize <= same,
    });
    let path = job.map(|job| locate(document, job.ordinal).0).unwrap_or_default();
    Error::NotRestorable {
        at: document.position(same),
        path,
    }
}
