//! A stand-in for Google Cloud KMS, Cloud Storage and what gives tokens for them: no emulator is worth the name.
//!
//! # What is modelled, after what
//! - `cryptoKeys.encrypt` and `.decrypt` with their checksums: <https://cloud.google.com/kms/docs/reference/rest>. The
//!   cryptography is real (AES-256-GCM, the key's name authenticated), the form of the ciphertext is ours.
//! - Errors: <https://cloud.google.com/apis/design/errors>, with `ErrorInfo` reasons; permission, disabled key, absent key,
//!   wrong ciphertext, wrong token.
//! - Signed tokens of service accounts (<https://google.aip.dev/auth/4111>): signature, times, audience or scope are checked.
//! - The token endpoint (`refresh_token` and `jwt-bearer`), the exchange of RFC 8693 at `sts`, `generateAccessToken` at
//!   `iamcredentials`, the metadata service with its header.
//!
//! - `objects.insert` of Cloud Storage (see [`storage`]).
//!
//! # What is not
//! gRPC, IAM policies beyond one permission, rotation of key versions, quotas, audit, regional endpoints.

pub mod storage;

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self, KeyPair as _, RsaKeyPair, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::cloud::{Asked, Cloud, Told};

/// A key that is there.
pub const KEY: &str = "projects/team-1/locations/global/keyRings/ring/cryptoKeys/app";
/// Where KMS is.
pub const KMS: &str = "cloudkms.googleapis.com";
/// A service account.
pub const ACCOUNT: &str = "sealer@team-1.iam.gserviceaccount.com";
const AUDIENCE: &str = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// A running stand-in.
pub struct Gcp {
    /// Its hosts.
    pub cloud: Cloud,
    state: Arc<State>,
}

struct State {
    storage: storage::Storage,
    keys: Mutex<HashMap<String, Key>>,
    /// Tokens that were handed out.
    tokens: Mutex<HashSet<String>>,
    account: RsaKeyPair,
    account_der: Vec<u8>,
}

struct Key {
    cipher: LessSafeKey,
    enabled: bool,
    allowed: bool,
}

impl Gcp {
    /// Starts one with the key [`KEY`].
    ///
    /// # Errors
    /// If there is no port, or no randomness.
    pub fn start() -> io::Result<Self> {
        let failed = |_| io::Error::other("no RSA key");
        let account = RsaKeyPair::generate(KeySize::Rsa2048).map_err(failed)?;
        let der = account.as_der().map_err(failed)?;
        let state = Arc::new(State {
            storage: storage::Storage::default(),
            keys: Mutex::default(),
            tokens: Mutex::default(),
            account_der: der.as_ref().to_vec(),
            account,
        });
        let service = state.clone();
        let names = [
            KMS,
            "oauth2.googleapis.com",
            "sts.googleapis.com",
            "iamcredentials.googleapis.com",
            "kms.example.org",
            storage::HOST,
        ];
        let cloud = Cloud::start(&names, Box::new(move |asked| service.answer(asked)))?;
        let this = Self { cloud, state };
        this.add_key(KEY)?;
        Ok(this)
    }

    /// What is stored.
    pub fn storage(&self) -> &storage::Storage {
        &self.state.storage
    }

    /// One more key.
    ///
    /// # Errors
    /// If there is no randomness.
    pub fn add_key(&self, name: &str) -> io::Result<()> {
        let mut bytes = [0; 32];
        fill(&mut bytes)?;
        let cipher = UnboundKey::new(&AES_256_GCM, &bytes).map_err(io::Error::other)?;
        let key = Key {
            cipher: LessSafeKey::new(cipher),
            enabled: true,
            allowed: true,
        };
        lock(&self.state.keys).insert(name.to_owned(), key);
        Ok(())
    }

    /// Enables or disables a key.
    pub fn enable(&self, name: &str, enabled: bool) {
        if let Some(key) = lock(&self.state.keys).get_mut(name) {
            key.enabled = enabled;
        }
    }

    /// Gives or takes the permission to use a key.
    pub fn allow(&self, name: &str, allowed: bool) {
        if let Some(key) = lock(&self.state.keys).get_mut(name) {
            key.allowed = allowed;
        }
    }

    /// A token that counts.
    ///
    /// # Errors
    /// If there is no randomness.
    pub fn token(&self) -> io::Result<String> {
        self.state.issue()
    }

    /// The file of the service account [`ACCOUNT`].
    pub fn service_account(&self) -> Value {
        let mut pem = String::from("-----BEGIN PRIVATE KEY-----\n");
        for line in STANDARD.encode(&self.state.account_der).as_bytes().chunks(64) {
            pem.push_str(&String::from_utf8_lossy(line));
            pem.push('\n');
        }
        pem.push_str("-----END PRIVATE KEY-----\n");
        json!({
            "type": "service_account", "project_id": "team-1", "private_key_id": "k1", "private_key": pem,
            "client_email": ACCOUNT, "client_id": "1", "universe_domain": "googleapis.com",
            "auth_uri": "https://accounts.google.com/o/oauth2/auth", "token_uri": "https://oauth2.googleapis.com/token",
        })
    }

    /// The file that a login of a person leaves.
    pub fn authorized_user(&self) -> Value {
        json!({
            "type": "authorized_user", "client_id": "client", "client_secret": "client-secret",
            "refresh_token": "refresh", "quota_project_id": "team-1",
        })
    }

    /// The file of a federated workload, whose own token is `workload` in `file`.
    pub fn external_account(&self, file: &str) -> Value {
        json!({
            "type": "external_account", "audience": AUDIENCE,
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": "https://sts.googleapis.com/v1/token", "credential_source": {"file": file},
        })
    }

    /// The file of somebody who acts as [`ACCOUNT`].
    pub fn impersonated(&self, source: Value) -> Value {
        let url = format!(
            "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{ACCOUNT}:generateAccessToken"
        );
        json!({
            "type": "impersonated_service_account", "service_account_impersonation_url": url,
            "delegates": [], "source_credentials": source,
        })
    }

    /// What a program needs to come here.
    pub fn environment(&self) -> Vec<(OsString, OsString)> {
        let mut environment = self.cloud.environment();
        environment.push(("SOPS_GCP_KMS_CLIENT_TYPE".into(), "rest".into()));
        environment
    }
}

/// An error as the APIs write it.
pub fn error(code: u16, status: &str, reason: &str, message: &str) -> Told {
    let details = match reason {
        "" => json!([]),
        reason => json!([{
            "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason,
            "domain": KMS, "metadata": {"service": KMS},
        }]),
    };
    let body = json!({"error": {"code": code, "message": message, "status": status, "details": details}});
    Told::json(code, &body)
}

impl State {
    fn answer(&self, asked: &Asked) -> Told {
        let issued = || match self.issue() {
            Ok(token) => Told::json(
                200,
                &json!({"access_token": token, "expires_in": 3599, "token_type": "Bearer"}),
            ),
            Err(_) => error(500, "INTERNAL", "", "no randomness"),
        };
        let denied = |code: &str| Told::json(400, &json!({"error": code, "error_description": "no"}));
        match (asked.host.as_str(), asked.method.as_str(), asked.path.as_str()) {
            (KMS | "kms.example.org", "POST", path) => self.kms(asked, path),
            (storage::HOST, "POST", _) if !self.counts(asked) => {
                error(401, "UNAUTHENTICATED", "", "Invalid Credentials")
            }
            // Without a token: what stands in for the service where STORAGE_EMULATOR_HOST says so.
            (storage::HOST | "127.0.0.1", "POST", path) if path.starts_with("/upload/") => {
                self.storage.insert(asked)
            }
            ("oauth2.googleapis.com", "POST", "/token") => {
                let assertion = asked.field("assertion").unwrap_or_default();
                let person = ["client_id", "client_secret", "refresh_token"].map(|name| asked.field(name));
                let person = person
                    .each_ref()
                    .map(|field| field.as_deref().unwrap_or_default());
                match asked.field("grant_type").as_deref() {
                    Some("refresh_token") if person == ["client", "client-secret", "refresh"] => issued(),
                    Some("urn:ietf:params:oauth:grant-type:jwt-bearer") if self.is_ours(&assertion) => {
                        issued()
                    }
                    _ => denied("invalid_grant"),
                }
            }
            ("sts.googleapis.com", "POST", "/v1/token") => {
                let fields = ["grant_type", "audience", "subject_token"].map(|name| asked.field(name));
                let fields = fields
                    .each_ref()
                    .map(|field| field.as_deref().unwrap_or_default());
                match fields == [GRANT, AUDIENCE, "workload"] {
                    true => issued(),
                    false => denied("invalid_grant"),
                }
            }
            ("iamcredentials.googleapis.com", "POST", path) if path.ends_with(":generateAccessToken") => {
                match (self.counts(asked), self.issue()) {
                    (true, Ok(token)) => Told::json(
                        200,
                        &json!({"accessToken": token, "expireTime": "2099-01-01T00:00:00Z"}),
                    ),
                    _ => error(403, "PERMISSION_DENIED", "IAM_PERMISSION_DENIED", "no"),
                }
            }
            ("127.0.0.1", "GET", "/computeMetadata/v1/instance/service-accounts/default/token")
                if asked.header("metadata-flavor") == Some("Google") =>
            {
                issued().with("metadata-flavor", "Google")
            }
            _ => error(404, "NOT_FOUND", "", "no such path"),
        }
    }

    fn kms(&self, asked: &Asked, path: &str) -> Told {
        if !self.counts(asked) {
            return error(
                401,
                "UNAUTHENTICATED",
                "ACCESS_TOKEN_TYPE_UNSUPPORTED",
                "wrong token",
            );
        }
        let Some((name, verb)) = path.strip_prefix("/v1/").and_then(|path| path.rsplit_once(':')) else {
            return error(404, "NOT_FOUND", "", "no such path");
        };
        let keys = lock(&self.keys);
        let Some(key) = keys.get(name) else {
            return error(404, "NOT_FOUND", "", &format!("CryptoKey {name} not found."));
        };
        if !key.allowed {
            let text =
                format!("Permission 'cloudkms.cryptoKeyVersions.useTo...' denied on resource '{name}'.");
            return error(403, "PERMISSION_DENIED", "IAM_PERMISSION_DENIED", &text);
        }
        if !key.enabled {
            let text = format!("{name}/cryptoKeyVersions/1 is not enabled, current state is: DISABLED.");
            return error(400, "FAILED_PRECONDITION", "", &text);
        }
        let body: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
        match verb {
            "encrypt" => encrypt(key, name, &body),
            "decrypt" => decrypt(key, name, &body),
            _ => None,
        }
        .unwrap_or_else(|| {
            let text = "Decryption failed: verify that 'name' refers to the correct CryptoKey.";
            error(400, "INVALID_ARGUMENT", "", text)
        })
    }

    fn issue(&self) -> io::Result<String> {
        let mut bytes = [0; 24];
        fill(&mut bytes)?;
        let token = format!("ya29.{}", URL_SAFE_NO_PAD.encode(bytes));
        lock(&self.tokens).insert(token.clone());
        Ok(token)
    }

    fn counts(&self, asked: &Asked) -> bool {
        let token = asked.bearer().unwrap_or_default();
        lock(&self.tokens).contains(token) || self.is_ours(token)
    }

    /// Whether `token` is signed by the service account, for KMS or the token endpoint, and in time.
    fn is_ours(&self, token: &str) -> bool {
        let parts: Vec<&str> = token.split('.').collect();
        let [head, claims, sign] = parts[..] else {
            return false;
        };
        let read = |part: &str| -> Option<Value> {
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
        };
        let (Some(kind), Some(claims_read), Ok(sign)) =
            (read(head), read(claims), URL_SAFE_NO_PAD.decode(sign))
        else {
            return false;
        };
        let public = self.account.public_key().as_ref();
        let public = UnparsedPublicKey::new(&signature::RSA_PKCS1_2048_8192_SHA256, public);
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let time = |name: &str| claims_read[name].as_u64().unwrap_or_default();
        let audience = claims_read["aud"].as_str().unwrap_or_default();
        let scope = claims_read["scope"].as_str().unwrap_or_default();
        let meant = [
            "https://oauth2.googleapis.com/token",
            "https://cloudkms.googleapis.com/",
            "https://storage.googleapis.com/",
        ]
        .contains(&audience)
            || scope
                .split(' ')
                .any(|scope| scope == "https://www.googleapis.com/auth/cloud-platform");
        kind["alg"] == "RS256"
            && kind["kid"] == "k1"
            && claims_read["iss"] == ACCOUNT
            && meant
            && time("iat") <= now + 10
            && (now..=now + 3700).contains(&time("exp"))
            && public
                .verify(format!("{head}.{claims}").as_bytes(), &sign)
                .is_ok()
    }
}

/// A field of a body and whether its checksum, if there is one, fits.
fn input(body: &Value, name: &str) -> Option<(Vec<u8>, bool)> {
    let bytes = STANDARD.decode(body[name].as_str()?).ok()?;
    match body[format!("{name}Crc32c")].as_str() {
        None => Some((bytes, false)),
        Some(sum) if sum.parse() == Ok(crc32c(&bytes)) => Some((bytes, true)),
        Some(_) => None,
    }
}

fn encrypt(key: &Key, name: &str, body: &Value) -> Option<Told> {
    let (mut bytes, verified) = input(body, "plaintext")?;
    let mut nonce = [0; NONCE_LEN];
    fill(&mut nonce).ok()?;
    key.cipher
        .seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(name.as_bytes()),
            &mut bytes,
        )
        .ok()?;
    let sealed = [&nonce[..], &bytes].concat();
    Some(Told::json(
        200,
        &json!({
            "name": format!("{name}/cryptoKeyVersions/1"), "ciphertext": STANDARD.encode(&sealed),
            "ciphertextCrc32c": crc32c(&sealed).to_string(), "verifiedPlaintextCrc32c": verified,
            "protectionLevel": "SOFTWARE",
        }),
    ))
}

fn decrypt(key: &Key, name: &str, body: &Value) -> Option<Told> {
    let (bytes, _) = input(body, "ciphertext")?;
    let (nonce, sealed) = bytes.split_at_checked(NONCE_LEN)?;
    let mut sealed = sealed.to_vec();
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let plain = key
        .cipher
        .open_in_place(nonce, Aad::from(name.as_bytes()), &mut sealed)
        .ok()?;
    Some(Told::json(
        200,
        &json!({
            "plaintext": STANDARD.encode(&*plain), "plaintextCrc32c": crc32c(plain).to_string(),
            "usedPrimary": true, "protectionLevel": "SOFTWARE",
        }),
    ))
}

/// CRC-32C by long division of the reflected polynomial, a bit at a time.
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    let mut sum = !0_u32;
    for bit in bytes
        .iter()
        .flat_map(|byte| (0..8).map(move |at| u32::from(byte >> at & 1)))
    {
        let carry = (sum & 1) ^ bit;
        sum >>= 1;
        if carry == 1 {
            sum ^= 0x82F6_3B78;
        }
    }
    !sum
}

fn fill(bytes: &mut [u8]) -> io::Result<()> {
    aws_lc_rs::rand::fill(bytes).map_err(io::Error::other)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
