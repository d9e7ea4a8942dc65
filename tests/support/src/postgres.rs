//! A real PostgreSQL on a free port of this machine, with the table of sops' audit log.
//!
//! Everybody who connects needs a password, but for the role `certain`, who shows a certificate; with TLS if they ask for
//! it, under a certificate for `localhost` only.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use crate::peers;

/// How long a start may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// The user `nobody`: PostgreSQL refuses to run as root.
const NOBODY: u32 = 65534;

/// The password of the role `sops`, which may add rows to the table and nothing else.
pub const PASSWORD: &str = "pass-of-sops 'n%40";

/// sops 3.11.0 and 3.13.3 write rows of this shape.
const TABLE: &str = "CREATE TABLE audit_event (id SERIAL PRIMARY KEY, timestamp TIMESTAMP DEFAULT CURRENT_TIMESTAMP, \
     action TEXT, username TEXT, file TEXT); CREATE ROLE certain LOGIN; GRANT INSERT ON audit_event TO sops, certain; \
     GRANT USAGE ON audit_event_id_seq TO sops, certain;";

/// A running server. Dropping it ends it.
pub struct Postgres {
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    programs: PathBuf,
    server: Child,
    home: TempDir,
}

impl Postgres {
    /// Starts one and waits until it answers.
    ///
    /// # Errors
    /// With the line that installs it, if it is missing; with what it said, if it does not start.
    pub fn start() -> io::Result<Self> {
        let programs = peers::postgres().map_err(io::Error::other)?;
        let programs = programs.parent().map(Path::to_owned).unwrap_or_default();
        // Taken and given back: somebody else may get it in between, and then the server says so.
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let home = TempDir::with_prefix("sealwright-postgres-")?;
        let write = |name: &str, text: &str, mode| -> io::Result<()> {
            let path = home.path().join(name);
            fs::write(&path, text)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
            belongs_to_server(&path)
        };
        belongs_to_server(home.path())?;
        write("password", PASSWORD, 0o600)?;
        let made = certificates().map_err(io::Error::other)?;
        for (name, pem) in &made.0 {
            write(name, pem, 0o600)?;
        }
        // Who connects shows its own.
        for (name, pem) in &made.1 {
            fs::write(home.path().join(name), pem)?;
            fs::set_permissions(home.path().join(name), fs::Permissions::from_mode(0o600))?;
        }
        let data = home.path().join("data");
        let made = unprivileged(&programs.join("initdb"), &home)?
            .args(["--username=owner", "--auth=scram-sha-256", "--pwfile=password"])
            .args(["--no-sync", "--encoding=UTF8", "--locale=C", "--pgdata=data"])
            .output()?;
        if !made.status.success() {
            let said = String::from_utf8_lossy(&made.stderr).into_owned();
            return Err(io::Error::other(format!("initdb: {said}")));
        }
        let rules = data.join("pg_hba.conf");
        let others = fs::read_to_string(&rules)?;
        fs::write(&rules, format!("hostssl all certain all cert\n{others}"))?;
        let log = home.path().join("log");
        let server = unprivileged(&programs.join("postgres"), &home)?
            .arg("-D")
            .arg(&data)
            .args([
                "-p",
                &port.to_string(),
                "-c",
                "listen_addresses=127.0.0.1",
                "-c",
                "fsync=off",
            ])
            .args([
                "-c",
                &format!("unix_socket_directories={}", home.path().display()),
            ])
            .args([
                "-c",
                "log_connections=on",
                "-c",
                "ssl=on",
                "-c",
                "ssl_cert_file=../server.crt",
                "-c",
                "ssl_key_file=../server.key",
                "-c",
                "ssl_ca_file=../root.crt",
            ])
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log)?)
            .spawn()?;
        let mut this = Self {
            port,
            programs,
            server,
            home,
        };
        let start = Instant::now();
        while let Err(error) = this.sql("postgres", "SELECT 1") {
            let ended = this.server.try_wait()?;
            if ended.is_some() || start.elapsed() > PATIENCE {
                let said = fs::read_to_string(&log).unwrap_or_default();
                let text = format!("PostgreSQL did not start: {ended:?}: {error}: {said}");
                return Err(io::Error::other(text));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        this.sql("postgres", "CREATE DATABASE audit")?;
        let role = PASSWORD.replace('\'', "''");
        this.sql(
            "audit",
            &format!("CREATE ROLE sops LOGIN PASSWORD '{role}'; {TABLE}"),
        )?;
        Ok(this)
    }

    /// Runs a statement as the owner; the answer's columns are parted by `|`.
    ///
    /// # Errors
    /// With what the server said.
    pub fn sql(&self, database: &str, statement: &str) -> io::Result<String> {
        let output = self.psql(database).args(["-c", statement]).output()?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => Err(io::Error::other(
                String::from_utf8_lossy(&output.stderr).into_owned(),
            )),
        }
    }

    /// The client, connected as the owner.
    pub fn psql(&self, database: &str) -> Command {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args(["-qAtX", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", "owner"])
            .args(["-p", &self.port.to_string(), "-d", database])
            .env("PGPASSWORD", PASSWORD);
        psql
    }

    /// The rows that were added since the last call: `action|username|file`.
    ///
    /// # Errors
    /// With what the server said.
    pub fn rows(&self) -> io::Result<Vec<String>> {
        let statement = "WITH gone AS (DELETE FROM audit_event RETURNING *) \
                         SELECT action, username, file FROM gone ORDER BY id";
        let rows = self.sql("audit", statement)?;
        Ok(rows.lines().map(str::to_owned).collect())
    }

    /// The certificate of whoever vouches for the server.
    pub fn root(&self) -> PathBuf {
        self.home.path().join("root.crt")
    }

    /// The certificate of the role `certain`, and its key.
    pub fn client(&self) -> (PathBuf, PathBuf) {
        let file = |name| self.home.path().join(name);
        (file("client.crt"), file("client.key"))
    }

    /// The folder of its Unix socket.
    pub fn socket(&self) -> &Path {
        self.home.path()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Politely, or what it shares between its processes stays behind.
        let pid = self.server.id().to_string();
        let asked = Command::new("kill").args(["-INT", &pid]).status();
        if !asked.is_ok_and(|status| status.success()) {
            let _ = self.server.kill();
        }
        let _ = self.server.wait();
    }
}

/// A program of the server, in its home.
fn unprivileged(program: &Path, home: &TempDir) -> io::Result<Command> {
    let mut command = Command::new(program);
    command.current_dir(home.path()).stdin(Stdio::null());
    if is_root()? {
        command.uid(NOBODY).gid(NOBODY);
    }
    Ok(command)
}

fn is_root() -> io::Result<bool> {
    Ok(fs::metadata("/proc/self")?.uid() == 0)
}

fn belongs_to_server(path: &Path) -> io::Result<()> {
    match is_root()? {
        true => chown(path, Some(NOBODY), Some(NOBODY)),
        false => Ok(()),
    }
}

/// Files by name, in PEM.
type Files = [(&'static str, String)];

/// An authority with what it vouches for: the server, called `localhost`; and apart from those the client, `certain`.
fn certificates() -> Result<(Box<Files>, Box<Files>), rcgen::Error> {
    let root_key = KeyPair::generate()?;
    let mut root = CertificateParams::new(Vec::new())?;
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = root.self_signed(&root_key)?.pem();
    let issuer = Issuer::new(root, root_key);
    let server_key = KeyPair::generate()?;
    let server = CertificateParams::new(vec!["localhost".to_owned()])?.signed_by(&server_key, &issuer)?;
    let client_key = KeyPair::generate()?;
    let mut client = CertificateParams::new(Vec::new())?;
    client.distinguished_name.push(DnType::CommonName, "certain");
    let client = client.signed_by(&client_key, &issuer)?;
    let servers = [
        ("root.crt", authority),
        ("server.crt", server.pem()),
        ("server.key", server_key.serialize_pem()),
    ];
    let clients = [
        ("client.crt", client.pem()),
        ("client.key", client_key.serialize_pem()),
    ];
    Ok((Box::new(servers), Box::new(clients)))
}
