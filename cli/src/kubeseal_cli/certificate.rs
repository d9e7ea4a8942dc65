//! The certificate of `--cert`: a file, or what a server has under a URL.

use std::path::{Path, PathBuf};

use http::header::LOCATION;
use sealed_secrets::{Certificate, CertificateError};
use secret::SecretBytes;
use transport::{Names, Pool, Settings};
use url::Url;

use super::{open, refuse};
use crate::error::{Code, Result};
use crate::kube::fault_in_words;
use crate::workbench::Workbench;

/// Redirects that are followed before one more is an error, as in Go.
const REDIRECTS: usize = 10;

/// What stands at a path or a URL, whatever it is.
pub(super) fn fetch(bench: &Workbench, place: &str) -> Result<SecretBytes> {
    if !is_url(place) {
        return open(bench, Path::new(place));
    }
    let url = Url::parse(place).map_err(|cause| refuse(format!("{place} is no URL")).cause(&cause))?;
    match url.scheme() {
        "file" => of_file(bench, place, &url),
        "http" | "https" => of_server(bench, url),
        other => Err(refuse(format!(
            "Get {place:?}: unsupported protocol scheme {other:?}"
        ))),
    }
}

/// The first certificate in `pem`, which must hold at `now`, in seconds since 1970.
pub(super) fn read(pem: &[u8], now: i64) -> Result<Certificate> {
    let certificate = Certificate::parse(pem).map_err(|cause| match cause {
        CertificateError::None => refuse("data does not contain any valid RSA or ECDSA certificates"),
        cause => refuse("the certificate cannot be used").cause(&cause),
    })?;
    if certificate.is_expired(now) {
        let day = jiff::Timestamp::from_second(certificate.not_after())
            .map(|end| end.strftime("%B %-d, %Y").to_string())
            .unwrap_or_default();
        let text = format!("failed to encrypt using an expired certificate on {day}");
        return Err(
            refuse(text).hint("`kubeseal --fetch-cert` in reach of the cluster prints its newest one")
        );
    }
    Ok(certificate)
}

/// A scheme of one letter is a drive.
fn is_url(place: &str) -> bool {
    let Some((scheme, _)) = place.split_once(':') else {
        return false;
    };
    let is_scheme = |sign: char| sign.is_ascii_alphanumeric() || matches!(sign, '+' | '-' | '.');
    scheme.len() > 1
        && scheme.starts_with(|sign: char| sign.is_ascii_alphabetic())
        && scheme.chars().all(is_scheme)
}

fn of_file(bench: &Workbench, place: &str, url: &Url) -> Result<SecretBytes> {
    // The host counts for nothing, as in Go.
    let mut local = url.clone();
    let path = local.set_host(None).ok().and_then(|()| local.to_file_path().ok());
    let path: PathBuf = path.ok_or_else(|| refuse(format!("{place} names no file")))?;
    open(bench, &path).map_err(|error| match error.code() {
        Code::NoFile => refuse(format!("cannot fetch {place:?}: 404 Not Found")),
        _ => error,
    })
}

/// Follows redirects, but never from TLS to plain HTTP: whoever sits between could name another certificate.
fn of_server(bench: &Workbench, mut url: Url) -> Result<SecretBytes> {
    let pool = Pool::new(Settings::default(), Names::default());
    for _ in 0..=REDIRECTS {
        let answer = bench.wait(url.as_str(), pool.get(url.clone()));
        let answer =
            answer.map_err(|fault| refuse(format!("Get {:?}: {}", url.as_str(), fault_in_words(&fault))))?;
        let status = answer.status();
        if status.is_success() && status.as_u16() == 200 {
            return Ok(answer.into_body());
        }
        let location = answer.headers().get(LOCATION).filter(|_| status.is_redirection());
        let Some(location) = location.and_then(|location| location.to_str().ok()) else {
            let reason = status.canonical_reason().unwrap_or_default();
            let text = format!("cannot fetch {:?}: {} {reason}", url.as_str(), status.as_u16());
            return Err(refuse(text));
        };
        let next = url
            .join(location)
            .map_err(|cause| refuse(format!("{url} leads to a place that is no URL")).cause(&cause))?;
        if !matches!((url.scheme(), next.scheme()), (_, "https") | ("http", "http")) {
            let text = format!("{url} leads to {}, which is not followed", next.scheme());
            return Err(refuse(text).hint("name the address itself, if you trust the way to it"));
        }
        url = next;
    }
    Err(refuse(format!("{url}: stopped after {REDIRECTS} redirects")))
}

#[cfg(test)]
mod tests {
    use super::is_url;

    #[test]
    fn a_drive_is_no_url() {
        for place in [
            "cert.pem",
            "c:cert.pem",
            "C:\\cert.pem",
            "./a:b",
            "/a:b",
            "1a:b",
            "",
        ] {
            assert!(!is_url(place), "{place}");
        }
        for place in ["http://x", "file:x", "ftp://x"] {
            assert!(is_url(place), "{place}");
        }
    }
}
