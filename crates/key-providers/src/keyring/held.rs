//! The agent behind which a keyring stands.

use std::sync::atomic::{AtomicBool, Ordering};

use secret::SecretBytes;
use sops::MasterKey;

use super::Keyring;
use crate::agent::{Agent, AgentError};

/// An agent that is asked until it does not answer: then it is left alone for the rest of the run.
pub(super) struct Held {
    agent: Agent,
    gone: AtomicBool,
}

impl Keyring {
    /// The same keyring behind an agent, which is asked before any provider, and given what they answer.
    #[must_use]
    pub fn behind(mut self, agent: Option<Agent>) -> Self {
        self.agent = agent.map(Held::new);
        self
    }
}

impl Held {
    fn new(agent: Agent) -> Self {
        Self {
            agent,
            gone: AtomicBool::new(false),
        }
    }

    pub(super) fn get(&self, key: &MasterKey, enc: &str) -> Option<SecretBytes> {
        self.ask(|agent| agent.get(key, enc)).flatten()
    }

    pub(super) fn put(&self, key: &MasterKey, enc: &str, plaintext: &SecretBytes) {
        self.ask(|agent| agent.put(key, enc, plaintext));
    }

    fn ask<T>(&self, ask: impl FnOnce(&Agent) -> Result<T, AgentError>) -> Option<T> {
        if self.gone.load(Ordering::Relaxed) {
            return None;
        }
        let answer = ask(&self.agent);
        if answer.is_err() {
            self.gone.store(true, Ordering::Relaxed);
        }
        answer.ok()
    }
}
