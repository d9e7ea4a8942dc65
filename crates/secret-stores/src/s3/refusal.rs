//! What S3 says when it does not do it, and whose move is next.
//!
//! ```text
//! <Error><Code>AccessDenied</Code><Message>...</Message>...</Error>
//! ```
//! (<https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>). Only the codes are used.

use key_providers::ProviderError;
use key_providers::rest::{Reply, word};

/// The failure that `reply` tells of.
pub(super) fn of(reply: &Reply, bucket: &str, region: &str) -> ProviderError {
    let code = element(reply.body.expose(), "Code").unwrap_or_default();
    let elsewhere = reply
        .headers
        .get("x-amz-bucket-region")
        .and_then(|region| region.to_str().ok())
        .map(str::to_owned)
        .or_else(|| element(reply.body.expose(), "Region"));
    text_of(
        &reply.host,
        reply.status.as_u16(),
        &code,
        elsewhere.as_deref(),
        (bucket, region),
    )
}

/// What a status and a code mean; `elsewhere` is the region that the service names.
pub(super) fn text_of(
    host: &str,
    status: u16,
    code: &str,
    elsewhere: Option<&str>,
    (bucket, region): (&str, &str),
) -> ProviderError {
    let elsewhere = elsewhere.filter(|other| *other != region).map(word);
    ProviderError::NotUsable(match (status, code) {
        (_, "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidToken") => {
            "AWS does not accept these credentials: the access key, its secret or its token is wrong"
                .to_owned()
        }
        (_, "ExpiredToken" | "RequestExpired" | "TokenRefreshRequired") => {
            "the AWS credentials have expired: log in again".to_owned()
        }
        (_, "RequestTimeTooSkewed") => {
            format!("the clock of this machine differs from that of {host} by more than 15 minutes")
        }
        (300..=399, _) | (_, "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException")
            if elsewhere.is_some() =>
        {
            let other = elsewhere.unwrap_or_default();
            format!("the bucket {bucket} is not in {region}: set AWS_REGION={other}")
        }
        (300..=399, _) => format!("the bucket {bucket} is in another region than {region}: set AWS_REGION"),
        (404, _) => format!("there is no bucket {bucket} at {host}"),
        (403, _) => format!(
            "AWS denies s3:PutObject in the bucket {bucket}: these credentials may not write there, or may not use the KMS \
             key of the bucket (kms:GenerateDataKey)"
        ),
        (status, "") => format!("{host} refused it with status {status}"),
        (status, code) => format!("{host} refused it: {} (status {status})", word(code)),
    })
}

/// The text of the first element `name`.
fn element(body: &[u8], name: &str) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (found, _) = rest.split_once("</")?;
    Some(found.to_owned())
}
