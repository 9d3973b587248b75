//! What a tuner is told of a request, and what it makes of many.

use super::config::Objective;
use gorgo_types::Nanos;

/// A completed request: how long it took, seen from the router, from its dispatch on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// From dispatch to the first token.
    pub ttft: Nanos,
    /// From dispatch to the last token.
    pub e2e: Nanos,
}

impl Sample {
    /// The cost of the request, in seconds: TTFT, and of the time after it the objective's share.
    #[must_use]
    pub fn cost_s(&self, objective: &Objective) -> f64 {
        let rest = self.e2e.saturating_sub(self.ttft).as_s();
        self.ttft.as_s() + objective.after_first_token * rest
    }
}

/// The percentile by the published tuner's rule: of `n` sorted values the one at index `round(q (n - 1))`, which for
/// 128 values and q = 0.95 is the 122nd. `values` is scratch and is left in another order. Infinite values sort last;
/// none gives 0.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an index far below 2^53, and not negative"
)]
pub fn percentile(values: &mut [f64], quantile: f64) -> f64 {
    let Some(last) = values.len().checked_sub(1) else { return 0.0 };
    let index = (quantile.clamp(0.0, 1.0) * last as f64).round() as usize;
    *values.select_nth_unstable_by(index.min(last), f64::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_percentile_is_the_published_one() {
        let mut values: Vec<f64> = (0..128).rev().map(f64::from).collect();
        assert_eq!(percentile(&mut values, 0.95), 121.0);
        assert_eq!(percentile(&mut values, 0.0), 0.0);
        assert_eq!(percentile(&mut values, 1.0), 127.0);
        assert_eq!(percentile(&mut [f64::INFINITY, 3.0], 0.4), 3.0);
        assert_eq!(percentile(&mut [], 0.95), 0.0);
    }

    #[test]
    fn the_cost_blends_ttft_and_the_time_after_it() {
        let sample = Sample { ttft: Nanos::from_millis(500), e2e: Nanos::from_millis(2_500) };
        let cost =
            |share| sample.cost_s(&Objective { after_first_token: share, ..Objective::default() });
        assert_eq!([cost(0.0), cost(0.25), cost(1.0)], [0.5, 1.0, 2.5]);
    }
}
