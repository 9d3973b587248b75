//! The experiments, one file each.

mod v1;
mod v2;

use crate::experiment::Experiment;

/// The names of all experiments, in the order of the papers.
pub const NAMES: [&str; 2] = ["v1", "v2"];

/// The experiment of that name.
#[must_use]
pub fn by_name(name: &str) -> Option<Experiment> {
    match name {
        "v1" => Some(v1::experiment()),
        "v2" => Some(v2::experiment()),
        _ => None,
    }
}
