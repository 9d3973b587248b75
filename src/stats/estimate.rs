//! A number with its error: an interval, the chance of being past a bound, and how many samples a precision needs.
//!
//! Samples are values of independent runs (seeds), one a run. That the requests inside a run depend on each other does
//! not matter then: a run's percentile is one value, and values of different seeds are independent, because every draw
//! is keyed by the seed (independent replications; Law, *Simulation Modeling and Analysis*, ch. 9). Levels, and relative
//! changes seed by seed, are medians with an interval by order statistics (`order.rs`): runs are skewed, and so are their
//! ratios. Relative changes between unlike seeds are those of the medians (`medians.rs`), differences are means with
//! Student's t. A single run has no interval here: its requests depend on each other, and how much cannot be told from one run of a busy queue.

use crate::medians::Medians;
use crate::order::{Ordered, p_above};
use crate::student::{t_above, t_quantile};

/// More samples than these are not proposed.
const MOST_SAMPLES: usize = 10_000_000;
/// Fewer samples have no 95 % interval of their median.
pub const FEWEST_OF_MEDIAN: usize = 6;

/// The half of a 95 % interval that ends before a bound in 9 of 10 cases, as a part of the way to it: 1.96 standard errors
/// of 1.96 + 1.28 (normal quantiles of 97.5 and 90 %).
const HALF_OF_WAY: f64 = 1.959_964 / (1.959_964 + 1.281_552);

/// A mean with Student's t.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Mean {
    centre: f64,
    /// Standard error.
    error: f64,
    /// Degrees of freedom of the error.
    freedom: f64,
    /// Samples of a side.
    samples: usize,
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Mean(Mean),
    Median(Ordered),
    Medians(Medians),
}

/// A number and how sure it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimate(Kind);

impl Estimate {
    /// The number: a median, a difference, or a ratio - 1.
    #[must_use]
    pub fn value(&self) -> f64 {
        match &self.0 {
            Kind::Mean(mean) => mean.centre,
            Kind::Median(runs) => runs.median(),
            Kind::Medians(sides) => sides.value(),
        }
    }

    /// The two-sided interval that holds the truth with probability `level`. That of a median is endless where there are
    /// fewer samples than can say so: of 95 % six can.
    #[must_use]
    pub fn interval(&self, level: f64) -> [f64; 2] {
        match &self.0 {
            Kind::Mean(mean) => {
                let half = mean.error * t_quantile(f64::midpoint(1.0, level), mean.freedom);
                [mean.centre - half, mean.centre + half]
            }
            Kind::Median(runs) => runs.interval(level),
            Kind::Medians(sides) => sides.interval(level),
        }
    }

    /// The one-sided p-value of the claim that the truth is above `bound`: small where the claim is well founded.
    #[must_use]
    pub fn p_above(&self, bound: f64) -> f64 {
        match &self.0 {
            Kind::Mean(mean) => mean.p_of_distance(mean.centre - bound),
            Kind::Median(runs) => p_above(bound, self.value(), runs.most(), |p| runs.interval(p)),
            Kind::Medians(sides) => {
                p_above(bound, self.value(), sides.most(), |p| sides.interval(p))
            }
        }
    }

    /// The one-sided p-value of the claim that the truth is below `bound`.
    #[must_use]
    pub fn p_below(&self, bound: f64) -> f64 {
        match &self.0 {
            Kind::Mean(mean) => mean.p_of_distance(bound - mean.centre),
            Kind::Median(_) | Kind::Medians(_) => 1.0 - self.p_above(bound),
        }
    }

    /// The samples of a side with which half of the 95 % interval would be at most `half` (for a ratio, 0.02 is ±2 %),
    /// taking the spread of these samples as the true one; none above ten million, or where `half` is not positive.
    #[must_use]
    pub fn samples_for(&self, half: f64) -> Option<usize> {
        match &self.0 {
            Kind::Mean(mean) => mean.samples_for(half),
            Kind::Median(_) | Kind::Medians(_) => self.samples_of_median(half),
        }
    }

    /// The samples of a side with which the 95 % interval would leave `bound` out in 9 of 10 cases, if the truth is the
    /// number that these samples show, their spread the true one, and errors are normal (of real runs 84 to 92 in 100). With
    /// half an interval as long as the way to the bound it would in only half of them. None where the number is at the
    /// bound, or it takes more than ten million.
    #[must_use]
    pub fn samples_to_tell_from(&self, bound: f64) -> Option<usize> {
        self.samples_for((self.value() - bound).abs() * HALF_OF_WAY)
    }

    /// Samples of a side.
    #[must_use]
    pub const fn samples(&self) -> usize {
        match &self.0 {
            Kind::Mean(mean) => mean.samples,
            Kind::Median(runs) => runs.count(),
            Kind::Medians(sides) => sides.count(),
        }
    }

    /// Half of a median's interval shrinks with the root of the number of samples.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counts below ten million"
    )]
    fn samples_of_median(&self, half: f64) -> Option<usize> {
        let [low, high] = self.interval(0.95);
        let times = (high - low) / 2.0 / half;
        let wanted = libm::ceil(self.samples() as f64 * times * times);
        let is_known = half > 0.0 && wanted <= MOST_SAMPLES as f64;
        is_known.then(|| (wanted as usize).max(FEWEST_OF_MEDIAN))
    }
}

impl Mean {
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

    #[expect(clippy::cast_precision_loss, reason = "counts below ten million")]
    fn samples_for(&self, half: f64) -> Option<usize> {
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
}

/// The mean; infinite where a value is, none of no values.
#[must_use]
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| mean_of(values))
}

#[expect(clippy::cast_precision_loss, reason = "counts of samples")]
fn mean_of(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The standard error of the mean of independent values around `centre`.
#[expect(clippy::cast_precision_loss, reason = "counts of samples")]
fn error_of_mean(values: impl ExactSizeIterator<Item = f64>, centre: f64) -> f64 {
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

/// The middle of runs: their median, with an interval that holds for runs of any distribution. None for fewer than two
/// runs, or where a value is NaN; an infinite one stands for a run that does not have the number.
#[must_use]
pub fn level(values: &[f64]) -> Option<Estimate> {
    Ordered::new(values).map(|runs| Estimate(Kind::Median(runs)))
}

/// The mean over runs with Student's t, which holds where they are not much skewed: for differences of runs, not for the
/// P99s themselves. None for fewer than two runs, or where a value is not finite.
#[must_use]
pub fn mean_estimate(values: &[f64]) -> Option<Estimate> {
    student(values).map(|mean| Estimate(Kind::Mean(mean)))
}

fn student(values: &[f64]) -> Option<Mean> {
    if !usable(values) {
        return None;
    }
    let centre = mean_of(values);
    let error = error_of_mean(values.iter().copied(), centre);
    Some(Mean { centre, error, freedom: freedom(values), samples: values.len() })
}

/// The mean difference, new - base, of runs that belong together pair by pair (the same seed: the same requests, under
/// common random numbers). None where the sides differ in number, are fewer than two, or a value is not finite.
#[must_use]
pub fn paired_difference(base: &[f64], new: &[f64]) -> Option<Estimate> {
    if !usable(base) || !usable(new) || base.len() != new.len() {
        return None;
    }
    let differences: Vec<f64> = base.iter().zip(new).map(|(base, new)| new - base).collect();
    mean_estimate(&differences)
}

/// The relative change, new / base - 1, of runs that belong together: its median over the pairs, with an interval that
/// holds for changes of any distribution. One odd seed does not move it, and so it needs far fewer of them than the ratio
/// of means does. None where [`paired_difference`] has none, or a value is not positive.
#[must_use]
pub fn paired_ratio(base: &[f64], new: &[f64]) -> Option<Estimate> {
    let is_positive = |values: &[f64]| values.iter().all(|value| *value > 0.0);
    if !usable(base) || !usable(new) || base.len() != new.len() {
        return None;
    }
    if !is_positive(base) || !is_positive(new) {
        return None;
    }
    let changes: Vec<f64> = base.iter().zip(new).map(|(base, new)| new / base - 1.0).collect();
    level(&changes)
}

/// The difference of means, new - base, of runs of unlike seeds: Welch's t. None for fewer than two runs on a side, or
/// where a value is not finite.
#[must_use]
pub fn unpaired_difference(base: &[f64], new: &[f64]) -> Option<Estimate> {
    let (base_level, new_level) = (student(base)?, student(new)?);
    let centre = new_level.centre - base_level.centre;
    Some(welch(centre, [base_level.error, new_level.error], base, new))
}

/// The relative change, new / base - 1, of the medians of runs of unlike seeds. None for fewer than two runs on a side, or
/// where a value is not positive and finite.
#[must_use]
pub fn unpaired_ratio(base: &[f64], new: &[f64]) -> Option<Estimate> {
    Medians::new(base, new).map(|sides| Estimate(Kind::Medians(sides)))
}

/// Welch and Satterthwaite's degrees of freedom for two errors.
fn welch(centre: f64, errors: [f64; 2], base: &[f64], new: &[f64]) -> Estimate {
    let [first, second] = errors.map(|error| error * error);
    let sum = first + second;
    let parts = first * first / freedom(base) + second * second / freedom(new);
    let least = freedom(base).min(freedom(new));
    let degrees = if parts > 0.0 { (sum * sum / parts).max(least) } else { least };
    let samples = base.len().min(new.len());
    Estimate(Kind::Mean(Mean { centre, error: sum.sqrt(), freedom: degrees, samples }))
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
        let estimate = mean_estimate(&[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
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
    fn a_level_is_a_median_that_one_odd_run_does_not_move() {
        let mut values: Vec<f64> = (1..=20).map(f64::from).collect();
        let even = level(&values).unwrap();
        values[19] = 1e6;
        let odd = level(&values).unwrap();
        assert_eq!((even.value(), even.interval(0.95)), (10.5, odd.interval(0.95)));
        assert_eq!((odd.value(), odd.samples()), (10.5, 20));
        // Half of the interval is about 4.3 now: half of that takes four times as many.
        let [low, high] = odd.interval(0.95);
        assert_eq!(odd.samples_for((high - low) / 4.0), Some(80));
        assert_eq!(odd.samples_for(1e9), Some(6));
        // To be past a bound at the interval's end takes (3.24 / 1.96)² times as many, 2.74.
        assert_eq!(odd.samples_to_tell_from(low), Some(55));
        assert_eq!(odd.samples_to_tell_from(10.5), None);
        assert_eq!(odd.samples_for(0.0), None);
        assert_eq!(level(&values[..5]).unwrap().samples_for(1.0), None, "no interval of five");
        assert_eq!(level(&values[..1]), None);
    }

    #[test]
    fn pairs_cancel_what_seeds_have_in_common() {
        let base = [100.0, 200.0, 300.0, 400.0, 500.0, 600.0, 700.0, 800.0];
        let new = base.map(|value| value * 1.1);
        let ratio = paired_ratio(&base, &new).unwrap();
        assert!((ratio.value() - 0.1).abs() < 1e-12);
        let [low, high] = ratio.interval(0.95);
        assert!((high - low).abs() < 1e-9, "{low} {high}");
        assert!(ratio.p_above(0.05) < 0.005 && ratio.p_above(0.15) > 0.99);
        let fresh = unpaired_ratio(&base, &new).unwrap();
        let [low, high] = fresh.interval(0.95);
        assert!(low < -0.3 && high > 0.5, "{low} {high}");
        assert!((fresh.value() - 0.1).abs() < 1e-12 && fresh.samples() == 8);
        assert!((fresh.p_above(low) - 0.025).abs() < 1e-6);
        assert_eq!(unpaired_ratio(&base[..4], &new).unwrap().samples_for(0.1), None);
        let difference = paired_difference(&base, &new).unwrap();
        assert!((difference.value() - 45.0).abs() < 1e-9);
    }

    /// Few runs with ties, of sides of unlike number: a claim to be above a higher bound is never better founded, and
    /// wider intervals hold narrower ones.
    #[test]
    fn fresh_seeds_say_less_of_a_higher_bound_however_few_and_tied() {
        for case in 0..300_u64 {
            let key = Key::new(case).with(Purpose::Bootstrap).word(6);
            let side = |side: u64| -> Vec<f64> {
                let number = |of: u64, slot: u64| key.word(side).word(slot).draw().below(of);
                let tens = |run| libm::pow(10.0, number(4, run) as f64 - 1.0);
                (1..=2 + number(11, 0)).map(tens).collect()
            };
            let change = unpaired_ratio(&side(0), &side(1)).unwrap();
            let mut last = 0.0;
            for bound in [-0.9999, -0.99, -0.9, -0.5, 0.0, 0.05, 1.0, 9.0, 9.5, 99.0, 1e6] {
                let p = change.p_above(bound);
                assert!((last..=1.0).contains(&p), "{case}: {p} at {bound} after {last}");
                last = p;
            }
            let mut inner = [change.value(); 2];
            for level in [0.0, 0.2, 0.5, 0.8, 0.95, 0.999] {
                let [low, high] = change.interval(level);
                assert!(low <= inner[0] + 1e-9 && high >= inner[1] - 1e-9, "{case} {level}");
                inner = [low, high];
            }
        }
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
        // All the same: there is no change, as surely as eight seeds can say.
        let same = paired_ratio(&[2.0; 8], &[2.0; 8]).unwrap();
        assert_eq!(same.interval(0.95), [0.0, 0.0]);
        assert_eq!(same.p_above(-0.1), 1.0 / 256.0);
        let same = unpaired_ratio(&[2.0; 8], &[2.0; 8]).unwrap();
        assert_eq!((same.interval(0.95), same.p_above(0.0)), ([0.0, 0.0], 0.5));
        let same = unpaired_difference(&[2.0; 8], &[2.0; 8]).unwrap();
        assert!((same.p_above(0.0) - 1.0).abs() < 1e-12 && same.p_above(-0.1) < 1e-12);
        let difference = paired_difference(&[2.0, 2.0], &[2.0, 2.0]).unwrap();
        assert_eq!(difference.interval(0.95), [0.0, 0.0]);
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
