//! TLS to a database, as the modes of lib/pq mean it.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};
use tokio_rustls::TlsConnector;
use transport::pem;

use super::settings::{Mode, Roots, Settings};
use super::{Failure, Stream};
use crate::args;

/// What makes one connection secret.
pub(super) struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Tls {
    /// For a connection to `host`.
    ///
    /// # Errors
    /// If certificates or keys cannot be used, or the host has no name that a certificate could have.
    pub(super) fn new(settings: &Settings, host: &str, mode: Mode) -> Result<Self, Failure> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = Arc::new(Verifier::new(settings, mode, provider.clone())?);
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let config = match (&settings.certificate, &settings.key) {
            (Some(certificate), Some(key)) => {
                builder.with_client_auth_cert(certificates(certificate)?, private_key(key)?)?
            }
            (None, None) => builder.with_no_client_auth(),
            _ => return Err("sslcert and sslkey belong together".into()),
        };
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
            name: ServerName::try_from(host.to_owned())?,
        })
    }
}

impl TlsConnect<Box<dyn Stream>> for Tls {
    type Stream = Secret;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Secret>> + Send>>;

    fn connect(self, stream: Box<dyn Stream>) -> Self::Future {
        Box::pin(async move { self.connector.connect(self.name, stream).await.map(Secret) })
    }
}

/// A stream within TLS.
pub(super) struct Secret(tokio_rustls::client::TlsStream<Box<dyn Stream>>);

impl TlsStream for Secret {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Secret {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Secret {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

/// Looks at a server's certificate as far as the mode wants it.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    /// Whether somebody vouches for it; `None` where nobody needs to.
    authority: Option<Arc<dyn ServerCertVerifier>>,
    /// Whether it must have the host's name.
    named: bool,
}

impl Verifier {
    fn new(settings: &Settings, mode: Mode, provider: Arc<CryptoProvider>) -> Result<Self, Failure> {
        let authority: Option<Arc<dyn ServerCertVerifier>> = match (mode, settings.roots()) {
            (Mode::Disable | Mode::Require, _) => None,
            (_, Roots::System) => Some(Arc::new(rustls_platform_verifier::Verifier::new(
                provider.clone(),
            )?)),
            (_, Roots::File(file)) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(file)? {
                    roots.add(certificate)?;
                }
                Some(WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build()?)
            }
        };
        Ok(Self {
            provider,
            authority,
            named: mode == Mode::VerifyFull,
        })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(authority) = &self.authority else {
            return Ok(ServerCertVerified::assertion());
        };
        match authority.verify_server_cert(certificate, intermediates, name, ocsp, now) {
            // The name is looked at last: all else holds.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.named => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

fn certificates(file: &std::path::Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    pem::certificates(args::pem(file)?.expose())
        .ok_or_else(|| format!("{}: no certificate in PEM", file.display()).into())
}

fn private_key(file: &std::path::Path) -> Result<PrivateKeyDer<'static>, Failure> {
    pem::private_key(&args::pem(file)?)
        .ok_or_else(|| format!("{}: no private key in PEM", file.display()).into())
}
