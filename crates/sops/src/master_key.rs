//! The kinds of key that wrap a data key, named exactly as SOPS files and rules name them. Public facts only.
//!
//! Rules and flags name keys by text; [`MasterKey::parse`] reads what SOPS reads and refuses what it would
//! refuse at some later point. Whether an age recipient or a fingerprint is one, its provider knows.

use std::collections::BTreeMap;
use std::fmt;

/// One wrapping key. The set is closed by the file format; a kind that only a newer tool knows is kept
/// verbatim in [`crate::Metadata`] and never reaches this type.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MasterKey {
    /// `age`: X25519 (`age1...`), plugin, post-quantum and SSH recipients.
    Age {
        /// The recipient as written.
        recipient: String,
    },
    /// `pgp`
    Pgp {
        /// The fingerprint without blanks.
        fingerprint: String,
    },
    /// `kms`: AWS KMS.
    AwsKms {
        /// Key or alias ARN.
        arn: String,
        /// Role to assume, if any.
        role: Option<String>,
        /// Encryption context, in order of names.
        context: Vec<(String, String)>,
        /// Profile of the AWS configuration; empty for none.
        aws_profile: String,
    },
    /// `gcp_kms`
    GcpKms {
        /// `projects/.../cryptoKeys/...`
        resource_id: String,
    },
    /// `hckms`: HuaweiCloud KMS.
    HuaweiKms {
        /// `region:uuid`
        key_id: String,
    },
    /// `azure_kv`
    AzureKeyVault {
        /// Scheme and host of the vault.
        vault_url: String,
        /// Key name.
        name: String,
        /// Key version; empty until pinned.
        version: String,
    },
    /// `hc_vault`: Vault or OpenBao transit.
    VaultTransit {
        /// Scheme, host and port.
        vault_address: String,
        /// Mount of the engine; may hold slashes.
        engine_path: String,
        /// Key name.
        key_name: String,
    },
}

/// The seven kinds of [`MasterKey`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// `age`
    Age,
    /// `pgp`
    Pgp,
    /// `kms`
    AwsKms,
    /// `gcp_kms`
    GcpKms,
    /// `hckms`
    HuaweiKms,
    /// `azure_kv`
    AzureKeyVault,
    /// `hc_vault`
    VaultTransit,
}

/// Why a text names no key. Does not hold the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bad {} key: expected {expected}", kind.name())]
pub struct KeyError {
    /// The kind that was to be read.
    pub kind: KeyKind,
    /// The shape it must have.
    pub expected: &'static str,
}

impl KeyKind {
    /// All kinds, in the order in which a rule's keys stand in its group.
    pub const ALL: [Self; 7] = [
        Self::Age,
        Self::Pgp,
        Self::AwsKms,
        Self::GcpKms,
        Self::HuaweiKms,
        Self::AzureKeyVault,
        Self::VaultTransit,
    ];

    /// The name of its list in the metadata block.
    pub fn name(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::Pgp => "pgp",
            Self::AwsKms => "kms",
            Self::GcpKms => "gcp_kms",
            Self::HuaweiKms => "hckms",
            Self::AzureKeyVault => "azure_kv",
            Self::VaultTransit => "hc_vault",
        }
    }

    fn shape(self) -> &'static str {
        match self {
            Self::Age => "an age recipient",
            Self::Pgp => "a fingerprint",
            Self::AwsKms => "arn:aws:kms:REGION:ACCOUNT:key/ID or .../alias/NAME, then +ROLE-ARN if any",
            Self::GcpKms => "projects/P/locations/L/keyRings/R/cryptoKeys/K",
            Self::HuaweiKms => "REGION:UUID",
            Self::AzureKeyVault => "https://VAULT/keys/NAME[/VERSION]",
            Self::VaultTransit => "SCHEME://HOST[:PORT]/v1/ENGINE/keys/NAME",
        }
    }
}

impl MasterKey {
    /// The name of its list in the metadata block.
    pub fn kind(&self) -> &'static str {
        self.key_kind().name()
    }

    /// Its kind.
    pub fn key_kind(&self) -> KeyKind {
        match self {
            Self::Age { .. } => KeyKind::Age,
            Self::Pgp { .. } => KeyKind::Pgp,
            Self::AwsKms { .. } => KeyKind::AwsKms,
            Self::GcpKms { .. } => KeyKind::GcpKms,
            Self::HuaweiKms { .. } => KeyKind::HuaweiKms,
            Self::AzureKeyVault { .. } => KeyKind::AzureKeyVault,
            Self::VaultTransit { .. } => KeyKind::VaultTransit,
        }
    }

    /// Whether `self`, as a rule or a flag has it, names `key`, as a file has it: the same one, or any version of it if no
    /// version was asked for.
    pub fn names(&self, key: &Self) -> bool {
        match (self, key) {
            (
                Self::AzureKeyVault {
                    vault_url,
                    name,
                    version,
                },
                Self::AzureKeyVault {
                    vault_url: url,
                    name: other,
                    ..
                },
            ) if version.is_empty() => (vault_url, name) == (url, other),
            _ => self == key,
        }
    }

    /// Reads one key from the text that flags, environment and rules use for its kind. Blanks around it do
    /// not count, nor those inside a fingerprint, an ARN or a resource name.
    pub fn parse(kind: KeyKind, text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        let key = match kind {
            KeyKind::Age => (!text.is_empty()).then(|| Self::Age {
                recipient: text.to_owned(),
            }),
            KeyKind::Pgp => without_blanks(text).map(|fingerprint| Self::Pgp { fingerprint }),
            KeyKind::GcpKms => without_blanks(text).map(|resource_id| Self::GcpKms { resource_id }),
            KeyKind::AwsKms => aws_kms(text),
            KeyKind::HuaweiKms => huawei_kms(text),
            KeyKind::AzureKeyVault => azure_key_vault(text),
            KeyKind::VaultTransit => vault_transit(text),
        };
        key.ok_or(KeyError {
            kind,
            expected: kind.shape(),
        })
    }

    /// Reads a comma-separated list, as flags and environment variables have it; empty parts are skipped.
    pub fn parse_list(kind: KeyKind, text: &str) -> Result<Vec<Self>, KeyError> {
        text.split(',')
            .filter(|part| !part.trim().is_empty())
            .map(|part| Self::parse(kind, part))
            .collect()
    }

    /// Reads the value of `--encryption-context`: comma-separated `name:value` pairs, sorted by name here.
    /// Of pairs with the same name the last one counts.
    pub fn parse_context(text: &str) -> Result<Vec<(String, String)>, KeyError> {
        let bad = KeyError {
            kind: KeyKind::AwsKms,
            expected: "an encryption context of name:value pairs",
        };
        let mut context = BTreeMap::new();
        for pair in text.split(',').filter(|_| !text.is_empty()) {
            let (name, value) = pair.split_once(':').ok_or_else(|| bad.clone())?;
            if value.contains(':') {
                return Err(bad);
            }
            context.insert(name.to_owned(), value.to_owned());
        }
        Ok(context.into_iter().collect())
    }

    /// Sets the role that an AWS key is used through, if `role` names one. Other kinds are returned as they are.
    pub fn with_role(self, role: &str) -> Self {
        match self {
            Self::AwsKms {
                arn,
                context,
                aws_profile,
                ..
            } if !role.is_empty() => Self::AwsKms {
                arn,
                role: Some(role.to_owned()),
                context,
                aws_profile,
            },
            other => other,
        }
    }

    /// Adds what AWS keys named by a plain list share. Other kinds are returned as they are.
    pub fn with_aws(self, context: &[(String, String)], aws_profile: &str) -> Self {
        match self {
            Self::AwsKms { arn, role, .. } => Self::AwsKms {
                arn,
                role,
                context: context.to_vec(),
                aws_profile: aws_profile.to_owned(),
            },
            other => other,
        }
    }
}

impl fmt::Display for MasterKey {
    /// The text by which a person names the key, as SOPS prints it and tells keys apart.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Age { recipient } => f.write_str(recipient),
            Self::Pgp { fingerprint } => f.write_str(fingerprint),
            Self::AwsKms {
                arn,
                role,
                context,
                aws_profile,
            } => {
                f.write_str(arn)?;
                if let Some(role) = role {
                    write!(f, "+{role}")?;
                }
                if !context.is_empty() || !aws_profile.is_empty() {
                    f.write_str("|")?;
                }
                for (i, (name, value)) in context.iter().enumerate() {
                    write!(f, "{}{name}:{value}", if i > 0 { "," } else { "" })?;
                }
                if !aws_profile.is_empty() {
                    write!(f, "|{aws_profile}")?;
                }
                Ok(())
            }
            Self::GcpKms { resource_id } => f.write_str(resource_id),
            Self::HuaweiKms { key_id } => f.write_str(key_id),
            Self::AzureKeyVault {
                vault_url,
                name,
                version,
            } => write!(f, "{vault_url}/keys/{name}/{version}"),
            Self::VaultTransit {
                vault_address,
                engine_path,
                key_name,
            } => {
                write!(f, "{vault_address}/v1/{engine_path}/keys/{key_name}")
            }
        }
    }
}

fn without_blanks(text: &str) -> Option<String> {
    let text: String = text.chars().filter(|c| *c != ' ').collect();
    (!text.is_empty()).then_some(text)
}

/// `ARN[+ROLE_ARN]`. The region is all that is later taken from the ARN, so its shape is checked up to there.
fn aws_kms(text: &str) -> Option<MasterKey> {
    let text = without_blanks(text)?;
    let (arn, role) = match text.find("+arn:aws") {
        Some(at) if text[at..].contains(":iam::") => (&text[..at], Some(text[at + 1..].to_owned())),
        _ => (text.as_str(), None),
    };
    is_kms_arn(arn).then(|| MasterKey::AwsKms {
        arn: arn.to_owned(),
        role,
        context: Vec::new(),
        aws_profile: String::new(),
    })
}

/// `arn:aws[-PARTITION]:kms:REGION:ACCOUNT:key/...` or `...:alias/...`.
fn is_kms_arn(arn: &str) -> bool {
    let mut parts = arn.splitn(6, ':');
    let mut next = || parts.next().unwrap_or("");
    let (scheme, partition, service, region, account, resource) =
        (next(), next(), next(), next(), next(), next());
    let partition = partition.strip_prefix("aws").unwrap_or("!");
    scheme == "arn"
        && partition
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        && service == "kms"
        && !region.is_empty()
        && !account.is_empty()
        && account.bytes().all(|b| b.is_ascii_digit())
        && resource
            .strip_prefix("key/")
            .or_else(|| resource.strip_prefix("alias/"))
            .is_some_and(|r| !r.is_empty())
}

fn huawei_kms(text: &str) -> Option<MasterKey> {
    let text = without_blanks(text)?;
    let (region, id) = text.split_once(':')?;
    (!region.is_empty() && !id.is_empty()).then(|| MasterKey::HuaweiKms { key_id: text.clone() })
}

fn azure_key_vault(text: &str) -> Option<MasterKey> {
    let rest = text.strip_prefix("https://")?;
    let (host, path) = rest.split_once('/')?;
    let (name, version) = match path.strip_prefix("keys/")?.split_once('/') {
        Some((name, version)) => (name, version),
        None => (&path["keys/".len()..], ""),
    };
    let whole = !host.is_empty() && !name.is_empty() && !version.contains('/');
    whole.then(|| MasterKey::AzureKeyVault {
        vault_url: format!("https://{host}"),
        name: name.to_owned(),
        version: version.to_owned(),
    })
}

/// The path is `vN`, the engine (which may have slashes), one part that SOPS takes for `keys`, the name.
fn vault_transit(text: &str) -> Option<MasterKey> {
    let (scheme, rest) = text.split_once("://")?;
    let (host, path) = rest.split_once('/')?;
    if scheme.is_empty() || host.is_empty() || path.contains(['?', '#']) {
        return None;
    }
    let (api, path) = path.trim_matches('/').split_once('/')?;
    let digits = api.strip_prefix('v')?;
    let (path, key_name) = path.rsplit_once('/')?;
    let (engine_path, _keys) = path.rsplit_once('/')?;
    let whole = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let engine_path = engine_path.trim_matches('/');
    (whole && !engine_path.is_empty() && !key_name.is_empty()).then(|| MasterKey::VaultTransit {
        vault_address: format!("{scheme}://{host}"),
        engine_path: engine_path.to_owned(),
        key_name: key_name.to_owned(),
    })
}

#[cfg(test)]
mod tests;
