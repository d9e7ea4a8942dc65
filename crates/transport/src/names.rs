//! Addresses by their names, from `/etc/hosts` and DNS as `/etc/resolv.conf` sets it up, without the C library.
//!
//! `getaddrinfo` in a program that has the GNU C library linked in loads plug-ins of the system for whatever else
//! `nsswitch.conf` names, and with them a second C library of another version. Here nothing is loaded, and no name waits
//! for a thread.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use tokio::net::{TcpListener, TcpStream};

/// A server of names that does not answer is given up after so long, twice: before those who wait for the connection
/// give up, so that they learn why.
const PATIENCE: Duration = Duration::from_secs(2);

/// Looks up addresses, and remembers them for as long as their servers say. Clones share what they know. It belongs to the
/// runtime of its first use.
#[derive(Clone, Default)]
pub struct Names(Arc<OnceLock<TokioResolver>>);

impl Names {
    /// The addresses of `host`, which may be an address itself; at least one.
    ///
    /// # Errors
    /// `NotFound` for a name without an address; `Other` if the servers of names cannot be asked.
    pub async fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let found = self.resolver()?.lookup_ip(host).await;
        let found = found.map_err(|error| {
            if error.is_no_records_found() || error.is_nx_domain() {
                io::Error::new(io::ErrorKind::NotFound, format!("no address is known for {host}"))
            } else {
                io::Error::other(format!("the address of {host} cannot be looked up: {error}"))
            }
        })?;
        Ok(found.iter().collect())
    }

    /// A connection to the first address of `host` that takes one.
    ///
    /// # Errors
    /// As [`Names::addresses`], or that of the last address.
    #[expect(clippy::disallowed_methods, reason = "it is given addresses, not names")]
    pub async fn connect(&self, host: &str, port: u16) -> io::Result<TcpStream> {
        TcpStream::connect(self.sockets(host, port).await?.as_slice()).await
    }

    /// Listens at `address`, which is `HOST:PORT` or `[ADDRESS]:PORT`: at the first address of the host that this machine
    /// has and that is free.
    ///
    /// # Errors
    /// As [`Names::addresses`], or that of the last address; `InvalidInput` where no port stands.
    pub async fn listen(&self, address: &str) -> io::Result<TcpListener> {
        if let Ok(socket) = address.parse::<SocketAddr>() {
            return TcpListener::bind(socket).await;
        }
        let no_port = || io::Error::new(io::ErrorKind::InvalidInput, "it must end with a colon and a port");
        let (host, port) = address.rsplit_once(':').ok_or_else(no_port)?;
        let port = port.parse().map_err(|_| no_port())?;
        TcpListener::bind(self.sockets(host, port).await?.as_slice()).await
    }

    async fn sockets(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let addresses = self.addresses(host).await?.into_iter();
        Ok(addresses.map(|ip| SocketAddr::new(ip, port)).collect())
    }

    fn resolver(&self) -> io::Result<&TokioResolver> {
        if let Some(resolver) = self.0.get() {
            return Ok(resolver);
        }
        let made = make()?;
        Ok(self.0.get_or_init(|| made))
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Names")
    }
}

impl reqwest::dns::Resolve for Names {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let names = self.clone();
        Box::pin(async move {
            let addresses = names.addresses(name.as_str()).await?;
            // The port is the caller's.
            let sockets = addresses.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(sockets) as reqwest::dns::Addrs)
        })
    }
}

/// As this system is set up; without servers where it names none: `/etc/hosts` still holds.
fn make() -> io::Result<TokioResolver> {
    let set_up = TokioResolver::builder_tokio();
    let mut builder = set_up.unwrap_or_else(|_| {
        let none = ResolverConfig::from_parts(None, Vec::new(), Vec::new());
        TokioResolver::builder_with_config(none, TokioRuntimeProvider::default())
    });
    let options = builder.options_mut();
    options.timeout = options.timeout.min(PATIENCE);
    // Whoever connects tries both kinds.
    options.ip_strategy = LookupIpStrategy::Ipv6AndIpv4;
    builder
        .build()
        .map_err(|error| io::Error::other(format!("names cannot be looked up: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_is_its_own() {
        let names = Names::default();
        for address in ["127.0.0.1", "::1"] {
            let parsed: IpAddr = address.parse().expect("an address");
            assert_eq!(names.addresses(address).await.expect("known"), [parsed]);
        }
        assert!(names.0.get().is_none(), "nothing was read for them");
    }

    #[tokio::test]
    async fn this_machine_is_known_without_a_server() {
        let names = Names::default();
        let found = names.addresses("localhost").await.expect("known");
        assert!(
            !found.is_empty() && found.iter().all(IpAddr::is_loopback),
            "{found:?}"
        );
    }

    #[tokio::test]
    async fn a_connection_goes_to_the_address_that_takes_it() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let port = listener.local_addr().expect("bound").port();
        // It listens on one of the two loopback addresses.
        let stream = Names::default()
            .connect("localhost", port)
            .await
            .expect("connected");
        assert_eq!(stream.peer_addr().expect("connected").port(), port);
    }

    #[tokio::test]
    async fn a_port_is_listened_on_by_name_and_by_address() {
        for address in ["localhost:0", "127.0.0.1:0"] {
            let listener = Names::default().listen(address).await.expect(address);
            assert!(listener.local_addr().expect("bound").ip().is_loopback());
        }
        for address in ["localhost", "127.0.0.1", "localhost:", "localhost:65536"] {
            let error = Names::default().listen(address).await.expect_err(address);
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{address}: {error}");
        }
    }

    #[tokio::test]
    async fn a_name_without_an_address_is_told() {
        for name in ["sealwright.invalid", "not a name", ""] {
            let error = Names::default().addresses(name).await.expect_err("unknown");
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}
