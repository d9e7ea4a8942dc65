//! Connection strings, as lib/pq reads them: a URL, or `name=value` pairs.
//!
//! No variable of the environment and no file of a home folder adds to them: they would let whoever is recorded choose
//! the server. A name that is none of ours is a setting of the session, for the server to take or refuse.

use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::config::SslMode;

use super::super::PATIENCE;

const PORT: u16 = 5432;

/// Settings of lib/pq that would change whom one speaks to or how, and are not built in.
const NOT_BUILT_IN: [&str; 14] = [
    "binary_parameters",
    "hostaddr",
    "krbspn",
    "krbsrvname",
    "load_balance_hosts",
    "max_protocol_version",
    "min_protocol_version",
    "passfile",
    "service",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "sslinline",
    "sslnegotiation",
    "target_session_attrs",
];

/// How a connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Disable,
    /// TLS with whoever answers.
    Require,
    /// TLS with somebody for whom an authority vouches, whatever their name.
    VerifyCa,
    /// TLS with the host that was named.
    VerifyFull,
}

impl Mode {
    /// What is asked of the server.
    pub(super) fn negotiated(self) -> SslMode {
        match self {
            Self::Disable => SslMode::Disable,
            _ => SslMode::Require,
        }
    }
}

/// Who vouches for a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Roots {
    System,
    File(PathBuf),
}

/// A connection string taken apart.
#[derive(Default)]
pub(super) struct Settings {
    hosts: Vec<String>,
    ports: Vec<u16>,
    user: Option<String>,
    database: Option<String>,
    pub(super) password: Option<String>,
    modes: Vec<Mode>,
    roots: Option<Roots>,
    pub(super) certificate: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
    pub(super) application: String,
    /// Of the session, as a command line of the server.
    pub(super) options: String,
    patience: Option<Duration>,
}

impl Settings {
    /// Reads a connection string.
    ///
    /// # Errors
    /// Says what is wrong without repeating a value.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let pairs = match text
            .strip_prefix("postgres://")
            .or(text.strip_prefix("postgresql://"))
        {
            Some(rest) => url(rest)?,
            None => pairs(text)?,
        };
        let mut settings = Self {
            hosts: vec![String::new()],
            application: "seal".to_owned(),
            ..Self::default()
        };
        for (name, value) in pairs {
            settings.set(&name, value)?;
        }
        settings.agree()?;
        if settings.ports.len() > 1 && settings.ports.len() != settings.hosts.len() {
            return Err("as many ports as hosts are due, or one".to_owned());
        }
        Ok(settings)
    }

    fn set(&mut self, name: &str, value: String) -> Result<(), String> {
        match name {
            "host" => self.hosts = value.split(',').map(str::to_owned).collect(),
            "port" => {
                let port = |text: &str| match text {
                    "" => Ok(PORT),
                    text => text
                        .parse()
                        .map_err(|_| "port: not a number up to 65535".to_owned()),
                };
                self.ports = value.split(',').map(port).collect::<Result<_, _>>()?;
            }
            "user" => self.user = Some(value),
            "password" => self.password = Some(value),
            "dbname" => self.database = Some(value),
            "application_name" => self.application = value,
            "fallback_application_name" => {}
            "connect_timeout" => {
                let seconds: i64 = value
                    .parse()
                    .map_err(|_| "connect_timeout: not a number of seconds")?;
                self.patience = u64::try_from(seconds)
                    .ok()
                    .filter(|seconds| *seconds > 0)
                    .map(Duration::from_secs);
            }
            "sslmode" => self.modes = modes(&value)?,
            "sslrootcert" | "sslcert" | "sslkey" if value.is_empty() => {}
            "sslrootcert" if value == "system" => self.roots = Some(Roots::System),
            "sslrootcert" => self.roots = Some(Roots::File(value.into())),
            "sslcert" => self.certificate = Some(value.into()),
            "sslkey" => self.key = Some(value.into()),
            // Always what lib/pq insists on.
            "client_encoding" | "datestyle" | "sslsni" => {}
            "options" => self.option(&value),
            name if NOT_BUILT_IN.contains(&name) => return Err(format!("{name} is not built in")),
            name => {
                let escaped = format!("{name}={value}")
                    .replace('\\', "\\\\")
                    .replace(' ', "\\ ");
                self.option(&format!("-c {escaped}"));
            }
        }
        Ok(())
    }

    fn option(&mut self, text: &str) {
        if !self.options.is_empty() {
            self.options.push(' ');
        }
        self.options.push_str(text);
    }

    /// Modes and authorities have a say in each other.
    fn agree(&mut self) -> Result<(), String> {
        let system = self.roots == Some(Roots::System);
        if self.modes.is_empty() {
            self.modes = vec![if system { Mode::VerifyFull } else { Mode::Require }];
        }
        if system && self.modes != [Mode::VerifyFull] {
            return Err("sslrootcert=system needs sslmode=verify-full".to_owned());
        }
        // As libpq does: who names an authority wants it asked.
        if matches!(&self.roots, Some(Roots::File(file)) if file.exists()) {
            for mode in self.modes.iter_mut().filter(|mode| **mode == Mode::Require) {
                *mode = Mode::VerifyCa;
            }
        }
        Ok(())
    }

    /// For errors: where the table is, without who asks.
    pub(super) fn name(&self) -> String {
        let hosts: Vec<String> = self
            .hosts()
            .map(|(host, port)| format!("{host}:{port}"))
            .collect();
        format!("postgres {}", hosts.join(","))
    }

    /// Where to connect: hosts in order, each with its port.
    pub(super) fn hosts(&self) -> impl Iterator<Item = (&str, u16)> {
        self.hosts.iter().enumerate().map(|(at, host)| {
            let port = self.ports.get(at).or(self.ports.first()).copied();
            let host = if host.is_empty() { "localhost" } else { host };
            (host, port.unwrap_or(PORT))
        })
    }

    /// How to protect a connection to `host`, in the order to try.
    pub(super) fn modes(&self, host: &str) -> Vec<Mode> {
        match host.starts_with('/') {
            true => vec![Mode::Disable],
            false => self.modes.clone(),
        }
    }

    pub(super) fn user(&self) -> String {
        let given = self.user.clone().filter(|user| !user.is_empty());
        given.unwrap_or_else(super::super::user)
    }

    pub(super) fn database(&self) -> String {
        let given = self.database.clone().filter(|name| !name.is_empty());
        given.unwrap_or_else(|| self.user())
    }

    /// How long a connection may take to be made.
    pub(super) fn patience(&self) -> Duration {
        self.patience.unwrap_or(PATIENCE)
    }

    /// Who vouches for the server, where somebody must.
    pub(super) fn roots(&self) -> &Roots {
        self.roots.as_ref().unwrap_or(&Roots::System)
    }
}

fn modes(text: &str) -> Result<Vec<Mode>, String> {
    Ok(match text {
        "disable" => vec![Mode::Disable],
        "allow" => vec![Mode::Disable, Mode::Require],
        "prefer" => vec![Mode::Require, Mode::Disable],
        "require" | "" => vec![Mode::Require],
        "verify-ca" => vec![Mode::VerifyCa],
        "verify-full" => vec![Mode::VerifyFull],
        _ => return Err("sslmode: disable, allow, prefer, require, verify-ca or verify-full".to_owned()),
    })
}

/// `[user[:password]@]host[:port][/database][?name=value...]`
fn url(rest: &str) -> Result<Vec<(String, String)>, String> {
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (place, database) = rest.split_once('/').unwrap_or((rest, ""));
    let (who, place) = place.rsplit_once('@').unwrap_or(("", place));
    let (user, password) = match who.split_once(':') {
        Some((user, password)) => (user, Some(password)),
        None => (who, None),
    };
    let (host, port) = match place.strip_prefix('[').and_then(|place| place.split_once(']')) {
        Some((host, port)) => (host, port.strip_prefix(':').unwrap_or(port)),
        None => place.rsplit_once(':').unwrap_or((place, "")),
    };
    let mut pairs = Vec::new();
    let parts = [
        ("user", user),
        ("host", host),
        ("port", port),
        ("dbname", database),
    ];
    for (name, part) in parts
        .into_iter()
        .chain(password.map(|password| ("password", password)))
    {
        if !part.is_empty() {
            pairs.push((name.to_owned(), decoded(part)?));
        }
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        pairs.push((
            decoded(&name.replace('+', " "))?,
            decoded(&value.replace('+', " "))?,
        ));
    }
    Ok(pairs)
}

/// `%41` is `A`.
fn decoded(text: &str) -> Result<String, String> {
    let wrong = || "a % without two hexadecimal digits behind it, or no UTF-8".to_owned();
    let mut out = Vec::with_capacity(text.len());
    let mut parts = text.split('%');
    out.extend_from_slice(parts.next().unwrap_or_default().as_bytes());
    for part in parts {
        let digits = part.get(..2).ok_or_else(wrong)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        out.push(u8::from_str_radix(digits, 16).map_err(|_| wrong())?);
        out.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(out).map_err(|_| wrong())
}

/// `name=value name='a value'`, with a backslash before what stands for itself.
fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut pairs = Vec::new();
    let mut rest = text.trim_start().chars().peekable();
    while rest.peek().is_some() {
        let mut name = String::new();
        while let Some(c) = rest.next_if(|c| *c != '=' && !c.is_whitespace()) {
            name.push(c);
        }
        while rest.next_if(|c| c.is_whitespace()).is_some() {}
        if rest.next() != Some('=') {
            return Err("neither a URL (postgres://...) nor name=value pairs".to_owned());
        }
        while rest.next_if(|c| c.is_whitespace()).is_some() {}
        let quoted = rest.next_if_eq(&'\'').is_some();
        let mut value = String::new();
        loop {
            match rest.next() {
                Some('\'') if quoted => break,
                Some(c) if c.is_whitespace() && !quoted => break,
                Some('\\') => value.push(rest.next().ok_or("nothing behind a backslash")?),
                Some(c) => value.push(c),
                None if quoted => return Err("a quote without its end".to_owned()),
                None => break,
            }
        }
        while rest.next_if(|c| c.is_whitespace()).is_some() {}
        pairs.push((name, value));
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Settings {
        Settings::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"))
    }

    #[test]
    fn urls_and_pairs_say_the_same() {
        for text in [
            "postgres://us%20er:p%40:s+s@db.example:6543/au%2fdit?sslmode=disable&connect_timeout=3",
            "postgresql://us%20er:p%40:s+s@db.example:6543/au%2fdit?connect_timeout=3&sslmode=disable",
            "host=db.example port = 6543 user='us er' password=p@:s+s  dbname=au\\/dit sslmode=disable connect_timeout=3 ",
            "postgres://?host=db.example&port=6543&user=us+er&password=p%40:s%2bs&dbname=au/dit&sslmode=disable&connect_timeout=3",
        ] {
            let settings = settings(text);
            assert_eq!(
                settings.hosts().collect::<Vec<_>>(),
                [("db.example", 6543)],
                "{text}"
            );
            assert_eq!(settings.user(), "us er", "{text}");
            assert_eq!(settings.password.as_deref(), Some("p@:s+s"), "{text}");
            assert_eq!(settings.database(), "au/dit", "{text}");
            assert_eq!(settings.modes("db.example"), [Mode::Disable], "{text}");
            assert_eq!(settings.patience(), Duration::from_secs(3), "{text}");
        }
    }

    #[test]
    fn what_is_not_said_is_as_for_lib_pq() {
        let settings = settings("");
        assert_eq!(settings.hosts().collect::<Vec<_>>(), [("localhost", 5432)]);
        assert_eq!(settings.modes("localhost"), [Mode::Require]);
        assert_eq!(settings.database(), settings.user());
        assert_eq!(settings.patience(), PATIENCE);
        assert_eq!(
            (settings.application.as_str(), settings.options.as_str()),
            ("seal", "")
        );
        assert_eq!(settings.name(), "postgres localhost:5432");
    }

    #[test]
    fn several_hosts_sockets_and_addresses() {
        let hosts = |text: &str| {
            let settings = settings(text);
            let hosts: Vec<String> = settings
                .hosts()
                .map(|(host, port)| format!("{host} {port}"))
                .collect();
            hosts.join(", ")
        };
        assert_eq!(hosts("host=a,b port=1,2"), "a 1, b 2");
        assert_eq!(hosts("postgres://a,b/?port=7"), "a 7, b 7");
        assert_eq!(hosts("postgres://[::1]:7/x"), "::1 7");
        assert_eq!(hosts("postgres://[::1]/x"), "::1 5432");
        assert_eq!(hosts("host=/run/pg"), "/run/pg 5432");
        assert_eq!(
            settings("host=/run/pg sslmode=verify-full").modes("/run/pg"),
            [Mode::Disable]
        );
    }

    #[test]
    fn modes_and_authorities() {
        let modes = |text: &str| Settings::parse(text).map(|settings| settings.modes("h"));
        assert_eq!(modes("sslmode=allow"), Ok(vec![Mode::Disable, Mode::Require]));
        assert_eq!(modes("sslmode=prefer"), Ok(vec![Mode::Require, Mode::Disable]));
        assert_eq!(modes("sslmode=verify-ca"), Ok(vec![Mode::VerifyCa]));
        assert_eq!(modes("sslrootcert=system"), Ok(vec![Mode::VerifyFull]));
        assert!(modes("sslrootcert=system sslmode=require").is_err());
        let file = tempfile::NamedTempFile::new().expect("a file");
        let there = format!("sslrootcert={}", file.path().display());
        assert_eq!(modes(&there), Ok(vec![Mode::VerifyCa]));
        assert_eq!(modes("sslrootcert=/nonexistent"), Ok(vec![Mode::Require]));
    }

    #[test]
    fn other_names_are_settings_of_the_session() {
        let settings = settings("search_path='a b' options='-c x=y' application_name=me");
        assert_eq!(settings.options, "-c search_path=a\\ b -c x=y");
        assert_eq!(settings.application, "me");
    }

    #[test]
    fn a_mistake_is_named_and_no_value_repeated() {
        for text in [
            "hunter2",
            "mysql://hunter2",
            "password='hunter2",
            "password=hunter2\\",
            "port=hunter2",
            "sslmode=hunter2",
            "connect_timeout=hunter2",
            "postgres://u:hunter2%@h",
            "postgres://u:hunter2%zz@h",
            "postgres://u:hunter2%ff@h",
            "service=hunter2",
            "hostaddr=1.2.3.4 password=hunter2",
            "host=a,b,c port=1,2 password=hunter2",
        ] {
            let why = Settings::parse(text).err().expect(text);
            assert!(!why.contains("hunter2"), "{text}: {why}");
        }
    }
}
