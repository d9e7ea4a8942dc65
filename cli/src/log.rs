//! What sops logs with `--verbose`: the same lines, for the programs that look for them.
//!
//! ```text
//! [AGE]<tab> time="2026-11-22T00:28:52Z" level=info msg="Encryption succeeded" recipient=age1...
//! ```
//!
//! Who speaks, when, how much it matters, what happened, and names of keys; never a value.

use key_providers::{Answer, KeyProvider};
use secret::SecretBytes;
use sops::MasterKey;

use crate::escape::escape;
use crate::ui::{Manner, Ui};

/// How much a line matters, in sops' words.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Level {
    Debug,
    Info,
}

/// One line. Texts other than plain words stand in quotes.
pub(crate) fn line(time: &str, who: &str, level: Level, what: &str, fields: &[(&str, String)]) -> String {
    let level = match level {
        Level::Debug => "debug",
        Level::Info => "info",
    };
    let mut line = format!(
        "[{who}]\t time={} level={level} msg={}",
        quoted(time),
        quoted(what)
    );
    for (name, value) in fields {
        line.push_str(&format!(" {name}={}", quoted(value)));
    }
    line
}

fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._/@^+".contains(c);
    match text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("\"{}\"", escape(&text.replace('\\', "\\\\").replace('"', "\\\""))),
    }
}

/// A provider, and a line for each key that it was asked for.
pub(crate) struct Logged {
    provider: Box<dyn KeyProvider>,
    manner: Manner,
}

impl Logged {
    /// `provider` as it is, unless lines are wanted.
    pub(crate) fn if_wanted(provider: Box<dyn KeyProvider>, manner: Manner) -> Box<dyn KeyProvider> {
        match manner.log {
            true => Box::new(Self { provider, manner }),
            false => provider,
        }
    }

    fn tell(&self, key: &MasterKey, operation: Operation, done: bool) {
        let (who, fields) = names(key, operation);
        let operation = match operation {
            Operation::Wrap => "Encryption",
            Operation::Unwrap => "Decryption",
        };
        let how = match (done, key) {
            (true, MasterKey::VaultTransit { .. }) => "successful",
            (true, _) => "succeeded",
            (false, _) => "failed",
        };
        Ui::new(self.manner).log(who, Level::Info, &format!("{operation} {how}"), &fields);
    }
}

impl KeyProvider for Logged {
    fn name(&self) -> &'static str {
        self.provider.name()
    }

    fn handles(&self, key: &MasterKey) -> bool {
        self.provider.handles(key)
    }

    fn pin<'a>(&'a self, key: &'a MasterKey) -> Option<Answer<'a, MasterKey>> {
        self.provider.pin(key)
    }

    fn who<'a>(&'a self, key: &'a MasterKey) -> Option<Answer<'a, String>> {
        self.provider.who(key)
    }

    fn wrap<'a>(&'a self, key: &'a MasterKey, plaintext: &'a [u8]) -> Answer<'a, String> {
        let answer = self.provider.wrap(key, plaintext);
        Box::pin(async move {
            let answer = answer.await;
            self.tell(key, Operation::Wrap, answer.is_ok());
            answer
        })
    }

    fn unwrap<'a>(&'a self, key: &'a MasterKey, enc: &'a str) -> Answer<'a, SecretBytes> {
        let answer = self.provider.unwrap(key, enc);
        Box::pin(async move {
            let answer = answer.await;
            self.tell(key, Operation::Unwrap, answer.is_ok());
            answer
        })
    }
}

#[derive(Clone, Copy)]
enum Operation {
    Wrap,
    Unwrap,
}

/// Who speaks for a kind of key, and what it calls the key.
fn names(key: &MasterKey, operation: Operation) -> (&'static str, Vec<(&'static str, String)>) {
    match (key, operation) {
        (MasterKey::Age { .. }, Operation::Unwrap) => ("AGE", Vec::new()),
        (MasterKey::Age { recipient }, Operation::Wrap) => ("AGE", vec![("recipient", recipient.clone())]),
        (MasterKey::Pgp { fingerprint }, _) => ("PGP", vec![("fingerprint", fingerprint.clone())]),
        (MasterKey::AwsKms { arn, .. }, _) => ("AWSKMS", vec![("arn", arn.clone())]),
        (MasterKey::GcpKms { resource_id }, _) => ("GCPKMS", vec![("resourceID", resource_id.clone())]),
        (MasterKey::HuaweiKms { key_id }, _) => ("HCKMS", vec![("keyID", key_id.clone())]),
        (MasterKey::AzureKeyVault { name, version, .. }, _) => {
            ("AZKV", vec![("key", name.clone()), ("version", version.clone())])
        }
        (
            MasterKey::VaultTransit {
                engine_path,
                key_name,
                ..
            },
            operation,
        ) => {
            let verb = match operation {
                Operation::Wrap => "encrypt",
                Operation::Unwrap => "decrypt",
            };
            (
                "VAULT_TRANSIT",
                vec![("Path", format!("{engine_path}/{verb}/{key_name}"))],
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_shape_of_sops() {
        let arn = ("arn", "arn:aws:kms:eu:1:key/a".to_owned());
        assert_eq!(
            line(
                "2026-11-22T00:28:52Z",
                "AWSKMS",
                Level::Info,
                "Encryption succeeded",
                &[arn]
            ),
            "[AWSKMS]\t time=\"2026-11-22T00:28:52Z\" level=info msg=\"Encryption succeeded\" arn=\"arn:aws:kms:eu:1:key/a\""
        );
        let path = [("path", "[a \"b\\\n]".to_owned()), ("key", "x_1".to_owned())];
        let said = line("t", "SOPS", Level::Debug, "word", &path);
        assert_eq!(
            said,
            "[SOPS]\t time=t level=debug msg=word path=\"[a \\\"b\\\\\\n]\" key=x_1"
        );
    }
}
