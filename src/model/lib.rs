//! What is modelled: a replica (scheduler, KV cache, cost profile) and the network between regions.
//!
//! A passive library: it has no clock, no I/O and no event queue of its own. A [`Replica`] is told what arrives
//! when, says when it must be looked at next, and reports what happened; the simulator drives it in virtual time.
//! The exact rules stand in `README.md` beside this file. Read [`replica`] next, then [`sglang`], [`cache`] and [`profile`].

pub mod cache;
pub mod engine;
pub mod error;
pub mod limits;
pub mod network;
pub mod profile;
pub mod replica;
pub mod sglang;
pub mod time;
pub mod vllm;

pub use cache::{CacheChange, PrefixCache};
pub use engine::Engine;
pub use error::ModelError;
pub use limits::{EngineLimits, ReplicaConfig, Schedule};
pub use network::{
    ClientLeg, ClientModel, IN_REGION_RTT_MS, Jitter, Link, MEDIAN_P95_RATIO, NamedLink, Network,
    Place, PlaceKind, PlaceTable, RegionPlace, great_circle_km, halves,
};
pub use profile::{
    CostProfile, DecodeSegment, PrefillItem, ProfileRange, ProfileSpec, Provenance, TableRow,
};
#[cfg(feature = "mutations")]
pub use replica::Mutation;
pub use replica::{
    EngineRequest, GapRun, Observation, Replica, ReplicaEvent, ReplicaOutput, ReplicaTotals,
    RequestKey, TokenRun,
};
pub use sglang::SglangReplica;
pub use time::Femtos;
pub use vllm::{VllmLimits, VllmReplica};
