//! Sweeps: one scenario under many settings, policies and seeds.
//!
//! A sweep file says what varies and over which values ([`SweepFile`]); a [`Plan`] spells out every cell of it, each one
//! policy under one setting and seed, and which of them come to the same run; a [`Store`] keeps what a run gave, whole or
//! not at all, under a name that follows from the scenario alone. So a sweep may be killed and resumed, split over
//! machines and joined, on any number of threads, and the files are the same.
//!
//! Nothing here starts threads or prints: the caller runs [`Plan::run`] for each of [`Plan::runs`] as it likes, and has
//! [`Finished::write_report`] write the page about all of them. Read `file.rs` next, then `plan.rs`.

mod axes;
mod bench;
mod domain;
mod error;
mod file;
mod over;
mod page;
mod pictures;
mod plan;
mod run;
mod standing;
mod store;
mod table;

pub use bench::{Bench, STEPS};
pub use domain::Domain;
pub use error::SweepError;
pub use file::{Axis, Search, Seeds, SweepFile};
pub use pictures::{Finished, Picture};
pub use plan::{Cell, Plan, RunId};
pub use run::{Histograms, Outcome, Pool};
pub use standing::{ALPHA, Standing, standings, values};
pub use store::{Shard, Store};
pub use table::{CellNumbers, METRICS, SettingRow, cells_csv, settings};
