//! The client against answers that no good server gives.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use secret::SecretBytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::{Address, Auth, Client, Error, KvPath, KvVersion, Segments, Settings, Written};

const TOKEN: &str = "s.canary-of-the-token";

/// A server that gives one answer to each connection, the last one for ever, and remembers what it was sent.
struct Server {
    address: Address,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(answers: Vec<Vec<u8>>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        tokio::spawn(async move {
            let mut number = 0;
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = vec![0; 4096];
                let mut text = String::new();
                while !is_whole(&text) {
                    let Ok(count @ 1..) = stream.read(&mut request).await else {
                        break;
                    };
                    text.push_str(&String::from_utf8_lossy(&request[..count]));
                }
                seen.lock().expect("alone").push(text);
                let answer: &Vec<u8> = &answers[number.min(answers.len() - 1)];
                number += 1;
                let _ = stream.write_all(answer).await;
                if answer.is_empty() {
                    // Accepts and never answers.
                    std::mem::forget(stream);
                }
            }
        });
        Self {
            address: Address::parse(&format!("http://127.0.0.1:{port}")).expect("an address"),
            requests,
        }
    }

    fn client(&self) -> Client {
        self.client_with(Auth::Token(SecretBytes::copy_from(TOKEN.as_bytes())))
    }

    fn client_with(&self, auth: Auth) -> Client {
        let mut settings = Settings::new(self.address.clone());
        settings.total = Duration::from_millis(500);
        settings.attempts = 3;
        Client::new(settings, auth).expect("a client")
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("alone").clone()
    }
}

/// Head and body are there.
fn is_whole(request: &str) -> bool {
    let Some((head, body)) = request.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.and_then(|length| length.parse().ok()).unwrap_or(0)
}

fn answer(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}").into_bytes()
}

fn data(data: &str) -> Vec<u8> {
    let rest = "\"lease_id\":\"\",\"lease_duration\":0,\"renewable\":false,\"request_id\":\"r\"";
    answer(
        "200 OK",
        &format!("{{{rest},\"data\":{data},\"auth\":null,\"warnings\":null,\"wrap_info\":null}}"),
    )
}

fn login(token: &str) -> Vec<u8> {
    let auth = format!(
        "{{\"client_token\":\"{token}\",\"accessor\":\"a\",\"policies\":[],\"token_policies\":[],\"metadata\":null,\
         \"lease_duration\":60,\"renewable\":true,\"entity_id\":\"\",\"token_type\":\"service\",\"orphan\":true}}"
    );
    let rest = "\"lease_id\":\"\",\"lease_duration\":0,\"renewable\":false,\"request_id\":\"r\"";
    answer(
        "200 OK",
        &format!("{{{rest},\"data\":null,\"auth\":{auth},\"warnings\":null,\"wrap_info\":null}}"),
    )
}

async fn decrypt(client: &Client) -> Result<SecretBytes, Error> {
    let name = |text: &str| Segments::parse(text).expect("a name");
    client
        .decrypt(&name("team/transit"), &name("app"), "vault:v1:x")
        .await
}

#[tokio::test]
async fn an_answer_is_read_and_the_token_is_sent_once() {
    let server = Server::start(vec![data("{\"plaintext\":\"aHVudGVyMg==\"}")]).await;
    let opened = decrypt(&server.client()).await.expect("opened");
    assert_eq!(opened.expose(), b"hunter2");
    let [request] = &server.requests()[..] else {
        panic!("one request");
    };
    assert!(
        request.starts_with("POST /v1/team/transit/decrypt/app HTTP/1.1"),
        "{request}"
    );
    assert!(request.contains(&format!("x-vault-token: {TOKEN}")) && request.contains("vault:v1:x"));
}

/// NW-03, NW-12 and what else a status can say; the token is in no error.
#[tokio::test]
async fn every_status_has_its_meaning() {
    let reason = "{\"errors\":[\"invalid\\nciphertext: no\"]}";
    for (status, body, is, attempts) in [
        (
            "301 Moved\r\nlocation: http://169.254.169.254/",
            "",
            "redirect",
            1,
        ),
        ("307 Moved\r\nlocation: https://other.example/", "", "redirect", 1),
        (
            "400 Bad",
            reason,
            "refused team/transit/decrypt/app: invalid ciphertext: no",
            1,
        ),
        (
            "403 Forbidden",
            "{\"errors\":[\"permission denied\"]}",
            "denied",
            1,
        ),
        (
            "404 Not Found",
            "{\"errors\":[]}",
            "has no team/transit/decrypt/app",
            1,
        ),
        (
            "503 Sealed",
            "{\"errors\":[\"Vault is sealed\"]}",
            "sealed or not ready",
            3,
        ),
        ("473 Standby", "", "sealed or not ready", 3),
        ("429 Wait\r\nretry-after: 0", "", "no more requests", 3),
        ("502 Bad Gateway", "<html>", "status 502", 3),
        ("200 OK", "<html>", "not an answer of Vault", 3),
        ("200 OK", "{\"data\":", "not an answer of Vault", 3),
    ] {
        let server = Server::start(vec![answer(status, body)]).await;
        let error = decrypt(&server.client()).await.expect_err(status).to_string();
        assert!(error.contains(is), "{status}: {error}");
        assert!(!error.contains(TOKEN), "{error}");
        assert_eq!(server.requests().len(), attempts, "{status}");
    }
}

/// NW-01, NW-04, NW-08
#[tokio::test]
async fn answers_that_do_not_end_are_cut() {
    let silent = Server::start(vec![Vec::new()]).await;
    assert!(matches!(
        decrypt(&silent.client()).await,
        Err(Error::TimedOut { .. })
    ));
    let half = Server::start(vec![
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"data\":{".to_vec(),
    ])
    .await;
    assert!(decrypt(&half.client()).await.is_err());
    let mut large = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_vec();
    large.resize((4 << 20) + 1000, b' ');
    let large = Server::start(vec![large]).await;
    let error = decrypt(&large.client()).await.expect_err("too large").to_string();
    assert!(error.contains("4 MiB"), "{error}");
    let gone = Server::start(vec![Vec::new()]).await.address;
    let port = gone.to_string().replace("http://127.0.0.1:", "");
    let free = format!("http://127.0.0.1:{}", if port == "1" { "2" } else { "1" });
    let client = Client::new(
        Settings::new(Address::parse(&free).expect("an address")),
        Auth::Token(SecretBytes::default()),
    );
    let error = decrypt(&client.expect("a client"))
        .await
        .expect_err("nobody listens");
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn what_recovers_is_asked_again() {
    let busy = answer("503 Sealed", "");
    let server = Server::start(vec![busy, data("{\"plaintext\":\"aHVudGVyMg==\"}")]).await;
    assert!(decrypt(&server.client()).await.is_ok());
    assert_eq!(server.requests().len(), 2);
}

/// NW-10: one login for all, and one more when the token is refused.
#[tokio::test]
async fn a_login_is_made_once_and_once_more_when_its_token_is_refused() {
    let opened = data("{\"plaintext\":\"aHVudGVyMg==\"}");
    let denied = answer("403 Forbidden", "{\"errors\":[]}");
    let answers = vec![
        login("one"),
        opened.clone(),
        denied.clone(),
        login("two"),
        opened,
        denied.clone(),
        login("three"),
        denied,
    ];
    let server = Server::start(answers).await;
    let mount = Segments::parse("approle").expect("a mount");
    let client = server.client_with(Auth::AppRole {
        mount,
        role_id: "role".to_owned(),
        secret_id: SecretBytes::copy_from(b"secret"),
    });
    assert!(decrypt(&client).await.is_ok());
    assert!(decrypt(&client).await.is_ok());
    assert!(matches!(decrypt(&client).await, Err(Error::Denied { .. })));
    let tokens: Vec<String> = server
        .requests()
        .iter()
        .map(|request| {
            let token = request
                .lines()
                .find_map(|line| line.strip_prefix("x-vault-token: "));
            token.unwrap_or("login").to_owned()
        })
        .collect();
    assert_eq!(
        tokens,
        ["login", "one", "one", "login", "two", "two", "login", "three"]
    );
    assert!(server.requests()[0].starts_with("POST /v1/auth/approle/login"));
}

const VALUE: &str = "canary-of-a-value";

async fn put(client: &Client, version: KvVersion) -> Result<Written, Error> {
    let values = SecretBytes::new(format!("{{\"b\":[1],\"a\":\"{VALUE}\"}}").into_bytes());
    let mount = Segments::parse("team/kv/").expect("a mount");
    let path = KvPath::parse("x/my app.yaml").expect("a path");
    client.put_secret(version, &mount, &path, &values).await
}

#[tokio::test]
async fn a_secret_is_written_unless_it_is_there_already() {
    let values = |value: &str| format!("{{\"a\":\"{value}\",\"b\":[1]}}");
    let versioned = |value: &str| data(&format!("{{\"data\":{},\"metadata\":{{}}}}", values(value)));
    let deleted = || data("{\"data\":null,\"metadata\":{}}");
    let absent = || answer("404 Not Found", "{\"errors\":[]}");
    let denied = || answer("403 Forbidden", "{\"errors\":[\"permission denied\"]}");
    let done = || answer("204 No Content", "");
    let (v1, v2) = (KvVersion::V1, KvVersion::V2);
    for (version, found, is) in [
        (v2, versioned(VALUE), Written::Equal),
        (v1, data(&values(VALUE)), Written::Equal),
        (v2, versioned("other"), Written::New),
        (v1, data(&values("other")), Written::New),
        (v2, deleted(), Written::New),
        (v2, absent(), Written::New),
        (v1, absent(), Written::New),
        (v2, denied(), Written::Unseen),
        (v1, denied(), Written::Unseen),
    ] {
        let server = Server::start(vec![found, done()]).await;
        assert_eq!(put(&server.client(), version).await.expect("written"), is);
        let requests = server.requests();
        let (path, body) = match version {
            KvVersion::V1 => (
                "/v1/team/kv/x/my%20app.yaml",
                format!("{{\"b\":[1],\"a\":\"{VALUE}\"}}"),
            ),
            KvVersion::V2 => (
                "/v1/team/kv/data/x/my%20app.yaml",
                format!("{{\"data\":{{\"b\":[1],\"a\":\"{VALUE}\"}}}}"),
            ),
        };
        assert!(
            requests[0].starts_with(&format!("GET {path} HTTP/1.1")),
            "{requests:?}"
        );
        match is {
            Written::Equal => assert_eq!(requests.len(), 1),
            _ => {
                assert!(
                    requests[1].starts_with(&format!("POST {path} HTTP/1.1")),
                    "{requests:?}"
                );
                let (_, sent) = requests[1].split_once("\r\n\r\n").expect("a body");
                assert!(sent.starts_with(&body), "{sent}");
            }
        }
    }
}

#[tokio::test]
async fn a_secret_that_cannot_be_written_is_in_no_error() {
    let refused = "{\"errors\":[\"cas is required\"]}";
    for (status, body, is) in [
        (
            "403 Forbidden",
            "{\"errors\":[]}",
            "do not allow team/kv/data/x/my app.yaml",
        ),
        (
            "404 Not Found",
            "{\"errors\":[]}",
            "has no team/kv/data/x/my app.yaml",
        ),
        (
            "400 Bad",
            refused,
            "refused team/kv/data/x/my app.yaml: cas is required",
        ),
        ("307 Moved\r\nlocation: http://127.0.0.1:1/", "", "redirect"),
    ] {
        let absent = answer("404 Not Found", "{\"errors\":[]}");
        let server = Server::start(vec![absent, answer(status, body)]).await;
        let error = put(&server.client(), KvVersion::V2)
            .await
            .expect_err(status)
            .to_string();
        assert!(error.contains(is), "{status}: {error}");
        assert!(!error.contains(TOKEN) && !error.contains(VALUE), "{error}");
    }
    let server = Server::start(vec![answer("200 OK", "{}")]).await;
    let list = SecretBytes::copy_from(b"[\"canary-of-a-value\"]");
    let (mount, path) = (
        Segments::parse("kv").expect("a mount"),
        KvPath::parse("x").expect("a path"),
    );
    let error = server
        .client()
        .put_secret(KvVersion::V1, &mount, &path, &list)
        .await;
    assert!(matches!(error, Err(Error::Setting(_))));
    assert!(server.requests().is_empty());
}
