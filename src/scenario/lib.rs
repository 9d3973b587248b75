//! What to simulate: TOML, parsed, resolved and ready to run.
//!
//! Three types, one after the other: [`Parsed`] is what a file says, with `--set` laid over it; [`Resolved`] is plain
//! data with every default filled in and every name looked up; [`Requests`] has found the requests. Running it is the
//! simulator's part. Parsing and resolving touch nothing outside the text and the data built into the program
//! ([`data`]). Read `parsed.rs` next for the form of a file, then `resolve.rs`.
//!
//! ```
//! use gorgo_scenario::{Parsed, Resolved};
//! use std::path::Path;
//! let resolved = Resolved::built_in(&["seed=7"]).expect("the built-in scenario is valid");
//! assert_eq!(resolved.seed, 7);
//! let again = Parsed::new("again", &resolved.to_toml(), &[""; 0]).expect("what is written can be read");
//! assert_eq!(again.resolve(Path::new("")).expect("and resolved").to_toml(), resolved.to_toml());
//! ```

pub mod data;
mod error;
mod parse;
pub mod parsed;
mod published;
mod resolve;
mod resolved;
mod schema;
pub mod series;
mod wildchat;
mod workload;
mod write;

pub use error::ScenarioError;
pub use gorgo_config::Diagnostic;
pub use parse::{Parsed, ReplayTrace};
pub use resolved::{
    CostParams, FailureSpec, GpuShare, IndexSpec, MeasureParams, Outage, PerRegionSpec, PolicySpec,
    Records, ReplicaSpec, Resolved, RouterSpec,
};
pub use schema::schema;
pub use series::{SeriesSource, SeriesSpec};
pub use workload::{DemandSpec, LoadSpec, Requests, SweepArrivals, SweepSpec, WorkloadSpec};

/// The scenario that `gorgo run` takes where none is named.
pub const DEFAULT: &str = include_str!("../../scenarios/01_three_regions.toml");

/// What errors and results call [`DEFAULT`].
pub const DEFAULT_NAME: &str = "scenarios/01_three_regions.toml";
