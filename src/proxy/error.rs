//! Why a proxy cannot start, or not do what its owner asks.

use gorgo_routing::RoutingError;
use gorgo_routing::tuner::TunerError;
use gorgo_text::TextError;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// See the module.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A certificate, key or trust store that cannot be used.
    #[error("{}: {problem}", path.display())]
    Tls {
        /// The file; `(system)` for the system's roots.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The router refuses.
    #[error(transparent)]
    Routing(#[from] RoutingError),
    /// The tuner refuses.
    #[error(transparent)]
    Tuner(#[from] TunerError),
    /// The tokenizer cannot be used.
    #[error(transparent)]
    Text(#[from] TextError),
    /// A policy, its parameters, or another request of the owner's that cannot be met.
    #[error("{0}")]
    Refused(String),
}
