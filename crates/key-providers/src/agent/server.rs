//! Being the agent.

use std::fmt::Write as _;
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use secret::SecretBytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, sleep_until, timeout};

use super::cache::Cache;
use super::wire::{Answer, HEAD, Request, head};

/// Whoever takes longer to say what they want is not waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// So many are served at once; the others wait.
const MOST: usize = 64;

/// Serves processes of this user on `listener`, holding each key for `keep`, until one of them says stop or `ended` is
/// ready. What it held is wiped then. Must be called where a runtime with I/O and time is entered.
pub async fn serve(listener: UnixListener, keep: Duration, ended: impl Future<Output = ()>) {
    let agent = Arc::new(Serving {
        cache: Mutex::new(Cache::new(keep)),
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
            let next = self.cache().expire(Instant::now().into_std());
            let wait = async {
                match next {
                    Some(next) => sleep_until(next.into()).await,
                    None => std::future::pending().await,
                }
            };
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
        let (mut cache, now) = (self.cache(), Instant::now().into_std());
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
