//! A proxy on loopback in front of a real server, which counts the calls, makes them slow, and spoils their answers.
//!
//! It speaks as much HTTP/1.1 as the servers of our tests do: a body has a `Content-Length` or comes in chunks.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// How long a connection may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);

/// What becomes of one call.
#[derive(Clone, Debug)]
pub enum Fate {
    /// It goes through after a pause.
    Pass(Duration),
    /// The server is not asked; this is the answer: status, further header lines, body.
    Answer(u16, Vec<String>, String),
    /// The server's answer, of whose body only so many bytes come.
    Cut(usize),
    /// The connection is closed without an answer.
    Close,
    /// Nothing comes, and the connection stays open.
    Silence,
    /// The server's answer, a byte every so often.
    Drip(Duration),
}

/// A call as it came.
pub struct Call {
    /// `POST /v1/transit/decrypt/app`
    pub line: String,
    /// The header lines.
    pub headers: Vec<String>,
    /// The body.
    pub body: Vec<u8>,
}

type Judge = dyn Fn(&Call) -> Fate + Send + Sync;

struct Shared {
    target: SocketAddr,
    judge: Box<Judge>,
    calls: AtomicUsize,
    now: AtomicUsize,
    most: AtomicUsize,
    over: AtomicBool,
}

/// A running proxy. Dropping it ends it.
pub struct Proxy {
    /// Where it listens.
    pub socket: SocketAddr,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Listens on a free port and passes on to `target`; `judge` decides over each call.
    ///
    /// # Errors
    /// When the system gives no port.
    pub fn start(
        target: SocketAddr,
        judge: impl Fn(&Call) -> Fate + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let socket = listener.local_addr()?;
        let shared = Arc::new(Shared {
            target,
            judge: Box::new(judge),
            calls: AtomicUsize::new(0),
            now: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            over: AtomicBool::new(false),
        });
        let serving = shared.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if serving.over.load(Ordering::SeqCst) {
                    return;
                }
                let (Ok(client), shared) = (client, serving.clone()) else {
                    continue;
                };
                // A client that goes away ends its own connection only.
                std::thread::spawn(move || shared.serve(client));
            }
        });
        Ok(Self { socket, shared })
    }

    /// `http://127.0.0.1:PORT`
    pub fn address(&self) -> String {
        format!("http://{}", self.socket)
    }

    /// How many calls came so far.
    pub fn calls(&self) -> usize {
        self.shared.calls.load(Ordering::SeqCst)
    }

    /// How many calls were under way at the same time, at most.
    pub fn most_at_once(&self) -> usize {
        self.shared.most.load(Ordering::SeqCst)
    }

    /// Begins to count anew.
    pub fn reset(&self) {
        self.shared.calls.store(0, Ordering::SeqCst);
        self.shared.most.store(0, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect_timeout(&self.socket, PATIENCE);
    }
}

impl Shared {
    fn serve(&self, client: TcpStream) -> io::Result<()> {
        client.set_nodelay(true)?;
        let mut reader = BufReader::new(client.try_clone()?);
        let mut writer = client;
        let mut server: Option<BufReader<TcpStream>> = None;
        while let Some(call) = read_message(&mut reader)? {
            self.calls.fetch_add(1, Ordering::SeqCst);
            let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now, Ordering::SeqCst);
            let fate = (self.judge)(&call);
            let done = self.fulfil(&call, fate, &mut server, &mut writer, &mut reader);
            self.now.fetch_sub(1, Ordering::SeqCst);
            if !done? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Whether the connection goes on.
    fn fulfil(
        &self,
        call: &Call,
        fate: Fate,
        server: &mut Option<BufReader<TcpStream>>,
        client: &mut TcpStream,
        reader: &mut BufReader<TcpStream>,
    ) -> io::Result<bool> {
        match fate {
            Fate::Pass(pause) => {
                std::thread::sleep(pause);
                client.write_all(&self.forward(call, server)?.whole())?;
                Ok(true)
            }
            Fate::Answer(status, headers, body) => {
                let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
                let length = body.len();
                let answer =
                    format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
                client.write_all(answer.as_bytes())?;
                Ok(true)
            }
            Fate::Cut(bytes) => {
                let mut answer = self.forward(call, server)?;
                let mut whole = answer.whole();
                whole.truncate(whole.len() - answer.body.len() + bytes.min(answer.body.len()));
                answer.body.clear();
                client.write_all(&whole)?;
                Ok(false)
            }
            Fate::Close => Ok(false),
            Fate::Silence => {
                // Until the client has had enough.
                let _ = reader.read(&mut [0; 1])?;
                Ok(false)
            }
            Fate::Drip(pause) => {
                for byte in self.forward(call, server)?.whole() {
                    client.write_all(&[byte])?;
                    std::thread::sleep(pause);
                }
                Ok(true)
            }
        }
    }

    fn forward(&self, call: &Call, server: &mut Option<BufReader<TcpStream>>) -> io::Result<Call> {
        let connection = match server.take() {
            Some(open) => open,
            None => BufReader::new(TcpStream::connect_timeout(&self.target, PATIENCE)?),
        };
        let connection = server.insert(connection);
        connection.get_mut().write_all(&call.whole())?;
        let answer = read_message(connection)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let closes = |line: &String| line.eq_ignore_ascii_case("connection: close");
        if answer.headers.iter().any(closes) {
            *server = None;
        }
        Ok(answer)
    }
}

impl Call {
    /// With a length in place of chunks.
    fn whole(&self) -> Vec<u8> {
        let mut out = format!("{}\r\n", self.line).into_bytes();
        for line in &self.headers {
            let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
            if !matches!(&*name, "content-length" | "transfer-encoding" | "connection") {
                out.extend_from_slice(format!("{line}\r\n").as_bytes());
            }
        }
        out.extend_from_slice(format!("Content-Length: {}\r\n\r\n", self.body.len()).as_bytes());
        out.extend_from_slice(&self.body);
        out
    }
}

/// One request or answer; `None` if the connection ends before it begins.
fn read_message(reader: &mut BufReader<TcpStream>) -> io::Result<Option<Call>> {
    let line = read_line(reader)?;
    if line.is_empty() {
        return Ok(None);
    }
    let mut headers = Vec::new();
    loop {
        let header = read_line(reader)?;
        if header.is_empty() {
            break;
        }
        headers.push(header);
    }
    let value = |name: &str| {
        let of = |line: &String| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        };
        headers.iter().find_map(of)
    };
    let mut body = Vec::new();
    if value("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        loop {
            let size = read_line(reader)?;
            let size = usize::from_str_radix(size.trim(), 16).map_err(io::Error::other)?;
            let start = body.len();
            body.resize(start + size, 0);
            reader.read_exact(&mut body[start..])?;
            read_line(reader)?;
            if size == 0 {
                break;
            }
        }
    } else if let Some(length) = value("content-length").and_then(|text| text.parse().ok()) {
        body.resize(length, 0);
        reader.read_exact(&mut body)?;
    }
    Ok(Some(Call { line, headers, body }))
}

/// A line without its end; empty at the end of the stream.
fn read_line(reader: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
