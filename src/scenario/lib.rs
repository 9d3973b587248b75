//! What to simulate: TOML, parsed, resolved and ready to run.

mod resolved;

pub use resolved::{
    IndexSpec, LearnAt, MeasureParams, PolicySpec, Records, Region, ReleaseAt, ReplicaSpec,
    Resolved, RouterSpec,
};
