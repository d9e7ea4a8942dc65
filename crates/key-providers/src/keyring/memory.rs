//! What was unwrapped before, and what is being unwrapped now: nobody is asked twice for the same.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use secret::SecretBytes;
use sops::MasterKey;

use crate::provider::ProviderError;

/// All is forgotten when more than this is known.
const MOST: usize = 4096;

/// A key and what it wrapped.
type Name = (MasterKey, String);

/// Answers by what was asked.
#[derive(Default)]
pub(super) struct Memory {
    known: Mutex<HashMap<Name, Arc<Flight>>>,
    asked: AtomicU64,
    saved: AtomicU64,
}

/// One question.
#[derive(Default)]
struct Flight {
    /// Held by whoever asks; the others wait for that answer.
    answer: tokio::sync::Mutex<Option<Arc<SecretBytes>>>,
    /// How often asking failed, and how the last time. Whoever began to wait before that takes it for an answer.
    failed: Mutex<(u64, Vec<ProviderError>)>,
}

impl Memory {
    /// The answer to `name`: from before, from somebody who is asking now, or by `ask`. If whoever asks gives up, the
    /// next one does.
    pub(super) async fn answer(
        &self,
        name: Name,
        ask: impl Future<Output = Result<SecretBytes, Vec<ProviderError>>>,
    ) -> Result<Arc<SecretBytes>, Vec<ProviderError>> {
        let flight = self.flight(name);
        let failures = locked(&flight.failed).0;
        let mut answer = flight.answer.lock().await;
        if let Some(known) = &*answer {
            self.saved.fetch_add(1, Ordering::Relaxed);
            return Ok(known.clone());
        }
        let (later, errors) = locked(&flight.failed).clone();
        if later > failures {
            self.saved.fetch_add(1, Ordering::Relaxed);
            return Err(errors);
        }
        self.asked.fetch_add(1, Ordering::Relaxed);
        match ask.await {
            Ok(plaintext) => Ok(answer.insert(Arc::new(plaintext)).clone()),
            Err(errors) => {
                let mut failed = locked(&flight.failed);
                *failed = (failed.0 + 1, errors.clone());
                Err(errors)
            }
        }
    }

    /// One more question that need not be asked.
    pub(super) fn save(&self) {
        self.saved.fetch_add(1, Ordering::Relaxed);
    }

    /// How many questions were asked, and how many were not, because the answer was there or on its way.
    pub(super) fn economy(&self) -> (u64, u64) {
        (
            self.asked.load(Ordering::Relaxed),
            self.saved.load(Ordering::Relaxed),
        )
    }

    /// Wipes all answers that nobody uses any more.
    pub(super) fn forget(&self) {
        locked(&self.known).clear();
    }

    fn flight(&self, name: Name) -> Arc<Flight> {
        let mut known = locked(&self.known);
        if known.len() >= MOST && !known.contains_key(&name) {
            known.clear();
        }
        known.entry(name).or_default().clone()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::{sleep, timeout};

    fn name(enc: &str) -> Name {
        let key = MasterKey::GcpKms {
            resource_id: "k".to_owned(),
        };
        (key, enc.to_owned())
    }

    async fn opens() -> Result<SecretBytes, Vec<ProviderError>> {
        sleep(Duration::from_millis(50)).await;
        Ok(SecretBytes::copy_from(b"plain"))
    }

    async fn fails() -> Result<SecretBytes, Vec<ProviderError>> {
        sleep(Duration::from_millis(50)).await;
        Err(vec![ProviderError::Unavailable("busy".to_owned())])
    }

    #[tokio::test(start_paused = true)]
    async fn all_who_ask_the_same_share_one_answer() {
        let memory = Memory::default();
        let (one, two) = tokio::join!(
            memory.answer(name("a"), opens()),
            memory.answer(name("a"), opens())
        );
        assert_eq!(one.expect("opens").expose(), b"plain");
        assert!(two.is_ok());
        assert!(memory.answer(name("a"), opens()).await.is_ok());
        assert_eq!(memory.economy(), (1, 2));
        assert!(memory.answer(name("b"), opens()).await.is_ok());
        memory.forget();
        assert!(memory.answer(name("a"), opens()).await.is_ok());
        assert_eq!(memory.economy(), (3, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_for_those_who_wait_for_it_and_not_for_later_ones() {
        let memory = Memory::default();
        let (one, two) = tokio::join!(
            memory.answer(name("a"), fails()),
            memory.answer(name("a"), opens())
        );
        assert!(one.is_err() && two.is_err());
        assert_eq!(memory.economy(), (1, 1));
        assert!(memory.answer(name("a"), opens()).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_leaves_the_question_to_the_next() {
        let memory = Memory::default();
        let impatient = timeout(Duration::from_millis(10), memory.answer(name("a"), opens()));
        let (gone, answered) = tokio::join!(impatient, memory.answer(name("a"), opens()));
        assert!(gone.is_err());
        assert!(answered.is_ok());
        assert_eq!(memory.economy(), (2, 0));
    }
}
