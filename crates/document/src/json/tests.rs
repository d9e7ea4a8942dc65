use proptest::prelude::*;

use crate::roundtrip::{self, check, check_update, parse, parsed, sample_block};
use crate::{Child, Edits, Error, Form, Format, Scalar, Value};

const SAMPLES: &[&str] = &[
    "{\"a\":1}",
    "{ \"a\": 1, \"b\": [ 2, 3 ] }\n",
    "{\n  \"a\": \"x\",\n  \"b\": {\"c\": null, \"d\": [true, 1.50, \"\"]}\n}\n",
    "{\n\t\"a\": [\n\t\t1\n\t]\n}",
    "{\r\n    \"a\": \"\\u00e9\\n\"\r\n}\r\n",
    "{\n\"a\": 1\n}\n",
    "\n {\n   \"a\": 1 }  ",
    "{}",
    "{ }",
    "{\n}\n",
    "{\"a\":{},\"b\":[]}",
    "{\"\":\"\",\"k\":\"v\"}",
];

fn text(source: &[u8]) -> String {
    String::from_utf8_lossy(source).into_owned()
}

#[test]
fn samples_seal_and_open_to_the_same_bytes() {
    for source in SAMPLES {
        check(Format::Json, source.as_bytes());
        check_update(Format::Json, source.as_bytes());
    }
}

#[test]
fn numbers_are_typed_as_sops_types_them() {
    let cases: &[(&str, Scalar<'_>)] = &[
        ("1", Scalar::Int(1)),
        ("-0", Scalar::Int(0)),
        ("9223372036854775807", Scalar::Int(i64::MAX)),
        ("-9223372036854775808", Scalar::Int(i64::MIN)),
        ("9223372036854775808", Scalar::Float(9_223_372_036_854_775_808.0)),
        ("1.0", Scalar::Float(1.0)),
        ("1e2", Scalar::Float(100.0)),
        ("1e-400", Scalar::Float(0.0)),
        ("true", Scalar::Bool(true)),
        ("false", Scalar::Bool(false)),
        ("null", Scalar::Null),
        (
            "\"\\ud83d\\ude00\\/\\b\\f\"",
            Scalar::Str("😀/\u{8}\u{c}".as_bytes().into()),
        ),
    ];
    for (spelling, wanted) in cases {
        let document = parsed(
            Format::Json,
            Form::Plain,
            format!("{{\"a\":{spelling}}}").as_bytes(),
        );
        let tree = document.tree();
        let Child::Entry { value, .. } = tree.children(tree.roots[0])[0] else {
            panic!("an entry")
        };
        assert_eq!(document.scalar(value).expect(spelling), *wanted, "{spelling}");
    }
    let document = parsed(Format::Json, Form::Plain, b"{\"a\":[1e400]}");
    let leaves = roundtrip::leaves(&document);
    let (_, roundtrip::Leaf::Node(id)) = leaves[0] else {
        panic!("a value")
    };
    assert!(matches!(document.scalar(id), Err(Error::Syntax { at, .. }) if at.column == 7));
}

#[test]
fn floats_are_spelled_by_gos_rule() {
    for (float, wanted) in [
        (1.0, "1"),
        (-0.0, "-0"),
        (123_456_789.123, "123456789.123"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (1.5e300, "1.5e+300"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (-2.5e-9, "-2.5e-9"),
    ] {
        assert_eq!(super::float_text(float), wanted);
    }
}

#[test]
fn strings_are_spelled_with_the_escapes_json_demands() {
    let mut out = Vec::new();
    super::quote(b"<a>&\"\\\n\r\t\x08\x0c\x01\x7f\xe2\x80\xa8\xff\xfe", &mut out);
    assert_eq!(
        text(&out),
        "\"<a>&\\\"\\\\\\n\\r\\t\\b\\f\\u0001\u{7f}\u{2028}\u{fffd}\u{fffd}\""
    );
}

#[test]
fn what_sops_would_lose_is_refused_in_an_authors_file() {
    for (source, line, why) in [
        ("{\"a\":1,\n\"a\":2}", 2, "first on line 1"),
        ("{\"x\":[{\"a\":1,\n\"\\u0061\":2}]}", 2, "first on line 1"),
        ("{\"a\":\"\\ud800\"}", 1, "surrogate"),
        ("{\"\\udc00\":1}", 1, "surrogate"),
        ("\u{feff}{}", 1, "byte order mark"),
        ("[1]", 1, "root must be an object"),
        ("", 1, "empty"),
        ("{\"a\":1}x", 1, "behind the end"),
        ("{\"a\":1\n\"b\":2}", 2, "expected ,"),
        ("{\"a\":01}", 1, "expected ,"),
        ("{\"a\":\"\t\"}", 1, "control character"),
    ] {
        let error = parse(Format::Json, Form::Plain, source.as_bytes()).expect_err(source);
        let Error::Syntax { at, why: reason } = &error else {
            panic!("{error}")
        };
        assert!(at.line == line && reason.contains(why), "{source}: {error}");
    }
}

#[test]
fn many_keys_are_searched_for_duplicates_too() {
    let mut source = String::from("{");
    (0..100).for_each(|nth| source += &format!("\"k{nth}\":0,\n"));
    assert!(parse(Format::Json, Form::Plain, format!("{source}\"z\":1}}").as_bytes()).is_ok());
    let error = parse(
        Format::Json,
        Form::Plain,
        format!("{source}\"k7\":1}}").as_bytes(),
    );
    assert!(
        error
            .expect_err("a duplicate")
            .to_string()
            .contains("first on line 8")
    );
}

#[test]
fn what_sops_may_have_written_opens() {
    let document = parsed(
        Format::Json,
        Form::Sealed,
        b"{\"a\":\"\\ud800x\",\"a\":\"\\udc00\\ud800\\u0041\"}",
    );
    let values: Vec<_> = roundtrip::leaves(&document)
        .iter()
        .filter_map(|(_, leaf)| match leaf {
            roundtrip::Leaf::Node(id) => document.scalar(*id).ok(),
            roundtrip::Leaf::Comment(_) => None,
        })
        .collect();
    let wanted = ["\u{fffd}x", "\u{fffd}\u{fffd}A"].map(|text| Scalar::Str(text.as_bytes().into()));
    assert_eq!(values, wanted);
}

#[test]
fn a_merge_in_progress_is_named_as_such() {
    let source = b"{\n<<<<<<< HEAD\n \"a\": 1\n=======\n \"a\": 2\n>>>>>>> other\n}\n";
    let error = parse(Format::Json, Form::Sealed, source).expect_err("a conflict");
    assert!(matches!(error, Error::Conflict { at } if at.line == 2), "{error}");
    assert!(parse(Format::Json, Form::Plain, b"{\"a\":\"<<<<<<< HEAD\"}").is_ok());
}

/// As in a program whose main thread has a quarter of a megabyte of stack.
#[test]
fn depth_is_limited_and_uses_no_stack() {
    let run = || {
        for depth in [9_999, 10_000, 1_000_000] {
            let source = format!("{{\"a\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
            match parse(Format::Json, Form::Plain, source.as_bytes()) {
                Ok(_) => assert!(depth <= 10_000),
                Err(error) => assert!(depth > 10_000 && matches!(error, Error::Limit { .. }), "{error}"),
            }
        }
        let nested = format!("{{\"sops\":{}1{}}}", "{\"a\":".repeat(9_000), "}".repeat(9_000));
        let document = parsed(Format::Json, Form::Sealed, nested.as_bytes());
        assert!(matches!(document.block(), Err(Error::Limit { .. })));
    };
    let thread = std::thread::Builder::new()
        .stack_size(256 << 10)
        .spawn(run)
        .expect("a thread");
    thread.join().expect("no overflow");
}

#[test]
fn the_block_is_written_in_the_files_own_layout() {
    let block = Value::Map(vec![
        ("mac".into(), Value::Str("<x>".into())),
        ("kms".into(), Value::List(vec![])),
    ]);
    for (source, wanted) in [
        ("{\"a\":1}", "{\"a\":1,\"sops\":{\"mac\":\"<x>\",\"kms\":[]}}"),
        (
            "{\"a\": 1, \"b\": 2}",
            "{\"a\": 1, \"b\": 2, \"sops\": {\"mac\": \"<x>\", \"kms\": []}}",
        ),
        (
            "{\n  \"a\": 1\n}\n",
            "{\n  \"a\": 1,\n  \"sops\": {\n    \"mac\": \"<x>\",\n    \"kms\": []\n  }\n}\n",
        ),
        (
            "{\n\t\"a\": 1}",
            "{\n\t\"a\": 1,\n\t\"sops\": {\n\t\t\"mac\": \"<x>\",\n\t\t\"kms\": []\n\t}}",
        ),
        ("{}", "{\"sops\":{\"mac\":\"<x>\",\"kms\":[]}}"),
    ] {
        let document = parsed(Format::Json, Form::Plain, source.as_bytes());
        let mut edits = Edits::default();
        document.set_block(&block, &mut edits).expect("a block");
        assert_eq!(text(document.render(&edits).expose()), wanted);
    }
}

#[test]
fn an_existing_block_is_edited_where_it_differs() {
    let source = "{\n \"a\": 1,\n \"sops\": {\n  \"age\": [{\"enc\":\"\\u0065\"}],\n  \"mac\": \"m\",\n  \"x\": 2.50\n }\n}";
    let document = parsed(Format::Json, Form::Sealed, source.as_bytes());
    let Some(Value::Map(mut entries)) = document.block().expect("a block") else {
        panic!("a map")
    };
    entries[1].1 = Value::Str("n".into());
    entries.insert(1, ("integrity".into(), Value::List(vec![Value::Int(1)])));
    let mut edits = Edits::default();
    document
        .set_block(&Value::Map(entries), &mut edits)
        .expect("a block");
    let wanted = "{\n \"a\": 1,\n \"sops\": {\n  \"age\": [{\"enc\":\"\\u0065\"}],\n  \"integrity\": [\n   1\n  ],\n  \"mac\": \"n\",\n  \"x\": 2.50\n }\n}";
    assert_eq!(text(document.render(&edits).expose()), wanted);
}

#[test]
fn a_block_that_is_none_is_refused() {
    for source in ["{\"sops\":1}", "{\"sops\":{},\"a\":1,\"sops\":{}}"] {
        let document = parsed(Format::Json, Form::Sealed, source.as_bytes());
        assert!(
            matches!(document.block(), Err(Error::Unsupported { .. })),
            "{source}"
        );
    }
    assert_eq!(
        parsed(Format::Json, Form::Sealed, b"{\"a\":{\"sops\":{}}}")
            .block()
            .expect("none"),
        None
    );
}

#[test]
fn blocks_are_removed_wherever_they_stand() {
    for (source, wanted) in [
        ("{\"sops\":{},\"a\":1}", "{\"a\":1}"),
        ("{\"a\":1,\"sops\":{},\"b\":2}", "{\"a\":1,\"b\":2}"),
        ("{\n\t\"a\": 1,\n\t\"sops\": {}\n}\n", "{\n\t\"a\": 1\n}\n"),
        ("{\n\t\"sops\": {}\n}\n", "{\n}\n"),
    ] {
        let document = parsed(Format::Json, Form::Sealed, source.as_bytes());
        let mut edits = Edits::default();
        document.remove_block(&mut edits);
        assert_eq!(text(document.render(&edits).expose()), wanted);
    }
}

#[test]
fn set_replaces_adds_and_appends_in_the_files_layout() {
    let file = "{\n  \"a\": {\n    \"b\": [\n      1\n    ]\n  },\n  \"l\": [1, 2],\n  \"e\": {},\n  \"n\": null\n}\n";
    for (source, path, value, wanted) in [
        (
            file,
            "[\"a\"][\"b\"][0]",
            "1.0",
            file.replace("      1\n", "      1.0\n"),
        ),
        (
            file,
            "[\"a\"][\"b\"][7]",
            "\"x\"",
            file.replace("      1\n", "      1,\n      \"x\"\n"),
        ),
        (
            file,
            "[\"l\"][2]",
            "{\"k\":[]}",
            file.replace("[1, 2]", "[1, 2, {\"k\": []}]"),
        ),
        (
            file,
            "[\"e\"][\"f\"]",
            "[1]",
            file.replace("\"e\": {}", "\"e\": {\n    \"f\": [\n      1\n    ]\n  }"),
        ),
        (
            file,
            "[\"n\"][\"m\"]",
            "true",
            file.replace("\"n\": null", "\"n\": {\n    \"m\": true\n  }"),
        ),
        (
            file,
            "[\"z\"][\"y\"][0]",
            "1",
            file.replace("null\n", "null,\n  \"z\": {\n    \"y\": [\n      1\n    ]\n  }\n"),
        ),
        (
            "{\"a\":1}",
            "[\"b\"]",
            "{\"c\": 1}",
            "{\"a\":1,\"b\":{\"c\":1}}".into(),
        ),
        ("{}", "[\"b\"]", "1", "{\n\t\"b\": 1\n}".into()),
        ("{\"sops\":{}}", "[\"b\"]", "1", "{\"b\":1,\"sops\":{}}".into()),
        (
            "{\"a\":1,\"sops\":{}}",
            "[\"b\"]",
            "1",
            "{\"a\":1,\"b\":1,\"sops\":{}}".into(),
        ),
    ] {
        assert_eq!(
            roundtrip::set(Format::Json, source.as_bytes(), path, value).expect(path),
            wanted,
            "{path}"
        );
    }
    for path in ["[\"l\"][\"x\"]", "[\"a\"][0]", "[\"l\"][0][\"x\"]"] {
        let error = roundtrip::set(Format::Json, file.as_bytes(), path, "1").expect_err(path);
        assert!(matches!(error, Error::Path { .. }), "{error}");
    }
}

#[test]
fn unset_takes_the_comma_and_the_line() {
    let file = "{\n  \"a\": 1,\n  \"b\": [1, 2, 3],\n  \"c\": {\n    \"d\": 1\n  }\n}\n";
    for (path, wanted) in [
        ("[\"a\"]", file.replace("\"a\": 1,\n  ", "")),
        ("[\"b\"]", file.replace("  \"b\": [1, 2, 3],\n", "")),
        ("[\"b\"][0]", file.replace("1, 2", "2")),
        ("[\"b\"][2]", file.replace(", 3", "")),
        ("[\"c\"]", file.replace(",\n  \"c\": {\n    \"d\": 1\n  }", "")),
        ("[\"c\"][\"d\"]", file.replace("{\n    \"d\": 1\n  }", "{}")),
    ] {
        assert_eq!(
            roundtrip::unset(Format::Json, file.as_bytes(), path).expect(path),
            wanted
        );
    }
    for path in ["[\"z\"]", "[\"b\"][3]", "[\"a\"][0]", "[\"b\"][\"a\"]"] {
        assert!(
            roundtrip::unset(Format::Json, file.as_bytes(), path).is_err(),
            "{path}"
        );
    }
}

/// Any JSON text with blanks in odd places.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|bool| bool.to_string()),
        any::<i64>().prop_map(|int| int.to_string()),
        any::<f64>()
            .prop_filter("JSON has no NaN", |float| float.is_finite())
            .prop_map(|float| format!("{float:?}")),
        any::<String>().prop_map(|string| quoted(&string)),
        Just("\"\\u0041\\/\\ud83d\\ude00\"".to_owned()),
    ];
    let tree = leaf.prop_recursive(4, 32, 5, |inner| {
        let blank = prop_oneof![Just(""), Just(" "), Just("\n  "), Just("\r\n\t")];
        let keys = prop::collection::btree_map(any::<String>(), inner.clone(), 0..5);
        prop_oneof![
            (blank.clone(), prop::collection::vec(inner, 0..5))
                .prop_map(|(blank, items)| format!("[{blank}{}{blank}]", items.join(&format!(",{blank}")))),
            (blank, keys).prop_map(|(blank, entries)| object(blank, entries)),
        ]
    });
    let blank = prop_oneof![Just(""), Just(" "), Just("\n  "), Just("\r\n\t")];
    (
        blank,
        prop::collection::btree_map("[a-z\"\\\\é]{0,4}", tree, 0..5),
    )
        .prop_map(|(blank, entries)| object(blank, entries))
}

fn object(blank: &str, entries: std::collections::BTreeMap<String, String>) -> String {
    let members: Vec<String> = entries
        .into_iter()
        .filter(|(key, _)| key != "sops")
        .map(|(key, value)| format!("{}:{blank}{value}", quoted(&key)))
        .collect();
    format!("{{{blank}{}{blank}}}", members.join(&format!(",{blank}")))
}

fn quoted(string: &str) -> String {
    let mut out = Vec::new();
    super::quote(string.as_bytes(), &mut out);
    text(&out)
}

proptest! {
    #[test]
    fn any_file_seals_and_opens_to_the_same_bytes(source in json()) {
        check(Format::Json, source.as_bytes());
        check_update(Format::Json, source.as_bytes());
    }

    #[test]
    fn any_text_is_spelled_so_that_it_reads_back(string in any::<String>(), float in any::<f64>()) {
        let document = parsed(Format::Json, Form::Plain, format!("{{\"a\":{}}}", quoted(&string)).as_bytes());
        let leaves = roundtrip::leaves(&document);
        let roundtrip::Leaf::Node(id) = leaves[0].1 else { panic!("a value") };
        prop_assert_eq!(document.scalar(id).expect("a string"), Scalar::Str(string.as_bytes().into()));
        if float.is_finite() {
            let read: f64 = super::float_text(float).parse().expect("a number");
            prop_assert_eq!(read.to_bits(), float.to_bits());
        }
    }

    #[test]
    fn no_bytes_make_it_panic(source in prop::collection::vec(any::<u8>(), 0..60), json in json(), at in any::<prop::sample::Index>()) {
        let mut broken = json.into_bytes();
        let at = at.index(broken.len());
        broken.splice(at..at, source.iter().copied().take(2));
        for source in [source, broken] {
            for form in [Form::Plain, Form::Sealed] {
                if let Ok(document) = parse(Format::Json, form, &source) {
                    let mut edits = Edits::default();
                    let _ = document.block();
                    document.remove_block(&mut edits);
                    document.render(&edits);
                    let mut edits = Edits::default();
                    document.set_block(&sample_block(Format::Json), &mut edits).expect("a block");
                    document.render(&edits);
                }
            }
        }
    }
}

/// From the JSON parsing test suite: its `n_` cases that sops 3.11.0 takes, and one of each other kind.
#[test]
fn what_no_json_parser_may_take_is_refused() {
    for source in [
        "{\"a\":",
        "{\"a\"",
        "{\"a\":\"b\"}/**/",
        "{\"a\":\"b\"}/**//",
        "{\"a\":\"b\"}//",
        "{\"a\":\"b\"}/",
        "{\"a\":\"b\"}#",
        "{}}",
        "{\"\":",
        "{\"a\": true} \"x\"",
        "{\"a\":\"b\"}#{}",
        "{\"a\":1,}",
        "{,\"a\":1}",
        "{\"a\":[1,]}",
        "{\"a\":[,1]}",
        "{\"a\":[1 2]}",
        "{\"a\":[1}",
        "{\"a\":{1]}",
        "{\"a\":nul}",
        "{\"a\":True}",
        "{\"a\":NaN}",
        "{\"a\":-}",
        "{\"a\":+1}",
        "{\"a\":.1}",
        "{\"a\":1.}",
        "{\"a\":1e}",
        "{\"a\":1e+}",
        "{\"a\":0x1}",
        "{\"a\":-01}",
        "{\"a\":'b'}",
        "{a:1}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\u12\"}",
        "{\"a\":\"\\u12G4\"}",
        "{\"a\":\"b}",
        "{\"a\":\"\u{0}\"}",
        "{\"a\"\u{b}:1}",
        "{\"a\"\u{a0}:1}",
    ] {
        for form in [Form::Plain, Form::Sealed] {
            assert!(
                parse(Format::Json, form, source.as_bytes()).is_err(),
                "{source} was taken"
            );
        }
    }
    for source in [
        b"{\"a\":\"\xff\"}".as_slice(),
        b"{\"\xc0\x80\":1}",
        b"\xff\xfe{\0}\0",
    ] {
        assert!(parse(Format::Json, Form::Sealed, source).is_err());
    }
}
