//! Why there is no scenario to run.

use gorgo_config::Diagnostic;
use gorgo_workload::WorkloadError;
use std::path::PathBuf;

/// Why there is no scenario to run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScenarioError {
    /// The file, an assignment or the built-in data is wrong: where, what was got, what was wanted.
    #[error("{0}")]
    Input(#[from] Diagnostic),
    /// The file cannot be read.
    #[error("{}: the scenario cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A recorded series of round trips cannot be read.
    #[error("{}: the series cannot be read: {source}", path.display())]
    UnreadableSeries {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// An option of a replay is wrong.
    #[error("{option}: got {got}, wanted {wanted}")]
    Option {
        /// The option, as on the command line.
        option: &'static str,
        /// Its value.
        got: String,
        /// What was wanted instead.
        wanted: &'static str,
    },
    /// A policy whose parameters were changed after they had been checked.
    #[error("policy `{label}`: {problem}")]
    Policy {
        /// The policy's label.
        label: String,
        /// What its registry says.
        problem: String,
    },
    /// The requests cannot be had.
    #[error(transparent)]
    Workload(#[from] WorkloadError),
}
