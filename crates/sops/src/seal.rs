//! Sealing in place: an author's document becomes its sealed form, and nothing but the selected values, their
//! comments and the metadata block differs.
//!
//! The sealed text is read again and opened in memory before it leaves this module: the MAC and the integrity
//! body are computed from what a reader will see, and a file that would not open to the very bytes it was made
//! from is refused.

use document::{Document, Edits, Event, Form, Limits, Node, NodeId, Scalar};
use secret::SecretBytes;

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
use crate::spellings::{Kind, Place, SpellingsWriter};
use crate::tally::{Variant, tally};
use crate::value::{self, Cipher, ValueType};
use crate::values::Values;

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
    pub bytes: Vec<u8>,
    /// Its metadata.
    pub metadata: Metadata,
    /// How many values and comments are sealed.
    pub count: usize,
    /// What a person should know.
    pub warnings: Vec<Warning>,
}

/// Seals `document` ([`Form::Plain`]) under `metadata`, whose keys, rules and version are taken as they are.
///
/// # Errors
/// See [`Error`]; nothing is returned in part.
pub fn seal(
    document: &Document,
    mut metadata: Metadata,
    sealing: Sealing<'_>,
    random: &mut Random<'_>,
) -> Result<Sealed, Error> {
    let cipher = Cipher::new(sealing.key);
    let selector = selector(document, &metadata.rules)?;
    let plan = Plan::new(document, &selector, &mut |_, _| None)?;
    let mut warnings = Vec::new();
    check_clear(document, &plan, &mut warnings)?;
    let texts = Texts::seal(document, &plan, &cipher, sealing.reuse, random)?;

    metadata.lastmodified = sealing.now.to_owned();
    (metadata.mac, metadata.integrity, metadata.layout) = (None, None, None);
    let body = sealed_body(
        document,
        &plan,
        &texts,
        &metadata,
        sealing.block,
        selector.uses_comments(),
        &mut warnings,
    )?;
    drop(texts);

    let again = Document::parse(
        document.format(),
        Form::Sealed,
        SecretBytes::new(body),
        sealing.limits,
    )?;
    let sealed_plan = plan_sealed(&again, &metadata, &cipher)?;
    let values = Values::open(&again, &sealed_plan, &cipher, false, &mut warnings)?;
    if sealed_plan.jobs.len() != plan.jobs.len() {
        return Err(Error::NotRestorable {
            at: document.position(0),
            path: document::Path::default(),
        });
    }
    if sealing.fields {
        let layout = spellings(document, &plan, &again, &sealed_plan, &values)?;
        let restored = restore(&again, &sealed_plan, &values, layout.expose())?;
        if restored.expose() != document.source() {
            return Err(first_difference(document, &plan, restored.expose()));
        }
        if !layout.is_empty() {
            let mut nonce = [0; 12];
            random(&mut nonce).map_err(|_| Error::Random)?;
            metadata.layout = Some(seal_layout(sealing.key, &nonce, layout.expose()));
        }
    }
    let only = metadata.mac_only_encrypted;
    let builder = sealing
        .fields
        .then(|| IntegrityBuilder::new(sealing.key, integrity_mode(&metadata)));
    let tally = tally(&again, &sealed_plan, &values, only, builder, Variant::default())?;
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
    again.set_block(&block_value(&again, &metadata), &mut edits)?;
    let bytes = again.render(&edits).expose().to_vec();
    Ok(Sealed {
        bytes,
        metadata,
        count: plan.jobs.len(),
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

/// Refuses clear values that versions of sops hash differently, and warns of sealed ones that they read
/// differently.
fn check_clear(document: &Document, plan: &Plan<'_>, warnings: &mut Vec<Warning>) -> Result<(), Error> {
    let is_json = document.format() == document::Format::Json;
    if !is_json && document.format() != document::Format::Yaml {
        return Ok(());
    }
    let (mut next, mut ordinal) = (0, 0);
    for event in document.walk() {
        let (Event::Leaf(_) | Event::Comment(_) | Event::Lost(..)) = event else {
            continue;
        };
        let sealed = plan.jobs.get(next).is_some_and(|job| job.ordinal == ordinal);
        next += usize::from(sealed);
        ordinal += 1;
        let Event::Leaf(id) = event else { continue };
        let big = document.is_big_integer(id);
        if sealed && big {
            let (path, offset) = locate(document, ordinal - 1);
            warnings.push(Warning::BigNumber {
                at: document.position(offset),
                path,
            });
        } else if !sealed {
            // 3.11 hashes them as floats, 3.13 as whole numbers: beyond 2^53 and for -0 that is not the same.
            let span = document.tree().node(id).span();
            let unsafe_json = is_json
                && match document.scalar(id)? {
                    Scalar::Int(0) => document.source()[span.range()].starts_with(b"-"),
                    Scalar::Int(number) => number.unsigned_abs() > 1 << 53,
                    _ => false,
                };
            if big || unsafe_json {
                let (path, offset) = locate(document, ordinal - 1);
                let why = "this whole number is read differently by different versions of sops; \
                           put it in quotes or seal it";
                return Err(Error::Unsealable {
                    at: document.position(offset),
                    path,
                    why,
                });
            }
        }
    }
    Ok(())
}

/// The sealed texts of all jobs.
pub(crate) struct Texts {
    runs: Vec<(Vec<u8>, Vec<usize>)>,
    run_len: usize,
}

/// A text that a value had before; `None` where it is sealed anew.
type Kept = Option<Box<[u8]>>;

impl Texts {
    fn seal(
        document: &Document,
        plan: &Plan<'_>,
        cipher: &Cipher,
        reuse: Option<&mut Reuse>,
        random: &mut Random<'_>,
    ) -> Result<Self, Error> {
        let kept = match reuse {
            Some(reuse) => kept_texts(document, plan, reuse)?,
            None => Vec::new(),
        };
        let mut ivs = vec![0; plan.jobs.len() * 32];
        random(&mut ivs).map_err(|_| Error::Random)?;
        let runs = parallel::in_runs(&plan.jobs, |jobs, first| {
            seal_run(document, plan, cipher, jobs, first, &kept, &ivs)
        });
        let runs: Vec<_> = runs.into_iter().collect::<Result<_, _>>()?;
        let run_len = runs.first().map_or(1, |(_, ends)| ends.len()).max(1);
        Ok(Self { runs, run_len })
    }

    /// The sealed text of job `index`.
    pub(crate) fn get(&self, index: usize) -> &[u8] {
        let (buffer, ends) = &self.runs[index / self.run_len];
        let at = index % self.run_len;
        let start = if at == 0 { 0 } else { ends[at - 1] };
        &buffer[start..ends[at]]
    }
}

/// Calls `use_it` with the type and plaintext of a job.
fn with_plaintext<R>(
    document: &Document,
    job: &Job<'_>,
    use_it: impl FnOnce(ValueType, &[u8]) -> R,
) -> Result<Option<R>, Error> {
    match job.subject {
        Subject::Comment(_, text) => Ok(Some(use_it(
            ValueType::Comment,
            document.tree().text(document.source(), text),
        ))),
        Subject::Leaf(id) | Subject::CommentItem(id, _) => {
            let scalar = document.scalar(id)?;
            Ok(value::plaintext(&scalar).map(|(ty, plaintext)| use_it(ty, &plaintext)))
        }
    }
}

fn kept_texts(document: &Document, plan: &Plan<'_>, reuse: &mut Reuse) -> Result<Vec<Kept>, Error> {
    let mut aad = Vec::new();
    plan.jobs
        .iter()
        .map(|job| {
            plan.aad(job, &mut aad);
            let taken = with_plaintext(document, job, |ty, plaintext| reuse.take(ty, plaintext, &aad))?;
            Ok(taken.flatten())
        })
        .collect()
}

fn seal_run(
    document: &Document,
    plan: &Plan<'_>,
    cipher: &Cipher,
    jobs: &[Job<'_>],
    first: usize,
    kept: &[Kept],
    ivs: &[u8],
) -> Result<(Vec<u8>, Vec<usize>), Error> {
    let mut out = Vec::with_capacity(jobs.len() * 160);
    let mut ends = Vec::with_capacity(jobs.len());
    let mut aad = Vec::new();
    for (at, job) in jobs.iter().enumerate() {
        let index = first + at;
        if let Some(Some(text)) = kept.get(index) {
            out.extend_from_slice(text);
        } else {
            plan.aad(job, &mut aad);
            let iv = ivs[index * 32..]
                .first_chunk()
                .expect("32 bytes were drawn for every job");
            with_plaintext(document, job, |ty, plaintext| {
                cipher.seal_into(ty, plaintext, &aad, iv, &mut out)
            })?;
        }
        ends.push(out.len());
    }
    Ok((out, ends))
}

/// The document with sealed texts in place and a metadata block that still lacks its seals.
fn sealed_body(
    document: &Document,
    plan: &Plan<'_>,
    texts: &Texts,
    metadata: &Metadata,
    block: Option<&BlockText>,
    comment_rules: bool,
    warnings: &mut Vec<Warning>,
) -> Result<Vec<u8>, Error> {
    let total: usize = texts
        .runs
        .iter()
        .map(|(buffer, _)| buffer.len() + buffer.len() / 32)
        .sum();
    let mut edits = Edits::with_capacity(plan.jobs.len() + 1, total);
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
    expand(document, plan, texts, comment_rules, &mut edits, warnings)?;
    if let Some((header, sealed)) = unclosed_header(document, plan) {
        edits.replace(header, &[sealed]);
    }
    if !put_block_back(document, block, &mut edits) {
        document.set_block(&block_value(document, metadata), &mut edits)?;
    }
    Ok(document.render(&edits).expose().to_vec())
}

/// A clear block scalar that ends the file without a line break: the block that follows would add one to its
/// value, so it gets strip chomping. Its header and what becomes of it.
fn unclosed_header(document: &Document, plan: &Plan<'_>) -> Option<(document::Span, &'static [u8])> {
    let id = last_clear_scalar(document, plan)?;
    let (header, sealed) = document.header(id)?;
    (&document.source()[header.range()] != sealed).then_some((header, sealed))
}

fn last_clear_scalar(document: &Document, plan: &Plan<'_>) -> Option<NodeId> {
    let source = document.source();
    if document.format() != document::Format::Yaml || source.is_empty() || source.ends_with(b"\n") {
        return None;
    }
    let last = document.walk().filter_map(|event| match event {
        Event::Leaf(id) => Some(id),
        _ => None,
    });
    let last = last.last()?;
    let Node::Scalar { span, .. } = *document.tree().node(last) else {
        return None;
    };
    let sealed = plan
        .jobs
        .iter()
        .rev()
        .any(|job| job.subject == Subject::Leaf(last));
    (span.end as usize == source.len() && !sealed).then_some(last)
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

/// The layout's content: every spelling that opening alone would not bring back.
fn spellings(
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
    for event in document.walk() {
        match event {
            Event::Document(number) => place.document(number),
            Event::Key(key) => place.key(key),
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
                let scalar = value::scalar(ty, plaintext).map_err(|why| {
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
