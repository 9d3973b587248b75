//! The event engine and the world that joins model, routing and workload.
//!
//! A [`Setup`] describes one run of one policy; [`World::run`] plays it to the end in virtual time and returns a
//! [`gorgo_metrics::RunResult`]. One run is one thread; runs are independent, so callers run them side by side.
//! No files, no wall clock, no randomness of its own: every draw is keyed by what it is for.
//! Read `world.rs` next for the loop, `flow.rs` for the way of a request, `agenda.rs` for the order of events.

mod agenda;
mod connections;
mod error;
mod flight;
mod flow;
mod incidents;
mod probes;
mod regret;
mod scenario;
mod setup;
mod site;
mod stops;
mod table;
mod world;

pub use error::SimError;
pub use flight::record_of;
pub use flow::client_draw;
pub use regret::{Alternative, FirstTokens, Regret, regret};
pub use scenario::{PolicyRun, run_policy, setup_of};
pub use setup::{Observer, RouterSetup, RunOptions, Setup, StationSetup, TuneObserver};
pub use site::Ingress;
pub use stops::Stops;
pub use world::World;
