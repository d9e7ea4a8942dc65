use super::*;
use std::net::SocketAddr;
use std::sync::Mutex as StdMutex;
use std::time::{Duration, Instant as Clock};

use aws_credential_types::Credentials;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const ARN: &str = "arn:aws:kms:eu-west-1:123456789012:key/a";
const SECRET: &str = "c4n4ry-of-the-secret-access-key";
/// Long enough for a busy machine, short enough to wait for.
const SHORT: Duration = Duration::from_millis(1500);

/// A server in the place of AWS: it gives its answers in order, the last one again and again, and keeps the requests.
struct Server {
    at: SocketAddr,
    requests: Arc<StdMutex<Vec<String>>>,
}

impl Server {
    async fn answering(answers: Vec<(u16, String)>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let at = listener.local_addr().expect("an address");
        let requests = Arc::new(StdMutex::new(Vec::new()));
        let seen = requests.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, answers.clone(), seen.clone()));
            }
        });
        Self { at, requests }
    }

    /// Requests of this action.
    fn count(&self, action: &str) -> usize {
        let requests = self.requests.lock().expect("not poisoned");
        requests.iter().filter(|request| request.contains(action)).count()
    }
}

async fn serve(mut stream: TcpStream, answers: Vec<(u16, String)>, seen: Arc<StdMutex<Vec<String>>>) {
    while let Some(request) = request(&mut stream).await {
        let number = {
            let mut seen = seen.lock().expect("not poisoned");
            seen.push(request);
            seen.len() - 1
        };
        let (status, body) = &answers[number.min(answers.len() - 1)];
        let answer = format!(
            "HTTP/1.1 {status} X\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// One request, head and body.
async fn request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length")
                    .then(|| value.trim().parse::<usize>().ok())?
            });
            if body.len() >= length.unwrap_or(0) {
                return Some(text);
            }
        }
        let mut part = [0; 4096];
        match stream.read(&mut part).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => bytes.extend_from_slice(&part[..count]),
        }
    }
}

fn provider(at: SocketAddr) -> AwsKms {
    provider_within(at, Duration::from_secs(30))
}

fn provider_within(at: SocketAddr, total: Duration) -> AwsKms {
    let sources = AwsSources {
        host: "host".to_owned(),
        endpoint: Some(format!("http://{at}")),
        kms_address: Some(format!("http://{at}")),
        credentials: Some(Credentials::new("AKID", SECRET, None, None, "test")),
        total,
        ..AwsSources::default()
    };
    AwsKms::new(sources, Network::default())
}

fn key(role: Option<&str>, context: &[(&str, &str)]) -> MasterKey {
    MasterKey::AwsKms {
        arn: ARN.to_owned(),
        role: role.map(str::to_owned),
        context: context
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        aws_profile: String::new(),
    }
}

fn opened() -> (u16, String) {
    (
        200,
        format!(
            r#"{{"KeyId":"{ARN}","Plaintext":"{}"}}"#,
            BASE64_STANDARD.encode([7; 32])
        ),
    )
}

fn fault(code: &str) -> (u16, String) {
    // With the shape's name space, and a message that repeats what must not be shown.
    (
        400,
        format!(r#"{{"__type":"com.amazonaws.kms#{code}","message":"{SECRET}"}}"#),
    )
}

/// What a Decrypt comes to after these answers.
async fn after(answers: Vec<(u16, String)>) -> (Result<SecretBytes, ProviderError>, Server) {
    let server = Server::answering(answers).await;
    let key = key(None, &[("stage", "production-value"), ("app", "shop-value")]);
    (provider(server.at).unwrap(&key, "AAAA").await, server)
}

#[tokio::test]
async fn a_request_names_key_context_and_text() {
    let (plaintext, server) = after(vec![opened()]).await;
    assert_eq!(plaintext.expect("opened").expose(), [7; 32]);
    assert_eq!(server.count("TrentService.Decrypt"), 1);
    let request = server.requests.lock().expect("not poisoned")[0].clone();
    for part in [
        ARN,
        r#""stage":"production-value""#,
        r#""app":"shop-value""#,
        r#""CiphertextBlob":"AAAA""#,
        "/eu-west-1/kms/aws4_request",
    ] {
        assert!(request.contains(part), "{part}: {request}");
    }
    let wrapped = (200, format!(r#"{{"KeyId":"{ARN}","CiphertextBlob":"AQID"}}"#));
    let server = Server::answering(vec![wrapped]).await;
    let enc = provider(server.at).wrap(&key(None, &[]), &[7; 32]).await;
    assert_eq!(enc.expect("wrapped"), "AQID");
    let request = server.requests.lock().expect("not poisoned")[0].clone();
    assert!(request.contains(&BASE64_STANDARD.encode([7; 32])) && !request.contains("EncryptionContext"));
}

/// The kind of an error, in a letter: damaged, unavailable, not usable.
fn letter(error: &ProviderError) -> char {
    match error {
        ProviderError::Damaged(_) => 'd',
        ProviderError::Unavailable(_) | ProviderError::Unreachable(_) => 'u',
        ProviderError::NotUsable(_) => 'n',
        _ => '?',
    }
}

#[tokio::test]
async fn every_refusal_is_told_in_its_own_words() {
    for (code, kind, words) in [
        ("AccessDeniedException", 'n', "AWS denies kms:Decrypt on this key"),
        (
            "UnrecognizedClientException",
            'n',
            "does not accept these credentials",
        ),
        (
            "InvalidSignatureException",
            'n',
            "does not accept these credentials",
        ),
        ("ExpiredTokenException", 'n', "have expired"),
        (
            "InvalidCiphertextException",
            'd',
            "context was changed (names: app, stage)",
        ),
        ("IncorrectKeyException", 'd', "another KMS key"),
        ("DisabledException", 'n', "is disabled"),
        ("KMSInvalidStateException", 'n', "waits for deletion"),
        ("InvalidKeyUsageException", 'n', "not for encryption"),
        ("NotFoundException", 'n', "no such KMS key or alias in eu-west-1"),
        ("ThrottlingException", 'u', "takes no more requests"),
        ("KMSInternalException", 'u', "cannot use the key for now"),
        (
            r"SomethingNew\u001b[31m",
            'n',
            "refuses kms:Decrypt: SomethingNew31m",
        ),
    ] {
        let (result, _) = after(vec![fault(code)]).await;
        let error = result.expect_err(code);
        let text = error.to_string();
        assert!(text.contains(words), "{code}: {text}");
        assert_eq!(letter(&error), kind, "{code}: {text}");
        for hidden in [SECRET, "production-value", "shop-value"] {
            assert!(!text.contains(hidden), "{code}: {text}");
        }
        // Longer ones are cut in reports.
        assert!(text.chars().count() <= 160, "{code}: {text}");
    }
    for (status, body, kind, words) in [
        (403, "<Error>no JSON</Error>", 'n', "AWS denies kms:Decrypt"),
        (418, "{}", 'n', "with status 418"),
        (200, "no JSON", 'u', "cannot be read"),
        (200, "{}", 'u', "cannot be read"),
    ] {
        let (result, _) = after(vec![(status, body.to_owned())]).await;
        let error = result.expect_err(body);
        assert!(error.to_string().contains(words), "{status} {body}: {error}");
        assert_eq!(letter(&error), kind, "{status} {body}: {error}");
    }
}

#[tokio::test]
async fn what_may_recover_is_asked_again_and_four_times_at_most() {
    let (result, server) = after(vec![fault("ThrottlingException"), opened()]).await;
    assert!(result.is_ok());
    assert_eq!(server.count("Decrypt"), 2);
    let server = Server::answering(vec![(503, String::new())]).await;
    let mut provider = provider(server.at);
    Arc::get_mut(&mut provider.sources).expect("not shared yet").total = Duration::from_secs(30);
    let error = provider
        .unwrap(&key(None, &[]), "AAAA")
        .await
        .expect_err("failed");
    assert!(error.to_string().contains("failed with status 503"), "{error}");
    assert_eq!(server.count("Decrypt"), 4);
    let (_, server) = after(vec![fault("AccessDeniedException")]).await;
    assert_eq!(server.count("Decrypt"), 1);
}

#[tokio::test]
async fn nobody_waits_longer_than_the_bound() {
    // Connections are taken by the system and never answered.
    let silent = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let at = silent.local_addr().expect("an address");
    let start = Clock::now();
    let error = provider_within(at, SHORT)
        .unwrap(&key(None, &[]), "AAAA")
        .await
        .expect_err("silence");
    assert!(start.elapsed() < SHORT * 3, "{:?}", start.elapsed());
    assert!(matches!(error, ProviderError::Unreachable(_)), "{error}");
    assert!(
        error
            .to_string()
            .contains(&format!("AWS KMS at http://{at} did not answer within")),
        "{error}"
    );
    // Credentials are part of it: this is the role's service.
    let key = key(Some("arn:aws:iam::123456789012:role/r"), &[]);
    let start = Clock::now();
    let error = provider_within(at, SHORT)
        .unwrap(&key, "AAAA")
        .await
        .expect_err("silence");
    assert!(start.elapsed() < SHORT * 3, "{:?}", start.elapsed());
    assert!(matches!(error, ProviderError::Unavailable(_)), "{error}");
    drop(silent);
    let error = provider_within(at, SHORT)
        .unwrap(&key, "AAAA")
        .await
        .expect_err("closed");
    assert!(matches!(error, ProviderError::Unavailable(_)), "{error}");
}

#[tokio::test]
async fn a_role_is_assumed_once_for_all_keys() {
    let assumed = "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials>\
        <AccessKeyId>ROLEID</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>\
        <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>";
    let server = Server::answering(vec![(200, assumed.to_owned()), opened()]).await;
    let provider = provider(server.at);
    let key = key(Some("arn:aws:iam::123456789012:role/r"), &[]);
    for _ in 0..3 {
        assert!(provider.unwrap(&key, "AAAA").await.is_ok());
    }
    assert_eq!(server.count("Action=AssumeRole"), 1);
    assert_eq!(server.count("RoleSessionName=sops%40host"), 1);
    assert_eq!(server.count("Credential=ROLEID/"), 3);
    let denied = "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
        <Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>";
    let server = Server::answering(vec![(403, denied.to_owned())]).await;
    let provider = self::provider(server.at);
    for _ in 0..3 {
        let error = provider.unwrap(&key, "AAAA").await.expect_err("denied");
        assert!(error.to_string().contains("AWS denies sts:AssumeRole"), "{error}");
    }
    // What was refused stands for a while.
    assert_eq!(server.count("Action=AssumeRole"), 1);
}

#[tokio::test]
async fn a_key_that_names_no_region_or_text_is_refused_before_a_request() {
    let server = Server::answering(vec![opened()]).await;
    let provider = provider(server.at);
    for arn in [
        "",
        "arn:aws:kms",
        "arn:aws:kms:EVIL/../x:1:key/a",
        "arn:aws:kms:a.example:1:key/a",
    ] {
        let key = MasterKey::AwsKms {
            arn: arn.to_owned(),
            role: None,
            context: Vec::new(),
            aws_profile: String::new(),
        };
        let error = provider.unwrap(&key, "AAAA").await.expect_err(arn);
        assert!(matches!(error, ProviderError::InvalidKey(_)), "{arn}: {error}");
    }
    let error = provider
        .unwrap(&key(None, &[]), "no base64!")
        .await
        .expect_err("no base64");
    assert!(matches!(error, ProviderError::Damaged(_)), "{error}");
    assert_eq!(server.count(""), 0);
}

#[test]
fn nothing_shows_credentials() {
    let sources = provider(SocketAddr::from(([127, 0, 0, 1], 1))).sources;
    assert!(!format!("{sources:?}").contains(SECRET), "{sources:?}");
    let place = Place {
        region: "eu-west-1".to_owned(),
        profile: String::new(),
        role: None,
    };
    let login = Login::of_profile(sources, &place);
    assert!(!format!("{login:?}").contains(SECRET), "{login:?}");
}

#[test]
fn sources_of_credentials_are_named_and_what_they_said_is_not() {
    use aws_credential_types::provider::error::CredentialsError;
    let texts = [
        (
            CredentialsError::not_loaded(SECRET),
            "no AWS credentials in AWS_ACCESS_KEY_ID, profile p, AWS_WEB_IDENTITY_TOKEN_FILE, \
             AWS_CONTAINER_CREDENTIALS_*_URI, instance metadata",
        ),
        (
            CredentialsError::provider_error(format!(
                "Error retrieving credentials: external process exited with code 1. Stderr: {SECRET}"
            )),
            "the credential_process of the AWS profile p failed",
        ),
        (
            CredentialsError::unhandled(std::env::VarError::NotUnicode(SECRET.into())),
            "the AWS credentials could not be loaded",
        ),
    ];
    for (error, words) in texts {
        let text = crate::aws::of_credentials(&error, "p", false).error().to_string();
        assert!(text.contains(words) && !text.contains(SECRET), "{text}");
        assert!(text.chars().count() <= 160, "{text}");
    }
    let named = crate::aws::of_credentials(&CredentialsError::not_loaded(""), "p", true);
    assert!(!named.error().to_string().contains("AWS_ACCESS_KEY_ID"));
}
