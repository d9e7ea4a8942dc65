//! S3: one signed `PUT` for each file.
//!
//! Credentials, region and address come from where every AWS program has them; the signature is that of the AWS SDK's own
//! crate. The request says what its body's SHA-256 is, twice: the signature covers it, and the service compares it.
//!
//! A bucket stands in the host name where it can (`BUCKET.s3.REGION.amazonaws.com`), in the path where the address is an
//! IP address or the bucket's name is none for hosts, as the AWS SDKs have it.
//!
//! # What this does not do
//! No access points or other ARNs in the place of a bucket, no upload in parts: 5 GB is what one request may hold.

mod address;
mod refusal;

use std::sync::Arc;
use std::time::SystemTime;

use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use key_providers::aws;
use key_providers::rest::{Bounds, Request, Rest};
use key_providers::{Network, ProviderError};
use secret::SecretBytes;
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::error::Error;
use crate::publisher::{Answer, Publisher, Put, Takes};

/// What sops' library sends.
const CONTENT: &str = "application/octet-stream";
/// The checksum that the service compares.
const CHECKSUM: &str = "x-amz-checksum-sha256";

/// The way to the service.
pub(crate) struct Service {
    account: aws::Account,
    rest: Rest,
}

/// One bucket, and what stands before names in it.
pub(crate) struct S3 {
    service: Arc<Service>,
    network: Network,
    bucket: String,
    prefix: String,
}

impl Service {
    pub(crate) fn new(account: aws::Account) -> Self {
        Self {
            account,
            rest: Rest::new(Bounds::default()),
        }
    }

    async fn put(&self, bucket: &str, key: &str, content: SecretBytes) -> Result<Put, ProviderError> {
        let access = self.account.access("s3").await?;
        let url = address::of(&access, bucket, key)?;
        let request = signed(&access, url, content, SystemTime::now())?;
        let reply = self.rest.ask(&request.telling_redirects()).await?;
        match reply.is_success() {
            true => Ok(Put::Done),
            false => Err(refusal::of(&reply, bucket, &access.region)),
        }
    }
}

impl S3 {
    pub(crate) fn new(
        service: Arc<Service>,
        network: Network,
        bucket: &str,
        prefix: &str,
    ) -> Result<Self, Error> {
        address::check_bucket(bucket)?;
        Ok(Self {
            service,
            network,
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
        })
    }
}

impl Publisher for S3 {
    fn takes(&self) -> Takes {
        Takes::File
    }

    fn place(&self, name: &str) -> String {
        format!("s3://{}/{}{name}", self.bucket, self.prefix)
    }

    fn put<'a>(&'a self, name: &'a str, content: SecretBytes) -> Answer<'a> {
        Box::pin(async move {
            let key = format!("{}{name}", self.prefix);
            address::check_key(&key)?;
            let (service, bucket) = (self.service.clone(), self.bucket.clone());
            let work = async move { service.put(&bucket, &key, content).await };
            Ok(self.network.run(&format!("s3 {}", self.bucket), work).await?)
        })
    }
}

/// The request, as the service wants to see it.
fn signed(
    access: &aws::Access,
    url: Url,
    content: SecretBytes,
    now: SystemTime,
) -> Result<Request, ProviderError> {
    let failed = || ProviderError::NotUsable("the request to S3 cannot be signed".to_owned());
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    let identity = access.credentials.clone().into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(&access.region)
        .name("s3")
        .time(now)
        .settings(settings)
        .build()
        .map_err(|_| failed())?;
    let checksum = BASE64_STANDARD.encode(Sha256::digest(content.expose()));
    let headers = [("content-type", CONTENT), (CHECKSUM, checksum.as_str())];
    let body = SignableBody::Bytes(content.expose());
    let request = SignableRequest::new("PUT", url.as_str(), headers.into_iter(), body);
    let output = sign(request.map_err(|_| failed())?, &params.into()).map_err(|_| failed())?;
    let (instructions, _) = output.into_parts();
    let mut request = Request::put(url, CONTENT, content).with(CHECKSUM, checksum.as_bytes())?;
    for (name, value) in instructions.headers() {
        request = request.with(name, value.as_bytes())?;
    }
    Ok(request)
}

#[cfg(test)]
mod tests;
