#![doc = include_str!("README.md")]
//!
//! # Reading order
//! [`signals`] and [`decision`] are what a policy sees and gives; [`policy`] has the rules and the recipe for a new one;
//! [`router`] joins everything, over [`fleet`], [`health`], [`accounting`], [`queue`] and [`index`]; [`tuner`] changes a
//! policy's weights while it routes; [`log`] and [`verify`] write decisions down and make them again.

pub mod accounting;
pub mod config;
pub mod decision;
pub mod error;
pub mod fleet;
pub mod health;
pub mod index;
pub mod log;
pub mod policy;
pub mod queue;
pub mod reach;
pub mod router;
pub mod signals;
pub mod tuner;
pub mod verify;

pub use accounting::Ticket;
pub use config::{IndexBound, LearnAt, ReleaseAt, RouterConfig};
pub use decision::{Decision, Target, Tie};
pub use error::{RoutingError, WeightError};
pub use fleet::{MAX_REPLICAS, Scrape};
pub use health::{
    Circuit, CircuitConfig, HealthConfig, HealthTotals, OutlierConfig, ReplicaHealth,
};
pub use index::{IndexStats, PrefixIndex};
pub use policy::{Needs, Policy, Question, registry};
pub use queue::Action;
pub use reach::{Home, Reach, RegionReach, Room};
pub use router::{Ignored, Router, decide};
pub use signals::{MAX_WEIGHT, RoutingRequest, Signals};
