//! `seal agent`: data keys in the memory of one process, for a while.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitCode, Stdio};
use std::time::Duration;

use jiff::SignedDuration;
use key_providers::agent::{Agent as Client, AgentError, Kept, serve};
use key_providers::socket::SocketFile;
use tokio::sync::oneshot;

use crate::error::{Code, Error, Result};
use crate::workbench::Workbench;
use crate::{interrupt, sockets};

/// No agent holds a key for longer.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Keep data keys in memory for a while, so that nobody is asked twice for them
///
/// While an agent runs, every command asks it first, and gives it what it had to ask others for: a passphrase is typed, a
/// smartcard touched and a key service called once for all commands of that time. The agent holds the data keys of files
/// that were opened, no identities. It answers programs of this user only; every one of them can open those files
/// meanwhile.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  seal agent start --keep 1h
  seal agent status
  seal agent lock                   forget all keys now")]
pub(crate) struct Agent {
    #[command(subcommand)]
    command: AgentCommand,

    /// The agent's socket [default: $XDG_RUNTIME_DIR/sealwright/agent.sock]
    #[arg(long, global = true, value_name = "PATH", env = sockets::AGENT_VARIABLE)]
    socket: Option<PathBuf>,
}

#[derive(clap::Subcommand)]
enum AgentCommand {
    /// Start an agent in the background
    Start {
        /// How long a key is held after it was unwrapped, at most 24h
        #[arg(long, value_name = "TIME", default_value = "15m", value_parser = keep)]
        keep: Duration,

        /// Stay in the foreground, until Ctrl-C or `seal agent stop`
        #[arg(long)]
        foreground: bool,

        /// The socket is the standard input already.
        #[arg(long, hide = true)]
        inherited: bool,
    },
    /// Show what the agent holds, how often it was used, and for how long it is held
    Status,
    /// Make the agent forget all keys
    Lock,
    /// End the agent
    Stop,
}

/// `15m`, `1h 30m`, `20s`.
fn keep(text: &str) -> std::result::Result<Duration, String> {
    let time: std::result::Result<SignedDuration, _> = text.parse();
    let time = time.ok().and_then(|time| Duration::try_from(time).ok());
    time.filter(|time| (Duration::from_secs(1)..=LONGEST).contains(time))
        .ok_or_else(|| "give a time such as 90s, 15m or 8h, from 1s to 24h".to_owned())
}

impl Agent {
    pub(crate) fn run(self, bench: &Workbench) -> Result<ExitCode> {
        if let AgentCommand::Start {
            keep,
            inherited: true,
            ..
        } = self.command
        {
            return run_inherited(self.socket.as_deref(), keep);
        }
        let path = match self.socket.filter(|path| !path.as_os_str().is_empty()) {
            Some(path) => path,
            None => sockets::place("agent.sock", "--socket /PATH names one")?,
        };
        let agent = Client::at(&path);
        match self.command {
            AgentCommand::Start { keep, foreground, .. } => start(bench, &path, keep, foreground)?,
            AgentCommand::Status => status(bench, &path, &agent)?,
            AgentCommand::Lock => {
                agent.lock().map_err(|error| no_agent(&path, &error))?;
                bench.ui.report("locked", &path, None)?;
            }
            AgentCommand::Stop => {
                agent.stop().map_err(|error| no_agent(&path, &error))?;
                bench.ui.report("stopped", &path, None)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn start(bench: &Workbench, path: &Path, keep: Duration, foreground: bool) -> Result<()> {
    let (listener, file) = sockets::listen(path)?;
    if foreground {
        tell_start(bench, path, keep)?;
        return serve_here(listener, file, keep, |locked| warn_unlocked(bench, locked));
    }
    let mut child = spawn(path, listener, keep).map_err(|cause| cannot_start().cause(&cause))?;
    let (_, locked) = Client::at(path).status().map_err(|error| {
        // One that nobody can reach would hold what it is given for ever.
        let _ = child.kill().and_then(|()| child.wait());
        cannot_start().cause(&error)
    })?;
    file.hand_over();
    tell_start(bench, path, keep)?;
    warn_unlocked(bench, locked);
    Ok(())
}

fn warn_unlocked(bench: &Workbench, locked: bool) {
    if !locked {
        bench.ui.warn(
            None,
            "the system does not let the agent lock its memory (ulimit -l): it may be written to swap space",
        );
    }
}

fn tell_start(bench: &Workbench, path: &Path, keep: Duration) -> Result<()> {
    bench.ui.report(
        "agent listens on",
        path,
        Some(&format!("keys are held for {}", in_words(keep))),
    )
}

/// Starts this program once more, behind the socket, with nothing else of this process.
fn spawn(path: &Path, listener: UnixListener, keep: Duration) -> io::Result<Child> {
    let program = std::env::current_exe()?;
    std::process::Command::new(program)
        .args(["agent", "start", "--inherited", "--keep"])
        .arg(format!("{}s", keep.as_secs()))
        .arg("--socket")
        .arg(std::path::absolute(path)?)
        .env_clear()
        .current_dir("/")
        .stdin(OwnedFd::from(listener))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}

/// What [`spawn`] started.
fn run_inherited(path: Option<&Path>, keep: Duration) -> Result<ExitCode> {
    // It is no leader of its group, so that it can leave the terminal.
    let _ = rustix::process::setsid();
    let failed = |cause: io::Error| cannot_start().cause(&cause);
    let socket = io::stdin().as_fd().try_clone_to_owned().map_err(failed)?;
    let file = SocketFile::of(path.unwrap_or(Path::new(""))).map_err(failed)?;
    serve_here(UnixListener::from(socket), file, keep, |_| ())?;
    Ok(ExitCode::SUCCESS)
}

fn serve_here(
    listener: UnixListener,
    file: SocketFile,
    keep: Duration,
    started: impl FnOnce(bool),
) -> Result<()> {
    let failed = |cause: io::Error| cannot_start().cause(&cause);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    let (stop, stopped) = oneshot::channel::<()>();
    let stopping = interrupt::on_request(move || {
        // It has ended by itself if nobody waits for this.
        let _ = stop.send(());
    });
    let stopping = stopping.map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    runtime
        .block_on(async {
            let listener = tokio::net::UnixListener::from_std(listener)?;
            serve(listener, keep, started, async { drop(stopped.await) }).await;
            Ok(())
        })
        .map_err(failed)?;
    drop((stopping, file));
    Ok(())
}

fn status(bench: &Workbench, path: &Path, agent: &Client) -> Result<()> {
    let (kept, locked) = agent.status().map_err(|error| no_agent(path, &error))?;
    if bench.ui.manner().json {
        let keys: Vec<_> = kept.iter().map(record).collect();
        return bench.ui.record(&serde_json::json!({
            "socket": path.to_string_lossy(), "memory_locked": locked, "keys": keys,
        }));
    }
    let memory = if locked {
        "its memory is never swapped out"
    } else {
        "its memory may be swapped out"
    };
    bench.ui.report("agent listens on", path, Some(memory))?;
    for key in &kept {
        let Kept { name, left, uses } = key;
        let left = in_words(*left);
        bench
            .ui
            .say(&format!("  {name} (for {left}, used {uses} times)"))?;
    }
    if kept.is_empty() {
        bench.ui.say("  it holds no key")?;
    }
    Ok(())
}

fn record(key: &Kept) -> serde_json::Value {
    serde_json::json!({ "key": key.name, "seconds_left": key.left.as_secs(), "uses": key.uses })
}

/// `1h 5m 3s`
fn in_words(time: Duration) -> String {
    let time = SignedDuration::from_secs(i64::try_from(time.as_secs()).unwrap_or(i64::MAX));
    format!("{time:#}")
}

fn no_agent(path: &Path, error: &AgentError) -> Error {
    let told = Error::new(Code::Generic, error.to_string()).file(path);
    match error {
        AgentError::None => told.hint("`seal agent start` starts one"),
        _ => told,
    }
}

fn cannot_start() -> Error {
    Error::new(Code::Generic, "the agent cannot be started")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_bounded() {
        let seconds = |text: &str| keep(text).ok().map(|time| time.as_secs());
        assert_eq!(seconds("90s"), Some(90));
        assert_eq!(seconds("15m"), Some(900));
        assert_eq!(seconds("1h 30m"), Some(5400));
        for text in ["", "0s", "-5m", "25h", "10", "1 fortnight", "0.5s"] {
            assert_eq!(seconds(text), None, "{text}");
        }
        assert_eq!(in_words(Duration::from_secs(5403)), "1h 30m 3s");
    }
}
