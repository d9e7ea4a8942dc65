//! Running programs the way a test must: a clean environment, a home of their own, everything captured, a time limit.
//!
//! A program sees only `PATH`, `HOME` (an empty temporary folder), `TMPDIR` inside it, `LC_ALL=C.UTF-8` and
//! `SOPS_DISABLE_VERSION_CHECK=1`; nothing of the person who runs the tests.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a program may run before it is killed and the call fails.
pub const TIME_LIMIT: Duration = Duration::from_secs(120);

/// A program with the environment it will get.
#[derive(Debug)]
pub struct Tool {
    program: PathBuf,
    first: Vec<OsString>,
    variables: Vec<(OsString, OsString)>,
    folder: Option<PathBuf>,
    home: TempDir,
    limit: Duration,
}

/// What a program did.
#[derive(Debug, Clone)]
pub struct Output {
    /// The exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

impl Output {
    /// Whether it exited with code 0.
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }

    /// Standard output as text; what is not UTF-8 is replaced.
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text; what is not UTF-8 is replaced.
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Standard output of a program that must have succeeded.
    ///
    /// # Errors
    /// The exit code and standard error, if it did not.
    pub fn expect_success(self) -> io::Result<Vec<u8>> {
        if self.success() {
            return Ok(self.stdout);
        }
        let end = match (self.code, self.signal) {
            (Some(code), _) => format!("exit code {code}"),
            (None, signal) => format!("signal {}", signal.unwrap_or_default()),
        };
        Err(io::Error::other(format!("{end}: {}", self.err().trim_end())))
    }
}

impl Tool {
    /// `program` with a clean environment and an empty home.
    ///
    /// # Errors
    /// If no temporary folder can be made.
    pub fn new(program: impl Into<PathBuf>) -> io::Result<Self> {
        let home = TempDir::with_prefix("sealwright-test-")?;
        std::fs::create_dir(home.path().join("tmp"))?;
        Ok(Self {
            program: program.into(),
            first: Vec::new(),
            variables: Vec::new(),
            folder: None,
            home,
            limit: TIME_LIMIT,
        })
    }

    /// Adds a variable to the environment.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// Arguments that come before those of every run.
    pub fn first<S: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.first
            .extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// The working folder; without it, the home.
    pub fn dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Another time limit than [`TIME_LIMIT`].
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// The program's home folder, which goes when the `Tool` does.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The program itself.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The command that [`Tool::run`] would run, for tests that need the child itself.
    pub fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        self.wrapped(&[], arguments)
    }

    /// Runs it with an empty standard input.
    ///
    /// # Errors
    /// If it cannot be started, or runs longer than its limit.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> io::Result<Output> {
        capture(self.command(arguments), &[], self.limit)
    }

    /// Runs it with `input` on standard input.
    ///
    /// # Errors
    /// If it cannot be started, or runs longer than its limit.
    pub fn run_with_input<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
        input: &[u8],
    ) -> io::Result<Output> {
        capture(self.command(arguments), input, self.limit)
    }

    /// The command, run by `wrapper` (a program and its arguments; none if empty).
    pub(crate) fn wrapped<S: AsRef<OsStr>>(
        &self,
        wrapper: &[OsString],
        arguments: impl IntoIterator<Item = S>,
    ) -> Command {
        let mut command = match wrapper.split_first() {
            None => Command::new(&self.program),
            Some((wrapper, rest)) => {
                let mut command = Command::new(wrapper);
                command.args(rest).arg(&self.program);
                command
            }
        };
        command
            .args(&self.first)
            .args(arguments)
            .current_dir(self.folder.as_deref().unwrap_or(self.home.path()))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home.path())
            .env("TMPDIR", self.home.path().join("tmp"))
            .env("LC_ALL", "C.UTF-8")
            .env("SOPS_DISABLE_VERSION_CHECK", "1")
            .envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    pub(crate) fn time_limit(&self) -> Duration {
        self.limit
    }
}

/// Runs `command`, feeds it `input`, and captures both outputs.
///
/// # Errors
/// If it cannot be started, or runs longer than `limit` (then it has been killed).
pub fn capture(mut command: Command, input: &[u8], limit: Duration) -> io::Result<Output> {
    let name = command.get_program().to_owned();
    let failed = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", name.display()));
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    if let Some(mut stdin) = child.stdin.take() {
        if input.is_empty() {
            drop(stdin);
        } else {
            let input = input.to_owned();
            // A program may exit without reading all of its input: a broken pipe is its choice, not our failure.
            std::thread::spawn(move || drop(stdin.write_all(&input)));
        }
    }
    let status = wait(&mut child, limit).map_err(failed)?;
    Ok(Output {
        code: status.code(),
        signal: status.signal(),
        stdout: joined(stdout)?,
        stderr: joined(stderr)?,
    })
}

fn drain(stream: Option<impl Read + Send + 'static>) -> JoinHandle<io::Result<Vec<u8>>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            stream.read_to_end(&mut bytes)?;
        }
        Ok(bytes)
    })
}

fn joined(reader: JoinHandle<io::Result<Vec<u8>>>) -> io::Result<Vec<u8>> {
    reader
        .join()
        .map_err(|_| io::Error::other("the reading thread panicked"))?
}

/// Waits with short naps that grow to 10 ms, so that a run of 2 ms costs little more than 2 ms.
fn wait(child: &mut Child, limit: Duration) -> io::Result<std::process::ExitStatus> {
    let start = Instant::now();
    let mut nap = Duration::from_micros(100);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if start.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("still running after {limit:?}; killed"),
            ));
        }
        std::thread::sleep(nap);
        nap = (nap * 2).min(Duration::from_millis(10));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_sees_a_clean_environment_and_its_input() -> io::Result<()> {
        let shell = Tool::new("/bin/sh")?.env("MARK", "here").first(["-c"]);
        let output = shell.run_with_input(["env; cat; echo no >&2; exit 3"], b"typed")?;
        assert_eq!((output.code, output.err().as_str()), (Some(3), "no\n"));
        let text = output.out();
        assert!(text.ends_with("typed") && text.contains("MARK=here"), "{text}");
        assert!(
            text.contains(&format!("HOME={}", shell.home().display())),
            "{text}"
        );
        assert!(!text.contains("CARGO"), "{text}");
        assert!(
            output
                .expect_success()
                .is_err_and(|error| error.to_string() == "exit code 3: no")
        );
        Ok(())
    }

    #[test]
    fn a_program_that_hangs_is_killed() -> io::Result<()> {
        let sleeper = Tool::new("/bin/sleep")?.limit(Duration::from_millis(50));
        let error = sleeper.run(["60"]).map(|output| output.code).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        Ok(())
    }
}
