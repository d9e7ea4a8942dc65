//! From the fields of the file to rules that can be used: keys named, patterns compiled, limits checked.

use serde_saphyr::{Location, Spanned};

use super::clusters;
use super::fields::Text;
use super::file::{File, RawDestination, RawGroup, RawRule, RawStore, at};
use super::{
    Config, ConfigError, ConfigWarning, CreationRule, Destination, DestinationRule, PathPattern, SealPolicy,
    Stores,
};
use crate::master_key::{KeyError, KeyKind};
use crate::{MasterKey, RuleError, Rules, Selector};

type Result<T> = std::result::Result<T, ConfigError>;

/// Shares of a data key carry their number in one byte.
const MAX_GROUPS: usize = 255;

pub(super) fn build(file: File, warnings: Vec<ConfigWarning>) -> Result<Config> {
    let mut config = Config {
        warnings,
        ..Config::default()
    };
    let notes = &mut config.warnings;
    // where people keep what they refer to by alias
    let shelf = |key: &str| key == "keys" || key.starts_with(['.', '_']) || key.starts_with("x-");
    let strange: Vec<_> = file
        .unknown
        .into_iter()
        .filter(|key| !shelf(&key.value))
        .collect();
    unknown(notes, &strange);
    // an entry without anything is no entry, as in SOPS
    for rule in file.creation_rules.into_iter().flatten() {
        config.creation_rules.push(creation_rule(rule, notes)?);
    }
    for rule in file.destination_rules.into_iter().flatten() {
        config.destination_rules.push(destination_rule(rule, notes)?);
    }
    let stores = file.stores;
    unknown(notes, &stores.unknown);
    for store in [
        &stores.dotenv,
        &stores.ini,
        &stores.json,
        &stores.json_binary,
        &stores.yaml,
    ] {
        unknown(notes, &store.unknown);
    }
    config.stores = Stores {
        yaml_indent: indent(&stores.yaml, 0)?,
        json_indent: indent(&stores.json, -1)?,
        json_binary_indent: indent(&stores.json_binary, -1)?,
    };
    config.seal = match file.seal {
        Some(seal) => {
            let clusters = clusters::clusters(seal.clusters)?;
            SealPolicy {
                require_integrity: seal.require_integrity,
                present: true,
                sealed_secrets: clusters::rules(seal.sealed_secrets, &clusters)?,
                clusters,
            }
        }
        None => SealPolicy::default(),
    };
    config
        .warnings
        .sort_by_key(|warning| (warning.line, warning.column));
    Ok(config)
}

fn unknown(notes: &mut Vec<ConfigWarning>, keys: &[Spanned<String>]) {
    notes.extend(keys.iter().map(|key| {
        let name: String = key.value.chars().take(60).flat_map(char::escape_debug).collect();
        warning(key.referenced, format!("unknown key {name}"))
    }));
}

fn warning(place: Location, what: impl Into<String>) -> ConfigWarning {
    ConfigWarning {
        line: place.line(),
        column: place.column(),
        what: what.into(),
    }
}

/// An indentation of at least `least`, and of no more columns than anyone can mean.
fn indent<T: TryFrom<i64>>(store: &RawStore, least: i64) -> Result<Option<T>> {
    let Some(indent) = &store.indent else {
        return Ok(None);
    };
    let usable = (least..=100).contains(&indent.value);
    match T::try_from(indent.value) {
        Ok(columns) if usable => Ok(Some(columns)),
        _ => Err(at(
            indent.referenced,
            format!("indent must be between {least} and 100"),
        )),
    }
}

fn creation_rule(raw: Spanned<RawRule>, notes: &mut Vec<ConfigWarning>) -> Result<CreationRule> {
    let place = raw.referenced;
    let raw = raw.value;
    unknown(notes, &raw.unknown);
    let rules = selection(&raw, place)?;
    let groups = if raw.key_groups.is_empty() {
        let keys = plain_lists(&raw)?;
        if keys.is_empty() { Vec::new() } else { vec![keys] }
    } else {
        raw.key_groups
            .iter()
            .map(|group| whole_group(group, notes))
            .collect::<Result<_>>()?
    };
    if groups.len() > MAX_GROUPS {
        return Err(at(place, "more than 255 key groups"));
    }
    Ok(CreationRule {
        path_regex: path_pattern(&raw.path_regex)?,
        shamir_threshold: threshold(&raw.shamir_threshold, groups.len(), notes)?,
        groups,
        plain_lists: raw.key_groups.is_empty(),
        rules,
        mac_only_encrypted: raw.mac_only_encrypted,
        line: place.line(),
    })
}

pub(super) fn path_pattern(text: &Text) -> Result<Option<PathPattern>> {
    let Some(text) = text.as_ref().filter(|text| !text.value.is_empty()) else {
        return Ok(None);
    };
    match PathPattern::new(&text.value) {
        Ok(pattern) => Ok(Some(pattern)),
        Err(error) => Err(at(text.referenced, format!("bad path_regex: {error}"))),
    }
}

/// The selection rule, compiled once to know that it can be.
fn selection(raw: &RawRule, place: Location) -> Result<Rules> {
    let fields = [
        &raw.unencrypted_suffix,
        &raw.encrypted_suffix,
        &raw.unencrypted_regex,
        &raw.encrypted_regex,
        &raw.unencrypted_comment_regex,
        &raw.encrypted_comment_regex,
    ];
    let [text_0, text_1, text_2, text_3, text_4, text_5] = fields.map(|field| {
        field
            .as_ref()
            .map(|text| text.value.clone())
            .filter(|text| !text.is_empty())
    });
    let rules = Rules {
        unencrypted_suffix: text_0,
        encrypted_suffix: text_1,
        unencrypted_regex: text_2,
        encrypted_regex: text_3,
        unencrypted_comment_regex: text_4,
        encrypted_comment_regex: text_5,
    };
    // the place of the last field that counts: the second of two, the only one of one
    let place = fields
        .into_iter()
        .flatten()
        .filter(|text| !text.value.is_empty())
        .map(|text| text.referenced)
        .max_by_key(|place| (place.line(), place.column()))
        .unwrap_or(place);
    match Selector::new(&rules) {
        Ok(_) => Ok(rules),
        Err(error @ RuleError::Conflict { .. }) => Err(at(place, error.to_string())),
        Err(RuleError::Pattern { rule, source }) => Err(at(place, format!("bad {rule}: {source}"))),
    }
}

/// 0, or between 2 and the number of groups. With one group nothing is shared out, and SOPS ignores the field.
fn threshold(raw: &Option<Spanned<i64>>, groups: usize, notes: &mut Vec<ConfigWarning>) -> Result<u8> {
    let Some(raw) = raw.as_ref().filter(|raw| raw.value != 0) else {
        return Ok(0);
    };
    if raw.value > 0 && groups < 2 {
        notes.push(warning(
            raw.referenced,
            "shamir_threshold has no effect without two key groups",
        ));
        return Ok(0);
    }
    match u8::try_from(raw.value) {
        Ok(threshold @ 2..) if usize::from(threshold) <= groups => Ok(threshold),
        _ => Err(at(
            raw.referenced,
            "shamir_threshold must be between 2 and the number of key groups",
        )),
    }
}

// -- keys ------------------------------------------------------------------------------------------

/// Keys in order, each once. SOPS tells keys apart by kind and name.
#[derive(Default)]
struct Keys(Vec<MasterKey>);

impl Keys {
    fn push(&mut self, key: MasterKey) {
        let same =
            |other: &MasterKey| other.key_kind() == key.key_kind() && other.to_string() == key.to_string();
        if !self.0.iter().any(same) {
            self.0.push(key);
        }
    }

    fn parse(&mut self, kind: KeyKind, text: &str, place: Location) -> Result<()> {
        self.push(MasterKey::parse(kind, text).map_err(|error| bad_key(error, place))?);
        Ok(())
    }

    fn parse_list(&mut self, kind: KeyKind, text: &str, aws_profile: &str, place: Location) -> Result<()> {
        for key in MasterKey::parse_list(kind, text).map_err(|error| bad_key(error, place))? {
            self.push(key.with_aws(&[], aws_profile));
        }
        Ok(())
    }
}

fn bad_key(error: KeyError, place: Location) -> ConfigError {
    at(place, error.to_string())
}

/// The lists that stand in the rule itself, in the order of [`KeyKind::ALL`].
fn plain_lists(raw: &RawRule) -> Result<Vec<MasterKey>> {
    let profile = raw.aws_profile.as_ref().map_or("", |text| text.value.as_str());
    let mut keys = Keys::default();
    for kind in KeyKind::ALL {
        let list = match kind {
            KeyKind::Age => &raw.age,
            KeyKind::Pgp => &raw.pgp,
            KeyKind::AwsKms => &raw.kms,
            KeyKind::GcpKms => &raw.gcp_kms,
            KeyKind::AzureKeyVault => &raw.azure_keyvault,
            KeyKind::VaultTransit => &raw.hc_vault,
            KeyKind::HuaweiKms => {
                // the one that is never a comma-separated text
                for text in raw.hckms.iter().flatten() {
                    keys.parse(kind, &text.value, text.referenced)?;
                }
                continue;
            }
        };
        let Some(list) = list else { continue };
        for text in &list.value.0 {
            keys.parse_list(kind, text, profile, list.referenced)?;
        }
    }
    Ok(keys.0)
}

fn whole_group(raw: &Spanned<RawGroup>, notes: &mut Vec<ConfigWarning>) -> Result<Vec<MasterKey>> {
    let mut keys = Keys::default();
    group(&raw.value, &mut keys, notes)?;
    if keys.0.is_empty() {
        return Err(at(raw.referenced, "a key group without keys"));
    }
    Ok(keys.0)
}

/// The merged groups first, then the group's own keys.
fn group(raw: &RawGroup, keys: &mut Keys, notes: &mut Vec<ConfigWarning>) -> Result<()> {
    unknown(notes, &raw.unknown);
    for merged in &raw.merge {
        group(&merged.value, keys, notes)?;
    }
    for text in raw.age.iter().flatten() {
        keys.parse_list(KeyKind::Age, &text.value, "", text.referenced)?;
    }
    for text in raw.pgp.iter().flatten() {
        keys.parse(KeyKind::Pgp, &text.value, text.referenced)?;
    }
    for aws in &raw.kms {
        unknown(notes, &aws.value.unknown);
        let place = aws.referenced;
        let aws = &aws.value;
        let context: Vec<_> = aws
            .context
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let key = MasterKey::parse(KeyKind::AwsKms, &aws.arn).map_err(|error| bad_key(error, place))?;
        keys.push(key.with_aws(&context, &aws.aws_profile).with_role(&aws.role));
    }
    for gcp in &raw.gcp_kms {
        unknown(notes, &gcp.value.unknown);
        keys.parse(KeyKind::GcpKms, &gcp.value.resource_id, gcp.referenced)?;
    }
    for huawei in &raw.hckms {
        unknown(notes, &huawei.value.unknown);
        keys.parse(KeyKind::HuaweiKms, &huawei.value.key_id, huawei.referenced)?;
    }
    for azure in &raw.azure_keyvault {
        unknown(notes, &azure.value.unknown);
        let (place, azure) = (azure.referenced, &azure.value);
        let url = azure.vault_url.trim_end_matches('/');
        keys.parse(
            KeyKind::AzureKeyVault,
            &format!("{url}/keys/{}/{}", azure.key, azure.version),
            place,
        )?;
    }
    for text in raw.hc_vault.iter().flatten() {
        keys.parse(KeyKind::VaultTransit, &text.value, text.referenced)?;
    }
    Ok(())
}

// -- destinations ----------------------------------------------------------------------------------

fn destination_rule(raw: Spanned<RawDestination>, notes: &mut Vec<ConfigWarning>) -> Result<DestinationRule> {
    let place = raw.referenced;
    let raw = raw.value;
    unknown(notes, &raw.unknown);
    Ok(DestinationRule {
        path_regex: path_pattern(&raw.path_regex)?,
        recreation_rule: match raw.recreation_rule.clone() {
            Some(rule) => Some(creation_rule(rule, notes)?),
            None => None,
        },
        omit_extensions: raw.omit_extensions,
        destination: destination(raw, place)?,
    })
}

fn destination(raw: RawDestination, place: Location) -> Result<Option<Destination>> {
    let kv_version = match &raw.vault_kv_version {
        None => 2,
        Some(version) => match version.value {
            0 | 2 => 2,
            1 => 1,
            _ => return Err(at(version.referenced, "vault_kv_version must be 1 or 2")),
        },
    };
    let named = [&raw.s3_bucket, &raw.gcs_bucket, &raw.vault_path];
    if named.iter().filter(|name| !name.is_empty()).count() > 1 {
        return Err(at(
            place,
            "a destination rule with more than one of s3_bucket, gcs_bucket, vault_path",
        ));
    }
    Ok(if !raw.s3_bucket.is_empty() {
        Some(Destination::S3 {
            bucket: raw.s3_bucket,
            prefix: raw.s3_prefix,
        })
    } else if !raw.gcs_bucket.is_empty() {
        Some(Destination::Gcs {
            bucket: raw.gcs_bucket,
            prefix: raw.gcs_prefix,
        })
    } else if !raw.vault_path.is_empty() {
        let mount = raw.vault_kv_mount_name;
        Some(Destination::Vault {
            address: raw.vault_address,
            path: raw.vault_path,
            kv_mount_name: if mount.is_empty() {
                "secret/".to_owned()
            } else {
                mount
            },
            kv_version,
        })
    } else {
        None
    })
}
