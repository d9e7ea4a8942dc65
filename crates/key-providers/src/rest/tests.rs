//! The client against answers that no good server gives.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// A server that gives one answer to each connection, the last one for ever, and remembers what it was sent.
pub(crate) struct Server {
    pub(crate) url: Url,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub(crate) async fn start(answers: Vec<Vec<u8>>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        tokio::spawn(async move {
            let mut open = Vec::new();
            for number in 0.. {
                let Ok((mut stream, _)) = listener.accept().await else {
                    break;
                };
                let mut text = Vec::new();
                while !is_whole(&text) {
                    let mut part = [0; 4096];
                    let Ok(count @ 1..) = stream.read(&mut part).await else {
                        break;
                    };
                    text.extend_from_slice(&part[..count]);
                }
                let text = String::from_utf8_lossy(&text).into_owned();
                seen.lock().expect("alone").push(text);
                let answer: &Vec<u8> = &answers[answers.len().min(number + 1) - 1];
                let _ = stream.write_all(answer).await;
                if answer.is_empty() {
                    // Accepts and never answers.
                    open.push(stream);
                }
            }
        });
        let url = Url::parse(&format!("http://127.0.0.1:{port}/")).expect("an address");
        Self { url, requests }
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("alone").clone()
    }
}

/// Head and body are there.
fn is_whole(request: &[u8]) -> bool {
    let request = String::from_utf8_lossy(request);
    let Some((head, body)) = request.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.and_then(|length| length.parse().ok()).unwrap_or(0)
}

pub(crate) fn answer(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}").into_bytes()
}

fn rest() -> Rest {
    let bounds = Bounds {
        total: Duration::from_millis(500),
        attempts: 3,
        ..Bounds::default()
    };
    Rest::new(bounds)
}

async fn asked(server: &Server) -> Result<Reply, String> {
    let token = Token::new(SecretBytes::copy_from(b"canary-of-the-token"), None);
    let body = SecretBytes::copy_from(b"{\"canary\":1}");
    let request = Request::json(server.url.clone(), body)
        .bearer(&token)
        .expect("a request");
    rest().ask(&request).await.map_err(|error| error.to_string())
}

/// NW-01, NW-03, NW-08, NW-12
#[tokio::test]
async fn what_is_no_answer_is_told_and_asked_for_again_where_that_may_help() {
    let mut large = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_vec();
    large.resize((4 << 20) + 1000, b' ');
    let half = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\nconnection: close\r\n\r\n{".to_vec();
    for (bytes, is, attempts) in [
        (answer("500 No", "canary"), "failed with status 500", 3),
        (
            answer("503 No\r\nretry-after: 0", "canary"),
            "failed with status 503",
            3,
        ),
        (answer("429 No\r\nretry-after: 0", "canary"), "throttled", 3),
        (
            answer("307 There\r\nlocation: http://127.0.0.1:1/", "canary"),
            "redirect",
            1,
        ),
        (large, "more than 4 MiB", 1),
        (half, "cannot be reached", 2),
        (Vec::new(), "did not answer within 0.5 s", 1),
    ] {
        let server = Server::start(vec![bytes]).await;
        let error = asked(&server).await.err().expect(is);
        assert!(error.contains(is), "{error}");
        assert!(!error.contains("canary"), "{error}");
        assert_eq!(server.requests().len(), attempts, "{is}");
    }
}

#[tokio::test]
async fn what_recovers_is_answered() {
    let server = Server::start(vec![answer("502 No", ""), answer("200 OK", "{\"a\":1}")]).await;
    let reply = asked(&server).await.expect("an answer");
    assert!(reply.is_success() && reply.parse::<serde_json::Value>().is_some());
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    assert!(requests[1].contains("authorization: Bearer canary-of-the-token"));
    assert!(requests[1].ends_with("{\"canary\":1}"));
    // A refusal is an answer: it says whose move is next.
    let server = Server::start(vec![answer("403 No", "{}")]).await;
    assert_eq!(asked(&server).await.expect("an answer").status.as_u16(), 403);
}

#[test]
fn pauses_double_up_to_a_limit() {
    let milliseconds: Vec<_> = (1..8)
        .map(|number| pause(number, None, 255).as_millis())
        .collect();
    assert_eq!(milliseconds, [100, 200, 400, 800, 1600, 2000, 2000]);
    assert_eq!(pause(1, None, 0), FIRST_PAUSE / 2);
    assert_eq!(pause(1, Some(Duration::from_secs(3600)), 0), LONGEST_PAUSE);
    assert_eq!(
        pause(1, Some(Duration::from_secs(1)), 255),
        Duration::from_millis(1100)
    );
}

#[test]
fn secrets_go_over_https_or_nowhere_else() {
    for fine in [
        "https://h/x",
        "http://127.0.0.1:1/",
        "http://[::1]/",
        "http://localhost:80",
    ] {
        assert!(confidential(fine, "it").is_ok(), "{fine}");
    }
    for bad in [
        "http://h/",
        "http://127.0.0.1.example.org/",
        "ftp://h",
        "https://u:p@h/",
        "file:///etc/passwd",
        "h",
        "",
    ] {
        let error = confidential(bad, "it").expect_err(bad).to_string();
        assert_eq!(error, "it is no https address");
    }
}

#[test]
fn only_codes_are_shown() {
    assert_eq!(word("PERMISSION_DENIED"), "PERMISSION_DENIED");
    assert_eq!(word("invalid_grant"), "invalid_grant");
    for odd in ["", "a b", "\u{1b}[2J", &"a".repeat(65), "{\"x\"}"] {
        assert_eq!(word(odd), "no code");
    }
}

#[test]
fn a_header_takes_no_control_character() {
    let url = Url::parse("https://h").expect("an address");
    assert!(Request::get(url.clone()).with("x-a", b"one line").is_ok());
    let error = Request::get(url)
        .with("x-a", b"can\r\nary")
        .err()
        .expect("refused");
    assert!(!error.to_string().contains("ary"), "{error}");
}
