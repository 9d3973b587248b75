//! Statistics over seeds: medians, bands, and how sure a median is.
//!
//! A value that a run does not have (a percentile that falls on a request that never ended) counts as larger than every
//! number: so a median is a number as long as most runs have one, and null otherwise.

use gorgo_random::{Key, Purpose};

/// Resamples of a bootstrap.
const RESAMPLES: u64 = 2_000;

/// Values of several seeds in order; those that are missing are infinite.
#[must_use]
pub fn sorted(values: &[Option<f64>]) -> Vec<f64> {
    let mut sorted: Vec<f64> = values.iter().map(|value| value.unwrap_or(f64::INFINITY)).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted
}

/// The median of values, the mean of the middle two where they are even in number; none where there are none, or where
/// it falls on one that is missing.
#[must_use]
pub fn median(values: &[Option<f64>]) -> Option<f64> {
    middle(&sorted(values))
}

/// The median of values in order; none where it is infinite, or there are none.
#[must_use]
pub fn middle(sorted: &[f64]) -> Option<f64> {
    if sorted.is_empty() { None } else { finite(midpoint(sorted)) }
}

/// The mean of the middle two of values in order, of which there are some.
pub(crate) fn midpoint(sorted: &[f64]) -> f64 {
    let n = sorted.len();
    f64::midpoint(sorted[(n - 1) / 2], sorted[n / 2])
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

/// The band in which the middle 8 of 10 seeds lie. An end is none where it falls on a missing value.
#[must_use]
pub fn band(values: &[Option<f64>]) -> [Option<f64>; 2] {
    let sorted = sorted(values);
    let n = sorted.len();
    if n == 0 {
        return [None, None];
    }
    // The same number is cut off at both ends: of 20 seeds two.
    let cut = n / 10;
    [finite(sorted[cut]), finite(sorted[n - 1 - cut])]
}

/// The 95 % interval of the median by the percentile bootstrap: the 2.5th and 97.5th percentile of the medians of 2,000
/// resamples of the seeds. The resamples are keyed draws, the same ones for every figure.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "an index below the number of seeds")]
pub fn median_interval(values: &[Option<f64>]) -> [Option<f64>; 2] {
    let sorted_values = sorted(values);
    let n = sorted_values.len();
    if n == 0 {
        return [None, None];
    }
    let key = Key::new(0).with(Purpose::Bootstrap);
    let mut medians = Vec::with_capacity(RESAMPLES as usize);
    let mut picked = vec![0_usize; n];
    for resample in 0..RESAMPLES {
        let key = key.word(resample);
        for (slot, index) in (0_u64..).zip(&mut picked) {
            *index = key.word(slot).draw().below(n as u64) as usize;
        }
        // Indices into what is sorted are as good as values, and faster to sort.
        picked.sort_unstable();
        let (lower, upper) = (sorted_values[picked[(n - 1) / 2]], sorted_values[picked[n / 2]]);
        medians.push(f64::midpoint(lower, upper));
    }
    medians.sort_unstable_by(f64::total_cmp);
    let cut = medians.len() / 40;
    [finite(medians[cut]), finite(medians[medians.len() - 1 - cut])]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(values: &[f64]) -> Vec<Option<f64>> {
        values.iter().copied().map(Some).collect()
    }

    #[test]
    fn medians_and_bands() {
        assert_eq!(median(&some(&[3.0, 1.0, 2.0])), Some(2.0));
        assert_eq!(median(&some(&[4.0, 1.0, 2.0, 3.0])), Some(2.5));
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[Some(1.0), None, Some(2.0)]), Some(2.0));
        assert_eq!(median(&[Some(1.0), None]), None, "half of them are missing");
        let twenty: Vec<f64> = (1..=20).map(f64::from).collect();
        assert_eq!(band(&some(&twenty)), [Some(3.0), Some(18.0)]);
        assert_eq!(band(&some(&[7.0])), [Some(7.0), Some(7.0)]);
    }

    #[test]
    fn the_interval_holds_the_median_and_narrows_with_more_seeds() {
        let spread = |n: u64| {
            let draw = |seed| Key::new(seed).with(Purpose::Bootstrap).word(n).draw().unit();
            let values: Vec<Option<f64>> = (1..=n).map(|seed| Some(100.0 + draw(seed))).collect();
            let [low, high] = median_interval(&values).map(|end| end.expect("all are there"));
            let middle = median(&values).expect("there are some");
            assert!(low <= middle && middle <= high, "{low} {middle} {high}");
            high - low
        };
        assert!(spread(200) < 0.5 * spread(10));
        assert_eq!(median_interval(&some(&[5.0])), [Some(5.0), Some(5.0)]);
    }

    /// 95 % of intervals should hold the true median; the bootstrap's of few samples holds it somewhat less often.
    #[test]
    fn the_interval_covers_the_true_median_about_as_often_as_it_says() {
        let trials = 400;
        let holds = (0..trials).filter(|&trial| {
            let key = Key::new(trial).with(Purpose::Bootstrap).word(77);
            let values: Vec<Option<f64>> =
                (0..20).map(|i| Some(key.word(i).draw().unit())).collect();
            let [low, high] = median_interval(&values).map(|end| end.expect("all are there"));
            (low..=high).contains(&0.5)
        });
        let share = holds.count() as f64 / trials as f64;
        assert!((0.88..=0.99).contains(&share), "{share}");
    }
}
