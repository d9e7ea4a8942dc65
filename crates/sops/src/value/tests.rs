//! Plaintext forms, the text form to the last byte, and the cipher under bit flips.

use proptest::prelude::*;

use super::*;
use crate::DataKey;

fn float_plaintext(number: f64) -> String {
    let (ty, text) = plaintext(&Scalar::Float(number))
        .map(|(ty, text)| (ty, text.into_owned()))
        .expect("no null");
    assert_eq!(ty, ValueType::Float);
    String::from_utf8(text).expect("ASCII")
}

#[test]
fn floats_are_shortest_and_never_have_an_exponent() {
    for (number, text) in [
        (1.0, "1"),
        (2.50, "2.5"),
        (-0.0, "-0"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1e21, "1000000000000000000000"),
        (1e-7, "0.0000001"),
        (123456789.123, "123456789.123"),
        (5e-324, &format!("0.{}5", "0".repeat(323))),
        (f64::MAX, &format!("17976931348623157{}", "0".repeat(292))),
        (f64::INFINITY, "+Inf"),
        (f64::NEG_INFINITY, "-Inf"),
        (f64::NAN, "NaN"),
        (-f64::NAN, "NaN"),
    ] {
        assert_eq!(float_plaintext(number), text);
        let Ok(Scalar::Float(back)) = scalar(ValueType::Float, text.as_bytes()) else {
            panic!("{text}")
        };
        assert!(
            back.to_bits() == number.to_bits() || (back.is_nan() && number.is_nan()),
            "{text}"
        );
    }
}

#[test]
fn other_scalars_are_sealed_as_sops_seals_them() {
    let time = Timestamp::parse_rfc3339("2001-12-14T21:59:43.10-05:00").expect("a time");
    for (value, ty, text) in [
        (Scalar::Bool(true), ValueType::Bool, &b"True"[..]),
        (Scalar::Bool(false), ValueType::Bool, b"False"),
        (Scalar::Int(i64::MIN), ValueType::Int, b"-9223372036854775808"),
        (Scalar::Int(0), ValueType::Int, b"0"),
        (
            Scalar::Time(time),
            ValueType::Time,
            b"2001-12-14T21:59:43.1-05:00",
        ),
        (Scalar::Str(b"\xff\0".into()), ValueType::Str, b"\xff\0"),
        (Scalar::Str(b"".into()), ValueType::Str, b""),
    ] {
        assert_eq!(plaintext(&value), Some((ty, Cow::Borrowed(text))));
        assert_eq!(scalar(ty, text), Ok(value));
    }
    assert_eq!(plaintext(&Scalar::Null), None);
}

#[test]
fn opened_values_must_read_as_their_type() {
    use ValueType::{Bool, Bytes, Comment, Float, Int, Time};
    for (ty, texts) in [
        (
            Int,
            &[
                "",
                "1.0",
                "1e3",
                "0x1F",
                " 1",
                "1_000",
                "9223372036854775808",
                "+",
                "-",
                "\u{661}",
            ][..],
        ),
        (
            Float,
            &[
                "", ".", "1e400", "-1e400", "1e", " 1", "0x1p-2", "1_0.0", "+NaN", "-nan", "NaNs", "\u{661}",
            ],
        ),
        (Bool, &["", "yes", "tRUE", "01", " true"]),
        (
            Time,
            &[
                "",
                "2024-01-02",
                "2024-01-02T3:04:05Z",
                "2024-01-02T03:04:05,5Z",
                "2023-02-29T00:00:00Z",
            ],
        ),
    ] {
        for text in texts {
            assert_eq!(
                scalar(ty, text.as_bytes()),
                Err(ValueError::Plaintext(ty.as_str())),
                "{text}"
            );
        }
        assert_eq!(scalar(ty, b"\xff"), Err(ValueError::Plaintext(ty.as_str())));
    }
    assert_eq!(scalar(Int, b"+007"), Ok(Scalar::Int(7)));
    assert_eq!(scalar(Float, b"1e21"), Ok(Scalar::Float(1e21)));
    assert_eq!(scalar(Float, b"-Infinity"), Ok(Scalar::Float(f64::NEG_INFINITY)));
    for text in ["1", "t", "T", "TRUE", "true", "True"] {
        assert_eq!(scalar(Bool, text.as_bytes()), Ok(Scalar::Bool(true)));
    }
    assert_eq!(scalar(Comment, b"x"), Err(ValueError::Comment));
    assert_eq!(scalar(Bytes, b"x"), Err(ValueError::Bytes));
}

const IV: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const TAG: &str = "AAECAwQFBgcICQoLDA0ODw==";

/// FF-10, T2 and T8.
#[test]
fn sealed_texts_are_read_to_the_last_byte() {
    let good = format!("ENC[AES256_GCM,data:AAA=,iv:{IV},tag:{TAG},type:str]");
    assert!(matches!(
        Sealed::parse(good.as_bytes()),
        Ok(Some(Sealed {
            ty: ValueType::Str,
            ..
        }))
    ));
    for plain in [
        "",
        "ENC",
        "ENC[AES256_GCM",
        " ENC[AES256_GCM,",
        "enc[AES256_GCM,",
        "ENC[AES128_GCM,data:AAA=",
    ] {
        assert!(matches!(Sealed::parse(plain.as_bytes()), Ok(None)), "{plain}");
    }
    let refused = |text: &str| match Sealed::parse(text.as_bytes()) {
        Err(error) => error,
        Ok(_) => panic!("{text} was accepted"),
    };
    let with = |from: &str, to: &str| refused(&good.replace(from, to));
    for tail in ["x", "\n", " ", "]", "\0", "]]", good.as_str()] {
        assert_eq!(
            refused(&format!("{good}{tail}")),
            ValueError::Trailing,
            "{tail:?}"
        );
    }
    for cut in "ENC[AES256_GCM,".len()..good.len() {
        refused(&good[..cut]);
    }
    for (from, to) in [
        ("data:AAA=,", ""),
        ("data:", "datum:"),
        (",iv:", ",iv:AAAA,iv:"),
        (",type:str", ""),
        (",type:str", ",type:str,type:str"),
        (",type:str", ",type:str,"),
        (",type:str", ",x:y,type:str"),
        ("data:AAA=", "data:AA,A="),
        ("data:AAA=,", "data:AAA=, "),
    ] {
        assert_eq!(with(from, to), ValueError::Fields, "{from} {to}");
    }
    let swapped = format!("ENC[AES256_GCM,iv:{IV},data:AAA=,tag:{TAG},type:str]");
    assert_eq!(refused(&swapped), ValueError::Fields);
    for word in ["", "string", "Str", "str ", "null", "type:str"] {
        assert_eq!(
            with("type:str", &format!("type:{word}")),
            ValueError::UnknownType,
            "{word}"
        );
    }
    assert_eq!(with("type:str", "type:bytes"), ValueError::Bytes);
    for data in [
        "", "A", "AA", "AAA", "A===", "====", "AA=A", "AAB=", "AB==", "A-A=", "AA_=", "AAA= ", "AA\nA",
        "AAA==", "A\u{e4}A",
    ] {
        assert_eq!(
            with("data:AAA=", &format!("data:{data}")),
            ValueError::Base64("data"),
            "{data}"
        );
    }
    assert_eq!(with(IV, ""), ValueError::Base64("iv"));
    assert_eq!(with(TAG, ""), ValueError::Base64("tag"));
    for bytes in (1..16).chain([17, 18, 32]) {
        use base64::Engine as _;
        let tag = base64::engine::general_purpose::STANDARD.encode(vec![0; bytes]);
        assert_eq!(with(TAG, &tag), ValueError::TagLength, "{bytes}");
    }
}

fn seal(cipher: &Cipher, ty: ValueType, plaintext: &[u8], aad: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    cipher.seal_into(ty, plaintext, aad, &[0x5a; 32], &mut out);
    out
}

fn open(cipher: &Cipher, text: &[u8], aad: &[u8]) -> Result<Vec<u8>, ValueError> {
    let sealed = Sealed::parse(text)?.ok_or(ValueError::Fields)?;
    let mut out = b"before".to_vec();
    let range = cipher.open_into(&sealed, aad, &mut out)?;
    assert!(out.starts_with(b"before") && range.end == out.len());
    Ok(out[range].to_vec())
}

/// CR-09: every bit of a sealed text counts.
#[test]
fn no_flipped_bit_opens() {
    let cipher = Cipher::new(&DataKey::new([3; 32]));
    let mut flips = 0;
    for plaintext in [&b"a"[..], b"ab", b"hunter2 and more"] {
        let text = seal(&cipher, ValueType::Str, plaintext, b"k:");
        let type_at = text.len() - b"str]".len();
        for bit in 0..text.len() * 8 {
            let mut flipped = text.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            // The type is bound by the integrity field, not here; no single bit makes it another word anyway.
            assert_ne!(
                open(&cipher, &flipped, b"k:"),
                Ok(plaintext.to_vec()),
                "bit {bit}"
            );
            assert!(
                open(&cipher, &flipped, b"k:").is_err(),
                "bit {bit}, type at {type_at}"
            );
            flips += 1;
        }
        assert_eq!(open(&cipher, &text, b"k:"), Ok(plaintext.to_vec()));
        for aad in [&b""[..], b"k", b"j:", b"k::"] {
            assert_eq!(open(&cipher, &text, aad), Err(ValueError::Authentication));
        }
        let other = Cipher::new(&DataKey::new([4; 32]));
        assert_eq!(open(&other, &text, b"k:"), Err(ValueError::Authentication));
    }
    assert_eq!(flips, 2_824);
}

/// CR-10: what was written behind the end of the buffer is wiped.
#[test]
fn a_wrong_tag_leaves_no_trace() {
    let cipher = Cipher::new(&DataKey::new([3; 32]));
    let text = seal(&cipher, ValueType::Str, &[0xaa; 100], b"k:");
    let sealed = Sealed::parse(&text).expect("well-formed").expect("sealed");
    let mut out = Vec::with_capacity(1_000);
    out.extend(b"kept");
    assert_eq!(
        cipher.open_into(&sealed, b"other:", &mut out),
        Err(ValueError::Authentication)
    );
    assert_eq!(out, b"kept");
    let bad = Sealed {
        data: b"!!!!",
        ..sealed
    };
    assert_eq!(
        cipher.open_into(&bad, b"k:", &mut out),
        Err(ValueError::Base64("data"))
    );
    assert_eq!(out, b"kept");
    for iv in [sealed.iv, b"AAAA"] {
        let mut buffer = [0xaa; 100];
        let failed = cipher.open_in_place(&Sealed { iv, ..sealed }, b"k:", &mut buffer, &[0; 16]);
        assert_eq!(failed, Err(ValueError::Authentication));
        assert_eq!(buffer, [0; 100]);
    }
}

#[test]
fn an_empty_plaintext_stays_empty() {
    let cipher = Cipher::new(&DataKey::new([3; 32]));
    assert_eq!(seal(&cipher, ValueType::Str, b"", b"k:"), b"");
}

#[test]
fn the_nonce_can_be_had_again() {
    let cipher = Cipher::new(&DataKey::new([3; 32]));
    let text = seal(&cipher, ValueType::Comment, b" c", b":");
    let sealed = Sealed::parse(&text).expect("well-formed").expect("sealed");
    assert_eq!(cipher.iv(&sealed), Some([0x5a; 32]));
    assert_eq!(
        cipher.iv(&Sealed {
            iv: b"AAAA",
            ..sealed
        }),
        None
    );
}

#[test]
fn threads_share_a_cipher() {
    fn shared<T: Sync + Send>() {}
    shared::<Cipher>();
}

proptest! {
    #[test]
    fn parsing_never_panics(text in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Sealed::parse(&text);
        let mut claimed = b"ENC[AES256_GCM,".to_vec();
        claimed.extend(&text);
        let _ = Sealed::parse(&claimed);
    }

    #[test]
    fn parsing_near_misses_never_panics_and_opening_them_fails(at in 0_usize..160, with in "[A-Za-z0-9+/=,:\\]\\[]{0,6}", cut in 0_usize..8) {
        let cipher = Cipher::new(&DataKey::new([3; 32]));
        let text = seal(&cipher, ValueType::Str, b"some plaintext", b"k:");
        let at = at.min(text.len());
        let mut changed = text[..at].to_vec();
        changed.extend(with.as_bytes());
        changed.extend(&text[(at + cut).min(text.len())..]);
        if changed != text {
            prop_assert!(open(&cipher, &changed, b"k:").is_err());
        }
    }

    #[test]
    fn what_is_sealed_opens(
        plaintext in proptest::collection::vec(any::<u8>(), 1..400),
        aad in proptest::collection::vec(any::<u8>(), 0..60),
        key: [u8; 32],
    ) {
        let cipher = Cipher::new(&DataKey::new(key));
        prop_assert_eq!(open(&cipher, &seal(&cipher, ValueType::Str, &plaintext, &aad), &aad), Ok(plaintext));
    }

    #[test]
    fn every_double_comes_back(bits: u64) {
        let number = f64::from_bits(bits);
        let Ok(Scalar::Float(back)) = scalar(ValueType::Float, float_plaintext(number).as_bytes()) else {
            return Err(TestCaseError::fail("does not read back"));
        };
        prop_assert!(back.to_bits() == bits || (back.is_nan() && number.is_nan()));
    }
}
