//! One `enc` text: an armored age file that wraps a data key, or a share of one, for one recipient.
//!
//! The `age` crate knows the format. What stands here are the bounds, because such texts come from files that
//! anybody may have written: the crate reads a header anew for every line of it and tries every identity on
//! every stanza, so long texts, headers of many stanzas and too many attempts are refused; and it panics for a
//! recipient of low order, which is refused before. Errors are told in our own words: the crate's are
//! localised, and loading a language for them takes longer than an unwrapping. The crate's writer does not wipe
//! its buffer; the allocator of both binaries does.

use std::io::{Read as _, Write as _};
use std::sync::{Mutex, PoisonError};

use ::age::armor::{ArmoredReadError, ArmoredReader, ArmoredWriter, Format};
use ::age::{DecryptError, Decryptor, EncryptError, Encryptor};
use age_core::format::{FileKey, Stanza};
use secret::SecretBytes;

use crate::ProviderError;

/// Longer texts are refused, in bytes. SOPS writes about 400.
const MAX_LEN: usize = 64 * 1024;
/// Headers of more stanzas are refused, which age itself does not do: 20 identities on 1,000 stanzas would take
/// the crate more than a second. SOPS writes one, and the crate adds one that means nothing.
const MAX_STANZAS: usize = 128;
/// How often one unwrapping may try an identity on a stanza; about a second's worth.
const MAX_ATTEMPTS: usize = 4 * 1024;

/// Base64 characters of a line that is not the last of its stanza.
const FULL_LINE: usize = 64;

const BEGIN: &str = "-----BEGIN AGE ENCRYPTED FILE-----";

/// An age file, taken out of its armor and ready to be tried.
pub(super) struct Entry {
    file: Vec<u8>,
    stanzas: usize,
    attempts: usize,
}

impl Entry {
    /// Reads the armor and looks over the header.
    pub(super) fn read(enc: &str) -> Result<Self, ProviderError> {
        if enc.len() > MAX_LEN {
            return Err(damaged(format!("it is longer than {MAX_LEN} bytes")));
        }
        let file = unarmored(enc)?;
        let stanzas = count_stanzas(&file).ok_or_else(|| damaged("its age header is broken"))?;
        if stanzas > MAX_STANZAS {
            return Err(damaged(format!(
                "its age header has more than {MAX_STANZAS} recipients"
            )));
        }
        Ok(Self {
            file,
            stanzas,
            attempts: 0,
        })
    }

    /// Whether its header names an SSH key.
    pub(super) fn names_ssh_key(&self) -> bool {
        let mut header = lines(&self.file).take_while(|line| !line.starts_with(b"---"));
        header.any(|line| line.starts_with(b"-> ssh-"))
    }

    /// The stanzas of its header.
    pub(super) fn stanzas(&mut self) -> Result<Vec<Stanza>, ProviderError> {
        let seen = Seen(Mutex::default());
        // It looks once, however many stanzas there are.
        let attempts = self.attempts;
        let opened = self.open(std::iter::once(&seen as _));
        self.attempts = attempts;
        opened?;
        Ok(seen.0.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// The plaintext, opened with the file key itself.
    pub(super) fn open_with(&mut self, key: FileKey) -> Result<Option<SecretBytes>, ProviderError> {
        let given = Given(Mutex::new(Some(key)));
        self.open(std::iter::once(&given as _))
    }

    /// The plaintext, or `None` if no identity fits. They are tried in order, and those after the first that
    /// fits are not.
    pub(super) fn open<'a>(
        &mut self,
        identities: impl Iterator<Item = &'a dyn ::age::Identity>,
    ) -> Result<Option<SecretBytes>, ProviderError> {
        let Self {
            file,
            stanzas,
            attempts,
        } = self;
        let allowed = identities.take_while(|_| {
            *attempts += *stanzas;
            *attempts <= MAX_ATTEMPTS
        });
        let decrypting = Decryptor::new_buffered(&file[..]).and_then(|file| file.decrypt(allowed));
        let mut payload = match decrypting {
            Ok(payload) => payload,
            Err(DecryptError::NoMatchingKeys) if *attempts <= MAX_ATTEMPTS => return Ok(None),
            Err(DecryptError::NoMatchingKeys) => {
                return Err(damaged(format!(
                    "it would take more than {MAX_ATTEMPTS} attempts"
                )));
            }
            Err(DecryptError::InvalidMac) => {
                return Err(damaged("its age header was changed after it was written"));
            }
            Err(DecryptError::DecryptionFailed) => {
                return Err(damaged(
                    "its age header names an identity that is here, which does not open it",
                ));
            }
            Err(DecryptError::Io(_)) => return Err(damaged("its age header is broken: it is cut")),
            Err(_) => return Err(damaged("its age header is broken")),
        };
        // Room for all of it, so that no growth leaves a copy behind.
        let mut plaintext = SecretBytes::new(Vec::with_capacity(file.len()));
        match payload.read_to_end(plaintext.expose_mut()) {
            Ok(_) => Ok(Some(plaintext)),
            Err(_) => Err(damaged("its age payload is broken: it was changed or cut")),
        }
    }
}

/// The age file inside of an armor. Line ends may be LF or CRLF, and blanks may stand around it.
pub(super) fn unarmored(text: &str) -> Result<Vec<u8>, ProviderError> {
    let text = text.trim_ascii_start();
    // The crate would take a file without armor as well; SOPS does not.
    if !text.starts_with(BEGIN) {
        return Err(armor_fault(None));
    }
    let mut file = Vec::with_capacity(text.len() / 4 * 3);
    ArmoredReader::new(text.as_bytes())
        .read_to_end(&mut file)
        .map_err(|error| armor_fault(error.get_ref().and_then(|inner| inner.downcast_ref())))?;
    Ok(file)
}

/// How many stanzas the header of an age file has. `None` if one of them does not end in a line that is not full:
/// age demands it, and the crate lets it pass.
pub(super) fn count_stanzas(file: &[u8]) -> Option<usize> {
    let mut lines = lines(file).skip(1).peekable();
    let mut count = 0;
    while lines.next_if(|line| line.starts_with(b"-> ")).is_some() {
        let body = |line: &&[u8]| !line.starts_with(b"-");
        while lines
            .next_if(|line| body(line) && line.len() == FULL_LINE)
            .is_some()
        {}
        lines.next_if(|line| body(line) && line.len() < FULL_LINE)?;
        count += 1;
    }
    Some(count)
}

fn lines(file: &[u8]) -> impl Iterator<Item = &[u8]> {
    file.split(|byte| *byte == b'\n')
}

/// Opens nothing: takes a copy of the stanzas.
struct Seen(Mutex<Vec<Stanza>>);

impl ::age::Identity for Seen {
    fn unwrap_stanza(&self, _: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        None
    }

    fn unwrap_stanzas(&self, stanzas: &[Stanza]) -> Option<Result<FileKey, DecryptError>> {
        let copy = |stanza: &Stanza| Stanza {
            tag: stanza.tag.clone(),
            args: stanza.args.clone(),
            body: stanza.body.clone(),
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = stanzas.iter().map(copy).collect();
        None
    }
}

/// A file key that somebody else found.
struct Given(Mutex<Option<FileKey>>);

impl ::age::Identity for Given {
    fn unwrap_stanza(&self, _: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
            .map(Ok)
    }
}

/// A new age file for `recipient`, in armor that ends with a newline. Beside the recipient's stanza its header
/// has a random one, with which the crate makes sure that readers skip what they do not know.
pub(super) fn seal(recipient: &dyn ::age::Recipient, plaintext: &[u8]) -> Result<String, ProviderError> {
    super::require_random_source()?;
    let encryptor = Encryptor::with_recipients(std::iter::once(recipient)).map_err(own_error)?;
    let mut text = ArmoredWriter::wrap_output(Vec::with_capacity(1024), Format::AsciiArmor)
        .and_then(|armor| encryptor.wrap_output(armor))
        .and_then(|mut payload| {
            payload.write_all(plaintext)?;
            payload.finish()?.finish()
        })
        .expect("writing to memory does not fail");
    if cfg!(windows) {
        // The crate ends lines as the platform does; SOPS files are the same everywhere.
        text.retain(|byte| *byte != b'\r');
    }
    Ok(String::from_utf8(text).expect("armor is ASCII"))
}

/// Recipients of ours say what is wrong inside of an I/O error.
fn own_error(error: EncryptError) -> ProviderError {
    let own = match error {
        EncryptError::Io(error) => error.into_inner().and_then(|inner| inner.downcast().ok()),
        _ => None,
    };
    own.map_or_else(
        || ProviderError::InvalidKey("it takes no file key".to_owned()),
        |own| *own,
    )
}

fn damaged(reason: impl Into<String>) -> ProviderError {
    ProviderError::Damaged(reason.into())
}

fn armor_fault(fault: Option<&ArmoredReadError>) -> ProviderError {
    let reason = match fault {
        None | Some(ArmoredReadError::InvalidBeginMarker) => {
            "it does not start with the BEGIN line of an age file"
        }
        Some(ArmoredReadError::NotWrappedAt64Chars) => {
            "a line is missing, empty or longer than 64 characters"
        }
        Some(ArmoredReadError::ShortLineInMiddle) => "a line in the middle is short",
        Some(ArmoredReadError::TrailingGarbage) => "something follows the END line",
        Some(_) => "a line is not canonical base64",
    };
    damaged(format!("its armor is broken: {reason}"))
}
