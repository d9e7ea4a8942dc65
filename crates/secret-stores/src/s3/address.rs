//! Where an object of S3 is.

use key_providers::ProviderError;
use key_providers::aws::Access;
use url::{Host, Url};

use crate::error::Error;

/// Bytes of a key.
const LONGEST_KEY: usize = 1024;

/// Whether `bucket` can be one.
pub(super) fn check_bucket(bucket: &str) -> Result<(), Error> {
    if bucket.starts_with("arn:") {
        let text = "s3_bucket is an ARN: access points are not supported, name the bucket or the alias of an access point";
        return Err(Error::Place(text.to_owned()));
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    match (1..=255).contains(&bucket.len()) && !matches!(bucket, "." | "..") && bucket.bytes().all(plain) {
        true => Ok(()),
        false => {
            let text = "s3_bucket is no name of a bucket: letters, digits, `-`, `_` and `.`";
            Err(Error::Place(text.to_owned()))
        }
    }
}

/// Whether `key` can be one that every program on the way leaves as it is.
pub(super) fn check_key(key: &str) -> Result<(), Error> {
    if key.split('/').any(|part| matches!(part, "." | "..")) {
        let text = "a part of the name at the destination is `.` or `..`";
        return Err(Error::Place(text.to_owned()));
    }
    match key.len() <= LONGEST_KEY {
        true => Ok(()),
        false => Err(Error::Place(format!(
            "the name at the destination has more than {LONGEST_KEY} bytes"
        ))),
    }
}

/// The address of an object.
pub(super) fn of(access: &Access, bucket: &str, key: &str) -> Result<Url, ProviderError> {
    let base = match &access.endpoint {
        Some(endpoint) => own(endpoint)?,
        None => usual(access)?,
    };
    let by_host = match base.host() {
        Some(Host::Domain(_)) => is_host_label(bucket, base.scheme() == "http"),
        _ => false,
    };
    let authority = match base.port() {
        Some(port) => format!("{}:{port}", base.host_str().unwrap_or_default()),
        None => base.host_str().unwrap_or_default().to_owned(),
    };
    let (scheme, path, key) = (base.scheme(), base.path().trim_end_matches('/'), escaped(key));
    let text = match by_host {
        true => format!("{scheme}://{bucket}.{authority}{path}/{key}"),
        false => format!("{scheme}://{authority}{path}/{bucket}/{key}"),
    };
    Url::parse(&text)
        .ok()
        .filter(|url| url.as_str() == text)
        .ok_or_else(|| ProviderError::NotUsable("the address of the object in S3 is none".to_owned()))
}

/// An address that somebody gave.
fn own(endpoint: &str) -> Result<Url, ProviderError> {
    let url = Url::parse(endpoint).ok().filter(|url| {
        let login = !url.username().is_empty() || url.password().is_some();
        let plain = url.query().is_none() && url.fragment().is_none();
        matches!(url.scheme(), "http" | "https") && url.has_host() && plain && !login
    });
    url.ok_or_else(|| {
        let text = "AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL or endpoint_url of the profile is no http or https address";
        ProviderError::NotUsable(text.to_owned())
    })
}

/// Where AWS has the service.
fn usual(access: &Access) -> Result<Url, ProviderError> {
    let region = &access.region;
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let wrong = || ProviderError::NotUsable("the AWS region is no name of a region".to_owned());
    if region.is_empty() || region.len() > 63 || !region.bytes().all(plain) {
        return Err(wrong());
    }
    let fips = if access.fips { "-fips" } else { "" };
    let dual = if access.dual_stack { ".dualstack" } else { "" };
    let suffix = suffix(region);
    Url::parse(&format!("https://s3{fips}{dual}.{region}.{suffix}")).map_err(|_| wrong())
}

/// The domain of a region's partition.
fn suffix(region: &str) -> &'static str {
    const SUFFIXES: [(&str, &str); 6] = [
        ("cn-", "amazonaws.com.cn"),
        ("eusc-", "amazonaws.eu"),
        ("us-iso-", "c2s.ic.gov"),
        ("us-isob-", "sc2s.sgov.gov"),
        ("us-isof-", "csp.hci.ic.gov"),
        ("eu-isoe-", "cloud.adc-e.uk"),
    ];
    let found = SUFFIXES.iter().find(|(start, _)| region.starts_with(start));
    found.map_or("amazonaws.com", |(_, suffix)| suffix)
}

/// Whether a bucket can stand before the host. A certificate for `*.HOST` does not cover names with dots.
fn is_host_label(bucket: &str, with_dots: bool) -> bool {
    let label = |label: &str| {
        let inner = label
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        !label.is_empty() && inner && !label.starts_with('-') && !label.ends_with('-')
    };
    let is_address = bucket.parse::<std::net::Ipv4Addr>().is_ok();
    (3..=63).contains(&bucket.len())
        && !is_address
        && (with_dots || !bucket.contains('.'))
        && bucket.split('.').all(label)
}

/// A key in a path: all but unreserved characters and slashes as `%XX`, as signatures need it.
fn escaped(key: &str) -> String {
    let mut out = String::with_capacity(key.len());
    for byte in key.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                out.push(char::from(byte));
            }
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
