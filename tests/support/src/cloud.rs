//! A cloud on this machine: any host of the names that it has, behind a proxy, under a certificate authority of its own.
//!
//! Programs are told of it through `HTTPS_PROXY` and `SSL_CERT_FILE`, and then call their services by the real names. The
//! proxy resolves nothing and leads nowhere else: a request to a name that a test does not expect meets a certificate that
//! does not fit it. The same port answers plain HTTP, as the metadata services of machines do.
//!
//! # What this does not do
//! No HTTP/2, no load: one thread for each connection.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tempfile::TempDir;

/// How long a connection may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);

/// A request as it came.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// The host that was called, without port.
    pub host: String,
    /// `GET`, `POST`.
    pub method: String,
    /// Without query.
    pub path: String,
    /// What stands behind the question mark.
    pub query: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Told {
    /// The HTTP status; 0 for none at all: the connection stays open and silent.
    pub status: u16,
    /// Besides the length.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// What answers requests.
pub type Service = dyn Fn(&Asked) -> Told + Send + Sync;

/// A running cloud. Dropping it ends it.
pub struct Cloud {
    address: SocketAddr,
    folder: TempDir,
    shared: Arc<Shared>,
}

struct Shared {
    tls: Arc<ServerConfig>,
    service: Box<Service>,
    seen: Mutex<Vec<Asked>>,
    /// Answers of a host that come before those of the service.
    planned: Mutex<VecDeque<(String, Told)>>,
    over: AtomicBool,
}

impl Asked {
    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(found, _)| found == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The token behind `Bearer`.
    pub fn bearer(&self) -> Option<&str> {
        self.header("authorization")?.strip_prefix("Bearer ")
    }

    /// The fields of a form.
    pub fn field(&self, name: &str) -> Option<String> {
        field(&String::from_utf8_lossy(&self.body), name)
    }

    /// A parameter of the query.
    pub fn parameter(&self, name: &str) -> Option<String> {
        field(&self.query, name)
    }
}

impl Told {
    /// JSON.
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        Self {
            status,
            headers: vec![("content-type".into(), "application/json; charset=utf-8".into())],
            body: body.to_string().into_bytes(),
        }
    }

    /// With one more header.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Silence.
    pub fn nothing() -> Self {
        Self::json(0, &serde_json::Value::Null)
    }
}

impl Cloud {
    /// Starts a cloud in which `service` answers for `names`, which may begin with `*.`.
    ///
    /// # Errors
    /// If there is no port, or no certificate.
    pub fn start(names: &[&str], service: Box<Service>) -> io::Result<Self> {
        let folder = TempDir::with_prefix("sealwright-cloud-")?;
        let (authority, tls) = certificates(names).map_err(io::Error::other)?;
        std::fs::write(folder.path().join("ca.pem"), authority)?;
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let shared = Arc::new(Shared {
            tls: Arc::new(tls),
            service,
            seen: Mutex::default(),
            planned: Mutex::default(),
            over: AtomicBool::new(false),
        });
        let address = listener.local_addr()?;
        let accepting = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if accepting.over.load(Ordering::SeqCst) {
                    break;
                }
                let Ok(stream) = stream else { continue };
                let shared = accepting.clone();
                // A client that goes away is no failure.
                std::thread::spawn(move || shared.serve(stream));
            }
        });
        Ok(Self {
            address,
            folder,
            shared,
        })
    }

    /// What a program must be told to come here.
    pub fn environment(&self) -> Vec<(OsString, OsString)> {
        vec![
            ("HTTPS_PROXY".into(), self.url().into()),
            ("SSL_CERT_FILE".into(), self.certificates().into()),
        ]
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `127.0.0.1:PORT`
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// The file with the certificate that vouches for all hosts.
    pub fn certificates(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// What was asked so far; forgotten with this call.
    pub fn seen(&self) -> Vec<Asked> {
        std::mem::take(&mut *lock(&self.shared.seen))
    }

    /// The next answer of `host`, instead of the service's.
    pub fn plan(&self, host: &str, told: Told) {
        lock(&self.shared.planned).push_back((host.to_owned(), told));
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect_timeout(&self.address, PATIENCE);
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        let mut plain = BufReader::new(stream.try_clone()?);
        let Some(first) = head(&mut plain)? else {
            return Ok(());
        };
        if first.method != "CONNECT" {
            let (mut stream, mut next) = (stream, Some(first));
            // Whoever closes a connection without a word resets the request that is on its way.
            while let Some(asked) = next {
                if !self.answer(whole(asked, &mut plain)?, &mut stream)? {
                    break;
                }
                next = head(&mut plain)?;
            }
            return Ok(());
        }
        let host = first
            .path
            .rsplit_once(':')
            .map_or("", |(host, _)| host)
            .to_owned();
        (&stream).write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
        let session = ServerConnection::new(self.tls.clone()).map_err(io::Error::other)?;
        let mut tls = BufReader::new(StreamOwned::new(session, stream));
        while let Some(asked) = head(&mut tls)? {
            let mut asked = whole(asked, &mut tls)?;
            asked.host.clone_from(&host);
            if !self.answer(asked, tls.get_mut())? {
                break;
            }
        }
        Ok(())
    }

    /// Whether the connection goes on.
    fn answer(&self, asked: Asked, stream: &mut impl Write) -> io::Result<bool> {
        lock(&self.seen).push(asked.clone());
        let planned = {
            let mut planned = lock(&self.planned);
            let at = planned.iter().position(|(host, _)| *host == asked.host);
            at.and_then(|at| planned.remove(at))
        };
        let told = planned.map_or_else(|| (self.service)(&asked), |(_, told)| told);
        if told.status == 0 {
            while !self.over.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(20));
            }
            return Ok(false);
        }
        let mut text = format!(
            "HTTP/1.1 {} Status\r\ncontent-length: {}\r\n",
            told.status,
            told.body.len()
        );
        for (name, value) in &told.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        stream.write_all(text.as_bytes())?;
        stream.write_all(&told.body)?;
        stream.flush()?;
        Ok(true)
    }
}

/// The head of the next request, if there is one.
fn head(stream: &mut BufReader<impl Read>) -> io::Result<Option<Asked>> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut asked = Asked {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        ..Asked::default()
    };
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        asked
            .headers
            .push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let host = asked.header("host").unwrap_or_default();
    asked.host = host.split(':').next().unwrap_or_default().to_owned();
    Ok(Some(asked))
}

fn whole(mut asked: Asked, stream: &mut impl BufRead) -> io::Result<Asked> {
    if asked.header("transfer-encoding") == Some("chunked") {
        while let Some(chunk) = chunk(stream)? {
            asked.body.extend(chunk);
        }
        return Ok(asked);
    }
    let length: usize = asked
        .header("content-length")
        .and_then(|length| length.parse().ok())
        .unwrap_or_default();
    asked.body.resize(length, 0);
    stream.read_exact(&mut asked.body)?;
    Ok(asked)
}

/// The next chunk of a body; `None` behind the last one.
fn chunk(stream: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let length = line.split(';').next().unwrap_or_default().trim();
    let length = usize::from_str_radix(length, 16).map_err(io::Error::other)?;
    let mut chunk = vec![0; length];
    stream.read_exact(&mut chunk)?;
    // Behind a chunk is a line break, behind the last one the end of what could be trailers.
    stream.read_line(&mut String::new())?;
    Ok((length > 0).then_some(chunk))
}

/// An authority's certificate as PEM, and a server that it vouches for.
fn certificates(names: &[&str]) -> Result<(String, ServerConfig), Box<dyn std::error::Error + Send + Sync>> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let key = KeyPair::generate()?;
    let mut leaf = CertificateParams::new(names)?;
    leaf.distinguished_name
        .push(DnType::CommonName, "a cloud on this machine");
    let leaf = leaf.signed_by(&key, &authority)?;
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], private)?;
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((authority.pem(), server))
}

/// A field of a form or a query, decoded.
fn field(form: &str, name: &str) -> Option<String> {
    let value = form.split('&').find_map(|pair| {
        let (found, value) = pair.split_once('=')?;
        (found == name).then_some(value)
    })?;
    let mut bytes = Vec::new();
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
