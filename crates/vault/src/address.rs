//! Where a server is, and what may stand in a path.
//!
//! Names come from files that strangers can write. A name that a server could read as another path (`..`, an escape, a
//! query) is refused before any request.

use std::fmt;

use url::Url;

/// The address of a server: scheme, host and port, without path, user or query.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Address(Url);

/// Why a text is no address, or no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// Neither `http` nor `https`, or no host.
    #[error("it is no http or https address")]
    NotHttp,
    /// A user name or password in the address would travel in clear text and stand in logs.
    #[error("it holds a user name or password")]
    Credentials,
    /// Something behind the port.
    #[error("it holds more than scheme, host and port")]
    TooMuch,
    /// A part of a path that a server may read as something else.
    #[error("a part of the path is empty, `.` or `..`, or holds a character that no name has")]
    Segment,
}

impl Address {
    /// Reads `https://host[:port][/]`.
    ///
    /// # Errors
    /// See [`AddressError`].
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let url = Url::parse(text).map_err(|_| AddressError::NotHttp)?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(AddressError::NotHttp);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(AddressError::Credentials);
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(AddressError::TooMuch);
        }
        Ok(Self(url))
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether what is sent can be read on the way.
    pub fn is_plain(&self) -> bool {
        self.0.scheme() == "http"
    }

    /// Whether what is sent can be read on the way by others than this machine.
    pub fn is_exposed(&self) -> bool {
        let here = match self.0.host() {
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            Some(url::Host::Domain(name)) => name == "localhost",
            None => false,
        };
        self.is_plain() && !here
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A mount or a name: parts with slashes between them, each of which stands for itself in a URL.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Segments(String);

impl Segments {
    /// Reads `transit`, `team/transit`. Slashes at both ends do not count.
    ///
    /// # Errors
    /// [`AddressError::Segment`]
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let text = text.trim_matches('/');
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~');
        let fine = |part: &str| !matches!(part, "" | "." | "..") && part.chars().all(plain);
        if text.len() > 1024 || !text.split('/').all(fine) {
            return Err(AddressError::Segment);
        }
        Ok(Self(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Segments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_scheme_host_and_port() {
        for text in [
            "http://127.0.0.1:8200",
            "https://vault.example.org/",
            "https://[::1]:8200",
        ] {
            assert!(Address::parse(text).is_ok(), "{text}");
        }
        for (text, why) in [
            ("ftp://h", AddressError::NotHttp),
            ("vault:8200", AddressError::NotHttp),
            ("unix:///run/v", AddressError::NotHttp),
            ("https://u:p@h", AddressError::Credentials),
            ("https://u@h", AddressError::Credentials),
            ("https://h/v1", AddressError::TooMuch),
            ("https://h?x", AddressError::TooMuch),
            ("https://h#x", AddressError::TooMuch),
            ("", AddressError::NotHttp),
        ] {
            assert_eq!(Address::parse(text), Err(why), "{text}");
        }
    }

    /// NW-13
    #[test]
    fn a_name_cannot_be_another_path() {
        for text in ["transit", "/team/transit/", "a-b_c.d~1"] {
            assert!(Segments::parse(text).is_ok(), "{text}");
        }
        for text in [
            "", "/", "..", "a/../b", "a//b", "./a", "a?b", "a#b", "a%2e%2e", "a b", "a\0", "a\nb", "ä", "a*",
            "a+b", "a@b", "a\\b",
        ] {
            assert_eq!(Segments::parse(text), Err(AddressError::Segment), "{text:?}");
        }
        assert!(Segments::parse(&"a".repeat(2000)).is_err());
    }
}
