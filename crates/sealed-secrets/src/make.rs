//! New sealing keys with certificates as the stock controller makes them.

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeySize, PrivateDecryptingKey};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_RSA_SHA256, SerialNumber,
};
use rustls_pki_types::PrivatePkcs8KeyDer;
use secret::SecretBytes;
use time::{Duration, OffsetDateTime};

use crate::certificate::Certificate;
use crate::error::{CertificateError, Random};

/// What a new certificate says.
#[derive(Clone, Debug)]
pub struct NewKey<'a> {
    /// Size of the key: 2048, 3072, 4096 or 8192 bits.
    pub bits: u32,
    /// Its common name, empty for none.
    pub common_name: &'a str,
    /// From when it holds, in seconds since 1970.
    pub not_before: i64,
    /// For how long, in seconds.
    pub lifetime: i64,
}

impl NewKey<'_> {
    /// Makes the key and signs its certificate with it. The key is PKCS#8 in PEM.
    ///
    /// # Errors
    /// When the size is none of those above, a date is out of range, or the random source fails.
    pub fn make(&self, random: &mut Random<'_>) -> Result<(SecretBytes, Certificate), CertificateError> {
        let size = match self.bits {
            2048 => KeySize::Rsa2048,
            3072 => KeySize::Rsa3072,
            4096 => KeySize::Rsa4096,
            8192 => KeySize::Rsa8192,
            _ => return Err(CertificateError::Size),
        };
        let failed = |_| CertificateError::Make;
        let key = PrivateDecryptingKey::generate(size).map_err(failed)?;
        let der: Pkcs8V1Der<'_> = key.as_der().map_err(failed)?;
        let private = PrivatePkcs8KeyDer::from(der.as_ref());
        let pair = KeyPair::from_pkcs8_der_and_sign_algo(&private, &PKCS_RSA_SHA256)
            .map_err(|_| CertificateError::Make)?;
        let certificate = self
            .params(random)?
            .self_signed(&pair)
            .map_err(|_| CertificateError::Make)?;
        let certificate = Certificate::from_der(certificate.der().to_vec())?;
        Ok((SecretBytes::new(pair.serialize_pem().into_bytes()), certificate))
    }

    fn params(&self, random: &mut Random<'_>) -> Result<CertificateParams, CertificateError> {
        let mut serial = [0; 16];
        random(&mut serial).map_err(|_| CertificateError::Make)?;
        serial[0] &= 0x7f;
        let not_before =
            OffsetDateTime::from_unix_timestamp(self.not_before).map_err(|_| CertificateError::Make)?;
        let not_after = not_before
            .checked_add(Duration::seconds(self.lifetime))
            .ok_or(CertificateError::Make)?;
        let mut params = CertificateParams::default();
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        params.not_before = not_before;
        params.not_after = not_after;
        params.key_usages = vec![KeyUsagePurpose::EncipherOnly];
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name = DistinguishedName::new();
        if !self.common_name.is_empty() {
            params
                .distinguished_name
                .push(DnType::CommonName, self.common_name);
        }
        Ok(params)
    }
}
