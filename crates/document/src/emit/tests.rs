//! Whole documents, compared with what sops 3.11.0 printed for them.

use secret::SecretBytes;

use super::*;
use crate::document::{Form, Limits};

fn key(name: &str) -> Item<'_> {
    Item::Key(name.as_bytes().into())
}

fn text(text: &str) -> Item<'_> {
    Item::Scalar(Scalar::Str(text.as_bytes().into()))
}

fn comment(text: &str) -> Item<'_> {
    Item::Comment(text.as_bytes().into())
}

fn int(value: i64) -> Item<'static> {
    Item::Scalar(Scalar::Int(value))
}

fn printed(result: Result<SecretBytes, EmitError>) -> String {
    String::from_utf8_lossy(result.expect("the format holds this").expose()).into_owned()
}

fn written(format: Format, items: &[Item<'_>]) -> String {
    printed(emit(format, items, &Options::default()))
}

/// A document with everything that nests.
fn nested() -> Vec<Item<'static>> {
    use Item::{End, List, Map};
    vec![
        Map,
        comment(" top"),
        key("a"),
        Map,
        comment(" inside"),
        key("b"),
        text("x\ny\n"),
        comment(" last"),
        End,
        key("l"),
        List,
        comment(" one"),
        text("y"),
        Map,
        comment(" two"),
        key("k"),
        List,
        List,
        int(1),
        End,
        End,
        key("m"),
        Map,
        End,
        End,
        List,
        List,
        End,
        End,
        End,
        key("z"),
        Item::Scalar(Scalar::Null),
        comment(" end"),
        End,
    ]
}

/// Measured: sops prints this with the same spelling of everything.
#[test]
fn yaml_is_laid_out_as_sops_lays_it_out() {
    let expected = "# top\na:\n    # inside\n    b: |\n        x\n        y\n    # last\nl:\n    # one\n    - \"y\"\n    # two\n    \
                    - k:\n        - - 1\n      m: {}\n    - - []\nz: null\n# end\n";
    assert_eq!(written(Format::Yaml, &nested()), expected);
}

#[test]
fn the_indent_reaches_multiples_and_dashes_take_two() {
    let three = Options {
        yaml_indent: 3,
        ..Options::default()
    };
    let expected = "# top\na:\n   # inside\n   b: |\n      x\n      y\n   # last\nl:\n   # one\n   - \"y\"\n   # two\n   \
                    - k:\n      - - 1\n     m: {}\n   - - []\nz: null\n# end\n";
    assert_eq!(printed(emit(Format::Yaml, &nested(), &three)), expected);
    for (asked, like) in [(0, 4), (1, 2), (10, 2)] {
        let with = |yaml_indent| printed(emit(Format::Yaml, &nested(), &Options { yaml_indent, ..three }));
        assert_eq!(with(asked), with(like));
    }
}

#[test]
fn json_drops_comments_and_further_documents() {
    let mut items = nested();
    items.extend([Item::Map, Item::End]);
    let expected = "{\n\t\"a\": {\n\t\t\"b\": \"x\\ny\\n\"\n\t},\n\t\"l\": [\n\t\t\"y\",\n\t\t{\n\t\t\t\"k\": [\n\t\t\t\t[\n\t\t\t\t\t1\n\
                    \t\t\t\t]\n\t\t\t],\n\t\t\t\"m\": {}\n\t\t},\n\t\t[\n\t\t\t[]\n\t\t]\n\t],\n\t\"z\": null\n}\n";
    assert_eq!(written(Format::Json, &items), expected);
    let spaces = |count| Options {
        json_indent: Indent::Spaces(count),
        ..Options::default()
    };
    let small = [
        Item::Map,
        key("a"),
        Item::List,
        int(1),
        int(2),
        Item::End,
        Item::End,
    ];
    assert_eq!(
        printed(emit(Format::Json, &small, &spaces(2))),
        "{\n  \"a\": [\n    1,\n    2\n  ]\n}\n"
    );
    assert_eq!(
        printed(emit(Format::Json, &small, &spaces(0))),
        "{\n\"a\": [\n1,\n2\n]\n}\n"
    );
}

#[test]
fn json_strings_are_escaped_for_html_and_broken_bytes_replaced() {
    let bytes = b"<&>\"\\/\x08\x0c\n\r\t\x01\x7f\xe2\x80\xa8\xe2\x82\xff\xf0\x9f\x98\x80";
    let items = [
        Item::Map,
        key("k"),
        Item::Scalar(Scalar::Str(bytes[..].into())),
        Item::End,
    ];
    let expected = "{\n\t\"k\": \"\\u003c\\u0026\\u003e\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\u{7f}\\u2028\\ufffd\\ufffd\\ufffd😀\"\n}\n";
    assert_eq!(written(Format::Json, &items), expected);
}

#[test]
fn dotenv_is_one_line_per_entry_and_refuses_nesting() {
    let float = Item::Scalar(Scalar::Float(1.0));
    let items = [
        Item::Map,
        comment(" c"),
        key("a"),
        text("x\ny\\n"),
        key("f"),
        float,
        key("n"),
        Item::Scalar(Scalar::Null),
        Item::End,
    ];
    assert_eq!(
        written(Format::Dotenv, &items),
        "# c\na=x\\ny\\n\nf=1.0\nn=<nil>\n"
    );
    let refused = emit(Format::Dotenv, &nested(), &Options::default());
    assert!(matches!(refused, Err(EmitError::Nested { key }) if key == "a"));
}

#[test]
fn ini_aligns_quotes_and_attaches_comments() {
    use Item::{End, List, Map};
    let items = [
        Map,
        key("DEFAULT"),
        Map,
        key("x"),
        text("y"),
        End,
        key("a"),
        Map,
        comment(" first\n#second"),
        key("k"),
        text("a;b"),
        comment(" of k"),
        key("long=er"),
        text(" blank"),
        key("n"),
        List,
        int(1),
        Item::Scalar(Scalar::Float(1e6)),
        Map,
        key("q"),
        Item::Scalar(Scalar::Null),
        End,
        End,
        key("e"),
        text(""),
        End,
        End,
    ];
    let expected = "x = y\n\n;  first\n# second\n[a]\n; of k\nk         = `a;b`\n`long=er` = \" blank\"\n\
                    n         = [1 1e+06 [{q <nil>}]]\ne         = \n";
    assert_eq!(written(Format::Ini, &items), expected);
    let outside = emit(Format::Ini, &[Map, key("a"), text("b"), End], &Options::default());
    assert!(matches!(outside, Err(EmitError::OutsideSection { key }) if key == "a"));
}

#[test]
fn a_binary_file_is_the_text_under_data() {
    let items = [
        Item::Map,
        comment("c"),
        key("data"),
        Item::Scalar(Scalar::Str(b"\xff\0\n"[..].into())),
        Item::End,
    ];
    let bytes = emit(Format::Binary, &items, &Options::default()).expect("a binary file");
    assert_eq!(bytes.expose(), b"\xff\0\n");
    for items in [
        nested(),
        [&items[..], &items[..]].concat(),
        vec![Item::Map, key("data"), int(5), Item::End],
    ] {
        assert!(matches!(
            emit(Format::Binary, &items, &Options::default()),
            Err(EmitError::NotBinary)
        ));
    }
}

#[test]
fn single_values_print_as_extract_prints_them() {
    let options = Options::default();
    let single = |format, items: &[Item<'_>]| emit_value(format, items, &options);
    for format in [
        Format::Yaml,
        Format::Json,
        Format::Dotenv,
        Format::Ini,
        Format::Binary,
    ] {
        assert_eq!(printed(single(format, &[text("x\ny")])), "x\ny");
    }
    assert_eq!(printed(single(Format::Yaml, &[int(5)])), "5\n");
    assert_eq!(printed(single(Format::Json, &[int(5)])), "5");
    assert!(matches!(
        single(Format::Dotenv, &[int(5)]),
        Err(EmitError::NotText)
    ));
    let list = [
        Item::List,
        comment("h"),
        int(1),
        Item::List,
        Item::End,
        Item::Map,
        key("a"),
        text("<"),
        Item::End,
        comment("f"),
        Item::End,
    ];
    assert_eq!(
        printed(single(Format::Yaml, &list)),
        "#h\n- 1\n- []\n- a: <\n\n#f\n"
    );
    assert_eq!(
        printed(single(Format::Json, &list)),
        "[\n\t1,\n\t[],\n\t{\n\t\t\"a\": \"\\u003c\"\n\t}\n]"
    );
    let shown = r#"[{"Value":"h"},1,null,[{"Key":"a","Value":"\u003c"}],{"Value":"f"}]"#;
    assert_eq!(printed(single(Format::Ini, &list)), shown);
    assert_eq!(printed(single(Format::Json, &[Item::Map, Item::End])), "{}\n");
}

#[test]
fn numbers_beyond_json_are_refused() {
    for value in [f64::NAN, f64::INFINITY] {
        let items = [Item::Map, key("k"), Item::Scalar(Scalar::Float(value)), Item::End];
        assert!(matches!(
            emit(Format::Json, &items, &Options::default()),
            Err(EmitError::NotFinite)
        ));
    }
}

#[test]
fn what_does_not_nest_is_refused() {
    let broken: [&[Item<'_>]; 7] = [
        &[Item::Map],
        &[Item::End],
        &[Item::Map, key("a"), Item::End],
        &[Item::Map, key("a"), comment("c"), int(1), Item::End],
        &[Item::Map, int(1), Item::End],
        &[Item::List, key("a"), int(1), Item::End],
        &[Item::Map, Item::End, Item::End],
    ];
    for items in broken {
        for format in [
            Format::Yaml,
            Format::Json,
            Format::Dotenv,
            Format::Ini,
            Format::Binary,
        ] {
            assert!(
                matches!(
                    emit(format, items, &Options::default()),
                    Err(EmitError::Unbalanced)
                ),
                "{items:?}"
            );
        }
    }
    assert!(matches!(
        emit(Format::Yaml, &[], &Options::default()),
        Err(EmitError::NoDocument)
    ));
}

#[test]
fn depth_costs_no_stack() {
    let depth = 2_000;
    let mut items: Vec<Item<'_>> = vec![Item::Map, key("a")];
    items.extend(std::iter::repeat_n(Item::List, depth));
    items.extend(std::iter::repeat_n(Item::End, depth + 1));
    for format in [Format::Yaml, Format::Json] {
        assert!(emit(format, &items, &Options::default()).is_ok());
    }
}

#[test]
fn paths_select_the_first_match_and_skip_comments() {
    let items = nested();
    let select = |path: &str| select(&items, &Path::parse_sops(path).expect("a path"));
    assert_eq!(select("['l'][0]"), Some(&[text("y")][..]));
    assert_eq!(select("['l'][1]['k'][0][0]"), Some(&[int(1)][..]));
    assert_eq!(select("['l'][1]['m']"), Some(&[Item::Map, Item::End][..]));
    for nothing in ["['l'][3]", "['x']", "['l']['k']", "['z'][0]", "['a']['b']['c']"] {
        assert_eq!(select(nothing), None, "{nothing}");
    }
}

#[test]
fn a_document_is_taken_apart_with_values_put_in_place() {
    let source = SecretBytes::copy_from(b"# note\na: ENC\nb: &x [plain]\nc: *x\nsops:\n  mac: x\n");
    let document =
        Document::parse(Format::Yaml, Form::Sealed, source, &Limits::default()).expect("a document");
    let mut seen = 0;
    let items = from_document(&document, 100, |leaf| {
        seen += 1;
        match leaf {
            Leaf::Comment(_) => Some(Opened::Comment(b" opened"[..].into())),
            Leaf::Scalar(id) => match document.scalar(id) {
                Ok(Scalar::Str(text)) if *text == *b"ENC" => Some(Opened::Scalar(Scalar::Int(7))),
                _ => None,
            },
        }
    });
    let items = items.expect("items");
    assert_eq!(seen, 4);
    let list = [Item::List, text("plain"), Item::End];
    let expected = [
        &[Item::Map, comment(" opened"), key("a"), int(7), key("b")][..],
        &list,
        &[key("c")],
        &list,
        &[Item::End],
    ];
    assert_eq!(items, expected.concat());
    assert!(matches!(
        from_document(&document, 3, |_| None),
        Err(EmitError::TooLarge { bound: 3 })
    ));
}

/// sops panics on the first two, and on the last prints what no reader takes.
#[test]
fn a_comment_that_yaml_cannot_hold_is_printed_so_that_it_reads() {
    for (text, expected) in [
        (&b" a\xff"[..], " a\u{fffd}"),
        (b"\x80", "\u{fffd}"),
        (b" a\x01b", " a\u{fffd}b"),
        (b" a\rb: c", " a\u{fffd}b: c"),
        (b" a\r", " a\r"),
        (" é 🔐\t!".as_bytes(), " é 🔐\t!"),
    ] {
        let items = [Item::Map, Item::Comment(text.into()), key("k"), int(1), Item::End];
        let printed = written(Format::Yaml, &items);
        assert_eq!(printed, format!("#{expected}\nk: 1\n"));
        let source = SecretBytes::new(printed.into_bytes());
        let read = Document::parse(Format::Yaml, Form::Sealed, source, &Limits::default());
        assert_eq!(read.expect("reads").walk().count(), 5);
    }
}

#[test]
fn documents_become_one_map() {
    use Item::{End, List, Map};
    let items = [
        vec![
            Map,
            comment("c"),
            key("a"),
            int(1),
            key("m"),
            Map,
            key("x"),
            List,
            End,
            End,
            End,
        ],
        vec![Map, End],
        vec![Map, key("a"), int(2), End],
    ];
    let merged = merged(&items.concat()).expect("maps");
    let text = written(Format::Json, &merged);
    assert_eq!(
        text,
        "{\n\t\"a\": 1,\n\t\"m\": {\n\t\t\"x\": []\n\t},\n\t\"a\": 2\n}\n"
    );
    for bad in [
        vec![],
        vec![List, End],
        vec![int(1)],
        vec![Map, End, int(1)],
        vec![Map],
    ] {
        assert!(super::merged(&bad).is_err(), "{bad:?}");
    }
}
