//! A stand-in for Azure Key Vault and what gives tokens for it: no emulator is worth the name.
//!
//! # What is modelled, after what
//! - Get key, encrypt, decrypt: <https://learn.microsoft.com/en-us/rest/api/keyvault/keys/operation-groups>. RSA-OAEP-256
//!   with keys of 2048 bits is real; a key has versions.
//! - The challenge to a request without a token:
//!   <https://learn.microsoft.com/en-us/azure/key-vault/general/authentication-requests-and-responses>.
//! - Errors: <https://learn.microsoft.com/en-us/azure/key-vault/general/rest-error-codes>.
//! - The token endpoint for a client secret and a client assertion, with AADSTS codes:
//!   <https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-client-creds-grant-flow>; the two discovery
//!   documents that the Microsoft libraries ask for first. The metadata service of machines and that of App Service.
//!
//! # What is not
//! The JWK of a key has no modulus, tokens are opaque and not bound to a tenant, policies are one permission for each key,
//! there is no soft delete, firewall or HSM. A client assertion is compared, not verified.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::rsa::{
    KeySize, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, OaepPublicEncryptingKey, PrivateDecryptingKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::cloud::{Asked, Cloud, Told};

/// The vault's host.
pub const VAULT: &str = "team.vault.azure.net";
/// Where tokens are.
pub const AUTHORITY: &str = "login.microsoftonline.com";
/// The tenant.
pub const TENANT: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";
/// An application.
pub const CLIENT: &str = "11111111-2222-3333-4444-555555555555";
/// What its federated token is.
pub const ASSERTION: &str = "assertion-of-the-workload";
/// The header that App Service wants to see.
pub const IDENTITY_HEADER: &str = "identity-header";

/// A running stand-in.
pub struct Azure {
    /// Its hosts.
    pub cloud: Cloud,
    state: Arc<State>,
}

struct State {
    secret: String,
    keys: Mutex<HashMap<String, Key>>,
    /// Tokens that were handed out.
    tokens: Mutex<HashSet<String>>,
    /// What the challenge says that a token must be for.
    resource: Mutex<String>,
}

struct Key {
    versions: Vec<(String, PrivateDecryptingKey)>,
    enabled: bool,
    /// The permissions `get`, `encrypt`, `decrypt`.
    allowed: Vec<&'static str>,
}

impl Azure {
    /// Starts one whose application has `secret`, with the key `app`.
    ///
    /// # Errors
    /// If there is no port, or no randomness.
    pub fn start(secret: &str) -> io::Result<Self> {
        let state = Arc::new(State {
            secret: secret.to_owned(),
            keys: Mutex::default(),
            tokens: Mutex::default(),
            resource: Mutex::new("https://vault.azure.net".to_owned()),
        });
        let service = state.clone();
        let cloud = Cloud::start(
            &["*.vault.azure.net", "vault.example.org", AUTHORITY],
            Box::new(move |asked| service.answer(asked)),
        )?;
        let this = Self { cloud, state };
        this.rotate("app")?;
        Ok(this)
    }

    /// A new version of a key, which is made if it is not there; the name of the version.
    ///
    /// # Errors
    /// If there is no randomness.
    pub fn rotate(&self, name: &str) -> io::Result<String> {
        let version = hex()?;
        let key = PrivateDecryptingKey::generate(KeySize::Rsa2048).map_err(io::Error::other)?;
        let mut keys = lock(&self.state.keys);
        let entry = keys.entry(name.to_owned()).or_insert_with(|| Key {
            versions: Vec::new(),
            enabled: true,
            allowed: vec!["get", "encrypt", "decrypt"],
        });
        entry.versions.push((version.clone(), key));
        Ok(version)
    }

    /// Enables or disables a key.
    pub fn enable(&self, name: &str, enabled: bool) {
        if let Some(key) = lock(&self.state.keys).get_mut(name) {
            key.enabled = enabled;
        }
    }

    /// Sets the permissions on a key.
    pub fn allow(&self, name: &str, allowed: &[&'static str]) {
        if let Some(key) = lock(&self.state.keys).get_mut(name) {
            key.allowed = allowed.to_vec();
        }
    }

    /// What challenges say from now on.
    pub fn challenge(&self, resource: &str) {
        resource.clone_into(&mut lock(&self.state.resource));
    }

    /// A token that counts.
    ///
    /// # Errors
    /// If there is no randomness.
    pub fn token(&self) -> io::Result<String> {
        let token = hex()?;
        lock(&self.state.tokens).insert(token.clone());
        Ok(token)
    }

    /// `https://VAULT/keys/NAME`
    pub fn url(&self, name: &str) -> String {
        format!("https://{VAULT}/keys/{name}")
    }

    /// What a program needs to come here as the application.
    pub fn environment(&self) -> Vec<(OsString, OsString)> {
        let mut environment = self.cloud.environment();
        environment.push(("AZURE_TENANT_ID".into(), TENANT.into()));
        environment.push(("AZURE_CLIENT_ID".into(), CLIENT.into()));
        environment.push(("AZURE_CLIENT_SECRET".into(), (&self.state.secret).into()));
        environment
    }
}

/// An error as vaults write it.
pub fn error(status: u16, code: &str, inner: &str) -> Told {
    let mut error = json!({"code": code, "message": "in words"});
    if !inner.is_empty() {
        error["innererror"] = json!({"code": inner});
    }
    Told::json(status, &json!({"error": error}))
}

impl State {
    fn answer(&self, asked: &Asked) -> Told {
        match (asked.host.as_str(), asked.method.as_str(), asked.path.as_str()) {
            (AUTHORITY, method, path) => self.authority(asked, method, path),
            ("127.0.0.1", "GET", "/metadata/identity/oauth2/token")
                if asked.header("metadata") == Some("true") =>
            {
                self.managed(asked)
            }
            ("127.0.0.1", "GET", "/app-service")
                if asked.header("x-identity-header") == Some(IDENTITY_HEADER) =>
            {
                self.managed(asked)
            }
            ("127.0.0.1", ..) => Told::json(400, &json!({"error": "invalid_request"})),
            _ => self.vault(asked),
        }
    }

    fn authority(&self, asked: &Asked, method: &str, path: &str) -> Told {
        let base = format!("https://{AUTHORITY}/{TENANT}");
        let token = format!("/{TENANT}/oauth2/v2.0/token");
        if path.ends_with("/discovery/instance") {
            let hosts = json!({
                "preferred_network": AUTHORITY, "preferred_cache": "login.windows.net", "aliases": [AUTHORITY],
            });
            let openid = format!("{base}/v2.0/.well-known/openid-configuration");
            return Told::json(
                200,
                &json!({"tenant_discovery_endpoint": openid, "api-version": "1.1", "metadata": [hosts]}),
            );
        }
        if path.ends_with("/.well-known/openid-configuration") {
            return Told::json(
                200,
                &json!({
                    "token_endpoint": format!("{base}/oauth2/v2.0/token"), "issuer": format!("{base}/v2.0"),
                    "authorization_endpoint": format!("{base}/oauth2/v2.0/authorize"),
                    "device_authorization_endpoint": format!("{base}/oauth2/v2.0/devicecode"),
                    "tenant_region_scope": "WW",
                }),
            );
        }
        let denied = |error: &str, code: u64| {
            let text = format!("AADSTS{code}: in words");
            Told::json(
                401,
                &json!({"error": error, "error_description": text, "error_codes": [code]}),
            )
        };
        if (method, path) != ("POST", token.as_str()) {
            return denied("invalid_request", 90_002);
        }
        if asked.field("client_id").as_deref() != Some(CLIENT) {
            return denied("unauthorized_client", 700_016);
        }
        let scope = asked.field("scope").unwrap_or_default();
        let scoped = scope
            .split(' ')
            .any(|scope| scope == "https://vault.azure.net/.default");
        let secret = asked
            .field("client_secret")
            .is_some_and(|secret| secret == self.secret);
        let assertion = asked.field("client_assertion").as_deref() == Some(ASSERTION)
            && asked.field("client_assertion_type").as_deref()
                == Some("urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
        match (scoped, secret || assertion) {
            (true, true) => self.issued(false),
            (false, _) => denied("invalid_resource", 500_011),
            (true, false) if asked.field("client_secret").is_some() => denied("invalid_client", 7_000_215),
            (true, false) => denied("invalid_client", 700_211),
        }
    }

    fn managed(&self, asked: &Asked) -> Told {
        match asked.parameter("resource").as_deref() {
            Some("https://vault.azure.net" | "https://vault.azure.net/") => self.issued(true),
            _ => Told::json(400, &json!({"error": "invalid_resource"})),
        }
    }

    /// A token; the metadata services write numbers as text.
    fn issued(&self, as_text: bool) -> Told {
        let Ok(token) = hex() else {
            return error(500, "InternalServerError", "");
        };
        lock(&self.tokens).insert(token.clone());
        let mut body = json!({"token_type": "Bearer", "access_token": token, "expires_in": 3599});
        if as_text {
            body["expires_in"] = "3599".into();
            body["expires_on"] = "4000000000".into();
            body["resource"] = "https://vault.azure.net".into();
        }
        Told::json(200, &body)
    }

    fn vault(&self, asked: &Asked) -> Told {
        let counts = asked
            .bearer()
            .is_some_and(|token| lock(&self.tokens).contains(token));
        if !counts {
            let resource = lock(&self.resource).clone();
            let challenge =
                format!("Bearer authorization=\"https://{AUTHORITY}/{TENANT}\", resource=\"{resource}\"");
            return error(401, "Unauthorized", "").with("www-authenticate", &challenge);
        }
        let version = asked.parameter("api-version").unwrap_or_default();
        if !(version.starts_with("7.") || version.starts_with("2025-")) {
            return error(400, "BadParameter", "");
        }
        let parts: Vec<&str> = asked.path.trim_matches('/').split('/').collect();
        let keys = lock(&self.keys);
        let (name, version, operation) = match (asked.method.as_str(), &parts[..]) {
            ("GET", ["keys", name]) => (name, None, "get"),
            ("GET", ["keys", name, version]) => (name, Some(version), "get"),
            ("POST", ["keys", name, version, operation]) => (name, Some(version), *operation),
            _ => return error(404, "NotFound", ""),
        };
        let Some(key) = keys.get(*name) else {
            return error(404, "KeyNotFound", "");
        };
        if !key.allowed.contains(&operation) {
            return error(403, "Forbidden", "ForbiddenByRbac");
        }
        let found = match version {
            Some(version) => key.versions.iter().find(|(found, _)| found == version),
            None => key.versions.last(),
        };
        let Some((version, private)) = found else {
            return error(404, "KeyNotFound", "");
        };
        let kid = format!("https://{}/keys/{name}/{version}", asked.host);
        if operation == "get" {
            let key = json!({
                "key": {"kid": kid, "kty": "RSA", "key_ops": ["encrypt", "decrypt"]},
                "attributes": {"enabled": key.enabled},
            });
            return Told::json(200, &key);
        }
        if !key.enabled {
            return error(403, "Forbidden", "KeyDisabled");
        }
        let body: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
        match crypt(private, operation, &body) {
            Some(value) => Told::json(200, &json!({"kid": kid, "value": value})),
            None => error(400, "BadParameter", ""),
        }
    }
}

fn crypt(private: &PrivateDecryptingKey, operation: &str, body: &Value) -> Option<String> {
    if body["alg"] != "RSA-OAEP-256" {
        return None;
    }
    let input = URL_SAFE_NO_PAD
        .decode(body["value"].as_str()?.trim_end_matches('='))
        .ok()?;
    let mut output = vec![0; 512];
    let output = match operation {
        "encrypt" => OaepPublicEncryptingKey::new(private.public_key()).ok()?.encrypt(
            &OAEP_SHA256_MGF1SHA256,
            &input,
            &mut output,
            None,
        ),
        "decrypt" => OaepPrivateDecryptingKey::new(private.clone()).ok()?.decrypt(
            &OAEP_SHA256_MGF1SHA256,
            &input,
            &mut output,
            None,
        ),
        _ => return None,
    };
    output.ok().map(|output| URL_SAFE_NO_PAD.encode(output))
}

/// 128 random bits.
fn hex() -> io::Result<String> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
