use super::{KeyKind, MasterKey};

/// Each accepted text with the name that SOPS prints for it; `None` where SOPS refuses the text, at once or
/// when it is first used.
const CASES: &[(KeyKind, &str, Option<&str>)] = &[
    (KeyKind::Age, " age1abc ", Some("age1abc")),
    (
        KeyKind::Age,
        "ssh-ed25519 AAAA me@host",
        Some("ssh-ed25519 AAAA me@host"),
    ),
    (KeyKind::Age, " ", None),
    (KeyKind::Pgp, " AAAA BBBB\u{20}CCCC", Some("AAAABBBBCCCC")),
    (
        KeyKind::GcpKms,
        "projects/p/locations/l/keyRings/r/cryptoKeys/k ",
        Some("projects/p/locations/l/keyRings/r/cryptoKeys/k"),
    ),
    (
        KeyKind::AwsKms,
        "arn:aws:kms:eu-west-1:123456789012:key/abc",
        Some("arn:aws:kms:eu-west-1:123456789012:key/abc"),
    ),
    (
        KeyKind::AwsKms,
        "arn:aws:kms:eu-west-1:123456789012:alias/a b",
        Some("arn:aws:kms:eu-west-1:123456789012:alias/ab"),
    ),
    (
        KeyKind::AwsKms,
        "arn:aws-us-gov:kms:r:1:key/a",
        Some("arn:aws-us-gov:kms:r:1:key/a"),
    ),
    (
        KeyKind::AwsKms,
        "arn:aws:kms:eu-west-1:123456789012:key/abc+arn:aws:iam::1:role/x",
        Some("arn:aws:kms:eu-west-1:123456789012:key/abc+arn:aws:iam::1:role/x"),
    ),
    (KeyKind::AwsKms, "foo", None),
    (KeyKind::AwsKms, "arn:aws:s3:eu-west-1:123456789012:key/abc", None),
    (KeyKind::AwsKms, "arn:aws:kms:eu-west-1:abc:key/abc", None),
    (KeyKind::AwsKms, "arn:aws:kms:eu-west-1:1:other/abc", None),
    (KeyKind::HuaweiKms, "r:1-2", Some("r:1-2")),
    (KeyKind::HuaweiKms, "a:b:c", Some("a:b:c")),
    (KeyKind::HuaweiKms, "foo", None),
    (KeyKind::HuaweiKms, "foo:", None),
    (KeyKind::HuaweiKms, ":foo", None),
    (
        KeyKind::AzureKeyVault,
        "https://v.vault.azure.net/keys/n/0123",
        Some("https://v.vault.azure.net/keys/n/0123"),
    ),
    (
        KeyKind::AzureKeyVault,
        "https://v.vault.azure.net/keys/n",
        Some("https://v.vault.azure.net/keys/n/"),
    ),
    (
        KeyKind::AzureKeyVault,
        "https://v.vault.azure.net/keys/n/",
        Some("https://v.vault.azure.net/keys/n/"),
    ),
    (
        KeyKind::AzureKeyVault,
        "https://v.vault.azure.net/keys/n/v/x",
        None,
    ),
    (KeyKind::AzureKeyVault, "https://v.vault.azure.net/keys", None),
    (KeyKind::AzureKeyVault, "http://v.vault.azure.net/keys/n/v", None),
    (KeyKind::AzureKeyVault, "foo", None),
    (
        KeyKind::VaultTransit,
        "https://h:8200/v1/transit/keys/k",
        Some("https://h:8200/v1/transit/keys/k"),
    ),
    (
        KeyKind::VaultTransit,
        "http://h/v1/a/b/c/d/keys/x/",
        Some("http://h/v1/a/b/c/d/keys/x"),
    ),
    (
        KeyKind::VaultTransit,
        "http://h/v1/transit/keys/x///",
        Some("http://h/v1/transit/keys/x"),
    ),
    (
        KeyKind::VaultTransit,
        "http://h//v1/transit/keys/x",
        Some("http://h/v1/transit/keys/x"),
    ),
    (
        KeyKind::VaultTransit,
        "http://h/v11/t/keys/x",
        Some("http://h/v1/t/keys/x"),
    ),
    (
        KeyKind::VaultTransit,
        "http://h/v1/a/keys/b/keys/c",
        Some("http://h/v1/a/keys/b/keys/c"),
    ),
    (
        KeyKind::VaultTransit,
        "http://h/v1/keys/keys/x",
        Some("http://h/v1/keys/keys/x"),
    ),
    (
        KeyKind::VaultTransit,
        "https://h/v1/transit/k/x",
        Some("https://h/v1/transit/keys/x"),
    ),
    (KeyKind::VaultTransit, "foo", None),
    (KeyKind::VaultTransit, "https://h", None),
    (KeyKind::VaultTransit, "https://h/v1/keys", None),
    (KeyKind::VaultTransit, "https://h/v1/transit/keys", None),
    (KeyKind::VaultTransit, "http://h/a/b/keys/x", None),
    (KeyKind::VaultTransit, "http://h/v1//keys/x", None),
    (KeyKind::VaultTransit, "http://h/va/t/keys/x", None),
    (KeyKind::VaultTransit, "http://h/v/t/keys/x", None),
    (KeyKind::VaultTransit, "http://h/V1/t/keys/x", None),
];

#[test]
fn texts_are_read_and_named_as_sops_does() {
    for &(kind, text, expected) in CASES {
        let key = MasterKey::parse(kind, text);
        assert_eq!(
            key.as_ref().ok().map(ToString::to_string).as_deref(),
            expected,
            "{text}"
        );
        match key {
            Ok(key) => assert_eq!(key.key_kind(), kind),
            Err(error) => assert!(
                text.trim().is_empty() || !error.to_string().contains(text),
                "{error}"
            ),
        }
    }
}

#[test]
fn a_list_skips_empty_parts_and_keeps_the_order() {
    let keys = MasterKey::parse_list(KeyKind::Pgp, ", A A,,B ,").unwrap();
    assert_eq!(
        keys.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["AA", "B"]
    );
    assert!(MasterKey::parse_list(KeyKind::HuaweiKms, "r:1,foo").is_err());
    assert_eq!(MasterKey::parse_list(KeyKind::Age, "").unwrap(), []);
}

#[test]
fn a_key_without_version_names_every_version_of_it() {
    let key = |text: &str| MasterKey::parse(KeyKind::AzureKeyVault, text).unwrap();
    let (open, one) = (key("https://v/keys/n"), key("https://v/keys/n/1"));
    assert!(open.names(&one) && open.names(&open) && one.names(&one));
    assert!(!one.names(&open) && !one.names(&key("https://v/keys/n/2")));
    assert!(!open.names(&key("https://v/keys/m/1")) && !open.names(&key("https://w/keys/n/1")));
    let age = |recipient: &str| MasterKey::parse(KeyKind::Age, recipient).unwrap();
    assert!(age("age1a").names(&age("age1a")) && !age("age1a").names(&age("age1b")));
}

#[test]
fn aws_keys_take_the_shared_context_and_profile() {
    let arn = "arn:aws:kms:eu-west-1:123456789012:key/abc";
    let context = MasterKey::parse_context("b:x,a:y").unwrap();
    let named = |context: &[(String, String)], profile| {
        MasterKey::parse(KeyKind::AwsKms, arn)
            .unwrap()
            .with_aws(context, profile)
            .to_string()
    };
    assert_eq!(named(&context, ""), format!("{arn}|a:y,b:x"));
    assert_eq!(named(&[], "p"), format!("{arn}||p"));
    assert_eq!(named(&context, "p"), format!("{arn}|a:y,b:x|p"));
    let age = MasterKey::Age {
        recipient: "age1x".to_owned(),
    };
    assert_eq!(age.clone().with_aws(&context, "p"), age);
    assert!(MasterKey::parse_context("a").is_err());
    assert!(MasterKey::parse_context("a:b:c").is_err());
    assert!(MasterKey::parse_context("a:b,").is_err());
    assert_eq!(MasterKey::parse_context("").unwrap(), []);
    let last = MasterKey::parse_context("a:x,b:y,a:z").unwrap();
    assert_eq!(
        last,
        [("a", "z"), ("b", "y")].map(|(name, value)| (name.into(), value.into()))
    );
}

#[test]
fn the_kinds_have_the_names_of_the_metadata_lists() {
    let names = KeyKind::ALL.map(KeyKind::name);
    assert_eq!(
        names,
        ["age", "pgp", "kms", "gcp_kms", "hckms", "azure_kv", "hc_vault"]
    );
}
