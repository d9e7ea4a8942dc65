//! Flags of `seal kube`: certificates, sealing keys and scopes.

use std::path::PathBuf;
use std::sync::Arc;

use sealed_secrets::{Certificate, Scope};

use crate::error::Result;
use crate::kube::Certificates;
use crate::workbench::Workbench;

/// For whom is sealed, where the policy does not say.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct CertificateArgs {
    /// The certificate to seal for: a file, or an https, http or file URL
    #[arg(long, value_name = "FILE|URL", help_heading = "Certificate")]
    pub(crate) cert: Option<String>,

    /// The fingerprint that the certificate must have, as `seal kube cert show` prints it
    #[arg(long, value_name = "SHA256", requires = "cert", help_heading = "Certificate")]
    fingerprint: Option<String>,
}

impl CertificateArgs {
    /// The certificate that is named, if one is.
    ///
    /// # Errors
    /// As [`Certificates::get`].
    pub(crate) fn read(
        &self,
        bench: &Workbench,
        certificates: &mut Certificates,
    ) -> Result<Option<Arc<Certificate>>> {
        self.cert
            .as_ref()
            .map(|source| certificates.get(bench, source, self.fingerprint.as_deref()))
            .transpose()
    }
}

/// Private keys of clusters.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct SealingKeyArgs {
    /// A file of sealing keys: PEM, or the Secrets of the controller as `kubectl get -o yaml` prints them; repeatable
    #[arg(long = "key", value_name = "FILE", help_heading = "Keys")]
    pub(crate) keys: Vec<PathBuf>,
}

/// A scope by its name.
pub(crate) fn scope(text: &str) -> Result<Scope, String> {
    Scope::of_word(text).ok_or_else(|| "a scope is strict, namespace-wide or cluster-wide".to_owned())
}
