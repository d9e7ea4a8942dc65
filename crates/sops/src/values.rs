//! The opened values of a document: all jobs of a plan, worked off on all cores.

use document::{Document, Node};
use secret::SecretBytes;

use crate::error::{Error, Warning};
use crate::parallel;
use crate::plan::{Job, Plan, Subject, locate};
use crate::texts::Texts;
use crate::value::{Cipher, Sealed, ValueError, ValueType};

/// One opened value: its type, and where its plaintext stands in the buffer of its run.
#[derive(Clone, Copy)]
struct Slot {
    ty: ValueType,
    start: usize,
    end: usize,
    opened: bool,
}

struct Run {
    slots: Vec<Slot>,
    buffer: SecretBytes,
    failures: Vec<(usize, Failure)>,
}

/// Why a job did not open.
#[derive(Clone, Copy)]
enum Failure {
    Value(ValueError),
    Plaintext,
}

/// What the jobs of a plan opened to, in their order.
pub(crate) struct Values {
    runs: Vec<Run>,
    run_len: usize,
}

impl Values {
    /// Opens every job. A value that does not open is an error, a comment that does not is a warning; plaintext
    /// in place of a sealed value is an error unless it is allowed.
    pub(crate) fn open(
        document: &Document,
        plan: &Plan<'_>,
        cipher: &Cipher,
        allow_plaintext: bool,
        warnings: &mut Vec<Warning>,
    ) -> Result<Self, Error> {
        let runs = parallel::in_runs(&plan.jobs, |jobs, first| {
            open_run(plan, cipher, jobs, first, |_, job| text(document, job))
        });
        let run_len = runs.first().map_or(1, |run| run.slots.len()).max(1);
        let mut values = Self { runs, run_len };
        values.judge(document, plan, cipher, allow_plaintext, warnings)?;
        Ok(values)
    }

    /// Opens `texts`, which were sealed for the jobs of `plan`, on this thread; `None` if one does not open as
    /// what its job is.
    pub(crate) fn of_texts(plan: &Plan<'_>, texts: &Texts, cipher: &Cipher) -> Option<Self> {
        let run = open_run(plan, cipher, &plan.jobs, 0, |index, _| texts.get(index));
        let run_len = run.slots.len().max(1);
        run.failures.is_empty().then(|| Self {
            runs: vec![run],
            run_len,
        })
    }

    /// The type and plaintext of job `index`; `None` for a comment that stays as it stands.
    pub(crate) fn get(&self, index: usize) -> Option<(ValueType, &[u8])> {
        let run = &self.runs[index / self.run_len];
        let slot = run.slots[index % self.run_len];
        slot.opened
            .then(|| (slot.ty, &run.buffer.expose()[slot.start..slot.end]))
    }

    fn judge(
        &mut self,
        document: &Document,
        plan: &Plan<'_>,
        cipher: &Cipher,
        allow_plaintext: bool,
        warnings: &mut Vec<Warning>,
    ) -> Result<(), Error> {
        let run_len = self.run_len;
        for run in &mut self.runs {
            for (index, failure) in std::mem::take(&mut run.failures) {
                let job = &plan.jobs[index];
                if allow_plaintext && matches!(failure, Failure::Plaintext) {
                    continue;
                }
                let (path, offset) = locate(document, job.ordinal);
                let at = document.position(offset);
                match (job.subject, failure) {
                    (Subject::Leaf(_), Failure::Plaintext) => return Err(Error::Unsealed { at, path }),
                    (Subject::Leaf(_), Failure::Value(why)) => return Err(Error::Value { at, path, why }),
                    _ => match open_elsewhere(document, plan, cipher, job, run.buffer.expose_mut()) {
                        Some(slot) => run.slots[index % run_len] = slot,
                        None => warnings.push(Warning::Comment { at, path }),
                    },
                }
            }
        }
        Ok(())
    }
}

fn open_run<'t>(
    plan: &Plan<'_>,
    cipher: &Cipher,
    jobs: &[Job<'_>],
    first: usize,
    text: impl Fn(usize, &Job<'_>) -> &'t [u8],
) -> Run {
    let mut buffer = SecretBytes::new(Vec::with_capacity(jobs.len() * 32));
    let (mut slots, mut failures) = (Vec::with_capacity(jobs.len()), Vec::new());
    let mut aad = Vec::new();
    for (at, job) in jobs.iter().enumerate() {
        plan.aad(job, &mut aad);
        let slot = open_one(text(first + at, job), cipher, &aad, buffer.expose_mut());
        let is_comment = !matches!(job.subject, Subject::Leaf(_));
        slots.push(match slot {
            Ok(slot) if is_comment || slot.ty != ValueType::Comment => slot,
            Ok(_) => fail(&mut failures, first + at, Failure::Value(ValueError::Comment)),
            Err(failure) => fail(&mut failures, first + at, failure),
        });
    }
    Run {
        slots,
        buffer,
        failures,
    }
}

fn fail(failures: &mut Vec<(usize, Failure)>, index: usize, failure: Failure) -> Slot {
    failures.push((index, failure));
    Slot {
        ty: ValueType::Str,
        start: 0,
        end: 0,
        opened: false,
    }
}

fn open_one(text: &[u8], cipher: &Cipher, aad: &[u8], out: &mut Vec<u8>) -> Result<Slot, Failure> {
    let sealed = Sealed::parse(text)
        .map_err(Failure::Value)?
        .ok_or(Failure::Plaintext)?;
    let range = cipher.open_into(&sealed, aad, out).map_err(Failure::Value)?;
    Ok(Slot {
        ty: sealed.ty,
        start: range.start,
        end: range.end,
        opened: true,
    })
}

/// A comment whose container sops' writer has changed: the parents, then every other container. At most 256
/// are tried.
fn open_elsewhere(
    document: &Document,
    plan: &Plan<'_>,
    cipher: &Cipher,
    job: &Job<'_>,
    out: &mut Vec<u8>,
) -> Option<Slot> {
    let text = text(document, job);
    let containers = plan.containers();
    let candidates = containers.iter().copied().chain([&b":"[..]]).take(256);
    candidates
        .filter_map(|aad| open_one(text, cipher, if aad.is_empty() { b":" } else { aad }, out).ok())
        .next()
}

/// The sealed text of a job.
pub(crate) fn text<'a>(document: &'a Document, job: &Job<'_>) -> &'a [u8] {
    match job.subject {
        Subject::Leaf(id) | Subject::CommentItem(id, _) => match *document.tree().node(id) {
            Node::Scalar { text, .. } => document.tree().text(document.source(), text),
            _ => &[],
        },
        Subject::Comment(span, _) => &document.source()[span.range()],
    }
}
