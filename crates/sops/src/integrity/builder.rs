//! The body: a hash over the walk of all documents of a file, and a mark for every leaf and comment.

use std::hash::Hasher as _;

use document::{Path, Step};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use siphasher::sip::SipHasher24;
use zeroize::Zeroizing;

use crate::DataKey;
use crate::integrity::fields::{length, mark_of};
use crate::integrity::keys::{self, derive};
use crate::value::ValueType;

/// Most leaves for which marks are kept.
const MOST_MARKS: usize = 100_000;

const DOCUMENT: u8 = 1;
const MAP: u8 = 2;
const KEY: u8 = 3;
const LIST: u8 = 4;
const END: u8 = 5;
const LEAF: u8 = 6;
const NULL: u8 = 7;
const COMMENT: u8 = 8;

/// What of a file is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntegrityMode {
    /// Everything.
    Full,
    /// `mac_only_encrypted`: sealed values and comments; clear ones may be edited by hand.
    OnlyEncrypted,
}

/// What a walk gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    pub(super) body: [u8; 32],
    /// One per leaf or comment; `None` above 100,000 of them.
    pub(super) marks: Option<Vec<u16>>,
    /// The place that [`IntegrityBuilder::locating`] asked for; `None` if there were not so many.
    pub located: Option<Place>,
}

/// A leaf or comment of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The document, from 0.
    pub document: usize,
    /// The leaf; for a comment what it stands in.
    pub path: Path,
    /// Whether it is a comment.
    pub comment: bool,
}

/// Takes the walk of a file, event by event: for every document [`Self::document`] and then its root, maps as
/// [`Self::map`], for each entry [`Self::key`] and the value, [`Self::end`]; lists as [`Self::list`], for each
/// item [`Self::item`] and the value, [`Self::end`]. Comments stand between entries or items. Aliases are
/// walked as what they stand for. The `sops` block is not walked.
///
/// The items that are hashed in full mode:
///
/// ```text
/// 01                          document
/// 02                          map, up to its 05; keys and values by turns, comments among them
/// 03 s(key)                   key
/// 04                          list, up to its 05; values, comments among them
/// 05                          end of a map or list
/// 06 type sealed s(plaintext) leaf: one of s i f b t; 01 if ciphertext stands in the file, else 00
/// 07                          null
/// 08 sealed s(text)           comment
/// ```
///
/// and with `mac_only_encrypted`, per leaf or comment for which ciphertext stands in the file:
///
/// ```text
/// s( s(key) s(key) ... ) u32be(ordinal) type s(plaintext)
/// ```
///
/// with the map keys from the root, the ordinal counting these items from 0 through all documents, and the
/// type `c` for a comment.
///
/// A mark is SipHash-2-4(SK, s(path) type plaintext), where in full mode the path has a step
/// `01 u32be(document)`, then `03 s(key)` or `04 u32be(position)` (comments do not count), the type is also `n`
/// for null, `m` for an empty map, `l` for an empty list, and comments have the path of what they stand in;
/// with `mac_only_encrypted` the path is the `s(key) s(key) ...` of the item, so that clear items may come and go.
pub struct IntegrityBuilder {
    hmac: Hmac<Sha256>,
    marks_key: Zeroizing<[u8; 16]>,
    marks: Vec<u16>,
    /// How many marks there would be without a limit.
    count: usize,
    locate: Option<usize>,
    located: Option<Place>,
    documents: u32,
    frames: Vec<Frame>,
    /// s(path) in full mode: 4 bytes for the length, then the steps.
    path: Vec<u8>,
    /// s(s(key) ...) in the other mode, where alone it is kept.
    keys: Option<Vec<u8>>,
}

/// An open map or list.
struct Frame {
    path: usize,
    keys: usize,
    entries: u32,
    empty_type: u8,
}

impl std::fmt::Debug for IntegrityBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IntegrityBuilder(***)")
    }
}

impl IntegrityBuilder {
    /// Begins a walk.
    pub fn new(key: &DataKey, mode: IntegrityMode) -> Self {
        let mut hmac = keys::hmac(&*derive::<32>(key, "integrity"));
        hmac.update(b"body\0");
        Self {
            hmac,
            marks_key: derive(key, "marks"),
            marks: Vec::new(),
            count: 0,
            locate: None,
            located: None,
            documents: 0,
            frames: Vec::new(),
            path: vec![0; 4],
            keys: (mode == IntegrityMode::OnlyEncrypted).then(|| vec![0; 4]),
        }
    }

    /// Begins a second walk of the same file, to learn where the leaf or comment stands that
    /// [`crate::BodyMismatch`] names by its ordinal: see [`Body::located`].
    pub fn locating(key: &DataKey, mode: IntegrityMode, ordinal: usize) -> Self {
        Self {
            locate: Some(ordinal),
            ..Self::new(key, mode)
        }
    }

    /// The next document begins.
    pub fn document(&mut self) {
        self.frames.clear();
        self.path.truncate(4);
        self.path.push(DOCUMENT);
        self.path.extend(self.documents.to_be_bytes());
        self.documents += 1;
        if let Some(keys) = &mut self.keys {
            keys.truncate(4);
        }
        self.structure(DOCUMENT);
    }

    /// A map begins.
    pub fn map(&mut self) {
        self.begin(MAP, b'm');
    }

    /// A list begins.
    pub fn list(&mut self) {
        self.begin(LIST, b'l');
    }

    /// The next entry of the innermost map; its value follows.
    pub fn key(&mut self, key: &[u8]) {
        self.leave_entry();
        let [a, b, c, d] = length(key.len());
        if let Some(frame) = self.frames.last_mut() {
            frame.entries += 1;
        }
        self.path.extend([KEY, a, b, c, d]);
        self.path.extend(key);
        match &mut self.keys {
            Some(keys) => {
                keys.extend([a, b, c, d]);
                keys.extend(key);
            }
            None => {
                self.hmac.update(&[KEY, a, b, c, d]);
                self.hmac.update(key);
            }
        }
    }

    /// The next item of the innermost list; its value follows.
    pub fn item(&mut self) {
        self.leave_entry();
        if let Some(frame) = self.frames.last_mut() {
            self.path.push(LIST);
            self.path.extend(frame.entries.to_be_bytes());
            frame.entries += 1;
        }
    }

    /// The innermost map or list ends.
    pub fn end(&mut self) {
        self.leave_entry();
        let frame = self.frames.pop();
        self.structure(END);
        if let Some(Frame {
            entries: 0,
            empty_type,
            ..
        }) = frame
            && self.keys.is_none()
        {
            self.mark(empty_type, b"");
        }
    }

    /// A value. `sealed` says whether ciphertext stands in the file: `false` for an empty text.
    pub fn leaf(&mut self, ty: ValueType, sealed: bool, plaintext: &[u8]) {
        if self.keys.is_some() {
            return if sealed {
                self.sealed_item(ty, plaintext)
            };
        }
        let [a, b, c, d] = length(plaintext.len());
        self.hmac.update(&[LEAF, ty.code(), u8::from(sealed), a, b, c, d]);
        self.hmac.update(plaintext);
        self.mark(ty.code(), plaintext);
    }

    /// A null.
    pub fn null(&mut self) {
        if self.keys.is_none() {
            self.hmac.update(&[NULL]);
            self.mark(b'n', b"");
        }
    }

    /// A comment in the innermost map or list, or before the root. `sealed` as for a leaf.
    pub fn comment(&mut self, sealed: bool, text: &[u8]) {
        self.leave_entry();
        if self.keys.is_some() {
            return if sealed {
                self.sealed_item(ValueType::Comment, text)
            };
        }
        let [a, b, c, d] = length(text.len());
        self.hmac.update(&[COMMENT, u8::from(sealed), a, b, c, d]);
        self.hmac.update(text);
        self.mark(ValueType::Comment.code(), text);
    }

    /// The walk is over.
    pub fn finish(self) -> Body {
        let marks = (self.count <= MOST_MARKS).then_some(self.marks);
        Body {
            body: self.hmac.finalize().into_bytes().into(),
            marks,
            located: self.located,
        }
    }

    fn begin(&mut self, item: u8, empty_type: u8) {
        self.structure(item);
        let keys = self.keys.as_ref().map_or(0, Vec::len);
        self.frames.push(Frame {
            path: self.path.len(),
            keys,
            entries: 0,
            empty_type,
        });
    }

    /// Hashes an item that is nothing but its tag; structure is not bound where only sealed values are.
    fn structure(&mut self, item: u8) {
        if self.keys.is_none() {
            self.hmac.update(&[item]);
        }
    }

    /// Takes the path back from the last entry of the innermost container to the container itself.
    fn leave_entry(&mut self) {
        if let Some(frame) = self.frames.last() {
            self.path.truncate(frame.path);
            if let Some(keys) = &mut self.keys {
                keys.truncate(frame.keys);
            }
        }
    }

    fn sealed_item(&mut self, ty: ValueType, plaintext: &[u8]) {
        let ordinal = u32::try_from(self.count).unwrap_or(u32::MAX);
        if let Some(keys) = &mut self.keys {
            prefix_length(keys);
            self.hmac.update(keys);
        }
        self.hmac.update(&ordinal.to_be_bytes());
        let [a, b, c, d] = length(plaintext.len());
        self.hmac.update(&[ty.code(), a, b, c, d]);
        self.hmac.update(plaintext);
        self.mark(ty.code(), plaintext);
    }

    fn mark(&mut self, ty: u8, plaintext: &[u8]) {
        if self.locate == Some(self.count) {
            self.located = Some(self.place(ty == ValueType::Comment.code()));
        }
        self.count += 1;
        if self.count > MOST_MARKS {
            return;
        }
        let path = self.keys.as_mut().unwrap_or(&mut self.path);
        prefix_length(path);
        path.push(ty);
        let mut hasher = SipHasher24::new_with_key(&self.marks_key);
        hasher.write(path);
        hasher.write(plaintext);
        path.pop();
        self.marks.push(mark_of(&hasher));
    }

    /// Reads the path buffer back.
    fn place(&self, comment: bool) -> Place {
        let mut steps = Vec::new();
        let mut rest = self.path.get(9..).unwrap_or_default();
        while let Some((&kind, behind)) = rest.split_first() {
            let Some((number, behind)) = behind.split_first_chunk::<4>() else {
                break;
            };
            let number = u32::from_be_bytes(*number) as usize;
            let (step, behind) = match behind.split_at_checked(number) {
                Some((key, behind)) if kind == KEY => {
                    (Step::Key(String::from_utf8_lossy(key).into_owned()), behind)
                }
                _ => (Step::Index(number), behind),
            };
            steps.push(step);
            rest = behind;
        }
        let document = (self.documents as usize).saturating_sub(1);
        Place {
            document,
            path: Path(steps),
            comment,
        }
    }
}

/// Writes the length of what follows into the first four bytes.
fn prefix_length(buffer: &mut [u8]) {
    let len = length(buffer.len().saturating_sub(4));
    if let Some(prefix) = buffer.first_chunk_mut::<4>() {
        *prefix = len;
    }
}
