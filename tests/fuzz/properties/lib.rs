//! What must hold for every input of a parser: one function a target, each of which panics where it does not.
//!
//! The programs in `targets` give them libFuzzer's inputs; `replay.rs` gives them, without a fuzzer, every input that
//! was ever found to break them.

mod choice;
mod config;
mod documents;
mod edits;
mod enc_value;
mod envelope;
mod layout;
mod meaning;
mod metadata;
mod path;
mod sealed_secrets;

use document::Format;

/// A property of any input.
type Property = fn(&[u8]);

/// The targets by name.
pub const TARGETS: [(&str, Property); 12] = [
    ("yaml", yaml),
    ("json", json),
    ("dotenv", dotenv),
    ("ini", ini),
    ("enc_value", enc_value),
    ("metadata", metadata),
    ("layout", layout),
    ("config", config),
    ("path", path),
    ("sealed_item", sealed_item),
    ("sealed_secret", sealed_secret),
    ("certificate", certificate),
];

/// A YAML document.
pub fn yaml(data: &[u8]) {
    documents::check(Format::Yaml, data);
}

/// A JSON document, or the envelope of a binary file.
pub fn json(data: &[u8]) {
    documents::check(Format::Json, data);
    documents::check(Format::Binary, data);
}

/// A dotenv document.
pub fn dotenv(data: &[u8]) {
    documents::check(Format::Dotenv, data);
}

/// An INI document.
pub fn ini(data: &[u8]) {
    documents::check(Format::Ini, data);
}

/// The text of a sealed value, and what is in it.
pub fn enc_value(data: &[u8]) {
    enc_value::check(data);
}

/// A file with a `sops` block, in whichever formats it reads.
pub fn metadata(data: &[u8]) {
    metadata::check(data);
}

/// The content of the `layout` field.
pub fn layout(data: &[u8]) {
    layout::check(data);
}

/// A `.sops.yaml`, or a pattern of one.
pub fn config(data: &[u8]) {
    config::check(data);
}

/// A line with a path, and a document that it is applied to.
pub fn path(data: &[u8]) {
    path::check(data);
}

/// The text or the bytes of a sealed item.
pub fn sealed_item(data: &[u8]) {
    sealed_secrets::item(data);
}

/// A file of Secrets and SealedSecrets.
pub fn sealed_secret(data: &[u8]) {
    sealed_secrets::manifests(data);
}

/// A file with a certificate or a sealing key.
pub fn certificate(data: &[u8]) {
    sealed_secrets::read_certificate(data);
}
