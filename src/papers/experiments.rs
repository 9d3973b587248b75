//! The experiments, one file each; [`reviewers`] are questions without a paper, and have a shape of their own.

pub mod reviewers;
mod v2;

use crate::experiment::Experiment;

/// The names of all experiments, in the order of the papers.
pub const NAMES: [&str; 1] = ["v2"];

/// The experiment of that name.
#[must_use]
pub fn by_name(name: &str) -> Option<Experiment> {
    match name {
        "v2" => Some(v2::experiment()),
        _ => None,
    }
}
