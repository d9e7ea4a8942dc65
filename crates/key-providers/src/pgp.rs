//! PGP: fingerprints, worked with by the program `gpg`, its agent, its smartcards and its pinentry.
//!
//! There is no OpenPGP in here: whoever keeps PGP keys keeps them in GnuPG. The program gets an argument vector, a
//! message on its standard input, and none of our key variables; what it prints is bounded, and so is its time. Of
//! what it says about failures only the machine-readable part is told on, in our words.
//!
//! Unlike sops, which calls every recipient its own with `--trusted-key` (and so has the trust database checked),
//! this one asks for the very key that the fingerprint names without a look at trust: the rule that names it is what
//! says that it is the right one.

mod status;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use secret::SecretBytes;
use sops::MasterKey;
use tokio::sync::Mutex;

use crate::process::{self, Finished};
use crate::provider::{Answer, Inventory, KeyProvider, ProviderError};
use status::Status;

/// Longer messages are refused, in bytes. SOPS writes about 500 to 1,000.
const MAX_LEN: usize = 64 * 1024;
const BEGIN: &str = "-----BEGIN PGP MESSAGE-----";
/// A person may have to find a card, touch it and type a PIN.
const TIME_LIMIT: Duration = Duration::from_secs(300);

/// How to reach GnuPG.
#[derive(Clone, Debug)]
pub struct Gpg {
    /// The program, by name or by path (`SOPS_GPG_EXEC`, else `gpg`).
    pub program: OsString,
    /// Where a name is looked for (`PATH`).
    pub search_path: Option<OsString>,
    /// GnuPG's folder, if it is not the usual one (`GNUPGHOME`). GnuPG finds it by itself; here it is for reports.
    pub home: Option<PathBuf>,
    /// The terminal on which a pinentry may ask, if `GPG_TTY` does not say. GnuPG would look at its standard input,
    /// where it finds the message.
    pub terminal: Option<OsString>,
    /// How long one run may take, persons included.
    pub time_limit: Duration,
}

impl Gpg {
    /// What the environment that `lookup` answers for says, as SOPS reads it. An empty variable counts as not set.
    pub fn from_env(lookup: &dyn Fn(&str) -> Option<OsString>) -> Self {
        let set = |name: &str| lookup(name).filter(|value| !value.is_empty());
        Self {
            program: set("SOPS_GPG_EXEC").unwrap_or_else(|| "gpg".into()),
            search_path: set("PATH"),
            home: set("GNUPGHOME").map(PathBuf::from),
            terminal: None,
            time_limit: TIME_LIMIT,
        }
    }

    /// Whether a terminal should be named: nobody did so far.
    pub fn wants_terminal(lookup: &dyn Fn(&str) -> Option<OsString>) -> bool {
        lookup("GPG_TTY").is_none_or(|value| value.is_empty())
    }

    async fn run(&self, arguments: &[&str], input: &[u8]) -> Result<Finished, ProviderError> {
        let name = self.program.to_string_lossy();
        let program = process::find_program(&self.program, self.search_path.as_deref()).ok_or_else(|| {
            ProviderError::NotUsable(format!(
                "{name} is in no absolute folder of PATH; install GnuPG, or name the program in SOPS_GPG_EXEC"
            ))
        })?;
        let mut command = process::command(&program);
        // Status lines beside the messages for people: a wrapper need not pass on more than the usual three streams.
        command.args(["--status-fd", "2"].iter().chain(arguments));
        command.stderr(Stdio::piped());
        if let Some(terminal) = &self.terminal {
            command.env("GPG_TTY", terminal);
        }
        process::run(command, input, self.time_limit)
            .await
            .map_err(|fault| match fault {
                process::Fault::Start(_) => ProviderError::NotUsable(format!("{name} {fault}")),
                _ => ProviderError::Unavailable(format!("{name} {fault}")),
            })
    }
}

/// Works with all entries of the list `pgp`.
pub struct PgpProvider {
    gpg: Gpg,
    /// Locked while a message is opened, so that never two pinentries ask at once.
    opening: Mutex<()>,
}

impl PgpProvider {
    /// A provider that starts the program when it is first needed.
    pub fn new(gpg: Gpg) -> Self {
        Self {
            gpg,
            opening: Mutex::default(),
        }
    }

    async fn seal(&self, fingerprint: &str, plaintext: &[u8]) -> Result<String, ProviderError> {
        let recipient = recipient(fingerprint)?;
        let arguments = [
            "--batch",
            "--yes",
            "--no-default-recipient",
            "--no-encrypt-to",
            "--trust-model",
            "always",
            "--armor",
            "--recipient",
            recipient,
            "--encrypt",
        ];
        let finished = self.gpg.run(&arguments, plaintext).await?;
        if !finished.status.success() {
            return Err(Status::read(&finished.stderr).of_sealing(&finished.status));
        }
        let text = std::str::from_utf8(finished.stdout.expose()).unwrap_or_default();
        let text = text.trim_ascii();
        match text.starts_with(BEGIN) {
            true => Ok(text.replace('\r', "")),
            false => Err(ProviderError::Unavailable("gpg printed no message".to_owned())),
        }
    }

    async fn open(&self, enc: &str) -> Result<SecretBytes, ProviderError> {
        if enc.len() > MAX_LEN {
            return Err(ProviderError::Damaged(format!(
                "it is longer than {MAX_LEN} bytes"
            )));
        }
        if !enc.trim_ascii_start().starts_with(BEGIN) {
            return Err(ProviderError::Damaged(
                "it does not start with the BEGIN line of a PGP message".to_owned(),
            ));
        }
        let _opening = self.opening.lock().await;
        // Not --batch: where the configuration says so, it is gpg itself that asks for the passphrase.
        let finished = self.gpg.run(&["--decrypt"], enc.as_bytes()).await?;
        let status = Status::read(&finished.stderr);
        if !finished.status.success() {
            return Err(status.of_opening(&finished.status, || Arc::new(self.inventory())));
        }
        // An old gpg drops packets that it does not know and calls it a success; and it prints what was never
        // encrypted, too.
        if finished.stdout.is_empty() || !status.may_be_opened() {
            return Err(ProviderError::Damaged(
                "gpg found no encrypted data in it".to_owned(),
            ));
        }
        Ok(finished.stdout)
    }

    fn inventory(&self) -> Inventory {
        let place = match &self.gpg.home {
            Some(home) => format!("the secret keys of gpg (GNUPGHOME {})", home.display()),
            None => "the secret keys of gpg".to_owned(),
        };
        Inventory {
            empty: vec![place],
            ..Inventory::default()
        }
    }
}

impl KeyProvider for PgpProvider {
    fn name(&self) -> &'static str {
        "pgp"
    }

    fn handles(&self, key: &MasterKey) -> bool {
        matches!(key, MasterKey::Pgp { .. })
    }

    fn wrap<'a>(&'a self, key: &'a MasterKey, plaintext: &'a [u8]) -> Answer<'a, String> {
        Box::pin(async move { self.seal(fingerprint_of(key)?, plaintext).await })
    }

    fn unwrap<'a>(&'a self, key: &'a MasterKey, enc: &'a str) -> Answer<'a, SecretBytes> {
        Box::pin(async move {
            fingerprint_of(key)?;
            self.open(enc).await
        })
    }
}

fn fingerprint_of(key: &MasterKey) -> Result<&str, ProviderError> {
    match key {
        MasterKey::Pgp { fingerprint } => Ok(fingerprint),
        other => Err(ProviderError::Unsupported(format!("{} keys", other.kind()))),
    }
}

/// A fingerprint (version 4 or 5) or a long key ID, in hexadecimal; `!` behind it means this very subkey. Nothing
/// that could be an option, a name or an address gets through.
fn recipient(fingerprint: &str) -> Result<&str, ProviderError> {
    let digits = fingerprint.strip_suffix('!').unwrap_or(fingerprint);
    let digits = digits.strip_prefix("0x").unwrap_or(digits);
    let invalid = |reason: &str| Err(ProviderError::InvalidKey(reason.to_owned()));
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return invalid("a fingerprint is hexadecimal");
    }
    match digits.len() {
        16 | 40 | 64 => Ok(fingerprint),
        8 => invalid("a short key ID can belong to anybody; give the whole fingerprint"),
        _ => invalid("a fingerprint has 40 digits (or 64, or 16 for a long key ID)"),
    }
}

#[cfg(all(test, unix))]
mod tests;
