//! The yardstick: a plain linear regression of TTFT on what the router saw.
//!
//! Features: which replica was chosen (a constant for each), prompt tokens, prompt tokens that the router's index does not
//! have at that replica, tokens that it has dispatched there and that are not finished, running requests at the last
//! scrape. Tokens are the engine's: the uncached ones are scaled by engine tokens over the router's. Fitted by least
//! squares. Nothing here knows what a queue is.

use crate::{Outcome, PredictError, Recorded, RecordedLog};

/// Features beside the constants of the replicas.
pub const FEATURES: [&str; 4] =
    ["prompt_tokens", "uncached_tokens", "queued_tokens", "running_requests"];

/// A fitted regression.
#[derive(Clone, Debug, PartialEq)]
pub struct Regression {
    replicas: usize,
    coefficients: Vec<f64>,
}

impl Regression {
    /// Least squares over the served requests of a log.
    ///
    /// # Errors
    /// [`PredictError::TooFew`] where there are fewer of them than coefficients.
    pub fn fit(log: &RecordedLog) -> Result<Self, PredictError> {
        let replicas = log.replicas();
        let (mut rows, mut measured) = (Vec::new(), Vec::new());
        for row in log.rows() {
            let (Some(features), Some(ttft_ms)) = (features(row, replicas), row.ttft_ms()) else {
                continue;
            };
            rows.push(features);
            measured.push(ttft_ms);
        }
        if rows.len() < replicas + FEATURES.len() || rows.is_empty() {
            return Err(PredictError::TooFew {
                got: format!("{} requests that were served", rows.len()),
                wanted: "at least as many as the regression has coefficients",
            });
        }
        Ok(Self { replicas, coefficients: least_squares(&rows, &measured) })
    }

    /// The coefficients, ms per unit: one constant for each replica, then [`FEATURES`]. One that the log cannot tell
    /// from the others (a replica that was never chosen) is 0.
    #[must_use]
    pub fn coefficients(&self) -> &[f64] {
        &self.coefficients
    }

    /// The TTFT of every request of a log that was served, ms; `None` for the others. One entry a row.
    ///
    /// # Errors
    /// [`PredictError::TooFew`] where the log has more replicas than the fitted one.
    pub fn foretell(&self, log: &RecordedLog) -> Result<Vec<Option<f64>>, PredictError> {
        if log.replicas() != self.replicas {
            return Err(PredictError::TooFew {
                got: format!("a log of {} replicas", log.replicas()),
                wanted: "as many replicas as in the log of the fit",
            });
        }
        let value = |row: &Recorded| {
            let features = features(row, self.replicas)?;
            Some(features.iter().zip(&self.coefficients).map(|(x, b)| x * b).sum())
        };
        Ok(log.rows().iter().map(value).collect())
    }
}

/// The features of a request that was served.
fn features(row: &Recorded, replicas: usize) -> Option<Vec<f64>> {
    let Outcome::Served { prompt_tokens, .. } = row.outcome else { return None };
    let seen = row.seen();
    let mut features = vec![0.0; replicas + FEATURES.len()];
    features[row.chosen] = 1.0;
    let tokens = f64::from(prompt_tokens);
    let uncached = tokens * (1.0 - row.cached_share());
    let others = [tokens, uncached, seen.queued_tokens as f64, f64::from(seen.running_requests)];
    features[replicas..].copy_from_slice(&others);
    Some(features)
}

/// Of a column's own length, below which what is left of it after the columns before is rounding.
const DEPENDENT: f64 = 1e-9;

/// Least squares by modified Gram-Schmidt. A column that depends on those before it has the coefficient 0.
pub(crate) fn least_squares(rows: &[Vec<f64>], measured: &[f64]) -> Vec<f64> {
    let width = rows.first().map_or(0, Vec::len);
    let mut columns: Vec<Vec<f64>> =
        (0..width).map(|column| rows.iter().map(|row| row[column]).collect()).collect();
    let mut upper = vec![vec![0.0; width]; width];
    let mut kept = vec![false; width];
    let mut left = measured.to_vec();
    let mut projected = vec![0.0; width];
    for column in 0..width {
        let whole = dot(&columns[column], &columns[column]).sqrt();
        for before in (0..column).filter(|&before| kept[before]) {
            let (head, tail) = columns.split_at_mut(column);
            let share = dot(&head[before], &tail[0]);
            upper[before][column] = share;
            subtract(&mut tail[0], &head[before], share);
        }
        let length = dot(&columns[column], &columns[column]).sqrt();
        if length <= whole * DEPENDENT || length == 0.0 {
            continue;
        }
        kept[column] = true;
        upper[column][column] = length;
        columns[column].iter_mut().for_each(|value| *value /= length);
        projected[column] = dot(&columns[column], &left);
        subtract(&mut left, &columns[column], projected[column]);
    }
    let mut coefficients = vec![0.0; width];
    for column in (0..width).rev().filter(|&column| kept[column]) {
        let later: f64 =
            (column + 1..width).map(|next| upper[column][next] * coefficients[next]).sum();
        coefficients[column] = (projected[column] - later) / upper[column][column];
    }
    coefficients
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn subtract(from: &mut [f64], what: &[f64], times: f64) {
    for (value, what) in from.iter_mut().zip(what) {
        *value -= times * what;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plane_is_found_and_a_dependent_column_left_out() {
        let rows: Vec<Vec<f64>> = (0..20)
            .map(|i| {
                let x = f64::from(i);
                vec![1.0, x, x * x, 2.0 * x, 0.0]
            })
            .collect();
        let measured: Vec<f64> = rows.iter().map(|row| 3.0 - 2.0 * row[1] + 0.5 * row[2]).collect();
        let found = least_squares(&rows, &measured);
        for (found, wanted) in found.iter().zip([3.0, -2.0, 0.5, 0.0, 0.0]) {
            assert!((found - wanted).abs() < 1e-9, "{found} is not {wanted}");
        }
    }
}
