//! The challenge of a vault, and whether a token for it may go there.
//!
//! ```text
//! WWW-Authenticate: Bearer authorization="https://login.microsoftonline.com/TENANT", resource="https://vault.azure.net"
//! ```
//! (<https://learn.microsoft.com/en-us/azure/key-vault/general/authentication-requests-and-responses>)

use url::{Host, Url};

use crate::provider::ProviderError;
use crate::rest::Reply;

/// What a token must be for, by the answer to a request without one.
pub(super) fn resource(reply: &Reply, vault: &Url) -> Result<String, ProviderError> {
    let host = &reply.host;
    let header = reply.headers.get("www-authenticate");
    let challenge = header.and_then(|header| header.to_str().ok()).unwrap_or_default();
    if reply.status.as_u16() != 401 || challenge.is_empty() {
        let text = format!("{host} does not ask for a token: it is no Key Vault");
        return Err(ProviderError::NotUsable(text));
    }
    let wanted = parameter(challenge, "resource").or_else(|| parameter(challenge, "scope"));
    let wanted = wanted.map(|wanted| wanted.trim_end_matches("/.default").trim_end_matches('/'));
    match wanted {
        Some(wanted) if covers(wanted, vault) => Ok(wanted.to_owned()),
        _ => Err(ProviderError::NotUsable(format!(
            "{host} asks for a token that is for somebody else: nothing is sent to it"
        ))),
    }
}

/// Whether the vault's host stands under the host of `resource`.
fn covers(resource: &str, vault: &Url) -> bool {
    let Ok(resource) = Url::parse(resource) else {
        return false;
    };
    let (Some(Host::Domain(domain)), Some(Host::Domain(host))) = (resource.host(), vault.host()) else {
        return false;
    };
    // A domain of one word covers too much.
    resource.scheme() == "https"
        && domain.contains('.')
        && host
            .strip_suffix(domain)
            .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
}

/// A parameter of a challenge, which is quoted or not.
fn parameter<'a>(challenge: &'a str, name: &str) -> Option<&'a str> {
    let parameters = challenge.trim().strip_prefix("Bearer")?;
    parameters.split(',').find_map(|parameter| {
        let (found, value) = parameter.trim().split_once('=')?;
        (found.trim() == name).then(|| value.trim().trim_matches('"'))
    })
}

/// What stands behind `resource` in a request of the newer kind.
pub(super) fn scope(resource: &str) -> String {
    format!("{resource}/.default")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may(resource: &str, vault: &str) -> bool {
        covers(resource, &Url::parse(vault).expect("an address"))
    }

    #[test]
    fn a_token_goes_under_its_own_domain_only() {
        assert!(may("https://vault.azure.net", "https://team.vault.azure.net"));
        assert!(may(
            "https://vault.azure.net",
            "https://TEAM.vault.azure.net:8443"
        ));
        assert!(may(
            "https://managedhsm.azure.net",
            "https://x.managedhsm.azure.net"
        ));
        for (resource, vault) in [
            ("https://vault.azure.net", "https://vault.azure.net"),
            ("https://vault.azure.net", "https://evilvault.azure.net"),
            ("https://vault.azure.net", "https://vault.azure.net.example.org"),
            ("https://vault.azure.net", "https://example.org"),
            ("https://net", "https://team.vault.azure.net"),
            ("http://vault.azure.net", "https://team.vault.azure.net"),
            ("https://127.0.0.1", "https://127.0.0.1"),
            ("vault.azure.net", "https://team.vault.azure.net"),
        ] {
            assert!(!may(resource, vault), "{resource} {vault}");
        }
    }

    #[test]
    fn parameters_are_read_with_and_without_quotes() {
        let text = "Bearer authorization=\"https://a/t\", resource=\"https://vault.azure.net\"";
        assert_eq!(parameter(text, "resource"), Some("https://vault.azure.net"));
        assert_eq!(parameter(text, "authorization"), Some("https://a/t"));
        assert_eq!(parameter("Bearer scope=x", "scope"), Some("x"));
        assert_eq!(parameter(text, "scope"), None);
        assert_eq!(parameter("Basic realm=\"x\"", "realm"), None);
    }
}
