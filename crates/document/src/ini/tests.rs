use proptest::prelude::*;

use super::comment;
use super::value::{next_line, read, reads_back, spell};
use crate::roundtrip::{self, Leaf, check, check_update, parse, parsed, sample_block, seal};
use crate::{Edits, Error, Form, Format, Style, Value};

const SAMPLES: &[&str] = &[
    "",
    "\n",
    "; c",
    "; c\n\n",
    "a=1",
    "a=1\n",
    "[s]\nk = v\n",
    "\u{feff}; top\n\n[s]\r\nk = v\r\n\r\n; above\r\nl: w ; behind\r\n",
    "; licence\n; two\n\n#  three\n   ; four\n \t \n;;;; five  \n\n[s]\n\t; six\n\n  k = 'v'   # seven\n; eight",
    ";\n; foo\n[s]\nk=v\n;;;\n  l =  \"w\"\no = x\t; c\nm=`x;y` ; lost\nn=\"\"\"z\"\"\"\n",
    "k=1\n[DEFAULT]\nk=2\n[s]\nk=3\n[t]\n[s]\nk=4\n",
    "[s]\nk = \"\"\"one\n  two;\n\"\"\"\nl=`a\nb`\n\n\n",
    "[s]\n`a=b` = 1\n\"c:d\"=2\na;b = 3\ne = f=g:h\n'q' = \"x\" \"y\"\n",
    "[s]\nk =\nl = \nm = \"\"\nn = ; only a comment\n",
    "[s]\nk = \u{a0}v\u{3000}\n",
];

fn text(source: &[u8]) -> String {
    String::from_utf8_lossy(source).into_owned()
}

/// Everything that sops takes from a file: paths, texts, and comments behind `#`.
fn taken(form: Form, source: &[u8]) -> Vec<String> {
    let document = parsed(Format::Ini, form, source);
    let tree = document.tree();
    let shown = roundtrip::leaves(&document)
        .into_iter()
        .map(|(path, leaf)| match leaf {
            Leaf::Node(id) => match *tree.node(id) {
                crate::Node::Scalar { text: value, .. } => {
                    format!("{path}{}", text(tree.text(document.source(), value)))
                }
                _ => path,
            },
            Leaf::Comment(comment) => format!("{path}#{}", text(tree.text(document.source(), comment.text))),
        });
    shown.collect()
}

#[test]
fn samples_seal_and_open_to_the_same_bytes() {
    for source in SAMPLES {
        check(Format::Ini, source.as_bytes());
        check_update(Format::Ini, source.as_bytes());
    }
    check(Format::Ini, b"[s]\nk=\xff\n; \xfe\n");
}

#[test]
fn comments_stand_where_sops_has_them() {
    let source = "; top\n\n; top two\n[s]\n# above\nk = v ; behind\nl = w #c\nm=`x` ; dropped\n; end\n";
    let wanted = [
        "s:#top\n \n; top two",
        "s:k:v",
        "s:#above",
        "s:#behind",
        "s:l:w",
        "s:#c",
        "s:m:x",
        "lost#dropped",
        "lost#end",
    ];
    assert_eq!(taken(Form::Plain, source.as_bytes()), wanted);
    let sealed = format!("{source}\n[sops]\nmac = x\n");
    assert_eq!(taken(Form::Sealed, sealed.as_bytes()), wanted);
}

/// Each with what sops 3.11.0 and 3.13.3 take from it.
#[test]
fn what_sops_may_have_written_opens() {
    for (source, wanted) in [
        ("[s]\nk=a \\\n  b\\\n c\nl=d\n", vec!["s:k:a bc", "s:l:d"]),
        ("[s]\nk=a\\\n\nl=d\n", vec!["s:k:a", "s:l:d"]),
        (
            "[s]\nk=\"\"\"a\n b\n\"\"\" ; c\nl=1\n",
            vec!["s:k:a\n b\n", "s:l:1", "lost#c"],
        ),
        (
            "[s]\nk=\"\"\"a\nb\"\"\" \\\nc\"\"\"\n",
            vec!["s:k:a\nb\"\"\" \\\nc"],
        ),
        ("[s]\nk=`a` and `b`\n", vec!["s:k:a` and `b"]),
        ("[s]\nk=`a` b\n", vec!["s:k:a"]),
        ("[s]\nk=\"a;b\"\n", vec!["s:k:\"a", "s:#b\""]),
        ("[s]\nk=a;b\n", vec!["s:k:a", "s:#b"]),
        ("[s]\n- = a\n-=b\n", vec!["s:#1:a", "s:#2:b"]),
        ("[s]\nk=1\nj=2\nk=3\n", vec!["s:k:3", "s:j:2"]),
        ("[s] ; c\nk=1\n", vec!["s:#c", "s:k:1"]),
        ("[s] ; [c]\nk=1\n", vec!["s] ; [c:k:1"]),
        ("[s]x\n\"a\" b = 1\n", vec!["s:a:1"]),
        ("k=\"\"\"", vec!["DEFAULT:k:\"\"\""]),
    ] {
        assert_eq!(taken(Form::Sealed, source.as_bytes()), wanted, "{source}");
    }
}

#[test]
fn what_sops_would_lose_or_change_is_refused_with_its_line() {
    for (source, line, why) in [
        ("[s]\nk=1\nj=1\nk=2\n", 4, "first on line 2"),
        ("[s]\nk=a\\\nb\n", 2, "backslash"),
        ("[s]\nk=C:\\dir\\\nl=1\n", 2, "backslash"),
        ("[s]\nk=a;b\n", 2, "backquotes"),
        ("[s]\nk=http://x/#y\n", 2, "backquotes"),
        ("[s]\nk=\"a ;b\"\n", 2, "inside the quotes"),
        ("[s]\nk=`a` b\n", 2, "behind the closing quote"),
        ("[s]\nk=`a`b` ; c\n", 2, "inside the value"),
        ("[s]\nk=\"\"\"a\nb\"\"\" x ; c\n", 2, "closing quote"),
        ("[s]\nk=`a\n", 2, "not closed"),
        ("[s] ; c\nk=1\n", 1, "comment behind a section header"),
        ("[s] x\nk=1\n", 1, "behind a section header"),
        ("[s]]\nk=1\n", 1, "section header"),
        ("[s\nk=1\n", 1, "without ]"),
        ("[]\nk=1\n", 1, "without a name"),
        ("[s]\nfoo\n", 2, "without ="),
        ("[s]\n=1\n", 2, "without a key"),
        ("[s]\n\" \"=1\n", 2, "without a key"),
        ("[s]\n\"a=1\n", 2, "not closed"),
        ("[s]\n\"a\"\n", 2, "without ="),
        ("[s]\n\"a\" b=1\n", 2, "quoted key"),
        ("[s]\n- = 1\n", 2, "called -"),
        ("[s]\nk=\\ ; c\n", 2, "backslash"),
        ("[s]\n;\nk=1 ; c\n", 3, "crashes"),
        ("k=1\r", 1, "carriage return"),
    ] {
        let error = parse(Format::Ini, Form::Plain, source.as_bytes()).expect_err(source);
        let Error::Syntax { at, why: reason } = &error else {
            panic!("{error}")
        };
        assert!(at.line == line && reason.contains(why), "{source}: {error}");
    }
    for source in [b"[\xff]\n".as_slice(), b"[s]\n\xff=1\n", b"\xff\xfek\0"] {
        assert!(parse(Format::Ini, Form::Plain, source).is_err());
    }
    let conflict = parse(
        Format::Ini,
        Form::Sealed,
        b"[s]\n<<<<<<< HEAD\nk=1\n=======\nk=2\n>>>>>>> x\n",
    );
    assert!(matches!(conflict, Err(Error::Conflict { at }) if at.line == 2));
}

#[test]
fn quotes_are_kept_around_sealed_text() {
    let source = "[s]\na=1 ; c\nb='1'\nc = \"1\"\nd=`1`\ne=\"\"\"1\n\"\"\"\n";
    let sealed = seal(
        &parsed(Format::Ini, Form::Plain, source.as_bytes()),
        &Value::Map(vec![]),
    );
    let enc = |nth: usize| format!("ENC[AES256_GCM,data:AA{nth}==,iv:/+A=,tag:BB==,type:str]");
    let wanted = format!(
        "[s]\na={} ; {}\nb='{}'\nc = \"{}\"\nd=`{}`\ne=\"\"\"{}\"\"\"\n\n[sops]\n",
        enc(0),
        enc(1),
        enc(2),
        enc(3),
        enc(4),
        enc(5)
    );
    assert_eq!(text(sealed.expose()), wanted);
}

#[test]
fn values_are_quoted_as_go_ini_quotes_them() {
    for (value, wanted) in [
        ("plain", "plain"),
        ("", ""),
        ("a;b", "`a;b`"),
        ("#a", "`#a`"),
        (" a", "\" a\""),
        ("a\nb", "\"\"\"a\nb\"\"\""),
        ("`a", "\"`a\""),
        ("a\\", "\"a\\\""),
        ("'a'", "\"'a'\""),
        ("a\n\"\"\"b", "`a\n\"\"\"b`"),
        ("a`b;c", "\"\"\"a`b;c\"\"\""),
    ] {
        let mut out = Vec::new();
        spell(value.as_bytes(), Style::Plain, &mut out);
        assert_eq!(text(&out), wanted);
    }
    let mut out = Vec::new();
    spell(b"a", Style::SingleQuoted, &mut out);
    spell(b"a'b;c", Style::SingleQuoted, &mut out);
    assert_eq!(text(&out), "'a'`a'b;c`");
}

#[test]
fn a_comment_comes_back_with_its_blank_lines_and_never_becomes_a_key() {
    for (opened, wanted) in [
        ("a", "a"),
        (" ", " "),
        ("a\n \n  \n; b", "a\n\n \n; b"),
        ("a\n\t\n  # b", "a\n\t\n  # b"),
        ("a\nk = v\n[s]", "a\n; k = v\n; [s]"),
        ("a\n\n; b", "a\n\n; b"),
    ] {
        let mut out = Vec::new();
        comment::spell(opened.as_bytes(), &mut out);
        assert_eq!(text(&out), wanted);
    }
}

#[test]
fn the_block_is_a_section_at_the_end() {
    let block = Value::Map(vec![
        ("mac".into(), Value::Str("a\nb".into())),
        ("regex".into(), Value::Str("a;b".into())),
        ("empty".into(), Value::Str(String::new())),
    ]);
    let lines = "[sops]\nmac = a\\nb\nregex = `a;b`\nempty = ";
    for (source, wanted) in [
        ("[s]\nk=1\n", format!("[s]\nk=1\n\n{lines}\n")),
        ("[s]\nk=1", format!("[s]\nk=1\n\n{lines}")),
        ("", format!("{lines}\n")),
        (
            "k=1\r\n",
            format!("k=1\r\n\r\n{}\r\n", lines.replace('\n', "\r\n")),
        ),
    ] {
        let document = parsed(Format::Ini, Form::Plain, source.as_bytes());
        let mut edits = Edits::default();
        document.set_block(&block, &mut edits).expect("a block");
        assert_eq!(text(document.render(&edits).expose()), wanted);
    }
}

#[test]
fn blocks_of_other_writers_are_read_and_kept_aligned() {
    let source =
        "[s]\nk = ENC\n\n[sops]\nmac          = x\nage__list_0  = \"\"\"a\nb\n\"\"\"\nlastmodified = y\n";
    let document = parsed(Format::Ini, Form::Sealed, source.as_bytes());
    let entry = |name: &str, value: &str| (name.to_owned(), Value::Str(value.into()));
    let found = vec![
        entry("mac", "x"),
        entry("age__list_0", "a\nb\n"),
        entry("lastmodified", "y"),
    ];
    assert_eq!(document.block().expect("a block"), Some(Value::Map(found)));
    let wanted = vec![
        entry("mac", "z"),
        entry("age__list_0", "a\nc\n"),
        entry("integrity", "v"),
        entry("lastmodified", "y"),
    ];
    let mut edits = Edits::default();
    document
        .set_block(&Value::Map(wanted), &mut edits)
        .expect("a block");
    let changed = "[s]\nk = ENC\n\n[sops]\nmac          = z\nage__list_0  = a\\nc\\n\nlastmodified = y\nintegrity    = v\n";
    assert_eq!(text(document.render(&edits).expose()), changed);
    let mut edits = Edits::default();
    document.remove_block(&mut edits);
    assert_eq!(text(document.render(&edits).expose()), "[s]\nk = ENC\n");
    let twice = parsed(Format::Ini, Form::Sealed, b"[sops]\nmac=1\n[sops]\nmac=1\n");
    assert!(matches!(twice.block(), Err(Error::Unsupported { at, .. }) if at.line == 3));
}

#[test]
fn blocks_are_removed_wherever_they_stand() {
    for (source, wanted) in [
        ("[sops]\nmac=1\n\n[s]\nk=1\n", "\n[s]\nk=1\n"),
        ("[s]\nk=1\n[sops]\nmac=1\n", "[s]\nk=1\n"),
        ("[s]\nk=1\n[sops]\nmac=1", "[s]\nk=1"),
        ("[s]\nk=1\n\n[sops]\n", "[s]\nk=1\n"),
        ("[sops]", ""),
    ] {
        let document = parsed(Format::Ini, Form::Sealed, source.as_bytes());
        let mut edits = Edits::default();
        document.remove_block(&mut edits);
        assert_eq!(text(document.render(&edits).expose()), wanted);
    }
}

#[test]
fn set_and_unset_change_one_line() {
    let file = "top=1\n; c\n[s]\nk : 'v' ; c\n; above l\nl=w\n\n[t]\n";
    for (source, path, value, wanted) in [
        (file, "[\"s\"][\"k\"]", "\"x\"", file.replace("'v'", "'x'")),
        (file, "[\"s\"][\"k\"]", "\"a'b\"", file.replace("'v'", "a'b")),
        (file, "[\"s\"][\"l\"]", "1.0", file.replace("=w", "=1.0")),
        (
            file,
            "[\"s\"][\"m\"]",
            "\"a;b\"",
            file.replace("l=w", "l=w\nm=`a;b`"),
        ),
        (
            file,
            "[\"t\"][\"m\"]",
            "true",
            file.replace("[t]", "[t]\nm = true"),
        ),
        (file, "[\"u\"][\"m\"]", "\"\"", format!("{file}\n[u]\nm = \n")),
        (
            file,
            "[\"DEFAULT\"][\"m\"]",
            "2",
            file.replace("top=1", "top=1\nm=2"),
        ),
        (
            "; c\n[s]\n",
            "[\"DEFAULT\"][\"m\"]",
            "2",
            "m = 2\n; c\n[s]\n".into(),
        ),
        (
            "[s]\nk=1\r\n",
            "[\"s\"][\"a=b\"]",
            "2",
            "[s]\nk=1\n`a=b`=2\r\n".into(),
        ),
        ("[s]", "[\"t\"][\"k\"]", "2", "[s]\n\n[t]\nk = 2".into()),
        (
            "[s]\n\n[sops]\nmac = x\n",
            "[\"t\"][\"k\"]",
            "2",
            "[s]\n\n[t]\nk = 2\n\n[sops]\nmac = x\n".into(),
        ),
    ] {
        assert_eq!(
            roundtrip::set(Format::Ini, source.as_bytes(), path, value).expect(path),
            wanted,
            "{path}"
        );
    }
    for (path, value) in [
        ("[\"s\"]", "1"),
        ("[\"s\"][\"k\"][\"x\"]", "1"),
        ("[\"s\"][\"k\"]", "null"),
        ("[\"s\"][\"k\"]", "{}"),
        ("[\"s\"][\"-\"]", "1"),
        ("[\"a]b\"][\"k\"]", "1"),
        ("[\"s\"][\"k\"]", "\"\\\"\\\"\\\"\\n`\""),
    ] {
        let error = roundtrip::set(Format::Ini, file.as_bytes(), path, value).expect_err(path);
        assert!(matches!(error, Error::Path { .. }), "{error}");
    }
    for (path, wanted) in [
        ("[\"s\"][\"k\"]", file.replace("k : 'v' ; c\n", "")),
        ("[\"DEFAULT\"][\"top\"]", file.replace("top=1\n", "")),
        ("[\"t\"]", file.replace("[t]\n", "")),
        ("[\"s\"]", file.replace("[s]\nk : 'v' ; c\n; above l\nl=w\n", "")),
    ] {
        assert_eq!(
            roundtrip::unset(Format::Ini, file.as_bytes(), path).expect(path),
            wanted,
            "{path}"
        );
    }
    for path in ["[\"s\"][\"x\"]", "[\"x\"]", "[\"x\"][\"k\"]", "[0]"] {
        assert!(
            roundtrip::unset(Format::Ini, file.as_bytes(), path).is_err(),
            "{path}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_file_seals_and_opens_to_the_same_bytes(
        source in "(\u{feff})?(([;#] ?|[abc] ?[=:] ?|\\[[st]|[ \t])?[ab;#=\"'` \u{a0}]{0,5}\\]?\r?\n){0,8}[ab;]?"
    ) {
        if parse(Format::Ini, Form::Plain, source.as_bytes()).is_ok() {
            check(Format::Ini, source.as_bytes());
            check_update(Format::Ini, source.as_bytes());
        }
    }

    #[test]
    fn any_value_is_spelled_so_that_it_reads_back(value in "[ab;#\"'`\\\\ \n\r=]{0,8}") {
        for style in [Style::Plain, Style::SingleQuoted, Style::DoubleQuoted, Style::BackQuoted, Style::TripleQuoted] {
            let mut out = b"k=".to_vec();
            spell(value.as_bytes(), style, &mut out);
            out.push(b'\n');
            let found = read(&out, 2).ok().filter(|reading| reading.text == value.as_bytes() && reading.comment.is_none());
            let impossible = value.contains('\n') && value.contains("\"\"\"") && value.contains('`')
                || value.contains('`') && value.contains("\"\"\"");
            prop_assert!(found.is_some() || impossible, "{}", text(&out));
            if reads_back(value.as_bytes(), style) {
                prop_assert_eq!(found.map(|reading| reading.next), Some(out.len()));
            }
        }
    }

    #[test]
    fn no_bytes_make_it_panic(source in "((\\[sops\\]|[abc;#=\"'`\\\\ \\[\\]\u{a0}-]{0,5})\r?\n?){0,12}") {
        if let Ok(document) = parse(Format::Ini, Form::Sealed, source.as_bytes()) {
            let mut edits = Edits::default();
            document.remove_block(&mut edits);
            document.render(&edits);
            let had = document.block();
            let mut edits = Edits::default();
            document.set_block(&sample_block(Format::Ini), &mut edits).expect("a block");
            let sealed = document.render(&edits);
            if had.is_ok() && let Ok(sealed) = parse(Format::Ini, Form::Sealed, sealed.expose()) {
                let _ = sealed.block();
            }
        }
    }

    #[test]
    fn lines_end_where_they_end(source in "[a\n]{0,10}", from in 0_usize..10) {
        let from = from.min(source.len());
        let next = next_line(source.as_bytes(), from);
        prop_assert!(next == source.len() || source.as_bytes()[next - 1] == b'\n');
    }
}

#[test]
fn a_value_is_set_in_front_of_a_comment() {
    let set =
        |text: &str| crate::roundtrip::set(crate::Format::Ini, text.as_bytes(), r#"["s"]["k"]"#, "\"v\"");
    assert_eq!(set("[s]\nk=# c\n").expect("can be set"), "[s]\nk=v # c\n");
    assert_eq!(set("[s]\nk = w ; c\n").expect("can be set"), "[s]\nk = v ; c\n");
}
