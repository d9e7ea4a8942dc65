//! A key service of some program, running.

use std::future::Future;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use key_providers::Network;
use key_providers::key_service::{Endpoint, KeyService};
use serde_json::Value;
use sops::MasterKey;
use support::run::Tool;

use crate::scene::Result;

/// How long a start may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program, its home, and where it listens. Killed when dropped.
pub(super) struct Service {
    pub(super) endpoint: String,
    pub(super) child: Child,
    tool: Tool,
}

impl Service {
    /// Starts it and waits until it listens.
    pub(super) fn start(tool: Tool, arguments: &[&str], endpoint: String) -> Result<Self> {
        let mut service = Self::spawn(tool, arguments, endpoint)?;
        let start = Instant::now();
        while !service.listens() {
            if service.child.try_wait()?.is_some() || start.elapsed() > PATIENCE {
                return Err(format!("{arguments:?} did not start: {}", service.said()?).into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(service)
    }

    /// Starts it and waits for nothing. Its standard input is a pipe.
    pub(super) fn spawn(tool: Tool, arguments: &[&str], endpoint: String) -> Result<Self> {
        let stderr = std::fs::File::create(tool.home().join("stderr"))?;
        let child = tool
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(stderr.try_clone()?)
            .stderr(stderr)
            .spawn()?;
        Ok(Self {
            endpoint,
            child,
            tool,
        })
    }

    fn listens(&self) -> bool {
        match self.endpoint.split_once("://") {
            Some(("unix", path)) => UnixStream::connect(path).is_ok(),
            Some((_, address)) => address
                .parse()
                .is_ok_and(|address| TcpStream::connect_timeout(&address, PATIENCE).is_ok()),
            None => false,
        }
    }

    /// All it printed up to now.
    pub(super) fn said(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.tool.home().join("stderr"))?)
    }

    /// The requests that it recorded on stderr.
    pub(super) fn record(&self) -> Result<Vec<Value>> {
        let said = self.said()?;
        let lines = said.lines().filter(|line| line.starts_with('{'));
        let records = lines
            .map(serde_json::from_str)
            .collect::<std::result::Result<Vec<Value>, _>>()?;
        // A look whether it listens is no request.
        Ok(records
            .into_iter()
            .filter(|record| !record["operation"].is_null())
            .collect())
    }

    /// A client with a connection of its own.
    pub(super) fn client(&self) -> Result<KeyService> {
        Ok(KeyService::new(
            Endpoint::parse(&self.endpoint)?,
            None,
            Network::default(),
        ))
    }

    /// Sends it a signal.
    pub(super) fn signal(&self, signal: rustix::process::Signal) -> Result {
        let pid = i32::try_from(self.child.id())?;
        let pid = rustix::process::Pid::from_raw(pid).ok_or("no process")?;
        Ok(rustix::process::kill_process(pid, signal)?)
    }

    /// Waits for its end; its exit code.
    pub(super) fn ended(&mut self) -> Result<Option<i32>> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status.code());
            }
            if start.elapsed() > PATIENCE {
                return Err(format!("it does not end: {}", self.said()?).into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that was free just now.
pub(super) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

pub(super) fn age(recipient: &str) -> MasterKey {
    MasterKey::Age {
        recipient: recipient.to_owned(),
    }
}

/// The result of `work`, on a runtime of its own.
pub(super) fn wait<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(work)
}
