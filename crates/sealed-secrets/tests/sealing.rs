//! Sealing and opening: our own both ways, and against the `rsa` and `aes-gcm` crates, which share no line with aws-lc.

use std::sync::LazyLock;

use aes_gcm::aead::{Aead as _, KeyInit as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use document::{Format, Limits};
use rsa::pkcs8::DecodePrivateKey as _;
use rsa::traits::PublicKeyParts as _;
use sealed_secrets::{
    Certificate, Item, Manifests, NewKey, NewSealedSecret, OpenError, RandomFailed, Scope, SealedSecret,
    SealingKey, SealingKeys, Secret,
};
use secret::SecretBytes;

struct Pair {
    pem: String,
    key: SealingKey,
    certificate: Certificate,
}

fn pair(bits: u32) -> Pair {
    let new = NewKey {
        bits,
        common_name: "test",
        not_before: 1_700_000_000,
        lifetime: 1_000_000,
    };
    let (pem, certificate) = new.make(&mut random).expect("made");
    Pair {
        key: SealingKey::parse(&pem).expect("a key"),
        pem: String::from_utf8(pem.expose().to_vec()).expect("PEM"),
        certificate,
    }
}

static PAIR: LazyLock<Pair> = LazyLock::new(|| pair(2048));
static OTHER: LazyLock<Pair> = LazyLock::new(|| pair(2048));

fn random(buffer: &mut [u8]) -> Result<(), RandomFailed> {
    getrandom::fill(buffer).map_err(|_| RandomFailed)
}

fn seal(plaintext: &[u8], label: &[u8]) -> Item {
    let text = PAIR
        .certificate
        .seal(plaintext, label, &mut random)
        .expect("sealed");
    Item::parse(text.as_bytes()).expect("an item")
}

fn values() -> Vec<Vec<u8>> {
    vec![
        Vec::new(),
        b"s3cr3t".to_vec(),
        "pä$$wörd \u{1F511}\n".as_bytes().to_vec(),
        b"a\0b\0".to_vec(),
        (0..=255).collect(),
        vec![0xa5; 1 << 20],
    ]
}

#[test]
fn what_is_sealed_opens_in_every_scope_and_nowhere_else() {
    for scope in Scope::ALL {
        let label = scope.label("ns", "name");
        for value in values() {
            let item = seal(&value, &label);
            assert_eq!(item.plaintext_len(), value.len());
            assert_eq!(PAIR.key.open(&item, &label).expect("opened").expose(), value);
        }
        let item = seal(b"v", &label);
        for other in Scope::ALL.into_iter().filter(|other| *other != scope) {
            assert_eq!(
                refusal(&PAIR.key, &item, &other.label("ns", "name")),
                OpenError::NoKey
            );
        }
        for (namespace, name) in [
            ("ns", "other"),
            ("other", "name"),
            ("", "ns/name"),
            ("ns/name", ""),
        ] {
            let wrong = scope.label(namespace, name);
            if wrong != label {
                assert_eq!(refusal(&PAIR.key, &item, &wrong), OpenError::NoKey);
            }
        }
        assert_eq!(refusal(&OTHER.key, &item, &label), OpenError::NoKey);
    }
}

fn refusal(key: &SealingKey, item: &Item, label: &[u8]) -> OpenError {
    key.open(item, label).map(drop).expect_err("refused")
}

#[test]
fn two_seals_of_one_value_differ() {
    assert_ne!(seal(b"v", b""), seal(b"v", b""));
}

/// The other implementation's key.
fn theirs() -> rsa::RsaPrivateKey {
    rsa::RsaPrivateKey::from_pkcs8_pem(&PAIR.pem).expect("a key")
}

fn gcm(session: &[u8]) -> aes_gcm::Aes256Gcm {
    aes_gcm::Aes256Gcm::new_from_slice(session).expect("32 bytes")
}

#[test]
fn the_rsa_crate_opens_what_is_sealed_here() {
    for scope in Scope::ALL {
        let label = scope.label("ns", "name");
        for value in values() {
            let text = PAIR
                .certificate
                .seal(&value, &label, &mut random)
                .expect("sealed");
            let blob = STANDARD.decode(text).expect("base64");
            assert_eq!(blob[..2], [1, 0]);
            let padding = rsa::Oaep::new_with_label::<sha2_old::Sha256, _>(
                String::from_utf8(label.clone()).expect("text"),
            );
            let session = theirs().decrypt(padding, &blob[2..258]).expect("unwrapped");
            assert_eq!(session.len(), 32);
            let opened = gcm(&session)
                .decrypt(&[0; 12].into(), &blob[258..])
                .expect("opened");
            assert_eq!(opened, value);
        }
    }
}

#[test]
fn what_the_rsa_crate_seals_opens_here() {
    let key = theirs().to_public_key();
    for scope in Scope::ALL {
        let label = scope.label("ns", "name");
        for value in values() {
            let mut session = [0; 32];
            random(&mut session).expect("random");
            let padding = rsa::Oaep::new_with_label::<sha2_old::Sha256, _>(
                String::from_utf8(label.clone()).expect("text"),
            );
            let wrapped = key
                .encrypt(&mut rsa::rand_core::OsRng, padding, &session)
                .expect("wrapped");
            let mut blob = (key.size() as u16).to_be_bytes().to_vec();
            blob.extend(wrapped);
            blob.extend(
                gcm(&session)
                    .encrypt(&[0; 12].into(), &value[..])
                    .expect("sealed"),
            );
            let item = Item::parse(STANDARD.encode(blob).as_bytes()).expect("an item");
            assert_eq!(PAIR.key.open(&item, &label).expect("opened").expose(), value);
        }
    }
}

#[test]
fn a_session_key_of_another_length_is_refused() {
    for len in [0, 16, 24, 31, 33] {
        let padding = rsa::Oaep::new::<sha2_old::Sha256>();
        let wrapped = theirs()
            .to_public_key()
            .encrypt(&mut rsa::rand_core::OsRng, padding, &vec![1; len])
            .expect("wrapped");
        let blob = [&[1, 0][..], &wrapped, &[0; 16]].concat();
        let item = Item::from_blob(blob).expect("an item");
        assert_eq!(refusal(&PAIR.key, &item, b""), OpenError::Damaged);
    }
}

#[test]
fn every_cut_and_every_flipped_bit_is_refused(/* CR-14 */) {
    let label = Scope::Strict.label("ns", "name");
    let text = PAIR
        .certificate
        .seal(b"value", &label, &mut random)
        .expect("sealed");
    let blob = STANDARD.decode(text).expect("base64");
    let mut refused = 0;
    for cut in 0..blob.len() {
        let cut = blob[..cut].to_vec();
        let opened = Item::from_blob(cut)
            .map_err(OpenError::from)
            .and_then(|item| PAIR.key.open(&item, &label));
        opened.map(drop).expect_err("cut off");
        refused += 1;
    }
    for at in 0..blob.len() {
        let mut changed = blob.clone();
        changed[at] ^= 1 << (at % 8);
        let opened = Item::from_blob(changed)
            .map_err(OpenError::from)
            .and_then(|item| {
                // A head of another size is another key's.
                let mut keys = SealingKeys::default();
                keys.add(SealingKey::parse(&SecretBytes::copy_from(PAIR.pem.as_bytes())).expect("a key"));
                keys.open(&item, &label, &[]).map(drop)
            });
        opened.expect_err("changed");
        refused += 1;
    }
    assert!(refused >= 500, "{refused}");
}

#[test]
fn larger_keys_work_and_smaller_ones_are_refused() {
    for bits in [3072, 4096] {
        let pair = pair(bits);
        let text = pair.certificate.seal(b"v", b"l", &mut random).expect("sealed");
        assert_eq!(pair.certificate.sealed_len(1), text.len());
        let item = Item::parse(text.as_bytes()).expect("an item");
        assert_eq!(pair.key.open(&item, b"l").expect("opened").expose(), b"v");
        assert_eq!(pair.key.bits(), bits as usize);
    }
    let small = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 1024).expect("a key");
    let pem = rsa::pkcs8::EncodePrivateKey::to_pkcs8_pem(&small, rsa::pkcs8::LineEnding::LF).expect("PEM");
    SealingKey::parse(&SecretBytes::copy_from(pem.as_bytes())).expect_err("too small");
}

#[test]
fn pkcs1_and_pkcs8_are_the_same_key() {
    let pem =
        rsa::pkcs1::EncodeRsaPrivateKey::to_pkcs1_pem(&theirs(), rsa::pkcs8::LineEnding::LF).expect("PEM");
    assert!(pem.contains("BEGIN RSA PRIVATE KEY"));
    let key = SealingKey::parse(&SecretBytes::copy_from(pem.as_bytes())).expect("a key");
    assert_eq!(key.fingerprint(), PAIR.certificate.fingerprint());
    assert_eq!(key.ssh_fingerprint(), PAIR.certificate.ssh_fingerprint());
}

#[test]
fn the_right_key_is_tried_first_and_wrong_hints_do_no_harm() {
    let mut keys = SealingKeys::default();
    let read = |pair: &Pair| SealingKey::parse(&SecretBytes::copy_from(pair.pem.as_bytes())).expect("a key");
    keys.add(read(&OTHER).since(20));
    keys.add(read(&PAIR).since(10));
    keys.add(read(&PAIR));
    assert_eq!(keys.iter().len(), 2);
    assert_eq!(
        keys.iter().map(SealingKey::not_before).collect::<Vec<_>>(),
        [Some(20), Some(10)]
    );
    let item = seal(b"v", b"");
    for first in [
        &[][..],
        &[OTHER.key.fingerprint()],
        &[PAIR.key.fingerprint(), PAIR.key.fingerprint()],
    ] {
        let (opened, key) = keys.open(&item, b"", first).expect("opened");
        assert_eq!(
            (opened.expose(), key.fingerprint()),
            (&b"v"[..], PAIR.key.fingerprint())
        );
    }
}

/// A manifest, sealed and opened again.
#[test]
fn whole_manifests_go_both_ways() {
    let text = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\n  namespace: prod\n  labels: {app: x}\n  annotations:\n    \
                note: kept\n    kubectl.kubernetes.io/last-applied-configuration: '{\"stringData\":{}}'\n  uid: gone\ntype: Opaque\n\
                immutable: true\ndata:\n  old: b2xk\n  both: b2xk\nstringData:\n  both: new\n  \".dockerconfigjson\": '{}'\n  none:\n";
    for scope in Scope::ALL {
        for (format, hint) in [(Format::Yaml, true), (Format::Json, false)] {
            let source = manifests(text);
            let object = source.iter().next().expect("one").root().expect("an object");
            let secret = Secret::read(object).expect("a Secret");
            secret.check(object).expect("in order");
            let sealed =
                NewSealedSecret::seal(&secret, scope, &PAIR.certificate, hint, &mut random).expect("sealed");
            let keys: Vec<_> = sealed.items.iter().map(|(key, _)| key.as_str()).collect();
            assert_eq!(keys, ["old", "both", ".dockerconfigjson", "none"]);
            let written = sealed.write(format);
            let compact: usize = written
                .expose()
                .split(|byte| *byte == b'\n')
                .map(|line| line.trim_ascii().len())
                .sum();
            let estimate = NewSealedSecret::size_of(&secret, &PAIR.certificate);
            assert!(
                (compact..compact + 1024).contains(&estimate),
                "{estimate} for {compact}"
            );
            let text = String::from_utf8(written.expose().to_vec()).expect("text");
            assert!(!text.contains("last-applied") && !text.contains("uid"), "{text}");
            assert_eq!(text.contains("sealwright.dev/sealed-with"), hint, "{text}");
            let file = Manifests::parse(format, written, &Limits::default()).expect("reads");
            let objects = file.iter().next().expect("one").objects().expect("objects");
            let read = SealedSecret::read(objects.into_iter().next().expect("one")).expect("a SealedSecret");
            assert_eq!(read.scope, scope);
            assert_eq!(sealed_secrets::verify(&read), []);
            let mut keys = SealingKeys::default();
            keys.read(SecretBytes::copy_from(PAIR.pem.as_bytes()), &Limits::default())
                .expect("a key");
            let opened = read.unseal(&keys).expect("reads").expect("opens");
            let values: Vec<_> = opened
                .data
                .iter()
                .map(|(key, value)| (key.as_str(), value.expose()))
                .collect();
            let expected: [(&str, &[u8]); 4] = [
                ("old", b"old"),
                ("both", b"new"),
                (".dockerconfigjson", b"{}"),
                ("none", b""),
            ];
            assert_eq!(values, expected);
            assert_eq!(
                (opened.kind.as_deref(), opened.immutable),
                (Some("Opaque"), Some(true))
            );
            assert_eq!(opened.metadata.annotation("note"), Some("kept"));
            assert_eq!(opened.metadata.labels, [("app".to_owned(), "x".to_owned())]);
        }
    }
}

fn manifests(text: &str) -> Manifests {
    Manifests::parse(
        Format::Yaml,
        SecretBytes::copy_from(text.as_bytes()),
        &Limits::default(),
    )
    .expect("reads")
}
