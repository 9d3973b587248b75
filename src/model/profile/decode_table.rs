//! Measured decode steps of a profile, in whole femtoseconds.
//!
//! The table is made dense when the profile is read, for every number of sequences up to the last row: linear in the
//! mean context between knots, and between the rows of two batch sizes. So a look-up is a search among a few knots, a
//! multiplication and a division. No smoothing happens here; what is read is checked in `spec.rs`.

use super::knots::{Knots, Row};
use super::{DecodeCost, DecodeSegment};
use crate::Femtos;

/// The steps of every batch size up to the last row's.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct DecodeTable {
    /// Mean context per sequence, from 0.
    contexts: Knots,
    /// For 1, 2, ... sequences, for each of `contexts`: (femtoseconds there, more for each token of mean context).
    steps: Vec<(u64, u64)>,
    /// Likewise the last mean context that was measured with so many sequences, or with the row before and after.
    ends: Vec<u64>,
    /// Sequences of the last row.
    most: u64,
    /// The fit's slopes, for sequences beyond the last row.
    per_sequence: u64,
    per_context_token: u64,
}

impl DecodeTable {
    /// From rows that are checked: at least one, none empty, everything rising.
    pub(super) fn new(rows: &[Row], fit: &DecodeCost) -> Self {
        let most = rows.last().map_or(0, |&(sequences, _)| sequences);
        let mut table = Self {
            contexts: Knots::of(rows, Some(0)),
            steps: Vec::new(),
            ends: Vec::new(),
            most,
            per_sequence: fit.per_sequence,
            per_context_token: fit.per_context_token,
        };
        let dense: Vec<Row> = rows
            .iter()
            .map(|row| {
                let slope = table.after_last(row);
                let times = table.row_at_contexts(row, slope);
                (row.0, times.into_iter().map(|time| (time, slope)).collect())
            })
            .collect();
        for sequences in 1..=most {
            let after = dense.partition_point(|&(at, _)| at <= sequences);
            let times = match after.checked_sub(1).map(|before| &dense[before]) {
                // Fewer sequences than the first row has: as long as that.
                None => dense[0].1.clone(),
                Some((from, low)) => match dense.get(after) {
                    None => low.clone(),
                    Some((to, high)) => (low.iter().zip(high))
                        .map(|(&low, &high)| {
                            let mixed = |low, high| mixed(low, high, sequences - from, to - from);
                            (mixed(low.0, high.0), mixed(low.1, high.1))
                        })
                        .collect(),
                },
            };
            table.push(&times);
            let end = |row: &Row| row.1.last().map_or(0, |&(context, _)| context);
            let around = (after.checked_sub(1).map(|before| &rows[before]), rows.get(after));
            table.ends.push(match around {
                (Some(before), _) if before.0 == sequences => end(before),
                (Some(before), Some(next)) => end(before).min(end(next)),
                // Fewer sequences than anybody measured.
                _ => 0,
            });
        }
        table
    }

    /// A row's times at all knots: flat before its first, and by `slope` after its last.
    fn row_at_contexts(&self, (_, points): &Row, slope: u64) -> Vec<u64> {
        let last = points[points.len() - 1];
        let at = |&context: &u64| {
            let after = points.partition_point(|&(x, _)| x <= context);
            match (after.checked_sub(1).map(|before| points[before]), points.get(after)) {
                (Some((a, low)), Some(&(b, high))) => mixed(low, high, context - a, b - a),
                (None, Some(&(_, time))) => time,
                _ => last.1.saturating_add((context - last.0).saturating_mul(slope)),
            }
        };
        self.contexts.as_slice().iter().map(at).collect()
    }

    /// What a token of mean context costs after a row's last knot: what it costs before it, or what the fit says
    /// where that tells nothing.
    fn after_last(&self, (sequences, points): &Row) -> u64 {
        match points.as_slice() {
            [.., (a, low), (b, high)] if high > low => (high - low) / (b - a),
            _ => self.per_context_token.saturating_mul(*sequences),
        }
    }

    /// Adds a batch size: its times at all knots, each with the slope after the last.
    fn push(&mut self, times: &[(u64, u64)]) {
        let contexts = self.contexts.as_slice();
        for (knot, &(time, after_last)) in times.iter().enumerate() {
            let slope = match times.get(knot + 1) {
                // Between two rows that never fall with the context none falls.
                Some(&(next, _)) => {
                    next.saturating_sub(time) / (contexts[knot + 1] - contexts[knot])
                }
                None => after_last,
            };
            self.steps.push((time, slope));
        }
    }

    /// The steps from here to the next knot. Each step raises the mean context by one token, so that knots in whole
    /// tokens of mean context cut the steps of every batch alike.
    pub(super) fn segment(&self, sequences: u32, context_tokens: u64) -> DecodeSegment {
        let sequences = u64::from(sequences).max(1);
        let (mean, rest) = (context_tokens / sequences, context_tokens % sequences);
        let contexts = self.contexts.as_slice();
        let knot = self.contexts.up_to(mean) - 1;
        let beyond = mean - contexts[knot];
        let steps = contexts.get(knot + 1).map_or(u64::MAX, |&next| next - mean);
        let row = (sequences.min(self.most) - 1) as usize;
        let (time, slope) = self.steps[row * contexts.len() + knot];
        let (mut time, mut increment) = (u128::from(time), u128::from(slope));
        if sequences > self.most {
            let more = u128::from(sequences - self.most);
            let per_token = u128::from(self.per_context_token);
            time += more * (u128::from(self.per_sequence) + per_token * u128::from(contexts[knot]));
            increment += more * per_token;
        }
        // The part of a token that the mean lies above a whole number is the same in every step.
        let part = match u64::try_from(increment).ok().and_then(|slope| slope.checked_mul(rest)) {
            Some(product) => u128::from(product / sequences),
            None => increment * u128::from(rest) / u128::from(sequences),
        };
        let first = time + increment * u128::from(beyond) + part;
        DecodeSegment { first: Femtos(first), increment: Femtos(increment), steps }
    }

    /// The most tokens of context of so many sequences in all that lie among the points; none where nobody measured so
    /// many or so few sequences.
    pub(super) fn range(&self, sequences: u32) -> Option<u64> {
        let row = (sequences as usize).saturating_sub(1);
        let end = self.ends.get(row).copied().filter(|&end| end > 0)?;
        Some(end * u64::from(sequences))
    }
}

/// The time at `part` of `whole` on the way from `low` to `high`, rounded down.
fn mixed(low: u64, high: u64, part: u64, whole: u64) -> u64 {
    let sum = u128::from(low) * u128::from(whole - part) + u128::from(high) * u128::from(part);
    u64::try_from(sum / u128::from(whole)).expect("between two that fit")
}
