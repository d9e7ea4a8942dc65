//! The file as it is written: maps and fields, nothing decided yet.

use std::collections::BTreeMap;

use serde_saphyr::{Error, Location, Spanned};

use super::fields::{KeyList, Text, map};
use super::{ConfigError, ConfigWarning};

map! {
    /// The whole file.
    struct File {
        creation_rules: Vec<Option<Spanned<RawRule>>> = "creation_rules",
        destination_rules: Vec<Option<Spanned<RawDestination>>> = "destination_rules",
        stores: RawStores = "stores",
        seal: Option<RawSeal> = "seal",
    }
}

map! {
    /// A creation rule, or a `recreation_rule`.
    struct RawRule {
        path_regex: Text = "path_regex",
        age: Option<Spanned<KeyList>> = "age",
        pgp: Option<Spanned<KeyList>> = "pgp",
        kms: Option<Spanned<KeyList>> = "kms",
        aws_profile: Text = "aws_profile",
        gcp_kms: Option<Spanned<KeyList>> = "gcp_kms",
        hckms: Vec<Text> = "hckms",
        azure_keyvault: Option<Spanned<KeyList>> = "azure_keyvault",
        hc_vault: Option<Spanned<KeyList>> = "hc_vault_transit_uri",
        key_groups: Vec<Spanned<RawGroup>> = "key_groups",
        shamir_threshold: Option<Spanned<i64>> = "shamir_threshold",
        unencrypted_suffix: Text = "unencrypted_suffix",
        encrypted_suffix: Text = "encrypted_suffix",
        unencrypted_regex: Text = "unencrypted_regex",
        encrypted_regex: Text = "encrypted_regex",
        unencrypted_comment_regex: Text = "unencrypted_comment_regex",
        encrypted_comment_regex: Text = "encrypted_comment_regex",
        mac_only_encrypted: bool = "mac_only_encrypted",
    }
}

map! {
    /// A key group.
    struct RawGroup {
        merge: Vec<Spanned<RawGroup>> = "merge",
        age: Vec<Text> = "age",
        pgp: Vec<Text> = "pgp",
        kms: Vec<Spanned<RawAwsKey>> = "kms",
        gcp_kms: Vec<Spanned<RawGcpKey>> = "gcp_kms",
        hckms: Vec<Spanned<RawHuaweiKey>> = "hckms",
        azure_keyvault: Vec<Spanned<RawAzureKey>> = "azure_keyvault",
        hc_vault: Vec<Text> = "hc_vault",
    }
}

map! {
    struct RawAwsKey {
        arn: String = "arn",
        role: String = "role",
        context: BTreeMap<String, String> = "context",
        aws_profile: String = "aws_profile",
    }
}

map! {
    struct RawGcpKey {
        resource_id: String = "resource_id",
    }
}

map! {
    struct RawHuaweiKey {
        key_id: String = "key_id",
    }
}

map! {
    struct RawAzureKey {
        vault_url: String = "vaultUrl",
        key: String = "key",
        version: String = "version",
    }
}

map! {
    struct RawDestination {
        path_regex: Text = "path_regex",
        s3_bucket: String = "s3_bucket",
        s3_prefix: String = "s3_prefix",
        gcs_bucket: String = "gcs_bucket",
        gcs_prefix: String = "gcs_prefix",
        vault_path: String = "vault_path",
        vault_address: String = "vault_address",
        vault_kv_mount_name: String = "vault_kv_mount_name",
        vault_kv_version: Option<Spanned<i64>> = "vault_kv_version",
        omit_extensions: bool = "omit_extensions",
        recreation_rule: Option<Spanned<RawRule>> = "recreation_rule",
    }
}

map! {
    struct RawStores {
        dotenv: RawStore = "dotenv",
        ini: RawStore = "ini",
        json: RawStore = "json",
        json_binary: RawStore = "json_binary",
        yaml: RawStore = "yaml",
    }
}

map! {
    struct RawStore {
        indent: Option<Spanned<i64>> = "indent",
    }
}

map! {
    struct RawSeal {
        require_integrity: bool = "require_integrity",
        clusters: Vec<Option<Spanned<RawCluster>>> = "clusters",
        sealed_secrets: Vec<Option<Spanned<RawSealedSecretRule>>> = "sealed_secrets",
    }
}

map! {
    struct RawCluster {
        name: String = "name",
        certificate: String = "certificate",
        fingerprint: String = "fingerprint",
        path_regex: Text = "path_regex",
    }
}

map! {
    struct RawSealedSecretRule {
        path_regex: Text = "path_regex",
        clusters: Vec<Spanned<String>> = "clusters",
        output: Text = "output",
        scope: Text = "scope",
        namespace: Text = "namespace",
    }
}

/// Reads the first document; more of them are a warning, as SOPS never looks at them.
pub(super) fn parse(text: &[u8]) -> Result<(File, Vec<ConfigWarning>), ConfigError> {
    let text = std::str::from_utf8(text).map_err(|e| {
        let line = text[..e.valid_up_to()]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count() as u64
            + 1;
        ConfigError {
            line,
            column: 0,
            why: "the file is not UTF-8".to_owned(),
        }
    })?;
    // many rules may share a few anchors; expansion is bounded by the other limits
    let budget = serde_saphyr::budget! { enforce_alias_anchor_ratio: false };
    let options = serde_saphyr::options! { with_snippet: false, emit_comments: false, budget: budget };
    let mut reader = text.as_bytes();
    let mut documents = serde_saphyr::read_with_options::<_, File>(&mut reader, options);
    let file = documents
        .next()
        .transpose()
        .map_err(|error| explain(&error))?
        .unwrap_or_default();
    let mut warnings = Vec::new();
    if documents.next().is_some() {
        warnings.push(ConfigWarning {
            line: 1,
            column: 1,
            what: "only the first document of the file is read".to_owned(),
        });
    }
    Ok((file, warnings))
}

/// Our words for the parser's error: its own may quote the file.
fn explain(error: &Error) -> ConfigError {
    let why = match error.without_snippet() {
        Error::DuplicateMappingKey { .. } => "the same key stands twice in one map".to_owned(),
        Error::SerdeInvalidType { expected, .. } | Error::SerdeInvalidValue { expected, .. } => {
            wanted(expected)
        }
        Error::Unexpected { expected, .. } => wanted(expected),
        Error::InvalidScalar { ty, .. } => wanted(ty),
        Error::NullIntoString { .. } => "expected text, not null".to_owned(),
        Error::UnknownAnchor { .. } => "an alias names no anchor".to_owned(),
        Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::Budget { .. } => "the file expands to more than a configuration can be".to_owned(),
        _ => "not valid YAML for a configuration".to_owned(),
    };
    at(error.location().unwrap_or(Location::UNKNOWN), why)
}

/// The parser's name of a type, as people call it.
fn wanted(expected: &str) -> String {
    let name = match expected {
        "i64" => "a whole number",
        "boolean" => "true or false",
        "sequence start" => "a list",
        "mapping start" => "a map",
        "string scalar" => "text",
        other => other,
    };
    format!("expected {name}")
}

/// An error at a place. The root of the file has none of its own.
pub(super) fn at(place: Location, why: impl Into<String>) -> ConfigError {
    ConfigError {
        line: place.line().max(1),
        column: place.column().max(1),
        why: why.into(),
    }
}
