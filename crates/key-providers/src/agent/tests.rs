//! An agent and those who ask it, over a real socket.

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use secret::SecretBytes;
use sops::MasterKey;
use tokio::sync::oneshot;

use super::*;

const KEEP: Duration = Duration::from_secs(600);

fn age(recipient: &str) -> MasterKey {
    MasterKey::Age {
        recipient: recipient.to_owned(),
    }
}

/// An agent in a thread of its own; what ends it, and when it has ended.
fn start(path: &Path, keep: Duration) -> (oneshot::Sender<()>, JoinHandle<()>) {
    let (listener, file) = crate::socket::bind(path).expect("bound");
    listener.set_nonblocking(true).expect("set");
    let (end, ended) = oneshot::channel::<()>();
    let serving = std::thread::spawn(move || {
        let _file = file;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async move {
            let listener = tokio::net::UnixListener::from_std(listener).expect("registered");
            serve(listener, keep, |_| (), async { drop(ended.await) }).await;
        });
    });
    (end, serving)
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("agent.sock");
    (folder, path)
}

#[test]
fn what_was_given_is_held_until_it_is_locked() {
    let (_folder, path) = place();
    let agent = Agent::at(&path);
    assert!(matches!(agent.get(&age("a"), "enc"), Err(AgentError::None)));
    let (_end, serving) = start(&path, KEEP);

    assert!(agent.get(&age("a"), "enc").expect("answers").is_none());
    let key = SecretBytes::copy_from(&[7; 32]);
    agent.put(&age("a"), "enc", &key).expect("takes it");
    let held = agent.get(&age("a"), "enc").expect("answers").expect("held");
    assert_eq!(held.expose(), key.expose());
    // Another key, another wrapped text, or a field that moves into its neighbour is another entry.
    assert!(agent.get(&age("b"), "enc").expect("answers").is_none());
    assert!(agent.get(&age("a"), "en").expect("answers").is_none());
    assert!(agent.get(&age("ae"), "nc").expect("answers").is_none());
    let (kept, _) = agent.status().expect("answers");
    assert_eq!(kept.len(), 1);
    assert_eq!((kept[0].name.as_str(), kept[0].uses), ("age a", 1));
    assert!(kept[0].left <= KEEP && kept[0].left > KEEP / 2);

    // Nonsense is hung up on, and those who say nothing hold up nobody.
    let silent: Vec<_> = (0..10)
        .map(|_| UnixStream::connect(&path).expect("connected"))
        .collect();
    let mut odd = UnixStream::connect(&path).expect("connected");
    odd.write_all(&[9; 64]).expect("sent");
    assert!(agent.get(&age("a"), "enc").expect("answers").is_some());
    drop(silent);

    agent.lock().expect("answers");
    assert!(agent.get(&age("a"), "enc").expect("answers").is_none());
    agent.stop().expect("answers");
    serving.join().expect("no panic");
    assert!(!path.exists());
}

#[test]
fn a_key_ends_by_itself() {
    let (_folder, path) = place();
    let agent = Agent::at(&path);
    let (end, serving) = start(&path, Duration::from_millis(200));
    let key = SecretBytes::copy_from(&[7; 32]);
    agent.put(&age("a"), "enc", &key).expect("takes it");
    std::thread::sleep(Duration::from_millis(400));
    assert!(agent.get(&age("a"), "enc").expect("answers").is_none());
    end.send(()).expect("it listens");
    serving.join().expect("no panic");
}
