//! Measured prefill passes of a profile: what they take above or below its fit, in whole femtoseconds.
//!
//! The fit's quadratic term of attention stays exact between knots, and where the fit is the better of the two the
//! table has two knots that lie on it. The table is made dense when the profile is read, so that a look-up is a search
//! among a few knots and a multiplication. No smoothing happens here; what is read is checked in `spec.rs`.
//!
//! Measured times jump with the new tokens (a matrix product takes as long for 257 rows as for 384) and hardly change
//! from one cached prefix to the next. So a hole in a row is filled from the rows around it first (`filled`).

use super::PrefillCost;
use super::knots::{Knots, Row};
use std::collections::BTreeMap;

/// What a measured pass takes more (or less) than the fit says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PrefillTable {
    /// New tokens.
    knots: Knots,
    /// Cached tokens, rising, the first 0.
    cached: Vec<u64>,
    /// Row by row, knot by knot: (femtoseconds above the fit, more for each further new token).
    above: Vec<(i64, i64)>,
    /// The shortest pass measured. No pass is shorter.
    pub(super) shortest: u128,
    /// For each row the last number of new tokens that was measured, and the least of these.
    ends: Vec<u64>,
    least_end: u64,
}

/// A place among the knots: the one at or before it (the first, if none is), and the tokens after it.
type Place = (usize, i64);

impl PrefillTable {
    /// From rows that are checked: at least one, the first for no cached token, none empty, everything rising.
    pub(super) fn new(rows: &[Row], fit: &PrefillCost) -> Self {
        let knots = Knots::of(rows, None);
        let shortest = rows.iter().flat_map(|(_, points)| points.iter().map(|&(_, t)| t)).min();
        let at = knots.as_slice();
        let mut above = Vec::with_capacity(rows.len() * at.len());
        for values in filled(rows, at, fit) {
            for (knot, &value) in values.iter().enumerate() {
                // To a femtosecond a token, towards zero: no product leaves the difference.
                let slope = values
                    .get(knot + 1)
                    .map_or(0, |next| (next - value) / (at[knot + 1] - at[knot]) as i64);
                above.push((value, slope));
            }
        }
        let ends: Vec<u64> = rows.iter().map(|row| row.1[row.1.len() - 1].0).collect();
        Self {
            knots,
            cached: rows.iter().map(|row| row.0).collect(),
            above,
            shortest: u128::from(shortest.unwrap_or(0)),
            least_end: ends.iter().copied().min().unwrap_or(0),
            ends,
        }
    }

    /// What a batch of `new` tokens without cached ones takes above the fit. Beyond the outermost knots it stays what
    /// it is there.
    pub(super) fn above_fit(&self, new: u64) -> i64 {
        self.at(0, self.place(new))
    }

    /// What the cached prefix of a request adds to that.
    pub(super) fn above_fit_for_prefix(&self, (new, cached): (u64, u64)) -> i64 {
        if cached == 0 || self.cached.len() == 1 {
            return 0;
        }
        self.for_prefix_at(self.place(new), cached)
    }

    /// Both for a request alone.
    pub(super) fn above_fit_alone(&self, (new, cached): (u64, u64)) -> i128 {
        let place = self.place(new);
        let prefix = match cached {
            0 => 0,
            _ if self.cached.len() == 1 => 0,
            _ => self.for_prefix_at(place, cached),
        };
        i128::from(self.at(0, place)) + i128::from(prefix)
    }

    fn for_prefix_at(&self, place: Place, cached: u64) -> i64 {
        let after = self.cached.partition_point(|&at| at <= cached);
        let low = self.at(after - 1, place);
        let base = self.at(0, place);
        let Some(&to) = self.cached.get(after) else { return low - base };
        let from = self.cached[after - 1];
        let slope = (self.at(after, place) - low) / (to - from) as i64;
        low - base + slope * (cached - from) as i64
    }

    /// Whether a pass of `new` tokens after `cached` ones lies among the points: no further than the last of each row
    /// that it is interpolated from.
    pub(super) fn covers(&self, new: u64, cached: u64) -> bool {
        if cached > self.cached[self.cached.len() - 1] {
            return false;
        }
        if new <= self.least_end {
            return true;
        }
        let after = self.cached.partition_point(|&at| at < cached);
        let before = self.cached.partition_point(|&at| at <= cached) - 1;
        new <= self.ends[before].min(self.ends[after])
    }

    fn place(&self, new: u64) -> Place {
        let knot = self.knots.up_to(new).saturating_sub(1);
        // Without a slope after the last knot: beyond it, and before the first, the value stays.
        (knot, i64::try_from(new.saturating_sub(self.knots.as_slice()[knot])).unwrap_or(i64::MAX))
    }

    fn at(&self, row: usize, (knot, beyond): Place) -> i64 {
        let (value, slope) = self.above[row * self.knots.as_slice().len() + knot];
        value + slope * beyond
    }
}

/// Each row's femtoseconds above the fit at all knots.
///
/// Where a row lacks a point that rows of fewer and of more cached tokens have, it is linear in the cached tokens
/// between these two. Where only rows on one side have it, it is the nearest one's, plus the difference between the two
/// rows, linear in the new tokens between the points of this one and flat beyond. Where the two have no point in common
/// (after the first step), the row is linear between its own points, and flat beyond them.
fn filled(rows: &[Row], knots: &[u64], fit: &PrefillCost) -> Vec<Vec<i64>> {
    let points: Vec<Vec<(u64, i64)>> = rows
        .iter()
        .map(|(cached, points)| {
            let above = |n, time: u64| signed(u128::from(time)) - signed(fit.alone(n, *cached));
            points.iter().map(|&(n, time)| (n, above(n, time))).collect()
        })
        .collect();
    let measured: Vec<Vec<Option<i64>>> = points
        .iter()
        .map(|row| {
            let at = |n| row.binary_search_by_key(n, |&(n, _)| n).ok().map(|index| row[index].1);
            knots.iter().map(at).collect()
        })
        .collect();
    // For each knot the rows that have it, as points over their cached tokens.
    let columns: Vec<Vec<(u64, i64)>> = (0..knots.len())
        .map(|knot| {
            let value = |(row, values): (&Row, &Vec<Option<i64>>)| Some((row.0, values[knot]?));
            rows.iter().zip(&measured).filter_map(value).collect()
        })
        .collect();
    let between: Vec<Vec<Option<i64>>> = rows
        .iter()
        .map(|&(cached, _)| {
            let inside = |column: &Vec<(u64, i64)>| {
                let (first, last) = (column[0].0, column[column.len() - 1].0);
                (first <= cached && cached <= last).then(|| line(column, cached))
            };
            columns.iter().map(inside).collect()
        })
        .collect();
    let fill = |(row, values): (usize, &Vec<Option<i64>>)| {
        let mut differences: BTreeMap<usize, Vec<(u64, i64)>> = BTreeMap::new();
        let mut outside = |knot: usize| {
            let column = &columns[knot];
            let (first, last) = (column[0], column[column.len() - 1]);
            let (near, value) = if rows[row].0 < first.0 { first } else { last };
            let near = rows.partition_point(|row| row.0 < near);
            let differences = differences.entry(near).or_insert_with(|| {
                let pairs = measured[row].iter().zip(&between[near]).zip(knots);
                pairs.filter_map(|((&mine, &other), &n)| Some((n, mine? - other?))).collect()
            });
            if differences.is_empty() {
                line(&points[row], knots[knot])
            } else {
                value + line(differences, knots[knot])
            }
        };
        let at = |(knot, value): (usize, &Option<i64>)| value.unwrap_or_else(|| outside(knot));
        values.iter().enumerate().map(at).collect()
    };
    between.iter().enumerate().map(fill).collect()
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
