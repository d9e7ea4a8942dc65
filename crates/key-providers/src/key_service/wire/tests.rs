use super::*;

/// The message that stock sops sent under `name`.
fn sent(name: &str) -> Vec<u8> {
    let all = include_str!("../../../../../testdata/key-service/requests.txt");
    let line = all
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let hex = line.unwrap_or_else(|| panic!("{name} is not there"));
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
    (0..hex.len()).step_by(2).map(byte).collect()
}

const RECIPIENT: &str = "age1uxq32xlum0e9sdrl8ssxx48rtzec0s7puqeqjx8q059907a4nywslal5zp";

fn keys() -> [(&'static str, MasterKey); 7] {
    let text = str::to_owned;
    [
        (
            "age",
            MasterKey::Age {
                recipient: text(RECIPIENT),
            },
        ),
        (
            "pgp",
            MasterKey::Pgp {
                fingerprint: text("85D77543B3D624B63CEA9E6DBC17301B491B3F21"),
            },
        ),
        (
            "kms",
            MasterKey::AwsKms {
                arn: text("arn:aws:kms:us-east-1:656532927350:key/920aff2e-c5f1-4040-943a-047fa387b27e"),
                role: Some(text("arn:aws:iam::927034868273:role/sops-dev")),
                context: vec![(text("App"), text("sops")), (text("Role"), text("test"))],
                aws_profile: text("team"),
            },
        ),
        (
            "gcp",
            MasterKey::GcpKms {
                resource_id: text("projects/p/locations/global/keyRings/sops/cryptoKeys/k"),
            },
        ),
        (
            "azure",
            MasterKey::AzureKeyVault {
                vault_url: text("https://v.vault.azure.net"),
                name: text("k"),
                version: text("0123456789abcdef0123456789abcdef"),
            },
        ),
        (
            "vault",
            MasterKey::VaultTransit {
                vault_address: text("http://127.0.0.1:1"),
                engine_path: text("team/transit"),
                key_name: text("app"),
            },
        ),
        (
            "hckms",
            MasterKey::HuaweiKms {
                key_id: text("tr-west-1:abc12345-6789-0123-4567-890123456789"),
            },
        ),
    ]
}

#[test]
fn what_sops_sends_is_read_and_written_byte_for_byte() {
    for (name, key) in keys() {
        let bytes = sent(name);
        let request = EncryptRequest::decode(&*bytes).expect(name);
        assert_eq!(request.plaintext.len(), 32, "{name}");
        let named = request.key.clone().and_then(Key::into_master_key);
        assert_eq!(named.as_ref(), Some(&key), "{name}");
        let again = EncryptRequest {
            key: Some(Key::from(&key)),
            plaintext: request.plaintext.clone(),
        };
        assert_eq!(again.encode_to_vec(), bytes, "{name}");
    }
    let bytes = sent("decrypt");
    let request = DecryptRequest::decode(&*bytes).expect("read");
    let enc = String::from_utf8(request.ciphertext.clone()).expect("text");
    assert!(
        enc.starts_with("-----BEGIN AGE") && enc.ends_with("-----\n"),
        "{enc}"
    );
    let [(_, age), ..] = keys();
    assert_eq!(request.key, Some(Key::from(&age)));
    assert_eq!(request.encode_to_vec(), bytes);
}

#[test]
fn a_key_without_a_role_is_told_from_one_with() {
    let key = MasterKey::AwsKms {
        arn: "arn".to_owned(),
        role: None,
        context: Vec::new(),
        aws_profile: String::new(),
    };
    assert_eq!(Key::from(&key).into_master_key(), Some(key.clone()));
    assert_eq!(Key::from(&key).encode_to_vec(), b"\x0a\x05\x0a\x03arn");
}

#[test]
fn no_key_and_a_kind_that_came_later_are_none() {
    // Field 9 of the key, a message with a text.
    for bytes in [&b""[..], b"\x0a\x00", b"\x0a\x05\x4a\x03\x0a\x01x", b"\x12\x01x"] {
        let request = DecryptRequest::decode(bytes).expect("read");
        assert_eq!(request.key.and_then(Key::into_master_key), None);
    }
    for bytes in [&b"\x0a\x05\x4a"[..], b"\xff", b"\x0a\x04\x32\x02\x0a\x09"] {
        assert!(DecryptRequest::decode(bytes).is_err(), "{bytes:?}");
    }
}

#[test]
fn plaintexts_are_not_shown() {
    let request = EncryptRequest {
        key: None,
        plaintext: b"canary".to_vec(),
    };
    let response = DecryptResponse {
        plaintext: b"canary".to_vec(),
    };
    let shown = format!(
        "{request:?} {response:?} {:?}",
        tonic::Request::new(request.clone())
    );
    assert!(!shown.contains("canary") && !shown.contains("99, 97"), "{shown}");
}
