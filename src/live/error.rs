//! What keeps a live run from a result. What happens to single requests is in their records instead.

use gorgo_sim::SimError;

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// An option that cannot be.
    #[error("{option}: got {got}, wanted {wanted}")]
    Option {
        /// Its name.
        option: &'static str,
        /// Its value.
        got: String,
        /// What was wanted.
        wanted: String,
    },
    /// The scenario, its workload or its policy.
    #[error(transparent)]
    Scenario(#[from] SimError),
    /// Nobody answers at a target.
    #[error("{url}: {problem}")]
    Unreachable {
        /// The target.
        url: String,
        /// Why not.
        problem: String,
    },
    /// Certificates that cannot be used.
    #[error("{what}: {problem}")]
    Tls {
        /// The file, or the system's certificates.
        what: String,
        /// What is wrong.
        problem: String,
    },
    /// The admin API, or a cache that is not empty after it was flushed.
    #[error("{what}: {problem}")]
    Admin {
        /// What was asked of whom.
        what: String,
        /// What came of it.
        problem: String,
    },
    /// A law of conservation was broken.
    #[error("the run is invalid: {0}")]
    Invalid(String),
    /// The system refused a thread, or one came to an unexpected end.
    #[error("{0}")]
    System(String),
}

impl LiveError {
    /// Is the input to blame (exit code 2)?
    #[must_use]
    pub const fn is_input(&self) -> bool {
        match self {
            Self::Option { .. } | Self::Tls { .. } => true,
            Self::Scenario(error) => error.is_input(),
            _ => false,
        }
    }

    /// Is the result invalid (exit code 3)?
    #[must_use]
    pub const fn is_invalid(&self) -> bool {
        match self {
            Self::Invalid(_) => true,
            Self::Scenario(error) => error.is_invalid(),
            _ => false,
        }
    }
}

impl From<gorgo_workload::WorkloadError> for LiveError {
    fn from(error: gorgo_workload::WorkloadError) -> Self {
        Self::Scenario(error.into())
    }
}
