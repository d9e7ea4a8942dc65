//! Reading the block: tolerant of order, of null and missing lists, and of types, since dotenv and INI have
//! only texts and older tools wrote numbers and booleans as such.

use document::{Timestamp, Value};

use crate::master_key::MasterKey;
use crate::metadata::{EntryKey, GroupForm, KeyEntry, KeyGroup, Metadata, MetadataError};
use crate::rules::Rules;

/// Deepest nesting of an unknown field.
const MOST_LEVELS: usize = 32;

/// The kinds in the order in which sops puts the keys of a group.
pub(super) const KINDS: [&str; 7] = ["kms", "gcp_kms", "hckms", "azure_kv", "hc_vault", "pgp", "age"];

impl Metadata {
    /// Reads a nested block; a flat one goes through [`crate::unflatten`] first.
    ///
    /// # Errors
    /// The first thing that is wrong, with the name of its field.
    pub fn from_value(block: &Value) -> Result<Self, MetadataError> {
        let mut fields = Fields::of("sops".to_owned(), block)?;
        let (groups, form) = groups(&mut fields)?;
        let rules = Rules {
            unencrypted_suffix: fields.set_text("unencrypted_suffix")?,
            encrypted_suffix: fields.set_text("encrypted_suffix")?,
            unencrypted_regex: fields.set_text("unencrypted_regex")?,
            encrypted_regex: fields.set_text("encrypted_regex")?,
            unencrypted_comment_regex: fields.set_text("unencrypted_comment_regex")?,
            encrypted_comment_regex: fields.set_text("encrypted_comment_regex")?,
        };
        let set: Vec<_> = rules
            .named()
            .into_iter()
            .filter(|(_, rule)| rule.is_some())
            .collect();
        if let [(one, _), (other, _), ..] = set.as_slice() {
            return Err(MetadataError::TwoRules(one, other));
        }
        let metadata = Self {
            groups,
            form,
            shamir_threshold: threshold(&mut fields)?,
            lastmodified: fields.time("lastmodified")?,
            mac: fields.set_text("mac")?,
            mac_only_encrypted: fields.boolean("mac_only_encrypted")?,
            rules,
            version: fields.text("version")?.unwrap_or_default(),
            integrity: fields.set_text("integrity")?,
            layout: fields.set_text("layout")?,
            extra: fields.rest()?,
        };
        Ok(metadata)
    }
}

/// The groups, by sops' precedence: lists at the top of the block, if any of them has a key, else
/// `key_groups`. What is not read stays behind as an unknown field.
fn groups(fields: &mut Fields<'_>) -> Result<(Vec<KeyGroup>, GroupForm), MetadataError> {
    let single = known_keys(fields)?;
    if single.is_empty() {
        let grouped = fields.list("key_groups")?;
        if !grouped.is_empty() {
            let group =
                |(at, group): (usize, &Value)| key_group(Fields::of(fields.item("key_groups", at), group)?);
            let groups = grouped.iter().enumerate().map(group).collect::<Result<_, _>>()?;
            return Ok((groups, GroupForm::Groups));
        }
    }
    let mut group = single;
    let (keys, others) = fields
        .left
        .drain(..)
        .partition::<Vec<_>, _>(|(_, value)| looks_like_keys(value));
    fields.left = others;
    for (name, entries) in keys {
        group.extend(unknown_keys(fields, name, entries)?);
    }
    if group.is_empty() {
        Err(MetadataError::NoKeys)
    } else {
        Ok((vec![group], GroupForm::Single))
    }
}

/// Whether an unknown field can only be the list of a kind of key: maps, each with a wrapped data key.
fn looks_like_keys(value: &Value) -> bool {
    let is_key = |item: &Value| matches!(item.get("enc"), Some(Value::Str(_)));
    matches!(value, Value::List(items) if !items.is_empty() && items.iter().all(is_key))
}

/// One entry of `key_groups`: every list in it is a kind of key.
fn key_group(mut fields: Fields<'_>) -> Result<KeyGroup, MetadataError> {
    let mut group = known_keys(&mut fields)?;
    for (name, entries) in std::mem::take(&mut fields.left) {
        group.extend(unknown_keys(&fields, name, entries)?);
    }
    Ok(group)
}

fn known_keys(fields: &mut Fields<'_>) -> Result<KeyGroup, MetadataError> {
    let mut group = KeyGroup::new();
    for kind in KINDS {
        for (at, entry) in fields.list(kind)?.iter().enumerate() {
            group.push(known_key(kind, Fields::of(fields.item(kind, at), entry)?)?);
        }
    }
    Ok(group)
}

fn known_key(kind: &str, mut fields: Fields<'_>) -> Result<KeyEntry, MetadataError> {
    let key = match kind {
        "kms" => MasterKey::AwsKms {
            arn: fields.required("arn")?,
            role: fields.set_text("role")?,
            context: fields.texts("context")?,
            aws_profile: fields.text("aws_profile")?.unwrap_or_default(),
        },
        "gcp_kms" => MasterKey::GcpKms {
            resource_id: fields.required("resource_id")?,
        },
        "hckms" => MasterKey::HuaweiKms {
            key_id: fields.required("key_id")?,
        },
        "azure_kv" => MasterKey::AzureKeyVault {
            vault_url: fields.required("vault_url")?,
            name: fields.required("name")?,
            version: fields.text("version")?.unwrap_or_default(),
        },
        "hc_vault" => MasterKey::VaultTransit {
            vault_address: fields.required("vault_address")?,
            engine_path: fields.required("engine_path")?,
            key_name: fields.required("key_name")?,
        },
        "pgp" => MasterKey::Pgp {
            fingerprint: fields.required("fp")?.replace(' ', ""),
        },
        _ => MasterKey::Age {
            recipient: fields.required("recipient")?,
        },
    };
    let created_at = match key {
        MasterKey::Age { .. } => None,
        _ => Some(fields.time("created_at")?),
    };
    let enc = fields.text("enc")?.unwrap_or_default();
    Ok(KeyEntry {
        key: EntryKey::Known(key),
        created_at,
        enc,
        extra: fields.rest()?,
    })
}

fn unknown_keys(parent: &Fields<'_>, kind: &str, entries: &Value) -> Result<KeyGroup, MetadataError> {
    parent.unreserved(kind)?;
    let entries = match entries {
        Value::Null => &[][..],
        Value::List(entries) => entries,
        _ => return Err(parent.shape(kind, "a list")),
    };
    let entry = |(at, entry): (usize, &Value)| {
        let mut fields = Fields::of(parent.item(kind, at), entry)?;
        let enc = fields.text("enc")?.unwrap_or_default();
        let created_at = fields.text("created_at")?;
        Ok(KeyEntry {
            key: EntryKey::Unknown(kind.to_owned()),
            created_at,
            enc,
            extra: fields.rest()?,
        })
    };
    entries.iter().enumerate().map(entry).collect()
}

fn threshold(fields: &mut Fields<'_>) -> Result<Option<u8>, MetadataError> {
    let number = match fields.take("shamir_threshold") {
        None => Some(0),
        Some(Value::Int(number)) => u8::try_from(*number).ok(),
        Some(Value::Str(text)) if text.is_empty() => Some(0),
        Some(Value::Str(text)) => text.parse().ok(),
        Some(_) => None,
    };
    match number {
        Some(0) => Ok(None),
        Some(number) => Ok(Some(number)),
        None => Err(fields.shape("shamir_threshold", "a number from 2 to 255")),
    }
}

/// The fields of one map that have not been read yet, and where the map stands.
struct Fields<'a> {
    at: String,
    left: Vec<&'a (String, Value)>,
}

impl<'a> Fields<'a> {
    fn of(at: String, value: &'a Value) -> Result<Self, MetadataError> {
        let Value::Map(entries) = value else {
            return Err(MetadataError::Shape { at, wanted: "a map" });
        };
        let mut names: Vec<&str> = entries.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(MetadataError::Twice(format!("{at}.{}", twice[0])));
        }
        Ok(Self {
            at,
            left: entries.iter().collect(),
        })
    }

    fn field(&self, name: &str) -> String {
        format!("{}.{name}", self.at)
    }

    fn item(&self, name: &str, at: usize) -> String {
        format!("{}.{name}[{at}]", self.at)
    }

    fn shape(&self, name: &str, wanted: &'static str) -> MetadataError {
        MetadataError::Shape {
            at: self.field(name),
            wanted,
        }
    }

    /// The value of a field, which counts as read from now on; null counts as absent.
    fn take(&mut self, name: &str) -> Option<&'a Value> {
        let at = self.left.iter().position(|(known, _)| known == name)?;
        Some(&self.left.remove(at).1).filter(|value| **value != Value::Null)
    }

    fn text(&mut self, name: &str) -> Result<Option<String>, MetadataError> {
        self.take(name)
            .map_or(Ok(None), |value| self.text_of(name, value))
    }

    fn text_of(&self, name: &str, value: &Value) -> Result<Option<String>, MetadataError> {
        match value {
            Value::Null => Ok(None),
            Value::Str(text) => Ok(Some(text.clone())),
            Value::Int(number) => Ok(Some(number.to_string())),
            Value::Bool(value) => Ok(Some(value.to_string())),
            _ => Err(self.shape(name, "a text")),
        }
    }

    /// A text of which an empty one is none.
    fn set_text(&mut self, name: &str) -> Result<Option<String>, MetadataError> {
        Ok(self.text(name)?.filter(|text| !text.is_empty()))
    }

    fn required(&mut self, name: &str) -> Result<String, MetadataError> {
        self.set_text(name)?
            .ok_or_else(|| MetadataError::Missing(self.field(name)))
    }

    fn time(&mut self, name: &str) -> Result<String, MetadataError> {
        let text = self.required(name)?;
        match Timestamp::parse_rfc3339_leniently(&text) {
            Some(_) => Ok(text),
            None => Err(self.shape(name, "a time like 2006-01-02T15:04:05Z")),
        }
    }

    fn boolean(&mut self, name: &str) -> Result<bool, MetadataError> {
        match self.take(name) {
            None => Ok(false),
            Some(Value::Bool(value)) => Ok(*value),
            Some(Value::Int(number)) => Ok(*number != 0),
            Some(Value::Str(text)) => match text.as_str() {
                "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
                "" | "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
                _ => Err(self.shape(name, "true or false")),
            },
            Some(_) => Err(self.shape(name, "true or false")),
        }
    }

    fn list(&mut self, name: &str) -> Result<&'a [Value], MetadataError> {
        match self.take(name) {
            None => Ok(&[]),
            Some(Value::List(items)) => Ok(items),
            Some(_) => Err(self.shape(name, "a list")),
        }
    }

    /// A map of texts, sorted by name.
    fn texts(&mut self, name: &str) -> Result<Vec<(String, String)>, MetadataError> {
        let Some(value) = self.take(name) else {
            return Ok(Vec::new());
        };
        let fields = Fields::of(self.field(name), value)?;
        let named = |(name, value): &&(String, Value)| {
            let text = fields.text_of(name, value)?.unwrap_or_default();
            Ok((name.clone(), text))
        };
        let mut texts = fields.left.iter().map(named).collect::<Result<Vec<_>, _>>()?;
        texts.sort();
        Ok(texts)
    }

    /// What has not been read, verbatim; nulls included.
    fn rest(self) -> Result<Vec<(String, Value)>, MetadataError> {
        for (name, value) in &self.left {
            self.unreserved(name)?;
            check(&self.field(name), value, MOST_LEVELS)?;
        }
        Ok(self.left.into_iter().cloned().collect())
    }

    /// Flattened, an unknown name must not read as a path to something else.
    fn unreserved(&self, name: &str) -> Result<(), MetadataError> {
        if name.contains("__map_") || name.contains("__list_") {
            return Err(MetadataError::ReservedName(self.field(name)));
        }
        Ok(())
    }
}

/// Refuses, inside an unknown field, what cannot be flattened safely.
fn check(at: &str, value: &Value, levels: usize) -> Result<(), MetadataError> {
    if levels == 0 {
        return Err(MetadataError::TooDeep(at.to_owned()));
    }
    match value {
        Value::List(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(index, item)| check(&format!("{at}[{index}]"), item, levels - 1)),
        Value::Map(_) => {
            let fields = Fields::of(at.to_owned(), value)?;
            fields.left.iter().try_for_each(|(name, value)| {
                fields.unreserved(name)?;
                check(&fields.field(name), value, levels - 1)
            })
        }
        _ => Ok(()),
    }
}
