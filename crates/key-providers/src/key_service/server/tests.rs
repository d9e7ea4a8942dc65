use super::*;
use crate::key_service::{ClientTls, Endpoint, KeyService, Outcome, TlsFiles, client_tls, server_tls};
use crate::network::Network;
use crate::provider::{Answer, Inventory, KeyProvider};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::oneshot;

/// Answers as a PGP key's fingerprint says, and counts how often it was asked and how many calls ran at a time.
#[derive(Default)]
struct Scripted {
    asked: AtomicUsize,
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Scripted {
    async fn work(&self, key: &MasterKey) -> Result<(), ProviderError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        let name = key.to_string();
        match name.split('-').next().unwrap_or("") {
            "hangs" => std::future::pending().await,
            "slow" => tokio::time::sleep(Duration::from_millis(300)).await,
            "blocks" => std::thread::sleep(Duration::from_millis(300)),
            "panics" => panic!("as told"),
            _ => {}
        }
        self.now.fetch_sub(1, Ordering::SeqCst);
        match name.as_str() {
            "none" => Err(ProviderError::NoIdentity(Arc::new(Inventory::default()))),
            _ => Ok(()),
        }
    }
}

impl KeyProvider for Arc<Scripted> {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn handles(&self, key: &MasterKey) -> bool {
        matches!(key, MasterKey::Pgp { .. })
    }

    fn wrap<'a>(&'a self, key: &'a MasterKey, plaintext: &'a [u8]) -> Answer<'a, String> {
        Box::pin(async move {
            self.work(key).await?;
            Ok(format!("{key}:{}", String::from_utf8_lossy(plaintext)))
        })
    }

    fn unwrap<'a>(&'a self, key: &'a MasterKey, enc: &'a str) -> Answer<'a, SecretBytes> {
        Box::pin(async move {
            self.work(key).await?;
            let plaintext = enc.strip_prefix(&format!("{key}:"));
            let plaintext = plaintext.ok_or_else(|| ProviderError::Damaged("not mine".to_owned()))?;
            Ok(SecretBytes::copy_from(plaintext.as_bytes()))
        })
    }
}

/// Serves as told, and keeps what it was told.
struct Told {
    verdict: Verdict,
    answer: bool,
    fails: bool,
    seen: Mutex<Vec<String>>,
}

impl Overseer for Told {
    fn judges(&self, _: &Asked) -> Verdict {
        self.verdict
    }

    fn asks(&self, asked: &Asked) -> bool {
        self.note(format!("asked {}", asked.operation));
        self.answer
    }

    fn records(&self, asked: &Asked, outcome: Outcome, _: Duration) -> io::Result<()> {
        let key = asked.key.as_ref().map(ToString::to_string);
        self.note(format!(
            "{} {} {outcome}",
            asked.operation,
            key.unwrap_or_default()
        ));
        match self.fails {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    }

    fn refuses(&self, peer: &Peer) {
        self.note(format!("refused {peer:?}"));
    }
}

impl Told {
    fn note(&self, text: String) {
        self.seen.lock().expect("alone").push(text);
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("alone").clone()
    }
}

/// A service on a socket in a folder of its own, on a thread of its own; it ends when dropped.
struct Running {
    folder: tempfile::TempDir,
    provider: Arc<Scripted>,
    told: Arc<Told>,
    port: Option<SocketAddr>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Running {
    fn start(bounds: Bounds) -> Self {
        Self::told(bounds, Verdict::Serve, true, false)
    }

    fn told(bounds: Bounds, verdict: Verdict, answer: bool, fails: bool) -> Self {
        Self::on(bounds, verdict, answer, fails, None)
    }

    fn on(
        bounds: Bounds,
        verdict: Verdict,
        answer: bool,
        fails: bool,
        tls: Option<Arc<rustls::ServerConfig>>,
    ) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let provider = Arc::new(Scripted::default());
        let told = Arc::new(Told {
            verdict,
            answer,
            fails,
            seen: Mutex::default(),
        });
        let keyring = Keyring::new(vec![Box::new(provider.clone())]);
        let server = Server::new(keyring, told.clone(), bounds);
        let (path, (ready, is_ready)) = (folder.path().join("s"), std::sync::mpsc::channel());
        let (stop, stopped) = oneshot::channel::<()>();
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async move {
                let listener = match tls {
                    Some(tls) => Listener::tls("127.0.0.1:0", tls).await.expect("bound"),
                    None => Listener::unix(&path).expect("bound"),
                };
                ready.send(listener.port()).expect("awaited");
                server.serve(listener, async { drop(stopped.await) }).await;
            });
            runtime.shutdown_background();
        };
        let thread = std::thread::spawn(run);
        Self {
            folder,
            provider,
            told,
            port: is_ready.recv().expect("bound"),
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("s")
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::parse(&format!("unix://{}", self.path().display())).expect("an address")
    }

    fn client(&self) -> KeyService {
        KeyService::new(self.endpoint(), None, Network::default())
    }

    /// Tells it to end and waits.
    fn end(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().expect("it ended well");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

fn pgp(name: &str) -> MasterKey {
    MasterKey::Pgp {
        fingerprint: name.to_owned(),
    }
}

/// The words of a failure.
async fn refusal(client: &KeyService, key: &MasterKey, enc: &str) -> String {
    let answer = client.unwrap(key, enc).await;
    answer.expect_err("refused").to_string()
}

#[tokio::test]
async fn what_is_wrapped_by_a_service_is_unwrapped_by_it() {
    let running = Running::start(Bounds::default());
    let client = running.client();
    let enc = client.wrap(&pgp("a"), b"data key").await.expect("wrapped");
    assert_eq!(enc, "a:data key");
    let plaintext = client.unwrap(&pgp("a"), &enc).await.expect("unwrapped");
    assert_eq!(plaintext.expose(), b"data key");
    assert_eq!(running.told.seen(), ["encrypt a ok", "decrypt a ok"]);
}

#[tokio::test]
async fn failures_are_told_and_recorded() {
    let running = Running::start(Bounds::default());
    let client = running.client();
    let text = refusal(&client, &pgp("a"), "b:x").await;
    assert!(
        text.contains(&running.endpoint().to_string()) && text.contains("not mine"),
        "{text}"
    );
    assert!(
        refusal(&client, &pgp("none"), "x")
            .await
            .contains("no identity here opens it")
    );
    let huawei = MasterKey::HuaweiKms {
        key_id: "r:u".to_owned(),
    };
    let text = refusal(&client, &huawei, "x").await;
    assert!(text.contains("does not know this kind of key"), "{text}");
    // What was to be wrapped could stand in the service's words, so they are not repeated.
    let failure = client.wrap(&huawei, b"canary").await.expect_err("refused");
    assert!(!failure.to_string().contains("supported"), "{failure}");
    assert!(refusal(&client, &pgp("panics"), "x").await.contains("broke off"));
    let text = refusal(&client, &pgp("a"), &"x".repeat(2 << 20)).await;
    assert!(text.contains("too long"), "{text}");
    assert_eq!(
        running.told.seen(),
        [
            "decrypt a failed",
            "decrypt none failed",
            "decrypt r:u failed",
            "encrypt r:u failed",
            "decrypt panics failed"
        ]
    );
    assert!(client.unwrap(&pgp("a"), "a:x").await.is_ok());
}

/// LK-12.
#[tokio::test]
async fn what_is_denied_never_reaches_the_provider() {
    for (verdict, answer, done) in [
        (Verdict::Deny, true, false),
        (Verdict::Ask, false, false),
        (Verdict::Ask, true, true),
    ] {
        let running = Running::told(Bounds::default(), verdict, answer, false);
        let client = running.client();
        let answer = client.unwrap(&pgp("a"), "a:x").await;
        assert_eq!(answer.is_ok(), done);
        if let Err(error) = answer {
            assert!(error.to_string().contains("denied the request"), "{error}");
        }
        let asked = running.provider.asked.load(Ordering::SeqCst);
        assert_eq!(asked, usize::from(done));
        let end = if done { "decrypt a ok" } else { "decrypt a denied" };
        let seen = running.told.seen();
        assert_eq!(seen.last().map(String::as_str), Some(end));
        assert_eq!(
            seen.first().is_some_and(|first| first == "asked decrypt"),
            verdict == Verdict::Ask
        );
        // The same once more is asked once more.
        let _ = client.unwrap(&pgp("a"), "a:x").await;
        assert_eq!(running.told.seen().len(), 2 * seen.len());
    }
}

#[tokio::test]
async fn without_a_record_there_is_no_answer() {
    let running = Running::told(Bounds::default(), Verdict::Serve, true, true);
    let text = refusal(&running.client(), &pgp("a"), "a:x").await;
    assert!(text.contains("cannot be recorded"), "{text}");
}

#[tokio::test]
async fn the_same_text_is_unwrapped_once_at_a_time() {
    let running = Running::start(Bounds::default());
    let client = running.client();
    let (slow, other) = (pgp("slow"), pgp("slow-other"));
    let mut race = crate::race::Race::new((0..15).map(|at| {
        let (client, key) = (&client, if at == 0 { &other } else { &slow });
        async move { client.unwrap(key, &format!("{key}:x")).await.is_ok() }
    }));
    while let Some((_, opened)) = race.first().await {
        assert!(opened);
    }
    assert_eq!(running.provider.asked.load(Ordering::SeqCst), 2);
    assert_eq!(running.told.seen().len(), 15, "each of them is recorded");
    // It was not remembered.
    assert!(client.unwrap(&slow, "slow:x").await.is_ok());
    assert_eq!(running.provider.asked.load(Ordering::SeqCst), 3);
    // Wrapping gives every caller a text of its own.
    let mut race = crate::race::Race::new((0..3).map(|_| client.wrap(&slow, b"x")));
    while race.first().await.is_some() {}
    assert_eq!(running.provider.asked.load(Ordering::SeqCst), 6);
}

#[tokio::test]
async fn no_more_calls_run_at_a_time_than_allowed_and_none_for_ever() {
    let bounds = Bounds {
        calls: 2,
        call: Duration::from_secs(2),
        ..Bounds::default()
    };
    let running = Running::start(bounds);
    let client = running.client();
    let mut race = crate::race::Race::new((0..6).map(|at| {
        let (client, key) = (&client, pgp(&format!("blocks-{at}")));
        async move { client.unwrap(&key, &format!("{key}:x")).await.is_ok() }
    }));
    while let Some((_, opened)) = race.first().await {
        assert!(opened);
    }
    assert_eq!(running.provider.most.load(Ordering::SeqCst), 2);
    let begin = Instant::now();
    let text = refusal(&client, &pgp("hangs"), "x").await;
    assert!(text.contains("busy or not well"), "{text}");
    assert!(begin.elapsed() < Duration::from_secs(20));
    assert!(client.unwrap(&pgp("a"), "a:x").await.is_ok());
}

/// Sends `bytes` on a connection of its own and says how long it took until the service closed it, if it did.
async fn closed_after(path: PathBuf, bytes: &'static [u8], limit: Duration) -> Option<Duration> {
    let mut stream = UnixStream::connect(path).await.expect("connected");
    stream.write_all(bytes).await.expect("written");
    let begin = Instant::now();
    let drain = async {
        let mut buffer = [0; 1024];
        while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
    };
    timeout(limit, drain).await.ok().map(|()| begin.elapsed())
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

#[tokio::test]
async fn who_says_nothing_is_let_go_and_holds_up_nobody() {
    let bounds = Bounds {
        arrival: Duration::from_millis(500),
        connections: 4,
        ..Bounds::default()
    };
    let running = Running::start(bounds);
    let limit = Duration::from_secs(20);
    let silent: Vec<_> = [&b""[..], b"PRI", PREFACE, PREFACE, b""]
        .map(|bytes| tokio::spawn(closed_after(running.path(), bytes, limit)))
        .into();
    // One more than there is room for: it waits, and is served when the first are gone.
    assert!(running.client().unwrap(&pgp("a"), "a:x").await.is_ok());
    for one in silent {
        assert!(one.await.expect("no panic").is_some());
    }
    // What is no HTTP/2 is closed at once.
    let no = closed_after(running.path(), b"GET / HTTP/1.1\r\n\r\n", limit).await;
    assert!(no.is_some());
}

#[tokio::test]
async fn what_runs_is_finished_and_nothing_more_is_accepted() {
    let mut running = Running::start(Bounds::default());
    let client = running.client();
    let path = running.path();
    assert!(client.unwrap(&pgp("a"), "a:x").await.is_ok());
    let key = pgp("slow");
    let late = client.unwrap(&key, "slow:x");
    let end = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        drop(running.stop.take());
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(UnixStream::connect(&path).await.is_err());
        assert!(!path.exists());
    };
    let (late, ()) = tokio::join!(late, end);
    assert_eq!(late.expect("finished").expose(), b"x");
    running.end();
    let gone = refusal(&client, &pgp("a"), "a:x").await;
    assert!(gone.contains("cannot be reached"), "{gone}");
}

#[tokio::test]
async fn what_hangs_is_not_waited_for() {
    let bounds = Bounds {
        grace: Duration::from_millis(200),
        ..Bounds::default()
    };
    let mut running = Running::start(bounds);
    let client = running.client();
    let hanging = tokio::spawn(async move { client.unwrap(&pgp("hangs"), "x").await.is_err() });
    while running.provider.asked.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let begin = Instant::now();
    tokio::task::spawn_blocking(move || running.end())
        .await
        .expect("ended");
    assert!(begin.elapsed() < Duration::from_secs(10));
    assert!(hanging.await.expect("no panic"));
}

#[tokio::test]
async fn a_client_opens_a_new_connection_when_the_old_one_is_closed() {
    let bounds = Bounds {
        idle: Duration::from_millis(100),
        ..Bounds::default()
    };
    let running = Running::start(bounds);
    let client = running.client();
    for _ in 0..3 {
        assert!(client.unwrap(&pgp("a"), "a:x").await.is_ok());
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// A root and two identities that it vouches for, `localhost` and `client`, as PEM: certificate and key of each.
struct Certificates {
    root: String,
    server: (String, SecretBytes),
    client: (String, SecretBytes),
}

impl Certificates {
    fn new() -> Self {
        let mut parameters = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().expect("a key");
        let root = parameters.self_signed(&key).expect("signed").pem();
        let issuer = rcgen::Issuer::new(parameters, key);
        let leaf = |name: &str| {
            let parameters = rcgen::CertificateParams::new(vec![name.to_owned()]).expect("parameters");
            let key = rcgen::KeyPair::generate().expect("a key");
            let certificate = parameters.signed_by(&key, &issuer).expect("signed");
            (
                certificate.pem(),
                SecretBytes::new(key.serialize_pem().into_bytes()),
            )
        };
        Self {
            root,
            server: leaf("localhost"),
            client: leaf("client"),
        }
    }

    fn client(&self, root: &Self, identity: Option<&Self>) -> Arc<ClientTls> {
        let identity = identity.map(|of| TlsFiles {
            certificates: of.client.0.as_bytes(),
            key: &of.client.1,
        });
        client_tls(Some(root.root.as_bytes()), identity).expect("set up")
    }

    fn serve(&self) -> Running {
        let files = TlsFiles {
            certificates: self.server.0.as_bytes(),
            key: &self.server.1,
        };
        let tls = server_tls(files, self.root.as_bytes()).expect("set up");
        Running::on(Bounds::default(), Verdict::Serve, true, false, Some(tls))
    }
}

/// LK-12.
#[tokio::test]
async fn behind_tls_both_sides_show_a_certificate() {
    let (ours, others) = (Certificates::new(), Certificates::new());
    let running = ours.serve();
    let port = running.port.expect("a port").port();
    let endpoint = Endpoint::parse(&format!("https://localhost:{port}")).expect("an address");
    let ask = |tls: Option<Arc<ClientTls>>| {
        let client = KeyService::new(endpoint.clone(), tls, Network::default());
        async move {
            let answer = client.unwrap(&pgp("a"), "a:x").await;
            answer.map(|plaintext| plaintext.expose().to_vec())
        }
    };
    let opened = ask(Some(ours.client(&ours, Some(&ours)))).await;
    assert_eq!(opened.expect("opened"), b"x");
    for (what, tls) in [
        ("no certificate", Some(ours.client(&ours, None))),
        ("somebody else's", Some(ours.client(&ours, Some(&others)))),
        ("another server is meant", Some(ours.client(&others, Some(&ours)))),
        ("not set up", None),
    ] {
        let error = ask(tls).await.expect_err(what);
        assert_eq!(error.retry(), crate::Retry::Later, "{what}: {error}");
    }
    // A client without TLS gets nothing out of it.
    let plain = Endpoint::parse(&format!("tcp://127.0.0.1:{port}")).expect("an address");
    let plain = KeyService::new(plain, None, Network::default());
    assert!(plain.unwrap(&pgp("a"), "a:x").await.is_err());
    assert_eq!(running.provider.asked.load(Ordering::SeqCst), 1);
}

/// CC-07: a client that goes away is in the record, and the next one is served.
#[tokio::test]
async fn who_goes_away_is_recorded() {
    let running = Running::start(Bounds::default());
    let gone = running.client();
    let short = Duration::from_millis(100);
    let key = pgp("slow");
    assert!(timeout(short, gone.unwrap(&key, "slow:x")).await.is_err());
    drop(gone);
    for _ in 0..1000 {
        if running.told.seen() == ["decrypt slow abandoned"] {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(running.told.seen(), ["decrypt slow abandoned"]);
    assert!(running.client().unwrap(&key, "slow:x").await.is_ok());
}
