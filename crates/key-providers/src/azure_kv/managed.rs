//! The identity that Azure gives a machine or an app.
//!
//! App Service: <https://learn.microsoft.com/en-us/azure/app-service/overview-managed-identity>; machines:
//! <https://learn.microsoft.com/en-us/entra/identity/managed-identities-azure-resources/how-to-use-vm-token>.

use url::Url;

use super::credentials::granted;
use super::sources::AzureSources;
use crate::provider::ProviderError;
use crate::rest::{Request, Rest, Token};

/// Where machines ask.
const METADATA: &str = "http://169.254.169.254";

/// A token of this machine's identity for `resource`; `None` if it has none.
pub(super) async fn token(sources: &AzureSources, resource: &str) -> Result<Option<Token>, ProviderError> {
    let rest = Rest::of_this_machine();
    let named = sources.identity.is_some() || sources.metadata.is_some();
    let reply = match rest.ask(&request(sources, resource)?).await {
        Ok(reply) => reply,
        // Outside of Azure nobody answers there, or somebody else.
        Err(_) if sources.identity.is_none() => return Ok(None),
        Err(error) => return Err(error),
    };
    match reply.status.as_u16() {
        200 => granted(&reply).map(Some),
        // Other clouds have other services at the same address.
        _ if !named => Ok(None),
        status => Err(ProviderError::NotUsable(format!(
            "{} gives no token of a managed identity (status {status}): none is assigned, or AZURE_CLIENT_ID names \
             another one",
            reply.host
        ))),
    }
}

fn request(sources: &AzureSources, resource: &str) -> Result<Request, ProviderError> {
    let wrong = |what: &str| ProviderError::NotUsable(format!("{what} is no address"));
    let (mut url, version) = match &sources.identity {
        Some((endpoint, _)) => (
            Url::parse(endpoint).map_err(|_| wrong("IDENTITY_ENDPOINT"))?,
            "2019-08-01",
        ),
        None => {
            let host = sources.metadata.as_deref().unwrap_or(METADATA);
            let url = Url::parse(host).and_then(|host| host.join("/metadata/identity/oauth2/token"));
            (
                url.map_err(|_| wrong("AZURE_POD_IDENTITY_AUTHORITY_HOST"))?,
                "2018-02-01",
            )
        }
    };
    url.query_pairs_mut()
        .append_pair("api-version", version)
        .append_pair("resource", resource);
    if let Some(client) = &sources.client {
        url.query_pairs_mut().append_pair("client_id", client);
    }
    match &sources.identity {
        Some((_, header)) => Request::get(url).with("x-identity-header", header.as_encoded_bytes()),
        None => Request::get(url).with("metadata", b"true"),
    }
}
