//! Certificates of sealing keys, from files and from URLs, held against the fingerprint that is pinned for them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sealed_secrets::{Certificate, Fingerprint};
use sops::config::Cluster;
use transport::{Fault, Names, Pool, Settings};
use url::Url;

use crate::error::{Code, Error, Result};
use crate::files;
use crate::workbench::Workbench;

/// Certificates that were read, each once a run.
#[derive(Default)]
pub(crate) struct Certificates {
    known: HashMap<String, Arc<Certificate>>,
    pool: Option<Pool>,
}

impl Certificates {
    /// The certificate of a cluster of the policy in `folder`.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub(crate) fn of_cluster(
        &mut self,
        bench: &Workbench,
        cluster: &Cluster,
        folder: &Path,
    ) -> Result<Arc<Certificate>> {
        let source = if is_url(&cluster.certificate) {
            cluster.certificate.clone()
        } else {
            folder.join(&cluster.certificate).to_string_lossy().into_owned()
        };
        let named =
            |error: Error| error.because(&format!("it is the certificate of the cluster {}", cluster.name));
        self.get(bench, &source, cluster.fingerprint.as_deref())
            .map_err(named)
    }

    /// The certificate at `source`, a file or a URL, which must not have expired and must have the fingerprint `pin`.
    ///
    /// # Errors
    /// Code 111 if it cannot be used, 8 if it is another one than is pinned.
    pub(crate) fn get(
        &mut self,
        bench: &Workbench,
        source: &str,
        pin: Option<&str>,
    ) -> Result<Arc<Certificate>> {
        if let Some(known) = self.known.get(source) {
            pinned(source, known, pin)?;
            return Ok(known.clone());
        }
        let certificate = Arc::new(self.read(bench, source, pin.is_some())?);
        pinned(source, &certificate, pin)?;
        if certificate.is_expired(now()) {
            let text = format!("the certificate expired on {}", day(certificate.not_after()));
            return Err(
                unusable(source, text).hint("`seal kube cert fetch` gets the one that the cluster uses now")
            );
        }
        self.known.insert(source.to_owned(), certificate.clone());
        Ok(certificate)
    }

    /// Reads it, expired or not.
    ///
    /// # Errors
    /// Code 111 if there is none.
    pub(crate) fn read(&mut self, bench: &Workbench, source: &str, is_pinned: bool) -> Result<Certificate> {
        let pem = if is_url(source) {
            self.fetch(bench, source, is_pinned)?
        } else {
            files::read(Path::new(source), bench.global.max_size)
                .map_err(|error| error.with_code(Code::NoEncryptionKey))?
                .expose()
                .to_vec()
        };
        Certificate::parse(&pem).map_err(|error| {
            unusable(source, error.to_string())
                .hint("the controller serves it at /v1/cert.pem; `kubeseal --fetch-cert` prints it")
        })
    }

    fn fetch(&mut self, bench: &Workbench, source: &str, is_pinned: bool) -> Result<Vec<u8>> {
        let url = Url::parse(source).map_err(|_| unusable(source, "the URL does not read"))?;
        match url.scheme() {
            "file" => {
                let path: PathBuf = url
                    .to_file_path()
                    .map_err(|()| unusable(source, "the URL names no file of this machine"))?;
                let read = files::read(&path, bench.global.max_size)?;
                return Ok(read.expose().to_vec());
            }
            "http" if !is_pinned => {
                return Err(unusable(
                    source,
                    "over http anybody on the way could put another certificate in its place",
                )
                .hint("pin it with its fingerprint, or fetch it over https"));
            }
            "http" | "https" => {}
            _ => {
                return Err(unusable(
                    source,
                    "a certificate is read from a file, http, https or file: URL",
                ));
            }
        }
        let pool = self
            .pool
            .get_or_insert_with(|| Pool::new(Settings::default(), Names::default()));
        let answer = bench
            .wait(source, pool.get(url))
            .map_err(|fault| unusable(source, fault_in_words(&fault)))?;
        if answer.status().as_u16() != 200 {
            return Err(unusable(
                source,
                format!("the server answers with status {}", answer.status().as_u16()),
            ));
        }
        Ok(answer.into_body().expose().to_vec())
    }
}

/// Why there is no answer.
pub(crate) fn fault_in_words(fault: &Fault) -> String {
    match fault {
        Fault::NoConnection => "no connection in time".to_owned(),
        Fault::NoAnswer => "no answer in time".to_owned(),
        Fault::Tls(why) => format!("TLS: {why}"),
        Fault::Lost(why) => why.clone(),
        Fault::TooLarge => "the answer is too large for a certificate".to_owned(),
        Fault::System => "the certificates or proxies of this system cannot be used".to_owned(),
    }
}

fn pinned(source: &str, certificate: &Certificate, pin: Option<&str>) -> Result<()> {
    let Some(pin) = pin else { return Ok(()) };
    let Some(pin) = Fingerprint::parse(pin) else {
        let text = "the fingerprint that is pinned is not 64 hexadecimal digits";
        return Err(Error::new(Code::Conflict, text).file(Path::new(source)));
    };
    if pin == certificate.fingerprint() {
        return Ok(());
    }
    let text = format!(
        "its fingerprint is {}, and {pin} is pinned",
        certificate.fingerprint()
    );
    Err(Error::new(Code::Conflict, text).file(Path::new(source)).hint(
        "after a renewal of the key that is right: look at it with `seal kube cert show`, then pin the new one; else somebody put another certificate there",
    ))
}

fn unusable(source: &str, why: impl Into<String>) -> Error {
    Error::new(Code::NoEncryptionKey, why.into()).file(Path::new(source))
}

/// Whether a source has a scheme. One letter is a drive of Windows.
fn is_url(source: &str) -> bool {
    source.split_once("://").is_some_and(|(scheme, _)| {
        scheme.len() > 1 && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

/// Now, in seconds since 1970.
pub(crate) fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// The day of a time, in UTC.
fn day(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(
        |_| "a day out of range".to_owned(),
        |time| time.strftime("%Y-%m-%d").to_string(),
    )
}
