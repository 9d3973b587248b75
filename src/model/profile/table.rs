//! Measured tables of a profile: what a pass takes at the points where somebody timed it, in whole femtoseconds.
//!
//! Both are made dense when the profile is read, so that a look-up is a search among a few knots, a multiplication
//! and a division. Prefill keeps what the table *adds* to the fit (which may be negative) and interpolates that: the
//! quadratic term of attention stays exact between knots, and where the fit is the better of the two the table has
//! two knots that lie on it. Decode keeps the times themselves, for every number of sequences up to the last row:
//! linear in the mean context between knots, and between the rows of two batch sizes.
//! No smoothing happens here; what is read is checked in `spec.rs`.

use super::{DecodeCost, DecodeSegment, PrefillCost};
use crate::Femtos;

/// A row: where it stands (cached tokens, or sequences), and its (new tokens or mean context, femtoseconds).
pub(super) type Row = (u64, Vec<(u64, u64)>);

/// What a measured pass takes more (or less) than the fit says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PrefillTable {
    /// New tokens, rising.
    new_tokens: Vec<u64>,
    /// Cached tokens, rising, the first 0; with each its femtoseconds above the fit, one for each of `new_tokens`.
    rows: Vec<(u64, Vec<i64>)>,
    /// The shortest pass measured. No pass is shorter.
    pub(super) shortest: u128,
}

impl PrefillTable {
    /// From rows that are checked: at least one, the first for no cached token, none empty, everything rising.
    pub(super) fn new(rows: &[Row], fit: &PrefillCost) -> Self {
        let mut new_tokens: Vec<u64> =
            rows.iter().flat_map(|(_, points)| points.iter().map(|&(n, _)| n)).collect();
        new_tokens.sort_unstable();
        new_tokens.dedup();
        let shortest = rows.iter().flat_map(|(_, points)| points.iter().map(|&(_, t)| t)).min();
        let dense = |(cached, points): &Row| {
            let above: Vec<(u64, i64)> = points
                .iter()
                .map(|&(n, time)| (n, signed(u128::from(time)) - signed(fit.alone(n, *cached))))
                .collect();
            let at = |&n: &u64| line(&above, n);
            (*cached, new_tokens.iter().map(at).collect())
        };
        let rows = rows.iter().map(dense).collect();
        Self { new_tokens, rows, shortest: u128::from(shortest.unwrap_or(0)) }
    }

    /// What a batch of `new` tokens without cached ones takes above the fit. Beyond the outermost knots it stays what
    /// it is there.
    pub(super) fn above_fit(&self, new: u64) -> i64 {
        let place = self.place(new);
        self.at(0, place)
    }

    /// What the cached prefix of a request adds to that.
    pub(super) fn above_fit_for_prefix(&self, new: u64, cached: u64) -> i64 {
        if cached == 0 || self.rows.len() == 1 {
            return 0;
        }
        let place = self.place(new);
        let after = self.rows.partition_point(|&(at, _)| at <= cached);
        let low = self.at(after - 1, place);
        let base = self.at(0, place);
        let Some(&(to, _)) = self.rows.get(after) else { return low - base };
        let from = self.rows[after - 1].0;
        low - base + between(low, self.at(after, place), cached - from, to - from)
    }

    /// The knot at or before `new` (the first, if none is) and the tokens after it.
    fn place(&self, new: u64) -> (usize, u64) {
        let knot = self.new_tokens.partition_point(|&at| at <= new).saturating_sub(1);
        (knot, new.saturating_sub(self.new_tokens[knot]))
    }

    fn at(&self, row: usize, (knot, beyond): (usize, u64)) -> i64 {
        let values = &self.rows[row].1;
        let low = values[knot];
        let Some(&high) = values.get(knot + 1) else { return low };
        low + between(low, high, beyond, self.new_tokens[knot + 1] - self.new_tokens[knot])
    }
}

/// What `part` of `whole` adds on the way from `low` to `high`, to a femtosecond a unit. In 64 bits, for it is asked
/// several times a batch: the slope is rounded first (towards zero), so that no product leaves the difference.
fn between(low: i64, high: i64, part: u64, whole: u64) -> i64 {
    (high - low) / (whole as i64) * (part as i64)
}

/// The piecewise linear function through points, flat beyond its ends.
fn line(points: &[(u64, i64)], at: u64) -> i64 {
    let after = points.partition_point(|&(x, _)| x <= at);
    match (after.checked_sub(1).map(|before| points[before]), points.get(after)) {
        (Some((a, low)), Some(&(b, high))) => {
            let rise = i128::from(high - low) * i128::from(at - a) / i128::from(b - a);
            low + i64::try_from(rise).expect("a part of a difference that fits")
        }
        (Some((_, value)), None) | (None, Some(&(_, value))) => value,
        (None, None) => 0,
    }
}

fn signed(time: u128) -> i64 {
    i64::try_from(time).expect("tables and the fit at their knots are checked to fit")
}

/// The steps of every batch size up to the last row's.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct DecodeTable {
    /// Mean context per sequence, rising from 0.
    contexts: Vec<u64>,
    /// For 1, 2, ... sequences, for each of `contexts`: (femtoseconds there, more for each token of mean context).
    steps: Vec<(u64, u64)>,
    /// Sequences of the last row.
    most: u64,
    /// The fit's slopes, for sequences beyond the last row.
    per_sequence: u64,
    per_context_token: u64,
}

impl DecodeTable {
    /// From rows that are checked: at least one, none empty, everything rising.
    pub(super) fn new(rows: &[Row], fit: &DecodeCost) -> Self {
        let mut contexts: Vec<u64> =
            rows.iter().flat_map(|(_, points)| points.iter().map(|&(c, _)| c)).collect();
        contexts.push(0);
        contexts.sort_unstable();
        contexts.dedup();
        let most = rows.last().map_or(0, |&(sequences, _)| sequences);
        let mut table = Self {
            contexts,
            steps: Vec::new(),
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
        self.contexts.iter().map(at).collect()
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
        for (knot, &(time, after_last)) in times.iter().enumerate() {
            let slope = match times.get(knot + 1) {
                // Between two rows that never fall with the context none falls.
                Some(&(next, _)) => {
                    next.saturating_sub(time) / (self.contexts[knot + 1] - self.contexts[knot])
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
        let knot = self.contexts.partition_point(|&at| at <= mean) - 1;
        let row = (sequences.min(self.most) - 1) as usize;
        let (time, slope) = self.steps[row * self.contexts.len() + knot];
        let more = u128::from(sequences - sequences.min(self.most));
        let at = self.contexts[knot];
        let slope = u128::from(slope) + more * u128::from(self.per_context_token);
        let time = u128::from(time)
            + more
                * (u128::from(self.per_sequence)
                    + u128::from(self.per_context_token) * u128::from(at));
        // The part of a token that the mean lies above a whole number is the same in every step.
        let part = match u64::try_from(slope).ok().and_then(|slope| slope.checked_mul(rest)) {
            Some(product) => u128::from(product / sequences),
            None => slope * u128::from(rest) / u128::from(sequences),
        };
        let first = time + slope * u128::from(mean - at) + part;
        let steps = self.contexts.get(knot + 1).map_or(u64::MAX, |&next| next - mean);
        DecodeSegment { first: Femtos(first), increment: Femtos(slope), steps }
    }
}

/// The time at `part` of `whole` on the way from `low` to `high`, rounded down.
fn mixed(low: u64, high: u64, part: u64, whole: u64) -> u64 {
    let sum = u128::from(low) * u128::from(whole - part) + u128::from(high) * u128::from(part);
    u64::try_from(sum / u128::from(whole)).expect("between two that fit")
}
