//! Distributions with published percentiles: lengths of prompts, depths of conversations. Each is a function of the
//! rank, so that a sample has the percentiles whatever the seed; only who gets which value is drawn.

use super::spec::{ArtChatSpec, ArtTurns};
use crate::WorkloadError;

/// Where the window of 5 April, whose lengths are known one by one, has 0.6 of its median: this share of all requests
/// after the busiest user's short ones. Between the short prompts and the median nothing else is published.
const RISE: (f64, f64) = (0.08, 0.6);

/// The value at `share` of a line through points of rising share.
fn between(points: &[(f64, f64)], share: f64) -> f64 {
    let after = points.partition_point(|point| point.0 < share).clamp(1, points.len() - 1);
    let ((from, low), (to, high)) = (points[after - 1], points[after]);
    if to > from {
        low + (high - low) * ((share - from) / (to - from)).clamp(0.0, 1.0)
    } else {
        high
    }
}

fn bisect(mut low: f64, mut high: f64, too_small: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if too_small(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// Lengths of all prompts, the shortest first: the busiest user's, then a line through the median, a free 75th
/// percentile that brings the mean about, the 95th and the longest.
pub(super) fn input_lengths(spec: &ArtChatSpec) -> Result<Vec<u32>, WorkloadError> {
    let (n, top, input) = (spec.requests, spec.top_user_requests(), &spec.input_tokens);
    let short = f64::from(top) / f64::from(n);
    let [median, p95, max] = [input.median, input.p95, input.max].map(f64::from);
    let points = |p75: f64| {
        let mut points = vec![(short, f64::from(input.top_user))];
        if short + RISE.0 < 0.5 {
            points.push((short + RISE.0, (RISE.1 * median).max(f64::from(input.top_user))));
        }
        points.retain(|point| point.0 < 0.5);
        points.extend([(0.5, median), (0.75, p75), (0.95, p95), (1.0, max)]);
        points
    };
    let lengths = |p75: f64| -> Vec<u32> {
        let points = points(p75);
        let at = |rank: u32| {
            let share = (f64::from(rank) + 0.5) / f64::from(n);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a length between those of the spec"
            )]
            let tokens = between(&points, share).round().max(1.0) as u32;
            if rank < top { input.top_user } else { tokens }
        };
        (0..n).map(at).collect()
    };
    let mean =
        |p75: f64| lengths(p75).iter().map(|&tokens| f64::from(tokens)).sum::<f64>() / f64::from(n);
    let p75 = bisect(median, p95, |p75| mean(p75) < input.mean);
    let reached = mean(p75);
    if (reached / input.mean - 1.0).abs() > 0.01 {
        return Err(WorkloadError::Parameter {
            field: "input_tokens.mean",
            got: input.mean.to_string(),
            wanted: format!(
                "a mean that goes with the other percentiles, from {:.0} to {:.0}",
                mean(median),
                mean(p95)
            ),
        });
    }
    Ok(lengths(p75))
}

/// How many turns conversations have: from 2 to the median, to P90 and to the most, each stretch a power of the one
/// before it by `x^bend`, where the bend brings the mean about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Depths {
    turns: ArtTurns,
    bend: f64,
}

impl Depths {
    pub(super) fn new(turns: &ArtTurns) -> Result<Self, WorkloadError> {
        const SAMPLE: u32 = 4_000;
        let mean = |bend: f64| {
            let depths = Self { turns: *turns, bend };
            let sum: f64 = (0..SAMPLE).map(|rank| depths.at(rank, SAMPLE)).sum();
            sum / f64::from(SAMPLE)
        };
        let bend = bisect(-6.0, 6.0, |power| mean(libm::exp(-power)) < turns.mean);
        let bend = libm::exp(-bend);
        let reached = mean(bend);
        if (reached / turns.mean - 1.0).abs() > 0.01 {
            return Err(WorkloadError::Parameter {
                field: "turns.mean",
                got: turns.mean.to_string(),
                wanted: format!(
                    "a mean that goes with the other percentiles, from {:.1} to {:.1}",
                    mean(libm::exp(6.0)),
                    mean(libm::exp(-6.0))
                ),
            });
        }
        Ok(Self { turns: *turns, bend })
    }

    /// Turns of the conversation of this rank among `of`, the shallowest first; not rounded.
    pub(super) fn at(&self, rank: u32, of: u32) -> f64 {
        let share = (f64::from(rank) + 0.5) / f64::from(of);
        let ArtTurns { median, p90, max, .. } = self.turns;
        let stretch = |from: f64, to: f64, low: f64, high: f64, bend: f64| {
            let into = libm::pow((share - from) / (to - from), bend);
            low * libm::pow(high / low, into)
        };
        if share < 0.5 {
            stretch(0.0, 0.5, 2.0, median, 1.0)
        } else if share < 0.9 {
            stretch(0.5, 0.9, median, p90, self.bend)
        } else {
            stretch(0.9, 1.0, p90, max, self.bend)
        }
    }
}
