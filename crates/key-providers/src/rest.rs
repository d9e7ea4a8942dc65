//! Small requests to the web services of clouds, with bounds: on time, on the size of an answer, on where it leads, on how
//! often it is asked again.
//!
//! Two calls of a key service and a handful of token endpoints need no more. The clouds' own client libraries were looked
//! at and left out: google-cloud-auth 1.18 sets no redirect policy of its own and bounds the time of few of its requests,
//! azure_identity 1.0 reads the process's environment; together with what they need they are about thirty crates.

mod tokens;

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Method, StatusCode};
use secret::SecretBytes;
use serde::de::DeserializeOwned;
use transport::{Names, Pool};
use url::Url;

use crate::provider::ProviderError;

pub use tokens::Token;
pub(crate) use tokens::Tokens;

/// The first pause; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// No pause is longer, whatever a server asks for: somebody waits.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A body may take a second for so many bytes, on top of the time that a request may take: 2 Mbit/s.
const SLOWEST: u64 = 256 << 10;

/// What a request may take.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Until there is a connection; 5 s.
    pub connect: Duration,
    /// Until the answer has ended, but for what a large body takes; 30 s.
    pub total: Duration,
    /// How often it is made at most; 4 times.
    pub attempts: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            total: Duration::from_secs(30),
            attempts: 4,
        }
    }
}

/// One pool of connections.
pub struct Rest {
    pool: Pool,
    bounds: Bounds,
}

/// A request that can be made again.
pub struct Request {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: SecretBytes,
    redirects: bool,
}

/// An answer that is not a failure of the server: it did what was asked, or says what is wrong with it.
pub struct Reply {
    /// Who answered.
    pub host: String,
    /// Never one of a server in trouble.
    pub status: StatusCode,
    /// What came before the body.
    pub headers: HeaderMap,
    /// At most 4 MiB.
    pub body: SecretBytes,
}

/// Why there is no answer. Holds no body.
enum Fault {
    /// A failure of the server that asking again may mend, and how long it wants to be left alone.
    Passing(String, Option<Duration>),
    /// No answer; how often to ask at most.
    Lost(String, u32),
    /// One that it does not.
    Lasting(String),
}

impl Rest {
    /// For services in the network. Nothing is read before the first request.
    pub fn new(bounds: Bounds) -> Self {
        Self::through(true, bounds)
    }

    /// For the metadata service of the machine: never through a proxy, asked once, and not waited for where there is none.
    pub(crate) fn of_this_machine() -> Self {
        let bounds = Bounds {
            connect: Duration::from_secs(1),
            total: Duration::from_secs(10),
            attempts: 2,
        };
        Self::through(false, bounds)
    }

    fn through(proxies: bool, bounds: Bounds) -> Self {
        let settings = transport::Settings {
            connect: bounds.connect,
            total: None, // set for each request
            proxies,
            ..transport::Settings::default()
        };
        let pool = Pool::new(settings, Names::default());
        Self { pool, bounds }
    }

    /// Asks, and again after a pause where that may help.
    ///
    /// # Errors
    /// [`ProviderError::Unreachable`] if there is no answer, [`ProviderError::Unavailable`] for one of a server in trouble;
    /// [`ProviderError::NotUsable`] for a certificate that is not trusted and a redirect.
    pub async fn ask(&self, request: &Request) -> Result<Reply, ProviderError> {
        let mut number = 0;
        loop {
            let (error, most, wanted) = match self.once(request).await {
                Ok(reply) => return Ok(reply),
                Err(Fault::Lasting(text)) => return Err(ProviderError::NotUsable(text)),
                Err(Fault::Passing(text, wanted)) => (ProviderError::Unavailable(text), u32::MAX, wanted),
                Err(Fault::Lost(text, most)) => (ProviderError::Unreachable(text), most, None),
            };
            number += 1;
            if number >= self.bounds.attempts.min(most) {
                return Err(error);
            }
            tokio::time::sleep(pause(number, wanted, chance())).await;
        }
    }

    async fn once(&self, request: &Request) -> Result<Reply, Fault> {
        let host = request.host();
        let most = self.bounds.total + Duration::from_secs(request.body.len() as u64 / SLOWEST);
        let mut sent = reqwest::Request::new(request.method.clone(), request.url.clone());
        *sent.headers_mut() = request.headers.clone();
        *sent.body_mut() = Some(request.body.expose().to_vec().into());
        *sent.timeout_mut() = Some(most);
        let answer = self.pool.send(sent).await;
        let (parts, body) = answer
            .map_err(|fault| self.lost(&host, fault, most))?
            .into_parts();
        let (status, headers) = (parts.status, parts.headers);
        match status {
            status if status.is_redirection() && !request.redirects => {
                let text = format!("{host} answers with a redirect, which is not followed");
                Err(Fault::Lasting(text))
            }
            StatusCode::TOO_MANY_REQUESTS => {
                let text = format!("{host} takes no more requests for now (throttled)");
                Err(Fault::Passing(text, retry_after(&headers)))
            }
            status if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT => {
                let text = format!("{host} failed with status {}", status.as_u16());
                Err(Fault::Passing(text, retry_after(&headers)))
            }
            _ => Ok(Reply {
                host,
                status,
                headers,
                body,
            }),
        }
    }

    /// What went wrong on the way. One that cannot be reached is asked again only once: other keys may open the file.
    fn lost(&self, host: &str, fault: transport::Fault, most: Duration) -> Fault {
        let seconds = |time: Duration| time.as_secs_f32();
        match fault {
            transport::Fault::NoConnection => {
                let limit = seconds(self.bounds.connect);
                Fault::Lost(format!("{host} cannot be reached within {limit} s"), 1)
            }
            transport::Fault::NoAnswer => {
                let limit = seconds(most);
                Fault::Lost(format!("{host} did not answer within {limit} s"), 1)
            }
            transport::Fault::Lost(why) => Fault::Lost(format!("{host} cannot be reached: {why}"), 2),
            transport::Fault::Tls(why) => {
                Fault::Lasting(format!("the TLS connection to {host} failed: {why}"))
            }
            transport::Fault::TooLarge => Fault::Lasting(format!("the answer of {host} has more than 4 MiB")),
            transport::Fault::System => {
                let text = "the certificates or proxies of this system cannot be used";
                Fault::Lasting(text.to_owned())
            }
        }
    }
}

impl Request {
    /// A request without a body.
    pub(crate) fn get(url: Url) -> Self {
        Self {
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            body: SecretBytes::default(),
            redirects: false,
        }
    }

    /// One with a JSON body.
    pub(crate) fn json(url: Url, body: SecretBytes) -> Self {
        Self::post(url, "application/json", body)
    }

    /// One with the fields of a form.
    pub(crate) fn form(url: Url, fields: &[(&str, &str)]) -> Self {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(fields);
        let body = SecretBytes::new(form.finish().into_bytes());
        Self::post(url, "application/x-www-form-urlencoded", body)
    }

    /// One that puts `body` of the type `content` in a place.
    pub fn put(url: Url, content: &'static str, body: SecretBytes) -> Self {
        Self {
            method: Method::PUT,
            ..Self::post(url, content, body)
        }
    }

    /// One that gives `body` of the type `content` to a service.
    pub fn post(url: Url, content: &'static str, body: SecretBytes) -> Self {
        Self {
            method: Method::POST,
            url,
            headers: HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(content))]),
            body,
            redirects: false,
        }
    }

    /// The request with its answer handed over if it leads elsewhere, instead of a failure. It is not followed.
    pub fn telling_redirects(mut self) -> Self {
        self.redirects = true;
        self
    }

    /// The request with one more header, whose value is shown nowhere.
    ///
    /// # Errors
    /// [`ProviderError::NotUsable`] if no header can hold it.
    pub fn with(mut self, name: &str, value: &[u8]) -> Result<Self, ProviderError> {
        let text =
            || ProviderError::NotUsable(format!("the text for the header {name} has a control character"));
        let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| text())?;
        let mut value = HeaderValue::from_bytes(value).map_err(|_| text())?;
        value.set_sensitive(true);
        self.headers.insert(header, value);
        Ok(self)
    }

    /// The request with a bearer token.
    ///
    /// # Errors
    /// As [`Self::with`].
    pub fn bearer(self, token: &Token) -> Result<Self, ProviderError> {
        let value = SecretBytes::new([b"Bearer ", token.bearer.expose()].concat());
        self.with("authorization", value.expose())
    }

    /// A header, if the request has it.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.get(name).map(HeaderValue::as_bytes)
    }

    /// Host and port as they are told.
    pub fn host(&self) -> String {
        host(&self.url)
    }
}

impl Reply {
    /// Whether it did what was asked.
    pub fn is_success(&self) -> bool {
        self.status.is_success()
    }

    /// The answer as `T`.
    ///
    /// # Errors
    /// [`ProviderError::Unavailable`] if it is none.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, ProviderError> {
        self.parse()
            .ok_or_else(|| self.unusable("it is not what the service is documented to answer"))
    }

    /// The answer as `T`, if it is one.
    pub fn parse<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(self.body.expose()).ok()
    }

    /// An answer that nothing can be done with.
    pub fn unusable(&self, why: &str) -> ProviderError {
        ProviderError::Unavailable(format!("the answer of {} cannot be used: {why}", self.host))
    }
}

/// A word out of an answer that may be shown: a code, never a sentence.
pub fn word(text: &str) -> &str {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    match text.len() <= 64 && !text.is_empty() && text.chars().all(fine) {
        true => text,
        false => "no code",
    }
}

/// Host and port of a URL.
pub fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// Reads a URL that secrets go to: `https`, or `http` on this machine.
///
/// # Errors
/// [`ProviderError::NotUsable`], naming `what`.
pub(crate) fn confidential(text: &str, what: &str) -> Result<Url, ProviderError> {
    let wrong = || ProviderError::NotUsable(format!("{what} is no https address"));
    let url = Url::parse(text).map_err(|_| wrong())?;
    let here = match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => return Err(wrong()),
    };
    let plain = !url.username().is_empty() || url.password().is_some();
    match url.scheme() {
        "https" if !plain => Ok(url),
        "http" if here && !plain => Ok(url),
        _ => Err(wrong()),
    }
}

/// `Retry-After` in seconds.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

/// How long to wait after the failure `number`, counted from 1. Half of a pause is chance, so that many clients do not come
/// back at once.
fn pause(number: u32, wanted: Option<Duration>, chance: u8) -> Duration {
    let chance = f64::from(chance) / 255.0;
    if let Some(wanted) = wanted {
        return wanted.min(LONGEST_PAUSE) + FIRST_PAUSE.mul_f64(chance);
    }
    let pause = FIRST_PAUSE
        .saturating_mul(1 << (number - 1).min(16))
        .min(LONGEST_PAUSE);
    pause.mul_f64(0.5 + chance / 2.0)
}

/// Without randomness everybody waits as long, which is no harm.
fn chance() -> u8 {
    let mut byte = [128];
    let _ = getrandom::fill(&mut byte);
    byte[0]
}

#[cfg(test)]
pub(crate) mod tests;
