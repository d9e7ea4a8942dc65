//! Being the agent.

use std::fmt::Write as _;
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use secret::SecretBytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, Semaphore};
use tokio::time::{sleep, timeout};

use super::cache::Cache;
use super::wire::{Answer, HEAD, Request, head};

/// Whoever takes longer to say what they want is not waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// So soon after the machine wakes up, keys whose time came while it slept are gone.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// So many are served at once; the others wait.
const MOST: usize = 64;

/// Serves processes of this user on `listener`, holding each key for `keep`, until one of them says stop or `ended` is
/// ready. What it held is wiped then. `started` is told whether the system keeps the keys out of its swap space. Must be
/// called where a runtime with I/O and time is entered.
pub async fn serve(
    listener: UnixListener,
    keep: Duration,
    started: impl FnOnce(bool),
    ended: impl Future<Output = ()>,
) {
    let cache = Cache::new(keep);
    started(cache.is_locked());
    let agent = Arc::new(Serving {
        cache: Mutex::new(cache),
        changed: Notify::new(),
        stopped: Notify::new(),
    });
    let places = Arc::new(Semaphore::new(MOST));
    let accept = async {
        loop {
            let place = places.clone().acquire_owned().await;
            let Ok((stream, _)) = listener.accept().await else {
                // Out of file descriptors: somebody will hang up.
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            };
            let agent = agent.clone();
            tokio::spawn(async move {
                // Who breaks off or says nonsense is only hung up on.
                let _ = timeout(PATIENCE, agent.answer(stream)).await;
                drop(place);
            });
        }
    };
    tokio::select! {
        () = accept => {}
        () = agent.expire() => {}
        () = agent.stopped.notified() => {}
        () = ended => {}
    }
    agent.cache().wipe();
}

/// A clock that goes on while the machine sleeps.
fn now() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    let (seconds, nanoseconds) = (u64::try_from(now.tv_sec), u32::try_from(now.tv_nsec));
    Duration::new(seconds.unwrap_or_default(), nanoseconds.unwrap_or_default())
}

struct Serving {
    cache: Mutex<Cache>,
    /// Keys came.
    changed: Notify,
    stopped: Notify,
}

impl Serving {
    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends keys on time, whether or not anybody asks for them. Never done.
    async fn expire(&self) {
        loop {
            let now = now();
            let next = self.cache().expire(now);
            // The runtime's clock stands still while the machine sleeps: it is not relied on for long.
            let wait = next.map_or(LONGEST_WAIT, |next| LONGEST_WAIT.min(next.saturating_sub(now)));
            let wait = sleep(wait);
            tokio::select! {
                () = wait => {}
                () = self.changed.notified() => {}
            }
        }
    }

    async fn answer(&self, mut stream: UnixStream) -> io::Result<()> {
        if stream.peer_cred()?.uid() != rustix::process::geteuid().as_raw() {
            return Ok(());
        }
        let mut start = [0; HEAD];
        stream.read_exact(&mut start).await?;
        let (operation, mut rest) = head(start)?;
        stream.read_exact(rest.expose_mut()).await?;
        let request = Request::parse(operation, &rest)?;
        let ends = matches!(request, Request::Stop);
        let answer = self.fulfil(request).bytes();
        stream.write_all(answer.expose()).await?;
        if ends {
            self.stopped.notify_one();
            // The connection ends with the agent, so that whoever ended it sees when it has gone.
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    fn fulfil(&self, request: Request) -> Answer {
        let (mut cache, now) = (self.cache(), now());
        let mut yes = true;
        let rest = match request {
            Request::Get(mark) => {
                let key = cache.get(&mark, now);
                yes = key.is_some();
                key.unwrap_or_default()
            }
            Request::Put { mark, name, key } => {
                cache.put(mark, name, key.expose(), now);
                self.changed.notify_one();
                SecretBytes::default()
            }
            Request::Status => {
                let mut lines = String::new();
                for kept in cache.kept(now) {
                    let name: String = kept.name.chars().filter(|sign| !sign.is_control()).collect();
                    let _ = writeln!(lines, "{} {} {name}", kept.left.as_secs(), kept.uses);
                }
                yes = cache.is_locked();
                SecretBytes::new(lines.into_bytes())
            }
            Request::Lock | Request::Stop => {
                cache.wipe();
                SecretBytes::default()
            }
        };
        Answer { yes, rest }
    }
}
