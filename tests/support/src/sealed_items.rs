//! Items of Sealed Secrets, opened: what tests compare in place of ciphertext, which is new in every run.
//!
//! ```text
//! item = base64( length of rsa_ct, 2 bytes || rsa_ct: RSA-OAEP-SHA256(session key, label) || AES-256-GCM, zero nonce )
//! ```

use std::fmt::Write as _;
use std::io;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Items are longer than this, other words of a file are not.
const SHORTEST: usize = 340;

/// A private key, and the labels that tests seal for.
#[derive(Debug)]
pub struct Opener {
    key: OaepPrivateDecryptingKey,
    labels: Vec<String>,
}

impl Opener {
    /// Opens what was sealed for `pem`, a PKCS#8 key, in any of these namespaces, for any of these names in them, or for
    /// the whole cluster.
    ///
    /// # Errors
    /// If `pem` is no such key.
    pub fn new(pem: &str, namespaces: &[&str], names: &[&str]) -> io::Result<Self> {
        let base64: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        let der = STANDARD.decode(base64).map_err(io::Error::other)?;
        let key = PrivateDecryptingKey::from_pkcs8(&der).map_err(io::Error::other)?;
        let mut labels = vec![String::new()];
        for namespace in namespaces {
            labels.push((*namespace).to_owned());
            labels.extend(names.iter().map(|name| format!("{namespace}/{name}")));
        }
        Ok(Self {
            key: OaepPrivateDecryptingKey::new(key).map_err(io::Error::other)?,
            labels,
        })
    }

    /// `text` with every item that opens written as `<label|plaintext>`, the plaintext in base64.
    pub fn reveal(&self, text: &str) -> String {
        let mut revealed = String::new();
        let mut rest = text;
        while let Some(start) = rest.find(of_base64) {
            let (before, tail) = rest.split_at(start);
            let (word, after) = tail.split_at(tail.find(|c| !of_base64(c)).unwrap_or(tail.len()));
            revealed.push_str(before);
            match self.open(word) {
                Some((label, plain)) => {
                    // Writing into a string cannot fail.
                    let _ = write!(revealed, "<{label}|{}>", STANDARD.encode(plain));
                }
                None => revealed.push_str(word),
            }
            rest = after;
        }
        revealed + rest
    }

    /// The label and the plaintext of an item.
    fn open(&self, item: &str) -> Option<(&str, Vec<u8>)> {
        let blob = STANDARD.decode(item).ok().filter(|_| item.len() >= SHORTEST)?;
        let (length, rest) = blob.split_first_chunk::<2>()?;
        let (wrapped, sealed) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
        let mut session = vec![0; self.key.min_output_size()];
        self.labels.iter().find_map(|label| {
            let label_bytes = Some(label.as_bytes()).filter(|label| !label.is_empty());
            let session = self
                .key
                .decrypt(&OAEP_SHA256_MGF1SHA256, wrapped, &mut session, label_bytes)
                .ok()?;
            let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, session).ok()?);
            let mut plain = sealed.to_vec();
            let zero = Nonce::assume_unique_for_key([0; 12]);
            let length = key.open_in_place(zero, Aad::empty(), &mut plain).ok()?.len();
            plain.truncate(length);
            Some((label.as_str(), plain))
        })
    }
}

fn of_base64(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '+' | '/' | '=')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers;
    use crate::run::Tool;

    const KEYS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/sealed-secrets/keys");

    #[test]
    fn what_kubeseal_sealed_is_shown_with_its_label() -> Result<(), Box<dyn std::error::Error>> {
        let pem = std::fs::read_to_string(format!("{KEYS}/rsa-2048.pkcs8.key"))?;
        let opener = Opener::new(&pem, &["ns"], &["s"])?;
        let certificate = format!("{KEYS}/rsa-2048.crt");
        let kubeseal = Tool::new(peers::kubeseal()?)?.first(["--raw", "--cert", &certificate]);
        for (scope, shown) in [
            ("strict", "<ns/s|aGk=>"),
            ("namespace-wide", "<ns|aGk=>"),
            ("cluster-wide", "<|aGk=>"),
        ] {
            let arguments = ["--scope", scope, "--namespace", "ns", "--name", "s"];
            let item = kubeseal.run_with_input(arguments, b"hi")?.expect_success()?;
            let text = format!("a: {}\n", String::from_utf8(item)?);
            assert_eq!(opener.reveal(&text), format!("a: {shown}\n"));
        }
        assert_eq!(opener.reveal("a: eA== b"), "a: eA== b");
        Ok(())
    }
}
