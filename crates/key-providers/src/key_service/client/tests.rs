use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// The beginning of HTTP/2 and an empty frame of settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

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

/// NW-01, NW-04: whatever a service does, the client ends in time and with its name.
#[tokio::test]
async fn a_service_that_misbehaves_is_given_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let port = listener.local_addr().expect("bound").port();
    let (answers, rest): (Vec<&'static [u8]>, _) = (
        vec![
            b"",
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            b"\0\0\0\x04\0\0\0\0\0\0",
            PREFACE,
        ],
        b"\0\0\0\x04\0\0\0\0\0",
    );
    tokio::spawn(async move {
        let mut answers = answers.into_iter();
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = answers.next();
            tokio::spawn(async move {
                let _ = stream.write_all(answer.unwrap_or(rest)).await;
                match answer {
                    Some(_) => drop(stream),
                    // Accepts everything and answers nothing.
                    None => hold(stream).await,
                }
            });
        }
    });
    let endpoint = Endpoint::parse(&format!("tcp://127.0.0.1:{port}")).expect("an address");
    let short = (Duration::from_secs(1), Duration::from_secs(2));
    for _ in 0..5 {
        let client = KeyService::bounded(endpoint.clone(), None, Network::default(), short);
        let begin = Instant::now();
        let text = refusal(&client, &pgp("a"), "a:x").await;
        assert!(text.contains(&endpoint.to_string()), "{text}");
        assert!(begin.elapsed() < Duration::from_secs(20));
    }
}

async fn hold(mut stream: TcpStream) {
    let mut buffer = [0; 1024];
    while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
}

/// A service that answers every request with these headers and this body.
fn answering(
    folder: &tempfile::TempDir,
    status: u16,
    headers: &[(&'static str, &str)],
    body: Vec<u8>,
) -> Endpoint {
    let path = folder.path().join("s");
    let endpoint = Endpoint::parse(&format!("unix://{}", path.display())).expect("an address");
    let listener = tokio::net::UnixListener::bind(path).expect("bound");
    let mut answer = http::Response::builder().status(status);
    for (name, value) in headers {
        answer = answer.header(*name, *value);
    }
    let answer = answer
        .body(http_body_util::Full::new(hyper::body::Bytes::from(body)))
        .expect("an answer");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = answer.clone();
            let service = hyper::service::service_fn(move |_| {
                let answer = answer.clone();
                async move { Ok::<_, std::convert::Infallible>(answer) }
            });
            let executor = hyper_util::rt::TokioExecutor::new();
            let stream = hyper_util::rt::TokioIo::new(stream);
            let connection = hyper::server::conn::http2::Builder::new(executor);
            tokio::spawn(connection.serve_connection(stream, service));
        }
    });
    endpoint
}

/// NW-04, NW-08: nothing is taken for an answer that is none, and nothing is read that is too long for one.
#[tokio::test]
async fn answers_that_are_none_are_refused() {
    let grpc = ("content-type", "application/grpc");
    let frame = |length: u32, body: &[u8]| [&[0], &length.to_be_bytes()[..], body].concat();
    let whole = frame(5, b"\x0a\x03key");
    let long = frame(5 << 20, &vec![0; 5 << 20]);
    let huge = frame(u32::MAX, b"x");
    let told = ("grpc-message", "one%1b[2J%0atwo");
    for (what, status, headers, body, words) in [
        (
            "an error page",
            502,
            &[("content-type", "text/html")][..],
            b"canary".to_vec(),
            "",
        ),
        ("nothing", 200, &[grpc], Vec::new(), ""),
        ("half a message", 200, &[grpc], whole[..8].to_vec(), ""),
        ("half a frame", 200, &[grpc], whole[..3].to_vec(), ""),
        (
            "no message of ours",
            200,
            &[grpc],
            frame(1, b"\xff"),
            "could not do it",
        ),
        ("a long message", 200, &[grpc], long, "could not do it"),
        ("a huge message", 200, &[grpc], huge, "could not do it"),
        ("no plaintext", 200, &[grpc, ("grpc-status", "0")], Vec::new(), ""),
        (
            "a refusal",
            200,
            &[grpc, ("grpc-status", "2"), told],
            Vec::new(),
            "could not do it: one\u{1b}[2J",
        ),
        (
            "an unknown status",
            200,
            &[grpc, ("grpc-status", "99")],
            Vec::new(),
            "could not do it",
        ),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let endpoint = answering(&folder, status, headers, body);
        let client = KeyService::new(endpoint, None, Network::default());
        let error = client.unwrap(&pgp("a"), "a:x").await.map(drop).expect_err(what);
        let text = error.to_string();
        assert!(
            text.contains(words) && text.contains("the key service at unix://"),
            "{what}: {text}"
        );
        assert!(
            !text.contains("canary") && !text.contains("two"),
            "{what}: {text}"
        );
        // The same for what would be written into a file.
        assert!(client.wrap(&pgp("a"), b"x").await.is_err(), "{what}");
    }
}

/// A service whose connections break with their second request, which is the harshest way to end one.
#[tokio::test]
async fn a_request_that_found_its_connection_broken_is_made_again() {
    use http_body_util::BodyExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s");
    let endpoint = Endpoint::parse(&format!("unix://{}", path.display())).expect("an address");
    let listener = tokio::net::UnixListener::bind(path).expect("bound");
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            let (requests, second) = (
                Arc::new(AtomicUsize::new(0)),
                Arc::new(tokio::sync::Notify::new()),
            );
            let breaks = second.clone();
            let service = hyper::service::service_fn(move |_| {
                if requests.fetch_add(1, Ordering::SeqCst) == 1 {
                    second.notify_one();
                }
                let body =
                    http_body_util::Full::new(hyper::body::Bytes::from_static(b"\0\0\0\0\x03\x0a\x01x"));
                let mut status = http::HeaderMap::new();
                status.insert("grpc-status", http::HeaderValue::from_static("0"));
                let body = body.with_trailers(std::future::ready(Some(Ok(status))));
                let answer = http::Response::builder().header("content-type", "application/grpc");
                let hangs = requests.load(Ordering::SeqCst) > 1;
                async move {
                    if hangs {
                        std::future::pending::<()>().await;
                    }
                    answer.body(body)
                }
            });
            let executor = hyper_util::rt::TokioExecutor::new();
            let stream = hyper_util::rt::TokioIo::new(stream);
            let connection =
                hyper::server::conn::http2::Builder::new(executor).serve_connection(stream, service);
            tokio::spawn(async move {
                tokio::select! {
                    _ = connection => {}
                    () = breaks.notified() => {}
                }
            });
        }
    });
    let client = KeyService::new(endpoint, None, Network::default());
    for _ in 0..3 {
        let plaintext = client.unwrap(&pgp("a"), "a:x").await.expect("asked again");
        assert_eq!(plaintext.expose(), b"x");
    }
    assert_eq!(connections.load(Ordering::SeqCst), 3);
}
