//! What to tell a person when a key cannot be wrapped or unwrapped: every group, every key, why, what was
//! looked at, and the next step.

use std::fmt::{self, Write as _};

use sops::MetadataError;
use sops::shamir::{QuorumError, ShamirError};

use crate::provider::{Held, Inventory, ProviderError, SourceFault};

/// Exit code of SOPS for a file that names no key.
const NO_KEY: u8 = 111;
/// Exit code of SOPS for a data key that cannot be recovered.
const NOT_RECOVERABLE: u8 = 128;
/// Names are cut here, in characters.
const MOST_SHOWN: usize = 160;

/// One key that did not work.
#[derive(Debug)]
pub struct KeyFailure {
    /// The name of its list.
    pub kind: String,
    /// The key as SOPS prints it; empty for a kind that is not known.
    pub name: String,
    /// Why.
    pub error: ProviderError,
}

/// The keys of one group that did not work.
#[derive(Debug)]
pub struct GroupFailure {
    /// Counted from 0.
    pub group: usize,
    /// In the order in which they were tried.
    pub keys: Vec<KeyFailure>,
}

/// Why a data key was not wrapped. Nothing was kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WrapFailure {
    /// There is no group at all.
    #[error("there is no key to encrypt for")]
    NoKeys,
    /// A group without keys could never be opened.
    #[error("key group {} has no keys", .0 + 1)]
    EmptyGroup(usize),
    /// A share's number is one byte.
    #[error("{0} key groups are too many: at most 255 are possible")]
    TooManyGroups(usize),
    /// The key cannot be split so.
    #[error("the data key could not be split: {0}")]
    Split(ShamirError),
    /// Some keys failed.
    #[error("{}", WrapReport { groups: *groups, failures })]
    Keys {
        /// How many groups there are.
        groups: usize,
        /// Those with failures.
        failures: Vec<GroupFailure>,
    },
}

/// Why a data key was not unwrapped. Its `Display` is the whole report, of several lines.
#[derive(Debug)]
pub struct UnwrapFailure {
    cause: Cause,
    /// How many groups the file has.
    groups: usize,
    /// How many of them are needed.
    needed: u8,
    failures: Vec<GroupFailure>,
}

#[derive(Debug)]
enum Cause {
    Metadata(MetadataError),
    /// No key of the only group, or of too few groups.
    TooFew {
        opened: usize,
    },
    /// Enough shares, but they do not give this file's key.
    Shares(QuorumError),
}

impl UnwrapFailure {
    pub(super) fn metadata(error: MetadataError) -> Self {
        Self {
            cause: Cause::Metadata(error),
            groups: 0,
            needed: 0,
            failures: Vec::new(),
        }
    }

    pub(super) fn keys(groups: usize, needed: u8, failures: Vec<GroupFailure>) -> Self {
        Self {
            cause: Cause::TooFew { opened: 0 },
            groups,
            needed,
            failures,
        }
    }

    pub(super) fn shares(
        groups: usize,
        needed: u8,
        failures: Vec<GroupFailure>,
        opened: usize,
        error: QuorumError,
    ) -> Self {
        let enough = opened >= usize::from(needed);
        let cause = if enough {
            Cause::Shares(error)
        } else {
            Cause::TooFew { opened }
        };
        Self {
            cause,
            groups,
            needed,
            failures,
        }
    }

    /// The exit code that SOPS gives: 111 for a file without keys, else 128.
    pub fn exit_code(&self) -> u8 {
        match self.cause {
            Cause::Metadata(MetadataError::NoKeys) => NO_KEY,
            _ => NOT_RECOVERABLE,
        }
    }

    /// The groups that could not be opened, with every key that was tried.
    pub fn failures(&self) -> &[GroupFailure] {
        &self.failures
    }

    /// The next step, if there is one that can be named.
    pub fn hint(&self) -> Option<String> {
        let lacking = self.names_without_identity();
        if lacking.is_empty() {
            return None;
        }
        let names: Vec<String> = lacking.iter().map(|(_, name)| name.clone()).collect();
        let found = Found::in_failures(&self.failures);
        let mut hint = format!("this file is sealed for {}", listed(&names));
        match found.held.as_slice() {
            [] if found.faults.is_empty() => hint.push_str("; there is no identity here"),
            [] => hint.push_str("; there is no identity here but in places that are not usable, see above"),
            [one] => push(
                &mut hint,
                format_args!("; the identity here is {}", shown_held(one)),
            ),
            many => {
                let many: Vec<String> = many.iter().map(|held| shown_held(held)).collect();
                push(
                    &mut hint,
                    format_args!("; the identities here are {}", listed(&many)),
                );
            }
        }
        hint.push_str(". Ask someone who can open it to add your recipient");
        let steps = [
            ("age", ", or set SOPS_AGE_KEY_FILE to the right file"),
            ("ssh", ", or set SOPS_AGE_SSH_PRIVATE_KEY_FILE to the right key"),
            ("pgp", ", or import the secret key into gpg"),
        ];
        for (kind, step) in steps {
            let fits = |(found, name): &(&str, String)| match *found {
                "age" if name.starts_with("ssh-") => kind == "ssh",
                found => kind == found,
            };
            if lacking.iter().any(fits) {
                hint.push_str(step);
            }
        }
        Some(hint)
    }

    /// Kind and name of each.
    fn names_without_identity(&self) -> Vec<(&str, String)> {
        let keys = self.failures.iter().flat_map(|group| &group.keys);
        let lacking = keys.filter(|key| matches!(key.error, ProviderError::NoIdentity(_)));
        lacking
            .map(|key| (key.kind.as_str(), escaped(&key.name)))
            .collect()
    }
}

impl std::error::Error for UnwrapFailure {}

impl fmt::Display for UnwrapFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::Metadata(error) => return write!(f, "the data key cannot be unwrapped: {error}"),
            Cause::TooFew { .. } if self.groups == 1 => {
                f.write_str("the data key cannot be unwrapped: no key of this file works here")?;
            }
            Cause::TooFew { opened } => write!(
                f,
                "the data key cannot be unwrapped: {opened} of {} key groups opened, {} are needed",
                self.groups, self.needed
            )?,
            Cause::Shares(error) => write!(f, "the data key cannot be put together: {error}")?,
        }
        if let Cause::Shares(QuorumError::TooFew { malformed, .. }) = &self.cause {
            for group in malformed {
                write!(f, "\n  group {}: its share was replaced or damaged", group + 1)?;
            }
        }
        write_groups(f, self.groups, &self.failures)?;
        Found::in_failures(&self.failures).fmt(f)?;
        match self.hint() {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

struct WrapReport<'a> {
    groups: usize,
    failures: &'a [GroupFailure],
}

impl fmt::Display for WrapReport<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the data key could not be wrapped for every key, so nothing was written")?;
        write_groups(f, self.groups, self.failures)
    }
}

fn write_groups(f: &mut fmt::Formatter<'_>, groups: usize, failures: &[GroupFailure]) -> fmt::Result {
    for failure in failures {
        let indent = if groups == 1 { "  " } else { "    " };
        if groups > 1 {
            write!(f, "\n  group {}:", failure.group + 1)?;
        }
        for key in &failure.keys {
            write!(f, "\n{indent}{}", key.kind)?;
            if !key.name.is_empty() {
                write!(f, " {}", escaped(&key.name))?;
            }
            write!(f, ": {}", escaped(&key.error.to_string()))?;
        }
    }
    Ok(())
}

/// What all providers had, each thing once.
#[derive(Default)]
struct Found<'a> {
    held: Vec<&'a Held>,
    empty: Vec<&'a str>,
    faults: Vec<&'a SourceFault>,
}

impl<'a> Found<'a> {
    fn in_failures(failures: &'a [GroupFailure]) -> Self {
        let mut found = Self::default();
        for key in failures.iter().flat_map(|group| &group.keys) {
            if let ProviderError::NoIdentity(inventory) = &key.error {
                found.add(inventory);
            }
        }
        found
    }

    fn add(&mut self, inventory: &'a Inventory) {
        let Self { held, empty, faults } = self;
        held.extend(
            inventory
                .held
                .iter()
                .filter(|new| !held.contains(new))
                .collect::<Vec<_>>(),
        );
        empty.extend(
            inventory
                .empty
                .iter()
                .map(String::as_str)
                .filter(|new| !empty.contains(new))
                .collect::<Vec<_>>(),
        );
        faults.extend(
            inventory
                .faults
                .iter()
                .filter(|new| !faults.contains(new))
                .collect::<Vec<_>>(),
        );
    }
}

impl fmt::Display for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.held.is_empty() {
            f.write_str("\nidentities here:")?;
        }
        for held in &self.held {
            write!(f, "\n  {}", shown_held(held))?;
        }
        if !self.faults.is_empty() {
            f.write_str("\nnot usable:")?;
        }
        for fault in &self.faults {
            write!(f, "\n  {}", escaped(&fault.to_string()))?;
        }
        if !self.empty.is_empty() {
            f.write_str("\nalso looked at:")?;
        }
        for place in &self.empty {
            write!(f, "\n  {}", escaped(place))?;
        }
        Ok(())
    }
}

fn shown_held(held: &Held) -> String {
    format!("{} (from {})", escaped(&held.recipient), escaped(&held.source))
}

/// `a`, `a and b`, `a, b and 3 others`: a hint stays one readable sentence.
fn listed(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [one, other] => format!("{one} and {other}"),
        [one, other, rest @ ..] => {
            let noun = if rest.len() == 1 { "other" } else { "others" };
            format!("{one}, {other} and {} {noun}", rest.len())
        }
    }
}

/// Names come from files: characters that steer a terminal or reorder the line are spelled out.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for (count, character) in text.chars().enumerate() {
        if count == MOST_SHOWN {
            safe.push_str("...");
            break;
        }
        let steers = matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
        if character.is_control() || steers {
            safe.extend(character.escape_unicode());
        } else {
            safe.push(character);
        }
    }
    safe
}

fn push(text: &mut String, more: fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = text.write_fmt(more);
}
