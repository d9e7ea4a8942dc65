//! Workload identity federation: a token of somebody else, from a file or an address, exchanged for one of Google's.
//!
//! The exchange is that of RFC 8693, as <https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token> has it.

use std::path::PathBuf;

use secret::SecretBytes;
use serde::Deserialize;
use url::Url;
use zeroize::Zeroizing;

use super::credentials::{File, SCOPE, token_of, wrong};
use super::sources::read;
use crate::provider::ProviderError;
use crate::rest::{self, Request, Rest, Token};

/// An account elsewhere that Google trusts.
pub(super) struct Federation {
    audience: String,
    subject_token_type: String,
    token_url: Url,
    user_project: Option<String>,
    subject: Subject,
    /// The field of the JSON that holds the token; it is all there is if absent.
    field: Option<String>,
}

/// Where the other token is.
enum Subject {
    File(PathBuf),
    Address(Url, Vec<(String, String)>),
}

#[derive(Deserialize)]
struct Source {
    file: Option<PathBuf>,
    url: Option<String>,
    #[serde(default)]
    headers: std::collections::BTreeMap<String, String>,
    format: Option<Format>,
    environment_id: Option<String>,
}

#[derive(Deserialize)]
struct Format {
    #[serde(rename = "type")]
    kind: String,
    subject_token_field_name: Option<String>,
}

impl Federation {
    pub(super) fn of(file: File, source: &str) -> Result<Self, ProviderError> {
        let lacks = |name: &str| wrong(source, &format!("it has no {name}"));
        let found = file.credential_source.ok_or_else(|| lacks("credential_source"))?;
        let found: Source =
            serde_json::from_value(found).map_err(|_| wrong(source, "its credential_source is none"))?;
        let subject = match (found.file, found.url) {
            _ if found.environment_id.is_some() => {
                return Err(wrong(
                    source,
                    "tokens of AWS are not supported, use a token in a file",
                ));
            }
            (Some(file), _) => Subject::File(file),
            (None, Some(url)) => {
                let url = Url::parse(&url)
                    .map_err(|_| wrong(source, "the url in its credential_source is none"))?;
                Subject::Address(url, found.headers.into_iter().collect())
            }
            (None, None) => {
                let text = "its credential_source is neither a file nor a url; programs and certificates are not supported";
                return Err(wrong(source, text));
            }
        };
        let token_url = file.token_url.ok_or_else(|| lacks("token_url"))?;
        let field = found.format.filter(|format| format.kind == "json");
        let field = field.map(|format| {
            format
                .subject_token_field_name
                .ok_or_else(|| lacks("subject_token_field_name"))
        });
        Ok(Self {
            audience: file.audience.ok_or_else(|| lacks("audience"))?,
            subject_token_type: file
                .subject_token_type
                .ok_or_else(|| lacks("subject_token_type"))?,
            token_url: rest::confidential(&token_url, &format!("token_url in {source}"))?,
            user_project: file.workforce_pool_user_project,
            subject,
            field: field.transpose()?,
        })
    }

    pub(super) async fn token(&self, rest: &Rest) -> Result<Token, ProviderError> {
        let subject = self.subject(rest).await?;
        let options = self
            .user_project
            .as_ref()
            .map(|project| serde_json::json!({"userProject": project}).to_string());
        let mut fields = vec![
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            (
                "requested_token_type",
                "urn:ietf:params:oauth:token-type:access_token",
            ),
            ("audience", &self.audience),
            ("scope", SCOPE),
            ("subject_token_type", &self.subject_token_type),
            ("subject_token", &subject),
        ];
        fields.extend(options.as_deref().map(|options| ("options", options)));
        let request = Request::form(self.token_url.clone(), &fields);
        token_of(
            &rest.ask(&request).await?,
            "the pool does not take the other token: it is expired, or of another issuer, audience or subject",
        )
    }

    /// The other token.
    async fn subject(&self, rest: &Rest) -> Result<Zeroizing<String>, ProviderError> {
        let (bytes, place): (SecretBytes, String) = match &self.subject {
            Subject::File(path) => (read(path)?, path.display().to_string()),
            Subject::Address(url, headers) => {
                let mut request = Request::get(url.clone());
                for (name, value) in headers {
                    request = request.with(name, value.as_bytes())?;
                }
                let reply = if url.scheme() == "http" {
                    Rest::of_this_machine().ask(&request).await?
                } else {
                    rest.ask(&request).await?
                };
                if !reply.is_success() {
                    let text = format!("{} gives no token: status {}", reply.host, reply.status.as_u16());
                    return Err(ProviderError::NotUsable(text));
                }
                (reply.body, reply.host)
            }
        };
        let none = || ProviderError::NotUsable(format!("{place} holds no token to exchange"));
        let text = match &self.field {
            None => std::str::from_utf8(bytes.expose())
                .map(|text| Zeroizing::new(text.trim().to_owned()))
                .ok(),
            Some(field) => {
                let mut fields: std::collections::HashMap<String, serde_json::Value> =
                    serde_json::from_slice(bytes.expose()).map_err(|_| none())?;
                match fields.remove(field) {
                    Some(serde_json::Value::String(text)) => Some(Zeroizing::new(text)),
                    _ => None,
                }
            }
        };
        text.filter(|text| !text.is_empty()).ok_or_else(none)
    }
}
