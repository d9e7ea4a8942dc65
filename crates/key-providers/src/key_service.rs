//! The key service of SOPS: asking one that runs elsewhere ([`KeyService`]), and being one ([`Server`]).
//!
//! A key service wraps and unwraps data keys for others, who hold no key themselves. It speaks gRPC with two methods;
//! what is sent is the name of the master key, and the data key or the text of its `enc` field. Over a Unix socket and
//! plain TCP it is what stock SOPS speaks; TLS with certificates on both sides is ours.
//!
//! # What this does not do
//! Plain TCP protects nothing: whoever can read the connection reads data keys. A key service tells nobody which keys
//! it has.

mod client;
mod connection;
mod endpoint;
mod listener;
mod overseer;
mod server;
mod tls;
mod wire;

pub use crate::socket::SocketError;
pub use client::KeyService;
pub use endpoint::{Endpoint, EndpointError};
pub use listener::Listener;
pub use overseer::{Asked, Operation, Outcome, Overseer, Peer, Verdict};
pub use server::{Bounds, Server};
pub use tls::{ClientTls, ServerTls, TlsError, TlsFiles, client_tls, server_tls};
