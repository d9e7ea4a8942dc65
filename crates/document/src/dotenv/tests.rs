use proptest::prelude::*;

use crate::roundtrip::{self, check, check_update, parse, parsed, sample_block};
use crate::{Child, Edits, Error, Form, Format, Scalar, Value};

const SAMPLES: &[&str] = &[
    "",
    "\n",
    "A=1",
    "A=1\n",
    "# c\nA=1\n\n#\nB =  x # y\nexport C='z'\n=empty\nD=\n",
    "A=a\\nb\\\\nc\nA=again\n",
    "\u{feff}A=1\r\nB=2\r",
    "#only",
];

fn text(source: &[u8]) -> String {
    String::from_utf8_lossy(source).into_owned()
}

#[test]
fn samples_seal_and_open_to_the_same_bytes() {
    for source in SAMPLES {
        check(Format::Dotenv, source.as_bytes());
        check_update(Format::Dotenv, source.as_bytes());
    }
    check(Format::Dotenv, b"A=\xff\n#\xfe\n");
}

#[test]
fn keys_and_values_are_what_sops_takes() {
    let document = parsed(
        Format::Dotenv,
        Form::Plain,
        b"# c\nexport A = 'x' # y\r\nB==a\\nb\n",
    );
    let found: Vec<_> = roundtrip::leaves(&document)
        .into_iter()
        .map(|(path, leaf)| match leaf {
            roundtrip::Leaf::Node(id) => match document.scalar(id).expect("a text") {
                Scalar::Str(value) => format!("{path}{}", text(&value)),
                other => panic!("{other:?}"),
            },
            roundtrip::Leaf::Comment(comment) => {
                format!("#{}", text(document.tree().text(document.source(), comment.text)))
            }
        })
        .collect();
    assert_eq!(found, ["# c", "export A : 'x' # y\r", "B:=a\nb"]);
}

#[test]
fn what_sops_does_not_read_is_refused() {
    for (source, line, why) in [
        (b"A=1\nfoo\n".as_slice(), 2, "without ="),
        (b"A=1\r\n\r\nB=1\r\n", 2, "carriage return"),
        (b"\xEF\xBB\xBF# c\n", 1, "byte order mark"),
        (b"\xff=1\n", 1, "not valid UTF-8"),
    ] {
        let error = parse(Format::Dotenv, Form::Plain, source).expect_err("refused");
        let Error::Syntax { at, why: reason } = &error else {
            panic!("{error}")
        };
        assert!(at.line == line && reason.contains(why), "{error}");
    }
    let conflict = parse(
        Format::Dotenv,
        Form::Sealed,
        b"A=1\n<<<<<<< HEAD\nB=1\n=======\n>>>>>>> x\n",
    );
    assert!(matches!(conflict, Err(Error::Conflict { at }) if at.line == 2));
}

#[test]
fn the_block_stands_in_lines_of_its_own() {
    let block = Value::Map(vec![("mac".into(), Value::Str("a\nb".into()))]);
    for (source, wanted) in [
        ("A=1\n", "A=1\nsops_mac=a\\nb\n"),
        ("A=1", "A=1\nsops_mac=a\\nb"),
        ("", "sops_mac=a\\nb\n"),
        ("A=1\r\n", "A=1\r\nsops_mac=a\\nb\n"),
    ] {
        let document = parsed(Format::Dotenv, Form::Plain, source.as_bytes());
        let mut edits = Edits::default();
        document.set_block(&block, &mut edits).expect("a block");
        assert_eq!(text(document.render(&edits).expose()), wanted);
    }
}

#[test]
fn scattered_blocks_are_read_changed_and_removed() {
    let source = b"sops_mac=m\nA=1\nsops_version=3\nsops_x=1\n# c\nB=2\nsops_y=2";
    let document = parsed(Format::Dotenv, Form::Sealed, source);
    let names = ["mac", "version", "x", "y"];
    let Some(Value::Map(entries)) = document.block().expect("a block") else {
        panic!("a map")
    };
    assert!(entries.iter().map(|(name, _)| name.as_str()).eq(names));
    let wanted = [("mac", "n"), ("version", "3"), ("w", "2"), ("y", "3"), ("z", "4")];
    let wanted = wanted.map(|(name, value)| (name.to_owned(), Value::Str(value.into())));
    let mut edits = Edits::default();
    document
        .set_block(&Value::Map(wanted.to_vec()), &mut edits)
        .expect("a block");
    let changed = "sops_mac=n\nA=1\nsops_version=3\nsops_w=2\n# c\nB=2\nsops_y=3\nsops_z=4";
    assert_eq!(text(document.render(&edits).expose()), changed);
    let mut edits = Edits::default();
    document.remove_block(&mut edits);
    assert_eq!(text(document.render(&edits).expose()), "A=1\n# c\nB=2");
}

#[test]
fn values_of_other_types_become_text() {
    let document = parsed(Format::Dotenv, Form::Sealed, b"A=ENC\n");
    let Child::Entry { value, .. } = document.tree().children(document.tree().roots[0])[0] else {
        panic!("an entry")
    };
    for (scalar, wanted) in [
        (Scalar::Bool(true), "true"),
        (Scalar::Int(-3), "-3"),
        (Scalar::Float(1.0), "1.0"),
        (Scalar::Null, "<nil>"),
        (Scalar::Str(b"a\nb".as_slice().into()), "a\\nb"),
    ] {
        let mut out = Vec::new();
        document.spell(value, &scalar, &mut out);
        assert_eq!(text(&out), wanted);
    }
}

#[test]
fn a_sealed_comment_never_becomes_an_entry() {
    let document = parsed(Format::Dotenv, Form::Sealed, b"#ENC\n");
    let mut out = Vec::new();
    document.spell_comment(b"a\nB=1", &mut out);
    assert_eq!(text(&out), "a\n#B=1");
}

#[test]
fn set_and_unset_change_one_line() {
    for (source, path, value, wanted) in [
        ("A=1\nB=2\n", "[\"A\"]", "\"x\\ny\"", "A=x\\ny\nB=2\n"),
        ("A=1\n", "[\"B\"]", "1.0", "A=1\nB=1.0\n"),
        ("A=1", "[\"B\"]", "true", "A=1\nB=true"),
        ("", "[\"B\"]", "\"\"", "B=\n"),
        ("A=1\nsops_mac=x\n", "[\"B\"]", "2", "A=1\nB=2\nsops_mac=x\n"),
    ] {
        assert_eq!(
            roundtrip::set(Format::Dotenv, source.as_bytes(), path, value).expect(path),
            wanted
        );
    }
    for (path, value) in [
        ("[\"A\"]", "null"),
        ("[\"A\"]", "[1]"),
        ("[\"A\"][\"b\"]", "1"),
        ("[0]", "1"),
        ("[\"#A\"]", "1"),
        ("[\"a=b\"]", "1"),
        ("[\"A\"]", "\"a\\\\nb\""),
    ] {
        let error = roundtrip::set(Format::Dotenv, b"A=1\n", path, value).expect_err(path);
        assert!(matches!(error, Error::Path { .. }), "{error}");
    }
    for (source, wanted) in [
        ("A=1\nB=2\nC=3\n", "A=1\nC=3\n"),
        ("A=1\nB=2", "A=1"),
        ("B=2\n", ""),
        ("B=2", ""),
    ] {
        assert_eq!(
            roundtrip::unset(Format::Dotenv, source.as_bytes(), "[\"B\"]").expect("B"),
            wanted
        );
    }
    assert!(roundtrip::unset(Format::Dotenv, b"A=1\n", "[\"B\"]").is_err());
}

proptest! {
    #[test]
    fn any_file_seals_and_opens_to_the_same_bytes(
        source in "(\u{feff})?(([ab ]{0,2}=|#|)([ab#=\\\\n;\"\r é]{0,6})\n){0,6}([ab]=([ab\r]{0,2}))?"
    ) {
        if parse(Format::Dotenv, Form::Plain, source.as_bytes()).is_ok() {
            check(Format::Dotenv, source.as_bytes());
            check_update(Format::Dotenv, source.as_bytes());
        }
    }

    #[test]
    fn no_bytes_make_it_panic(source in "((sops_)?[a-z=#\n\r\\\\]{0,4}=?[a-z\n]{0,3}){0,8}") {
        if let Ok(document) = parse(Format::Dotenv, Form::Sealed, source.as_bytes()) {
            let mut edits = Edits::default();
            document.remove_block(&mut edits);
            let opened = document.render(&edits);
            prop_assert_eq!(parsed(Format::Dotenv, Form::Sealed, opened.expose()).block().expect("none"), None);
            let mut edits = Edits::default();
            document.set_block(&sample_block(Format::Dotenv), &mut edits).expect("a block");
            let sealed = parsed(Format::Dotenv, Form::Sealed, document.render(&edits).expose());
            let names = |block: Option<Value>| match block {
                Some(Value::Map(entries)) => entries.into_iter().collect::<std::collections::HashMap<_, _>>().len(),
                _ => 0,
            };
            prop_assert_eq!(names(sealed.block().expect("a block")), names(Some(sample_block(Format::Dotenv))));
        }
    }
}
