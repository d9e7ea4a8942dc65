//! Where network calls run: one thread with a runtime of its own, started with the first call.
//!
//! A pooled connection belongs to the runtime that opened it, and moves on only while that one is polled. Callers come
//! from several threads, each with a runtime that is polled only while it waits, so none of theirs would do.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::provider::ProviderError;

/// For so long after a call that nobody answered, a server is not asked again: a thousand files do not wait a thousand
/// times for a dead one.
const REST: Duration = Duration::from_secs(30);

/// The thread, shared by all providers that were given a clone.
#[derive(Clone, Default)]
pub struct Network(Arc<Shared>);

#[derive(Default)]
struct Shared {
    running: Mutex<Option<Running>>,
    /// Servers that did not answer: when that was, and what was said of it.
    silent: Mutex<HashMap<String, (Instant, String)>>,
}

/// A runtime that ends when this is dropped.
struct Running {
    handle: Handle,
    _end: oneshot::Sender<()>,
}

impl Network {
    /// Does `work`, which asks `server`, on the network's thread. Dropping the answer cancels it.
    ///
    /// # Errors
    /// That of `work`; [`ProviderError::Unreachable`] without doing it if `server` could not be reached a short while
    /// ago; and [`ProviderError::Unavailable`] if the system gives no thread.
    pub async fn run<T: Send + 'static>(
        &self,
        server: &str,
        work: impl Future<Output = Result<T, ProviderError>> + Send + 'static,
    ) -> Result<T, ProviderError> {
        if let Some(said) = self.silent(server) {
            return Err(ProviderError::Unreachable(said));
        }
        let failed = || ProviderError::Unavailable("the thread for network calls cannot run".to_owned());
        let task = self.handle().ok_or_else(failed)?.spawn(work);
        let _cancel = Cancel(task.abort_handle());
        let answer = task.await.map_err(|_| failed())?;
        if let Err(ProviderError::Unreachable(said)) = &answer {
            let since = (Instant::now(), said.clone());
            locked(&self.0.silent).insert(server.to_owned(), since);
        }
        answer
    }

    /// What was said of a server that is left alone for now.
    fn silent(&self, server: &str) -> Option<String> {
        let mut silent = locked(&self.0.silent);
        let (since, said) = silent.get(server)?;
        if since.elapsed() < REST {
            return Some(said.clone());
        }
        silent.remove(server);
        None
    }

    fn handle(&self) -> Option<Handle> {
        let mut running = locked(&self.0.running);
        if running.is_none() {
            *running = start();
        }
        Some(running.as_ref()?.handle.clone())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Cancels a task when it is dropped; a finished one is past that.
struct Cancel(AbortHandle);

impl Drop for Cancel {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn start() -> Option<Running> {
    let runtime = Builder::new_current_thread().enable_all().build().ok()?;
    let handle = runtime.handle().clone();
    let (end, ended) = oneshot::channel::<()>();
    let serve = move || {
        // The other end is never used, only dropped.
        let _ = runtime.block_on(ended);
    };
    std::thread::Builder::new()
        .name("network".into())
        .spawn(serve)
        .ok()?;
    Some(Running { handle, _end: end })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::time::Duration;

    /// Ended or dropped.
    struct Over(Arc<AtomicBool>);

    impl Drop for Over {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    #[test]
    fn work_goes_on_while_no_caller_is_polled() {
        let network = Network::default();
        let caller = Builder::new_current_thread().build().expect("a runtime");
        let (send, receive) = std::sync::mpsc::channel();
        let both = async {
            let background = network.run("here", async move {
                tokio::time::sleep(Duration::from_millis(20)).await;
                send.send(()).expect("somebody listens");
                Ok(())
            });
            // Polled once, then left alone.
            let mut background = Box::pin(background);
            std::future::poll_fn(|context| {
                assert!(background.as_mut().poll(context).is_pending());
                std::task::Poll::Ready(())
            })
            .await;
            receive.recv_timeout(Duration::from_secs(10)).expect("it went on");
            background.await
        };
        assert!(caller.block_on(both).is_ok());
    }

    #[test]
    fn a_server_that_does_not_answer_is_left_alone_for_a_while() {
        let network = Network::default();
        let caller = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        let calls = Arc::new(AtomicUsize::new(0));
        let call = |server: &'static str, error: fn(String) -> ProviderError| {
            let calls = calls.clone();
            let work = async move {
                calls.fetch_add(1, Ordering::SeqCst);
                Err::<(), _>(error("no way".to_owned()))
            };
            let answer = caller.block_on(network.run(server, work));
            answer.expect_err("it fails").to_string()
        };
        assert_eq!(call("busy", ProviderError::Unavailable), "no way");
        assert_eq!(call("busy", ProviderError::Unavailable), "no way");
        assert_eq!(
            calls.load(Ordering::SeqCst),
            2,
            "a busy server is asked each time"
        );
        for _ in 0..3 {
            assert_eq!(call("dead", ProviderError::Unreachable), "no way");
        }
        assert_eq!(calls.load(Ordering::SeqCst), 3, "a dead one once");
        caller.block_on(tokio::time::advance(REST));
        call("dead", ProviderError::Unreachable);
        assert_eq!(calls.load(Ordering::SeqCst), 4, "and later once more");
    }

    #[test]
    fn a_dropped_answer_ends_the_work() {
        let network = Network::default();
        let caller = Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
        let over = Arc::new(AtomicBool::new(false));
        let mark = Over(over.clone());
        let forever = network.run("here", async move {
            let _mark = mark;
            std::future::pending::<Result<(), ProviderError>>().await
        });
        let short = async { tokio::time::timeout(Duration::from_millis(20), forever).await };
        assert!(caller.block_on(short).is_err());
        for _ in 0..1000 {
            if over.load(Ordering::SeqCst) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("it still runs");
    }
}
