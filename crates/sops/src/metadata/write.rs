//! Writing the block as sops 3.13 does: names in alphabetical order, empty lists left out, except that a key
//! group always has `age` and `hc_vault`.

use document::Value;

use crate::master_key::MasterKey;
use crate::metadata::{EntryKey, GroupForm, KeyEntry, KeyGroup, Metadata};

type Entries = Vec<(String, Value)>;

impl Metadata {
    /// The nested block; for dotenv and INI flatten it with [`crate::flatten`].
    pub fn to_value(&self) -> Value {
        let mut block = self.extra.clone();
        match self.groups.as_slice() {
            [group] if self.form == GroupForm::Single => block.extend(lists(group)),
            groups => {
                // An ignored field of that name may have stood beside the lists of a single group.
                block.retain(|(name, _)| name != "key_groups");
                block.push((
                    "key_groups".to_owned(),
                    Value::List(groups.iter().map(group_value).collect()),
                ));
            }
        }
        if let Some(threshold) = self.shamir_threshold {
            block.push(("shamir_threshold".to_owned(), Value::Int(threshold.into())));
        }
        if self.mac_only_encrypted {
            block.push(("mac_only_encrypted".to_owned(), Value::Bool(true)));
        }
        text(&mut block, "lastmodified", &self.lastmodified);
        text(&mut block, "version", &self.version);
        let optional = [
            ("mac", &self.mac),
            ("integrity", &self.integrity),
            ("layout", &self.layout),
        ];
        for (name, value) in optional.into_iter().chain(self.rules.named()) {
            if let Some(value) = value {
                text(&mut block, name, value);
            }
        }
        sorted(block)
    }
}

/// The lists of a group, one per kind that it has.
fn lists(group: &KeyGroup) -> Entries {
    let mut lists: Vec<(String, Vec<Value>)> = Vec::new();
    for entry in group {
        let kind = entry.kind();
        match lists.iter_mut().find(|(name, _)| name == kind) {
            Some((_, entries)) => entries.push(entry_value(entry)),
            None => lists.push((kind.to_owned(), vec![entry_value(entry)])),
        }
    }
    lists
        .into_iter()
        .map(|(kind, entries)| (kind, Value::List(entries)))
        .collect()
}

fn group_value(group: &KeyGroup) -> Value {
    let mut lists = lists(group);
    for always in ["age", "hc_vault"] {
        if lists.iter().all(|(kind, _)| kind != always) {
            lists.push((always.to_owned(), Value::List(Vec::new())));
        }
    }
    sorted(lists)
}

fn entry_value(entry: &KeyEntry) -> Value {
    let mut fields = entry.extra.clone();
    if let EntryKey::Known(key) = &entry.key {
        key_fields(key, &mut fields);
    }
    if let Some(created_at) = &entry.created_at {
        text(&mut fields, "created_at", created_at);
    }
    text(&mut fields, "enc", &entry.enc);
    sorted(fields)
}

fn key_fields(key: &MasterKey, fields: &mut Entries) {
    match key {
        MasterKey::Age { recipient } => text(fields, "recipient", recipient),
        MasterKey::Pgp { fingerprint } => text(fields, "fp", fingerprint),
        MasterKey::AwsKms {
            arn,
            role,
            context,
            aws_profile,
        } => {
            text(fields, "arn", arn);
            text(fields, "aws_profile", aws_profile);
            if let Some(role) = role {
                text(fields, "role", role);
            }
            if !context.is_empty() {
                let context = context
                    .iter()
                    .map(|(name, value)| (name.clone(), Value::Str(value.clone())));
                fields.push(("context".to_owned(), Value::Map(context.collect())));
            }
        }
        MasterKey::GcpKms { resource_id } => text(fields, "resource_id", resource_id),
        MasterKey::HuaweiKms { key_id } => text(fields, "key_id", key_id),
        MasterKey::AzureKeyVault {
            vault_url,
            name,
            version,
        } => {
            text(fields, "vault_url", vault_url);
            text(fields, "name", name);
            text(fields, "version", version);
        }
        MasterKey::VaultTransit {
            vault_address,
            engine_path,
            key_name,
        } => {
            text(fields, "vault_address", vault_address);
            text(fields, "engine_path", engine_path);
            text(fields, "key_name", key_name);
        }
    }
}

fn text(entries: &mut Entries, name: &str, value: &str) {
    entries.push((name.to_owned(), Value::Str(value.to_owned())));
}

fn sorted(mut entries: Entries) -> Value {
    entries.sort_by(|(one, _), (other, _)| one.cmp(other));
    Value::Map(entries)
}
