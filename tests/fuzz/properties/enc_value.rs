//! The text of a sealed value: what reads is spelled in one way only, and what was changed does not open.

use document::{Scalar, Timestamp};
use sops::value::{Cipher, Sealed, ValueType, plaintext, scalar_in};

use super::choice::Choice;
use super::envelope::key;

const TYPES: [ValueType; 7] = [
    ValueType::Str,
    ValueType::Int,
    ValueType::Float,
    ValueType::Bool,
    ValueType::Time,
    ValueType::Comment,
    ValueType::Bytes,
];

/// All that must hold of `data` as a sealed text, and as what was sealed.
pub(crate) fn check(data: &[u8]) {
    let cipher = Cipher::new(&key());
    if let Ok(Some(sealed)) = Sealed::parse(data) {
        assert_eq!(printed(&sealed), data, "printed");
        let mut out = b"before".to_vec();
        let opened = cipher.open_into(&sealed, b"a:", &mut out);
        assert!(
            opened.is_ok() || out == b"before",
            "what failed left nothing behind"
        );
    }
    for ty in TYPES {
        if let Ok(scalar) = scalar_in(ty, data) {
            reads_back(&scalar);
        }
    }
    changed(&cipher, data);
}

fn printed(sealed: &Sealed<'_>) -> Vec<u8> {
    let fields: [(&[u8], &[u8]); 4] = [
        (b"data:", sealed.data),
        (b",iv:", sealed.iv),
        (b",tag:", sealed.tag),
        (b",type:", sealed.ty.as_str().as_bytes()),
    ];
    let mut text = b"ENC[AES256_GCM,".to_vec();
    for (name, value) in fields {
        text.extend_from_slice(name);
        text.extend_from_slice(value);
    }
    text.push(b']');
    text
}

/// What would be sealed for a value reads as that value.
fn reads_back(scalar: &Scalar<'_>) {
    let (ty, text) = plaintext(scalar).expect("no null was read");
    let again = scalar_in(ty, &text).expect("what is sealed can be read");
    assert_eq!(plaintext(&again), Some((ty, text.clone())), "read back");
    if let Scalar::Time(time) = scalar {
        let text = time.to_string();
        assert_eq!(Timestamp::parse_rfc3339(&text).as_ref(), Some(time), "{text}");
    }
}

/// A sealed text opens to what was sealed; with one byte changed it does not open, or to the same.
fn changed(cipher: &Cipher, data: &[u8]) {
    let mut text = Vec::new();
    cipher.seal_into(ValueType::Str, data, b"a:", &[1; 32], &mut text);
    if data.is_empty() {
        assert!(text.is_empty(), "an empty value stays empty");
        return;
    }
    assert_eq!(opened(cipher, &text, b"a:"), Some(data.to_vec()), "opened");
    assert_eq!(opened(cipher, &text, b"b:"), None, "opened at another place");
    let mut choice = Choice::of(data);
    let at = choice.below(text.len());
    let before = std::mem::replace(&mut text[at], choice.below(256) as u8);
    if text[at] != before {
        assert_eq!(
            opened(cipher, &text, b"a:"),
            None,
            "opened with byte {at} changed"
        );
    }
}

fn opened(cipher: &Cipher, text: &[u8], aad: &[u8]) -> Option<Vec<u8>> {
    let sealed = Sealed::parse(text).ok()??;
    let mut out = Vec::new();
    let range = cipher.open_into(&sealed, aad, &mut out).ok()?;
    Some(out[range].to_vec())
}
