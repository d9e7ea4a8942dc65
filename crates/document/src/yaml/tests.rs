//! Properties of YAML documents.

use super::strict;
use crate::roundtrip::set;
use crate::{Form, Format, Limits, Node, NodeId};

#[test]
fn a_block_list_begins_at_its_first_dash() {
    for (text, expected) in [
        ("a:\n  - x\n", &["- x"][..]),
        ("a:\n- x\n", &["- x"]),
        ("a: # -\n# -\n-   x\n", &["-   x"]),
        ("\"a\":\n- \n  b: c\n", &["- \n  b: c"]),
        (
            "a:\n- - x\n  - y\n- - z\n",
            &["- x\n  - y", "- z", "- - x\n  - y\n- - z"],
        ),
        ("a:\n-\n  - x\n", &["- x", "-\n  - x"]),
        ("a: &n\n- x\n", &["- x"]),
        ("a: !!seq\n- &n\n  - x\n", &["- x", "- &n\n  - x"]),
        ("? a\n: - x\n", &["- x"]),
    ] {
        let tree = super::parse(text.as_bytes(), Form::Sealed, &Limits::default()).expect("is YAML");
        let lists: Vec<_> = (0..tree.len() as u32)
            .filter_map(|id| match *tree.node(NodeId(id)) {
                Node::List { span, .. } => Some(&text[span.range()]),
                _ => None,
            })
            .collect();
        assert_eq!(lists, expected, "{text:?}");
    }
}

#[test]
fn items_are_set_in_lists_of_one_item_and_in_lists_of_lists() {
    for (text, path, expected) in [
        ("a:\n- x\n", r#"["a"][1]"#, "a:\n- x\n- v\n"),
        ("a:\n- - x\n", r#"["a"][0][1]"#, "a:\n- - x\n  - v\n"),
        (
            "a:\n- - x\n- - y\n",
            r#"["a"][1][1]"#,
            "a:\n- - x\n- - y\n  - v\n",
        ),
        ("a:\n- -\n", r#"["a"][0][0]"#, "a:\n- - v\n"),
    ] {
        let found = set(Format::Yaml, text.as_bytes(), path, "\"v\"").expect("can be set");
        assert_eq!(found, expected, "{text:?}");
    }
}

#[test]
fn a_character_that_may_not_stand_in_a_file_is_named_with_its_place() {
    for (text, form, expected) in [
        (
            "a: 1\nb: é\u{7f}\n",
            Form::Sealed,
            Some("2:5: the control character U+007F"),
        ),
        (
            "a: 1\r\nb: x\u{1}\n",
            Form::Sealed,
            Some("2:5: the control character U+0001"),
        ),
        (
            "a: \u{feff}x\n",
            Form::Sealed,
            Some("1:4: the control character U+FEFF"),
        ),
        ("\u{feff}a: é\u{a0}\u{10ffff}\n", Form::Plain, None),
        (
            "a: é\nb: \u{2028}\n",
            Form::Plain,
            Some("2:4: U+2028 is a line break to sops"),
        ),
        ("a: é\nb: \u{85}\n", Form::Sealed, None),
    ] {
        let text = [text, &"c: d\n".repeat(2000)]
            .concat()
            .replacen("c: d", "c: é", 1);
        let error = strict::text(text.as_bytes(), form)
            .err()
            .map(|error| error.to_string());
        match (expected, error) {
            (None, None) => {}
            (Some(expected), Some(error)) => assert!(error.contains(expected), "{error}"),
            (expected, error) => panic!("{expected:?}, {error:?}"),
        }
    }
}

/// As sops reads it, and libyaml: what has no line break has none.
#[test]
fn a_block_scalar_that_ends_the_file_has_no_line_break_of_its_own() {
    for (text, expected) in [
        ("a: |\n  one", "one"),
        ("a: |\n  one\n", "one\n"),
        ("a: >\n  one\n  two", "one two"),
        ("a: |+\n  one", "one"),
        ("a: |+\n  one\n\n  two", "one\n\ntwo"),
        ("a: |+\n  one\n\n", "one\n\n"),
        ("a: |-\n  one", "one"),
        ("a: |\n  one\n  ", "one\n"),
        ("a:\n- |\n  \u{e9}", "\u{e9}"),
        ("a: |", ""),
        ("a: |+\n ", ""),
        ("a: |+\n\n  ", "\n"),
        ("a: |+\n  one\n\n ", "one\n\n"),
        ("a: |\n  one\n    ", "one\n  "),
        ("a: |\n  one \n ", "one \n"),
    ] {
        let document = crate::roundtrip::parsed(Format::Yaml, Form::Plain, text.as_bytes());
        let mut leaves = document.walk().filter_map(|event| match event {
            crate::Event::Leaf(id) => Some(document.scalar(id).expect("a text")),
            _ => None,
        });
        assert_eq!(
            leaves.next(),
            Some(crate::Scalar::Str(expected.as_bytes().into())),
            "{text:?}"
        );
    }
}

#[test]
fn what_stands_above_a_map_or_list_is_no_sign_of_its_key() {
    for (text, path, expected) in [
        ("a:\n  # note: this - that\n  b: c\n", r#"["a"]"#, "a: v\n"),
        ("a:\n  # x-y\n  - b\nc: d\n", r#"["a"]"#, "a: v\nc: d\n"),
        ("l:\n- # x: y\n  b: c\n- d\n", r#"["l"][0]"#, "l:\n- v\n- d\n"),
    ] {
        let found = set(Format::Yaml, text.as_bytes(), path, "\"v\"").expect("can be set");
        assert_eq!(found, expected, "{text:?}");
    }
    let found = crate::roundtrip::unset(Format::Yaml, b"a:\n  # x: y-z\n  b: c\nd: e\n", r#"["a"]["b"]"#);
    assert_eq!(found.expect("can be taken away"), "a: {}\nd: e\n");
}

#[test]
fn without_its_last_entry_a_document_is_an_empty_map() {
    for (text, expected) in [
        ("a: b\n", "{}\n"),
        ("# c\na: b", "# c\n{}"),
        (
            "---\r\na:\r\n- b\r\n---\r\nc: d\r\n",
            "---\r\n{}\r\n---\r\nc: d\r\n",
        ),
    ] {
        let found = crate::roundtrip::unset(Format::Yaml, text.as_bytes(), r#"["a"]"#);
        assert_eq!(found.expect("can be taken away"), expected, "{text:?}");
        crate::roundtrip::parsed(Format::Yaml, Form::Plain, expected.as_bytes());
    }
}

#[test]
fn an_edit_that_would_change_something_else_is_refused() {
    for (text, path) in [
        ("? a\n? b\nc:\n", r#"["a"]"#),
        ("---\na: 1\n? b\n&anchor c: 3\n", r#"["b"]"#),
        ("a:\n  &k k: v\n", r#"["a"]["new"]"#),
        ("!!str a: b\n", r#"["new"]"#),
        ("keep: |+\n\n# note\n", r#"["new"]"#),
        ("{\na: b,\nc://d,\n}\n", r#"["c://d"]"#),
        ("a: [\n  b : c,\n ]\n", r#"["a"][0]["new"]"#),
    ] {
        let error = set(Format::Yaml, text.as_bytes(), path, "5").expect_err(text);
        assert!(
            error.to_string().contains("cannot be changed safely"),
            "{text:?}: {error}"
        );
    }
    let through_an_alias = set(Format::Yaml, b"a: &x\n  k: v\nb: *x\n", r#"["b"]["k"]"#, "5");
    assert_eq!(through_an_alias.expect("can be set"), "a: &x\n  k: 5\nb: *x\n");
    let of_an_alias = set(
        Format::Yaml,
        b"a: &x\n  k: v\nb: *x\n",
        r#"["b"]"#,
        "{\"k\": 1e3}",
    );
    assert_eq!(of_an_alias.expect("can be set"), "a: &x\n  k: v\nb:\n  k: 1000\n");
}

/// Puts `value` in place of the sealed text of the first leaf: what is read back is the same value.
fn opened(sealed: &str, value: &crate::Scalar<'_>) -> String {
    let leaf = |event| match event {
        crate::Event::Leaf(id) => Some(id),
        _ => None,
    };
    let sealed = crate::roundtrip::parsed(Format::Yaml, Form::Sealed, sealed.as_bytes());
    let id = sealed.walk().find_map(leaf).expect("a leaf");
    let (mut edits, mut spelled) = (crate::Edits::default(), Vec::new());
    sealed.spell(id, value, &mut spelled);
    edits.replace(sealed.frame(id).span, &[&spelled]);
    if let (Some((span, _)), Some(header)) = (sealed.header(id), sealed.spell_header(id, value)) {
        edits.replace(span, &[&header]);
    }
    let opened = sealed.render(&edits);
    let read = crate::roundtrip::parsed(Format::Yaml, Form::Plain, opened.expose());
    let id = read.walk().find_map(leaf).expect("a leaf");
    assert_eq!(read.scalar(id).expect("a value"), *value);
    String::from_utf8_lossy(opened.expose()).into_owned()
}

/// sops seals what a `!!binary` stands for and drops the tag; opened, it needs one again.
#[test]
fn bytes_that_are_no_text_come_back_as_bytes() {
    let value = crate::Scalar::Str(b"\x80\x81\x82\xff".into());
    for (sealed, expected) in [
        ("a: ENC\n", "a: !!binary gIGC/w==\n"),
        ("a: &x 'ENC'\n", "a: &x !!binary gIGC/w==\n"),
        ("a: [\"ENC\"]\n", "a: [!!binary gIGC/w==]\n"),
        ("a: |-\n  ENC\nb: c\n", "a: !!binary |-\n  gIGC/w==\nb: c\n"),
    ] {
        assert_eq!(opened(sealed, &value), expected);
    }
}

/// Folding turns a line break into a blank: lines that nobody folded stand in a literal block.
#[test]
fn lines_are_not_folded() {
    for (value, expected) in [
        ("x\n", "a: >\n  x\nb: c\n"),
        (" x", "a: >2-\n   x\nb: c\n"),
        ("x\ny\n", "a: |\n  x\n  y\nb: c\n"),
        ("x\n y", "a: |-\n  x\n   y\nb: c\n"),
    ] {
        let value = crate::Scalar::Str(value.as_bytes().into());
        assert_eq!(opened("a: >-\n  ENC\nb: c\n", &value), expected);
    }
}

/// With a square in it, this takes minutes.
#[test]
fn a_long_line_in_brackets_takes_linear_time() {
    let text = format!("a: [{}\"\"]\n", "{k: \"v\"}, [w], ".repeat(100_000));
    for text in [text.clone(), format!("{text}b:\tc\n")] {
        let document = crate::roundtrip::parsed(Format::Yaml, Form::Plain, text.as_bytes());
        assert!(document.tree().len() > 400_000);
    }
}
