//! How sure a number is: statistics over seeds and over dependent data.
//!
//! Pure functions of numbers, without files, clocks or ambient randomness; resamples are keyed draws. What the numbers
//! are, and which of them belong together, is the caller's. Samples are runs of unlike seeds, one value a run:
//! differences are means with Student's t (`estimate.rs`), levels and changes seed by seed are medians with order
//! statistics (`order.rs`), changes between unlike seeds those of two medians (`medians.rs`).
//!
//! How often these intervals hold the truth is measured by `cargo run --release -p gorgo-stats --example coverage`;
//! the figures are in `results/statistics`. Read `estimate.rs` next.

mod estimate;
mod front;
mod median;
mod medians;
mod order;
mod student;

pub use estimate::{
    Estimate, FEWEST_OF_MEDIAN, holm, level, mean, mean_estimate, paired_difference, paired_ratio,
    unpaired_difference, unpaired_ratio,
};
pub use front::is_undominated;
pub use median::{band, median, median_interval, middle, sorted};
pub use student::{t_above, t_quantile};
