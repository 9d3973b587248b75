//! What can go wrong in an experiment.

use gorgo_config::Diagnostic;
use std::path::PathBuf;

/// Why an experiment came to nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PapersError {
    /// Published figures or a scenario are malformed: where, what was got, what was wanted.
    #[error("{0}")]
    Input(#[from] Diagnostic),
    /// An option is wrong.
    #[error("{option}: got {got}, wanted {wanted}")]
    Option {
        /// The option, as on the command line.
        option: &'static str,
        /// Its value.
        got: String,
        /// What was wanted instead.
        wanted: String,
    },
    /// The experiment's own parts do not fit together.
    #[error("{experiment}: {problem}")]
    Experiment {
        /// Which one.
        experiment: String,
        /// What does not fit, and what was wanted.
        problem: String,
    },
    /// The requests cannot be had.
    #[error(transparent)]
    Workload(#[from] gorgo_workload::WorkloadError),
    /// A run failed.
    #[error("{scenario}, policy `{policy}`, seed {seed}: {source}")]
    Run {
        /// The scenario.
        scenario: String,
        /// The policy's label.
        policy: String,
        /// The seed.
        seed: u64,
        /// Why.
        source: Box<gorgo_sim::SimError>,
    },
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A page would replace one that a person wrote.
    #[error("{}: got a page that gorgo did not write, wanted a folder without one (nothing was changed)", path.display())]
    ForeignPage {
        /// The page.
        path: PathBuf,
    },
}
