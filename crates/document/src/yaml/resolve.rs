//! What a scalar means to sops: YAML 1.2 with leftovers of 1.1, exactly as its library decides.
//!
//! `yes`, `no`, `on`, `off` are text; `0o17` and `017` are both fifteen; `_` may stand in numbers; a date is a
//! timestamp only without quotes; whole numbers beyond 64 bits become floats.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::time;
use crate::error::Error;
use crate::scalar::Scalar;
use crate::tree::{Node, NodeId, Style, Tree};

/// Why a spelling has no type that sops can seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Untyped {
    /// The tag asks for another type than the text has.
    Tag,
    /// `!!binary` with text that is not base64.
    Base64,
}

impl Untyped {
    fn why(self) -> &'static str {
        match self {
            Self::Tag => "the tag does not fit the value it stands at",
            Self::Base64 => "a !!binary value is not valid base64",
        }
    }
}

/// The typed value of a scalar node.
pub(crate) fn scalar<'a>(source: &'a [u8], tree: &'a Tree, id: NodeId) -> Result<Scalar<'a>, Error> {
    let Node::Scalar {
        span,
        text,
        style,
        tag,
    } = *tree.node(id)
    else {
        return Err(Error::syntax(
            source,
            tree.node(id).span().start as usize,
            "a map or list is no scalar",
        ));
    };
    let text = tree.text(source, text);
    let tag = tag.map(|tag| &source[tag.range()]);
    typed(text, style, tag).map_err(|why| Error::syntax(source, span.start as usize, why.why()))
}

/// The typed value of `text` written in `style` under `tag` (as written, `!!int`).
pub(super) fn typed<'a>(text: &'a [u8], style: Style, tag: Option<&[u8]>) -> Result<Scalar<'a>, Untyped> {
    let Some(tag) = tag.and_then(short_tag) else {
        return if style == Style::Plain {
            plain(text)
        } else {
            Ok(Scalar::Str(Cow::Borrowed(text)))
        };
    };
    if tag == "binary" {
        return decode_base64(text)
            .map(|bytes| Scalar::Str(Cow::Owned(bytes)))
            .ok_or(Untyped::Base64);
    }
    let fits = |value: &Scalar<'_>| match tag {
        "null" => matches!(value, Scalar::Null),
        "bool" => matches!(value, Scalar::Bool(_)),
        "int" => matches!(value, Scalar::Int(_)),
        "float" => matches!(value, Scalar::Float(_)),
        "timestamp" => matches!(value, Scalar::Time(_)),
        _ => false,
    };
    match tag {
        "null" | "bool" | "int" | "float" | "timestamp" => match plain(text)? {
            Scalar::Int(int) if tag == "float" => Ok(Scalar::Float(int as f64)),
            // Only an explicit tag makes a date of something else than a plain scalar.
            value if fits(&value) => Ok(value),
            _ => Err(Untyped::Tag),
        },
        _ => Ok(Scalar::Str(Cow::Borrowed(text))),
    }
}

/// The name of a core tag; any other tag is "custom" and makes text of everything. `!` alone says nothing.
fn short_tag(tag: &[u8]) -> Option<&str> {
    let tag = std::str::from_utf8(tag).unwrap_or("custom");
    let verbatim = tag.strip_prefix("!<").and_then(|rest| rest.strip_suffix('>'));
    match verbatim.map(|uri| uri.strip_prefix("tag:yaml.org,2002:").unwrap_or("custom")) {
        Some(name) => Some(name),
        None if tag == "!" => None,
        None => Some(tag.strip_prefix("!!").unwrap_or("custom")),
    }
}

/// The typed value of a plain scalar without a tag.
pub(super) fn plain(text: &[u8]) -> Result<Scalar<'_>, Untyped> {
    let as_text = || Ok(Scalar::Str(Cow::Borrowed(text)));
    let Ok(ascii) = std::str::from_utf8(text) else {
        return as_text();
    };
    match text.first() {
        None => return Ok(Scalar::Null),
        Some(b'0'..=b'9' | b'+' | b'-' | b'.') if text.is_ascii() => {}
        Some(b'~' | b'n' | b'N' | b't' | b'T' | b'f' | b'F') => return Ok(word(ascii)),
        Some(_) => return as_text(),
    }
    match ascii {
        ".nan" | ".NaN" | ".NAN" => return Ok(Scalar::Float(f64::NAN)),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Ok(Scalar::Float(f64::INFINITY)),
        "-.inf" | "-.Inf" | "-.INF" => return Ok(Scalar::Float(f64::NEG_INFINITY)),
        _ => {}
    }
    if text[0] == b'.' {
        // Between digits a `_` may stand.
        let fits = ascii.as_bytes().get(1) != Some(&b'_') && !ascii.ends_with('_') && !ascii.contains("__");
        let read = if fits {
            float(&ascii.replace('_', ""))
        } else {
            None
        };
        return Ok(read.map_or(Scalar::Str(Cow::Borrowed(text)), Scalar::Float));
    }
    if let Some(time) = time::parse(ascii) {
        return Ok(Scalar::Time(time));
    }
    number(ascii)
}

fn word(text: &str) -> Scalar<'_> {
    match text {
        "~" | "null" | "Null" | "NULL" => Scalar::Null,
        "true" | "True" | "TRUE" => Scalar::Bool(true),
        "false" | "False" | "FALSE" => Scalar::Bool(false),
        _ => Scalar::Str(Cow::Borrowed(text.as_bytes())),
    }
}

/// A whole number in any of its spellings, a float, or text.
fn number(text: &str) -> Result<Scalar<'_>, Untyped> {
    let digits: Cow<'_, str> = if text.contains('_') {
        text.replace('_', "").into()
    } else {
        text.into()
    };
    if let Some(value) = integer(&digits) {
        // Beyond 64 bits with sign sops refuses to seal it; here it is sealed as the float it would be one
        // digit further on, and its spelling is kept.
        return Ok(i64::try_from(value).map_or(Scalar::Float(value as f64), Scalar::Int));
    }
    let value = float(&digits).filter(|_| is_yaml_float(&digits));
    Ok(value.map_or(Scalar::Str(Cow::Borrowed(text.as_bytes())), Scalar::Float))
}

/// Whether plain text spells a whole number that does not fit into 64 bits with sign.
pub(crate) fn is_big_integer(text: &[u8]) -> bool {
    // The shortest is `0x` and sixteen digits.
    if text.len() < 18 || !matches!(text[0], b'0'..=b'9' | b'+' | b'-') {
        return false;
    }
    let Ok(text) = std::str::from_utf8(text) else {
        return false;
    };
    let digits = text.replace('_', "");
    match integer(&digits) {
        Some(value) => i64::try_from(value).is_err(),
        None => {
            digits.len() > 18
                && digits
                    .strip_prefix(['-', '+'])
                    .unwrap_or(&digits)
                    .bytes()
                    .all(|b| b.is_ascii_digit())
        }
    }
}

/// A whole number from -2^63 to 2^64-1: decimal, `0x`, `0b`, `0o`, or octal by a leading `0`.
fn integer(text: &str) -> Option<i128> {
    let (negative, signed, rest) = match text.as_bytes() {
        [b'-', ..] => (true, true, &text[1..]),
        [b'+', ..] => (false, true, &text[1..]),
        _ => (false, false, text),
    };
    let (radix, digits) = match rest.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &rest[2..]),
        [b'0', b'b' | b'B', ..] => (2, &rest[2..]),
        [b'0', b'o' | b'O', ..] => (8, &rest[2..]),
        [b'0', _, ..] => (8, &rest[1..]),
        _ => (10, rest),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| (byte as char).is_digit(radix)) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    match (negative, signed) {
        (true, _) if magnitude <= 1 << 63 => Some(-i128::from(magnitude)),
        (true, _) => None,
        // A sign makes it a signed number: beyond 2^63 it is none.
        (false, true) => i64::try_from(magnitude).ok().map(i128::from),
        (false, false) => Some(i128::from(magnitude)),
    }
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_yaml_float(text: &str) -> bool {
    let rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match rest.find(['e', 'E']) {
        Some(at) => (&rest[..at], Some(&rest[at + 1..])),
        None => (rest, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let mantissa = match mantissa.split_once('.') {
        Some(("", fraction)) => digits(fraction),
        Some((whole, fraction)) => digits(whole) && (fraction.is_empty() || digits(fraction)),
        None => digits(mantissa),
    };
    mantissa && exponent.is_none_or(|text| digits(text.strip_prefix(['-', '+']).unwrap_or(text)))
}

/// A decimal float that does not overflow.
fn float(text: &str) -> Option<f64> {
    if !is_yaml_float(text) {
        return None;
    }
    text.parse::<f64>().ok().filter(|value| value.is_finite())
}

/// Standard base64 with padding; line breaks are skipped, as Go's decoder skips them.
fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    let compact: Vec<u8> = text
        .iter()
        .copied()
        .filter(|byte| !matches!(byte, b'\n' | b'\r'))
        .collect();
    BASE64.decode(compact).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(text: &str) -> String {
        match plain(text.as_bytes()) {
            Ok(Scalar::Str(_)) => "str".into(),
            Ok(other) => format!("{other:?}"),
            Err(why) => format!("{why:?}"),
        }
    }

    /// Measured with sops 3.11.0.
    #[test]
    fn plain_scalars_are_typed_as_sops_types_them() {
        for (text, expected) in [
            (".5", "Float(0.5)"),
            ("1.", "Float(1.0)"),
            ("+1", "Int(1)"),
            ("1e3", "Float(1000.0)"),
            ("0x1F", "Int(31)"),
            ("0X1F", "Int(31)"),
            ("-0x1F", "Int(-31)"),
            ("0b11", "Int(3)"),
            ("-0b11", "Int(-3)"),
            ("0o17", "Int(15)"),
            ("017", "Int(15)"),
            ("08", "Float(8.0)"),
            ("1_000", "Int(1000)"),
            ("1__0", "Int(10)"),
            ("0_1", "Int(1)"),
            ("1_0.5", "Float(10.5)"),
            ("._5", "str"),
            (".5_0", "Float(0.5)"),
            ("0x1p4", "str"),
            ("1e400", "str"),
            ("yes", "str"),
            ("on", "str"),
            ("y", "str"),
            ("True", "Bool(true)"),
            ("tRUE", "str"),
            ("NULL", "Null"),
            ("~", "Null"),
            ("12:30:45", "str"),
            ("2024-01-02 03:04:05 +1", "str"),
            ("18446744073709551615", "Float(1.8446744073709552e19)"),
            ("9223372036854775808", "Float(9.223372036854776e18)"),
            ("-9223372036854775808", "Int(-9223372036854775808)"),
            ("99999999999999999999", "Float(1e20)"),
            ("<<", "str"),
            ("=", "str"),
            ("-", "str"),
            ("+.inf", "Float(inf)"),
        ] {
            assert_eq!(resolved(text), expected, "{text}");
        }
    }

    #[test]
    fn tags_decide_or_refuse() {
        let tagged =
            |text: &'static str, tag: &str| typed(text.as_bytes(), Style::Plain, Some(tag.as_bytes()));
        assert_eq!(tagged("5", "!!str"), Ok(Scalar::Str(Cow::Borrowed(b"5"))));
        assert_eq!(tagged("5", "!custom"), Ok(Scalar::Str(Cow::Borrowed(b"5"))));
        assert_eq!(tagged("5", "!"), Ok(Scalar::Int(5)));
        assert_eq!(tagged("5", "!!float"), Ok(Scalar::Float(5.0)));
        assert_eq!(tagged("aGk=", "!!binary"), Ok(Scalar::Str(Cow::Borrowed(b"hi"))));
        assert_eq!(tagged("x", "!!int"), Err(Untyped::Tag));
        assert_eq!(tagged("?", "!!binary"), Err(Untyped::Base64));
    }
}
