//! What a vault says when it does not do it, and whose move is next.
//!
//! ```text
//! {"error": {"code": "Forbidden", "message": ..., "innererror": {"code": "ForbiddenByRbac"}}}
//! ```
//! (<https://learn.microsoft.com/en-us/azure/key-vault/general/rest-error-codes>). Only the codes are used: messages repeat
//! what was sent.

use serde::Deserialize;

use super::Operation;
use crate::provider::ProviderError;
use crate::rest::{Reply, word};

#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    error: Code,
}

#[derive(Default, Deserialize)]
struct Code {
    #[serde(default)]
    code: String,
    innererror: Option<Box<Code>>,
}

/// The failure that `reply` tells of.
pub(super) fn of(reply: &Reply, operation: Operation) -> ProviderError {
    let Refusal { error } = reply.parse().unwrap_or_default();
    let inner = error.innererror.as_ref().map(|inner| inner.code.as_str());
    let host = &reply.host;
    let permission = match operation {
        Operation::Get => "get",
        Operation::Encrypt => "encrypt",
        Operation::Decrypt => "decrypt",
    };
    let text = match (reply.status.as_u16(), error.code.as_str(), inner) {
        (401, ..) => {
            format!("{host} does not take the token: it is expired, or of another tenant than the vault's")
        }
        (403, _, Some("KeyDisabled")) => {
            "the key is disabled, or its time is over or has not begun".to_owned()
        }
        (403, _, Some("ForbiddenByFirewall" | "ForbiddenByConnection")) => {
            format!("{host} does not let this address in: its firewall or private endpoint keeps it out")
        }
        (403, ..) => format!(
            "{host} denied it: the credential needs the key permission {permission} (as in Key Vault Crypto User)"
        ),
        (404, ..) => format!("{host} has no such key, or not this version of it"),
        (400, ..) if operation == Operation::Decrypt => {
            let text = format!("{host} finds that it was not wrapped with this key, or was changed");
            return ProviderError::Damaged(text);
        }
        (status, code, _) => format!("{host} refused it: {} (status {status})", word(code)),
    };
    ProviderError::NotUsable(text)
}
