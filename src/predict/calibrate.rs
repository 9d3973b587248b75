//! From measured requests to a cost profile: the fit of `gorgo-model`'s formulas to what a server did.
//!
//! Prefill, `t0 + b·n + c·n·(p + n/2)` of n new tokens after p cached ones, is fitted to requests that had their replica
//! to themselves until their first token. Decode, `t0 + b·sequences + c·context` a step, is fitted to the mean step of each
//! answer, after the passes of other prompts that fell into it have been taken out. Both make the sum of relative errors
//! least on three of every four requests, not that of their squares: a real server stalls now and then, ten times as long
//! as the work takes, and a few such requests must not move the fit. The fourth is held back, and the errors reported are
//! its. Coefficients are not negative: one that would be is left out, and the rest fitted again.
//!
//! What a lone request's first token takes outside of the GPU cannot be told from t0 unless the replica tells it: then it
//! is the overhead, else t0 has it.

use crate::PredictError;
use crate::regression::least_squares;
use gorgo_types::Nanos;

/// Of so many samples one is held back.
const HELD_BACK: usize = 4;
/// Fewer are no fit of three coefficients.
const FEWEST: usize = 12;
/// Answers of fewer tokens say little of a step.
const FEWEST_STEPS: u32 = 8;
/// Rounds of reweighting, after which the coefficients of samples like these no longer change in the sixth digit.
const ROUNDS: usize = 60;
/// Relative errors below this weigh as much as this: a sample that is met exactly would weigh all.
const LEAST_ERROR: f64 = 1e-6;
/// Least length of a step, ms: an answer that came all at once says nothing.
const SHORTEST_STEP_MS: f64 = 1e-3;

/// A completed request, as its client saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// Which replica, by any numbering; requests of different runs have different numbers.
    pub replica: u32,
    /// When it was sent.
    pub sent: Nanos,
    /// When its first token came.
    pub first_token: Nanos,
    /// When its last token came.
    pub finished: Nanos,
    /// Prompt length.
    pub prompt_tokens: u32,
    /// Of it, found in the cache.
    pub cached_tokens: u32,
    /// Output length.
    pub output_tokens: u32,
    /// The replica's own work outside the GPU, where it tells.
    pub overhead: Option<Nanos>,
    /// From its admission to its first token, or, where the replica does not tell, all that is behind the client.
    pub prefill: Nanos,
}

/// A fitted phase: milliseconds, a coefficient for each feature.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Phase {
    /// The constant, ms.
    pub base_ms: f64,
    /// Prefill: per new token. Decode: per sequence.
    pub per_unit_ms: f64,
    /// Prefill: c of `c·n·(p + n/2)`. Decode: per token of context.
    pub per_context_ms: f64,
    /// Samples fitted to.
    pub fitted: usize,
    /// Samples held back.
    pub held_back: usize,
    /// Mean of |fit / measured - 1| over those held back.
    pub error_mean: f64,
    /// Median of it, nearest rank: what a few stalls do not move.
    pub error_median: f64,
    /// 95th percentile of it, nearest rank.
    pub error_p95: f64,
    /// Largest features met: beyond them the fit extrapolates.
    pub largest: [f64; 2],
}

impl Phase {
    fn value(&self, features: [f64; 3]) -> f64 {
        self.base_ms * features[0]
            + self.per_unit_ms * features[1]
            + self.per_context_ms * features[2]
    }
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Calibration {
    /// Prefill.
    pub prefill: Phase,
    /// Decode; none where no answer was long enough.
    pub decode: Option<Phase>,
    /// Median overhead, ms; none where no replica told.
    pub overhead_ms: Option<f64>,
}

/// Fits a profile.
///
/// # Errors
/// [`PredictError::TooFew`] where fewer than twelve requests had their replica to themselves.
pub fn calibrate(requests: &[Measured]) -> Result<Calibration, PredictError> {
    let mut sorted = requests.to_vec();
    sorted.retain(|r| r.sent <= r.first_token && r.first_token <= r.finished);
    sorted.sort_by_key(|r| (r.replica, r.sent, r.first_token));
    let replicas: Vec<&[Measured]> = sorted.chunk_by(|a, b| a.replica == b.replica).collect();
    let mut prefills = Vec::new();
    for requests in &replicas {
        prefills.extend(alone(requests).map(prefill_sample));
    }
    let prefill = fit(&prefills).ok_or_else(|| PredictError::TooFew {
        got: format!("{} requests that had their replica to themselves", prefills.len()),
        wanted: "at least 12, of different lengths: a run at low load",
    })?;
    let mut decodes = Vec::new();
    for requests in &replicas {
        decode_samples(requests, &prefill, &mut decodes);
    }
    let mut overheads: Vec<Nanos> = sorted.iter().filter_map(|r| r.overhead).collect();
    overheads.sort_unstable();
    let overhead_ms = overheads.get(overheads.len() / 2).map(|overhead| overhead.as_ms());
    Ok(Calibration { prefill, decode: fit(&decodes), overhead_ms })
}

/// A row of a fit: features, and what was measured, ms.
type Row = ([f64; 3], f64);

/// Requests during whose wait for the first token no other one was at the replica.
fn alone(requests: &[Measured]) -> impl Iterator<Item = &Measured> {
    // By time of sending, so an earlier one is under way if any of those before ends later.
    let mut busy_until = Nanos::ZERO;
    requests.iter().enumerate().filter_map(move |(at, request)| {
        let before = busy_until;
        busy_until = busy_until.max(request.finished);
        let next = requests.get(at + 1);
        let followed = next.is_some_and(|next| next.sent < request.first_token);
        (before <= request.sent && !followed).then_some(request)
    })
}

fn prefill_features(request: &Measured) -> [f64; 3] {
    let cached = f64::from(request.cached_tokens.min(request.prompt_tokens));
    let new = f64::from(request.prompt_tokens) - cached;
    [1.0, new, new * (cached + new / 2.0)]
}

fn prefill_sample(request: &Measured) -> Row {
    (prefill_features(request), request.prefill.as_ms())
}

/// The mean step of each answer, with the mean batch and the mean context of the time it took.
fn decode_samples(requests: &[Measured], prefill: &Phase, rows: &mut Vec<Row>) {
    // When the last of all before it ended: whoever is before the first that reaches into a span does not matter to it.
    let mut last = Nanos::ZERO;
    let ended: Vec<Nanos> = requests
        .iter()
        .map(|request| {
            last = last.max(request.finished);
            last
        })
        .collect();
    for request in requests {
        let Some(steps) = request.output_tokens.checked_sub(1).filter(|n| *n >= FEWEST_STEPS - 1)
        else {
            continue;
        };
        let (from, to) = (request.first_token, request.finished);
        let span = (to - from).as_ms();
        if span <= 0.0 {
            continue;
        }
        let (mut sequences, mut context, mut interrupted) = (0.0, 0.0, 0.0);
        let first = ended.partition_point(|end| *end < from);
        for other in requests[first..].iter().take_while(|other| other.sent < to) {
            if from < other.first_token && other.first_token < to {
                interrupted += prefill.value(prefill_features(other));
            }
            let (a, b) = (other.first_token.max(from), other.finished.min(to));
            if a >= b {
                continue;
            }
            let share = (b - a).as_ms() / span;
            // Its answer grows evenly from its first to its last token.
            let whole = (other.finished - other.first_token).as_ms();
            let middle = ((a - other.first_token).as_ms() + (b - other.first_token).as_ms()) / 2.0;
            let grown = f64::from(other.output_tokens) * middle / whole;
            sequences += share;
            context += share * (f64::from(other.prompt_tokens) + grown);
        }
        let step = (span - interrupted) / f64::from(steps);
        if step > SHORTEST_STEP_MS {
            rows.push(([1.0, sequences, context], step));
        }
    }
}

/// Least relative errors over three of four rows; the errors of the others.
fn fit(rows: &[Row]) -> Option<Phase> {
    if rows.len() < FEWEST {
        return None;
    }
    // Every fourth by what is measured, so that both parts span the same range.
    let mut sorted: Vec<&Row> = rows.iter().filter(|(_, ms)| *ms > 0.0).collect();
    sorted.sort_by(|a, b| a.1.total_cmp(&b.1));
    let is_held = |at: usize| at % HELD_BACK == HELD_BACK / 2;
    let fitted: Vec<&Row> =
        sorted.iter().enumerate().filter(|(at, _)| !is_held(*at)).map(|(_, row)| *row).collect();
    let held: Vec<&Row> =
        sorted.iter().enumerate().filter(|(at, _)| is_held(*at)).map(|(_, row)| *row).collect();
    let mut used = [true; 3];
    let coefficients = loop {
        let weighted = |row: &Row| -> Vec<f64> {
            let kept = row.0.iter().zip(used).filter(|(_, used)| *used);
            kept.map(|(feature, _)| feature / row.1).collect()
        };
        let scaled: Vec<Vec<f64>> = fitted.iter().map(|row| weighted(row)).collect();
        let mut found = least_errors(&scaled).into_iter();
        let all: [f64; 3] =
            std::array::from_fn(|at| if used[at] { found.next().unwrap_or(0.0) } else { 0.0 });
        let worst = (0..3).filter(|&at| all[at] < 0.0).min_by(|&a, &b| {
            // The one that takes most away from the mean time.
            let mean = |at: usize| all[at] * fitted.iter().map(|row| row.0[at]).sum::<f64>();
            mean(a).total_cmp(&mean(b))
        });
        match worst {
            Some(at) => used[at] = false,
            None => break all,
        }
    };
    let mut phase = Phase {
        base_ms: coefficients[0],
        per_unit_ms: coefficients[1],
        per_context_ms: coefficients[2],
        fitted: fitted.len(),
        held_back: held.len(),
        error_mean: 0.0,
        error_median: 0.0,
        error_p95: 0.0,
        largest: std::array::from_fn(|at| {
            sorted.iter().map(|row| row.0[at + 1]).fold(0.0, f64::max)
        }),
    };
    let mut errors: Vec<f64> =
        held.iter().map(|(features, ms)| (phase.value(*features) / ms - 1.0).abs()).collect();
    errors.sort_by(f64::total_cmp);
    phase.error_mean = errors.iter().sum::<f64>() / errors.len() as f64;
    phase.error_median = errors[errors.len().div_ceil(2).max(1) - 1];
    phase.error_p95 = errors[(errors.len() * 95).div_ceil(100).max(1) - 1];
    Some(phase)
}

/// Coefficients for which the rows come nearest to 1 in the sum of their distances: least squares, again and again, each row
/// weighted by one over its last distance.
fn least_errors(rows: &[Vec<f64>]) -> Vec<f64> {
    let mut found = least_squares(rows, &vec![1.0; rows.len()]);
    for _ in 0..ROUNDS {
        let roots: Vec<f64> = rows
            .iter()
            .map(|row| {
                let value: f64 = row.iter().zip(&found).map(|(feature, c)| feature * c).sum();
                (value - 1.0).abs().max(LEAST_ERROR).sqrt().recip()
            })
            .collect();
        let weighted: Vec<Vec<f64>> = rows
            .iter()
            .zip(&roots)
            .map(|(row, root)| row.iter().map(|feature| feature * root).collect())
            .collect();
        found = least_squares(&weighted, &roots);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The n-th of lone requests whose times follow these formulas.
    fn request(n: u32, at_ms: &mut f64) -> Measured {
        let (prompt, cached) = (200 + n * 97 % 4_000, n * 61 % 190);
        let features = prefill_features(&Measured {
            replica: 0,
            sent: Nanos::ZERO,
            first_token: Nanos::ZERO,
            finished: Nanos::ZERO,
            prompt_tokens: prompt,
            cached_tokens: cached,
            output_tokens: 1,
            overhead: None,
            prefill: Nanos::ZERO,
        });
        let prefill = 8.0 + 0.02 * features[1] + 1e-6 * features[2];
        let output = 20 + n % 50;
        let step = 5.0 + 0.1 + 1e-4 * f64::from(prompt + output / 2);
        let sent = *at_ms;
        let first = sent + 3.0 + prefill;
        let finished = first + step * f64::from(output - 1);
        *at_ms = finished + 10.0;
        let at = |ms: f64| Nanos::from_ms(ms).unwrap();
        Measured {
            replica: 0,
            sent: at(sent),
            first_token: at(first),
            finished: at(finished),
            prompt_tokens: prompt,
            cached_tokens: cached,
            output_tokens: output,
            overhead: Some(at(3.0)),
            prefill: at(prefill),
        }
    }

    #[test]
    fn a_known_profile_is_found_again() {
        let mut at_ms = 0.0;
        let requests: Vec<Measured> = (0..200).map(|n| request(n, &mut at_ms)).collect();
        let found = calibrate(&requests).unwrap();
        let close = |found: f64, wanted: f64, within: f64| {
            assert!((found / wanted - 1.0).abs() < within, "{found} is not {wanted}");
        };
        close(found.prefill.base_ms, 8.0, 1e-3);
        close(found.prefill.per_unit_ms, 0.02, 1e-3);
        close(found.prefill.per_context_ms, 1e-6, 1e-2);
        assert!(found.prefill.error_p95 < 1e-4 && found.prefill.held_back == 50);
        let decode = found.decode.unwrap();
        // Alone, the constant and the one sequence cannot be told apart.
        close(decode.base_ms + decode.per_unit_ms, 5.1, 2e-2);
        close(decode.per_context_ms, 1e-4, 5e-2);
        assert_eq!(found.overhead_ms, Some(3.0));
    }

    #[test]
    fn requests_that_share_a_replica_are_not_taken_for_lone_ones() {
        let mut at_ms = 0.0;
        let mut requests: Vec<Measured> = (0..40).map(|n| request(n, &mut at_ms)).collect();
        let first = requests[0];
        // A second one at the same time, whose first token took a hundred times as long.
        let late = first.sent + Nanos::from_millis(900);
        requests[1] = Measured { first_token: late, finished: late, prefill: late, ..first };
        let sorted = requests.clone();
        assert!(!alone(&sorted).any(|r| r.sent == first.sent));
        requests.iter_mut().for_each(|r| r.replica = 7);
        assert!(calibrate(&requests).is_ok());
        let refused = calibrate(&requests[..5]).unwrap_err().to_string();
        assert!(refused.contains("wanted at least 12"), "{refused}");
        assert!(calibrate(&[]).is_err());
    }

    #[test]
    fn a_few_stalls_do_not_move_the_fit() {
        // Every ninth takes ten times as long as the formula says.
        let row = |n: u32| {
            let new = f64::from(n * 37 % 900 + 20);
            let features = [1.0, new, new * new / 2.0];
            let ms = 8.0 + 0.05 * new + 2e-5 * features[2];
            (features, if n % 9 == 4 { 10.0 * ms } else { ms })
        };
        let phase = fit(&(0..180).map(row).collect::<Vec<_>>()).unwrap();
        for (found, wanted) in
            [(phase.base_ms, 8.0), (phase.per_unit_ms, 0.05), (phase.per_context_ms, 2e-5)]
        {
            assert!((found / wanted - 1.0).abs() < 1e-2, "{phase:?}");
        }
        assert!(phase.error_median < 1e-2 && phase.error_p95 > 0.5, "{phase:?}");
    }

    #[test]
    fn no_coefficient_is_negative() {
        // Times that fall with length.
        let rows: Vec<Row> = (1..40)
            .map(|n| ([1.0, f64::from(n), f64::from(n * n)], 100.0 - f64::from(n)))
            .collect();
        let phase = fit(&rows).unwrap();
        for value in [phase.base_ms, phase.per_unit_ms, phase.per_context_ms] {
            assert!(value >= 0.0 && value.is_finite(), "{phase:?}");
        }
    }
}
