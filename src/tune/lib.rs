//! The search for a setting: what is wanted ([`Goal`]), who proposes ([`Cma`], [`OnePlusOne`]), who is stopped early
//! ([`race`]), and what the winner is worth where it was not searched for ([`Gain`]).
//!
//! Nothing here knows scenarios, files or threads. A [`World`] turns a point of the unit cube into a setting and runs
//! settings under seeds; everything else asks it for trials and gets numbers. Draws are keyed and trials are asked for in
//! a fixed order, so the same seed gives the same search on any number of threads. Read `goal.rs` next, then `search.rs`.

mod capacity;
mod cma;
mod eigen;
mod error;
mod evolution;
mod gain;
mod goal;
mod normal;
mod pareto;
mod race;
mod search;

pub use capacity::{Capacity, CapacityRange, FEWEST_SEEDS, Tested, Verdict, capacity};
pub use cma::Cma;
pub use error::TuneError;
pub use evolution::OnePlusOne;
pub use gain::Gain;
pub use goal::{Bound, Goal, Objective, Score};
pub use pareto::front;
pub use race::{Counts, Field, Trial, World, race, rungs};
pub use search::{Candidate, Method, Plan, Search, search};
