//! Values: how a scalar becomes bytes to be sealed, what a sealed text looks like, and the cipher between.
//!
//! sops authenticates neither the type nor what follows the closing bracket of a sealed text, so this reader
//! is narrower than sops': every field once and in order, canonical base64, nothing behind the bracket, and
//! never the type `bytes`, which no tool of today writes.

mod any_nonce;
mod cipher;
mod sealed;

use std::borrow::Cow;

use document::{Scalar, Timestamp};

pub use cipher::Cipher;
pub use sealed::Sealed;

/// The type that a sealed text names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValueType {
    /// `str`: text, or any bytes in a binary file.
    Str,
    /// `int`: a whole number of 64 bits with sign.
    Int,
    /// `float`: a double.
    Float,
    /// `bool`
    Bool,
    /// `time`: a timestamp, RFC 3339.
    Time,
    /// `comment`: the text behind the comment mark.
    Comment,
    /// `bytes`: written by the Python version long ago; named so that it can be refused.
    Bytes,
}

impl ValueType {
    /// The word in a sealed text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Str => "str",
            Self::Int => "int",
            Self::Float => "float",
            Self::Bool => "bool",
            Self::Time => "time",
            Self::Comment => "comment",
            Self::Bytes => "bytes",
        }
    }

    /// The type of a word, which must be spelled exactly.
    pub fn parse(word: &[u8]) -> Option<Self> {
        Some(match word {
            b"str" => Self::Str,
            b"int" => Self::Int,
            b"float" => Self::Float,
            b"bool" => Self::Bool,
            b"time" => Self::Time,
            b"comment" => Self::Comment,
            b"bytes" => Self::Bytes,
            _ => return None,
        })
    }

    /// The byte that stands for it in the `integrity` field.
    pub fn code(self) -> u8 {
        match self {
            Self::Str => b's',
            Self::Int => b'i',
            Self::Float => b'f',
            Self::Bool => b'b',
            Self::Time => b't',
            Self::Comment => b'c',
            Self::Bytes => b'y',
        }
    }
}

/// Why a value cannot be read. None of these says anything about the value itself; all are exit code 25.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// A field is missing, stands twice, is unknown or out of order.
    #[error("the sealed value does not read as ENC[AES256_GCM,data:...,iv:...,tag:...,type:...]")]
    Fields,
    /// Something follows the closing bracket.
    #[error("the sealed value goes on behind its closing bracket")]
    Trailing,
    /// A field is empty, or not canonical padded base64.
    #[error("{0} of the sealed value is not canonical base64")]
    Base64(&'static str),
    /// The tag has another length than 16 bytes.
    #[error("the tag of the sealed value does not have 16 bytes")]
    TagLength,
    /// A type that sops does not know.
    #[error("the sealed value has an unknown type")]
    UnknownType,
    /// `type:bytes`.
    #[error("the sealed value has the type bytes, which is not supported")]
    Bytes,
    /// Wrong key, wrong place, or changed.
    #[error(
        "the sealed value does not open: it was changed, moved from another key, or sealed under another data key"
    )]
    Authentication,
    /// It opened, but does not read as what its type says.
    #[error("the opened value does not read as its type, {0}")]
    Plaintext(&'static str),
    /// A comment where a value was asked for.
    #[error("a sealed comment stands where a value is due")]
    Comment,
}

/// What is sealed and hashed for `scalar`; `None` for null, which is neither.
pub fn plaintext<'a>(scalar: &'a Scalar<'_>) -> Option<(ValueType, Cow<'a, [u8]>)> {
    let owned = |text: String| Cow::Owned(text.into_bytes());
    Some(match scalar {
        Scalar::Null => return None,
        Scalar::Bool(true) => (ValueType::Bool, Cow::Borrowed(b"True")),
        Scalar::Bool(false) => (ValueType::Bool, Cow::Borrowed(b"False")),
        Scalar::Int(number) => (ValueType::Int, owned(number.to_string())),
        Scalar::Float(number) => (ValueType::Float, float_text(*number)),
        Scalar::Time(time) => (ValueType::Time, owned(time.to_string())),
        Scalar::Str(text) => (ValueType::Str, Cow::Borrowed(text)),
    })
}

/// The shortest decimal digits that read back as the same double, never with an exponent.
fn float_text(number: f64) -> Cow<'static, [u8]> {
    if number.is_nan() {
        Cow::Borrowed(b"NaN")
    } else if number.is_infinite() {
        Cow::Borrowed(if number > 0.0 { b"+Inf" } else { b"-Inf" })
    } else {
        Cow::Owned(document::decimal::plain(number).into_bytes())
    }
}

/// The scalar that an opened value stands for, holding its own copy of a text.
///
/// # Errors
/// As [`scalar_in`].
pub fn scalar(ty: ValueType, plaintext: &[u8]) -> Result<Scalar<'static>, ValueError> {
    Ok(match scalar_in(ty, plaintext)? {
        Scalar::Str(text) => Scalar::Str(Cow::Owned(text.into_owned())),
        Scalar::Null => Scalar::Null,
        Scalar::Bool(value) => Scalar::Bool(value),
        Scalar::Int(value) => Scalar::Int(value),
        Scalar::Float(value) => Scalar::Float(value),
        Scalar::Time(value) => Scalar::Time(value),
    })
}

/// The scalar that an opened value stands for; a text stays where it is.
///
/// # Errors
/// [`ValueError::Plaintext`] if the bytes do not read as the type: sops' rules, but for floats only decimal
/// spellings (no writer ever sealed a hexadecimal one). [`ValueError::Comment`] and [`ValueError::Bytes`] for
/// those types.
pub fn scalar_in(ty: ValueType, plaintext: &[u8]) -> Result<Scalar<'_>, ValueError> {
    let text = || std::str::from_utf8(plaintext).ok();
    let read = match ty {
        ValueType::Comment => return Err(ValueError::Comment),
        ValueType::Bytes => return Err(ValueError::Bytes),
        ValueType::Str => Some(Scalar::Str(Cow::Borrowed(plaintext))),
        ValueType::Int => text().and_then(|text| text.parse().ok()).map(Scalar::Int),
        ValueType::Float => text().and_then(float).map(Scalar::Float),
        ValueType::Bool => boolean(plaintext).map(Scalar::Bool),
        ValueType::Time => text().and_then(Timestamp::parse_rfc3339).map(Scalar::Time),
    };
    read.ok_or(ValueError::Plaintext(ty.as_str()))
}

fn boolean(text: &[u8]) -> Option<bool> {
    match text {
        b"1" | b"t" | b"T" | b"TRUE" | b"true" | b"True" => Some(true),
        b"0" | b"f" | b"F" | b"FALSE" | b"false" | b"False" => Some(false),
        _ => None,
    }
}

/// A finite spelling must give a finite number, and a not-a-number has no sign.
fn float(text: &str) -> Option<f64> {
    let number: f64 = text.parse().ok()?;
    let named = text.ends_with(|last: char| last.is_ascii_alphabetic());
    if (number.is_infinite() && !named) || (number.is_nan() && text.len() != 3) {
        return None;
    }
    Some(number)
}

#[cfg(test)]
mod tests;
