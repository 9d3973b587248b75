//! Counts of nanoseconds in the buckets of an HDR histogram of three significant digits.
//!
//! The buckets are [`hdrhistogram`]'s, so that a finished count becomes such a histogram bucket by bucket. A histogram
//! of its own pays for bounds and digits that are free to choose; here they are fixed, and counting a value is a shift
//! and an addition. Read `distribution.rs` next.

use hdrhistogram::Histogram;

/// Values below 2^11 have a bucket each; above, every power of two is cut into 2^10 buckets.
const EXACT_BITS: u32 = 11;
/// Buckets for all of `u64`: 54 shifts, the first of 2^11 buckets.
const BUCKETS: usize = (64 - EXACT_BITS as usize + 2) << (EXACT_BITS - 1);

/// Counts by bucket, over all of `u64`, so that nothing is clamped: 450 KB of zeros, of which only what is touched
/// takes memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buckets {
    counts: Vec<u64>,
    /// The first and last bucket with a count; the first lies after the last where there is none.
    first: usize,
    last: usize,
    /// Values counted.
    len: u64,
}

/// The number of low bits that a value's bucket does not tell apart.
const fn shift(value: u64) -> u32 {
    u64::BITS - EXACT_BITS - (value | ((1 << EXACT_BITS) - 1)).leading_zeros()
}

/// The largest value of the bucket of `value`.
pub(crate) const fn bucket_top(value: u64) -> u64 {
    value | ((1 << shift(value)) - 1)
}

impl Buckets {
    pub(crate) fn new() -> Self {
        Self { counts: vec![0; BUCKETS], first: usize::MAX, last: 0, len: 0 }
    }

    /// Counts a value `times` times.
    #[expect(clippy::cast_possible_truncation, reason = "the index of a bucket is below 2^16")]
    pub(crate) fn add(&mut self, value: u64, times: u64) {
        let shift = shift(value);
        let bucket = (u64::from(shift) << (EXACT_BITS - 1)) as usize + (value >> shift) as usize;
        self.counts[bucket] = self.counts[bucket].saturating_add(times);
        self.len = self.len.saturating_add(times);
        self.first = self.first.min(bucket);
        self.last = self.last.max(bucket);
    }

    /// Adds all that others counted.
    pub fn merge(&mut self, other: &Self) {
        for (value, times) in other.filled() {
            self.add(value, times);
        }
    }

    /// Values counted.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Whether no value was counted.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The buckets with a count, rising: the largest value of each, and the count.
    pub fn filled(&self) -> impl Iterator<Item = (u64, u64)> {
        let first = self.first.min(self.last);
        let counted = self.counts[first..=self.last].iter().copied().zip(first as u64..);
        counted.filter(|&(count, _)| count > 0).map(|(count, bucket)| {
            let shift = (bucket >> (EXACT_BITS - 1)).saturating_sub(1);
            let lowest = (bucket - (shift << (EXACT_BITS - 1))) << shift;
            (bucket_top(lowest), count)
        })
    }

    /// As a histogram that others can read.
    ///
    /// # Panics
    /// Never: the bounds are valid.
    #[must_use]
    pub fn histogram(&self) -> Histogram<u64> {
        let mut histogram = Histogram::new_with_bounds(1, u64::MAX, 3)
            .expect("3 digits over all of u64 are valid bounds");
        for (value, count) in self.filled() {
            histogram.saturating_record_n(value, count);
        }
        histogram
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        // Below 2^63: of the topmost bucket hdrhistogram takes the end to be u64::MAX - 1, and here it is u64::MAX.
        #[test]
        fn buckets_are_those_of_the_histogram(
            values in prop::collection::vec(
                (prop_oneof![0..5_000_u64, any::<u64>().prop_map(|value| value >> (1 + value % 63))], 1..5_u64),
                0..200,
            )
        ) {
            let (mut buckets, mut histogram) = (Buckets::new(), Buckets::new().histogram());
            for &(value, times) in &values {
                buckets.add(value, times);
                histogram.saturating_record_n(value, times);
                prop_assert_eq!(bucket_top(value), histogram.highest_equivalent(value));
            }
            let wanted: Vec<(u64, u64)> = histogram
                .iter_recorded()
                .map(|bucket| (bucket.value_iterated_to(), bucket.count_at_value()))
                .collect();
            prop_assert_eq!(buckets.filled().collect::<Vec<_>>(), wanted);
            prop_assert_eq!(buckets.len(), histogram.len());
            let made = buckets.histogram();
            prop_assert_eq!(&made, &histogram);
            prop_assert_eq!((made.min(), made.max()), (histogram.min(), histogram.max()));
        }
    }

    #[test]
    fn the_ends_of_u64_have_a_bucket() {
        let mut buckets = Buckets::new();
        assert_eq!(buckets.filled().count(), 0);
        for value in [0, u64::MAX] {
            buckets.add(value, 1);
        }
        assert_eq!(buckets.filled().collect::<Vec<_>>(), [(0, 1), (u64::MAX, 1)]);
        assert_eq!(buckets.last, BUCKETS - 1);
    }
}
