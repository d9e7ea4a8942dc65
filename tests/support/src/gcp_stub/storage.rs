//! The part of Cloud Storage that uploads need.
//!
//! # What is modelled, after what
//! `objects.insert` of the JSON interface (<https://cloud.google.com/storage/docs/json_api/v1/objects/insert>) with
//! `uploadType=media` and `multipart`: the name from the query or the metadata, the content type, an answer with size and
//! CRC-32C; errors for a bucket that is not there and one that may not be written to.
//!
//! # What is not
//! Resumable uploads, reading and listing over HTTP, versions, preconditions, retention, keys for encryption.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::crc32c;
use crate::cloud::{Asked, Told};

/// Where Cloud Storage is.
pub const HOST: &str = "storage.googleapis.com";

/// Buckets.
#[derive(Default)]
pub struct Storage(Mutex<HashMap<String, Bucket>>);

#[derive(Default)]
struct Bucket {
    locked: bool,
    objects: BTreeMap<String, Object>,
}

/// A stored object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// What programs that fetch it are told that it is.
    pub content_type: String,
    /// The content.
    pub content: Vec<u8>,
}

impl Storage {
    /// An empty bucket that may be written to or, if `locked`, not.
    pub fn bucket(&self, name: &str, locked: bool) {
        let bucket = Bucket {
            locked,
            objects: BTreeMap::new(),
        };
        self.buckets().insert(name.to_owned(), bucket);
    }

    /// The objects of a bucket, by name.
    pub fn objects(&self, bucket: &str) -> BTreeMap<String, Object> {
        let buckets = self.buckets();
        buckets
            .get(bucket)
            .map(|bucket| bucket.objects.clone())
            .unwrap_or_default()
    }

    /// Stores what was sent.
    pub(super) fn insert(&self, asked: &Asked) -> Told {
        let parts: Vec<&str> = asked.path.split('/').collect();
        let ["", "upload", "storage", "v1", "b", bucket, "o"] = parts[..] else {
            return refused(404, "notFound", "no such path");
        };
        let Some((name, object)) = sent(asked) else {
            return refused(400, "badContent", "no upload that is understood");
        };
        let mut buckets = self.buckets();
        let Some(found) = buckets.get_mut(bucket) else {
            return refused(404, "notFound", "The specified bucket does not exist.");
        };
        if found.locked {
            let text = format!("somebody does not have storage.objects.create access to {bucket}/{name}.");
            return refused(403, "forbidden", &text);
        }
        let sum = STANDARD.encode(crc32c(&object.content).to_be_bytes());
        let answer = json!({
            "kind": "storage#object", "bucket": bucket, "name": name, "contentType": object.content_type,
            "size": object.content.len().to_string(), "crc32c": sum, "generation": "1", "metageneration": "1",
        });
        found.objects.insert(name, object);
        Told::json(200, &answer)
    }

    fn buckets(&self) -> MutexGuard<'_, HashMap<String, Bucket>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The name and the object of an upload.
fn sent(asked: &Asked) -> Option<(String, Object)> {
    let own = asked.header("content-type").unwrap_or_default();
    match asked.parameter("uploadType")?.as_str() {
        "media" => {
            let object = Object {
                content_type: own.to_owned(),
                content: asked.body.clone(),
            };
            Some((asked.parameter("name")?, object))
        }
        "multipart" => {
            let (_, boundary) = own.split_once("boundary=")?;
            let [metadata, content] = parts(&asked.body, boundary.trim_matches('"'))?;
            let metadata: Value = serde_json::from_slice(&metadata.1).ok()?;
            let named = metadata["name"].as_str().map(str::to_owned);
            let kind = metadata["contentType"].as_str().map(str::to_owned);
            let object = Object {
                content_type: kind.unwrap_or(content.0),
                content: content.1,
            };
            Some((named.or_else(|| asked.parameter("name"))?, object))
        }
        _ => None,
    }
}

/// The two parts of a body, each with its content type.
fn parts(body: &[u8], boundary: &str) -> Option<[(String, Vec<u8>); 2]> {
    let mark = format!("--{boundary}");
    // Bytes as characters, so that they can be split like text and come back as they were.
    let text: String = body.iter().map(|byte| char::from(*byte)).collect();
    let part = |text: &str| -> Option<(String, Vec<u8>)> {
        let (head, content) = text.strip_prefix("\r\n")?.split_once("\r\n\r\n")?;
        let kind = head
            .lines()
            .find_map(|line| line.strip_prefix("Content-Type: "))?;
        let content = content.strip_suffix("\r\n")?;
        let bytes: Option<Vec<u8>> = content.chars().map(|sign| u8::try_from(sign).ok()).collect();
        Some((kind.to_owned(), bytes?))
    };
    let mut found = text.split(&mark).skip(1);
    Some([part(found.next()?)?, part(found.next()?)?])
}

/// An error as this interface writes it.
fn refused(code: u16, reason: &str, message: &str) -> Told {
    let errors = json!([{"domain": "global", "reason": reason, "message": message}]);
    Told::json(
        code,
        &json!({"error": {"code": code, "message": message, "errors": errors}}),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(kind: &str, content_type: &str, body: &[u8]) -> Asked {
        Asked {
            path: "/upload/storage/v1/b/bucket/o".to_owned(),
            query: format!("uploadType={kind}&name=in%2Fquery"),
            headers: vec![("content-type".to_owned(), content_type.to_owned())],
            body: body.to_vec(),
            ..Asked::default()
        }
    }

    #[test]
    fn both_kinds_of_upload_are_understood() {
        let storage = Storage::default();
        let multipart = b"--xx\r\nContent-Type: application/json\r\n\r\n{\"name\":\"in/body\"}\r\n\
            --xx\r\nContent-Type: text/plain\r\n\r\na\xff\r\nb\r\n--xx--\r\n";
        let multipart = asked("multipart", "multipart/related; boundary=xx", multipart);
        assert_eq!(storage.insert(&multipart).status, 404);
        storage.bucket("bucket", true);
        assert_eq!(storage.insert(&multipart).status, 403);
        storage.bucket("bucket", false);
        assert_eq!(storage.insert(&multipart).status, 200);
        assert_eq!(storage.insert(&asked("media", "x/y", b"z")).status, 200);
        assert_eq!(storage.insert(&asked("resumable", "x/y", b"z")).status, 400);
        let objects = storage.objects("bucket");
        assert_eq!(objects["in/body"].content, b"a\xff\r\nb");
        assert_eq!(objects["in/body"].content_type, "text/plain");
        assert_eq!(objects["in/query"].content, b"z");
    }
}
