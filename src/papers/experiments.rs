//! The experiments, one file each; [`reviewers`] are questions without a paper, and have a shape of their own.

pub mod reviewers;
mod summary;
mod v1;
mod v2;

use crate::experiment::Experiment;

/// The names of all experiments, in the order of the papers.
pub const NAMES: [&str; 3] = ["v1", "v2", "summary"];

/// The experiment of that name.
#[must_use]
pub fn by_name(name: &str) -> Option<Experiment> {
    match name {
        "v1" => Some(v1::experiment()),
        "v2" => Some(v2::experiment()),
        "summary" => Some(summary::experiment()),
        _ => None,
    }
}
