//! Formats, and scalars as sops types them.

use std::borrow::Cow;

use crate::timestamp::Timestamp;

/// The five kinds of file that sops knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// `.yaml`, `.yml`
    Yaml,
    /// `.json`
    Json,
    /// `.env`
    Dotenv,
    /// `.ini`
    Ini,
    /// Everything else: the whole input is one value, sealed in a JSON envelope.
    Binary,
}

impl Format {
    /// The format of a file name, by its ending, as sops decides it.
    pub fn of_name(name: &str) -> Self {
        match name.rsplit_once('.').map(|(_, ending)| ending) {
            Some("yaml" | "yml") => Self::Yaml,
            Some("json") => Self::Json,
            Some("env") => Self::Dotenv,
            Some("ini") => Self::Ini,
            _ => Self::Binary,
        }
    }

    /// The format of sops' own word for it (`--input-type`).
    pub fn of_word(word: &str) -> Option<Self> {
        Some(match word {
            "yaml" => Self::Yaml,
            "json" => Self::Json,
            "dotenv" => Self::Dotenv,
            "ini" => Self::Ini,
            "binary" => Self::Binary,
            _ => return None,
        })
    }

    /// sops' own word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Yaml => "yaml",
            Self::Json => "json",
            Self::Dotenv => "dotenv",
            Self::Ini => "ini",
            Self::Binary => "binary",
        }
    }
}

/// A scalar as sops types it.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar<'a> {
    /// Never sealed, never part of the MAC.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number within 64 bits with sign.
    Int(i64),
    /// A number. Whole numbers beyond 64 bits end here, with their spelling kept elsewhere.
    Float(f64),
    /// A YAML timestamp.
    Time(Timestamp),
    /// Text; any bytes for binary files.
    Str(Cow<'a, [u8]>),
}
