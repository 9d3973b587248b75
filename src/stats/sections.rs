//! How sure a percentile of one run is, whose requests depend on each other.
//!
//! Neighbouring requests share queues, so resampling them one by one would give far too narrow an interval. The run is
//! cut into consecutive stretches instead, long enough that they hardly know of each other, and the percentiles of the
//! stretches are spread around that of the whole as the whole's is around the truth, only wider by the root of their
//! number. This is sectioning (Asmussen and Glynn, *Stochastic Simulation*, III.5a): unlike batch means it is centred
//! on the percentile of all, whose bias is that of the whole run and not of a short stretch.
//!
//! It holds where a stretch is much longer than the memory of the queues; where it is not, the interval is too narrow.
//! `results/statistics` shows for which lengths. Several seeds (`estimate.rs`) need no such assumption.

use crate::estimate::{Estimate, Scale, error_of_mean};

/// Stretches of a run.
pub const STRETCHES: usize = 20;

/// Fewest values beyond a percentile in a stretch; with fewer, the stretch's percentile says little.
const FEWEST_BEYOND: f64 = 5.0;

/// The percentile of values by nearest rank: that of rank ceil(percent / 100 * n). None without values.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a rank between 1 and the number of values"
)]
pub fn percentile(values: &[f64], percent: f64) -> Option<f64> {
    let mut values = values.to_vec();
    let last = values.len().checked_sub(1)?;
    let rank = libm::ceil(percent / 100.0 * values.len() as f64) as usize;
    let at = rank.saturating_sub(1).min(last);
    Some(*values.select_nth_unstable_by(at, f64::total_cmp).1)
}

/// The percentile of a run's values, which stand in the order of time, with its error. None where a stretch has fewer
/// than 5 values beyond the percentile, or a value is not finite.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts of values")]
pub fn percentile_of_run(values: &[f64], percent: f64) -> Option<Estimate> {
    let beyond = (percent / 100.0).min(1.0 - percent / 100.0) * values.len() as f64;
    if beyond < FEWEST_BEYOND * STRETCHES as f64 || values.iter().any(|value| !value.is_finite()) {
        return None;
    }
    let n = values.len();
    let stretch = |index: usize| &values[index * n / STRETCHES..(index + 1) * n / STRETCHES];
    let whole = percentile(values, percent)?;
    let parts: Vec<f64> =
        (0..STRETCHES).filter_map(|index| percentile(stretch(index), percent)).collect();
    let freedom = STRETCHES as f64 - 1.0;
    // Times are skewed, their logarithms hardly.
    if whole > 0.0 && parts.iter().all(|part| *part > 0.0) {
        let centre = libm::log(whole);
        let error = error_of_mean(parts.iter().map(|part| libm::log(*part)), centre);
        return Some(Estimate::new(Scale::Positive, centre, error, freedom, STRETCHES));
    }
    let error = error_of_mean(parts.iter().copied(), whole);
    Some(Estimate::new(Scale::Plain, whole, error, freedom, STRETCHES))
}
