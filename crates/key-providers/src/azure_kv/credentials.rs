//! Ways to come to a token of Microsoft Entra ID: an application's secret, a token that stands for it (workload identity),
//! the identity of the machine, the Azure CLI.
//!
//! The form is that of <https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-client-creds-grant-flow>.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use secret::SecretBytes;
use serde::Deserialize;
use url::Url;

use super::challenge::scope;
use super::managed;
use super::sources::AzureSources;
use crate::credential_file;
use crate::process::{Fault, command, find_program, run};
use crate::provider::ProviderError;
use crate::rest::{self, Reply, Request, Rest, Token};

/// Where tokens are unless configured otherwise.
const AUTHORITY: &str = "https://login.microsoftonline.com";
/// How long the Azure CLI may take: it is a Python program that may ask the network.
const PATIENCE: Duration = Duration::from_secs(30);

/// A token for `resource`, from the first source that is there.
pub(super) async fn token(
    sources: &AzureSources,
    rest: &Rest,
    resource: &str,
) -> Result<Token, ProviderError> {
    let not_usable = |text: &str| Err(ProviderError::NotUsable(text.to_owned()));
    if let (Some(tenant), Some(client)) = (&sources.tenant, &sources.client) {
        if let Some(secret) = sources.secret() {
            return bought(sources, rest, tenant, client, ("client_secret", secret), resource).await;
        }
        if sources.certificate.is_some() {
            return not_usable(
                "AZURE_CLIENT_CERTIFICATE_PATH is not supported: give AZURE_CLIENT_SECRET or AZURE_FEDERATED_TOKEN_FILE",
            );
        }
        if let Some(path) = &sources.federated_token {
            let assertion = SecretBytes::copy_from(read(path)?.expose().trim_ascii());
            return bought(
                sources,
                rest,
                tenant,
                client,
                ("client_assertion", assertion),
                resource,
            )
            .await;
        }
    } else if sources.client_secret.is_some() || sources.federated_token.is_some() {
        let text = "AZURE_TENANT_ID or AZURE_CLIENT_ID is missing beside AZURE_CLIENT_SECRET or AZURE_FEDERATED_TOKEN_FILE";
        return not_usable(text);
    }
    if let Some(token) = managed::token(sources, resource).await? {
        return Ok(token);
    }
    match find_program(OsStr::new("az"), sources.search_path.as_deref()) {
        Some(program) => of_cli(&program, sources.tenant.as_deref(), resource).await,
        None => not_usable(
            "there is no credential for Azure: AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET or \
             AZURE_FEDERATED_TOKEN_FILE are not set, this machine has no managed identity, and there is no `az`",
        ),
    }
}

/// Who the first source stands for, without a request.
pub(super) fn who(sources: &AzureSources) -> String {
    let client = sources.client.as_deref();
    match (client, &sources.tenant) {
        (Some(client), Some(tenant)) if sources.client_secret.is_some() => {
            format!("application {client} of tenant {tenant}, by its secret")
        }
        (Some(client), Some(tenant)) if sources.federated_token.is_some() => {
            format!("application {client} of tenant {tenant}, by workload identity")
        }
        (Some(client), _) => format!("managed identity {client}, or whoever is logged in with `az`"),
        (None, _) => "the managed identity of this machine, or whoever is logged in with `az`".to_owned(),
    }
}

/// A token for what an application has to show.
async fn bought(
    sources: &AzureSources,
    rest: &Rest,
    tenant: &str,
    client: &str,
    (kind, shown): (&str, SecretBytes),
    resource: &str,
) -> Result<Token, ProviderError> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    if !tenant.chars().all(fine) {
        return Err(ProviderError::NotUsable(
            "AZURE_TENANT_ID is no tenant".to_owned(),
        ));
    }
    let host = sources.authority.as_deref().unwrap_or(AUTHORITY);
    let host = rest::confidential(host, "AZURE_AUTHORITY_HOST")?;
    let url = host.join(&format!("{tenant}/oauth2/v2.0/token"));
    let url = url.map_err(|_| ProviderError::NotUsable("AZURE_TENANT_ID is no tenant".to_owned()))?;
    let shown = std::str::from_utf8(shown.expose())
        .map_err(|_| ProviderError::NotUsable("the credential for Azure is not UTF-8".to_owned()))?;
    let scope = scope(resource);
    let mut fields = vec![
        ("grant_type", "client_credentials"),
        ("client_id", client),
        ("scope", &scope),
        (kind, shown),
    ];
    if kind == "client_assertion" {
        let jwt = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        fields.push(("client_assertion_type", jwt));
    }
    let reply = rest.ask(&Request::form(url.clone(), &fields)).await?;
    match reply.is_success() {
        true => granted(&reply),
        false => Err(denied(&reply, &url)),
    }
}

/// What a token endpoint answers; the metadata services write numbers as text.
pub(super) fn granted(reply: &Reply) -> Result<Token, ProviderError> {
    #[derive(Deserialize)]
    struct Granted {
        access_token: String,
        expires_in: Option<serde_json::Value>,
    }
    let granted: Granted = reply.read()?;
    let seconds = granted
        .expires_in
        .and_then(|seconds| seconds.as_u64().or_else(|| seconds.as_str()?.parse().ok()));
    let bearer = SecretBytes::new(granted.access_token.into_bytes());
    // App Service says only when it ends; no token counts for less than five minutes.
    Ok(Token::new(bearer, Some(seconds.unwrap_or(300))))
}

/// Why there is no token: the code of the error, and what the commonest ones mean. The sentences of the service repeat
/// what it was sent.
fn denied(reply: &Reply, url: &Url) -> ProviderError {
    #[derive(Default, Deserialize)]
    struct Denied {
        #[serde(default)]
        error: String,
        #[serde(default)]
        error_codes: Vec<u64>,
    }
    let denied: Denied = reply.parse().unwrap_or_default();
    let code = denied.error_codes.first().copied().unwrap_or_default();
    let advice = match code {
        7_000_215 => "AZURE_CLIENT_SECRET is not that of the application",
        7_000_222 => "AZURE_CLIENT_SECRET has expired",
        700_016 => "the tenant has no application AZURE_CLIENT_ID",
        90_002 | 900_023 => "there is no tenant AZURE_TENANT_ID",
        70_021 | 700_211 | 700_212 | 700_213 => {
            "the application trusts no token of this issuer, subject or audience"
        }
        700_024 => "the token in AZURE_FEDERATED_TOKEN_FILE has expired",
        500_011 => "the tenant does not know Key Vault",
        _ => "look the code up at https://login.microsoftonline.com/error",
    };
    let error = rest::word(&denied.error);
    ProviderError::NotUsable(format!(
        "{} refused the credential ({error}, AADSTS{code}): {advice}",
        rest::host(url)
    ))
}

/// A token of whoever is logged in with `az`.
async fn of_cli(program: &Path, tenant: Option<&str>, resource: &str) -> Result<Token, ProviderError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Given {
        access_token: String,
    }
    let mut command = command(program);
    command.args([
        "account",
        "get-access-token",
        "--output",
        "json",
        "--resource",
        resource,
    ]);
    if let Some(tenant) = tenant {
        command.args(["--tenant", tenant]);
    }
    command.stderr(Stdio::null());
    let failed = |what: String| ProviderError::NotUsable(format!("`az account get-access-token` {what}"));
    let done = run(command, &[], PATIENCE)
        .await
        .map_err(|fault: Fault| failed(fault.to_string()))?;
    if !done.status.success() {
        return Err(failed("failed: log in with `az login`".to_owned()));
    }
    let given: Given = serde_json::from_slice(done.stdout.expose())
        .map_err(|_| failed("printed something else than a token".to_owned()))?;
    Ok(Token::new(
        SecretBytes::new(given.access_token.into_bytes()),
        Some(300),
    ))
}

fn read(path: &Path) -> Result<SecretBytes, ProviderError> {
    let failed = |cause: std::io::Error| {
        ProviderError::NotUsable(format!("AZURE_FEDERATED_TOKEN_FILE: {}: {cause}", path.display()))
    };
    credential_file::read(path).map_err(failed)
}
