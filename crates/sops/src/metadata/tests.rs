//! The block in every shape that tools write, and in shapes that only an attacker writes.

use super::*;

const TIME: &str = "2024-01-02T03:04:05Z";

fn text(text: &str) -> Value {
    Value::Str(text.to_owned())
}

fn map<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Map(entries.map(|(name, value)| (name.to_owned(), value)).into())
}

fn list<const N: usize>(items: [Value; N]) -> Value {
    Value::List(items.into())
}

fn age(recipient: &str) -> Value {
    map([("enc", text("wrapped\n")), ("recipient", text(recipient))])
}

/// A block with one age key and these fields besides.
fn block<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let Value::Map(mut entries) = map(fields) else {
        unreachable!("map makes maps")
    };
    for (name, value) in [
        ("age", list([age("age1a")])),
        ("lastmodified", text(TIME)),
        ("mac", text("ENC[...]")),
        ("version", text("3.11.0")),
    ] {
        if entries.iter().all(|(known, _)| known != name) {
            entries.push((name.to_owned(), value));
        }
    }
    Value::Map(entries)
}

fn read<const N: usize>(fields: [(&str, Value); N]) -> Result<Metadata, MetadataError> {
    Metadata::from_value(&block(fields))
}

fn refused<const N: usize>(fields: [(&str, Value); N]) -> String {
    match read(fields) {
        Err(error) => error.to_string(),
        Ok(metadata) => panic!("accepted: {metadata:?}"),
    }
}

/// Every kind of key with all its fields.
fn every_kind() -> Value {
    let entry = |fields: &[(&str, &str)]| {
        let mut fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), text(value)))
            .collect();
        fields.extend([
            ("created_at".to_owned(), text(TIME)),
            ("enc".to_owned(), text("wrapped")),
        ]);
        fields.sort_by(|one, other| one.0.cmp(&other.0));
        Value::Map(fields)
    };
    let Value::Map(mut kms) = entry(&[
        ("arn", "arn:aws:kms:x"),
        ("aws_profile", ""),
        ("role", "arn:role"),
    ]) else {
        unreachable!("entries are maps")
    };
    kms.insert(
        2,
        ("context".to_owned(), map([("a", text("1")), ("b", text("2"))])),
    );
    map([
        ("age", list([age("age1a"), age("age1b")])),
        (
            "azure_kv",
            list([entry(&[
                ("name", "n"),
                ("vault_url", "https://v"),
                ("version", "7"),
            ])]),
        ),
        ("gcp_kms", list([entry(&[("resource_id", "projects/p")])])),
        (
            "hc_vault",
            list([entry(&[
                ("engine_path", "a/b"),
                ("key_name", "k"),
                ("vault_address", "https://w"),
            ])]),
        ),
        ("hckms", list([entry(&[("key_id", "r:u")])])),
        ("kms", list([Value::Map(kms)])),
        ("lastmodified", text(TIME)),
        ("mac", text("ENC[...]")),
        ("pgp", list([entry(&[("fp", "ABCD")])])),
        ("unencrypted_suffix", text("_unencrypted")),
        ("version", text("3.13.3")),
    ])
}

#[test]
fn every_kind_of_key_comes_back_as_it_was_and_in_sops_order() {
    let block = every_kind();
    let metadata = Metadata::from_value(&block).expect("a good block");
    let kinds: Vec<_> = metadata.groups[0].iter().map(KeyEntry::kind).collect();
    assert_eq!(
        kinds,
        [
            "kms", "gcp_kms", "hckms", "azure_kv", "hc_vault", "pgp", "age", "age"
        ]
    );
    assert_eq!(metadata.to_value(), block);
    assert_eq!(metadata.threshold(), Ok(1));
    let flat = flatten(&block);
    assert!(flat.contains(&("kms__list_0__map_context__map_b".into(), "2".into())));
    let back = Metadata::from_value(&unflatten(&flat).expect("flat names")).expect("a good block");
    assert_eq!(back, metadata);
}

#[test]
fn groups_are_written_as_3_13_writes_them() {
    let group = |recipient| map([("age", list([age(recipient)])), ("hc_vault", list([]))]);
    let fields = [
        ("age", Value::Null),
        ("kms", list([])),
        (
            "key_groups",
            list([group("age1a"), group("age1b"), group("age1c")]),
        ),
        ("shamir_threshold", Value::Int(2)),
    ];
    let metadata = read(fields.clone()).expect("a good block");
    assert_eq!(metadata.form, GroupForm::Groups);
    assert_eq!(metadata.threshold(), Ok(2));
    let written = metadata.to_value();
    assert_eq!(written.get("key_groups"), Some(&fields[2].1));
    assert_eq!(written.get("age"), None);
    let flat = flatten(&written);
    assert_eq!(flat[1].0, "key_groups__list_0__map_age__list_0__map_recipient");
    assert!(
        flat.iter().all(|(name, _)| !name.contains("hc_vault")),
        "empty lists vanish"
    );
    assert_eq!(
        Metadata::from_value(&unflatten(&flat).expect("flat names")),
        Ok(metadata)
    );
}

#[test]
fn unknown_fields_and_kinds_survive() {
    let new_kind = list([map([
        ("enc", text("x")),
        ("id", Value::Int(7)),
        ("more", list([Value::Bool(true)])),
    ])]);
    let fields = [
        (
            "age",
            list([map([
                ("enc", text("")),
                ("note", Value::Null),
                ("recipient", text("age1a")),
            ])]),
        ),
        ("attention", text("This section")),
        ("key_groups", list([map([("age", list([age("age1x")]))])])),
        ("lastmodified", text(TIME)),
        ("new_kms", new_kind.clone()),
        ("nothing", Value::Null),
        ("version", text("9")),
    ];
    let written = map(fields.clone());
    let metadata = Metadata::from_value(&written).expect("a good block");
    assert_eq!(metadata.groups[0][1].key, EntryKey::Unknown("new_kms".into()));
    assert_eq!(metadata.groups[0][1].master_key(), None);
    assert_eq!(metadata.to_value(), written, "the ignored key_groups included");
    let grouped = read([
        ("age", list([])),
        ("key_groups", list([map([("new_kms", new_kind.clone())])])),
    ]);
    let grouped = grouped.expect("a good block");
    assert_eq!(grouped.groups[0][0].kind(), "new_kms");
    let Some(Value::List(groups)) = grouped.to_value().get("key_groups").cloned() else {
        panic!("no groups")
    };
    assert_eq!(groups[0].get("new_kms"), Some(&new_kind));
}

#[test]
fn more_groups_replace_an_ignored_field_of_that_name() {
    let mut metadata =
        read([("key_groups", list([map([("age", list([age("age1x")]))])]))]).expect("a good block");
    metadata.groups.push(metadata.groups[0].clone());
    let Value::Map(entries) = metadata.to_value() else {
        panic!("no map")
    };
    let groups: Vec<_> = entries.iter().filter(|(name, _)| name == "key_groups").collect();
    assert!(matches!(groups.as_slice(), [(_, Value::List(groups))] if groups.len() == 2));
}

#[test]
fn texts_numbers_and_booleans_are_taken_for_each_other() {
    let metadata = read([
        ("shamir_threshold", text("2")),
        ("mac_only_encrypted", text("true")),
        ("version", Value::Int(3)),
        ("unencrypted_suffix", text("")),
        ("encrypted_suffix", Value::Bool(true)),
        ("mac", text("")),
        ("unknown", Value::Int(1)),
    ]);
    let metadata = metadata.expect("a good block");
    assert_eq!(
        (metadata.shamir_threshold, metadata.mac_only_encrypted),
        (Some(2), true)
    );
    assert_eq!((metadata.version.as_str(), metadata.mac.as_deref()), ("3", None));
    assert_eq!(
        metadata.rules,
        Rules {
            encrypted_suffix: Some("true".into()),
            ..Rules::default()
        }
    );
    assert_eq!(metadata.extra, [("unknown".to_owned(), Value::Int(1))]);
    for (off, wanted) in [
        (text("False"), false),
        (text(""), false),
        (Value::Null, false),
        (Value::Int(1), true),
    ] {
        assert_eq!(
            read([("mac_only_encrypted", off)]).map(|read| read.mac_only_encrypted),
            Ok(wanted)
        );
    }
}

/// FF-16, shapes.
#[test]
fn wrong_shapes_name_their_field() {
    assert_eq!(
        Metadata::from_value(&text("x")),
        Err(MetadataError::Shape {
            at: "sops".into(),
            wanted: "a map"
        })
    );
    for (name, value, message) in [
        ("age", text("x"), "sops.age must be a list"),
        ("age", list([text("x")]), "sops.age[0] must be a map"),
        (
            "age",
            list([map([("enc", text("x"))])]),
            "sops.age[0].recipient is missing",
        ),
        (
            "age",
            list([map([("recipient", list([]))])]),
            "sops.age[0].recipient must be a text",
        ),
        (
            "pgp",
            list([map([("fp", text("A"))])]),
            "sops.pgp[0].created_at is missing",
        ),
        ("key_groups", list([Value::Null]), "sops.age must be a list"),
        ("lastmodified", Value::Null, "sops.lastmodified is missing"),
        (
            "lastmodified",
            text("yesterday"),
            "sops.lastmodified must be a time like 2006-01-02T15:04:05Z",
        ),
        ("mac", list([]), "sops.mac must be a text"),
        (
            "mac_only_encrypted",
            text("yes"),
            "sops.mac_only_encrypted must be true or false",
        ),
        (
            "age__list_1__map_recipient",
            text("x"),
            "sops.age__list_1__map_recipient has a name with __map_ or __list_ in it",
        ),
        (
            "x",
            list([map([("a__map_b", text("x"))])]),
            "sops.x[0].a__map_b has a name with __map_ or __list_ in it",
        ),
    ] {
        let found = match name {
            "key_groups" => refused([("age", text("")), (name, value)]),
            _ => refused([(name, value)]),
        };
        assert_eq!(found, message);
    }
    let groups = |group: Value| refused([("age", list([])), ("key_groups", list([group]))]);
    assert_eq!(groups(text("x")), "sops.key_groups[0] must be a map");
    assert_eq!(
        groups(map([("new", text("x"))])),
        "sops.key_groups[0].new must be a list"
    );
    assert_eq!(
        groups(map([("new", list([text("x")]))])),
        "sops.key_groups[0].new[0] must be a map"
    );
    assert_eq!(refused([("age", list([]))]), "sops names no key");
    assert_eq!(
        refused([("age", list([])), ("key_groups", list([]))]),
        "sops names no key"
    );
    assert_eq!(
        refused([("version", text("1")), ("version", text("1"))]),
        "sops.version stands twice"
    );
}

#[test]
fn at_most_one_rule_is_possible() {
    let both = refused([("encrypted_regex", text("a")), ("unencrypted_suffix", text("b"))]);
    assert_eq!(
        both,
        "sops has both encrypted_regex and unencrypted_suffix: at most one selection rule is possible"
    );
    assert!(read([("encrypted_regex", text("a")), ("unencrypted_suffix", text(""))]).is_ok());
    assert_eq!(read([]).map(|read| read.rules), Ok(Rules::default()));
}

/// FF-16, thresholds.
#[test]
fn thresholds_must_fit_the_groups() {
    let wanted = "sops.shamir_threshold must be a number from 2 to 255";
    for wrong in [
        Value::Int(-1),
        Value::Int(256),
        Value::Int(i64::MAX),
        text("9223372036854775808"),
        text("2.0"),
        text("0x2"),
        list([]),
    ] {
        assert_eq!(refused([("shamir_threshold", wrong)]), wanted);
    }
    let with = |groups: usize, threshold: Option<u8>| {
        let mut metadata = read([]).expect("a good block");
        metadata.groups = vec![metadata.groups[0].clone(); groups];
        metadata.shamir_threshold = threshold;
        metadata.threshold()
    };
    for (groups, threshold, needed) in [
        (1, None, 1),
        (1, Some(9), 1),
        (3, None, 3),
        (3, Some(2), 2),
        (255, Some(255), 255),
    ] {
        assert_eq!(with(groups, threshold), Ok(needed));
    }
    assert_eq!(
        with(3, Some(1)),
        Err(MetadataError::Threshold {
            threshold: 1,
            groups: 3
        })
    );
    assert_eq!(
        with(3, Some(4)),
        Err(MetadataError::Threshold {
            threshold: 4,
            groups: 3
        })
    );
    assert_eq!(with(0, None), Err(MetadataError::NoKeys));
    assert_eq!(with(256, Some(2)), Err(MetadataError::TooManyGroups));
    assert_eq!(
        read([("shamir_threshold", Value::Int(0))]).map(|read| read.shamir_threshold),
        Ok(None)
    );
    let empty = read([
        ("age", list([])),
        ("key_groups", list([map([("age", list([age("a")]))]), map([])])),
    ]);
    assert_eq!(
        empty.expect("reads").threshold(),
        Err(MetadataError::EmptyGroup(1))
    );
}

#[test]
fn deep_and_large_blocks_end_in_time() {
    let deep = (0..500).fold(Value::Null, |value, _| list([value]));
    assert!(refused([("deep", deep)]).ends_with("is nested too deeply"));
    let many = Value::List((0..10_000).map(|at| age(&format!("age1{at}"))).collect());
    let metadata = read([("age", many)]).expect("a good block");
    assert_eq!(metadata.groups[0].len(), 10_000);
    assert_eq!(
        Metadata::from_value(&unflatten(&flatten(&metadata.to_value())).expect("flat")),
        Ok(metadata)
    );
    let unknown = (0..100_000).map(|at| (format!("x{at}"), Value::Null));
    let Value::Map(mut entries) = block([]) else {
        panic!("no map")
    };
    entries.extend(unknown);
    assert_eq!(
        Metadata::from_value(&Value::Map(entries)).map(|read| read.extra.len()),
        Ok(100_000)
    );
}

fn flat(fields: &[(&str, &str)]) -> Result<Value, String> {
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect();
    unflatten(&fields).map_err(|error| error.to_string())
}

#[test]
fn flat_names_come_in_any_order() {
    let nested = map([
        ("", text("bare")),
        ("a", list([map([("", text("1"))]), list([text("2"), text("3")])])),
        ("b", text("x__map")),
        ("c", map([("__list", text("4"))])),
    ]);
    let fields = [
        ("c__map___list", "4"),
        ("a__list_1__list_1", "3"),
        ("b", "x__map"),
        ("a__list_1__list_0", "2"),
        ("", "bare"),
        ("a__list_0__map_", "1"),
    ];
    assert_eq!(flat(&fields), Ok(nested.clone()));
    let mut sorted = fields.map(|(name, text)| (name.to_owned(), text.to_owned()));
    sorted.sort();
    assert_eq!(flatten(&nested), sorted);
    let vanishing = map([
        ("a", list([])),
        ("b", map([])),
        ("c", Value::Null),
        ("d", Value::Bool(true)),
        ("e", Value::Int(-1)),
    ]);
    assert_eq!(
        flatten(&vanishing),
        [
            ("d".to_owned(), "true".to_owned()),
            ("e".to_owned(), "-1".to_owned())
        ]
    );
}

#[test]
fn broken_flat_names_are_refused() {
    for (fields, message) in [
        (
            &[("a__list_1", "x")][..],
            "\"a\" belongs to a list that is not complete",
        ),
        (
            &[("a__list_0", "x"), ("a__list_2", "x")],
            "\"a\" belongs to a list that is not complete",
        ),
        (
            &[("a__map_b__list_7", "x")],
            "\"a__map_b\" belongs to a list that is not complete",
        ),
        (
            &[("a__list_99999999999", "x")],
            "\"a\" belongs to a list that is not complete",
        ),
        (
            &[("a__list_99999999999999999999999", "x")],
            "no number behind __list_",
        ),
        (
            &[("a__list_x", "x")],
            "\"a__list_x\" has no number behind __list_",
        ),
        (&[("a__list_", "x")], "no number behind __list_"),
        (&[("a__list_-0", "x")], "no number behind __list_"),
        (&[("a__list_+0", "x")], "no number behind __list_"),
        (&[("a__list_00", "x")], "no number behind __list_"),
        (
            &[("a", "x"), ("a__map_b", "x")],
            "\"a__map_b\" stands where another field says",
        ),
        (
            &[("a__map_b", "x"), ("a", "x")],
            "\"a\" stands where another field says",
        ),
        (
            &[("a__list_0", "x"), ("a__map_b", "x")],
            "\"a__map_b\" stands where another field says",
        ),
        (
            &[("a__map_b", "x"), ("a__list_0", "x")],
            "\"a__list_0\" stands where another field says",
        ),
        (&[("a", "x"), ("a", "y")], "a stands twice"),
    ] {
        let error = flat(fields).expect_err("refused");
        assert!(error.contains(message), "{fields:?}: {error}");
    }
    let deep = format!("a{}", "__list_0".repeat(1_000_000));
    assert!(flat(&[(&deep, "x")]).is_err_and(|error| error.ends_with("is nested too deeply")));
}

proptest::proptest! {
    #[test]
    fn unflattening_never_panics(fields: Vec<(String, String)>, names in proptest::collection::vec("(a|b|__map_|__list_|0|1){0,5}", 0..6)) {
        let _ = unflatten(&fields);
        let fields: Vec<_> = names.into_iter().map(|name| (name, String::new())).collect();
        if let Ok(value) = unflatten(&fields) {
            let mut sorted = fields;
            sorted.sort();
            proptest::prop_assert_eq!(flatten(&value), sorted);
        }
    }
}
