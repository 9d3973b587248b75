//! How sure a number is: statistics over seeds and over dependent data.
//!
//! Pure functions of numbers, without files, clocks or ambient randomness; resamples are keyed draws. What the numbers
//! are, and which of them belong together, is the caller's. Two ways, for two kinds of data:
//!
//! - several runs of unlike seeds: one value a run, Student's t over runs, paired where both sides have the same seeds
//!   (`estimate.rs`);
//! - one run: consecutive stretches of it take the place of runs (`sections.rs`).
//!
//! How often these intervals hold the truth is measured by `cargo run --release -p gorgo-stats --example coverage`;
//! the figures are in `results/statistics`. Read `estimate.rs` next.

mod estimate;
mod median;
mod sections;
mod student;

pub use estimate::{
    Estimate, Scale, holm, level, mean, paired_difference, paired_ratio, unpaired_difference,
    unpaired_ratio,
};
pub use median::{band, median, median_interval, middle, sorted};
pub use sections::{STRETCHES, independent_beyond, percentile, percentile_of_run};
pub use student::{t_above, t_quantile};
