//! AWS, emulated by moto on a free port of this machine: KMS with real AES-GCM, S3, STS, IAM, checked signatures.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::peers;

/// How long a start may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The account that owns everything.
pub const ACCOUNT: &str = "123456789012";

/// An access key.
#[derive(Clone, Debug)]
pub struct Access {
    /// `AWS_ACCESS_KEY_ID`
    pub id: String,
    /// `AWS_SECRET_ACCESS_KEY`
    pub secret: String,
}

/// A running server. Dropping it ends it.
pub struct Moto {
    /// `http://127.0.0.1:PORT`
    pub address: String,
    at: SocketAddr,
    server: Child,
    _home: TempDir,
}

impl Moto {
    /// Starts one and waits until it answers. It checks no signatures before [`Self::enforce`].
    ///
    /// # Errors
    /// With the line that installs it, if it is missing; with what it said, if it does not start.
    pub fn start() -> io::Result<Self> {
        let program = peers::moto().map_err(io::Error::other)?;
        // Taken and given back: somebody else may get it in between, and then the server says so.
        let at = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
        let home = TempDir::with_prefix("sealwright-moto-")?;
        let log = home.path().join("log");
        let server = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", &at.port().to_string()])
            .env("HOME", home.path())
            .env_remove("MOTO_PORT")
            .stdin(Stdio::null())
            .stdout(File::create(&log)?)
            .stderr(File::create(home.path().join("errors"))?)
            .spawn()?;
        let mut this = Self {
            address: format!("http://{at}"),
            at,
            server,
            _home: home,
        };
        let start = Instant::now();
        while this.exchange("GET", "/moto-api/", &[], "").is_err() {
            let ended = this.server.try_wait()?;
            if ended.is_some() || start.elapsed() > PATIENCE {
                let said = std::fs::read_to_string(log.with_file_name("errors")).unwrap_or_default();
                return Err(io::Error::other(format!("moto did not start: {ended:?}: {said}")));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(this)
    }

    /// Signatures and policies are checked from now on, but for as many requests as `free` says.
    ///
    /// # Errors
    /// If the server does not answer.
    pub fn enforce(&self, free: u32) -> io::Result<()> {
        let binary = ("Content-Type", "application/octet-stream");
        self.exchange("POST", "/moto-api/reset-auth", &[binary], &free.to_string())
            .map(drop)
    }

    /// A new key; its ARN.
    ///
    /// # Errors
    /// With the server's answer.
    pub fn key(&self, region: &str) -> io::Result<String> {
        let made = self.kms(region, "CreateKey", &json!({}))?;
        text(&made["KeyMetadata"]["Arn"])
    }

    /// A new alias of a key; its ARN.
    ///
    /// # Errors
    /// With the server's answer.
    pub fn alias(&self, region: &str, name: &str, key: &str) -> io::Result<String> {
        let request = json!({ "AliasName": format!("alias/{name}"), "TargetKeyId": key });
        self.kms(region, "CreateAlias", &request)?;
        Ok(format!("arn:aws:kms:{region}:{ACCOUNT}:alias/{name}"))
    }

    /// An action of KMS, before [`Self::enforce`].
    ///
    /// # Errors
    /// With the server's answer.
    pub fn kms(&self, region: &str, action: &str, request: &Value) -> io::Result<Value> {
        let target = format!("TrentService.{action}");
        let headers = [
            ("Content-Type", "application/x-amz-json-1.1"),
            ("X-Amz-Target", target.as_str()),
            ("Authorization", &claim(region, "kms")),
        ];
        let answer = self.exchange("POST", "/", &headers, &request.to_string())?;
        if answer.is_empty() {
            return Ok(Value::Null);
        }
        Ok(serde_json::from_str(&answer)?)
    }

    /// A new user who may do what `allowed` lists, and an access key of theirs.
    ///
    /// # Errors
    /// With the server's answer.
    pub fn user(&self, name: &str, allowed: &[&str]) -> io::Result<Access> {
        self.iam("CreateUser", &[("UserName", name)])?;
        if !allowed.is_empty() {
            let policy = policy(allowed);
            let parameters = [
                ("UserName", name),
                ("PolicyName", "p"),
                ("PolicyDocument", &policy),
            ];
            self.iam("PutUserPolicy", &parameters)?;
        }
        let made = self.iam("CreateAccessKey", &[("UserName", name)])?;
        Ok(Access {
            id: element(&made, "AccessKeyId")?,
            secret: element(&made, "SecretAccessKey")?,
        })
    }

    /// A new role that may do what `allowed` lists, for anybody to take; its ARN.
    ///
    /// # Errors
    /// With the server's answer.
    pub fn role(&self, name: &str, allowed: &[&str]) -> io::Result<String> {
        let trust = json!({
            "Version": "2012-10-17",
            "Statement": [{ "Effect": "Allow", "Principal": { "AWS": "*" }, "Action": "sts:AssumeRole" }],
        });
        let trust = trust.to_string();
        let made = self.iam(
            "CreateRole",
            &[("RoleName", name), ("AssumeRolePolicyDocument", &trust)],
        )?;
        let policy = policy(allowed);
        let parameters = [
            ("RoleName", name),
            ("PolicyName", "p"),
            ("PolicyDocument", &policy),
        ];
        self.iam("PutRolePolicy", &parameters)?;
        element(&made, "Arn")
    }

    /// A new bucket of S3.
    ///
    /// # Errors
    /// With the server's answer.
    pub fn bucket(&self, region: &str, name: &str) -> io::Result<()> {
        let place = format!(
            "<CreateBucketConfiguration><LocationConstraint>{region}</LocationConstraint></CreateBucketConfiguration>"
        );
        let headers = [("Authorization", claim(region, "s3"))];
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        self.exchange("PUT", &format!("/{name}"), &headers, &place)
            .map(drop)
    }

    /// All objects of a bucket. From then on nothing is checked before [`Self::enforce`].
    ///
    /// # Errors
    /// With the server's answer.
    pub fn objects(&self, region: &str, bucket: &str) -> io::Result<BTreeMap<String, String>> {
        self.enforce(u32::MAX >> 1)?;
        let claim = claim(region, "s3");
        let headers = [("Authorization", claim.as_str())];
        let list = self.exchange(
            "GET",
            &format!("/{bucket}?list-type=2&encoding-type=url"),
            &headers,
            "",
        )?;
        let mut objects = BTreeMap::new();
        for part in list.split("<Key>").skip(1) {
            let key = part.split("</Key>").next().unwrap_or_default();
            let content = self.exchange("GET", &format!("/{bucket}/{key}"), &headers, "")?;
            objects.insert(key.to_owned(), content);
        }
        Ok(objects)
    }

    fn iam(&self, action: &str, parameters: &[(&str, &str)]) -> io::Result<String> {
        let mut body = format!("Action={action}&Version=2010-05-08");
        for (name, value) in parameters {
            body.push_str(&format!("&{name}={}", encoded(value)));
        }
        let headers = [
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Authorization", &claim("us-east-1", "iam")),
        ];
        self.exchange("POST", "/", &headers, &body)
    }

    /// One request; the body of its answer.
    fn exchange(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&self.at, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n",
            self.at
        );
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        match head.split(' ').nth(1) {
            Some("200") => Ok(body.to_owned()),
            _ => Err(io::Error::other(format!("moto: {answer}"))),
        }
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// What a signed request begins with, without a signature: it names region and service.
fn claim(region: &str, service: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=admin/20260101/{region}/{service}/aws4_request, SignedHeaders=host, Signature=0"
    )
}

fn policy(allowed: &[&str]) -> String {
    let statement = json!([{ "Effect": "Allow", "Action": allowed, "Resource": "*" }]);
    json!({ "Version": "2012-10-17", "Statement": statement }).to_string()
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

/// The text of the first XML element `name`.
fn element(answer: &str, name: &str) -> io::Result<String> {
    let found = answer
        .split_once(&format!("<{name}>"))
        .and_then(|(_, rest)| rest.split_once("</"));
    let (text, _) = found.ok_or_else(|| io::Error::other(format!("no {name} in: {answer}")))?;
    Ok(text.to_owned())
}

fn text(value: &Value) -> io::Result<String> {
    let text = value
        .as_str()
        .ok_or_else(|| io::Error::other(format!("no text: {value}")))?;
    Ok(text.to_owned())
}
