//! How late the machine is: from when a byte was due to when it was handed to the socket.
//!
//! A histogram of counters that any thread adds to without a lock. Its buckets are a sixteenth of their value wide, so a
//! quantile is at most 6 % too high and never too low.

use gorgo_types::Nanos;
use std::sync::atomic::{AtomicU64, Ordering};

/// Buckets for each doubling.
const STEPS: usize = 16;
/// Doublings: up to 2^40 ns, 18 minutes; what is later counts there.
const DOUBLINGS: usize = 40;

/// Counts of how late things were.
#[derive(Debug)]
pub struct Lateness {
    counts: Vec<AtomicU64>,
    most: AtomicU64,
}

impl Default for Lateness {
    fn default() -> Self {
        let counts = std::iter::repeat_with(AtomicU64::default).take(STEPS * DOUBLINGS).collect();
        Self { counts, most: AtomicU64::new(0) }
    }
}

/// Below this a bucket is one nanosecond.
const LINEAR: u64 = STEPS as u64;

fn bucket(ns: u64) -> usize {
    if ns < LINEAR {
        return ns as usize;
    }
    let doubling = ns.ilog2() as usize;
    let inside = (ns >> (doubling - STEPS.ilog2() as usize)) as usize - STEPS;
    ((doubling - STEPS.ilog2() as usize + 1) * STEPS + inside).min(STEPS * DOUBLINGS - 1)
}

/// The largest value that falls into a bucket.
fn upper(bucket: usize) -> u64 {
    if bucket < STEPS {
        return bucket as u64;
    }
    let (doubling, inside) = (bucket / STEPS - 1, bucket % STEPS);
    (((STEPS + inside + 1) as u64) << doubling) - 1
}

impl Lateness {
    /// Counts something that was due at one time and happened at another.
    pub fn record(&self, due: Nanos, happened: Nanos) {
        let late = happened.saturating_sub(due).0;
        self.counts[bucket(late)].fetch_add(1, Ordering::Relaxed);
        self.most.fetch_max(late, Ordering::Relaxed);
    }

    /// How many have been counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// The value that a share of all do not exceed, nearest rank; none where nothing was counted.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<Nanos> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let rank = ((share.clamp(0.0, 1.0) * count as f64).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count.load(Ordering::Relaxed);
            if seen >= rank {
                return Some(Nanos(upper(index)).min(self.most()));
            }
        }
        Some(self.most())
    }

    /// The largest one.
    #[must_use]
    pub fn most(&self) -> Nanos {
        Nanos(self.most.load(Ordering::Relaxed))
    }

    /// Count, median, 99th percentile and maximum in words.
    #[must_use]
    pub fn in_words(&self) -> String {
        let ms = |share| self.quantile(share).map_or(0.0, Nanos::as_ms);
        format!(
            "{} pieces, late by p50 {:.3} ms, p99 {:.3} ms, at most {:.3} ms",
            self.count(),
            ms(0.5),
            ms(0.99),
            self.most().as_ms()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_hold_what_falls_into_them() {
        let mut before = None;
        for index in 0..STEPS * DOUBLINGS {
            let top = upper(index);
            assert_eq!(bucket(top), index, "{top}");
            assert!(before.is_none_or(|below| bucket(below + 1) == index));
            before = Some(top);
        }
        assert_eq!(bucket(u64::MAX), STEPS * DOUBLINGS - 1);
    }

    #[test]
    fn quantiles_are_never_too_low_and_hardly_too_high() {
        let lateness = Lateness::default();
        assert_eq!(lateness.quantile(0.5), None);
        for i in 1..=1_000_u64 {
            lateness.record(Nanos(7), Nanos(7 + i * 1_000));
        }
        lateness.record(Nanos(9), Nanos(1));
        assert_eq!(lateness.count(), 1_001);
        for (share, exact) in [(0.5, 500_000), (0.99, 990_000), (1.0, 1_000_000)] {
            let got = lateness.quantile(share).unwrap().0;
            assert!(got >= exact && got <= exact + exact / 15, "{share}: {got}");
        }
        assert_eq!(lateness.most(), Nanos(1_000_000));
    }
}
