//! A number with its error: an interval, the chance of being past a bound, and how many samples a precision needs.
//!
//! Samples are values of independent runs (seeds), one a run. That the requests inside a run depend on each other does
//! not matter then: a run's percentile is one value, and values of different seeds are independent, because every draw
//! is keyed by the seed. The interval is Student's t over runs (independent replications; Law, *Simulation Modeling and
//! Analysis*, ch. 9). Read `sections.rs` for a single run.

use crate::student::{t_above, t_quantile};

/// More samples than these are not proposed.
const MOST_SAMPLES: usize = 10_000_000;

/// What the error of an estimate is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// The value itself.
    Plain,
    /// The logarithm of a ratio; bounds and intervals are said as ratio - 1.
    Ratio,
    /// The logarithm of a positive value; bounds and intervals are said as the value.
    Positive,
}

/// A number and how sure it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    scale: Scale,
    /// On the scale.
    centre: f64,
    /// Standard error, on the scale.
    error: f64,
    /// Degrees of freedom of the error.
    freedom: f64,
    /// Samples of a side.
    samples: usize,
}

impl Estimate {
    pub(crate) const fn new(
        scale: Scale,
        centre: f64,
        error: f64,
        freedom: f64,
        samples: usize,
    ) -> Self {
        Self { scale, centre, error, freedom, samples }
    }

    /// The number: a value, a difference, or a ratio - 1.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.out_of_scale(self.centre)
    }

    /// The two-sided interval that holds the truth with probability `level`.
    #[must_use]
    pub fn interval(&self, level: f64) -> [f64; 2] {
        let half = self.error * t_quantile(f64::midpoint(1.0, level), self.freedom);
        [self.out_of_scale(self.centre - half), self.out_of_scale(self.centre + half)]
    }

    /// The one-sided p-value of the claim that the truth is above `bound`: small where the claim is well founded.
    #[must_use]
    pub fn p_above(&self, bound: f64) -> f64 {
        self.p_of_distance(self.centre - self.into_scale(bound))
    }

    /// The one-sided p-value of the claim that the truth is below `bound`.
    #[must_use]
    pub fn p_below(&self, bound: f64) -> f64 {
        self.p_of_distance(self.into_scale(bound) - self.centre)
    }

    /// How likely the estimate is so far or farther on the claim's side of a bound that the truth stands on.
    fn p_of_distance(&self, distance: f64) -> f64 {
        if self.error > 0.0 {
            t_above(distance / self.error, self.freedom)
        } else if distance > 0.0 {
            0.0
        } else {
            1.0
        }
    }

    /// The samples of a side with which half of the 95 % interval would be at most `half` (for a ratio, 0.02 is ±2 %),
    /// taking the spread of these samples as the true one; none above ten million, or where `half` is not positive.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts below ten million")]
    pub fn samples_for(&self, half: f64) -> Option<usize> {
        let half = match self.scale {
            Scale::Plain => half,
            Scale::Ratio => libm::log1p(half),
            Scale::Positive => libm::log1p(half / self.value()),
        };
        if half.is_nan() || half <= 0.0 {
            return None;
        }
        let spread = self.error * (self.samples as f64).sqrt();
        let per_sample = self.freedom / (self.samples as f64 - 1.0).max(1.0);
        let enough = |samples: usize| {
            let count = samples as f64;
            let t = t_quantile(0.975, per_sample * (count - 1.0));
            t * spread <= half * count.sqrt()
        };
        // More samples are never worse: double until there are enough, then halve the gap.
        let mut high = 2_usize;
        while !enough(high) {
            high *= 2;
            if high > MOST_SAMPLES {
                return None;
            }
        }
        let mut low = high / 2;
        while high - low > 1 {
            let middle = low.midpoint(high);
            if enough(middle) {
                high = middle;
            } else {
                low = middle;
            }
        }
        Some(high)
    }

    /// Samples of a side.
    #[must_use]
    pub const fn samples(&self) -> usize {
        self.samples
    }

    fn out_of_scale(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Plain => value,
            Scale::Ratio => libm::expm1(value),
            Scale::Positive => libm::exp(value),
        }
    }

    fn into_scale(self, value: f64) -> f64 {
        match self.scale {
            Scale::Plain => value,
            // A ratio or a value of zero or less is below every one there is.
            Scale::Ratio if value <= -1.0 => f64::NEG_INFINITY,
            Scale::Ratio => libm::log1p(value),
            Scale::Positive if value <= 0.0 => f64::NEG_INFINITY,
            Scale::Positive => libm::log(value),
        }
    }
}

/// The mean; infinite where a value is, none of no values.
#[must_use]
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| mean_of(values))
}

#[expect(clippy::cast_precision_loss, reason = "counts of samples")]
pub(crate) fn mean_of(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The standard error of the mean of independent values around `centre`.
#[expect(clippy::cast_precision_loss, reason = "counts of samples")]
pub(crate) fn error_of_mean(values: impl ExactSizeIterator<Item = f64>, centre: f64) -> f64 {
    let n = values.len() as f64;
    let squares: f64 = values.map(|value| (value - centre) * (value - centre)).sum();
    (squares / (n - 1.0) / n).sqrt()
}

/// Whether samples can be reckoned with: two or more, all of them numbers.
fn usable(values: &[f64]) -> bool {
    values.len() >= 2 && values.iter().all(|value| value.is_finite())
}

#[expect(clippy::cast_precision_loss, reason = "counts of samples")]
const fn freedom(values: &[f64]) -> f64 {
    values.len() as f64 - 1.0
}

/// The mean over runs. None for fewer than two runs, or where a value is not finite.
#[must_use]
pub fn level(values: &[f64]) -> Option<Estimate> {
    if !usable(values) {
        return None;
    }
    let centre = mean_of(values);
    let error = error_of_mean(values.iter().copied(), centre);
    Some(Estimate::new(Scale::Plain, centre, error, freedom(values), values.len()))
}

/// The mean difference, new - base, of runs that belong together pair by pair (the same seed: the same requests, under
/// common random numbers). None where the sides differ in number, are fewer than two, or a value is not finite.
#[must_use]
pub fn paired_difference(base: &[f64], new: &[f64]) -> Option<Estimate> {
    if !usable(base) || !usable(new) || base.len() != new.len() {
        return None;
    }
    let differences: Vec<f64> = base.iter().zip(new).map(|(base, new)| new - base).collect();
    level(&differences)
}

/// The relative change of the mean, new / base - 1, of runs that belong together. The error is that of the logarithm of
/// the ratio of means, linearised: a run counts with new / mean(new) - base / mean(base). None where
/// [`paired_difference`] has none, or a mean is not positive.
#[must_use]
pub fn paired_ratio(base: &[f64], new: &[f64]) -> Option<Estimate> {
    if !usable(base) || !usable(new) || base.len() != new.len() {
        return None;
    }
    let (base_mean, new_mean) = positive_means(base, new)?;
    let shares: Vec<f64> =
        base.iter().zip(new).map(|(base, new)| new / new_mean - base / base_mean).collect();
    let error = error_of_mean(shares.iter().copied(), 0.0);
    let centre = libm::log(new_mean / base_mean);
    Some(Estimate::new(Scale::Ratio, centre, error, freedom(base), base.len()))
}

/// The difference of means, new - base, of runs of unlike seeds: Welch's t. None for fewer than two runs on a side, or
/// where a value is not finite.
#[must_use]
pub fn unpaired_difference(base: &[f64], new: &[f64]) -> Option<Estimate> {
    let (base_level, new_level) = (level(base)?, level(new)?);
    let centre = new_level.centre - base_level.centre;
    Some(welch(Scale::Plain, centre, [base_level.error, new_level.error], base, new))
}

/// The relative change of the mean, new / base - 1, of runs of unlike seeds: Welch's t on the logarithm of the ratio.
/// None where [`unpaired_difference`] has none, or a mean is not positive.
#[must_use]
pub fn unpaired_ratio(base: &[f64], new: &[f64]) -> Option<Estimate> {
    let (base_level, new_level) = (level(base)?, level(new)?);
    let (base_mean, new_mean) = positive_means(base, new)?;
    let errors = [base_level.error / base_mean, new_level.error / new_mean];
    Some(welch(Scale::Ratio, libm::log(new_mean / base_mean), errors, base, new))
}

fn positive_means(base: &[f64], new: &[f64]) -> Option<(f64, f64)> {
    let means = (mean_of(base), mean_of(new));
    (means.0 > 0.0 && means.1 > 0.0).then_some(means)
}

/// Welch and Satterthwaite's degrees of freedom for two errors.
fn welch(scale: Scale, centre: f64, errors: [f64; 2], base: &[f64], new: &[f64]) -> Estimate {
    let [first, second] = errors.map(|error| error * error);
    let sum = first + second;
    let parts = first * first / freedom(base) + second * second / freedom(new);
    let least = freedom(base).min(freedom(new));
    let degrees = if parts > 0.0 { (sum * sum / parts).max(least) } else { least };
    Estimate::new(scale, centre, sum.sqrt(), degrees, base.len().min(new.len()))
}

/// Holm's correction: what each p-value of a family becomes, so that acting on all that are at most alpha errs in the
/// whole family with probability at most alpha, however they depend on each other (Holm 1979).
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a family of comparisons is small")]
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut adjusted = vec![1.0; p_values.len()];
    let mut largest = 0.0_f64;
    for (rank, &index) in order.iter().enumerate() {
        let times = (p_values.len() - rank) as f64;
        largest = largest.max((p_values[index] * times).min(1.0));
        adjusted[index] = largest;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;
    use gorgo_random::{Key, Purpose};

    #[test]
    fn an_interval_is_the_one_of_the_textbook() {
        // Mean 3, standard deviation sqrt(2.5), t of 4 degrees 2.776: half width 1.9632.
        let estimate = level(&[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        let [low, high] = estimate.interval(0.95);
        assert!((estimate.value() - 3.0).abs() < 1e-12);
        assert!((high - 3.0 - 1.9632).abs() < 1e-3 && (3.0 - low - 1.9632).abs() < 1e-3);
        // The bound at the interval's end has a one-sided p-value of 2.5 %.
        assert!((estimate.p_above(low) - 0.025).abs() < 1e-9);
        assert!((estimate.p_below(high) - 0.025).abs() < 1e-9);
        // With that many samples the interval is that wide.
        assert_eq!(estimate.samples_for(1.97), Some(5));
        assert!(estimate.samples_for(0.2).unwrap() > 200);
        assert_eq!(estimate.samples_for(0.0), None);
        assert_eq!(estimate.samples_for(f64::NAN), None);
    }

    #[test]
    fn pairs_cancel_what_seeds_have_in_common() {
        let base = [100.0, 200.0, 300.0, 400.0];
        let new = base.map(|value| value * 1.1);
        let ratio = paired_ratio(&base, &new).unwrap();
        assert!((ratio.value() - 0.1).abs() < 1e-12);
        let [low, high] = ratio.interval(0.95);
        assert!((high - low).abs() < 1e-9, "{low} {high}");
        assert!(ratio.p_above(0.05) < 1e-6 && ratio.p_above(0.15) > 0.99);
        let [low, high] = unpaired_ratio(&base, &new).unwrap().interval(0.95);
        assert!(low < 0.0 && high > 0.5, "{low} {high}");
        let difference = paired_difference(&base, &new).unwrap();
        assert!((difference.value() - 25.0).abs() < 1e-9);
    }

    #[test]
    fn nothing_is_said_of_what_is_no_sample() {
        for (base, new) in [
            (vec![1.0], vec![1.0]),
            (vec![1.0, 2.0], vec![1.0]),
            (vec![1.0, f64::NAN], vec![1.0, 2.0]),
            (vec![1.0, 2.0], vec![f64::INFINITY, 2.0]),
            (vec![], vec![]),
        ] {
            assert_eq!(paired_difference(&base, &new), None);
            assert_eq!(paired_ratio(&base, &new), None);
            assert_eq!(unpaired_ratio(&base, &new), None);
        }
        assert_eq!(paired_ratio(&[0.0, 0.0], &[1.0, 2.0]), None);
        // All the same: the change is known exactly.
        let same = paired_ratio(&[2.0, 2.0], &[2.0, 2.0]).unwrap();
        assert_eq!(same.interval(0.95), [0.0, 0.0]);
        assert!((same.p_above(0.0) - 1.0).abs() < 1e-12 && same.p_above(-0.1) < 1e-12);
        assert_eq!(same.p_below(-1.0), 1.0, "nothing is below minus everything");
    }

    #[test]
    fn holms_correction_is_that_of_the_paper() {
        let close = |got: Vec<f64>, wanted: &[f64]| {
            assert!(got.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-12), "{got:?}");
        };
        close(holm(&[0.01, 0.04, 0.03, 0.005]), &[0.03, 0.06, 0.06, 0.02]);
        close(holm(&[0.9, 0.8]), &[1.0, 1.0]);
        assert!(holm(&[]).is_empty());
    }

    /// Skewed values of 20 seeds, correlated between the sides: 95 % intervals hold the truth in about 95 of 100.
    #[test]
    fn intervals_hold_the_truth_about_as_often_as_they_say() {
        let trials = 1_000;
        let mut held = [0_u32; 2];
        for trial in 0..trials {
            let key = Key::new(trial).with(Purpose::Bootstrap).word(5);
            let value = |seed: u64, side: u64| {
                let unit = |slot: u64| key.word(seed).word(slot).draw().unit();
                // Gamma of shape 3 and mean 3, one third of it in common.
                100.0 + 4.0 * -libm::log(unit(0) * unit(1 + 2 * side) * unit(2 + 2 * side))
            };
            let side = |side: u64| (0..20).map(|seed| value(seed, side)).collect::<Vec<f64>>();
            let (base, new) = (side(0), side(1));
            let new: Vec<f64> = new.iter().map(|value| value * 1.05).collect();
            let fresh: Vec<f64> = (20..40).map(|seed| 1.05 * value(seed, 1)).collect();
            for (held, estimate) in
                held.iter_mut().zip([paired_ratio(&base, &new), unpaired_ratio(&base, &fresh)])
            {
                let [low, high] = estimate.unwrap().interval(0.95);
                *held += u32::from((low..=high).contains(&0.05));
            }
        }
        // Three standard errors of a share of 95 % in 1,000 trials are 2.1 points.
        assert!(held.iter().all(|held| (929..=971).contains(held)), "{held:?}");
    }
}
