//! A real OpenBao on a free port of this machine, in memory, with a root token.

use std::io;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::peers;
use crate::run::{Output, Tool};

/// How long a start may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The token that may do everything.
pub const ROOT: &str = "root";

/// A running server. Dropping it ends it.
pub struct OpenBao {
    /// `http://127.0.0.1:PORT`
    pub address: String,
    client: Tool,
    server: Child,
    _home: TempDir,
}

impl OpenBao {
    /// Starts one and waits until it answers.
    ///
    /// # Errors
    /// With the line that installs it, if it is missing; with what it said, if it does not start.
    pub fn start() -> io::Result<Self> {
        let program = peers::openbao().map_err(io::Error::other)?;
        // Taken and given back: somebody else may get it in between, and then the server says so.
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let (listen, address) = (format!("127.0.0.1:{port}"), format!("http://127.0.0.1:{port}"));
        let home = TempDir::with_prefix("sealwright-openbao-")?;
        let log = home.path().join("log");
        let server = Command::new(&program)
            .args([
                "server",
                "-dev",
                "-dev-no-store-token",
                "-dev-root-token-id",
                ROOT,
            ])
            .args(["-dev-listen-address", &listen])
            .env("HOME", home.path())
            .stdin(Stdio::null())
            .stdout(std::fs::File::create(&log)?)
            .stderr(Stdio::null())
            .spawn()?;
        let client = Tool::new(&program)?
            .env("BAO_ADDR", &address)
            .env("BAO_TOKEN", ROOT);
        let mut this = Self {
            address,
            client,
            server,
            _home: home,
        };
        let start = Instant::now();
        while !this.client.run(["status"])?.success() {
            let ended = this.server.try_wait()?;
            if ended.is_some() || start.elapsed() > PATIENCE {
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                return Err(io::Error::other(format!(
                    "OpenBao did not start: {ended:?}: {said}"
                )));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(this)
    }

    /// Runs the client `bao`, which must succeed.
    ///
    /// # Errors
    /// With what it said.
    pub fn bao(&self, arguments: &[&str]) -> io::Result<Vec<u8>> {
        self.client.run(arguments)?.expect_success()
    }

    /// Runs the client `bao`.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn try_bao(&self, arguments: &[&str]) -> io::Result<Output> {
        self.client.run(arguments)
    }
}

impl Drop for OpenBao {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
