//! The audit log in a table of PostgreSQL, row by row as sops writes them.
//!
//! ```sql
//! INSERT INTO audit_event (action, username, file) VALUES ($1, $2, $3)
//! ```
//!
//! One connection serves a run. It is driven while this thread waits for its answers, and made anew once where the server
//! has ended it in between.

mod settings;
mod tls;

use std::future::Future;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::error::Severity;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Config};
use transport::Names;

use self::settings::{Mode, Settings};
use super::{Backend, Event, Failure, PATIENCE, Refusal, config};

const INSERT: &str = "INSERT INTO audit_event (action, username, file) VALUES ($1, $2, $3)";

/// A table, and the connection to it.
pub(super) struct Table {
    settings: Settings,
    client: Client,
    runtime: Runtime,
}

/// Connects, and asks the server for a sign of life, as sops does.
///
/// # Errors
/// If the connection string does not read, or the server does not answer in time or not as it should.
pub(super) fn open(settings: &config::Postgres) -> Result<Table, Refusal> {
    let settings = Settings::parse(&settings.connection_string).map_err(|why| Refusal {
        who: "postgres".to_owned(),
        causes: vec![format!("connection_string: {why}")],
    })?;
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|cause| Refusal::new(settings.name(), &cause))?;
    let client = runtime.block_on(connect(&settings));
    let client = client.map_err(|failure| Refusal::new(settings.name(), failure.as_ref()))?;
    Ok(Table {
        settings,
        client,
        runtime,
    })
}

impl Backend for Table {
    fn name(&self) -> String {
        self.settings.name()
    }

    fn record(&mut self, event: &Event) -> Result<(), Failure> {
        let Err(failure) = self.insert(event) else {
            return Ok(());
        };
        if !self.client.is_closed() && !ends_connection(&failure) {
            return Err(failure);
        }
        self.client = self.runtime.block_on(connect(&self.settings))?;
        self.insert(event)
    }
}

impl Table {
    fn insert(&self, event: &Event) -> Result<(), Failure> {
        let file = event.file.to_string_lossy();
        let user = event.user.as_str();
        let file = file.as_ref();
        let row = async {
            let values: [(&(dyn ToSql + Sync), Type); 3] = [
                (&event.action, Type::TEXT),
                (&user, Type::TEXT),
                (&file, Type::TEXT),
            ];
            self.client.execute_typed(INSERT, &values).await?;
            Ok(())
        };
        self.runtime.block_on(in_time(PATIENCE, row))
    }
}

/// Whether the server said with this failure that it ends the connection.
fn ends_connection(failure: &Failure) -> bool {
    let said = failure.downcast_ref::<tokio_postgres::Error>();
    let severity = said.and_then(|error| error.as_db_error()?.parsed_severity());
    matches!(severity, Some(Severity::Fatal | Severity::Panic))
}

/// A connection to the first host that gives one.
async fn connect(settings: &Settings) -> Result<Client, Failure> {
    let mut failure: Failure = "no host is named".into();
    for (host, port) in settings.hosts() {
        for mode in settings.modes(host) {
            match in_time(settings.patience(), connect_to(settings, host, port, mode)).await {
                Ok(client) => return Ok(client),
                Err(other) => failure = other,
            }
        }
    }
    Err(failure)
}

async fn connect_to(settings: &Settings, host: &str, port: u16, mode: Mode) -> Result<Client, Failure> {
    let stream: Box<dyn Stream> = match host.starts_with('/') {
        true => Box::new(UnixStream::connect(format!("{host}/.s.PGSQL.{port}")).await?),
        false => Box::new(Names::default().connect(host, port).await?),
    };
    let mut config = Config::new();
    config
        .user(settings.user())
        .dbname(settings.database())
        .application_name(&settings.application)
        .ssl_mode(mode.negotiated());
    if let Some(password) = &settings.password {
        config.password(password);
    }
    if !settings.options.is_empty() {
        config.options(&settings.options);
    }
    let client = match mode {
        Mode::Disable => {
            let (client, connection) = config.connect_raw(stream, tokio_postgres::NoTls).await?;
            tokio::spawn(async move { drop(connection.await) });
            client
        }
        _ => {
            let tls = tls::Tls::new(settings, host, mode)?;
            let (client, connection) = config.connect_raw(stream, tls).await?;
            tokio::spawn(async move { drop(connection.await) });
            client
        }
    };
    client.execute_typed("SELECT 1", &[]).await?;
    Ok(client)
}

/// What carries a connection.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

async fn in_time<T>(
    patience: Duration,
    answer: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(patience, answer).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no answer within {} seconds", patience.as_secs()).into()),
    }
}
