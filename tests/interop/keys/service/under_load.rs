//! CC-07: 200 clients at a time, some of them slow, some of them killed.

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use key_providers::key_service::{Endpoint, KeyService};
use key_providers::{KeyProvider as _, Network};

use super::age_key;
use super::running::{Service, age, wait};
use crate::keys::{program, seal};
use crate::scene::{Result, Scene};

const CLIENTS: usize = 200;
const REQUESTS: usize = 5;
/// A client asks once in so long, not all of them at the same moment.
const PACE: Duration = Duration::from_millis(800);
const LIMIT: Duration = Duration::from_millis(100);

#[test]
fn two_hundred_clients_get_their_own_keys_in_time() -> Result {
    let scene = Scene::with_identities("{}\n", &[])?;
    let key = age_key()?;
    let path = scene.path("s.sock");
    let address = path.to_str().ok_or("not UTF-8")?;
    let service = Service::start(
        program(&scene, seal(), Some(&key))?,
        &["keyservice", "--address", address],
        format!("unix://{address}"),
    )?;
    let over = AtomicBool::new(false);
    let mut best = Duration::MAX;
    std::thread::scope(|scope| -> Result {
        scope.spawn(|| disturb(&path, &over));
        // What else runs on the machine is none of its business: the best of three.
        for _ in 0..3 {
            let measured = round(&service, &key.recipient);
            best = match measured {
                Ok(p99) => best.min(p99),
                Err(error) => {
                    over.store(true, Ordering::SeqCst);
                    return Err(error);
                }
            };
            if best < LIMIT {
                break;
            }
        }
        over.store(true, Ordering::SeqCst);
        Ok(())
    })?;
    assert!(best < LIMIT, "p99 is {best:?}");
    Ok(())
}

/// All clients, each with a connection and a data key of its own; the 99th of 100 times.
fn round(service: &Service, recipient: &str) -> Result<Duration> {
    let (network, key) = (Network::default(), age(recipient));
    let endpoint = Endpoint::parse(&service.endpoint)?;
    let clients: Vec<KeyService> = (0..CLIENTS)
        .map(|_| KeyService::new(endpoint.clone(), None, network.clone()))
        .collect();
    let one = |number: usize| {
        let (client, key) = (&clients[number], &key);
        async move {
            let tag = format!("{number:032}");
            let enc = client.wrap(key, tag.as_bytes()).await?;
            tokio::time::sleep(PACE * u32::try_from(number)? / u32::try_from(CLIENTS)?).await;
            let mut times = Vec::new();
            for _ in 0..REQUESTS {
                let begin = Instant::now();
                let plaintext = client.unwrap(key, &enc).await?;
                times.push(begin.elapsed());
                if plaintext.expose() != tag.as_bytes() {
                    return Err(format!("client {number} got another key").into());
                }
                tokio::time::sleep(PACE).await;
            }
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(times)
        }
    };
    let all = wait(async {
        let mut running: Vec<_> = (0..CLIENTS).map(|number| Box::pin(one(number))).collect();
        let mut done = Vec::new();
        std::future::poll_fn(|context| {
            running.retain_mut(|client| match client.as_mut().poll(context) {
                std::task::Poll::Ready(times) => {
                    done.push(times);
                    false
                }
                std::task::Poll::Pending => true,
            });
            match running.is_empty() {
                true => std::task::Poll::Ready(()),
                false => std::task::Poll::Pending,
            }
        })
        .await;
        done
    });
    let mut times = Vec::new();
    for client in all {
        times.extend(client?);
    }
    assert_eq!(times.len(), CLIENTS * REQUESTS);
    times.sort();
    Ok(times[times.len() * 99 / 100])
}

/// Clients that say nothing, half of something, or something and then are gone, as long as the others work.
fn disturb(path: &std::path::Path, over: &AtomicBool) {
    let half: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\xff\x01";
    let mut held = Vec::new();
    while !over.load(Ordering::SeqCst) {
        for bytes in [&b""[..], &half[..10], half] {
            if let Ok(mut stream) = UnixStream::connect(path) {
                let _ = stream.write_all(bytes);
                held.push(stream);
            }
        }
        // Some are gone at once, some stay until the service has had enough.
        if held.len() > 100 {
            held.drain(..50);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
