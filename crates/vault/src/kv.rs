//! Secrets of the key-value engine, version 1 and 2.
//!
//! ```text
//! version 1   MOUNT/PATH        {"key": value, ...}
//! version 2   MOUNT/data/PATH   {"data": {"key": value, ...}}, a new version with each write
//! ```

use std::fmt;

use secret::SecretBytes;
use serde::Deserialize;
use serde_json::{Map, Value};
use vaultrs::api::{kv1, kv2};

use crate::address::{AddressError, Segments};
use crate::client::Client;
use crate::error::Error;

/// The engine's version: what a path means depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KvVersion {
    /// One value for each path.
    V1,
    /// Versions of a value.
    V2,
}

/// The path of a secret below its mount.
///
/// The names of files become parts of it, so it may hold what they hold: everything but control characters and
/// backslashes. It is escaped on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KvPath(String);

/// What became of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It was written.
    New,
    /// It was there already, with the same values.
    Equal,
    /// It was written without a look at what was there: the token may write, not read.
    Unseen,
}

/// The part of an answer that is looked at.
#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
}

/// What version 2 has in it.
#[derive(Deserialize)]
struct Versioned {
    /// Null for a version that was deleted.
    data: Option<Value>,
}

impl KvPath {
    /// Reads `team/app.yaml`. Slashes at both ends, and several of them in one place, count as none and one.
    ///
    /// # Errors
    /// [`AddressError::Segment`] for a part that is `.` or `..` or holds a control character, and without any part.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
        let fine = |part: &&str| {
            !matches!(*part, "." | "..") && !part.chars().any(|sign| sign.is_control() || sign == '\\')
        };
        match text.len() <= 1024 && !parts.is_empty() && parts.iter().all(fine) {
            true => Ok(Self(parts.join("/"))),
            false => Err(AddressError::Segment),
        }
    }
}

impl fmt::Display for KvPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Client {
    /// Writes a JSON map as the secret at `path` of the engine at `mount`, unless that is what it holds already.
    ///
    /// # Errors
    /// [`Error::Setting`] if `values` is no JSON map; else see [`Error`].
    pub async fn put_secret(
        &self,
        version: KvVersion,
        mount: &Segments,
        path: &KvPath,
        values: &SecretBytes,
    ) -> Result<Written, Error> {
        let values: Map<String, Value> = serde_json::from_slice(values.expose())
            .map_err(|_| Error::Setting("the values of a secret are no JSON map"))?;
        let values = Value::Object(values);
        let written = match self.secret(version, mount, path).await {
            Ok(Some(present)) if canonical(&present).ct_eq(&canonical(&values)) => {
                return Ok(Written::Equal);
            }
            Ok(_) => Written::New,
            Err(Error::Denied { .. }) => Written::Unseen,
            Err(error) => return Err(error),
        };
        let nothing = |_: &[u8]| Ok(());
        match version {
            KvVersion::V1 => {
                let request = || kv1::requests::SetSecretRequest {
                    mount: mount.to_string(),
                    path: path.to_string(),
                    data: values.to_string().into_bytes(),
                };
                self.ask(&request, &nothing).await?;
            }
            KvVersion::V2 => {
                let request = || kv2::requests::SetSecretRequest {
                    mount: mount.to_string(),
                    path: path.to_string(),
                    data: values.clone(),
                    options: None,
                };
                self.ask(&request, &nothing).await?;
            }
        }
        Ok(written)
    }

    /// What is there now, if anything.
    async fn secret(
        &self,
        version: KvVersion,
        mount: &Segments,
        path: &KvPath,
    ) -> Result<Option<Value>, Error> {
        let found = match version {
            KvVersion::V1 => {
                let request = || kv1::requests::GetSecretRequest {
                    mount: mount.to_string(),
                    path: path.to_string(),
                };
                let read = |body: &[u8]| self.transport.read::<Envelope<Option<Value>>>(body);
                self.ask(&request, &read).await.map(|answer| answer.data)
            }
            KvVersion::V2 => {
                let request = || kv2::requests::ReadSecretRequest {
                    mount: mount.to_string(),
                    path: path.to_string(),
                    version: None,
                };
                let read = |body: &[u8]| self.transport.read::<Envelope<Option<Versioned>>>(body);
                let answer = self.ask(&request, &read).await;
                answer.map(|answer| answer.data.and_then(|found| found.data))
            }
        };
        match found {
            Err(Error::NotFound { .. }) => Ok(None),
            found => found,
        }
    }
}

/// One text for all spellings of a value: maps sorted, no blanks.
fn canonical(value: &Value) -> SecretBytes {
    let mut out = SecretBytes::default();
    write(value, out.expose_mut());
    out
}

fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            out.push(b'{');
            for (key, value) in entries {
                out.extend_from_slice(Value::from(key.as_str()).to_string().as_bytes());
                out.push(b':');
                write(value, out);
                out.push(b',');
            }
            out.push(b'}');
        }
        Value::Array(list) => {
            out.push(b'[');
            for value in list {
                write(value, out);
                out.push(b',');
            }
            out.push(b']');
        }
        single => out.extend_from_slice(single.to_string().as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_name_of_a_file_is_a_path_and_cannot_be_another_one() {
        for (text, path) in [
            ("app", "app"),
            ("/team//my app.yaml/", "team/my app.yaml"),
            ("a@b+ü%2e?#", "a@b+ü%2e?#"),
            (".env", ".env"),
        ] {
            assert_eq!(KvPath::parse(text).expect(text).to_string(), path);
        }
        for text in ["", "/", "a/../b", "./a", "a\nb", "a\0", "a\\b"] {
            assert_eq!(KvPath::parse(text), Err(AddressError::Segment), "{text:?}");
        }
        assert!(KvPath::parse(&"a".repeat(2000)).is_err());
    }

    #[test]
    fn equal_is_equal_whatever_the_order() {
        let equal = |one: &Value, other: &Value| canonical(one).ct_eq(&canonical(other));
        let (one, other) = (json!({"a": 1, "b": {"c": [1, null], "d": "x"}}), {
            json!({"b": {"d": "x", "c": [1, null]}, "a": 1})
        });
        assert!(equal(&one, &other));
        for differs in [
            json!({"a": "1", "b": {"c": [1, null], "d": "x"}}),
            json!({"a": 1, "b": {"c": [null, 1], "d": "x"}}),
            json!({"a": 1}),
            json!([]),
        ] {
            assert!(!equal(&one, &differs), "{differs}");
        }
        // No text runs into the next.
        assert!(!equal(&json!({"a": "b\",\"c"}), &json!({"a": "b", "c": ""})));
    }
}
