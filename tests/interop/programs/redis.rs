//! A real Redis that gets its password from `exec-env`, and clients that do.
//!
//! The password reaches the server through its standard input, the client through a variable: `exec-env` keeps it off every
//! command line, and the lines that it runs must too.

use std::fs;
use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use support::canary::Canary;
use support::peers;
use support::run::{Output, Tool};

use super::{Sops, Stage};
use crate::scene::{EVERYTHING, Result, ended};

/// The server takes the place of the shell, so that a request to end reaches it.
const SERVE: &str = r#"exec SERVER --port 0 --unixsocket FOLDER/socket --dir FOLDER --pidfile FOLDER/pid --save '' - <<END
requirepass $REDIS_PASSWORD
END
"#;

/// What the server says once it listens and has written its process id.
const READY: &str = "ready to accept connections";

/// A command for the server.
const ASK: &str = r#"export REDISCLI_AUTH="$REDIS_PASSWORD"
exec CLIENT -s FOLDER/socket COMMAND"#;

const LIMIT: Duration = Duration::from_secs(30);

/// A running server and the program that started it. Dropping it ends both.
struct Server<'a> {
    stage: &'a Stage,
    /// `seal`, or `sops`, and its home.
    starter: (Child, Tool),
}

impl<'a> Server<'a> {
    /// Starts it and waits until it is ready.
    fn start(stage: &'a Stage, program: &str, options: &[&str]) -> Result<Self> {
        let tool = stage.tool(program, Sops::Ours)?;
        let starter = tool
            .command(["exec-env"].iter().chain(options))
            .arg("redis.yaml")
            .arg(line(stage, SERVE)?)
            .stdin(Stdio::null())
            .stdout(fs::File::create(stage.scene.path("out"))?)
            .stderr(fs::File::create(stage.scene.path("err"))?)
            .spawn()?;
        let mut server = Self {
            stage,
            starter: (starter, tool),
        };
        until(|| {
            if let Some(end) = server.starter.0.try_wait()? {
                let said = String::from_utf8_lossy(&stage.scene.read("err")?).into_owned();
                return Err(format!("{program} {options:?}: {end}: {said}").into());
            }
            Ok(String::from_utf8_lossy(&stage.scene.read("out")?).contains(READY))
        })?;
        Ok(server)
    }

    /// The server's own process.
    fn pid(&self) -> Result<u32> {
        Ok(String::from_utf8(self.stage.scene.read("pid")?)?.trim().parse()?)
    }

    /// What a client is answered, with the password of this file.
    fn ask(&self, (program, sops): (&str, Sops), file: &str, command: &str) -> Result<Output> {
        let line = line(self.stage, ASK)?.replace("COMMAND", command);
        Ok(self.stage.tool(program, sops)?.run(["exec-env", file, &line])?)
    }

    /// Asks the starter to end, and returns its exit code.
    fn stop(mut self) -> Result<Option<i32>> {
        signal("TERM", self.starter.0.id())?;
        Ok(self.starter.0.wait()?.code())
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        if let Ok(None) = self.starter.0.try_wait() {
            // The server first: it is the child of a program that is about to be gone.
            let _ = self.pid().and_then(|pid| signal("KILL", pid));
            let _ = self.starter.0.kill();
            let _ = self.starter.0.wait();
        }
    }
}

fn signal(name: &str, pid: u32) -> Result {
    let arguments = ["-s", name, &pid.to_string()];
    Command::new("kill").args(arguments).status()?;
    Ok(())
}

fn until(mut reached: impl FnMut() -> Result<bool>) -> Result {
    let start = Instant::now();
    while !reached()? {
        if start.elapsed() > LIMIT {
            return Err(format!("not reached within {LIMIT:?}").into());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// A line with the programs and the folder in it.
fn line(stage: &Stage, line: &str) -> Result<String> {
    let server = peers::redis()?;
    let client = server.with_file_name("redis-cli");
    Ok(line
        .replace("SERVER", &server.display().to_string())
        .replace("CLIENT", &client.display().to_string())
        .replace("FOLDER", &stage.scene.folder().display().to_string()))
}

#[test]
fn a_server_and_its_clients_get_their_password_from_exec_env() -> Result {
    let stage = Stage::new(EVERYTHING)?;
    let (right, wrong) = (Canary::new(306), Canary::new(307));
    for (name, canary) in [("redis.yaml", &right), ("wrong.yaml", &wrong)] {
        let text = format!("REDIS_PASSWORD: {}\n", canary.text());
        stage.scene.write(name, text)?;
        stage.scene.must(&["-q", name])?;
    }
    let starters: [(&str, &[&str]); 3] = [("seal", &["-vv"]), ("seal", &["--same-process"]), ("sops", &[])];
    for (program, options) in starters {
        let server = Server::start(&stage, program, options)?;
        for client in [("seal", Sops::Ours), ("sops", Sops::Ours), ("sops", Sops::Real)] {
            let answer = server.ask(client, "redis.yaml", "ECHO apples")?;
            assert_eq!(answer.out(), "apples\n", "{client:?}: {}", ended(&answer));
            let answer = server.ask(client, "wrong.yaml", "ECHO apples")?;
            let said = answer.out() + &answer.err();
            assert!(said.contains("WRONGPASS") && !said.contains("apples"), "{said}");
        }
        is_nowhere(&server, &right)?;
        assert_eq!(server.stop()?, Some(0), "{program} {options:?}");
        let socket = stage.scene.path("socket");
        assert!(!socket.exists(), "the server did not end by itself");
    }
    Ok(())
}

/// While a client waits for the server, the password is on no command line, in none of our own processes, and in no file.
fn is_nowhere(server: &Server<'_>, password: &Canary) -> Result {
    let (stage, seal) = (server.stage, ("seal", Sops::Ours));
    let tool = stage.tool("seal", Sops::Ours)?;
    let client = tool
        .command(["exec-env", "redis.yaml"])
        .arg(line(stage, ASK)?.replace("COMMAND", "BLPOP orders 0"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    until(|| {
        let told = server.ask(seal, "redis.yaml", "INFO clients")?;
        Ok(told.out().contains("blocked_clients:1"))
    })?;
    for pid in [server.starter.0.id(), client.id()] {
        assert_eq!(password.in_process(pid)?, []);
    }
    assert_eq!(shown(password)?, Vec::<String>::new());
    // The sealed file, the data, all that the server and its starter said, and what they may have put aside.
    for folder in [stage.scene.folder(), tool.home(), server.starter.1.home()] {
        assert_eq!(password.sweep(folder)?, []);
    }
    server.ask(seal, "redis.yaml", "LPUSH orders apples")?;
    let answer = client.wait_with_output()?;
    assert_eq!(answer.stdout, b"orders\napples\n");
    assert_eq!(password.find(&answer.stderr), None);
    Ok(())
}

/// Every process whose command line shows the marker.
fn shown(canary: &Canary) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let path = entry?.path().join("cmdline");
        let mut text = Vec::new();
        // Processes come and go, and many folders here are none.
        let read = fs::File::open(&path).and_then(|mut file| file.read_to_end(&mut text));
        if read.is_ok() && canary.find(&text).is_some() {
            found.push(path.display().to_string());
        }
    }
    Ok(found)
}

#[test]
fn a_marker_on_a_command_line_is_seen() -> Result {
    let canary = Canary::new(308);
    let mut command = Command::new("cat");
    command.arg0(canary.text()).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    // The system lets a parent go on a moment before it shows the child's words.
    let start = Instant::now();
    let mut found = shown(&canary);
    while start.elapsed() < LIMIT && found.as_ref().is_ok_and(Vec::is_empty) {
        found = shown(&canary);
    }
    drop(child.stdin.take());
    child.wait()?;
    assert_eq!(found?.len(), 1);
    Ok(())
}
