//! What a router refuses.

use crate::policy::ParameterError;
use gorgo_types::ReplicaId;
use thiserror::Error;

/// Why a router cannot be made, or its fleet not be changed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RoutingError {
    /// A parameter is out of range.
    #[error("router parameter `{parameter}`: got {value}, wanted {wanted}")]
    Parameter {
        /// Its name.
        parameter: &'static str,
        /// What it was.
        value: String,
        /// What it may be.
        wanted: &'static str,
    },
    /// Two replicas of one id.
    #[error("replica {} is in the fleet already", replica.0)]
    DuplicateReplica {
        /// The id.
        replica: ReplicaId,
    },
    /// No such replica in the fleet.
    #[error("replica {} is not in the fleet", replica.0)]
    UnknownReplica {
        /// The id.
        replica: ReplicaId,
    },
    /// A replica's weight is out of range.
    #[error("the weight of replica {}: got {got}, wanted 1 to {most}", replica.0)]
    ReplicaWeight {
        /// The id.
        replica: ReplicaId,
        /// What it was.
        got: u32,
        /// The largest.
        most: u32,
    },
    /// Ids are dense, since they index vectors.
    #[error("replica id {}: wanted below {limit}", replica.0)]
    ReplicaIdTooLarge {
        /// The id.
        replica: ReplicaId,
        /// The first id that is too large.
        limit: u32,
    },
}

/// Why a weight cannot be changed.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum WeightError {
    /// The policy has no such weight.
    #[error("policy `{policy}` has no weight `{name}`, wanted {}", one_of(known))]
    Unknown {
        /// The name.
        name: String,
        /// The policy.
        policy: &'static str,
        /// The weights that it has.
        known: Vec<&'static str>,
    },
    /// The value is out of bounds.
    #[error(transparent)]
    Value(#[from] ParameterError),
    /// A tuner would change it again at once.
    #[error("weight `{name}` is being tuned: stop the tuner first")]
    Tuned {
        /// The name.
        name: String,
    },
}

fn one_of(known: &[&str]) -> String {
    match known {
        [] => "another policy: none of its weights can be changed".to_owned(),
        known => format!("one of {}", known.join(", ")),
    }
}
