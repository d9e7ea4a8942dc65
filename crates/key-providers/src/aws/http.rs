//! How the SDK's requests leave: as all others do, through [`transport`].

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use transport::{Fault, Names, Pool, Settings};

use crate::credential_file;

/// How long a connection and a part of an answer may take, as the SDK sets it for one of its clients.
type Limits = (Option<Duration>, Option<Duration>);

/// What all clients of the SDK send their requests with.
#[derive(Debug, Default)]
pub(crate) struct Http {
    names: Names,
    /// `AWS_CA_BUNDLE`: the only certificates that may vouch for a server, in PEM.
    roots: Option<PathBuf>,
    pools: Mutex<HashMap<Limits, SharedHttpConnector>>,
}

/// Why a request was not answered, in words that a report may show.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotSent {
    #[error("{0}")]
    Settings(String),
    #[error("the TLS connection failed: {0}")]
    Tls(String),
    #[error("{0}")]
    Lost(String),
    #[error("no answer in time")]
    Late,
}

impl Http {
    pub(crate) fn new(roots: Option<PathBuf>) -> Self {
        Self {
            roots,
            ..Self::default()
        }
    }

    fn pool(&self, (connect, read): Limits) -> Result<Pool, String> {
        let usual = Settings::default();
        let settings = Settings {
            connect: connect.unwrap_or(usual.connect),
            read,
            total: None, // the SDK bounds it
            ..usual
        };
        let pool = Pool::new(settings, self.names.clone());
        let Some(path) = &self.roots else {
            return Ok(pool);
        };
        let roots = credential_file::read(path);
        let roots = roots.map_err(|error| format!("AWS_CA_BUNDLE cannot be read: {error}"))?;
        pool.trusting(roots.expose())
            .map_err(|error| format!("AWS_CA_BUNDLE: {error}"))
    }
}

impl HttpClient for Http {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        let limits = (settings.connect_timeout(), settings.read_timeout());
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        let pool = pools.entry(limits);
        pool.or_insert_with(|| SharedHttpConnector::new(Connector(Arc::new(self.pool(limits)))))
            .clone()
    }
}

/// A pool, or why there is none.
#[derive(Debug)]
struct Connector(Arc<Result<Pool, String>>);

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let pool = self.0.clone();
        HttpConnectorFuture::new(async move {
            let unusable = |why: &str| ConnectorError::user(NotSent::Settings(why.to_owned()).into());
            let pool = pool.as_ref().as_ref().map_err(|why| unusable(why))?;
            let request = request
                .try_into_http1x()
                .map_err(|_| unusable("the request cannot be made"))?;
            let (parts, body) = request.into_parts();
            // All requests that are made here have their body in memory.
            let body = body
                .bytes()
                .ok_or_else(|| unusable("the request cannot be made"))?;
            let request = http::Request::from_parts(parts, body.to_vec());
            let request = request
                .try_into()
                .map_err(|_| unusable("the request cannot be made"))?;
            let answer = pool.send(request).await.map_err(not_sent)?;
            let answer = answer.map(|body| SdkBody::from(body.expose()));
            HttpResponse::try_from(answer).map_err(|_| {
                ConnectorError::other(NotSent::Lost("the answer cannot be read".to_owned()).into(), None)
            })
        })
    }
}

/// Only what may go better another time is called an error of time or of the connection: the SDK asks again then.
fn not_sent(fault: Fault) -> ConnectorError {
    match fault {
        Fault::NoConnection | Fault::NoAnswer => ConnectorError::timeout(NotSent::Late.into()),
        Fault::Lost(why) => ConnectorError::io(NotSent::Lost(why).into()),
        Fault::Tls(why) => ConnectorError::user(NotSent::Tls(why).into()),
        Fault::TooLarge => {
            ConnectorError::user(NotSent::Settings("the answer has more than 4 MiB".to_owned()).into())
        }
        Fault::System => ConnectorError::user(
            NotSent::Settings("the certificates or proxies of this system cannot be used".to_owned()).into(),
        ),
    }
}
