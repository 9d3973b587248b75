//! Decode steps as an arithmetic series: sums, and how many steps fit in a time. Exact integers; floats only guess.

use crate::{DecodeSegment, Femtos};

/// Steps of length `first`, `first + increment`, `first + 2·increment`, ...
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StepSeries {
    pub(crate) first: Femtos,
    pub(crate) increment: Femtos,
}

impl From<DecodeSegment> for StepSeries {
    fn from(segment: DecodeSegment) -> Self {
        Self { first: segment.first, increment: segment.increment }
    }
}

impl StepSeries {
    /// Length of the first `steps` steps, at most [`MOST_STEPS`].
    pub(crate) fn length(&self, steps: u64) -> Femtos {
        debug_assert!(steps <= MOST_STEPS, "{steps} steps");
        // Both counts fit 64 bits: the products are of 128 by 64 bits, half the work of 128 by 128.
        let pairs = steps * steps.saturating_sub(1) / 2;
        Femtos(self.first.0 * u128::from(steps) + self.increment.0 * u128::from(pairs))
    }

    /// Length of the step that follows `steps` steps.
    pub(crate) fn step_after(&self, steps: u64) -> Femtos {
        Femtos(self.first.0 + self.increment.0 * u128::from(steps))
    }

    /// The least number of steps, at least one, that take `span` or longer; `u64::MAX` where no number does.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a guess that is put right in integers just below; casts from floats saturate"
    )]
    pub(crate) fn steps_to_reach(&self, span: Femtos) -> u64 {
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
        let mut length = self.length(steps);
        while length < span && steps < MOST_STEPS {
            length += self.step_after(steps);
            steps += 1;
        }
        while steps > 1 {
            let before = length - self.step_after(steps - 1);
            if before < span {
                break;
            }
            (steps, length) = (steps - 1, before);
        }
        if steps < MOST_STEPS { steps } else { u64::MAX }
    }

    /// How many whole steps fit in `span`, at most `limit`.
    pub(crate) fn steps_within(&self, span: Femtos, limit: u64) -> u64 {
        (self.steps_to_reach(Femtos(span.0 + 1)) - 1).min(limit)
    }

    /// Σ over the first `steps` steps, counted from 1, of number × length.
    ///
    /// Σ j·(f + (j − 1)·i) = f·n(n + 1)/2 + i·(n − 1)n(n + 1)/3.
    pub(crate) fn weighted_length(&self, steps: u64) -> u128 {
        let pairs = steps * (steps + 1) / 2;
        // Of n(n + 1)/2 and n − 1 one is divisible by 3: two times their product over 3 is whole. Dividing 64-bit
        // numbers is many times faster than dividing 128-bit ones, and runs are short.
        let less = steps.saturating_sub(1);
        let triples = match pairs.checked_mul(less) {
            Some(product) => u128::from(product / 3),
            None => u128::from(pairs) * u128::from(less) / 3,
        };
        self.first.0 * u128::from(pairs) + self.increment.0 * 2 * triples
    }
}

/// At least as many steps as a run has: a sequence has fewer than 2^32 tokens. Their pairs fit 64 bits.
const MOST_STEPS: u64 = u32::MAX as u64;

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
