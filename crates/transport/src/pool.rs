//! Connections to servers, and one exchange with one of them.

use std::error::Error;
use std::sync::OnceLock;
use std::time::Duration;

use http::Response;
use reqwest::{Certificate, Client, Identity, Request, redirect};
use secret::SecretBytes;
use url::{Host, Url};

use crate::names::Names;

/// No answer that is wanted is larger, in bytes.
pub const LARGEST: usize = 4 << 20;

/// How servers are reached, and how long that may take.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Until there is a connection.
    pub connect: Duration,
    /// Until there is another part of the answer.
    pub read: Option<Duration>,
    /// Until the answer has ended.
    pub total: Option<Duration>,
    /// Whether proxies of the environment are used (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`). Never for this
    /// machine and for link-local addresses, where machines find their metadata.
    pub proxies: bool,
}

impl Default for Settings {
    /// 5 s for a connection, 30 s in all, proxies as the system has them.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            read: None,
            total: Some(Duration::from_secs(30)),
            proxies: true,
        }
    }
}

/// Certificates that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub &'static str);

/// Why there is no answer. Holds nothing that was sent or received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No connection within [`Settings::connect`].
    NoConnection,
    /// No answer within [`Settings::total`], or no part of it within [`Settings::read`].
    NoAnswer,
    /// Who answers is not who was asked for, or speaks no TLS that is safe.
    Tls(String),
    /// The connection could not be made, or broke.
    Lost(String),
    /// More than [`LARGEST`].
    TooLarge,
    /// The certificates or proxies of the system.
    System,
}

/// Connections that are kept for the next request.
#[derive(Debug)]
pub struct Pool {
    settings: Settings,
    roots: Option<Vec<Certificate>>,
    identity: Option<Identity>,
    names: Names,
    /// Made when first used: to read the system's certificates takes longer than all the rest.
    proxied: OnceLock<Option<Client>>,
    direct: OnceLock<Option<Client>>,
    direct_and_plain: OnceLock<Option<Client>>,
}

impl Pool {
    /// A pool without connections, which trusts whom the system trusts. Nothing is read before it is used.
    pub fn new(settings: Settings, names: Names) -> Self {
        Self {
            settings,
            roots: None,
            identity: None,
            names,
            proxied: OnceLock::new(),
            direct: OnceLock::new(),
            direct_and_plain: OnceLock::new(),
        }
    }

    /// The same, trusting only the certificates in `roots`, which is PEM.
    ///
    /// # Errors
    /// If there are none.
    pub fn trusting(mut self, roots: &[u8]) -> Result<Self, Invalid> {
        let roots = Certificate::from_pem_bundle(roots);
        let roots = roots.map_err(|_| Invalid("the certificates of the CA are no PEM"))?;
        if roots.is_empty() {
            return Err(Invalid("there is no certificate among those of the CA"));
        }
        self.roots = Some(roots);
        Ok(self)
    }

    /// The same, showing the client certificate in `identity`, which is PEM and holds its key as well.
    ///
    /// # Errors
    /// If they are not there.
    pub fn showing(mut self, identity: &SecretBytes) -> Result<Self, Invalid> {
        let identity = Identity::from_pem(identity.expose());
        let identity = identity.map_err(|_| Invalid("the client certificate and its key are no PEM"))?;
        self.identity = Some(identity);
        Ok(self)
    }

    /// What the pool was made with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What stands at `url`, asked for once.
    ///
    /// # Errors
    /// See [`Fault`].
    pub async fn get(&self, url: Url) -> Result<Response<SecretBytes>, Fault> {
        self.send(Request::new(reqwest::Method::GET, url)).await
    }

    /// Sends `request` once and reads its whole answer, whatever its status.
    ///
    /// # Errors
    /// See [`Fault`].
    pub async fn send(&self, request: Request) -> Result<Response<SecretBytes>, Fault> {
        let client = self.client(request.url())?;
        let mut answer = client.execute(request).await.map_err(|error| fault(&error))?;
        let mut body = SecretBytes::default();
        while let Some(part) = answer.chunk().await.map_err(|error| fault(&error))? {
            if body.len() + part.len() > LARGEST {
                return Err(Fault::TooLarge);
            }
            body.expose_mut().extend_from_slice(&part);
        }
        let mut response = Response::new(body);
        *response.status_mut() = answer.status();
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        Ok(response)
    }

    fn client(&self, url: &Url) -> Result<&Client, Fault> {
        let direct = !self.settings.proxies || is_near(url);
        let client = match (direct, url.scheme()) {
            (false, _) => self.proxied.get_or_init(|| self.make(true, false)),
            (true, "http") => self.direct_and_plain.get_or_init(|| self.make(false, true)),
            (true, _) => self.direct.get_or_init(|| self.make(false, false)),
        };
        client.as_ref().ok_or(Fault::System)
    }

    fn make(&self, proxies: bool, plain: bool) -> Option<Client> {
        // An error means that it was done before.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut builder = Client::builder()
            .tls_backend_rustls()
            .redirect(redirect::Policy::none())
            .connect_timeout(self.settings.connect)
            .referer(false)
            .dns_resolver(self.names.clone());
        if !proxies {
            builder = builder.no_proxy();
        }
        if let Some(read) = self.settings.read {
            builder = builder.read_timeout(read);
        }
        if let Some(total) = self.settings.total {
            builder = builder.timeout(total);
        }
        if plain {
            builder = builder.tls_certs_only(Vec::new());
        } else if let Some(roots) = &self.roots {
            builder = builder.tls_certs_only(roots.clone());
        }
        if let Some(identity) = &self.identity {
            builder = builder.identity(identity.clone());
        }
        builder.build().ok()
    }
}

/// Whether a proxy could not be on the way: this machine, and addresses that are not routed.
fn is_near(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback() || address.is_link_local(),
        // fd00:ec2::/32 is where machines of AWS find their metadata.
        Some(Host::Ipv6(address)) => {
            address.is_loopback()
                || address.is_unicast_link_local()
                || address.segments().starts_with(&[0xfd00, 0x0ec2])
        }
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

fn fault(error: &reqwest::Error) -> Fault {
    match (error.is_timeout(), error.is_connect()) {
        (true, true) => return Fault::NoConnection,
        (true, false) => return Fault::NoAnswer,
        _ => {}
    }
    let mut why = "no connection".to_owned();
    let mut next = error.source();
    while let Some(cause) = next {
        next = cause.source();
        if let Some(tls) = tls(cause) {
            return Fault::Tls(tls.to_string());
        }
        why = cause.to_string();
    }
    Fault::Lost(why)
}

/// The library's errors travel inside of the system's, which show only what is behind them.
fn tls<'a>(mut cause: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    loop {
        if let Some(tls) = cause.downcast_ref() {
            return Some(tls);
        }
        cause = cause.downcast_ref::<std::io::Error>()?.get_ref()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::Method;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    /// A server that sends `answer` to the first request.
    async fn server(answer: Vec<u8>) -> Url {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let port = listener.local_addr().expect("bound").port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("asked");
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(&answer).await;
        });
        format!("http://127.0.0.1:{port}/").parse().expect("a URL")
    }

    fn pool(settings: Settings) -> Pool {
        Pool::new(settings, Names::default())
    }

    async fn get(pool: &Pool, url: Url) -> Result<Response<SecretBytes>, Fault> {
        pool.send(Request::new(Method::GET, url)).await
    }

    #[tokio::test]
    async fn an_answer_comes_whole_and_a_redirect_is_one() {
        let answer = b"HTTP/1.1 307 go\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 3\r\n\r\nyes";
        let url = server(answer.to_vec()).await;
        let answer = get(&pool(Settings::default()), url).await.expect("answered");
        assert_eq!(answer.status(), 307);
        assert_eq!(answer.headers()["location"], "http://127.0.0.1:1/");
        assert_eq!(answer.body().expose(), b"yes");
    }

    #[tokio::test]
    async fn an_answer_that_is_too_large_is_given_up() {
        let mut answer = b"HTTP/1.1 200 ok\r\n\r\n".to_vec();
        answer.resize(answer.len() + LARGEST + 1, b'x');
        let url = server(answer).await;
        let fault = get(&pool(Settings::default()), url).await.expect_err("too large");
        assert_eq!(fault, Fault::TooLarge);
    }

    #[tokio::test]
    async fn time_is_bounded() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let port = listener.local_addr().expect("bound").port();
        let url: Url = format!("http://127.0.0.1:{port}/").parse().expect("a URL");
        let short = Some(Duration::from_millis(50));
        for (read, total) in [(short, None), (None, short)] {
            let settings = Settings {
                read,
                total,
                ..Settings::default()
            };
            let fault = get(&pool(settings), url.clone())
                .await
                .expect_err("nobody answers");
            assert_eq!(fault, Fault::NoAnswer);
        }
    }

    #[tokio::test]
    async fn why_there_is_no_connection_is_told() {
        let closed = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let port = closed.local_addr().expect("bound").port();
        drop(closed);
        for (url, why) in [
            (format!("http://127.0.0.1:{port}/"), "Connection refused"),
            ("http://sealwright.invalid/".to_owned(), "sealwright.invalid"),
        ] {
            let pool = pool(Settings {
                proxies: false,
                ..Settings::default()
            });
            match get(&pool, url.parse().expect("a URL"))
                .await
                .expect_err("nobody there")
            {
                Fault::Lost(text) => assert!(text.contains(why), "{text}"),
                fault => panic!("{fault:?}"),
            }
        }
    }

    #[tokio::test]
    async fn who_speaks_no_tls_is_told() {
        let url = server(b"HTTP/1.1 200 ok\r\n\r\n".to_vec()).await;
        let url = url.as_str().replace("http:", "https:").parse().expect("a URL");
        let fault = get(&pool(Settings::default()), url).await.expect_err("no TLS");
        assert!(matches!(fault, Fault::Tls(_)), "{fault:?}");
    }

    #[test]
    fn what_is_no_certificate_is_refused_at_once() {
        for roots in [&b"nothing"[..], b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n"] {
            assert!(pool(Settings::default()).trusting(roots).is_err());
        }
        let identity = SecretBytes::copy_from(b"nothing");
        assert!(pool(Settings::default()).showing(&identity).is_err());
    }

    #[test]
    fn proxies_are_not_asked_for_what_is_near() {
        for (url, near) in [
            ("http://localhost:8200", true),
            ("https://127.0.0.9", true),
            ("http://[::1]:80", true),
            ("http://169.254.169.254/latest", true),
            ("http://[fe80::1]/", true),
            ("http://[fd00:ec2::254]/latest", true),
            ("http://[fd00:ec3::254]/latest", false),
            ("https://10.0.0.1", false),
            ("https://localhost.example.org", false),
        ] {
            assert_eq!(is_near(&url.parse().expect("a URL")), near, "{url}");
        }
    }
}
