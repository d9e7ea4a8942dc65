//! TLS with certificates on both sides.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_platform_verifier::BuilderVerifierExt as _;
use secret::SecretBytes;
use transport::pem;

/// The only protocol: HTTP/2.
const ALPN: &[u8] = b"h2";

/// A certificate, with those above it, and its key, as PEM.
#[derive(Clone, Copy)]
pub struct TlsFiles<'a> {
    /// The certificate first, then those that lead to a root.
    pub certificates: &'a [u8],
    /// The key of the first.
    pub key: &'a SecretBytes,
}

/// What [`client_tls`] sets up.
pub type ClientTls = ClientConfig;
/// What [`server_tls`] sets up.
pub type ServerTls = ServerConfig;

/// Why TLS cannot be set up so. Never holds what was given.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The file of certificates.
    #[error("there is no certificate in PEM form in it")]
    NoCertificate,
    /// The file of the key.
    #[error("there is no private key in PEM form in it")]
    NoKey,
    /// They do not belong together, or are of a kind that is not known.
    #[error("the certificates and the key cannot be used: {0}")]
    Refused(String),
}

/// For a client: `roots` are the only certificates that may vouch for the server (the system's if absent).
///
/// # Errors
/// If something that was given cannot be used.
pub fn client_tls(roots: Option<&[u8]>, identity: Option<TlsFiles<'_>>) -> Result<Arc<ClientTls>, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(refused)?;
    let builder = match roots {
        Some(roots) => builder.with_root_certificates(root_store(roots)?),
        None => builder.with_platform_verifier().map_err(refused)?,
    };
    let mut config = match identity {
        Some(files) => builder
            .with_client_auth_cert(certificates(files)?, private_key(files)?)
            .map_err(refused)?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(Arc::new(config))
}

/// For a server that serves only clients for whose certificate one of `client_roots` vouches. TLS 1.3 only.
///
/// # Errors
/// As [`client_tls`].
pub fn server_tls(files: TlsFiles<'_>, client_roots: &[u8]) -> Result<Arc<ServerTls>, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let roots = Arc::new(root_store(client_roots)?);
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider.clone())
        .build()
        .map_err(refused)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(refused)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificates(files)?, private_key(files)?)
        .map_err(refused)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(Arc::new(config))
}

fn refused(error: impl std::fmt::Display) -> TlsError {
    TlsError::Refused(error.to_string())
}

fn certificates(files: TlsFiles<'_>) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    pem::certificates(files.certificates).ok_or(TlsError::NoCertificate)
}

fn private_key(files: TlsFiles<'_>) -> Result<PrivateKeyDer<'static>, TlsError> {
    pem::private_key(files.key).ok_or(TlsError::NoKey)
}

fn root_store(roots: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in pem::certificates(roots).ok_or(TlsError::NoCertificate)? {
        store.add(certificate).map_err(refused)?;
    }
    Ok(store)
}
