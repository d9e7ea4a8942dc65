//! Sealed Secrets: items, the manifests around them, and certificates.

use std::sync::OnceLock;

use document::{Edits, Format};
use sealed_secrets::{
    Certificate, Hint, Item, Manifests, OpenError, RandomFailed, SealedSecret, SealingKey, SealingKeys,
    Secret, verify,
};
use secret::SecretBytes;

use super::choice::Choice;
use super::meaning::limits;

/// The key that everything here is sealed for.
const KEY: &[u8] = include_bytes!("../../../testdata/sealed-secrets/keys/rsa-2048.key");
const CERTIFICATE: &[u8] = include_bytes!("../../../testdata/sealed-secrets/keys/rsa-2048.crt");

fn key() -> &'static SealingKey {
    static KEYS: OnceLock<SealingKey> = OnceLock::new();
    KEYS.get_or_init(|| SealingKey::parse(&SecretBytes::copy_from(KEY)).expect("a key"))
}

fn keys() -> SealingKeys {
    let mut keys = SealingKeys::default();
    keys.add(SealingKey::parse(&SecretBytes::copy_from(KEY)).expect("a key"));
    keys
}

fn certificate() -> &'static Certificate {
    static CERTIFICATES: OnceLock<Certificate> = OnceLock::new();
    CERTIFICATES.get_or_init(|| Certificate::parse(CERTIFICATE).expect("a certificate"))
}

fn random(buffer: &mut [u8]) -> Result<(), RandomFailed> {
    buffer.fill(9);
    Ok(())
}

/// The text of an item: what reads is no longer than what was given, and nobody but its holder made one that opens. What
/// is sealed opens, and with one byte of it changed it does not.
pub(crate) fn item(data: &[u8]) {
    for read in [Item::parse(data), Item::from_blob(data.to_vec())]
        .into_iter()
        .flatten()
    {
        let whole = 2 + read.modulus_len() + read.plaintext_len() + 16;
        assert!(whole <= data.len(), "{whole} bytes of {}", data.len());
        match key().open(&read, b"a/b") {
            Ok(plaintext) => assert_eq!(plaintext.len(), read.plaintext_len(), "opened"),
            Err(OpenError::NoKey | OpenError::Damaged) => {}
            Err(error) => panic!("an item that reads: {error}"),
        }
    }
    let text = certificate().seal(data, b"a/b", &mut random).expect("sealed");
    assert_eq!(
        text.len(),
        certificate().sealed_len(data.len()),
        "its length is known before"
    );
    let sealed = Item::parse(text.as_bytes()).expect("an item");
    assert_eq!(
        key().open(&sealed, b"a/b").expect("opens").expose(),
        data,
        "opened"
    );
    assert!(key().open(&sealed, b"a/c").is_err(), "opened at another place");
    let mut choice = Choice::of(data);
    let mut text = text.into_bytes();
    let at = choice.below(text.len());
    let before = std::mem::replace(&mut text[at], choice.below(256) as u8);
    if let Ok(changed) = Item::parse(&text)
        && changed != sealed
    {
        assert!(
            key().open(&changed, b"a/b").is_err(),
            "opened with {before} changed at {at}"
        );
    }
}

/// A file of manifests: it is kept to the byte, and whatever its objects say, they can be looked at and opened.
pub(crate) fn manifests(data: &[u8]) {
    for format in [Format::Yaml, Format::Json] {
        let Ok(manifests) = Manifests::parse(format, SecretBytes::copy_from(data), &limits()) else {
            continue;
        };
        let edits: Vec<Edits> = manifests.iter().map(|_| Edits::default()).collect();
        assert_eq!(manifests.render(&edits).expose(), data, "rendered without edits");
        for manifest in manifests.iter() {
            for object in manifest.objects().unwrap_or_default() {
                let line = object.field.position().line as usize;
                assert!(
                    line <= 1 + data
                        .iter()
                        .filter(|byte| **byte == b'\n' || **byte == b'\r')
                        .count(),
                    "line {line}"
                );
                if let Ok(secret) = Secret::read(object.field) {
                    written(&secret);
                    let _ = secret.check(object.field);
                }
                if let Ok(sealed) = SealedSecret::read(object) {
                    looked_at(&sealed);
                }
            }
        }
    }
}

fn looked_at(sealed: &SealedSecret<'_>) {
    for finding in verify(sealed) {
        assert!(!finding.what.is_empty());
    }
    let hint = sealed.hint();
    assert_eq!(
        Hint::parse(&hint.to_string()),
        hint,
        "a hint reads as it is printed"
    );
    let opened = sealed.open(&keys(), &[]);
    assert_eq!(opened.len(), sealed.items.len());
    if let Ok(Ok(secret)) = sealed.unseal(&keys()) {
        assert!(opened.iter().all(Result::is_ok), "opens without all of its items");
        written(&secret);
    }
}

/// What is written of a Secret reads as the same Secret.
fn written(secret: &Secret) {
    for (format, encoded) in [(Format::Yaml, false), (Format::Yaml, true), (Format::Json, false)] {
        let text = secret.write(format, encoded);
        let again = Manifests::parse(format, text, &limits()).expect("what is written can be read");
        let root = again
            .iter()
            .next()
            .and_then(|manifest| manifest.root())
            .expect("an object");
        let again = Secret::read(root).expect("a Secret");
        assert_eq!(again.metadata, secret.metadata, "{format:?}");
        assert_eq!(
            (&again.kind, again.immutable),
            (&secret.kind, secret.immutable),
            "{format:?}"
        );
        let sorted = |secret: &Secret| {
            let mut data: Vec<(String, Vec<u8>)> = secret
                .data
                .iter()
                .map(|(key, value)| (key.clone(), value.expose().to_vec()))
                .collect();
            data.sort();
            data
        };
        assert!(sorted(&again) == sorted(secret), "{format:?}: other values");
    }
}

/// A certificate, in PEM or DER: one that reads seals, and is printed as it reads.
pub(crate) fn read_certificate(data: &[u8]) {
    for read in [Certificate::parse(data), Certificate::from_der(data.to_vec())]
        .into_iter()
        .flatten()
    {
        assert!((2_048..=8_192).contains(&read.bits()), "{} bits", read.bits());
        let again = Certificate::parse(read.to_pem().as_bytes()).expect("printed");
        assert_eq!(again.fingerprint(), read.fingerprint());
        assert!(read.is_expired(read.not_after() + 1) && !read.is_expired(read.not_after()));
        assert!(read.ssh_fingerprint().starts_with("SHA256:"));
        if let Ok(text) = read.seal(b"v", b"", &mut random) {
            assert_eq!(text.len(), read.sealed_len(1));
        }
    }
    let _ = SealingKey::parse(&SecretBytes::copy_from(data));
    let _ = SealingKeys::default().read(SecretBytes::copy_from(data), &limits());
}
