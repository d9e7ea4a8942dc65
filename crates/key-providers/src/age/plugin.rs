//! Plugins: recipients `age1NAME1...` and identities `AGE-PLUGIN-NAME-1...` that a program `age-plugin-NAME` works
//! with (C2SP age-plugin, version 1).
//!
//! The `age` crate has a client as well. This one differs in that it looks for programs in absolute folders only,
//! hands them none of our key variables, gives up on one that says nothing, and ends it when its answer is not wanted
//! any more.
//!
//! Reading a text starts nothing. A program is started for an identity, which its owner configured, or to wrap for a
//! recipient; whether a recipient that stands in a file may be wrapped for is the caller's to decide.

mod session;

use std::collections::HashSet;
use std::ffi::OsStr;
use std::sync::{Mutex, PoisonError, mpsc};

use ::age::EncryptError;
use age_core::format::{FILE_KEY_BYTES, FileKey, Stanza};
use age_core::primitives::bech32_decode;
use age_core::secrecy::ExposeSecret as _;
use secret::SecretBytes;
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use super::entry;
use super::recipient::{fault, is_plugin_name};
use crate::{Prompt, ProviderError, process};
use session::{Message, Session};

/// Someone to wrap for through a plugin.
pub(super) struct Recipient {
    name: String,
    text: String,
}

/// An identity that a plugin works with.
pub(super) struct Identity {
    name: String,
    text: Zeroizing<String>,
}

impl Recipient {
    /// Reads a recipient of the plugin `name`; what its data mean, the plugin knows.
    pub(super) fn parse(name: String, text: &str) -> Result<Self, &'static str> {
        bech32_decode(text, |_| fault(text), |_| Ok(()), |_, _| Ok(()))?;
        let text = text.to_owned();
        Ok(Self { name, text })
    }
}

impl Identity {
    /// Reads `AGE-PLUGIN-NAME-1...`.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let name = bech32_decode(
            text,
            |_| fault(text),
            |_| Ok(()),
            |prefix, _| {
                let prefix = prefix.as_str();
                let name = prefix
                    .strip_prefix("AGE-PLUGIN-")
                    .and_then(|rest| rest.strip_suffix('-'));
                Ok(name.map(str::to_ascii_lowercase))
            },
        )?;
        let name = name.filter(|name| is_plugin_name(name));
        Ok(Self {
            name: name.ok_or("it does not name a plugin")?,
            text: Zeroizing::new(text.to_owned()),
        })
    }

    /// How it is called in reports: its text is its owner's.
    pub(super) fn name(&self) -> String {
        format!("an identity of the plugin {}", self.name)
    }
}

/// Where plugins are looked for, and whom they may ask.
pub(super) struct Plugins<'a> {
    pub(super) search_path: Option<&'a OsStr>,
    pub(super) prompt: &'a dyn Prompt,
}

impl Plugins<'_> {
    /// A new age file for `recipient`.
    pub(super) async fn seal(
        &self,
        recipient: &Recipient,
        plaintext: &[u8],
    ) -> Result<String, ProviderError> {
        // The age crate invents the file key and wants its stanzas before it goes on, so it waits on a thread of its
        // own while the plugin is asked here.
        let (ask, asked) = oneshot::channel();
        let (answer, answered) = mpsc::sync_channel(1);
        let bridge = Bridge {
            ask: Mutex::new(Some(ask)),
            answered: Mutex::new(answered),
        };
        let plaintext = SecretBytes::copy_from(plaintext);
        let sealing = tokio::task::spawn_blocking(move || entry::seal(&bridge, plaintext.expose()));
        if let Ok(file_key) = asked.await {
            // If nobody listens any more, what went wrong there is told below.
            let _ = answer.send(self.wrap(recipient, &file_key).await);
        }
        sealing
            .await
            .unwrap_or_else(|_| Err(ProviderError::Unavailable("sealing was cut off".to_owned())))
    }

    async fn wrap(&self, recipient: &Recipient, file_key: &FileKey) -> Result<Stanzas, ProviderError> {
        let refused = |reason| ProviderError::Unavailable(format!("age-plugin-{}: {reason}", recipient.name));
        let mut session = self.start(&recipient.name, "recipient-v1")?;
        let mut stanzas = Stanzas::default();
        let dialogue = async {
            session.send("add-recipient", &[&recipient.text], &[]).await?;
            session
                .send("wrap-file-key", &[], file_key.expose_secret())
                .await?;
            session.send("extension-labels", &[], &[]).await?;
            session.send("done", &[], &[]).await?;
            session
                .converse(self.prompt, |message| match message {
                    Message::Stanza(stanza) => stanzas.list.push(stanza),
                    Message::Labels(labels) => stanzas.labels.extend(labels),
                    Message::FileKey(_) => {}
                })
                .await
        };
        dialogue.await.map_err(refused)?;
        match stanzas.list.is_empty() {
            false => Ok(stanzas),
            true => Err(refused("it wrapped nothing".to_owned())),
        }
    }

    /// The file key that one of `stanzas` holds for `identity`, if any does.
    pub(super) async fn unwrap(
        &self,
        identity: &Identity,
        stanzas: &[Stanza],
    ) -> Result<Option<FileKey>, String> {
        let mut session = self
            .start(&identity.name, "identity-v1")
            .map_err(|error| error.to_string())?;
        session.send("add-identity", &[&identity.text], &[]).await?;
        for stanza in stanzas {
            let mut args = vec!["0", &stanza.tag];
            args.extend(stanza.args.iter().map(String::as_str));
            session.send("recipient-stanza", &args, &stanza.body).await?;
        }
        session.send("done", &[], &[]).await?;
        let mut found = None;
        session
            .converse(self.prompt, |message| {
                if let Message::FileKey(key) = message {
                    found = <[u8; FILE_KEY_BYTES]>::try_from(key.as_slice()).ok();
                }
            })
            .await?;
        let found = found.map(Zeroizing::new);
        Ok(found.map(|found| FileKey::init_with_mut(|key| key.copy_from_slice(&*found))))
    }

    fn start(&self, name: &str, state: &str) -> Result<Session, ProviderError> {
        let program = format!("age-plugin-{name}");
        let found = process::find_program(program.as_ref(), self.search_path).ok_or_else(|| {
            ProviderError::NotUsable(format!(
                "{program} is in no absolute folder of PATH; install the plugin"
            ))
        })?;
        Session::start(&found, state, &program)
            .map_err(|reason| ProviderError::Unavailable(format!("{program}: {reason}")))
    }
}

/// What a plugin wraps a file key in.
#[derive(Default)]
struct Stanzas {
    list: Vec<Stanza>,
    labels: HashSet<String>,
}

/// Carries the file key to the plugin and the stanzas back.
struct Bridge {
    ask: Mutex<Option<oneshot::Sender<FileKey>>>,
    answered: Mutex<mpsc::Receiver<Result<Stanzas, ProviderError>>>,
}

impl ::age::Recipient for Bridge {
    fn wrap_file_key(&self, file_key: &FileKey) -> Result<(Vec<Stanza>, HashSet<String>), EncryptError> {
        let gone = || ProviderError::Unavailable("the plugin is not waited for any more".to_owned());
        let answer = || {
            let ask = self.ask.lock().unwrap_or_else(PoisonError::into_inner).take();
            let key = FileKey::init_with_mut(|key| key.copy_from_slice(file_key.expose_secret()));
            ask.ok_or_else(gone)?.send(key).map_err(|_| gone())?;
            let answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
            answered.recv().map_err(|_| gone())?
        };
        let stanzas = answer().map_err(|error| EncryptError::Io(std::io::Error::other(error)))?;
        Ok((stanzas.list, stanzas.labels))
    }
}

#[cfg(all(test, unix))]
mod tests;
