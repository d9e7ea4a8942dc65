//! A server whose TLS is wrong in one way: each of its connections ends before a request is read.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

/// Nobody waits longer for the other side.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFault {
    /// The certificate's time is over.
    Expired,
    /// It has not come.
    NotYetValid,
    /// The certificate is for another name.
    OtherName,
    /// An authority that nobody was told to trust vouches for it.
    UnknownAuthority,
    /// It speaks only a version from before TLS 1.2, and says so.
    OldVersion,
    /// It speaks no TLS.
    Plain,
    /// It wants a certificate of the client.
    ClientCertificate,
}

/// Every fault.
pub const TLS_FAULTS: [TlsFault; 7] = [
    TlsFault::Expired,
    TlsFault::NotYetValid,
    TlsFault::OtherName,
    TlsFault::UnknownAuthority,
    TlsFault::OldVersion,
    TlsFault::Plain,
    TlsFault::ClientCertificate,
];

/// Starts a server at a free port of `localhost` for the rest of the process: the port, and the authority to trust as PEM.
///
/// # Errors
/// If there is no port, or no certificate.
pub fn start(fault: TlsFault) -> io::Result<(u16, String)> {
    let (authority, tls) = certificates(fault).map_err(io::Error::other)?;
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let tls = tls.clone();
            std::thread::spawn(move || {
                // How the connection ends is the other side's to tell.
                let _ = answer(stream, fault, tls);
            });
        }
    });
    Ok((port, authority))
}

fn answer(mut stream: TcpStream, fault: TlsFault, tls: Arc<ServerConfig>) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let said: &[u8] = match fault {
        // A fatal alert: protocol_version (RFC 8446, 6).
        TlsFault::OldVersion => &[21, 3, 1, 0, 2, 2, 70],
        TlsFault::Plain => b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n",
        _ => {
            let connection = ServerConnection::new(tls).map_err(io::Error::other)?;
            return StreamOwned::new(connection, stream).read(&mut [0; 1]).map(drop);
        }
    };
    let mut hello = [0; 4096];
    let _ = stream.read(&mut hello)?;
    stream.write_all(said)
}

/// The authority that is to be trusted, and what the server shows.
fn certificates(
    fault: TlsFault,
) -> Result<(String, Arc<ServerConfig>), Box<dyn std::error::Error + Send + Sync>> {
    let authority = make_authority("an authority")?;
    let name = match fault {
        TlsFault::OtherName => "other.example.org",
        _ => "localhost",
    };
    let mut leaf = CertificateParams::new(vec![name.to_owned()])?;
    match fault {
        TlsFault::Expired => leaf.not_after = date_time_ymd(2001, 1, 1),
        TlsFault::NotYetValid => leaf.not_before = date_time_ymd(2999, 1, 1),
        _ => {}
    }
    let key = KeyPair::generate()?;
    let stranger = make_authority("somebody")?;
    let leaf = match fault {
        TlsFault::UnknownAuthority => leaf.signed_by(&key, &stranger)?,
        _ => leaf.signed_by(&key, &authority)?,
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    let builder = if fault == TlsFault::ClientCertificate {
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone())?;
        builder.with_client_cert_verifier(
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?,
        )
    } else {
        builder.with_no_client_auth()
    };
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let server = builder.with_single_cert(vec![leaf.der().clone()], private)?;
    Ok((authority.pem(), Arc::new(server)))
}

fn make_authority(name: &str) -> Result<CertifiedIssuer<'static, KeyPair>, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate()?)
}
