//! Unchanged values keep their ciphertext: an edit seals again only what it changed.

use std::collections::HashMap;
use std::hash::Hasher;

use document::{Document, Span};
use sha2::{Digest, Sha512};
use siphasher::sip128::{Hasher128, SipHasher24};

use crate::data_key::DataKey;
use crate::plan::{Plan, Subject};
use crate::value::ValueType;
use crate::values::{Values, text};

/// The sealed texts of an opened file, by path, type and plaintext. It holds no plaintext, only keyed hashes.
///
/// A text is used again only for the very same path, plaintext and type, so no nonce ever meets two messages;
/// equal values of one path (items of a list) keep their own texts, in order.
pub struct Reuse {
    key: [u8; 16],
    texts: HashMap<u128, Vec<Box<[u8]>>>,
}

impl std::fmt::Debug for Reuse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Reuse({} texts)", self.texts.len())
    }
}

impl Reuse {
    pub(crate) fn new(document: &Document, plan: &Plan<'_>, values: &Values, data_key: &DataKey) -> Self {
        let mut reuse = Self {
            key: hash_key(data_key),
            texts: HashMap::with_capacity(plan.jobs.len()),
        };
        let mut aad = Vec::new();
        for (index, job) in plan.jobs.iter().enumerate().rev() {
            let Some((ty, plaintext)) = values.get(index) else {
                continue;
            };
            let moved = !matches!(job.subject, Subject::Leaf(_));
            if moved && ty != ValueType::Comment {
                continue;
            }
            plan.aad(job, &mut aad);
            let hash = reuse.hash(ty, plaintext, &aad);
            reuse
                .texts
                .entry(hash)
                .or_default()
                .push(text(document, job).into());
        }
        reuse
    }

    /// The same without any text: for a file that gets a new data key.
    #[must_use]
    pub fn emptied(mut self) -> Self {
        self.texts.clear();
        self
    }

    /// The sealed text that this value had, if it had one; each is given out once.
    pub(crate) fn take(&mut self, ty: ValueType, plaintext: &[u8], aad: &[u8]) -> Option<Box<[u8]>> {
        let hash = self.hash(ty, plaintext, aad);
        self.texts.get_mut(&hash)?.pop()
    }

    /// Whole numbers and floats share a name: sops writes `1.0` back as `1`, which would change its type and
    /// so its ciphertext; it keeps the one it had.
    fn hash(&self, ty: ValueType, plaintext: &[u8], aad: &[u8]) -> u128 {
        let ty = if ty == ValueType::Float {
            ValueType::Int
        } else {
            ty
        };
        let mut hasher = SipHasher24::new_with_key(&self.key);
        hasher.write_u8(ty.code());
        hasher.write_u64(aad.len() as u64);
        hasher.write(aad);
        hasher.write(plaintext);
        hasher.finish128().as_u128()
    }
}

fn hash_key(data_key: &DataKey) -> [u8; 16] {
    let mut hash = Sha512::new();
    hash.update(b"sealwright/sops/reuse");
    hash.update(data_key.expose());
    *hash.finalize().first_chunk().expect("64 bytes begin with 16")
}

/// The metadata block of an opened file as it stood there, so that an edit leaves its form alone.
#[derive(Debug, Default)]
pub struct BlockText {
    /// One text per place that was cut out, and how many bytes of the source followed it.
    pub(crate) cuts: Vec<(Box<[u8]>, usize)>,
}

impl BlockText {
    pub(crate) fn new(document: &Document) -> Self {
        let mut edits = document::Edits::default();
        document.remove_block(&mut edits);
        let source = document.source();
        let cut = |span: Span| (source[span.range()].into(), source.len() - span.end as usize);
        Self {
            cuts: edits.spans().map(cut).collect(),
        }
    }
}
