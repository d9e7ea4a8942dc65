//! Which key services are asked, besides what works here.
#![allow(rustdoc::broken_intra_doc_links)] // Help texts are no Markdown.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use key_providers::key_service::{Endpoint, KeyService, TlsFiles, client_tls};
use key_providers::{KeyProvider, Network};
use secret::SecretBytes;

use crate::error::{Code, Error, Result};
use crate::files::{self, Cap};

/// For each key what works here is asked first, then the key services in their order.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct ServiceArgs {
    /// Key services to ask: tcp://HOST:PORT, unix:///PATH, https://HOST[:PORT]
    #[arg(
        long,
        global = true,
        value_name = "ADDRESS",
        env = "SOPS_KEYSERVICE",
        hide_env_values = true
    )]
    #[arg(value_delimiter = ',', help_heading = "Global options")]
    keyservice: Vec<String>,

    /// Whether the keys of this machine are used before key services are asked
    #[arg(
        long,
        global = true,
        value_name = "BOOL",
        env = "SOPS_ENABLE_LOCAL_KEYSERVICE",
        hide_env_values = true
    )]
    #[arg(num_args = 0..=1, require_equals = true, default_value = "true", default_missing_value = "true")]
    #[arg(value_parser = clap::builder::BoolishValueParser::new(), action = clap::ArgAction::Set)]
    #[arg(hide_possible_values = true, help_heading = "Global options")]
    enable_local_keyservice: bool,

    /// Certificates that may vouch for a key service behind https; else the system's
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    keyservice_ca: Option<PathBuf>,

    /// The certificate to show to a key service behind https
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        requires = "keyservice_key",
        help_heading = "Global options"
    )]
    keyservice_cert: Option<PathBuf>,

    /// The key of that certificate
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        requires = "keyservice_cert",
        help_heading = "Global options"
    )]
    keyservice_key: Option<PathBuf>,
}

impl Default for ServiceArgs {
    fn default() -> Self {
        Self::of_sops(&[], true)
    }
}

impl ServiceArgs {
    /// As sops has them: addresses, with commas between them in a variable, and whether this machine's keys are used.
    pub(crate) fn of_sops(addresses: &[String], local: bool) -> Self {
        let addresses = addresses.iter().flat_map(|list| list.split(','));
        Self {
            keyservice: addresses.map(str::to_owned).collect(),
            enable_local_keyservice: local,
            keyservice_ca: None,
            keyservice_cert: None,
            keyservice_key: None,
        }
    }

    /// Whether keys and identities of this machine are used.
    pub(crate) fn local(&self) -> bool {
        self.enable_local_keyservice
    }

    /// Where the services are.
    ///
    /// # Errors
    /// Code 1 if a text is no address, 128 if there would be nobody to ask.
    pub(crate) fn endpoints(&self) -> Result<Vec<Endpoint>> {
        let named = self.keyservice.iter().filter(|text| !text.trim().is_empty());
        let read = |text: &String| {
            let wrong = |error: key_providers::key_service::EndpointError| {
                Error::new(Code::Generic, format!("--keyservice {text}: {error}"))
            };
            Endpoint::parse(text).map_err(wrong)
        };
        let endpoints = named.map(read).collect::<Result<Vec<_>>>()?;
        if endpoints.is_empty() && !self.enable_local_keyservice {
            let text = "without the local key service there is none to ask";
            return Err(Error::new(Code::DataKey, text).hint("name one with --keyservice"));
        }
        Ok(endpoints)
    }

    /// A provider for each service. No file is read unless one is behind https.
    ///
    /// # Errors
    /// As [`Self::endpoints`], and when a certificate or a key cannot be used.
    pub(crate) fn providers(&self) -> Result<Vec<Box<dyn KeyProvider>>> {
        let endpoints = self.endpoints()?;
        let tls = match endpoints.iter().any(Endpoint::is_tls) {
            true => Some(self.tls()?),
            false => None,
        };
        let network = Network::default();
        let provider = |endpoint| -> Box<dyn KeyProvider> {
            Box::new(KeyService::new(endpoint, tls.clone(), network.clone()))
        };
        Ok(endpoints.into_iter().map(provider).collect())
    }

    fn tls(&self) -> Result<Arc<key_providers::key_service::ClientTls>> {
        let read = |path: &PathBuf| pem(path);
        let roots = self.keyservice_ca.as_ref().map(read).transpose()?;
        let certificates = self.keyservice_cert.as_ref().map(read).transpose()?;
        let key = self.keyservice_key.as_ref().map(read).transpose()?;
        let identity = match (&certificates, &key) {
            (Some(certificates), Some(key)) => Some(TlsFiles {
                certificates: certificates.expose(),
                key,
            }),
            _ => None,
        };
        client_tls(roots.as_ref().map(SecretBytes::expose), identity)
            .map_err(|error| Error::new(Code::Generic, "TLS to key services cannot be set up").cause(&error))
    }
}

/// A file of certificates, or of a key.
///
/// # Errors
/// If it cannot be read.
pub(crate) fn pem(path: &Path) -> Result<SecretBytes> {
    files::read(path, Cap::bytes(1 << 20))
}
