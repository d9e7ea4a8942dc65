use proptest::prelude::*;

use crate::roundtrip::{check, check_update, parse, parsed, sample_block, seal};
use crate::{Document, Edits, Error, Form, Format, Limits};

#[test]
fn the_sealed_form_is_sops_envelope() {
    let plain = parsed(Format::Binary, Form::Plain, b"\x00\xff{\"sops\":1}\n");
    let sealed = seal(
        &plain,
        &crate::Value::Map(vec![("mac".into(), crate::Value::Str("m".into()))]),
    );
    let wanted = "{\n\t\"data\": \"ENC[AES256_GCM,data:AA0==,iv:/+A=,tag:BB==,type:str]\",\n\t\"sops\": {\n\t\t\"mac\": \"m\"\n\t}\n}\n";
    assert_eq!(String::from_utf8_lossy(sealed.expose()), wanted);
}

#[test]
fn any_input_comes_back() {
    for source in [
        b"".as_slice(),
        b"x",
        b"{}",
        b"\n",
        b"\xEF\xBB\xBF\r\n",
        b"<<<<<<< HEAD\n",
    ] {
        check(Format::Binary, source);
        check_update(Format::Binary, source);
    }
}

#[test]
fn an_empty_input_is_an_empty_string() {
    let plain = parsed(Format::Binary, Form::Plain, b"");
    let sealed = seal(&plain, &sample_block(Format::Binary));
    assert!(
        sealed
            .expose()
            .starts_with(b"{\n\t\"data\": \"\",\n\t\"sops\": {\n")
    );
}

#[test]
fn a_sealed_form_without_data_is_refused() {
    let refused = parse(Format::Binary, Form::Sealed, b"{\"sops\":{}}");
    assert!(matches!(refused, Err(Error::Syntax { .. })));
    assert!(parse(Format::Binary, Form::Sealed, b"x").is_err());
}

#[test]
fn only_data_can_be_set() {
    let value = parsed(Format::Json, Form::Plain, b"{\"value\":\"a\\\"b\"}");
    for (form, source, wanted) in [
        (Form::Plain, b"old".as_slice(), b"a\"b".as_slice()),
        (Form::Sealed, b"{\"data\":\"x\"}", b"{\"data\":\"a\\\"b\"}"),
    ] {
        let document = Document::parse(Format::Binary, form, source.to_vec().into(), &Limits::default())
            .expect("a file");
        let mut edits = Edits::default();
        let path = |text| crate::Path::parse_sops(text).expect("a path");
        document
            .set(&path("[\"data\"]"), &value, &mut edits)
            .expect("data can be set");
        assert_eq!(document.render(&edits).expose(), wanted);
        assert!(document.set(&path("[\"x\"]"), &value, &mut edits).is_err());
        assert!(document.unset(&path("[\"data\"]"), &mut edits).is_err());
    }
}

proptest! {
    #[test]
    fn any_bytes_seal_and_open_to_the_same_bytes(source in prop::collection::vec(any::<u8>(), 0..50)) {
        check(Format::Binary, &source);
    }
}
