//! Identities read from texts, each remembered with the place it came from.

use std::collections::HashMap;

use ::age::secrecy::ExposeSecret as _;
use ::age::x25519;
use secret::SecretBytes;
use zeroize::Zeroizing;

use super::locked::LockedFile;
use super::recipient::fault;
use super::{hybrid, plugin};
use crate::ProviderError;
use crate::provider::{Held, Inventory, SourceFault};

/// An identity that opens stanzas by itself.
pub(crate) type Native = Box<dyn ::age::Identity + Send + Sync>;

/// Parsed identities. Parsing is done once; files are then opened with what is here.
#[derive(Default)]
pub struct AgeIdentities {
    /// X25519 and post-quantum identities.
    native: Vec<Native>,
    /// By the text of its recipient: position in `native`.
    by_recipient: HashMap<String, usize>,
    plugins: Vec<plugin::Identity>,
    locked: Vec<LockedFile>,
    inventory: Inventory,
}

impl AgeIdentities {
    /// Reads a text of identities: any number on a line, `#` starts a comment. What is not an identity is
    /// remembered as a fault of its line and reported only when decryption fails.
    pub fn parse(text: &SecretBytes, source: &str) -> Self {
        let mut identities = Self::default();
        identities.read(text, source);
        identities
    }

    /// Reads a further text.
    pub(crate) fn read(&mut self, text: &SecretBytes, source: &str) {
        if LockedFile::is_one(text.expose()) {
            return match LockedFile::read(text.expose(), source) {
                Ok(file) => self.locked.push(file),
                Err(reason) => self.fault(source, None, reason),
            };
        }
        let before = (self.inventory.held.len(), self.inventory.faults.len());
        let Ok(text) = std::str::from_utf8(text.expose()) else {
            return self.fault(source, None, "it is not UTF-8 text".to_owned());
        };
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if let Some(reason) = refused_file(text) {
            return self.fault(source, None, reason.to_owned());
        }
        for (number, line) in text.lines().enumerate() {
            for word in line.split_whitespace().take_while(|word| !word.starts_with('#')) {
                if let Err(reason) = self.read_word(word, source) {
                    self.fault(source, Some(number + 1), reason);
                }
            }
        }
        if before == (self.inventory.held.len(), self.inventory.faults.len()) {
            self.empty(source);
        }
    }

    /// Notes a place that is not there or holds nothing.
    pub(crate) fn empty(&mut self, source: &str) {
        self.inventory.empty.push(source.to_owned());
    }

    /// Notes a place that could not be used.
    pub(crate) fn fault(&mut self, source: &str, line: Option<usize>, reason: String) {
        self.inventory.faults.push(SourceFault {
            source: source.to_owned(),
            line,
            reason,
        });
    }

    /// How many different identities there are; those under a passphrase do not count.
    pub fn len(&self) -> usize {
        self.native.len() + self.plugins.len()
    }

    /// Whether there is no identity at all, not even under a passphrase.
    pub fn is_empty(&self) -> bool {
        self.len() == 0 && self.locked.is_empty()
    }

    /// Public halves, places and faults.
    pub fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// The identity whose recipient is written so.
    pub(crate) fn matching(&self, recipient: &str) -> Option<&Native> {
        self.by_recipient.get(recipient).map(|at| &self.native[*at])
    }

    /// All that open stanzas by themselves, in the order in which they were found.
    pub(crate) fn native(&self) -> &[Native] {
        &self.native
    }

    /// All that need a plugin.
    pub(super) fn plugins(&self) -> &[plugin::Identity] {
        &self.plugins
    }

    /// Files that need a passphrase.
    pub(super) fn locked(&self) -> &[LockedFile] {
        &self.locked
    }

    /// Takes in the identity that `word` is; the reason that it is none repeats nothing of it.
    fn read_word(&mut self, word: &str, source: &str) -> Result<(), String> {
        let invalid = |reason| format!("not a valid identity: {reason}");
        let upper = Zeroizing::new(word.to_ascii_uppercase());
        if upper.starts_with("AGE-SECRET-KEY-PQ-1") {
            let identity = hybrid::Identity::parse(word).map_err(invalid)?;
            self.hold(identity.recipient(), Box::new(identity), source);
        } else if upper.starts_with("AGE-PLUGIN-") {
            let identity = plugin::Identity::parse(word).map_err(invalid)?;
            self.note(identity.name(), source);
            self.plugins.push(identity);
        } else if upper.starts_with("AGE-SECRET-KEY-") {
            let identity = read_x25519(word).map_err(invalid)?;
            self.hold(identity.to_public().to_string(), Box::new(identity), source);
        } else if word.starts_with("age1") || word.starts_with("ssh-") {
            return Err("this is a recipient; an identity starts with AGE-SECRET-KEY-1".to_owned());
        } else {
            return Err("not an age identity; one starts with AGE-SECRET-KEY-1".to_owned());
        }
        Ok(())
    }

    fn hold(&mut self, recipient: String, identity: Native, source: &str) {
        if self.by_recipient.contains_key(&recipient) {
            return;
        }
        self.by_recipient.insert(recipient.clone(), self.native.len());
        self.native.push(identity);
        self.note(recipient, source);
    }

    fn note(&mut self, recipient: String, source: &str) {
        self.inventory.held.push(Held {
            recipient,
            source: source.to_owned(),
        });
    }
}

/// A new X25519 identity: its text (one line without a line end) and its recipient. Random bytes come from
/// the operating system.
pub fn generate() -> Result<(SecretBytes, String), ProviderError> {
    super::require_random_source()?;
    let identity = x25519::Identity::generate();
    let text = SecretBytes::copy_from(identity.to_string().expose_secret().as_bytes());
    Ok((text, identity.to_public().to_string()))
}

/// Files that hold an identity in a form that is not read line by line.
fn refused_file(text: &str) -> Option<&'static str> {
    let start = text.trim_start();
    if start.starts_with("-----BEGIN ") && start.contains("PRIVATE KEY-----") {
        return Some("it is an SSH private key; SOPS_AGE_SSH_PRIVATE_KEY_FILE is for those");
    }
    start
        .starts_with("-----BEGIN ")
        .then_some("it is not a list of age identities")
}

fn read_x25519(word: &str) -> Result<x25519::Identity, &'static str> {
    // The crate would take lower case as well; age itself does not.
    if !word.starts_with("AGE-SECRET-KEY-1") {
        return Err("it does not start with AGE-SECRET-KEY-1");
    }
    let identity: x25519::Identity = word.parse().map_err(|_| fault(word))?;
    // Nor does it look at the bits that fill up the last character.
    match secret::ct_eq(identity.to_string().expose_secret().as_bytes(), word.as_bytes()) {
        true => Ok(identity),
        false => Err("its padding is wrong"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDENTITY: &str = "AGE-SECRET-KEY-1GQ9778VQXMMJVE8SK7J6VT8UJ4HDQAJUVSFCWCM02D8GEWQ72PVQ2Y5J33";
    const RECIPIENT: &str = "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa";

    fn parse(text: &str) -> AgeIdentities {
        AgeIdentities::parse(&SecretBytes::copy_from(text.as_bytes()), "keys.txt")
    }

    #[test]
    fn comments_blank_lines_line_ends_and_several_words_are_read() {
        let (other, _) = generate().unwrap();
        let other = std::str::from_utf8(other.expose()).unwrap();
        for text in [
            IDENTITY.to_owned(),
            format!("# created: today\r\n# public key: {RECIPIENT}\r\n{IDENTITY}\r\n\r\n"),
            format!("\u{feff}\n\n  {IDENTITY}  # mine\n"),
        ] {
            let identities = parse(&text);
            assert_eq!(identities.len(), 1);
            assert_eq!(identities.inventory().faults, []);
            assert!(identities.matching(RECIPIENT).is_some());
        }
        let both = parse(&format!("{IDENTITY} {other}\t{IDENTITY}"));
        assert_eq!(both.len(), 2);
        assert_eq!(both.inventory().held[0].recipient, RECIPIENT);
    }

    #[test]
    fn each_fault_names_its_line_and_never_the_content() {
        let wrong = IDENTITY.replace("GQ97", "GQ98");
        let text = format!(
            "{wrong}\n# fine\nhunter2\nage1abc\nAGE-PLUGIN-YUBIKEY-1QQ\nAGE-SECRET-KEY-PQ-1QQ\n{IDENTITY}"
        );
        let identities = parse(&text);
        assert_eq!(identities.len(), 1);
        let faults = &identities.inventory().faults;
        assert_eq!(
            faults.iter().map(|fault| fault.line).collect::<Vec<_>>(),
            [1, 3, 4, 5, 6].map(Some)
        );
        let shown: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert!(
            shown[0].starts_with("keys.txt line 1: not a valid identity: its checksum is wrong"),
            "{shown:?}"
        );
        for word in [&wrong[20..40], "hunter2", "age1abc"] {
            assert!(shown.iter().all(|fault| !fault.contains(word)));
        }
    }

    #[test]
    fn an_identity_has_one_spelling() {
        let (prefix, data) = IDENTITY.rsplit_once('1').unwrap();
        for (word, reason) in [
            (IDENTITY.to_lowercase(), "it does not start with AGE-SECRET-KEY-1"),
            (
                format!("{prefix}1{}", data.to_lowercase()),
                "it mixes upper and lower case",
            ),
            (IDENTITY.replace("PVQ2Y5J33", "PVPHJQ8VR"), "its padding is wrong"),
        ] {
            let identities = parse(&word);
            assert!(identities.is_empty());
            let shown = identities.inventory().faults[0].to_string();
            assert_eq!(shown, format!("keys.txt line 1: not a valid identity: {reason}"));
        }
    }

    #[test]
    fn whole_files_of_other_kinds_are_one_fault_or_an_empty_place() {
        for text in [
            "age-encryption.org/v1\n-> scrypt a 18\n",
            "age-encryption.org/v1\n-> X25519 a\n",
            "-----BEGIN AGE ENCRYPTED FILE-----\nYWdl\n",
            "-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n",
            "-----BEGIN PGP MESSAGE-----\nabc\n",
        ] {
            assert_eq!(parse(text).inventory().faults.len(), 1, "{text}");
            assert_eq!(parse(text).inventory().faults[0].line, None);
        }
        let not_text = AgeIdentities::parse(&SecretBytes::copy_from(b"\xff\xfeA\0"), "keys.txt");
        assert_eq!(not_text.inventory().faults[0].reason, "it is not UTF-8 text");
        assert_eq!(parse("# nothing here\n").inventory().empty, ["keys.txt"]);
    }

    #[test]
    fn a_generated_identity_is_read_back_and_differs_from_the_next() {
        let (text, recipient) = generate().unwrap();
        let identities = AgeIdentities::parse(&text, "new");
        assert_eq!(identities.inventory().held[0].recipient, recipient);
        assert_ne!(generate().unwrap().1, recipient);
    }
}
