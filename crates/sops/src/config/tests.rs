//! FF-13: `.sops.yaml` texts with what comes of them here and in SOPS.

use proptest::prelude::*;

use super::*;
use crate::{KeyKind, Selector};

/// See the README beside it: the texts with both outcomes.
const CASES: &str = include_str!("../../../../testdata/sops/config.txt");

/// What a configuration does for one path, in one line.
fn outcome(text: &str, path: &str, people: &[&str]) -> String {
    let config = match Config::parse(text.as_bytes()) {
        Ok(config) => config,
        Err(error) => return format!("refused: {error}"),
    };
    let mut line = match config.rule_for(path) {
        _ if config.creation_rules.is_empty() => "no rules".to_owned(),
        None => "no match".to_owned(),
        Some(rule) if !rule.has_keys() => "no keys".to_owned(),
        Some(rule) => describe(rule, people),
    };
    for warning in &config.warnings {
        line += &format!("; warning: {warning}");
    }
    line
}

fn describe(rule: &CreationRule, people: &[&str]) -> String {
    let name = |key: &MasterKey| {
        let text = key.to_string();
        people
            .iter()
            .position(|person| *person == text)
            .map_or(text, |i| (i + 1).to_string())
    };
    let group = |group: &Vec<MasterKey>| group.iter().map(name).collect::<Vec<_>>().join(",");
    let groups = rule.groups.iter().map(group).collect::<Vec<_>>().join("|");
    let selector = Selector::new(&rule.rules).unwrap();
    let sealed = |key: &&str| {
        let mut walk = selector.walk();
        walk.enter_key(key);
        walk.leaf()
    };
    let sealed: Vec<_> = ["a", "b_unencrypted", "password"]
        .into_iter()
        .filter(sealed)
        .collect();
    let mut line = format!("groups {groups} seal {}", sealed.join(","));
    if rule.shamir_threshold > 0 {
        line += &format!(" threshold {}", rule.shamir_threshold);
    }
    if rule.mac_only_encrypted {
        line += " mac_only_encrypted";
    }
    line
}

#[test]
fn every_case_of_the_file_comes_out_as_written() {
    let cases: Vec<serde_json::Value> = CASES
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    let people: Vec<&str> = cases[0]["people"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p.as_str().unwrap())
        .collect();
    let mut differing = 0;
    for case in &cases[1..] {
        let field = |name: &str| case[name].as_str().unwrap();
        assert_eq!(
            outcome(field("text"), field("path"), &people),
            field("ours"),
            "{}",
            field("name")
        );
        differing += usize::from(case["differs"].as_bool().unwrap());
    }
    assert_eq!((cases.len() - 1, differing), (CASE_COUNT, DIFFERING));
}

const CASE_COUNT: usize = 225;
const DIFFERING: usize = 33;

fn first_rule(text: &str) -> CreationRule {
    let config = Config::parse(format!("creation_rules:\n- {}", text.replace('\n', "\n  ")).as_bytes());
    config
        .unwrap_or_else(|e| panic!("{text}: {e}"))
        .creation_rules
        .remove(0)
}

const ARN: &str = "arn:aws:kms:eu-west-1:123456789012:key/abc";

#[test]
fn plain_lists_make_one_group_in_the_order_of_sops() {
    let rule = first_rule(&format!(
        "hc_vault_transit_uri: http://h/v1/transit/keys/k\nazure_keyvault: [https://v/keys/n/1]\nhckms: ['r:1', 'r:2']\n\
         gcp_kms: p\nkms: {ARN}+arn:aws:iam::1:role/x\naws_profile: dev\npgp: AA BB,CC\nage: age1x",
    ));
    let names: Vec<_> = rule.keys().map(ToString::to_string).collect();
    let kms = format!("{ARN}+arn:aws:iam::1:role/x||dev");
    let expected = [
        "age1x",
        "AABB",
        "CC",
        &kms,
        "p",
        "r:1",
        "r:2",
        "https://v/keys/n/1",
        "http://h/v1/transit/keys/k",
    ];
    assert_eq!(names, expected);
    assert_eq!(rule.groups.len(), 1);
}

#[test]
fn a_group_holds_merged_keys_first_then_its_own_in_the_order_of_sops() {
    let rule = first_rule(&format!(
        "key_groups:\n- hc_vault: ['http://h/v1/t/keys/k']\n  kms:\n  - arn: {ARN}\n    role: r\n    context: {{b: x, a: 1}}\n    \
         aws_profile: dev\n  - arn: {ARN}\n  hckms: [{{key_id: 'r:1'}}]\n  gcp_kms: [{{resource_id: p}}]\n  pgp: [AA]\n  age: [age1x]\n  \
         azure_keyvault: [{{vaultUrl: 'https://v', key: n}}]\n  merge:\n  - gcp_kms: [{{resource_id: m}}]",
    ));
    let names: Vec<_> = rule.keys().map(ToString::to_string).collect();
    let kms = format!("{ARN}+r|a:1,b:x|dev");
    assert_eq!(
        names,
        [
            "m",
            "age1x",
            "AA",
            &kms,
            ARN,
            "p",
            "r:1",
            "https://v/keys/n/",
            "http://h/v1/t/keys/k"
        ]
    );
    assert_eq!(
        rule.keys()
            .map(MasterKey::key_kind)
            .filter(|kind| *kind == KeyKind::AwsKms)
            .count(),
        2
    );
}

#[test]
fn stores_destinations_and_policy_are_read() {
    let config = Config::parse(
        b"stores:\n  yaml: {indent: 2}\n  json: {indent: -1}\n  ini: {}\n\
          seal:\n  require_integrity: true\n  owners: [{name: dev}]\n\
          destination_rules:\n- path_regex: ^s3/\n  s3_bucket: b\n  s3_prefix: p/\n  omit_extensions: true\n\
          - path_regex: ^gcs/\n  gcs_bucket: g\n- vault_path: v/\n  vault_kv_version: 1\n  recreation_rule:\n    age: age1x\n",
    )
    .unwrap();
    assert_eq!(
        config.stores,
        Stores {
            yaml_indent: Some(2),
            json_indent: Some(-1),
            json_binary_indent: None
        }
    );
    assert!(config.seal.require_integrity && config.seal.present);
    assert_eq!(config.warnings, []);
    let s3 = config.destination_for("s3/a.yaml").unwrap();
    assert_eq!(
        s3.destination,
        Some(Destination::S3 {
            bucket: "b".to_owned(),
            prefix: "p/".to_owned()
        })
    );
    assert!(s3.omit_extensions && s3.recreation_rule.is_none());
    let gcs = config.destination_for("gcs/a").unwrap();
    assert_eq!(
        gcs.destination,
        Some(Destination::Gcs {
            bucket: "g".to_owned(),
            prefix: String::new()
        })
    );
    let vault = config.destination_for("x").unwrap();
    let expected = Destination::Vault {
        address: String::new(),
        path: "v/".to_owned(),
        kv_mount_name: "secret/".to_owned(),
        kv_version: 1,
    };
    assert_eq!(vault.destination, Some(expected));
    assert!(vault.recreation_rule.as_ref().unwrap().has_keys());
    assert!(config.rule_for("x").is_none());
    assert!(!Config::parse(b"").unwrap().seal.present);
}

#[test]
fn keys_kept_for_aliases_are_not_warned_about() {
    let text = b"keys:\n- &a age1a\nx-more: 1\n.more: 2\nmore: 3\ncreation_rules:\n- age: [*a]\n";
    let config = Config::parse(text).unwrap();
    let warnings: Vec<_> = config.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings, ["line 5, column 1: unknown key more"]);
}

/// Wherever a value is wrong, it is not repeated.
#[test]
fn no_error_holds_a_value() {
    let canary = "hunter2hunter2";
    let texts = [
        "creation_rules: CANARY",
        "creation_rules: {a: CANARY}",
        "creation_rules:\n- CANARY",
        "creation_rules:\n- age: {CANARY: CANARY}",
        "creation_rules:\n- path_regex: CANARY(",
        "creation_rules:\n- encrypted_regex: CANARY(",
        "creation_rules:\n- shamir_threshold: CANARY",
        "creation_rules:\n- mac_only_encrypted: CANARY",
        "creation_rules:\n- kms: CANARY",
        "creation_rules:\n- azure_keyvault: CANARY",
        "creation_rules:\n- hc_vault_transit_uri: CANARY",
        "creation_rules:\n- hckms: [CANARY]",
        "creation_rules:\n- age: *CANARY",
        "creation_rules:\n- age: 'CANARY",
        "creation_rules:\n- age: \"\\qCANARY\"",
        "creation_rules:\n- age: !!int CANARY",
        "creation_rules:\n- age: !!binary CANARY#",
        "creation_rules:\n- &CANARY : *CANARY",
        "CANARY: &a CANARY\nCANARY: 1",
        "? [CANARY]\n: CANARY",
        "stores: {yaml: {indent: CANARY}}",
        "seal: CANARY",
        "seal: {require_integrity: CANARY}",
        "CANARY",
        "- CANARY",
        "a: b: CANARY",
        "a: [CANARY",
        "a:\n\tCANARY: 1\n",
    ];
    for text in texts {
        let error = Config::parse(text.replace("CANARY", canary).as_bytes()).expect_err(text);
        assert!(
            !format!("{error} {error:?}").contains("hunter"),
            "{text}: {error}"
        );
        assert!(error.line >= 1, "{text}: {error}");
    }
}

#[test]
fn what_expands_or_nests_without_end_is_refused() {
    let mut bomb = String::from("a0: &a0 [x]\n");
    for i in 1..30 {
        bomb += &format!(
            "a{i}: &a{i} [*a{0},*a{0},*a{0},*a{0},*a{0},*a{0},*a{0},*a{0}]\n",
            i - 1
        );
    }
    assert!(Config::parse(bomb.as_bytes()).is_err());
    let nested = "creation_rules:\n- key_groups:\n  - ".to_owned() + &"merge: [{".repeat(5000);
    assert!(Config::parse(nested.as_bytes()).is_err());
    let nested = format!("creation_rules: {}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(Config::parse(nested.as_bytes()).is_err());
    assert_eq!(
        Config::parse(b"creation_rules:\n- age: \xff\n").unwrap_err().line,
        2
    );
}

/// One anchor may serve any number of rules.
#[test]
fn many_aliases_of_one_anchor_are_fine() {
    let text = format!("keys: &k [age1a]\ncreation_rules:\n{}", "- age: *k\n".repeat(500));
    assert_eq!(Config::parse(text.as_bytes()).unwrap().creation_rules.len(), 500);
}

proptest! {
    #[test]
    fn no_text_panics(text in r"(creation_rules:|- |age: |key_groups:|merge: |path_regex: |\(|\[|\]|\{|\}|,|\n|  |'|a|1|~|&x|\*x|<<: |: |#|---\n){0,30}") {
        let _ = Config::parse(text.as_bytes());
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let _ = Config::parse(&bytes);
    }
}
