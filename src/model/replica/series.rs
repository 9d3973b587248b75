//! Decode steps as an arithmetic series: sums, and how many steps fit in a time. Exact integers; floats only guess.

use crate::{DecodeSegment, Femtos};

/// Steps of length `first`, `first + increment`, `first + 2·increment`, ...
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StepSeries {
    pub(super) first: Femtos,
    pub(super) increment: Femtos,
}

impl From<DecodeSegment> for StepSeries {
    fn from(segment: DecodeSegment) -> Self {
        Self { first: segment.first, increment: segment.increment }
    }
}

impl StepSeries {
    /// Length of the first `steps` steps.
    pub(super) fn length(&self, steps: u64) -> Femtos {
        let k = u128::from(steps);
        Femtos(self.first.0 * k + self.increment.0 * (k * k.saturating_sub(1) / 2))
    }

    /// Length of the step that follows `steps` steps.
    pub(super) fn step_after(&self, steps: u64) -> Femtos {
        Femtos(self.first.0 + self.increment.0 * u128::from(steps))
    }

    /// The least number of steps, at least one, that take `span` or longer; `u64::MAX` where no number does.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a guess that is put right in integers just below; casts from floats saturate"
    )]
    pub(super) fn steps_to_reach(&self, span: Femtos) -> u64 {
        if self.first >= span {
            return 1;
        }
        if self.first.0 == 0 && self.increment.0 == 0 {
            return u64::MAX;
        }
        // a·k² + b·k = span, solved in the form that does not cancel.
        let (a, span_f) = (self.increment.0 as f64 / 2.0, span.0 as f64);
        let b = self.first.0 as f64 - a;
        let guess = 2.0 * span_f / (b + (b * b + 4.0 * a * span_f).sqrt());
        let mut steps = (guess as u64).clamp(1, MOST_STEPS);
        while steps > 1 && self.length(steps - 1) >= span {
            steps -= 1;
        }
        while steps < MOST_STEPS && self.length(steps) < span {
            steps += 1;
        }
        if steps < MOST_STEPS { steps } else { u64::MAX }
    }

    /// How many whole steps fit in `span`, at most `limit`.
    pub(super) fn steps_within(&self, span: Femtos, limit: u64) -> u64 {
        (self.steps_to_reach(Femtos(span.0 + 1)) - 1).min(limit)
    }

    /// Σ over the first `steps` steps, counted from 1, of number × length.
    ///
    /// Σ j·(f + (j − 1)·i) = f·n(n + 1)/2 + i·(n − 1)n(n + 1)/3.
    pub(super) fn weighted_length(&self, steps: u64) -> u128 {
        let n = u128::from(steps);
        let pairs = n * (n + 1) / 2;
        // Of n(n + 1)/2 and n − 1 one is divisible by 3: two times their product over 3 is whole. Dividing 64-bit
        // numbers is many times faster than dividing 128-bit ones, and runs are short.
        let triples = match (u64::try_from(pairs), steps.checked_sub(1)) {
            (_, None) => 0,
            (Ok(pairs), Some(less)) if steps < 1 << 20 => u128::from(pairs * less / 3),
            (_, Some(less)) => pairs * u128::from(less) / 3,
        };
        self.first.0 * pairs + self.increment.0 * 2 * triples
    }
}

/// More steps than any run has: lengths of fewer stay within 128 bits.
const MOST_STEPS: u64 = 1 << 36;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn by_hand(series: StepSeries, steps: u64) -> (u128, u128) {
        let (mut length, mut weighted) = (0, 0);
        for j in 0..steps {
            let step = series.first.0 + series.increment.0 * u128::from(j);
            length += step;
            weighted += u128::from(j + 1) * step;
        }
        (length, weighted)
    }

    proptest! {
        #[test]
        fn sums_are_those_of_a_loop(first in 0..1_u128 << 50, increment in 0..1_u128 << 30, steps in 0..500_u64) {
            let series = StepSeries { first: Femtos(first), increment: Femtos(increment) };
            prop_assert_eq!((series.length(steps).0, series.weighted_length(steps)), by_hand(series, steps));
        }

        #[test]
        fn steps_to_reach_is_the_least_that_does(
            first in 0..1_u128 << 44, increment in 0..1_u128 << 40, span in 0..1_u128 << 60,
        ) {
            let series = StepSeries { first: Femtos(first), increment: Femtos(increment) };
            let steps = series.steps_to_reach(Femtos(span));
            prop_assume!(steps != u64::MAX);
            prop_assert!(series.length(steps).0 >= span);
            prop_assert!(steps == 1 || series.length(steps - 1).0 < span);
        }

        #[test]
        fn a_boundary_counts_as_reached(first in 1..1_u128 << 44, increment in 0..1_u128 << 30, steps in 1..5_000_u64) {
            let series = StepSeries { first: Femtos(first), increment: Femtos(increment) };
            let span = series.length(steps);
            prop_assert_eq!(series.steps_to_reach(span), steps);
            prop_assert_eq!(series.steps_within(span, u64::MAX), steps);
            prop_assert_eq!(series.steps_within(Femtos(span.0 - 1), u64::MAX), steps - 1);
        }
    }

    #[test]
    fn steps_of_no_length_reach_nothing() {
        let series = StepSeries { first: Femtos(0), increment: Femtos(0) };
        assert_eq!(series.steps_to_reach(Femtos(0)), 1);
        assert_eq!(series.steps_to_reach(Femtos(1)), u64::MAX);
    }
}
