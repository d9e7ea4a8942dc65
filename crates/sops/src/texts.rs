//! The sealed texts of a document: all jobs of a plan, sealed on all cores.

use document::Document;

use crate::error::Error;
use crate::parallel;
use crate::plan::{Job, Plan, Subject};
use crate::reuse::Reuse;
use crate::seal::Random;
use crate::value::{self, Cipher, ValueType};

/// The sealed texts of all jobs.
pub(crate) struct Texts {
    runs: Vec<(Vec<u8>, Vec<usize>)>,
    run_len: usize,
}

/// A text that a value had before; `None` where it is sealed anew.
type Kept = Option<Box<[u8]>>;

impl Texts {
    pub(crate) fn seal(
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

    /// How many bytes they have together.
    pub(crate) fn bytes(&self) -> usize {
        self.runs.iter().map(|(buffer, _)| buffer.len()).sum()
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
            &job.padded(document.tree().text(document.source(), text)),
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
