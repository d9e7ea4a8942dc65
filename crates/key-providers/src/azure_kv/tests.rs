//! Names and versions. What the service answers, and every kind of credential, are tried with the whole program.

use super::*;

fn key(vault_url: &str, name: &str, version: &str) -> MasterKey {
    MasterKey::AzureKeyVault {
        vault_url: vault_url.to_owned(),
        name: name.to_owned(),
        version: version.to_owned(),
    }
}

/// NW-13
#[test]
fn a_key_cannot_be_another_path() {
    let place = Place::of(&key("https://team.vault.azure.net", "app-1", "0a")).expect("a place");
    let url = |operation| place.address(operation).expect("an address").to_string();
    let base = "https://team.vault.azure.net/keys/app-1";
    assert_eq!(url(Operation::Get), format!("{base}?api-version=7.4"));
    assert_eq!(
        url(Operation::Encrypt),
        format!("{base}/0a/encrypt?api-version=7.4")
    );
    assert_eq!(
        url(Operation::Decrypt),
        format!("{base}/0a/decrypt?api-version=7.4")
    );
    for (vault, name, version) in [
        ("http://team.vault.azure.net", "app", ""),
        ("https://u:p@team.vault.azure.net", "app", ""),
        ("https://team.vault.azure.net/x", "app", ""),
        ("https://team.vault.azure.net?x", "app", ""),
        ("team", "app", ""),
        ("https://team.vault.azure.net", "", ""),
        ("https://team.vault.azure.net", "..", ""),
        ("https://team.vault.azure.net", "a/b", ""),
        ("https://team.vault.azure.net", "a?b", ""),
        ("https://team.vault.azure.net", "app", "%2e"),
        ("https://team.vault.azure.net", "app", "0a/x"),
    ] {
        let place = Place::of(&key(vault, name, version));
        assert!(
            matches!(place, Err(ProviderError::InvalidKey(_))),
            "{vault} {name} {version}"
        );
    }
}

#[tokio::test]
async fn only_what_has_no_version_is_pinned_and_nothing_else_is_used() {
    let provider = AzureKeyVault::new(AzureSources::default(), Network::default());
    let pinned = key("https://team.vault.azure.net", "app", "0a");
    let open = key("https://team.vault.azure.net", "app", "");
    assert!(provider.pin(&pinned).is_none());
    assert!(provider.pin(&open).is_some());
    assert!(matches!(
        provider.wrap(&open, b"x").await,
        Err(ProviderError::InvalidKey(_))
    ));
    assert!(matches!(
        provider.unwrap(&open, "eA").await,
        Err(ProviderError::InvalidKey(_))
    ));
    assert!(matches!(
        provider.unwrap(&pinned, "e+").await,
        Err(ProviderError::Damaged(_))
    ));
}
