//! Google Cloud Storage, over its JSON interface ([`objects.insert`] with `uploadType=media`).
//!
//! One request for each file. The answer carries the checksum (CRC-32C) of what was stored, and that is compared.
//!
//! [`objects.insert`]: https://cloud.google.com/storage/docs/json_api/v1/objects/insert

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use key_providers::gcp::{Access, GcpSources, UNIVERSE, crc32c};
use key_providers::rest::{Bounds, Reply, Request, Rest};
use key_providers::{Network, ProviderError};
use secret::SecretBytes;
use serde::Deserialize;
use url::Url;

use crate::error::Error;
use crate::publisher::{Answer, Publisher, Put, Takes};

/// What sops' library finds a sealed file to be.
const CONTENT: &str = "text/plain; charset=utf-8";

/// The way to the service.
pub(crate) struct Service {
    access: Access,
    /// `STORAGE_EMULATOR_HOST`
    emulator: Option<String>,
    rest: Rest,
}

/// One bucket, and what stands before names in it.
pub(crate) struct Gcs {
    service: Arc<Service>,
    network: Network,
    bucket: String,
    prefix: String,
}

/// What is told of a stored object.
#[derive(Default, Deserialize)]
struct Stored {
    crc32c: Option<String>,
}

/// What is told of a failure; the messages that come with it are not repeated.
#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    error: Reasons,
}

#[derive(Default, Deserialize)]
struct Reasons {
    #[serde(default)]
    errors: Vec<Reason>,
}

#[derive(Deserialize)]
struct Reason {
    #[serde(default)]
    reason: String,
}

impl Service {
    pub(crate) fn new(sources: GcpSources, emulator: Option<String>) -> Self {
        Self {
            access: Access::new(sources),
            emulator,
            rest: Rest::new(Bounds::default()),
        }
    }

    async fn put(&self, bucket: &str, name: &str, content: SecretBytes) -> Result<Put, ProviderError> {
        let url = upload(&self.base().await?, bucket, name)?;
        let request = || {
            let copy = SecretBytes::copy_from(content.expose());
            Ok(Request::post(url.clone(), CONTENT, copy))
        };
        let reply = match self.emulator {
            None => self.access.ask(request).await?,
            Some(_) => self.rest.ask(&request()?).await?,
        };
        if !reply.is_success() {
            return Err(refused(&reply, bucket));
        }
        let stored: Stored = reply.read()?;
        let sum = BASE64_STANDARD.encode(crc32c(content.expose()).to_be_bytes());
        match stored.crc32c {
            Some(other) if other == sum => Ok(Put::Done),
            Some(_) => Err(reply.unusable("its checksum does not match: something changed on the way")),
            None => Err(reply.unusable("it has no checksum of what is stored")),
        }
    }

    /// Without path.
    async fn base(&self) -> Result<Url, ProviderError> {
        let (text, what) = match &self.emulator {
            Some(host) if host.contains("://") => (host.clone(), "STORAGE_EMULATOR_HOST"),
            Some(host) => (format!("http://{host}"), "STORAGE_EMULATOR_HOST"),
            None => {
                let universe = self.access.universe().await?.unwrap_or(UNIVERSE);
                (
                    format!("https://storage.{universe}"),
                    "the universe of the credential",
                )
            }
        };
        let url = Url::parse(&text).ok().filter(|url| {
            let only = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
            let login = !url.username().is_empty() || url.password().is_some();
            only && !login && url.has_host() && matches!(url.scheme(), "http" | "https")
        });
        url.ok_or_else(|| {
            ProviderError::NotUsable(format!("{what} is no host with a port, or more than that"))
        })
    }
}

impl Gcs {
    pub(crate) fn new(
        service: Arc<Service>,
        network: Network,
        bucket: &str,
        prefix: &str,
    ) -> Result<Self, Error> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
        if matches!(bucket, "." | "..") || bucket.len() > 222 || !bucket.bytes().all(plain) {
            let text = "gcs_bucket is no name of a bucket: lower-case letters, digits, `-`, `_` and `.`";
            return Err(Error::Place(text.to_owned()));
        }
        Ok(Self {
            service,
            network,
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
        })
    }
}

impl Publisher for Gcs {
    fn takes(&self) -> Takes {
        Takes::File
    }

    fn place(&self, name: &str) -> String {
        format!("gcs://{}/{}{name}", self.bucket, self.prefix)
    }

    fn put<'a>(&'a self, name: &'a str, content: SecretBytes) -> Answer<'a> {
        Box::pin(async move {
            let name = format!("{}{name}", self.prefix);
            if name.len() > 1024 || name.contains(['\r', '\n']) {
                let text = "the name at the destination has more than 1024 bytes, or a line break";
                return Err(Error::Place(text.to_owned()));
            }
            let (service, bucket) = (self.service.clone(), self.bucket.clone());
            let work = async move { service.put(&bucket, &name, content).await };
            Ok(self.network.run("google cloud storage", work).await?)
        })
    }
}

/// Where an object is uploaded to. Bucket and name stand for themselves, whatever they hold.
fn upload(base: &Url, bucket: &str, name: &str) -> Result<Url, ProviderError> {
    let mut url = base.clone();
    url.path_segments_mut()
        .map_err(|()| ProviderError::NotUsable("the address of the service has no path".to_owned()))?
        .clear()
        .extend(["upload", "storage", "v1", "b", bucket, "o"]);
    url.query_pairs_mut()
        .append_pair("uploadType", "media")
        .append_pair("name", name);
    Ok(url)
}

/// What a refusal means.
fn refused(reply: &Reply, bucket: &str) -> ProviderError {
    let refusal: Refusal = reply.parse().unwrap_or_default();
    let reason = refusal
        .error
        .errors
        .first()
        .map_or("", |error| error.reason.as_str());
    let (host, status) = (&reply.host, reply.status.as_u16());
    ProviderError::NotUsable(match (status, reason) {
        (401, _) => format!("{host} does not take the credential: it is wrong, expired or revoked"),
        (403, "userProjectAccountProblem" | "accountDisabled") => {
            format!("{host} refused it: the project has no billing account")
        }
        (403, "retentionPolicyNotMet" | "objectUnderActiveHold") => {
            format!("{host} refused it: the bucket {bucket} keeps the object that is there for now")
        }
        (403, _) => format!(
            "{host} denied it: to write to the bucket {bucket} the credential needs the permission storage.objects.create, \
             and storage.objects.delete to write over what is there (roles/storage.objectUser)"
        ),
        (404, _) => format!("{host} has no bucket {bucket}, or does not show it to this credential"),
        (status, reason) => format!(
            "{host} refused it: {} (status {status})",
            key_providers::rest::word(reason)
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(emulator: Option<&str>) -> Arc<Service> {
        Arc::new(Service::new(GcpSources::default(), emulator.map(str::to_owned)))
    }

    #[test]
    fn a_name_is_a_name_whatever_it_holds() {
        let base = Url::parse("https://storage.googleapis.com").expect("an address");
        let url = upload(&base, "b-1.x", "pre/../a b&name=x?#ü%2e").expect("an address");
        assert_eq!(
            url.as_str(),
            "https://storage.googleapis.com/upload/storage/v1/b/b-1.x/o?uploadType=media\
             &name=pre%2F..%2Fa+b%26name%3Dx%3F%23%C3%BC%252e"
        );
    }

    #[test]
    fn buckets_are_names_and_places_are_told_as_sops_tells_them() {
        let gcs = |bucket: &str| Gcs::new(service(None), Network::default(), bucket, "pre/fix-");
        assert_eq!(gcs("b").expect("a bucket").place("a"), "gcs://b/pre/fix-a");
        for bad in ["..", "a/b", "a?b", "A", "a b", "a\n"] {
            assert!(matches!(gcs(bad), Err(Error::Place(_))), "{bad}");
        }
    }

    #[tokio::test]
    async fn the_emulator_is_a_host_and_a_port() {
        for (text, base) in [
            ("127.0.0.1:4443", "http://127.0.0.1:4443/"),
            ("https://gcs.example.org", "https://gcs.example.org/"),
        ] {
            assert_eq!(service(Some(text)).base().await.expect(text).as_str(), base);
        }
        for bad in ["ftp://h", "h/x", "h?y", "http://u:hunter2@h", "http://"] {
            let error = service(Some(bad)).base().await.expect_err(bad).to_string();
            assert!(
                error.contains("STORAGE_EMULATOR_HOST") && !error.contains("hunter2"),
                "{error}"
            );
        }
    }
}
