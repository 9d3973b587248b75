//! Why an emulator could not be started.

use std::net::SocketAddr;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum EmulatorError {
    /// An option that cannot be used.
    #[error("{option}: got {got}, wanted {wanted}")]
    Option {
        /// Which one.
        option: &'static str,
        /// Its value.
        got: String,
        /// What was wanted.
        wanted: String,
    },
    /// A port that could not be had.
    #[error("{what}: cannot listen on {address}: {source}")]
    Listen {
        /// Who wanted it.
        what: String,
        /// Where.
        address: SocketAddr,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Where KV events were to be published that cannot be had.
    #[error("KV events: cannot publish at {endpoint}: {problem}")]
    KvEvents {
        /// Where.
        endpoint: String,
        /// The reason.
        problem: String,
    },
    /// The system refused something else.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Its reason.
        source: std::io::Error,
    },
    /// The scenario's workload cannot be read, so its block size is not known.
    #[error("the block size of the scenario's workload: {problem}")]
    Workload {
        /// The reason.
        problem: String,
    },
    /// The scenario's network cannot be read.
    #[error(transparent)]
    Scenario(#[from] gorgo_scenario::ScenarioError),
    /// A replica's configuration makes no sense.
    #[error("replica `{name}`: {source}")]
    Replica {
        /// Its name.
        name: String,
        /// The reason.
        source: gorgo_model::ModelError,
    },
}
