use super::*;
use crate::KeyProvider as _;
use crate::age::{AgeIdentities, AgeProvider};
use sops::MasterKey;

const PLAINTEXT: &[u8] = b"0123456789abcdef0123456789abcdef";
/// The data key of `by-sops.txt`, as `age -d` prints it.
const BY_SOPS: &str = "25640a3f85bc525386f43286d2cc16f4fb02f10ae315d408d2bb83de6c4bd4d0";

fn text(name: &str) -> String {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/keys/hybrid");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

fn recipient() -> String {
    text("identity.txt")
        .lines()
        .find_map(|line| line.strip_prefix("# public key: "))
        .unwrap()
        .to_owned()
}

fn identity() -> String {
    let text = text("identity.txt");
    text.lines()
        .find(|line| !line.starts_with('#'))
        .unwrap()
        .to_owned()
}

fn key(recipient: &str) -> MasterKey {
    MasterKey::Age {
        recipient: recipient.to_owned(),
    }
}

fn provider(text: &str) -> AgeProvider {
    AgeProvider::from_identities(AgeIdentities::parse(
        &SecretBytes::copy_from(text.as_bytes()),
        "keys.txt",
    ))
}

#[tokio::test]
async fn what_age_and_sops_wrapped_opens() {
    let provider = provider(&text("identity.txt"));
    let held = provider.identities().inventory().held[0].recipient.clone();
    assert_eq!(held, recipient());
    let key = key(&recipient());
    let opened = provider.unwrap(&key, &text("by-age.txt")).await.unwrap();
    assert_eq!(opened.expose(), PLAINTEXT);
    let opened = provider.unwrap(&key, &text("by-sops.txt")).await.unwrap();
    let opened: String = opened.expose().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(opened, BY_SOPS);
}

#[tokio::test]
async fn what_is_wrapped_opens_again_and_for_nobody_else() {
    let (identity, recipient) = generate().unwrap();
    let mine = provider(std::str::from_utf8(identity.expose()).unwrap());
    let key = key(&recipient);
    let enc = mine.wrap(&key, PLAINTEXT).await.unwrap();
    assert_eq!(mine.unwrap(&key, &enc).await.unwrap().expose(), PLAINTEXT);
    let other = provider(&text("identity.txt"));
    assert!(matches!(
        other.unwrap(&key, &enc).await,
        Err(ProviderError::NoIdentity(_))
    ));
    assert_ne!(generate().unwrap().1, recipient);
}

#[tokio::test]
async fn no_bit_of_an_entry_can_be_flipped() {
    use ::age::armor::{ArmoredReader, ArmoredWriter, Format};
    use std::io::{Read as _, Write as _};
    let provider = provider(&text("identity.txt"));
    let mut file = Vec::new();
    ArmoredReader::new(text("by-age.txt").as_bytes())
        .read_to_end(&mut file)
        .unwrap();
    for bit in (0..file.len() * 8).step_by(13) {
        let mut changed = file.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let mut armor = ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor).unwrap();
        armor.write_all(&changed).unwrap();
        let changed = String::from_utf8(armor.finish().unwrap()).unwrap();
        let opened = provider.unwrap(&key(&recipient()), &changed).await;
        assert!(opened.is_err(), "bit {bit}");
    }
}

/// The stanza stands alone: what withstands quantum computers is not mixed with what does not.
#[test]
fn a_header_mixes_no_recipients_of_other_kinds() {
    let hybrid = Recipient::parse(&recipient()).ok().unwrap();
    let x25519 = ::age::x25519::Identity::generate().to_public();
    let both = [&hybrid as &dyn ::age::Recipient, &x25519];
    assert!(::age::Encryptor::with_recipients(both.into_iter()).is_err());
    let twice = [&hybrid as &dyn ::age::Recipient, &hybrid];
    assert!(::age::Encryptor::with_recipients(twice.into_iter()).is_ok());
}

#[test]
fn only_the_right_case_checksum_padding_and_length_are_accepted() {
    let (good, secret) = (recipient(), identity());
    let encoded = |bytes: &[u8]| bech32_encode(RECIPIENT, bytes);
    let mut unreduced = [0; 1216];
    unreduced[..2].fill(0xff);
    for (text, reason) in [
        (good.to_uppercase(), "it does not start with age1pq1"),
        (
            good.replacen("age1pq1", "age1pq1A", 1),
            "it mixes upper and lower case",
        ),
        (good.replacen("age1pq1", "age1pq1b", 1), "it holds a character"),
        (good[..good.len() - 1].to_owned(), "its checksum is wrong"),
        ("age1pq1qqq".to_owned(), "it is too short"),
        (encoded(&[0; 1215]), "it does not hold 1216 bytes"),
        (encoded(&[0; 1217]), "it does not hold 1216 bytes"),
        (encoded(&unreduced), "it is not a sound ML-KEM key"),
        (
            bech32_encode(Hrp::parse_unchecked("age1pq1"), &[0; 1216]),
            "it is of another kind",
        ),
    ] {
        let found = Recipient::parse(&text).err().unwrap_or("accepted");
        assert!(found.starts_with(reason), "{text}: {found}");
    }
    for (text, reason) in [
        (
            secret.to_lowercase(),
            "it does not start with AGE-SECRET-KEY-PQ-1",
        ),
        (
            secret.replacen("PQ-1", "PQ-1a", 1),
            "it mixes upper and lower case",
        ),
        (secret[..secret.len() - 1].to_owned(), "its checksum is wrong"),
        (
            bech32_encode(IDENTITY, &[0; 31]).to_uppercase(),
            "it does not hold 32 bytes",
        ),
    ] {
        let found = Identity::parse(&text).err().unwrap_or("accepted");
        assert!(found.starts_with(reason), "{found}");
    }
}
