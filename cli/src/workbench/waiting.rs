//! Waiting for the holders of keys: without keeping others from their work, and not without a word.

use std::fmt::Write as _;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use sops::{KeyKind, MasterKey};
use tokio::runtime::{Builder, Runtime};

use super::crew::Member;
use crate::error::{Code, Error, Result};
use crate::ui::{Manner, Ui};

/// Whoever waits longer for a server is told so.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a workbench waits with.
pub(super) struct Waiting {
    runtime: Runtime,
    manner: Manner,
    /// Set where others are at work as well.
    pub(super) crew: Option<Member>,
}

impl Waiting {
    pub(super) fn new(manner: Manner) -> Result<Self> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|cause| Error::new(Code::Generic, "cannot start").cause(&cause))?;
        Ok(Self {
            runtime,
            manner,
            crew: None,
        })
    }

    /// Waits for `answer`, in which the holders of `keys` have a say.
    pub(super) fn for_keys<'k, T>(
        &self,
        keys: impl Iterator<Item = &'k MasterKey>,
        answer: impl Future<Output = T>,
    ) -> T {
        self.block_on(|| names(keys), answer)
    }

    /// Waits for `answer`, which `whom` gives.
    pub(super) fn block_on<T>(&self, whom: impl FnOnce() -> String, answer: impl Future<Output = T>) -> T {
        self.runtime.block_on(async {
            let mut answer = pin!(answer);
            // What this thread finds by itself is work, not waiting.
            let at_once = poll_fn(|context| match answer.as_mut().poll(context) {
                Poll::Ready(answer) => Poll::Ready(Some(answer)),
                Poll::Pending => Poll::Ready(None),
            });
            if let Some(answer) = at_once.await {
                return answer;
            }
            let _away = self.crew.as_ref().map(Member::away);
            match tokio::time::timeout(PATIENCE, &mut answer).await {
                Ok(answer) => answer,
                Err(_) => {
                    self.tell(&whom());
                    answer.await
                }
            }
        })
    }

    /// Says for whom one waits. With a crew there is progress to be seen.
    fn tell(&self, text: &str) {
        if !text.is_empty() && self.crew.is_none() && !self.manner.quiet && !self.manner.json {
            Ui::new(self.manner).notice(&format!("waiting for {text}"));
        }
    }
}

/// Keys that others hold.
fn names<'k>(keys: impl Iterator<Item = &'k MasterKey>) -> String {
    let mut text = String::new();
    for key in keys.filter(|key| !matches!(key.key_kind(), KeyKind::Age | KeyKind::Pgp)) {
        let _ = write!(text, "{}{key}", if text.is_empty() { "" } else { ", " });
    }
    text
}
