//! The connection between a controller and its hosts: certificates, TLS on both sides, frames.
//!
//! The region has a certificate authority of its own, which knows nobody else and is known to nobody else. A machine
//! joins with a [`Token`], which names that authority by its fingerprint, so that the first contact is with the right
//! controller, and proves once that the machine may join. From then on both sides show certificates. A host's counts
//! only while the controller's records name its fingerprint, so that taking it away needs no list that others must
//! fetch.
//!
//! Messages are JSON behind their length ([`read`], [`write`]). Both ends are of the same version of Polder: the first
//! message says of which, and another one is refused.
#![forbid(unsafe_code)]

mod authority;
mod frame;
mod message;
mod tls;
mod token;

pub use authority::{Authority, Key, fingerprint};
pub use frame::{MAX_FIRST, MAX_FULL, MAX_REPORT, read, write};
pub use message::{First, Reply, ToController, ToHost, VERSION};
pub use tls::{NAME, Pinned, acceptor, connector, joiner};
pub use token::Token;

pub use rustls::pki_types::{CertificateDer, ServerName};
pub use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

/// Why a connection, or what it needs, does not come about.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A certificate or key cannot be made or read.
    #[error("a certificate or key cannot be made or read: {0}")]
    Certificate(String),
    /// The file system, or the network.
    #[error("{doing}")]
    Io {
        /// What was being done.
        doing: String,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// A message is longer than it may be.
    #[error("a message of {0} octets is longer than it may be")]
    TooLong(u32),
    /// A message is not understood.
    #[error("a message cannot be understood: {0}")]
    Malformed(#[from] serde_json::Error),
    /// The other end has closed the connection.
    #[error("the connection was closed")]
    Closed,
}

pub(crate) fn certificate(error: impl std::fmt::Display) -> Error {
    Error::Certificate(error.to_string())
}
