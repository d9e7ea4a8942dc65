//! The shapes that fields of the file have, as typed YAML: maps that remember unknown keys, and the two-faced
//! key lists.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde_saphyr::Spanned;

/// Declares the fields of one map of the file. As in SOPS, `null` leaves a field at its default; keys that are
/// not declared are collected with their place.
macro_rules! map {
    ($(#[$doc:meta])* struct $name:ident { $($field:ident: $type:ty = $key:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default)]
        pub(super) struct $name {
            $(pub(super) $field: $type,)*
            pub(super) unknown: Vec<serde_saphyr::Spanned<String>>,
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Fields;
                impl<'de> serde::de::Visitor<'de> for Fields {
                    type Value = $name;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("a map")
                    }

                    fn visit_unit<E>(self) -> Result<$name, E> {
                        Ok($name::default())
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<$name, A::Error> {
                        let mut fields = $name::default();
                        while let Some(key) = map.next_key::<serde_saphyr::Spanned<String>>()? {
                            match key.value.as_str() {
                                $($key => fields.$field = map.next_value::<Option<$type>>()?.unwrap_or_default(),)*
                                _ => {
                                    map.next_value::<serde::de::IgnoredAny>()?;
                                    fields.unknown.push(key);
                                }
                            }
                        }
                        Ok(fields)
                    }
                }
                deserializer.deserialize_any(Fields)
            }
        }
    };
}
pub(super) use map;

/// A text field with its place. Numbers and booleans are taken as they are spelt.
pub(super) type Text = Option<Spanned<String>>;

/// `a, b` or a list of such texts; only text will do, as in SOPS.
#[derive(Clone, Debug, Default)]
pub(super) struct KeyList(pub(super) Vec<String>);

impl<'de> Deserialize<'de> for KeyList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = KeyList;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text or a list of texts")
            }

            fn visit_unit<E>(self) -> Result<KeyList, E> {
                Ok(KeyList::default())
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<KeyList, E> {
                Ok(KeyList(vec![text.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<KeyList, A::Error> {
                let mut keys = Vec::new();
                while let Some(PlainText(key)) = items.next_element()? {
                    keys.push(key);
                }
                Ok(KeyList(keys))
            }
        }
        deserializer.deserialize_any(Keys)
    }
}

/// Text that YAML does not take for something else.
struct PlainText(String);

impl<'de> Deserialize<'de> for PlainText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Plain;
        impl Visitor<'_> for Plain {
            type Value = PlainText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<PlainText, E> {
                Ok(PlainText(text.to_owned()))
            }
        }
        deserializer.deserialize_any(Plain)
    }
}
