//! The field against a second reading of its definition, every tampering of the table T1 to T9, and the names
//! that a mismatch gives.

use document::{Path, Step, Value};
use hmac::Mac as _;

use super::*;
use crate::metadata::{EntryKey, KeyEntry};
use crate::value::ValueType::{self, Bool, Int, Str};
use crate::{MasterKey, Rules};

/// A document for tests.
#[derive(Clone)]
enum Node {
    Map(Vec<(&'static str, Node)>),
    List(Vec<Node>),
    Leaf(ValueType, bool, &'static str),
    Null,
    Comment(bool, &'static str),
}

use Node::{Comment, Leaf, List, Map, Null};

fn sealed(text: &'static str) -> Node {
    Leaf(Str, true, text)
}

fn clear(text: &'static str) -> Node {
    Leaf(Str, false, text)
}

fn walk(builder: &mut IntegrityBuilder, node: &Node) {
    match node {
        Map(entries) => {
            builder.map();
            for (key, value) in entries {
                match value {
                    Comment(sealed, text) => builder.comment(*sealed, text.as_bytes()),
                    value => {
                        builder.key(key.as_bytes());
                        walk(builder, value);
                    }
                }
            }
            builder.end();
        }
        List(items) => {
            builder.list();
            for item in items {
                match item {
                    Comment(sealed, text) => builder.comment(*sealed, text.as_bytes()),
                    item => {
                        builder.item();
                        walk(builder, item);
                    }
                }
            }
            builder.end();
        }
        Leaf(ty, sealed, text) => builder.leaf(*ty, *sealed, text.as_bytes()),
        Null => builder.null(),
        Comment(..) => panic!("comments stand in containers"),
    }
}

fn key() -> DataKey {
    DataKey::new([0x42; 32])
}

fn body_with(mut builder: IntegrityBuilder, documents: &[Node]) -> Body {
    for document in documents {
        builder.document();
        walk(&mut builder, document);
    }
    builder.finish()
}

fn body(documents: &[Node]) -> Body {
    body_with(IntegrityBuilder::new(&key(), IntegrityMode::Full), documents)
}

fn entry(recipient: &str) -> KeyEntry {
    KeyEntry::new(
        MasterKey::Age {
            recipient: recipient.into(),
        },
        String::new(),
        format!("for {recipient}"),
    )
}

fn metadata() -> Metadata {
    let rules = Rules {
        unencrypted_suffix: Some("_unencrypted".into()),
        ..Rules::default()
    };
    let group = vec![entry("age1a"), entry("age1b"), entry("age1c")];
    Metadata::new(vec![group], rules, "2024-01-02T03:04:05Z".into(), "3.11.0".into())
}

fn sample() -> Node {
    Map(vec![
        ("#", Comment(false, " clear comment")),
        ("allow", clear("no")),
        ("deny", clear("yes")),
        ("port", sealed("5432")),
        (
            "list",
            List(vec![
                sealed("x"),
                Comment(true, " sealed comment"),
                sealed("y"),
                Map(vec![("k", sealed("z"))]),
            ]),
        ),
        ("empty", clear("")),
        ("nothing", Null),
        ("none", Map(vec![])),
        ("no items", List(vec![Comment(false, " only a comment")])),
    ])
}

/// The first mark that differs, and where that is.
fn place(sealed: &[Node], found: &[Node], mode: IntegrityMode) -> Option<(usize, String)> {
    let field = seal_integrity(
        &key(),
        &body_with(IntegrityBuilder::new(&key(), mode), sealed),
        &metadata(),
    );
    let field = Integrity::parse(&field).expect("our own field");
    assert_eq!(field.verify_head(&key(), &metadata()), Ok(()));
    let found_body = body_with(IntegrityBuilder::new(&key(), mode), found);
    let first = field.verify_body(&found_body).expect_err("changed").first?;
    let located = body_with(IntegrityBuilder::locating(&key(), mode, first), found).located;
    Some((
        first,
        located.map_or("(behind the end)".into(), |place| {
            format!("{}:{}", place.document, place.path)
        }),
    ))
}

fn changed(change: impl Fn(&mut Vec<(&'static str, Node)>)) -> Option<(usize, String)> {
    let mut found = sample();
    let Map(entries) = &mut found else {
        panic!("the sample is a map")
    };
    change(entries);
    place(&[sample()], &[found], IntegrityMode::Full)
}

#[test]
fn the_field_is_what_its_definition_says() {
    let s = |bytes: &[u8]| [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat();
    let integrity_key = derive::<32>(&key(), "integrity");
    let marks_key = derive::<16>(&key(), "marks");
    let mac = |label: &[u8], bytes: &[u8]| {
        let mut hmac = keys::hmac(&*integrity_key);
        hmac.update(&[label, b"\0", bytes].concat());
        hmac.finalize().into_bytes().to_vec()
    };
    let mark = |bytes: &[u8]| {
        siphasher::sip::SipHasher24::new_with_key(&marks_key)
            .hash(bytes)
            .to_le_bytes()[..2]
            .to_vec()
    };
    let document = Map(vec![
        ("a", List(vec![Leaf(Int, true, "12"), Comment(true, "c"), Null])),
        ("b", List(vec![])),
    ]);
    let items = [
        &[1, 2, 3][..],
        &s(b"a"),
        &[4],
        &[6, b'i', 1],
        &s(b"12"),
        &[8, 1],
        &s(b"c"),
        &[7],
        &[5],
        &[3],
        &s(b"b"),
        &[4],
        &[5],
        &[5],
    ]
    .concat();
    let content = mac(b"body", &items);
    let path = |steps: &[&[u8]]| s(&[&[1, 0, 0, 0, 0], steps.concat().as_slice()].concat());
    let a = [&[3][..], &s(b"a")].concat();
    let marks = [
        mark(&[&path(&[&a, &[4, 0, 0, 0, 0]])[..], b"i12"].concat()),
        mark(&[&path(&[&a])[..], b"cc"].concat()),
        mark(&[&path(&[&a, &[4, 0, 0, 0, 1]])[..], b"n"].concat()),
        mark(&[&path(&[&[3], &s(b"b")])[..], b"l"].concat()),
    ]
    .concat();
    let fields: Vec<Vec<u8>> = [
        ("age__list_0__map_recipient", "age1a"),
        ("age__list_1__map_recipient", "age1b"),
        ("age__list_2__map_recipient", "age1c"),
        ("lastmodified", "2024-01-02T03:04:05Z"),
        ("layout", "v1:xx"),
        ("unencrypted_suffix", "_unencrypted"),
        ("version", "3.11.0"),
    ]
    .iter()
    .map(|(name, value)| [s(name.as_bytes()), s(value.as_bytes())].concat())
    .collect();
    let head = mac(b"head", &[content.clone(), fields.concat()].concat());
    let field_marks = fields.iter().flat_map(|field| mark(field)).collect();
    let parts = [head, content, field_marks, marks].map(|part| STANDARD.encode(part));
    let metadata = Metadata {
        layout: Some("v1:xx".into()),
        mac: Some("m".into()),
        integrity: Some("i".into()),
        ..metadata()
    };
    assert_eq!(
        seal_integrity(&key(), &body(&[document]), &metadata),
        format!("v1:{}", parts.join(":"))
    );
}

#[test]
fn only_sealed_items_are_bound_where_only_they_are_hashed() {
    let s = |bytes: &[u8]| [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat();
    let document = Map(vec![
        (
            "a",
            List(vec![
                clear("free"),
                sealed("x"),
                Comment(false, "free"),
                Map(vec![("b", sealed("y"))]),
            ]),
        ),
        ("#", Comment(true, "c")),
    ]);
    let items = [
        s(&s(b"a")),
        vec![0, 0, 0, 0, b's'],
        s(b"x"),
        s(&[s(b"a"), s(b"b")].concat()),
        vec![0, 0, 0, 1, b's'],
        s(b"y"),
        s(b""),
        vec![0, 0, 0, 2, b'c'],
        s(b"c"),
    ]
    .concat();
    let mut hmac = keys::hmac(&*derive::<32>(&key(), "integrity"));
    hmac.update(&[b"body\0", items.as_slice()].concat());
    let only = |documents: &[Node]| {
        body_with(
            IntegrityBuilder::new(&key(), IntegrityMode::OnlyEncrypted),
            documents,
        )
    };
    let found = only(std::slice::from_ref(&document));
    assert_eq!(found.body[..], hmac.finalize().into_bytes()[..]);
    assert_eq!(found.marks.as_ref().map(Vec::len), Some(3));
    let edited = Map(vec![
        ("new", clear("free")),
        (
            "a",
            List(vec![
                sealed("x"),
                Null,
                Map(vec![("b", sealed("y")), ("c", clear("free"))]),
                clear("changed"),
            ]),
        ),
        ("#", Comment(true, "c")),
    ]);
    assert_eq!(
        only(std::slice::from_ref(&edited)),
        found,
        "clear values come and go"
    );
    let Map(mut entries) = edited else { panic!("a map") };
    entries[1].1 = List(vec![sealed("x"), Map(vec![("b", sealed("w"))])]);
    let at = place(&[document], &[Map(entries)], IntegrityMode::OnlyEncrypted);
    assert_eq!(
        at,
        Some((1, "0:a[1].b".into())),
        "the place has list positions all the same"
    );
}

#[test]
fn every_tampering_is_found_and_named() {
    let at = |ordinal, path: &str| Some((ordinal, format!("0:{path}")));
    assert_eq!(
        changed(|entries| entries[3].1 = Leaf(Int, true, "5432")),
        at(3, "port"),
        "T1"
    );
    assert_eq!(
        changed(|entries| (entries[1].0, entries[2].0) = ("deny", "allow")),
        at(1, "deny"),
        "T3"
    );
    assert_eq!(
        changed(|entries| (entries[1].1, entries[2].1) = (clear("noy"), clear("es"))),
        at(1, "allow"),
        "T4"
    );
    for empty in [clear(""), Null, List(vec![]), Map(vec![])] {
        assert_eq!(
            changed(|entries| entries.insert(4, ("extra", empty.clone()))),
            at(4, "extra"),
            "T5"
        );
    }
    assert_eq!(
        changed(|entries| entries.insert(2, ("#", Comment(false, "x")))),
        at(2, "(root)"),
        "T6"
    );
    assert_eq!(changed(|entries| drop(entries.remove(0))), at(0, "allow"), "T6");
    assert_eq!(
        changed(|entries| drop(entries.pop())),
        Some((11, "(behind the end)".into())),
        "the end is missing"
    );
    assert_eq!(changed(|entries| entries[7].1 = List(vec![])), at(10, "none"));
    assert_eq!(
        changed(|entries| entries[3].1 = clear("5432")),
        None,
        "the marks do not see what is sealed"
    );
    let nested = Map(vec![("a", Map(vec![("b", sealed("x"))]))]);
    let joined = Map(vec![("a:b", sealed("x"))]);
    let full = IntegrityMode::Full;
    assert_eq!(
        place(std::slice::from_ref(&nested), &[joined], full),
        at(0, "\"a:b\""),
        "T7"
    );
    let boxed = Map(vec![("a", List(vec![Map(vec![("b", sealed("x"))])]))]);
    assert_eq!(
        place(std::slice::from_ref(&nested), &[boxed], full),
        at(0, "a[0].b"),
        "T7"
    );
    let (flat, deep) = (
        List(vec![sealed("x")]),
        List(vec![List(vec![List(vec![sealed("x")])])]),
    );
    assert_eq!(
        place(&[Map(vec![("l", flat)])], &[Map(vec![("l", deep)])], full),
        at(0, "l[0][0][0]"),
        "T7"
    );
    let second = place(
        &[nested.clone(), nested.clone()],
        &[nested, Map(vec![("a", Leaf(Bool, true, "True"))])],
        full,
    );
    assert_eq!(second, Some((1, "1:a".into())), "the second document");
}

#[test]
fn unchanged_content_verifies_and_other_keys_do_not() {
    let field = seal_integrity(&key(), &body(&[sample()]), &metadata());
    let integrity = Integrity::parse(&field).expect("our own field");
    assert_eq!(integrity.verify_head(&key(), &metadata()), Ok(()));
    assert_eq!(integrity.verify_body(&body(&[sample()])), Ok(()));
    let other = DataKey::new([0x43; 32]);
    assert!(integrity.verify_head(&other, &metadata()).is_err());
    let mut builder = IntegrityBuilder::new(&other, IntegrityMode::Full);
    builder.document();
    walk(&mut builder, &sample());
    assert!(integrity.verify_body(&builder.finish()).is_err());
}

fn head_change(change: impl Fn(&mut Metadata)) -> Result<(), String> {
    let field = seal_integrity(&key(), &body(&[sample()]), &metadata());
    let mut found = metadata();
    change(&mut found);
    let integrity = Integrity::parse(&field).expect("our own field");
    integrity
        .verify_head(&key(), &found)
        .map_err(|mismatch| mismatch.to_string())
}

#[test]
fn every_bound_field_is_named_when_it_changes() {
    let not_sealed = |field: &str| Err(format!("sops.{field} is not what was sealed"));
    let added = |field: &str| Err(format!("sops.{field} was added after the file was sealed"));
    let removed = |field: &str| {
        Err(format!(
            "a field before sops.{field} was removed after the file was sealed"
        ))
    };
    assert_eq!(
        head_change(|found| found.groups[0].push(entry("age1rogue"))),
        added("age[3].recipient"),
        "T9"
    );
    assert_eq!(
        head_change(|found| found.groups[0][1] = entry("age1rogue")),
        not_sealed("age[1].recipient")
    );
    assert_eq!(
        head_change(|found| drop(found.groups[0].pop())),
        removed("lastmodified")
    );
    assert_eq!(
        head_change(|found| found.lastmodified = "2024-01-02T03:04:06Z".into()),
        not_sealed("lastmodified")
    );
    assert_eq!(
        head_change(|found| found.version = "3.12.0".into()),
        not_sealed("version")
    );
    assert_eq!(
        head_change(|found| found.mac_only_encrypted = true),
        added("mac_only_encrypted")
    );
    assert_eq!(
        head_change(|found| found.shamir_threshold = Some(2)),
        added("shamir_threshold")
    );
    assert_eq!(
        head_change(|found| found.layout = Some("v1:".into())),
        added("layout")
    );
    assert_eq!(
        head_change(|found| found.rules.unencrypted_suffix = Some("x".into())),
        not_sealed("unencrypted_suffix")
    );
    assert_eq!(
        head_change(|found| found.rules = Rules::default()),
        removed("version")
    );
    let deep = Value::Map(vec![("b".into(), Value::List(vec![Value::Int(1)]))]);
    assert_eq!(
        head_change(|found| found.extra = vec![("z".into(), deep.clone())]),
        added("z.b[0]")
    );
    let unknown = KeyEntry {
        key: EntryKey::Unknown("new".into()),
        extra: vec![("id".into(), Value::Int(1))],
        ..entry("x")
    };
    assert_eq!(
        head_change(|found| found.groups[0].push(unknown.clone())),
        added("new[0].id")
    );
}

#[test]
fn unbound_fields_may_change() {
    assert_eq!(
        head_change(|found| found.groups[0][0].enc = "wrapped anew".into()),
        Ok(())
    );
    assert_eq!(
        head_change(|found| found.groups[0][0].created_at = Some("now".into())),
        Ok(())
    );
    assert_eq!(head_change(|found| found.mac = Some("ENC[...]".into())), Ok(()));
    assert_eq!(head_change(|found| found.integrity = Some("v1:".into())), Ok(()));
}

#[test]
fn a_new_head_keeps_body_and_marks() {
    let field = seal_integrity(&key(), &body(&[sample()]), &metadata());
    let mut more = metadata();
    more.groups[0].push(entry("age1d"));
    let resealed = Integrity::parse(&field)
        .expect("our own field")
        .reseal_head(&key(), &more);
    assert_eq!(resealed, seal_integrity(&key(), &body(&[sample()]), &more));
    let resealed = Integrity::parse(&resealed).expect("our own field");
    assert_eq!(resealed.verify_head(&key(), &more), Ok(()));
    assert!(resealed.verify_head(&key(), &metadata()).is_err());
    assert_eq!(resealed.verify_body(&body(&[sample()])), Ok(()));
}

#[test]
fn a_forged_field_never_verifies() {
    let field = seal_integrity(&key(), &body(&[sample()]), &metadata());
    let marks_at = field
        .match_indices(':')
        .map(|(at, _)| at)
        .nth(2)
        .expect("four parts");
    for at in 0..marks_at {
        for with in [b'A', b'B', b'/', b':'] {
            let mut forged = field.clone().into_bytes();
            if std::mem::replace(&mut forged[at], with) == with {
                continue;
            }
            let forged = String::from_utf8(forged).expect("ASCII");
            let Ok(forged) = Integrity::parse(&forged) else {
                continue;
            };
            let bound = forged.head != Integrity::parse(&field).expect("our own").head
                || forged.verify_body(&body(&[sample()])).is_err();
            assert!(bound, "byte {at}");
            assert_eq!(
                forged
                    .verify_head(&key(), &metadata())
                    .map_err(|mismatch| mismatch.change),
                Err(Change::Integrity),
                "byte {at}"
            );
        }
    }
}

#[test]
fn what_is_no_field_says_so() {
    let field = seal_integrity(&key(), &body(&[sample()]), &metadata());
    for wrong in [
        "",
        "v1",
        "v1:",
        "v1:::",
        "x:1",
        "v:1",
        &field[1..],
        &format!("{field}:"),
        &format!("{field}\n"),
        &format!(" {field}"),
        &field[..field.len() - 1],
    ] {
        assert_eq!(Integrity::parse(wrong), Err(IntegrityError::Malformed), "{wrong}");
    }
    for version in ["v2:", "v10:x", "v0:AA:BB"] {
        assert_eq!(Integrity::parse(version), Err(IntegrityError::UnknownVersion));
    }
}

#[test]
fn above_a_hundred_thousand_leaves_there_are_no_marks_but_a_body() {
    let with = |leaves: usize, last: &[u8]| {
        let mut builder = IntegrityBuilder::new(&key(), IntegrityMode::Full);
        builder.document();
        builder.map();
        builder.key(b"l");
        builder.list();
        for _ in 1..leaves {
            builder.item();
            builder.leaf(Int, true, b"1");
        }
        builder.item();
        builder.leaf(Str, true, last);
        builder.end();
        builder.end();
        builder.finish()
    };
    assert_eq!(with(100_000, b"x").marks.map(|marks| marks.len()), Some(100_000));
    let large = with(100_001, b"x");
    assert_eq!(large.marks, None);
    let field = Integrity::parse(&seal_integrity(&key(), &large, &metadata())).expect("our own field");
    assert_eq!(field.verify_body(&large), Ok(()));
    assert_eq!(
        field.verify_body(&with(100_001, b"y")),
        Err(BodyMismatch { first: None })
    );
}

#[test]
fn broken_walks_do_not_panic() {
    let mut builder = IntegrityBuilder::locating(&key(), IntegrityMode::Full, 1);
    builder.end();
    builder.item();
    builder.comment(true, b"x");
    builder.key(b"k");
    builder.leaf(Str, true, b"x");
    let body = builder.finish();
    assert_eq!(body.marks.map(|marks| marks.len()), Some(2));
    assert_eq!(Path(vec![Step::Key("a".into())]).to_string(), "a");
}
