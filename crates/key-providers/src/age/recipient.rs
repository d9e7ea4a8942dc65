//! The kinds of age recipient, told from the text alone.

use std::sync::LazyLock;

use ::age::x25519;
use bech32::primitives::decode::{
    CharError, CheckedHrpstring, CheckedHrpstringError as Fault, ChecksumError, UncheckedHrpstringError,
};

use super::{hybrid, plugin, ssh};
use crate::ProviderError;

/// The points whose order divides 8 (RFC 7748, section 6.1), by their u coordinate: 0, 1, -1, and the two of
/// order 8. What is wrapped for one of them opens for everybody.
const LOW_ORDER: [&str; 5] = [
    "age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq5cu47z",
    "age1qyqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqj7vrya",
    "age1anlllllllllllllllllllllllllllllllllllllllllllllllals4n2t7m",
    "age1ur4h5lpmgxu2u9jku0a0r87ydtdqnr0tnsetrlvxvgz3vh6fhqqqzyt4v9",
    "age1t7wft09r2zxzfvwsk92eeql0tvzyghxytqwgapkcyf8dm5ylz9ts6wm9s8",
];

/// What a recipient of the list `age` may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecipientKind {
    /// `age1...`
    X25519,
    /// `age1pq1...`: ML-KEM-768 with X25519.
    PostQuantum,
    /// `age1NAME1...`: works through the program `age-plugin-NAME`.
    Plugin(String),
    /// `ssh-ed25519 ...`
    SshEd25519,
    /// `ssh-rsa ...`
    SshRsa,
}

impl RecipientKind {
    /// Tells the kind; the rest of the text is not looked at. Fails for anything that cannot be a recipient,
    /// above all for plugin names that could lead to another program.
    pub fn of(recipient: &str) -> Result<Self, ProviderError> {
        let invalid = |reason: &str| Err(ProviderError::InvalidKey(reason.to_owned()));
        if recipient.starts_with("ssh-ed25519 ") {
            return Ok(Self::SshEd25519);
        }
        if recipient.starts_with("ssh-rsa ") {
            return Ok(Self::SshRsa);
        }
        if recipient.starts_with("AGE-SECRET-KEY-") || recipient.starts_with("AGE-PLUGIN-") {
            return invalid("it is an identity, which must stay private, not a recipient");
        }
        let Some(rest) = recipient.strip_prefix("age1") else {
            return invalid("an age recipient starts with age1 or ssh-");
        };
        match rest.rsplit_once('1') {
            None => Ok(Self::X25519),
            Some(("pq", _)) => Ok(Self::PostQuantum),
            Some((name, _)) if is_plugin_name(name) => Ok(Self::Plugin(name.to_owned())),
            Some(_) => invalid("its plugin's name holds a character outside a-z 0-9 + . _ -"),
        }
    }
}

/// Names end up in the name of a program, so nothing that a path or a shell could see is let through.
pub(super) fn is_plugin_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'+' | b'.' | b'_' | b'-'))
}

/// A recipient that can be wrapped for.
pub(super) enum Recipient {
    X25519(x25519::Recipient),
    Hybrid(Box<hybrid::Recipient>),
    Ssh(Box<ssh::Recipient>),
    /// Its stanzas are made by a program.
    Plugin(plugin::Recipient),
}

/// Reads a recipient as it stands in a file or a rule.
pub(super) fn parse(text: &str) -> Result<Recipient, ProviderError> {
    let invalid = |reason: &str| ProviderError::InvalidKey(reason.to_owned());
    Ok(match RecipientKind::of(text)? {
        RecipientKind::X25519 => Recipient::X25519(parse_x25519(text).map_err(invalid)?),
        RecipientKind::PostQuantum => {
            Recipient::Hybrid(Box::new(hybrid::Recipient::parse(text).map_err(invalid)?))
        }
        RecipientKind::SshEd25519 | RecipientKind::SshRsa => {
            Recipient::Ssh(Box::new(ssh::Recipient::parse(text)?))
        }
        RecipientKind::Plugin(name) => {
            Recipient::Plugin(plugin::Recipient::parse(name, text).map_err(invalid)?)
        }
    })
}

/// Whether a key agreed with `recipient` is zero whatever the other side is.
pub(super) fn is_low_order(recipient: &x25519::Recipient) -> bool {
    static POINTS: LazyLock<[x25519::Recipient; 5]> =
        LazyLock::new(|| LOW_ORDER.map(|point| point.parse().expect("the points are well-formed")));
    // Recipients are equal if their coordinates are, so this covers every other way to write these.
    POINTS.contains(recipient)
}

/// What is wrong with a recipient or identity that the `age` crate does not read; safe to print. The crate
/// itself tells a wrong length from everything else, which is of no help with a mistyped one.
pub(super) fn fault(text: &str) -> &'static str {
    match CheckedHrpstring::new::<LongBech32>(text) {
        Err(Fault::Parse(UncheckedHrpstringError::Char(CharError::MixedCase))) => {
            "it mixes upper and lower case"
        }
        Err(Fault::Parse(UncheckedHrpstringError::Char(CharError::InvalidChar(_)))) => {
            "it holds a character that Bech32 does not have"
        }
        Err(
            Fault::Parse(UncheckedHrpstringError::Char(CharError::NothingAfterSeparator))
            | Fault::Checksum(ChecksumError::InvalidLength),
        ) => "it is too short",
        Err(Fault::Checksum(ChecksumError::InvalidResidue)) => {
            "its checksum is wrong (a typing error, or a part is missing)"
        }
        Err(Fault::Parse(_)) => "it is not Bech32",
        Ok(_) | Err(_) => "it does not hold 32 bytes",
    }
}

fn parse_x25519(text: &str) -> Result<x25519::Recipient, &'static str> {
    let recipient: x25519::Recipient = text.parse().map_err(|_| fault(text))?;
    // The crate does not look at the bits that fill up the last character.
    match recipient.to_string() == text {
        true => Ok(recipient),
        false => Err("its padding is wrong"),
    }
}

/// Bech32 without its limit of 1,023 characters, as age uses it.
#[derive(Clone, Copy)]
enum LongBech32 {}

impl bech32::Checksum for LongBech32 {
    type MidstateRepr = u32;
    const CODE_LENGTH: usize = usize::MAX;
    const CHECKSUM_LENGTH: usize = bech32::Bech32::CHECKSUM_LENGTH;
    const GENERATOR_SH: [u32; 5] = bech32::Bech32::GENERATOR_SH;
    const TARGET_RESIDUE: u32 = bech32::Bech32::TARGET_RESIDUE;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_apart() {
        for (text, kind) in [
            (
                "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa",
                RecipientKind::X25519,
            ),
            ("age1pq1xyz", RecipientKind::PostQuantum),
            ("age1yubikey1qwe", RecipientKind::Plugin("yubikey".to_owned())),
            ("age1-evil1xyz", RecipientKind::Plugin("-evil".to_owned())),
            ("ssh-ed25519 AAAA", RecipientKind::SshEd25519),
            ("ssh-rsa AAAA", RecipientKind::SshRsa),
        ] {
            assert_eq!(RecipientKind::of(text).unwrap(), kind);
        }
    }

    #[test]
    fn names_that_lead_elsewhere_and_other_texts_are_invalid() {
        for text in [
            "age1../../bin/sh1qq",
            "age1a/b1qq",
            "age1a\\b1qq",
            "age1a b1qq",
            "age1A1qq",
            "age1\u{0}1qq",
            "age11qq",
            "age1$(x)1qq",
            "",
            "age",
            "ssh-dss AAAA",
            "AGE-SECRET-KEY-1QQ",
            "AGE-PLUGIN-X-1QQ",
        ] {
            assert!(
                matches!(RecipientKind::of(text), Err(ProviderError::InvalidKey(_))),
                "{text:?}"
            );
        }
    }

    #[test]
    fn only_the_right_case_checksum_padding_and_length_are_accepted() {
        let good = "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa";
        assert!(matches!(parse(good), Ok(Recipient::X25519(read)) if read.to_string() == good));
        let of_length =
            |len| bech32::encode::<bech32::Bech32>(bech32::Hrp::parse("age").unwrap(), &vec![1; len]);
        for (text, reason) in [
            (good.replace("t7rx", "T7RX"), "it mixes upper and lower case"),
            (
                good.replace("t7rx", "t7bx"),
                "it holds a character that Bech32 does not have",
            ),
            (
                good.replace("t7rx", "t7ry"),
                "its checksum is wrong (a typing error, or a part is missing)",
            ),
            (
                good[..good.len() - 1].to_owned(),
                "its checksum is wrong (a typing error, or a part is missing)",
            ),
            (good.replace("6svpy7pa", "633hstu0"), "its padding is wrong"),
            ("age1".to_owned(), "it is too short"),
            ("age1qqq".to_owned(), "it is too short"),
            (of_length(31).unwrap(), "it does not hold 32 bytes"),
            (of_length(33).unwrap(), "it does not hold 32 bytes"),
            (
                "age1".to_owned() + &"q".repeat(2000),
                "its checksum is wrong (a typing error, or a part is missing)",
            ),
        ] {
            let Err(error) = parse(&text) else {
                panic!("{text} was accepted");
            };
            assert_eq!(
                error.to_string(),
                format!("the key is not valid: {reason}"),
                "{text}"
            );
        }
        assert!(parse(&good.to_uppercase()).is_err());
    }

    #[test]
    fn every_spelling_of_a_point_of_low_order_is_known() {
        // All there are: with the top bit, which does not count, and with the field's prime added.
        let spellings = [
            "age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqzqqsuwj9m",
            "age1qyqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqzqqk67yly",
            "age1anllllllllllllllllllllllllllllllllllllllllllllllllls3hcv9z",
            "age1ur4h5lpmgxu2u9jku0a0r87ydtdqnr0tnsetrlvxvgz3vh6fhzqqxqejhu",
            "age1t7wft09r2zxzfvwsk92eeql0tvzyghxytqwgapkcyf8dm5ylz8ts72fzt7",
            "age1ahlllllllllllllllllllllllllllllllllllllllllllllllalsn46ayy",
            "age1ahlllllllllllllllllllllllllllllllllllllllllllllllllsh3g6la",
            "age1amlllllllllllllllllllllllllllllllllllllllllllllllalselrwrv",
            "age1amlllllllllllllllllllllllllllllllllllllllllllllllllsam3fc4",
        ];
        for text in LOW_ORDER.into_iter().chain(spellings) {
            assert!(is_low_order(&parse_x25519(text).unwrap()), "{text}");
        }
        let good = "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa";
        assert!(!is_low_order(&parse_x25519(good).unwrap()));
    }
}
