//! What a log says of the free numbers: those that foretell its TTFTs best.
//!
//! The loss is the mean absolute log-ratio of foretold to measured TTFT, so that a prompt of 18 tokens counts as much as
//! one of 18,000 and no single stall decides. The search changes one number at a time, in both directions, by steps that
//! are halved when none helps: slow, but it needs no slopes (bytes on the wire count in whole round trips) and always
//! ends at the same place. A local minimum is all that is claimed.

use crate::assumptions::{FREE, FREE_NUMBERS};
use crate::replay::Answers;
use crate::{Assumptions, PredictError, RecordedLog, replay};

/// Most passes over all free numbers.
const MOST_PASSES: u32 = 60;
/// Steps begin at this share of a number's bounds, or of the number itself where that is less ...
const FIRST_STEP: (f64, f64) = (0.1, 0.5);
/// ... and end when they have been halved so often.
const HALVINGS: u32 = 7;

/// The outcome of a search.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// With the numbers found.
    pub assumptions: Assumptions,
    /// The loss before.
    pub loss_before: f64,
    /// The loss after.
    pub loss: f64,
    /// How often the log was replayed.
    pub replays: u32,
}

/// Fits the free numbers to a log.
///
/// # Errors
/// [`PredictError`] where the log cannot be replayed, or nothing in it was served.
pub fn fit(log: &RecordedLog, start: &Assumptions) -> Result<Fit, PredictError> {
    let mut best = start.clone();
    let loss_before = loss(log, &best)?;
    let mut found = loss_before;
    let mut replays = 1;
    let mut steps: [f64; FREE] = std::array::from_fn(|index| {
        let free = FREE_NUMBERS[index];
        let (of_bounds, of_value) = FIRST_STEP;
        let value = best.values()[index].abs() * of_value;
        let bounds = (free.most - free.least) * of_bounds;
        if value > 0.0 { value.min(bounds) } else { bounds }
    });
    let (mut halved, mut passes) = (0, 0);
    while halved < HALVINGS && passes < MOST_PASSES {
        passes += 1;
        let mut better = false;
        for index in (0..FREE).filter(|&index| !start.is_held(index)) {
            let free = FREE_NUMBERS[index];
            for step in [steps[index], -steps[index]] {
                let value = (best.values()[index] + step).clamp(free.least, free.most);
                let candidate = best.with(index, value)?;
                let candidate_loss = loss(log, &candidate)?;
                replays += 1;
                if candidate_loss < found {
                    (best, found, better) = (candidate, candidate_loss, true);
                    break;
                }
            }
        }
        if !better {
            steps = steps.map(|step| step / 2.0);
            halved += 1;
        }
    }
    Ok(Fit { assumptions: best, loss_before, loss: found, replays })
}

/// The mean absolute log-ratio of foretold to measured TTFT.
///
/// # Errors
/// [`PredictError`] where the log cannot be replayed, or nothing in it was served.
pub fn loss(log: &RecordedLog, assumptions: &Assumptions) -> Result<f64, PredictError> {
    let foretold = replay(log, assumptions, Answers::Recorded)?;
    let (mut sum, mut count) = (0.0, 0_u32);
    for (row, foretold) in log.rows().iter().zip(&foretold) {
        let (Some(measured), Some(foretold)) = (row.ttft_ms(), foretold) else { continue };
        // Both are above 0: the one by its reader, the other as no pass takes no time.
        sum += (foretold.ttft_ms / measured).ln().abs();
        count += 1;
    }
    if count == 0 {
        return Err(PredictError::TooFew {
            got: "no request that was served".to_owned(),
            wanted: "at least one (status 200)",
        });
    }
    Ok(sum / f64::from(count))
}
