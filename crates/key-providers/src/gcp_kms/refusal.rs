//! What Cloud KMS says when it does not do it, and whose move is next.
//!
//! ```text
//! {"error": {"code": 403, "message": ..., "status": "PERMISSION_DENIED",
//!            "details": [{"@type": ".../google.rpc.ErrorInfo", "reason": "IAM_PERMISSION_DENIED", ...}]}}
//! ```
//! (<https://cloud.google.com/apis/design/errors>). Only the codes are used: messages repeat what was sent.

use serde::Deserialize;

use super::Operation;
use crate::provider::ProviderError;
use crate::rest::{Reply, word};

#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    error: Status,
}

#[derive(Default, Deserialize)]
struct Status {
    #[serde(default)]
    status: String,
    #[serde(default)]
    details: Vec<Detail>,
}

#[derive(Deserialize)]
struct Detail {
    #[serde(default)]
    reason: String,
}

/// The failure that `reply` tells of. `key` is the name of the key.
pub(super) fn of(reply: &Reply, key: &str, operation: Operation) -> ProviderError {
    let refusal: Refusal = reply.parse().unwrap_or_default();
    let reasons = refusal.error.details.iter().map(|detail| detail.reason.as_str());
    let reason = reasons
        .into_iter()
        .find(|reason| !reason.is_empty())
        .unwrap_or_default();
    let host = &reply.host;
    let project = key.split('/').nth(1).unwrap_or_default();
    let (permission, role) = match operation {
        Operation::Encrypt => (
            "cloudkms.cryptoKeyVersions.useToEncrypt",
            "roles/cloudkms.cryptoKeyEncrypter",
        ),
        Operation::Decrypt => (
            "cloudkms.cryptoKeyVersions.useToDecrypt",
            "roles/cloudkms.cryptoKeyDecrypter",
        ),
    };
    let text = match (reply.status.as_u16(), refusal.error.status.as_str(), reason) {
        (401, ..) => format!("{host} does not take the credential: it is wrong, expired or revoked"),
        (403, _, "SERVICE_DISABLED") => {
            format!("the Cloud KMS API is not enabled in the project of the credential or in {project}")
        }
        (403, _, "BILLING_DISABLED") => format!("the project {project} has no billing account"),
        (403, _, "ACCESS_TOKEN_SCOPE_INSUFFICIENT") => {
            "the token has neither the scope cloud-platform nor cloudkms".to_owned()
        }
        (403, _, "CONSUMER_INVALID" | "USER_PROJECT_DENIED") => {
            format!(
                "{host} does not know the project, or the credential may not use it (serviceusage.services.use)"
            )
        }
        (403, ..) => format!(
            "{host} denied it: the credential needs the permission {permission} on the key ({role}), or the key is not there"
        ),
        (404, ..) => format!("{host} has no such key: project, location, key ring or name is another one"),
        (400, "FAILED_PRECONDITION", _) => {
            "the key, or the version that is needed, is disabled or destroyed".to_owned()
        }
        (400, "INVALID_ARGUMENT", _) if operation == Operation::Decrypt => {
            let text = format!("{host} finds that it was not wrapped with this key, or was changed");
            return ProviderError::Damaged(text);
        }
        (400, "INVALID_ARGUMENT", _) => {
            format!("{host} refused it: the key is not one for symmetric encryption")
        }
        (status, code, _) => format!("{host} refused it: {} (status {status})", word(code)),
    };
    ProviderError::NotUsable(text)
}
