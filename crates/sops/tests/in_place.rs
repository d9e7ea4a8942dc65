//! Sealing in place: what comes back is what was written, byte for byte, and nothing but the sealed values,
//! their comments and the metadata block is touched.

use document::{Document, Form, Format, Limits};
use secret::SecretBytes;
use sops::{Checks, DataKey, KeyEntry, MasterKey, Metadata, Rules, Sealing, open, seal};

fn metadata(rules: Rules) -> Metadata {
    let key = MasterKey::Age {
        recipient: "age1test".into(),
    };
    let entry = KeyEntry::new(
        key,
        String::new(),
        "-----BEGIN AGE ENCRYPTED FILE-----\nAA==\n-----END AGE ENCRYPTED FILE-----\n".into(),
    );
    Metadata::new(vec![vec![entry]], rules, String::new(), "3.11.0".into())
}

fn key() -> DataKey {
    DataKey::new([7; 32])
}

fn sealed(format: Format, text: &[u8], rules: Rules) -> Result<Vec<u8>, sops::Error> {
    let limits = Limits::default();
    let document = Document::parse(format, Form::Plain, SecretBytes::copy_from(text), &limits)?;
    let key = key();
    let sealing = Sealing {
        key: &key,
        now: "2026-01-02T03:04:05Z",
        fields: true,
        reuse: None,
        block: None,
        limits: &limits,
    };
    let mut state = 1u64;
    let mut random = |buffer: &mut [u8]| {
        for byte in buffer {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            *byte = (state >> 33) as u8;
        }
        Ok(())
    };
    Ok(seal(&document, metadata(rules), sealing, &mut random)?
        .bytes
        .expose()
        .to_vec())
}

fn opened(format: Format, sealed: &[u8]) -> Result<Vec<u8>, sops::Error> {
    let document = Document::parse(
        format,
        Form::Sealed,
        SecretBytes::copy_from(sealed),
        &Limits::default(),
    )?;
    let block = document.block()?.expect("a sealed file has a block");
    let block = match format {
        Format::Dotenv | Format::Ini => {
            let document::Value::Map(fields) = block else {
                panic!("a flat block")
            };
            let fields: Vec<_> = fields
                .into_iter()
                .map(|(name, value)| match value {
                    document::Value::Str(text) => (name, text),
                    other => panic!("{other:?}"),
                })
                .collect();
            sops::unflatten(&fields).expect("a block")
        }
        _ => block,
    };
    let metadata = Metadata::from_value(&block).expect("metadata");
    Ok(open(&document, &metadata, &key(), &Checks::default())?
        .plaintext
        .expose()
        .to_vec())
}

#[track_caller]
fn round_trip(format: Format, text: &[u8]) -> String {
    let shown = String::from_utf8_lossy(text);
    let sealed = sealed(format, text, Rules::default()).unwrap_or_else(|error| panic!("{error}\n{shown}"));
    let sealed_text = String::from_utf8_lossy(&sealed).into_owned();
    let back = opened(format, &sealed).unwrap_or_else(|error| panic!("{error}\n{shown}\n{sealed_text}"));
    assert!(
        back == text,
        "{shown}\n----\n{}\n----\n{sealed_text}",
        String::from_utf8_lossy(&back)
    );
    sealed_text
}

#[test]
fn yaml_comes_back_byte_for_byte() {
    for text in [
        "a: x\n",
        "a: x",
        "a: 'it''s'\nb: \"x\\ty\\x41\"\n",
        "# head\na: x # inline\n\n# foot\n",
        "a: 0x1F\nb: 1.10\nc: 017\nd: 2024-01-02\ne: yes\nf: True\ng: ~\nh: .inf\ni: 1_000\n",
        "a: |\n  one\n  two\nb: >-\n  folded\n  text\nc: |+\n  keep\n\nd: |2\n   lead\ne: |-\n  strip\n\n\nf: x\n",
        "a: |\n  one",
        "a: >+\n\nb: |+\n\n\nc: x\n",
        "list:\n- a\n- b: c\n  d: [1, two, \"three\"]\n-\n  - x\n",
        "m: {a: 1, 'b': \"two\", c: [x, {d: e}]}\n",
        "{a: b, c: [d]}\n",
        "a: &x\n  p: secret\n  q: 5\nb: *x\nc:\n  <<: *x\n  r: s\nl:\n  - *x\n  - &y plain\n  - *y\n",
        "one: 1\n---\ntwo: 2\n# c\n...\n---\nthree: 3\n",
        "a: x\r\nb: |\r\n  one\r\n  two\r\n# c\r\nc: 'y'\r\n",
        "\u{FEFF}a: x\n",
        "---\n# only a comment\n",
        "a: !!str 5\nb: !!int 5\nc: !custom x\nd: !!binary aGVsbG8=\ne: &anchor !!float 5\nf: !!int &g 6\n",
        "a: multi\n  line plain\nb: \"multi\n  line quoted\"\nc: 'single\n\n  quoted'\n",
        "? a\n: b\n? c\n: - d\n",
        "  a: indented\n  b:\n    c: d\n",
        "a:\n  - |\n    item\n  - > # note\n    folded\n\n# end\n",
        "empty: \"\"\nnothing:\nmap: {}\nlist: []\nx: y\n",
        "\"quoted key\": v\n'a: b': w\n? |\n  block key\n: z\n",
        "a: b\n\n\n\n",
        "a_unencrypted: clear\nb: sealed\nc_unencrypted:\n  d: clear | too\n  e: |\n    clear block",
    ] {
        round_trip(Format::Yaml, text.as_bytes());
    }
}

/// An alias of sealed values is written out in brackets, and a comment beside brackets belongs into them.
#[test]
fn comments_beside_aliases_come_back() {
    for text in [
        "a: &x\n  k: v\nb: *x # beside\nc: w\n",
        "a: &x\r\n  k: v\r\nm:\r\n  b: *x # beside\r\n",
        "a: &x\n  k: v\nb:\n  # above\n  *x\nc: w\n",
        "l:\n  - &x [v]\n  # above\n  - *x # beside\n  # below\n\nc: w\n",
        "m:\n  - k: 12\n     # lost: another takes its place\n   # not lost\n\n    n:\na: &x v\nb: *x # beside\n",
        "a: &x !!float 5\nb: *x\nc: &y\n  d: !!binary aGk=\n  e: 2024-01-02\n  f: !!str 7\n  g: |\n    h\n\nd: *y\n",
    ] {
        round_trip(Format::Yaml, text.as_bytes());
    }
}

/// sops makes an empty item of an empty comment in a list, unless it is sealed.
#[test]
fn empty_comments_in_lists_are_sealed() {
    let sealed = round_trip(
        Format::Yaml,
        b"l:\n  #\n  - a\n  #\n  # \n  #\t\n  - b #\nm:\n  #\n  c: d\n",
    );
    assert_eq!(sealed.matches(",type:comment]").count(), 5, "{sealed}");
    assert_eq!(sealed.matches("#\n").count(), 1, "{sealed}");
}

#[test]
fn json_comes_back_byte_for_byte() {
    for text in [
        "{\"a\":\"x\"}",
        "{\n\t\"a\": \"x\",\n\t\"b\": [1, 2.50, true, null, \"\\u00e9\\/\"],\n\t\"c\": {}\n}\n",
        "{\n  \"a\": {\"b\": 1e3},\n  \"d\": -0.0\n}\n",
        "{}",
        "{ \"a\" : \"\" }\n",
    ] {
        round_trip(Format::Json, text.as_bytes());
    }
}

#[test]
fn dotenv_ini_and_binary_come_back_byte_for_byte() {
    for text in [
        "A=1\n# c\nB=two words\n",
        "A=1",
        "export A=\"x\"\r\nB=\\n\r\n",
        "A=\n",
    ] {
        round_trip(Format::Dotenv, text.as_bytes());
    }
    for text in ["[s]\nk = v\n", "a = b\n\n[s]\n; c\nk=v\n"] {
        round_trip(Format::Ini, text.as_bytes());
    }
    for text in [&b"hello"[..], b"\x00\xff\n", b""] {
        round_trip(Format::Binary, text);
    }
}

/// The property stays where it is: between it and the value there is something that is sealed by itself.
#[test]
fn comments_between_a_property_and_its_value_come_back() {
    for text in [
        "a: &x # c\n  v\nb: *x\n",
        "a: &x # c\n  !!str v\n",
        "a: !custom # c\n  'v'\n",
        "a: &x # c\n  |\n  v\n",
        "l:\n- &x\n  # c\n  v\n",
    ] {
        let sealed = round_trip(Format::Yaml, text.as_bytes());
        assert!(sealed.contains(",type:comment]"), "{sealed}");
    }
    for text in ["a: !!int # c\n  5\n", "a: !!binary # c\n  |\n  aGk=\n"] {
        let source = SecretBytes::copy_from(text.as_bytes());
        let refused = Document::parse(Format::Yaml, Form::Plain, source, &Limits::default());
        assert!(matches!(refused, Err(error) if error.to_string().starts_with("1:4: a comment stands")));
    }
}

#[test]
fn aliases_as_keys_are_written_out_and_come_back() {
    let text = b"&k top: &v some node\n*v : x # note\nm: &m\n  *k : y\n  {*v : [a]}: z\n";
    assert!(sealed(Format::Yaml, text, Rules::default()).is_err());
    let text = b"&k top: &v some node\n*v : x # note\nm: &m\n  *k : y\n  flow: {*v : [a]}\nagain: *m\n";
    let sealed = round_trip(Format::Yaml, text);
    for line in [
        "\nsome node : ENC[",
        "\n  top : ENC[",
        "flow: {some node : [\"ENC[",
    ] {
        assert!(sealed.contains(line), "{line}\n{sealed}");
    }
    let number = b"a: &n 1\n*n : x\n";
    assert!(matches!(
        document::Document::parse(
            Format::Yaml,
            Form::Plain,
            SecretBytes::copy_from(number),
            &Limits::default()
        ),
        Err(error) if error.to_string().contains("not for text")
    ));
}

/// The last value of a YAML text.
fn last_value(text: &str) -> String {
    let source = SecretBytes::copy_from(text.as_bytes());
    let document = Document::parse(Format::Yaml, Form::Plain, source, &Limits::default()).expect(text);
    let leaves = document.walk().filter_map(|event| match event {
        document::Event::Leaf(id) => Some(id),
        _ => None,
    });
    let value = document
        .scalar(leaves.last().expect("a value"))
        .expect("it reads");
    match value {
        document::Scalar::Str(text) => String::from_utf8_lossy(&text).into_owned(),
        other => panic!("{other:?}"),
    }
}

/// What another program reads as the value of a clear block scalar at the end of a file does not change by the metadata
/// block that follows: the chomping is the one that keeps it.
#[test]
fn a_clear_block_scalar_at_the_end_keeps_its_value() {
    let clear = || Rules {
        encrypted_regex: Some("^zz".into()),
        ..Rules::default()
    };
    for (text, value) in [
        ("|\n    x", "x"),
        ("|\n    x\n    ", "x\n"),
        ("|\n    x\n  ", "x\n"),
        ("|\n    x\n      ", "x\n  "),
        ("|+\n    x\n    ", "x\n"),
        ("|-\n    x\n    ", "x"),
        (">\n    x\n    ", "x\n"),
        ("|2\n     x", "   x"),
        ("|2+\n     x\n  ", "   x\n"),
    ] {
        let plain = format!("zz: s\na: {text}");
        let sealed = sealed(Format::Yaml, plain.as_bytes(), clear()).expect(text);
        let (head, _) = std::str::from_utf8(&sealed)
            .expect("text")
            .split_once("sops:")
            .expect("a block");
        for text in [&plain, head] {
            assert_eq!(last_value(text), value, "{text:?}");
        }
        let back = opened(Format::Yaml, &sealed).expect(text);
        assert_eq!(back, plain.as_bytes(), "{text:?}");
    }
    let refused = sealed(Format::Yaml, b"zz: s\na: |+\n  x\n\n  ", clear());
    assert!(
        matches!(refused, Err(sops::Error::NotRestorable { .. })),
        "{refused:?}"
    );
}
