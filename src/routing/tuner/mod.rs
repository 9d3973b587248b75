//! Tuning a policy's weights while it routes, on nothing but the times of the requests that it routed.
//!
//! A tuner searches over the weights that its [`TunerConfig`] names, each inside a box.
//! Three strategies stand side by side. [`one_fifth`] is the published one of GORGO v2, faults included: it installs one
//! candidate after the other and compares windows of *different* times. [`paired`] routes requests of the same minutes by
//! different weights, and compares those. [`schedule`] searches for nothing: it plays a published run's weights again.
//!
//! What a caller does for each request, in the order of its life:
//! 1. [`Tuner::assign`] says which weights route the next request. It changes nothing, however often it is asked.
//! 2. [`Tuner::dispatched`]: a request was sent with that assignment.
//! 3. [`Tuner::first_token`], then [`Tuner::observe`] when the response is complete, or [`Tuner::lost`] when there will
//!    be none. Any of them may end a step of the search, which comes back as a [`TuneStep`].
//!
//! [`crate::Router::tune`] does all that, so a router with a tuner is told no more than one without. Nothing here has a
//! clock or a randomness of its own: time is an argument, draws are keyed by (seed, step, weight), so the same samples
//! give the same weights. Read [`config`] next, then [`evolution`].

pub(crate) mod attached;
mod axis;
pub mod config;
pub mod evolution;
mod normal;
pub mod one_fifth;
pub mod paired;
mod paired_parameters;
mod rank;
pub mod schedule;
mod score;
mod step;
mod strategy;

pub use config::{Bounds, Objective, StrategyConfig, TunerConfig, TunerError};
pub use evolution::{Evolution, EvolutionParameters};
pub use one_fifth::{OneFifth, OneFifthParameters};
pub use paired::{Paired, PairedParameters};
pub use schedule::{Change, Schedule, ScheduleParameters};
pub use score::{Sample, percentile};
pub use step::{TuneHead, TuneStep};
pub use strategy::{Assignment, TunedWeights, Tuner};
