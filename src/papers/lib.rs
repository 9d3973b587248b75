//! Experiments of papers, run in the simulator and held against what was published.
//!
//! An [`Experiment`] is data: scenarios that are built into the program, which policy stands for which of the paper's,
//! which metrics are compared ([`Window`]), and what is varied besides ([`Study`]). A [`Plan`] cuts it into [`Unit`]s of
//! one case under one seed, which a caller runs on as many threads as it likes; [`Plan::finish`] turns what they gave
//! into an [`Outcome`]: rows of paper against ours with their spread over seeds. `page.rs` writes it down.
//!
//! It simulates nothing itself and defines no metric beyond what a paper's own table needs (`metric.rs`). It owns no
//! threads and prints nothing. Published figures are in `data/papers`, the scenarios in `scenarios/papers`. Read
//! `experiment.rs` next, then one of `experiments/`.

mod error;
mod experiment;
pub mod experiments;
mod json;
pub mod metric;
mod outcome;
mod page;
mod plan;
mod published;
mod words;

pub use error::PapersError;
pub use experiment::{Arm, Case, Experiment, Group, ScenarioText, Study, Window};
pub use gorgo_stats::median;
pub use json::to_json;
pub use metric::Metric;
pub use outcome::{
    Arrivals, GroupVerdict, OrderVerdict, Outcome, Row, Spread, StudyOutcome, StudyRow,
    WindowOutcome,
};
pub use page::{About, write_page};
pub use plan::{Options, Plan, PolicyOutcome, Unit, UnitOutcome};
pub use published::{Figure, Published, Relation};
pub use words::to_text;
