//! How sure a number is: statistics over seeds and over dependent data.
//!
//! Pure functions of numbers, without files, clocks or ambient randomness; resamples are keyed draws. What the numbers
//! are, and which of them belong together, is the caller's. Read `median.rs` next.

mod median;

pub use median::{band, median, median_interval, middle, sorted};
