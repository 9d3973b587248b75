//! What can go wrong in a run.

use gorgo_types::{Nanos, RequestId};
use thiserror::Error;

/// What an event leads to. Boxed, so that it is returned in a register.
pub(crate) type Step = Result<(), Box<SimError>>;

/// Why a run ended without a result.
#[derive(Debug, Error)]
pub enum SimError {
    /// The workload could not be read, or contradicts itself.
    #[error(transparent)]
    Workload(#[from] gorgo_workload::WorkloadError),
    /// The router refused its configuration.
    #[error(transparent)]
    Routing(#[from] gorgo_routing::RoutingError),
    /// The tuner refused its configuration, or does not fit the policy.
    #[error(transparent)]
    Tuner(#[from] gorgo_routing::tuner::TunerError),
    /// The scenario does not fit together.
    #[error(transparent)]
    Scenario(#[from] gorgo_scenario::ScenarioError),
    /// A replica's configuration makes no sense.
    #[error("replica `{name}`: {source}")]
    Replica {
        /// The replica's name.
        name: String,
        /// What was wrong.
        source: Box<gorgo_model::ModelError>,
    },
    /// A request that its replica can never serve.
    #[error("request {id} at {at} on replica `{replica}`: {source}")]
    Request {
        /// The request.
        id: RequestId,
        /// When it reached the replica.
        at: Nanos,
        /// The replica's name.
        replica: String,
        /// What was wrong.
        source: Box<gorgo_model::ModelError>,
    },
    /// Where a request comes from is not known to the network.
    #[error("request {id}: {source}")]
    Origin {
        /// The request.
        id: RequestId,
        /// What was wrong.
        source: Box<gorgo_model::ModelError>,
    },
    /// A law of conservation was broken: the result would be wrong.
    #[error("the run is invalid: {0}")]
    Invalid(String),
    /// The workload waits for a completion, but nothing is under way.
    #[error("the workload waits for a completion at {at}, but no request is under way")]
    Stuck {
        /// When.
        at: Nanos,
    },
    /// Requests wait in routers' queues, and nothing will ever change that.
    #[error(
        "requests wait in routers' queues for ever, {requests} of them, since {since}: nothing is to come that would let them \
         go; give the queue a time-out, or the run a drain"
    )]
    WaitForEver {
        /// How many.
        requests: usize,
        /// When the last request was sent, or ended.
        since: Nanos,
    },
    /// A forced decision names a replica that the fleet does not have, or a request that never came.
    #[error("{0}")]
    Forced(String),
}

impl SimError {
    /// Is the input to blame (exit code 2), rather than the run (1 or 3)?
    #[must_use]
    pub const fn is_input(&self) -> bool {
        !matches!(self, Self::Invalid(_) | Self::Stuck { .. } | Self::WaitForEver { .. })
    }

    /// Is the result invalid (exit code 3)?
    #[must_use]
    pub const fn is_invalid(&self) -> bool {
        matches!(self, Self::Invalid(_))
    }
}

impl From<Box<SimError>> for SimError {
    fn from(error: Box<SimError>) -> Self {
        *error
    }
}
