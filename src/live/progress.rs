//! How a run under way is doing, for whoever shows it.

use gorgo_types::Nanos;
use std::collections::VecDeque;

/// How many of the last first tokens the percentiles are of.
const LAST: usize = 1_000;

/// A run under way.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// The policy's label.
    pub policy: String,
    /// Which round, from 1.
    pub round: u32,
    /// Since time zero, s.
    pub elapsed_s: f64,
    /// Requests sent.
    pub sent: u64,
    /// Requests in all, where that is known.
    pub of: Option<u64>,
    /// Requests sent and not ended.
    pub in_flight: u64,
    /// Requests that came to nothing.
    pub errors: u64,
    /// Requests sent per second, since the last report.
    pub rate_rps: f64,
    /// Median TTFT of the last thousand answers, ms.
    pub ttft_ms_p50: Option<f64>,
    /// 99th percentile likewise.
    pub ttft_ms_p99: Option<f64>,
}

/// The last times to a first token.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    last: VecDeque<Nanos>,
}

impl Recent {
    pub fn add(&mut self, ttft: Nanos) {
        if self.last.len() == LAST {
            self.last.pop_front();
        }
        self.last.push_back(ttft);
    }

    /// Median and 99th percentile, ms.
    pub fn percentiles(&self) -> [Option<f64>; 2] {
        let mut sorted: Vec<Nanos> = self.last.iter().copied().collect();
        sorted.sort_unstable();
        let at = |percent: usize| {
            let rank = (sorted.len() * percent).div_ceil(100);
            sorted.get(rank.saturating_sub(1)).map(|ttft| ttft.as_ms())
        };
        [at(50), at(99)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_last_thousand() {
        let mut recent = Recent::default();
        assert_eq!(recent.percentiles(), [None, None]);
        (0..5_000).for_each(|ms| recent.add(Nanos::from_millis(ms)));
        assert_eq!(recent.percentiles(), [Some(4_499.0), Some(4_989.0)]);
    }
}
