use super::*;
use crate::age::{AgeProvider, AgeSources, KeyCommand};
use crate::{KeyProvider as _, SourceFault};
use sops::MasterKey;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const PLAINTEXT: &[u8] = b"0123456789abcdef0123456789abcdef";
/// The data keys of `*.by-sops.txt`, as `age -d` prints them.
const BY_SOPS: [(&str, &str); 2] = [
    (
        "ed25519",
        "0e7da3ee16b80003567a6bc258641b5302fb8b11f7eff142d9cfb1df79c94b92",
    ),
    (
        "rsa",
        "2dddfbd4922776e0e4eba755831fac8d65818907e44ad661506396f5ffb48fbb",
    ),
];
const ED25519_FILES: [&str; 7] = [
    "ed25519",
    "ed25519-pkcs8.pem",
    "ed25519-locked",
    "ed25519-locked-aes128-cbc",
    "ed25519-locked-aes128-ctr",
    "ed25519-locked-aes256-gcm",
    "ed25519-locked-chacha20-poly1305",
];
const RSA_FILES: [&str; 4] = ["rsa", "rsa-pkcs1.pem", "rsa-pkcs8.pem", "rsa-locked"];

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../testdata/keys/ssh")
        .join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(file(name)).unwrap()
}

fn key(name: &str) -> MasterKey {
    MasterKey::Age {
        recipient: text(&format!("{name}.pub")).trim().to_owned(),
    }
}

/// Somebody who knows one passphrase, gives it when asked for the last time, and counts the questions.
struct Knows {
    passphrase: &'static str,
    wrong_first: usize,
    asked: AtomicUsize,
}

impl Knows {
    fn new(passphrase: &'static str, wrong_first: usize) -> Arc<Self> {
        Arc::new(Self {
            passphrase,
            wrong_first,
            asked: AtomicUsize::new(0),
        })
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Prompt for Knows {
    fn secret(&self, question: &str) -> Option<SecretBytes> {
        assert!(question.starts_with("Passphrase for "), "{question}");
        let before = self.asked.fetch_add(1, Ordering::Relaxed);
        let passphrase = if before < self.wrong_first {
            "wrong"
        } else {
            self.passphrase
        };
        Some(SecretBytes::copy_from(passphrase.as_bytes()))
    }

    fn line(&self, _: &str) -> Option<String> {
        None
    }

    fn confirm(&self, _: &str, _: &str, _: Option<&str>) -> Option<bool> {
        None
    }

    fn message(&self, _: &str) {}
}

fn provider(files: &[&str]) -> AgeProvider {
    AgeProvider::new(AgeSources {
        ssh_files: files.iter().map(|name| file(name)).collect(),
        ..AgeSources::default()
    })
}

async fn unwrapped(provider: &AgeProvider, name: &str, enc: &str) -> Result<Vec<u8>, ProviderError> {
    Ok(provider.unwrap(&key(name), enc).await?.expose().to_vec())
}

fn faults(error: ProviderError) -> Vec<SourceFault> {
    match error {
        ProviderError::NoIdentity(inventory) => inventory.faults.clone(),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn what_age_and_sops_wrapped_opens_with_every_form_of_the_key_file() {
    let knows = Knows::new("correct horse", 0);
    for (name, files) in [("ed25519", &ED25519_FILES[..]), ("rsa", &RSA_FILES)] {
        let data_key = BY_SOPS.iter().find(|(by, _)| *by == name).unwrap().1;
        for form in files {
            let provider = provider(&[form]).asking(knows.clone());
            let opened = unwrapped(&provider, name, &text(&format!("{name}.by-age.txt"))).await;
            assert_eq!(opened.unwrap(), PLAINTEXT, "{form}");
            let opened = unwrapped(&provider, name, &text(&format!("{name}.by-sops.txt"))).await;
            let opened: String = opened.unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(opened, data_key, "{form}");
        }
    }
    // Once for each locked file, though each opened two entries.
    assert_eq!(knows.asked(), 6);
}

#[tokio::test]
async fn what_is_wrapped_opens_again_and_for_nobody_else() {
    let both = provider(&["ed25519", "rsa"]);
    for (name, other) in [("ed25519", "rsa"), ("rsa", "ed25519")] {
        let enc = both.wrap(&key(name), PLAINTEXT).await.unwrap();
        assert_eq!(unwrapped(&both, name, &enc).await.unwrap(), PLAINTEXT);
        let error = unwrapped(&provider(&[other]), name, &enc).await.unwrap_err();
        assert!(matches!(error, ProviderError::NoIdentity(_)), "{error}");
        // A label that is wrong misleads nobody.
        assert_eq!(unwrapped(&both, other, &enc).await.unwrap(), PLAINTEXT);
    }
}

#[tokio::test]
async fn no_bit_of_an_entry_can_be_flipped() {
    use ::age::armor::{ArmoredReader, ArmoredWriter, Format};
    use std::io::{Read as _, Write as _};
    for (name, step) in [("ed25519", 1), ("rsa", 7)] {
        let provider = provider(&[name]);
        let enc = provider.wrap(&key(name), PLAINTEXT).await.unwrap();
        let mut file = Vec::new();
        ArmoredReader::new(enc.as_bytes()).read_to_end(&mut file).unwrap();
        for bit in (0..file.len() * 8).step_by(step) {
            let mut changed = file.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let mut armor = ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor).unwrap();
            armor.write_all(&changed).unwrap();
            let changed = String::from_utf8(armor.finish().unwrap()).unwrap();
            let opened = unwrapped(&provider, name, &changed).await;
            assert!(
                matches!(opened, Err(ProviderError::Damaged(_))),
                "{name} bit {bit}: {opened:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_passphrase_is_asked_for_only_if_the_key_fits_and_three_times_at_most() {
    let enc = text("rsa.by-age.txt");
    let patient = Knows::new("correct horse", 2);
    let locked = provider(&["rsa-locked"]).asking(patient.clone());
    assert_eq!(unwrapped(&locked, "rsa", &enc).await.unwrap(), PLAINTEXT);
    assert_eq!(patient.asked(), 3);

    let unneeded = Knows::new("correct horse", 0);
    let open_first = provider(&["rsa-locked", "rsa"]).asking(unneeded.clone());
    assert_eq!(unwrapped(&open_first, "rsa", &enc).await.unwrap(), PLAINTEXT);
    let other = provider(&["ed25519-locked"]).asking(unneeded.clone());
    assert!(unwrapped(&other, "rsa", &enc).await.is_err());
    assert_eq!(unneeded.asked(), 0);

    let ignorant = Knows::new("hunter2", 0);
    let locked = provider(&["rsa-locked"]).asking(ignorant.clone());
    for _ in 0..2 {
        let faults = faults(unwrapped(&locked, "rsa", &enc).await.unwrap_err());
        assert_eq!(
            faults[0].reason,
            "it is under a passphrase, and none of those given was right"
        );
    }
    assert_eq!(ignorant.asked(), 3);

    let nobody = provider(&["rsa-locked"]);
    let faults = faults(unwrapped(&nobody, "rsa", &enc).await.unwrap_err());
    assert!(faults[0].reason.ends_with("nobody gave one"), "{faults:?}");
}

#[tokio::test]
async fn key_files_that_cannot_be_used_are_named_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let rsa = text("rsa");
    let swapped = text("rsa-pkcs8.pem").replace("PRIVATE KEY-----", "RSA PRIVATE KEY-----");
    for (path, reason) in [
        (write("mixed", &mixed()), "do not belong together"),
        (file("ecdsa"), "of a kind that is not supported"),
        (file("rsa-pkcs1-locked.pem"), "ssh-keygen -p"),
        (file("rsa.pub"), "it is not an SSH private key"),
        (file("missing"), "it does not exist"),
        (write("cut", &rsa[..400]), "cut, malformed"),
        (write("changed", &rsa.replacen("AAA", "AAB", 1)), "cut, malformed"),
        (write("swapped", &swapped), "not those of an RSA key"),
        (
            write("open", "-----BEGIN PRIVATE KEY-----\nhunter2\n"),
            "it is cut",
        ),
        (
            write(
                "base64",
                "-----BEGIN PRIVATE KEY-----\nhunter2!\n-----END PRIVATE KEY-----",
            ),
            "it is not Base64",
        ),
    ] {
        let provider = AgeProvider::new(AgeSources {
            ssh_files: vec![path.clone()],
            ..AgeSources::default()
        });
        let error = unwrapped(&provider, "rsa", &text("rsa.by-age.txt"))
            .await
            .unwrap_err();
        let faults = faults(error);
        assert!(
            faults[0].reason.contains(reason),
            "{}: {faults:?}",
            path.display()
        );
        assert!(!faults[0].to_string().contains("hunter2"));
    }
}

/// A key file whose private key is another one's.
fn mixed() -> String {
    let text = text("ed25519");
    let lines: Vec<&str> = text.lines().collect();
    let (inside, ends) = (
        lines[1..lines.len() - 1].concat(),
        [lines[0], lines[lines.len() - 1]],
    );
    let mut bytes = BASE64_STANDARD.decode(inside).unwrap();
    // The private key is its seed and, once more, the public key.
    let public = &public_blob()[19..];
    let at = bytes.windows(32).rposition(|part| part == public).unwrap();
    bytes[at - 1] ^= 1;
    let base64 = BASE64_STANDARD.encode(bytes);
    let lines: Vec<&str> = base64
        .as_bytes()
        .chunks(70)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    format!("{}\n{}\n{}\n", ends[0], lines.join("\n"), ends[1])
}

fn public_blob() -> Vec<u8> {
    let text = text("ed25519.pub");
    BASE64_STANDARD.decode(text.split(' ').nth(1).unwrap()).unwrap()
}

#[test]
fn recipients_that_are_not_sound_keys_are_invalid() {
    let base64 = |kind: &[u8], parts: &[&[u8]]| {
        let mut blob = Vec::new();
        for part in std::iter::once(&kind).chain(parts) {
            blob.extend_from_slice(&(part.len() as u32).to_be_bytes());
            blob.extend_from_slice(part);
        }
        BASE64_STANDARD.encode(blob)
    };
    let mut not_a_point = [0; 32];
    not_a_point[0] = 2;
    let mut identity_point = [0; 32];
    identity_point[0] = 1;
    let ed25519 = |key: &[u8]| format!("ssh-ed25519 {}", base64(b"ssh-ed25519", &[key]));
    let good = text("ed25519.pub");
    let words: Vec<&str> = good.split(' ').collect();
    for (recipient, reason) in [
        (text("rsa-1024.pub"), "this one has 1024"),
        ("ssh-ed25519 A".to_owned(), "not Base64"),
        ("ssh-ed25519 AAAA".to_owned(), "cut or malformed"),
        (format!("ssh-rsa {}", words[1]), "another type than it says"),
        (ed25519(&not_a_point), "not a point of its curve"),
        (ed25519(&identity_point), "a point of low order"),
        (ed25519(&[0; 31]), "cut or malformed"),
        (
            format!("ssh-rsa {}", base64(b"ssh-rsa", &[&[3], &[0x80; 256]])),
            "negative number",
        ),
        (
            format!(
                "ssh-rsa {}",
                base64(b"ssh-rsa", &[&[2], &[&[0][..], &[0x81; 256]].concat()])
            ),
            "not a sound RSA key",
        ),
        (
            format!(
                "ssh-ed25519 {}",
                base64(b"ecdsa-sha2-nistp256", &[b"nistp256", &[4; 65]])
            ),
            "",
        ),
    ] {
        let Err(ProviderError::InvalidKey(found)) = Recipient::parse(&recipient) else {
            panic!("{recipient} was accepted");
        };
        assert!(found.contains(reason), "{recipient}: {found}");
    }
    assert!(Recipient::parse(good.trim()).is_ok());
    assert!(Recipient::parse(&words[..2].join("  ")).is_ok());
}

/// No SSH key is read, and no program is run for one, while a file is sealed for something else.
#[cfg(unix)]
#[tokio::test]
async fn other_files_do_not_touch_ssh_keys() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("program");
    let note = folder.path().join("ran");
    std::fs::write(
        &program,
        format!(
            "#!/bin/sh\necho x >> '{}'\ncat '{}'\n",
            note.display(),
            file("rsa").display()
        ),
    )
    .unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
    let (identity, recipient) = crate::age::generate().unwrap();
    let provider = AgeProvider::new(AgeSources {
        inline: Some(identity),
        ssh_command: Some(KeyCommand {
            line: program.into(),
            search_path: None,
        }),
        ssh_files: vec![file("missing")],
        ..AgeSources::default()
    });
    let mine = MasterKey::Age { recipient };
    let enc = provider.wrap(&mine, PLAINTEXT).await.unwrap();
    assert!(provider.unwrap(&mine, &enc).await.is_ok());
    assert!(provider.ssh.get().is_none() && !note.exists());

    for _ in 0..2 {
        let opened = unwrapped(&provider, "rsa", &text("rsa.by-age.txt")).await;
        assert_eq!(opened.unwrap(), PLAINTEXT);
    }
    assert_eq!(std::fs::read_to_string(note).unwrap(), "x\n");
}
