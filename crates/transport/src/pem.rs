//! Certificates and keys in PEM form, for TLS that is set up by hand.

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use secret::SecretBytes;

/// All certificates of `pem`, in its order; `None` if there is none, or one that cannot be read.
pub fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    found.ok().filter(|found| !found.is_empty())
}

/// The first private key of `pem`, in any of the forms that are known.
pub fn private_key(pem: &SecretBytes) -> Option<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_slice(pem.expose()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n";
    const KEY: &str = "-----BEGIN PRIVATE KEY-----\nBAUG\n-----END PRIVATE KEY-----\n";

    #[test]
    fn certificates_are_all_or_none() {
        let two = format!("{CERTIFICATE}{KEY}{CERTIFICATE}");
        let two = certificates(two.as_bytes()).expect("two");
        assert_eq!(two, [CertificateDer::from(vec![1, 2, 3]), vec![1, 2, 3].into()]);
        let damaged = CERTIFICATE.replace("AQID", "A*");
        for none in ["", "no PEM", KEY, &format!("{CERTIFICATE}{damaged}")] {
            assert!(certificates(none.as_bytes()).is_none(), "{none}");
        }
    }

    #[test]
    fn a_key_is_found_among_certificates() {
        let key = |text: &str| private_key(&SecretBytes::copy_from(text.as_bytes()));
        let found = key(&format!("{CERTIFICATE}{KEY}")).expect("a key");
        assert_eq!(found.secret_der(), [4, 5, 6]);
        for none in ["", "no PEM", CERTIFICATE, &KEY.replace("BAUG", "B*")] {
            assert!(key(none).is_none(), "{none}");
        }
    }
}
