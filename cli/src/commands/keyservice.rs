//! `seal keyservice`: wraps and unwraps data keys for others, who hold no key themselves.

mod desk;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use key_providers::key_service::{Bounds, Listener, Server, ServerTls, TlsFiles, server_tls};
use tokio::sync::oneshot;

use crate::args::pem;
use crate::error::{Code, Error, Result};
use crate::log::Level;
use crate::workbench::Workbench;
use crate::{interrupt, keyring, sockets};
use desk::{Desk, Log};

/// Wrap and unwrap data keys for others, as the key service of sops
///
/// Programs of this user ask it through a Unix socket: `seal --keyservice unix:///PATH`, and sops with the same flag.
/// Every request is recorded as one line of JSON, with who asked, for which key and how it ended. The service uses the
/// keys and identities of its own environment; it asks no other key service.
#[derive(clap::Args)]
pub(crate) struct KeyService {
    /// Where to listen: the path of a Unix socket, or HOST:PORT [default:
    /// $XDG_RUNTIME_DIR/sealwright/keyservice.sock]
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,

    /// The certificate to show, with those that lead to a root; a port needs one
    #[arg(long, value_name = "FILE", requires = "tls_key", requires = "client_ca")]
    tls_cert: Option<PathBuf>,

    /// The key of that certificate
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// Serve only clients for whose certificate one of these vouches
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    client_ca: Option<PathBuf>,

    /// Listen at a port without TLS: whoever reaches it can use the keys, and whoever listens in reads data keys
    #[arg(long, conflicts_with = "tls_cert")]
    insecure_tcp: bool,

    /// Serve this key only, named as files name it (recipient, fingerprint, ARN, URI); may be given several times
    #[arg(long, value_name = "KEY")]
    allow: Vec<String>,

    /// Ask on the terminal before each request is served, but for keys of --allow
    #[arg(long)]
    prompt: bool,

    /// Add the record of requests to this file, instead of printing it on stderr; without a record nothing is served
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,

    /// Sops tells where it listens with `--verbose` only, in its own way.
    #[arg(skip)]
    of_sops: bool,
}

/// Where the service listens.
enum Place {
    Socket(PathBuf),
    Port(String),
}

impl KeyService {
    /// As sops starts one.
    ///
    /// # Errors
    /// If `network` is none that sops knows.
    pub(crate) fn of_sops(network: &str, address: String, prompt: bool) -> Result<Self> {
        let address = match network {
            "tcp" | "tcp4" | "tcp6" => address,
            "unix" => {
                std::path::absolute(&address).map_or(address, |path| path.to_string_lossy().into_owned())
            }
            _ => return Err(Error::new(Code::Generic, "--network takes tcp or unix")),
        };
        Ok(Self {
            address: Some(address),
            tls_cert: None,
            tls_key: None,
            client_ca: None,
            insecure_tcp: true,
            allow: Vec::new(),
            prompt,
            log: None,
            of_sops: true,
        })
    }

    pub(crate) fn run(self, bench: &Workbench) -> Result<ExitCode> {
        let place = self.place()?;
        let tls = self.tls()?;
        if let (Place::Port(address), None) = (&place, &tls) {
            self.permit_plain(bench, address)?;
        }
        let log = self.log.as_deref().map_or(Ok(Log::Stderr), Log::open)?;
        let desk = Arc::new(Desk::new(self.allow.clone(), self.prompt, log));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|cause| Error::new(Code::Generic, "cannot start").cause(&cause))?;
        let (stop, stopped) = oneshot::channel();
        let stopping = interrupt::on_request(move || {
            // It has ended by itself if nobody waits for this.
            let _ = stop.send(());
        });
        let stopping =
            stopping.map_err(|cause| Error::new(Code::Generic, "signals cannot be watched").cause(&cause))?;
        let server = Server::new(keyring::from_env(bench.ui.manner()), desk, Bounds::default());
        let served = runtime.block_on(async {
            let listener = listener(&place, tls).await?;
            self.announce(bench, &place, listener.port())?;
            server.serve(listener, async { drop(stopped.await) }).await;
            Ok(ExitCode::SUCCESS)
        });
        // A thread may still wait for somebody to type.
        runtime.shutdown_background();
        drop(stopping);
        served
    }

    fn place(&self) -> Result<Place> {
        let Some(address) = &self.address else {
            return sockets::place("keyservice.sock", "--address /PATH names one").map(Place::Socket);
        };
        let path = address.strip_prefix("unix://").unwrap_or(address);
        Ok(match path.contains('/') {
            true => Place::Socket(path.into()),
            false => Place::Port(address.clone()),
        })
    }

    /// A port without TLS is opened only for those who say that they want it.
    fn permit_plain(&self, bench: &Workbench, address: &str) -> Result<()> {
        if !self.insecure_tcp {
            let text = format!("a port without TLS would give the keys to whoever reaches {address}");
            return Err(Error::new(Code::Generic, text).hint(
                "give --tls-cert, --tls-key and --client-ca, or the path of a socket; --insecure-tcp does it all the same",
            ));
        }
        let text = format!(
            "there is no TLS at {address}: every user of every machine that reaches it can use the keys, \
             and data keys cross the network in the clear"
        );
        bench.ui.warn(None, &text);
        Ok(())
    }

    fn tls(&self) -> Result<Option<Arc<ServerTls>>> {
        let (Some(certificates), Some(key), Some(client_ca)) =
            (&self.tls_cert, &self.tls_key, &self.client_ca)
        else {
            return Ok(None);
        };
        let (certificates, key, client_ca) = (pem(certificates)?, pem(key)?, pem(client_ca)?);
        let files = TlsFiles {
            certificates: certificates.expose(),
            key: &key,
        };
        let tls = server_tls(files, client_ca.expose());
        tls.map(Some)
            .map_err(|error| Error::new(Code::Generic, "TLS cannot be set up").cause(&error))
    }

    fn announce(&self, bench: &Workbench, place: &Place, port: Option<SocketAddr>) -> Result<()> {
        let scheme = if self.tls_cert.is_some() { "https" } else { "tcp" };
        let address = match (place, port) {
            (Place::Socket(path), _) => {
                let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
                format!("unix://{}", path.display())
            }
            (Place::Port(_), Some(port)) => format!("{scheme}://{port}"),
            (Place::Port(address), None) => format!("{scheme}://{address}"),
        };
        if bench.ui.manner().json {
            return bench.ui.record(&serde_json::json!({ "listening": address }));
        }
        let listening = format!("Listening on {address}");
        bench.ui.log("KEYSERVICE", Level::Info, &listening, &[]);
        if !self.of_sops {
            bench.ui.notice(&format!("listening on {address}"));
        }
        Ok(())
    }
}

async fn listener(place: &Place, tls: Option<Arc<ServerTls>>) -> Result<Listener> {
    let (made, name) = match (place, tls) {
        (Place::Socket(path), _) => {
            let made = Listener::unix(path);
            return made.map_err(|error| sockets::cannot_listen(path, &error));
        }
        (Place::Port(address), Some(tls)) => (Listener::tls(address, tls).await, address),
        (Place::Port(address), None) => (Listener::tcp(address).await, address),
    };
    made.map_err(|cause| Error::new(Code::Generic, format!("cannot listen on {name}")).cause(&cause))
}
