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

/// Fewest independent values beyond a percentile in the whole run: two a stretch. With fewer, most stretches never see
/// the queues that make the percentile. Chosen by the coverage measured in `results/statistics`.
const FEWEST_BEYOND: f64 = 40.0;

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

/// The percentile of a run's values, which stand in the order of time, with its error. None where so few values beyond
/// the percentile are independent of each other that the stretches say little (see [`independent_beyond`]), or where a
/// value is not finite.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts of values")]
pub fn percentile_of_run(values: &[f64], percent: f64) -> Option<Estimate> {
    if independent_beyond(values, percent)? < FEWEST_BEYOND {
        return None;
    }
    let whole = percentile(values, percent)?;
    let parts: Vec<f64> =
        stretches(values).filter_map(|stretch| percentile(stretch, percent)).collect();
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

/// How many independent values would tell as much about the share beyond the percentile as these do: their number,
/// divided by how much more that share varies between stretches than if all were independent. None for fewer values
/// than stretches, or where one is not finite.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts of values")]
pub fn independent_beyond(values: &[f64], percent: f64) -> Option<f64> {
    if values.len() < STRETCHES || values.iter().any(|value| !value.is_finite()) {
        return None;
    }
    let whole = percentile(values, percent)?;
    let beyond = |values: &[f64]| {
        values.iter().filter(|value| **value > whole).count() as f64 / values.len() as f64
    };
    let share = beyond(values);
    let shares: Vec<f64> = stretches(values).map(beyond).collect();
    let error = error_of_mean(shares.iter().copied(), share);
    let alone = share * (1.0 - share) / values.len() as f64;
    if alone <= 0.0 {
        return Some(0.0);
    }
    let times = (error * error / alone).max(1.0);
    Some(values.len() as f64 * share.min(1.0 - share) / times)
}

fn stretches(values: &[f64]) -> impl Iterator<Item = &[f64]> {
    let n = values.len();
    (0..STRETCHES).map(move |index| &values[index * n / STRETCHES..(index + 1) * n / STRETCHES])
}

#[cfg(test)]
mod tests {
    use super::*;
    use gorgo_random::{Key, Purpose};

    fn uniform(n: u64, repeat: usize, key: Key) -> Vec<f64> {
        let draws = (0..n).map(|index| 1.0 + key.word(index).draw().unit());
        draws.flat_map(|value| std::iter::repeat_n(value, repeat)).collect()
    }

    #[test]
    fn percentiles_are_nearest_rank() {
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(percentile(&values, 50.0), Some(50.0));
        assert_eq!(percentile(&values, 99.0), Some(99.0));
        assert_eq!(percentile(&values, 0.0), Some(1.0));
        assert_eq!(percentile(&[], 50.0), None);
    }

    #[test]
    fn repeated_values_do_not_count_as_new_ones() {
        let key = Key::new(3).with(Purpose::Bootstrap);
        let once = independent_beyond(&uniform(10_000, 1, key), 90.0).unwrap();
        let often = independent_beyond(&uniform(10_000, 10, key), 90.0).unwrap();
        assert!((500.0..=1_000.0).contains(&once), "{once}");
        assert!((300.0..=1_800.0).contains(&often), "{often}: of 10,000 that count");
        // Long repeats: so few are independent that nothing is said.
        assert_eq!(percentile_of_run(&uniform(200, 500, key), 99.0), None);
        assert_eq!(percentile_of_run(&[1.0; 10], 50.0), None);
        assert_eq!(percentile_of_run(&[f64::NAN; 1_000], 50.0), None);
        assert_eq!(percentile_of_run(&[2.0; 1_000], 50.0), None, "nothing is beyond");
    }

    /// Dependent data: each value is there 5 times in a row.
    #[test]
    fn intervals_hold_the_truth_about_as_often_as_they_say() {
        let trials = 300_u64;
        for (percent, truth) in [(50.0, 1.5), (99.0, 1.99)] {
            let estimates = (0..trials).filter_map(|trial| {
                let key = Key::new(trial).with(Purpose::Bootstrap).word(6);
                percentile_of_run(&uniform(12_000, 5, key), percent)
            });
            let intervals: Vec<[f64; 2]> =
                estimates.map(|estimate| estimate.interval(0.95)).collect();
            let held = intervals.iter().filter(|[low, high]| (*low..=*high).contains(&truth));
            let (held, made) = (held.count(), intervals.len());
            // Three standard errors of a share of 95 % in 300 trials are 3.8 points.
            assert!(made >= 290, "P{percent}: {made}");
            let share = held as f64 / made as f64;
            assert!((0.912..=0.988).contains(&share), "P{percent}: {share}");
        }
    }
}
