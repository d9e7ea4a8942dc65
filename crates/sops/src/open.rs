//! Opening: from a sealed document and its data key to the author's own bytes.
//!
//! The order is fixed: the metadata's seal, then every value, then the MAC and the body, and only then a single
//! byte of plaintext leaves this module.

use document::Document;
use secret::SecretBytes;

use crate::data_key::DataKey;
use crate::error::{Error, Warning};
use crate::integrity::{Integrity, IntegrityBuilder, IntegrityError, IntegrityMode};
use crate::layout::{LayoutError, open_layout};
use crate::mac::{Mac, open_mac};
use crate::metadata::Metadata;
use crate::parallel;
use crate::plan::Plan;
use crate::restore::restore;
use crate::reuse::{BlockText, Reuse};
use crate::rules::Rules;
use crate::selector::{RuleError, Selector};
use crate::tally::{Variant, tally};
use crate::value::{Cipher, Sealed};
use crate::values::Values;

/// What is checked while a file is opened.
#[derive(Clone, Copy, Debug)]
pub struct Checks {
    /// Check the MAC and the integrity field; single values are authenticated whatever this says.
    pub mac: bool,
    /// Refuse a file without `integrity`.
    pub require_integrity: bool,
    /// Keep the sealed texts, for an edit that leaves unchanged values alone.
    pub keep_texts: bool,
    /// Leave plaintext that stands where a sealed value is due as it is: an author's draft.
    pub allow_plaintext: bool,
}

impl Default for Checks {
    fn default() -> Self {
        Self {
            mac: true,
            require_integrity: false,
            keep_texts: false,
            allow_plaintext: false,
        }
    }
}

/// An opened file.
#[derive(Debug)]
pub struct Opened {
    /// The author's bytes, metadata taken away.
    pub plaintext: SecretBytes,
    /// Whether an `integrity` field was there and held.
    pub integrity: bool,
    /// The sealed texts and the block as they stood, if they were to be kept.
    pub kept: Option<(Reuse, BlockText)>,
    /// What a person should know.
    pub warnings: Vec<Warning>,
}

/// Opens `document` under `key`.
///
/// # Errors
/// See [`Error`]: a value that does not open or stands in clear, a MAC or an integrity field that does not hold.
pub fn open(
    document: &Document,
    metadata: &Metadata,
    key: &DataKey,
    checks: &Checks,
) -> Result<Opened, Error> {
    let cipher = Cipher::new(key);
    let integrity = check_head(metadata, key, checks)?;
    let mut warnings = Vec::new();
    if checks.mac && metadata.integrity.is_some() && integrity.is_none() {
        warnings.push(Warning::IntegrityVersion);
    }
    let plan = plan(document, metadata, &cipher)?;
    let values = Values::open(document, &plan, &cipher, checks.allow_plaintext, &mut warnings)?;
    let (plaintext, checked) = parallel::join(
        plan.jobs.len(),
        || {
            let layout = open_spellings(metadata, key, checks)?;
            restore(
                document,
                &plan,
                &values,
                layout.as_ref().map_or(&[], |layout| layout.expose()),
            )
        },
        || {
            if !checks.mac {
                return Ok(());
            }
            check_body(
                document,
                metadata,
                key,
                &cipher,
                &plan,
                &values,
                integrity.as_ref(),
            )
        },
    );
    checked?;
    let plaintext = plaintext?;
    let kept = checks.keep_texts.then(|| {
        (
            Reuse::new(document, &plan, &values, key),
            BlockText::new(document),
        )
    });
    Ok(Opened {
        plaintext,
        integrity: checks.mac && integrity.is_some(),
        kept,
        warnings,
    })
}

/// Whether `key` is the data key of the file with this block: its MAC opens. What the search for a good quorum
/// of shares asks.
pub fn is_data_key(metadata: &Metadata, key: &DataKey) -> bool {
    let mac = metadata.mac.as_deref().unwrap_or_default();
    open_mac(&Cipher::new(key), mac, &metadata.lastmodified).is_ok()
}

/// The plan of a sealed document: comments are opened where the rules look at them.
pub(crate) fn plan<'a>(
    document: &'a Document,
    metadata: &Metadata,
    cipher: &Cipher,
) -> Result<Plan<'a>, Error> {
    let selector = selector(document, &metadata.rules)?;
    Plan::new(document, &selector, &mut |text, aad| {
        let sealed = Sealed::parse(text).ok()??;
        let mut out = Vec::new();
        cipher.open_into(&sealed, aad, &mut out).ok()?;
        Some(out)
    })
}

/// The rules of a file; a binary file is sealed whole, whatever they say.
pub(crate) fn selector(document: &Document, rules: &Rules) -> Result<Selector, RuleError> {
    match document.format() {
        document::Format::Binary => Ok(Selector::everything()),
        _ => Selector::new(rules),
    }
}

fn check_head(metadata: &Metadata, key: &DataKey, checks: &Checks) -> Result<Option<Integrity>, Error> {
    if !checks.mac {
        return Ok(None);
    }
    let Some(field) = &metadata.integrity else {
        return if checks.require_integrity {
            Err(Error::IntegrityMissing)
        } else {
            Ok(None)
        };
    };
    match Integrity::parse(field) {
        Ok(integrity) => {
            integrity.verify_head(key, metadata).map_err(Error::Field)?;
            Ok(Some(integrity))
        }
        Err(IntegrityError::UnknownVersion) if !checks.require_integrity => Ok(None),
        Err(_) => Err(Error::FieldVersion { field: "integrity" }),
    }
}

fn check_body(
    document: &Document,
    metadata: &Metadata,
    key: &DataKey,
    cipher: &Cipher,
    plan: &Plan<'_>,
    values: &Values,
    integrity: Option<&Integrity>,
) -> Result<(), Error> {
    let only = metadata.mac_only_encrypted;
    let mode = integrity_mode(metadata);
    let body = integrity.map(|_| IntegrityBuilder::new(key, mode));
    let first = tally(document, plan, values, only, body, Variant::default())?;
    if let (Some(integrity), Some(body)) = (integrity, &first.body)
        && let Err(mismatch) = integrity.verify_body(body)
    {
        let Some(ordinal) = mismatch.first else {
            return Err(Error::Integrity { place: None });
        };
        let locating = Some(IntegrityBuilder::locating(key, mode, ordinal));
        let again = tally(document, plan, values, only, locating, Variant::default())?;
        return Err(Error::Integrity {
            place: again.body.and_then(|body| body.located),
        });
    }
    let Some(sealed) = metadata.mac.as_deref() else {
        return Err(Error::NoMac("the file has none"));
    };
    let expected = open_mac(cipher, sealed, &metadata.lastmodified)
        .map_err(|_| Error::NoMac("it does not open: it or `lastmodified` was changed"))?;
    if verify(first.mac, &expected) {
        return Ok(());
    }
    if first.varies {
        for (numbers_as_floats, list_comments) in [(true, false), (false, true), (true, true)] {
            let variant = Variant {
                numbers_as_floats,
                list_comments,
            };
            let again = tally(document, plan, values, only, None, variant)?;
            if verify(again.mac, &expected) {
                return Ok(());
            }
        }
    }
    Err(Error::MacMismatch)
}

fn verify(mac: Mac, expected: &SecretBytes) -> bool {
    mac.verify(expected.expose())
}

/// What of the file its integrity field binds.
pub(crate) fn integrity_mode(metadata: &Metadata) -> IntegrityMode {
    if metadata.mac_only_encrypted {
        IntegrityMode::OnlyEncrypted
    } else {
        IntegrityMode::Full
    }
}

fn open_spellings(metadata: &Metadata, key: &DataKey, checks: &Checks) -> Result<Option<SecretBytes>, Error> {
    let Some(field) = &metadata.layout else {
        return Ok(None);
    };
    match open_layout(key, field) {
        Ok(layout) => Ok(Some(layout)),
        // It only says how things are spelled: without it the file still opens.
        Err(LayoutError::UnknownVersion) => Ok(None),
        Err(_) if !checks.mac => Ok(None),
        Err(error) => Err(Error::Layout(error)),
    }
}

impl From<RuleError> for Error {
    fn from(error: RuleError) -> Self {
        Self::Rule(error)
    }
}
