//! What can go wrong in a sweep.

use gorgo_config::Diagnostic;
use gorgo_scenario::ScenarioError;
use std::path::PathBuf;

/// Why a sweep came to nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SweepError {
    /// The sweep file is wrong: where, what was got, what was wanted.
    #[error("{0}")]
    Input(#[from] Diagnostic),
    /// The scenario is wrong.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// A cell's scenario is wrong.
    #[error("cell {cell} ({setting}): {source}")]
    Cell {
        /// Which one, from 0.
        cell: usize,
        /// Its assignments.
        setting: String,
        /// Why.
        source: Box<ScenarioError>,
    },
    /// A cell's run failed.
    #[error("cell {cell} ({setting}): {source}")]
    Run {
        /// Which one, from 0.
        cell: usize,
        /// Its assignments.
        setting: String,
        /// Why.
        source: Box<gorgo_sim::SimError>,
    },
    /// A run that is no cell failed.
    #[error("seed {seed}, {setting}: {source}")]
    Trial {
        /// Its seed.
        seed: u64,
        /// Its assignments.
        setting: String,
        /// Why.
        source: Box<gorgo_sim::SimError>,
    },
    /// The requests cannot be had.
    #[error(transparent)]
    Workload(#[from] gorgo_workload::WorkloadError),
    /// An option, or what it names, is wrong.
    #[error("{what}: got {got}, wanted {wanted}")]
    Option {
        /// The option, or the file.
        what: String,
        /// Its value.
        got: String,
        /// What was wanted instead.
        wanted: String,
    },
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
}

impl SweepError {
    /// Whether what was asked for is wrong, rather than what was done.
    #[must_use]
    pub fn is_input(&self) -> bool {
        match self {
            Self::Run { source, .. } | Self::Trial { source, .. } => source.is_input(),
            Self::Io { .. } => false,
            _ => true,
        }
    }

    /// Whether a run broke a law: its result would be wrong.
    #[must_use]
    pub fn is_invalid(&self) -> bool {
        match self {
            Self::Run { source, .. } | Self::Trial { source, .. } => source.is_invalid(),
            _ => false,
        }
    }
}
