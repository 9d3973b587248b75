//! What this crate refuses, and what it wanted instead.

use crate::RequestKey;
use gorgo_types::Nanos;
use thiserror::Error;

/// Why a replica, a profile or a network was refused, or a request was.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A number of a configuration makes no sense.
    #[error("{part}: {field} = {value}: wanted {wanted}")]
    Invalid {
        /// Which part: `replica`, `profile NAME`, `network`, ...
        part: String,
        /// The field.
        field: String,
        /// Its value.
        value: String,
        /// What was wanted instead.
        wanted: String,
    },
    /// A request that this replica could never serve, however empty it is.
    #[error(
        "request {} can never be served: {prompt_tokens} prompt tokens, {output_tokens} output tokens and \
         {reserved_tokens} reserved for admission do not fit in a KV pool of {kv_pool_tokens} tokens: wanted \
         prompt + reserved below the pool, and prompt + output within it",
        key.0
    )]
    TooLarge {
        /// The request.
        key: RequestKey,
        /// Length of its prompt.
        prompt_tokens: u64,
        /// Its output.
        output_tokens: u64,
        /// What admission sets aside for its output: `max_tokens`, clipped.
        reserved_tokens: u64,
        /// The pool.
        kv_pool_tokens: u64,
    },
    /// A request that contradicts itself.
    #[error("request {}: {field} = {value}: wanted {wanted}", key.0)]
    BadRequest {
        /// The request.
        key: RequestKey,
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
        /// What was wanted instead.
        wanted: String,
    },
    /// A key that still names a request alive here.
    #[error("request {} is alive in this replica already: wanted a key of its own", key.0)]
    DuplicateKey {
        /// The key.
        key: RequestKey,
    },
    /// Something is said to happen before what has been simulated already.
    #[error(
        "an arrival at {at} after the replica has been simulated up to {simulated}: wanted times in order"
    )]
    TimeWentBack {
        /// The time that was given.
        at: Nanos,
        /// Up to where the replica is.
        simulated: Nanos,
    },
    /// Two regions without a link.
    #[error("network: no link from `{from}` to `{to}`: wanted an RTT for every pair")]
    MissingLink {
        /// One end.
        from: String,
        /// The other end.
        to: String,
    },
    /// A place that no table knows.
    #[error("unknown {kind} `{value}`: wanted {wanted}")]
    UnknownPlace {
        /// `region`, `country`, ...
        kind: &'static str,
        /// What was given.
        value: String,
        /// What was wanted instead.
        wanted: String,
    },
}
