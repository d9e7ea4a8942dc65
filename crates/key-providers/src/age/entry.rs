//! One `enc` text: an armored age file that wraps a data key, or a share of one, for one recipient.
//!
//! The `age` crate knows the format. What stands here are the bounds, because such texts come from files that
//! anybody may have written: the crate reads a header anew for every line of it and tries every identity on
//! every stanza, so long texts, headers of many stanzas and too many attempts are refused; and it panics for a
//! recipient of low order, which is refused before. Errors are told in our own words: the crate's are
//! localised, and loading a language for them takes longer than an unwrapping. The crate's writer does not wipe
//! its buffer; the allocator of both binaries does.

use std::io::{Read as _, Write as _};

use ::age::armor::{ArmoredReadError, ArmoredReader, ArmoredWriter, Format};
use ::age::{DecryptError, Decryptor, Encryptor, x25519};
use secret::SecretBytes;

use super::recipient::is_low_order;
use crate::ProviderError;

/// Longer texts are refused, in bytes. SOPS writes about 400.
const MAX_LEN: usize = 64 * 1024;
/// Headers of more stanzas are refused, which age itself does not do: 20 identities on 1,000 stanzas would take
/// the crate more than a second. SOPS writes one, and the crate adds one that means nothing.
const MAX_STANZAS: usize = 128;
/// How often one unwrapping may try an identity on a stanza; about a second's worth.
const MAX_ATTEMPTS: usize = 4 * 1024;

const BEGIN: &str = "-----BEGIN AGE ENCRYPTED FILE-----";

/// An age file, taken out of its armor and ready to be tried.
pub(super) struct Entry {
    file: Vec<u8>,
    stanzas: usize,
    attempts: usize,
}

impl Entry {
    /// Reads the armor. Line ends may be LF or CRLF, and blanks may stand around it.
    pub(super) fn read(enc: &str) -> Result<Self, ProviderError> {
        if enc.len() > MAX_LEN {
            return Err(damaged(format!("it is longer than {MAX_LEN} bytes")));
        }
        let text = enc.trim_ascii_start();
        // The crate would take a file without armor as well; SOPS does not.
        if !text.starts_with(BEGIN) {
            return Err(armor_fault(None));
        }
        let mut file = Vec::with_capacity(text.len() / 4 * 3);
        ArmoredReader::new(text.as_bytes())
            .read_to_end(&mut file)
            .map_err(|error| armor_fault(error.get_ref().and_then(|inner| inner.downcast_ref())))?;
        let header = file
            .split(|byte| *byte == b'\n')
            .take_while(|line| !line.starts_with(b"---"));
        let stanzas = header.filter(|line| line.starts_with(b"-> ")).count();
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

    /// The plaintext, or `None` if no identity fits. They are tried in order, and those after the first that
    /// fits are not.
    pub(super) fn open<'a>(
        &mut self,
        identities: impl Iterator<Item = &'a x25519::Identity>,
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
        let decrypting = Decryptor::new_buffered(&file[..])
            .and_then(|file| file.decrypt(allowed.map(|identity| identity as &dyn ::age::Identity)));
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

/// A new age file for `recipient`, in armor that ends with a newline. Beside the recipient's stanza its header
/// has a random one, with which the crate makes sure that readers skip what they do not know.
pub(super) fn seal(recipient: &x25519::Recipient, plaintext: &[u8]) -> Result<String, ProviderError> {
    if is_low_order(recipient) {
        return Err(ProviderError::InvalidKey("it is a point of low order".to_owned()));
    }
    super::require_random_source()?;
    let encryptor = Encryptor::with_recipients(std::iter::once(recipient as &dyn ::age::Recipient))
        .expect("one recipient contradicts no other");
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
