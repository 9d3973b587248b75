//! Tuning a policy's weights while it routes, on nothing but the times of the requests that it routed.
//!
//! A tuner searches over the weights that its [`TunerConfig`] names, each inside a box.
//! [`one_fifth`] is the published tuner of GORGO v2, faults included: it installs one candidate after the other and
//! compares windows of *different* times.
//!
//! Nothing here has a clock or a randomness of its own: time is an argument, draws are keyed by (seed, step, weight),
//! so the same samples give the same weights. Read [`config`] next, then [`evolution`].

pub mod config;
pub mod evolution;
mod normal;
pub mod one_fifth;
mod score;
mod step;

pub use config::{Bounds, Objective, StrategyConfig, TunerConfig, TunerError};
pub use evolution::{Evolution, EvolutionParameters};
pub use one_fifth::{OneFifth, OneFifthParameters};
pub use score::{Sample, percentile};
pub use step::TuneStep;
