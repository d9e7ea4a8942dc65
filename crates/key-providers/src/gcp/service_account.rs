//! The key of a service account: it signs its own tokens, so no secret leaves this process.
//!
//! A token is a JWT under RS256 (<https://google.aip.dev/auth/4111>): issuer and subject are the account, `scope` says what
//! it is for, and it ends after an hour. It counts for every Google API, also in universes without a token endpoint.

use std::time::{Duration, SystemTime};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use secret::SecretBytes;
use zeroize::Zeroizing;

use super::credentials::{File, SCOPE, wrong};
use crate::provider::ProviderError;
use crate::rest::Token;

/// How long a token counts, in seconds; the longest that is taken.
const LIFETIME: u64 = 3600;

/// An account with its key.
pub(super) struct ServiceAccount {
    email: String,
    key_id: Option<String>,
    key: RsaKeyPair,
}

impl ServiceAccount {
    pub(super) fn of(file: File, source: &str) -> Result<Self, ProviderError> {
        let lacks = |name: &str| wrong(source, &format!("it has no {name}"));
        let pem = Zeroizing::new(file.private_key.ok_or_else(|| lacks("private_key"))?);
        let key = key_of(&pem).ok_or_else(|| wrong(source, "its private_key is no RSA key in PEM"))?;
        Ok(Self {
            email: file.client_email.ok_or_else(|| lacks("client_email"))?,
            key_id: file.private_key_id,
            key,
        })
    }

    /// Its name.
    pub(super) fn email(&self) -> &str {
        &self.email
    }

    /// A token from `now` on.
    pub(super) fn token(&self, now: SystemTime) -> Result<Token, ProviderError> {
        let now = now
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or(Duration::ZERO)
            .as_secs();
        let header = serde_json::json!({"alg": "RS256", "typ": "JWT", "kid": self.key_id});
        // Clocks differ by some seconds.
        let claims = serde_json::json!({
            "iss": self.email, "sub": self.email, "scope": SCOPE,
            "iat": now.saturating_sub(10), "exp": now.saturating_sub(10) + LIFETIME,
        });
        let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key
            .sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                signed.as_bytes(),
                &mut signature,
            )
            .map_err(|_| ProviderError::NoRandomness)?;
        let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
        Ok(Token::new(
            SecretBytes::new(token.into_bytes()),
            Some(LIFETIME - 60),
        ))
    }
}

/// An RSA key in PEM, PKCS #8 or PKCS #1.
fn key_of(pem: &str) -> Option<RsaKeyPair> {
    let text: Zeroizing<String> = Zeroizing::new(
        pem.lines()
            .map(str::trim)
            .skip_while(|line| !line.starts_with("-----BEGIN"))
            .skip(1)
            .take_while(|line| !line.starts_with("-----END"))
            .collect(),
    );
    let der = Zeroizing::new(STANDARD.decode(text.as_bytes()).ok()?);
    RsaKeyPair::from_pkcs8(&der)
        .or_else(|_| RsaKeyPair::from_der(&der))
        .ok()
}
