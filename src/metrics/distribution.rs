//! Percentiles by nearest rank: exact from values, or from a histogram of three significant digits.
//!
//! A request that never got as far as a metric counts as +infinity. What falls on one is `None`.

use crate::Distribution;
use crate::buckets::{Buckets, bucket_top};
use gorgo_types::Nanos;

/// The percentiles of a [`Distribution`], as exact fractions: q = numerator / 100.
const PERCENTILES: [u64; 4] = [50, 90, 95, 99];

/// Rank (from 1) of the `percent`-th percentile of `n` values: ceil(q n), and at least 1.
#[must_use]
pub const fn nearest_rank(percent: u64, n: u64) -> u64 {
    let rank = (percent as u128 * n as u128).div_ceil(100) as u64;
    if rank == 0 { 1 } else { rank }
}

/// Values of one metric as they come: a histogram, and what it cannot say exactly.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub buckets: Buckets,
    sum_ns: u128,
    max_ns: u64,
    infinite: u64,
}

impl Series {
    pub fn new() -> Self {
        Self { buckets: Buckets::new(), sum_ns: 0, max_ns: 0, infinite: 0 }
    }

    /// Adds one value; none is +infinity. Three series get one each per record: as one copy of this code, called thrice,
    /// it takes less of the instruction cache.
    #[inline(never)]
    pub fn add(&mut self, value: Option<Nanos>) {
        let Some(Nanos(ns)) = value else {
            self.infinite += 1;
            return;
        };
        self.buckets.add(ns, 1);
        self.sum_ns += u128::from(ns);
        self.max_ns = self.max_ns.max(ns);
    }

    /// How many values are +infinity.
    pub const fn infinite(&self) -> u64 {
        self.infinite
    }

    /// Mean and maximum are exact, percentiles the histogram's.
    pub fn distribution(&self) -> Distribution {
        let finite = self.buckets.len();
        let n = finite + self.infinite;
        let [p50, p90, p95, p99] =
            bucket_ranks(&self.buckets, PERCENTILES.map(|percent| nearest_rank(percent, n)));
        self.with_percentiles([p50, p90, p95, p99])
    }

    /// The distribution with percentiles found elsewhere, in nanoseconds.
    pub fn with_percentiles(&self, percentiles: [Option<u64>; 4]) -> Distribution {
        let finite = self.buckets.len();
        let exact = finite > 0 && self.infinite == 0;
        let [p50, p90, p95, p99] = percentiles.map(|ns| ns.map(|ns| Nanos(ns).as_ms()));
        #[expect(clippy::cast_precision_loss, reason = "a mean for display")]
        let mean = exact.then(|| self.sum_ns as f64 / finite as f64 / 1e6);
        let max = exact.then(|| Nanos(self.max_ns).as_ms());
        Distribution { mean, p50, p90, p95, p99, max }
    }
}

/// The values at given ascending ranks (from 1), each the largest of its bucket; none beyond the last.
fn bucket_ranks<const N: usize>(buckets: &Buckets, ranks: [u64; N]) -> [Option<u64>; N] {
    let mut found = [None; N];
    let (mut seen, mut next) = (0, 0);
    for (top, count) in buckets.filled() {
        seen += count;
        while next < N && ranks[next] <= seen {
            found[next] = Some(top);
            next += 1;
        }
    }
    found
}

/// The percentiles of values of which `infinite` more are +infinity; the values end up reordered.
pub(crate) fn exact_percentiles(values: &mut [u64], infinite: u64) -> [Option<u64>; 4] {
    let n = values.len() as u64 + infinite;
    let mut from = 0;
    PERCENTILES.map(|percent| {
        let index = nearest_rank(percent, n) as usize - 1;
        if index >= values.len() {
            return None;
        }
        // What lies before an earlier rank is smaller: only the rest is searched.
        let (_, value, _) = values[from..].select_nth_unstable(index - from);
        let value = *value;
        from = index;
        Some(value)
    })
}

/// Inter-token gaps, entered in runs.
#[derive(Clone, Debug)]
pub(crate) struct Gaps {
    pub buckets: Buckets,
    sum_ns: f64,
    max_ns: f64,
}

impl Gaps {
    pub fn new() -> Self {
        Self { buckets: Buckets::new(), sum_ns: 0.0, max_ns: 0.0 }
    }

    /// Adds the gaps `first + k * increment` for k in `0..steps`, each `sequences` times. The run goes bucket by
    /// bucket, so that a long one costs as many steps as it touches buckets: usually one.
    pub fn add(&mut self, first_ns: f64, increment_ns: f64, steps: u64, sequences: u32) {
        if steps == 0 || sequences == 0 {
            return;
        }
        let times = u64::from(sequences);
        let value = |k: u64| rounded(first_ns + increment_ns * as_float(k));
        let last_ns = first_ns + increment_ns * as_float(steps - 1);
        let mean_ns = f64::midpoint(first_ns, last_ns);
        self.sum_ns += mean_ns * as_float(steps) * f64::from(sequences);
        self.max_ns = self.max_ns.max(last_ns).max(first_ns);
        // Gaps never shrink within a run: in the bucket where the last one lies, all the rest are.
        let last = rounded(last_ns);
        let per_ns = increment_ns.recip();
        let (mut at, mut start) = (0, value(0));
        let mut top = bucket_top(start);
        while last > top {
            // The first step above the bucket: a division finds it, up to what rounding does to its last step.
            let steps_to_top = (as_float(top) + 0.5 - first_ns) * per_ns;
            let mut next = rounded(steps_to_top + 0.5).clamp(at + 1, steps - 1);
            let mut beyond = value(next);
            while beyond <= top {
                next += 1;
                beyond = value(next);
            }
            while next > at + 1 {
                let before = value(next - 1);
                if before <= top {
                    break;
                }
                next -= 1;
                beyond = before;
            }
            self.buckets.add(start, (next - at) * times);
            (at, start) = (next, beyond);
            top = bucket_top(start);
        }
        self.buckets.add(start, (steps - at) * times);
    }

    /// Mean and maximum are exact to the float, percentiles the histogram's.
    pub fn distribution(&self) -> Distribution {
        let n = self.buckets.len();
        if n == 0 {
            return Distribution::default();
        }
        let ranks = PERCENTILES.map(|percent| nearest_rank(percent, n));
        let [p50, p90, p95, p99] =
            bucket_ranks(&self.buckets, ranks).map(|ns| ns.map(|ns| Nanos(ns).as_ms()));
        let mean = Some(self.sum_ns / as_float(n) / 1e6);
        Distribution { mean, p50, p90, p95, p99, max: Some(self.max_ns / 1e6) }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of steps stay far below 2^53")]
const fn as_float(count: u64) -> f64 {
    count as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a gap is a positive number of nanoseconds far below 2^63; the cast saturates"
)]
fn rounded(ns: f64) -> u64 {
    (ns + 0.5) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nearest_rank_is_the_ceiling() {
        assert_eq!(nearest_rank(50, 4), 2);
        assert_eq!(nearest_rank(50, 5), 3);
        assert_eq!(nearest_rank(99, 100), 99);
        assert_eq!(nearest_rank(99, 101), 100);
        assert_eq!(nearest_rank(95, 20), 19);
        assert_eq!(nearest_rank(90, 1), 1);
    }

    #[test]
    fn percentiles_of_one_to_a_hundred() {
        let mut values: Vec<u64> = (1..=100).rev().collect();
        assert_eq!(exact_percentiles(&mut values, 0), [Some(50), Some(90), Some(95), Some(99)]);
    }

    #[test]
    fn a_percentile_that_falls_on_infinity_is_none() {
        let mut values: Vec<u64> = (1..=96).collect();
        assert_eq!(exact_percentiles(&mut values, 4), [Some(50), Some(90), Some(95), None]);
        assert_eq!(exact_percentiles(&mut [], 3), [None; 4]);
        assert_eq!(exact_percentiles(&mut [], 0), [None; 4]);
    }

    #[test]
    fn a_series_keeps_mean_and_maximum_exact() {
        let mut series = Series::new();
        for ns in [1_000_001, 2_000_003, 123_456_789] {
            series.add(Some(Nanos(ns)));
        }
        let distribution = series.distribution();
        assert_eq!(distribution.max, Some(123.456_789));
        assert_eq!(distribution.mean, Some(126_456_793.0 / 3.0 / 1e6));
        let p50 = distribution.p50.unwrap();
        assert!((p50 / 2.000_003 - 1.0).abs() < 1e-3, "p50 {p50}");
        series.add(None);
        let distribution = series.distribution();
        assert_eq!((distribution.mean, distribution.max, distribution.p99), (None, None, None));
        assert!(distribution.p50.is_some());
    }

    #[test]
    fn nothing_is_clamped() {
        let mut series = Series::new();
        series.add(Some(Nanos(1 << 62)));
        let p50 = series.distribution().p50.unwrap();
        assert!((p50 / Nanos(1 << 62).as_ms() - 1.0).abs() < 1e-3);
    }

    fn step_by_step(runs: &[(f64, f64, u64, u32)]) -> Buckets {
        let mut buckets = Buckets::new();
        for &(first, increment, steps, sequences) in runs {
            for k in 0..steps {
                let gap = rounded(first + increment * k as f64);
                (0..sequences).for_each(|_| buckets.add(gap, 1));
            }
        }
        buckets
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn runs_of_gaps_fill_the_buckets_that_single_gaps_fill(
            runs in prop::collection::vec(
                (0.0..3e7_f64, prop_oneof![Just(0.0), 0.0..5.0_f64, 0.0..1e6_f64], 0..1_000_u64, 0..9_u32),
                0..6,
            )
        ) {
            let mut gaps = Gaps::new();
            for &(first, increment, steps, sequences) in &runs {
                gaps.add(first, increment, steps, sequences);
            }
            prop_assert_eq!(gaps.buckets.filled().collect::<Vec<_>>(), step_by_step(&runs).filled().collect::<Vec<_>>());
        }

        #[test]
        fn histogram_percentiles_are_within_a_thousandth_of_the_exact(
            values in prop::collection::vec(1..10_000_000_000_u64, 1..300), infinite in 0..10_u64
        ) {
            let mut series = Series::new();
            values.iter().for_each(|&ns| series.add(Some(Nanos(ns))));
            (0..infinite).for_each(|_| series.add(None));
            let exact = exact_percentiles(&mut values.clone(), infinite).map(|ns| ns.map(|ns| Nanos(ns).as_ms()));
            let found = series.distribution();
            for (exact, found) in exact.into_iter().zip([found.p50, found.p90, found.p95, found.p99]) {
                match (exact, found) {
                    (Some(exact), Some(found)) => prop_assert!((found / exact - 1.0).abs() < 1e-3),
                    other => prop_assert_eq!(other, (None, None)),
                }
            }
        }

        #[test]
        fn exact_percentiles_are_those_of_a_sorted_list(values in prop::collection::vec(0..50_u64, 1..200)) {
            let mut sorted = values.clone();
            sorted.sort_unstable();
            let wanted = PERCENTILES.map(|percent| Some(sorted[nearest_rank(percent, sorted.len() as u64) as usize - 1]));
            prop_assert_eq!(exact_percentiles(&mut values.clone(), 0), wanted);
        }
    }
}
