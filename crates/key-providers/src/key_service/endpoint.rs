//! Where a key service is.

use std::fmt;
use std::path::{Path, PathBuf};

/// The address of a key service: `tcp://HOST:PORT`, `unix:///PATH`, or `https://HOST[:PORT]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    text: String,
    pub(super) place: Place,
}

/// How it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Without any protection.
    Tcp {
        host: String,
        port: u16,
    },
    Unix(PathBuf),
    Tls {
        host: String,
        port: u16,
    },
}

/// Why a text is no address. Does not hold the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the address of a key service is tcp://HOST:PORT, unix:///PATH or https://HOST[:PORT]")]
pub struct EndpointError;

impl Endpoint {
    /// Reads an address.
    ///
    /// # Errors
    /// If it is none of the three.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let text = text.trim();
        let (scheme, rest) = text.split_once("://").ok_or(EndpointError)?;
        let place = match scheme {
            "unix" if rest.starts_with('/') && !rest.contains('\0') => Place::Unix(rest.into()),
            "tcp" => match host_and_port(rest)? {
                (host, Some(port)) => Place::Tcp { host, port },
                (_, None) => return Err(EndpointError),
            },
            "https" => {
                let (host, port) = host_and_port(rest)?;
                let port = port.unwrap_or(443);
                Place::Tls { host, port }
            }
            _ => return Err(EndpointError),
        };
        Ok(Self {
            text: text.to_owned(),
            place,
        })
    }

    /// Whether data keys would cross a network unprotected: plain TCP to another machine.
    pub fn is_exposed(&self) -> bool {
        match &self.place {
            Place::Tcp { host, .. } => !is_this_machine(host),
            Place::Unix(_) | Place::Tls { .. } => false,
        }
    }

    /// Whether it is reached through TLS.
    pub fn is_tls(&self) -> bool {
        matches!(self.place, Place::Tls { .. })
    }

    /// The path of the socket, if it is one.
    pub fn socket(&self) -> Option<&Path> {
        match &self.place {
            Place::Unix(path) => Some(path),
            _ => None,
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// `HOST`, `HOST:PORT`, `[ADDRESS]:PORT`; the host without brackets. A path, a user or a query is refused.
fn host_and_port(text: &str) -> Result<(String, Option<u16>), EndpointError> {
    let text = text.strip_suffix('/').unwrap_or(text);
    if text.contains(['/', '@', '?', '#']) || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(EndpointError);
    }
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or(EndpointError)?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| EndpointError)?;
            let port = match port {
                "" => None,
                port => Some(port.strip_prefix(':').ok_or(EndpointError)?),
            };
            (host, port)
        }
        None => match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    if host.is_empty() || (host.contains(':') && !text.starts_with('[')) {
        return Err(EndpointError);
    }
    let port = port.map(str::parse).transpose().map_err(|_| EndpointError)?;
    Ok((host.to_owned(), port.filter(|port| *port != 0)))
}

fn is_this_machine(host: &str) -> bool {
    match host.parse::<std::net::IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> Place {
        let host = host.to_owned();
        Place::Tcp { host, port }
    }

    #[test]
    fn addresses_are_read_as_sops_reads_them_and_https_too() {
        for (text, place) in [
            ("tcp://127.0.0.1:5000", tcp("127.0.0.1", 5000)),
            (" tcp://keys.example:1/ ", tcp("keys.example", 1)),
            ("tcp://[::1]:5000", tcp("::1", 5000)),
            ("unix:///run/a b.sock", Place::Unix("/run/a b.sock".into())),
            (
                "https://keys.example",
                Place::Tls {
                    host: "keys.example".into(),
                    port: 443,
                },
            ),
            (
                "https://[fe80::1]:8443",
                Place::Tls {
                    host: "fe80::1".into(),
                    port: 8443,
                },
            ),
        ] {
            let endpoint = Endpoint::parse(text).expect(text);
            assert_eq!(endpoint.place, place);
            assert_eq!(endpoint.to_string(), text.trim());
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "127.0.0.1:5000",
            "tcp://127.0.0.1",
            "tcp://:5000",
            "tcp://h:0",
            "tcp://h:65536",
            "tcp://h:x",
            "tcp://::1:5000",
            "tcp://[::1",
            "tcp://[h]:1",
            "tcp://[::1]5000",
            "tcp://user:word@h:1",
            "tcp://h:1/path",
            "tcp://h\n:1",
            "unix://relative",
            "unix:/run/x",
            "http://h:1",
            "https://h:1?q",
        ] {
            assert_eq!(Endpoint::parse(text), Err(EndpointError), "{text}");
        }
    }

    #[test]
    fn plain_tcp_to_another_machine_is_exposed() {
        let exposed = |text: &str| Endpoint::parse(text).expect(text).is_exposed();
        for text in ["tcp://10.0.0.1:1", "tcp://keys:1", "tcp://[fe80::1]:1"] {
            assert!(exposed(text), "{text}");
        }
        for text in [
            "tcp://127.0.0.1:1",
            "tcp://127.8.0.1:1",
            "tcp://[::1]:1",
            "tcp://LOCALHOST:1",
            "unix:///s",
            "https://10.0.0.1:1",
        ] {
            assert!(!exposed(text), "{text}");
        }
    }
}
