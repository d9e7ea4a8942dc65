//! The messages of the key service, as `key_service.proto` beside this file describes them.
//!
//! Messages with a plaintext wipe it when they are dropped and never show it.

use std::collections::BTreeMap;
use std::fmt;

use prost::{Message, Oneof};
use sops::MasterKey;
use zeroize::Zeroize as _;

/// The path of the method that wraps.
pub(super) const ENCRYPT: &str = "/KeyService/Encrypt";
/// The path of the method that unwraps.
pub(super) const DECRYPT: &str = "/KeyService/Decrypt";

/// Asks for `plaintext` to be wrapped.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(super) struct EncryptRequest {
    #[prost(message, optional, tag = "1")]
    pub(super) key: Option<Key>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) plaintext: Vec<u8>,
}

/// The text of an `enc` field.
#[derive(Clone, PartialEq, Message)]
pub(super) struct EncryptResponse {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) ciphertext: Vec<u8>,
}

/// Asks for the text of an `enc` field to be unwrapped.
#[derive(Clone, PartialEq, Message)]
pub(super) struct DecryptRequest {
    #[prost(message, optional, tag = "1")]
    pub(super) key: Option<Key>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) ciphertext: Vec<u8>,
}

/// What was wrapped.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(super) struct DecryptResponse {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) plaintext: Vec<u8>,
}

/// A master key.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Key {
    #[prost(oneof = "KeyType", tags = "1, 2, 3, 4, 5, 6, 7")]
    pub(super) key_type: Option<KeyType>,
}

/// The kinds that the service knows; it has no other.
#[derive(Clone, PartialEq, Oneof)]
pub(super) enum KeyType {
    #[prost(message, tag = "1")]
    Kms(KmsKey),
    #[prost(message, tag = "2")]
    Pgp(PgpKey),
    #[prost(message, tag = "3")]
    GcpKms(GcpKmsKey),
    #[prost(message, tag = "4")]
    AzureKeyVault(AzureKeyVaultKey),
    #[prost(message, tag = "5")]
    Vault(VaultKey),
    #[prost(message, tag = "6")]
    Age(AgeKey),
    #[prost(message, tag = "7")]
    HuaweiKms(HckmsKey),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct KmsKey {
    #[prost(string, tag = "1")]
    pub(super) arn: String,
    #[prost(string, tag = "2")]
    pub(super) role: String,
    #[prost(btree_map = "string, string", tag = "3")]
    pub(super) context: BTreeMap<String, String>,
    #[prost(string, tag = "4")]
    pub(super) aws_profile: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PgpKey {
    #[prost(string, tag = "1")]
    pub(super) fingerprint: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct GcpKmsKey {
    #[prost(string, tag = "1")]
    pub(super) resource_id: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AzureKeyVaultKey {
    #[prost(string, tag = "1")]
    pub(super) vault_url: String,
    #[prost(string, tag = "2")]
    pub(super) name: String,
    #[prost(string, tag = "3")]
    pub(super) version: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct VaultKey {
    #[prost(string, tag = "1")]
    pub(super) vault_address: String,
    #[prost(string, tag = "2")]
    pub(super) engine_path: String,
    #[prost(string, tag = "3")]
    pub(super) key_name: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AgeKey {
    #[prost(string, tag = "1")]
    pub(super) recipient: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct HckmsKey {
    #[prost(string, tag = "1")]
    pub(super) key_id: String,
}

impl Key {
    /// The master key that it names; none if it names none, or one of a kind that came later.
    pub(super) fn into_master_key(self) -> Option<MasterKey> {
        Some(match self.key_type? {
            KeyType::Kms(key) => MasterKey::AwsKms {
                arn: key.arn,
                role: Some(key.role).filter(|role| !role.is_empty()),
                context: key.context.into_iter().collect(),
                aws_profile: key.aws_profile,
            },
            KeyType::Pgp(key) => MasterKey::Pgp {
                fingerprint: key.fingerprint,
            },
            KeyType::GcpKms(key) => MasterKey::GcpKms {
                resource_id: key.resource_id,
            },
            KeyType::AzureKeyVault(key) => MasterKey::AzureKeyVault {
                vault_url: key.vault_url,
                name: key.name,
                version: key.version,
            },
            KeyType::Vault(key) => MasterKey::VaultTransit {
                vault_address: key.vault_address,
                engine_path: key.engine_path,
                key_name: key.key_name,
            },
            KeyType::Age(key) => MasterKey::Age {
                recipient: key.recipient,
            },
            KeyType::HuaweiKms(key) => MasterKey::HuaweiKms { key_id: key.key_id },
        })
    }
}

impl From<&MasterKey> for Key {
    fn from(key: &MasterKey) -> Self {
        let key_type = match key.clone() {
            MasterKey::AwsKms {
                arn,
                role,
                context,
                aws_profile,
            } => KeyType::Kms(KmsKey {
                arn,
                role: role.unwrap_or_default(),
                context: context.into_iter().collect(),
                aws_profile,
            }),
            MasterKey::Pgp { fingerprint } => KeyType::Pgp(PgpKey { fingerprint }),
            MasterKey::GcpKms { resource_id } => KeyType::GcpKms(GcpKmsKey { resource_id }),
            MasterKey::AzureKeyVault {
                vault_url,
                name,
                version,
            } => KeyType::AzureKeyVault(AzureKeyVaultKey {
                vault_url,
                name,
                version,
            }),
            MasterKey::VaultTransit {
                vault_address,
                engine_path,
                key_name,
            } => KeyType::Vault(VaultKey {
                vault_address,
                engine_path,
                key_name,
            }),
            MasterKey::Age { recipient } => KeyType::Age(AgeKey { recipient }),
            MasterKey::HuaweiKms { key_id } => KeyType::HuaweiKms(HckmsKey { key_id }),
        };
        Self {
            key_type: Some(key_type),
        }
    }
}

impl Drop for EncryptRequest {
    fn drop(&mut self) {
        self.plaintext.zeroize();
    }
}

impl Drop for DecryptResponse {
    fn drop(&mut self) {
        self.plaintext.zeroize();
    }
}

impl fmt::Debug for EncryptRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptRequest")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for DecryptResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecryptResponse").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
