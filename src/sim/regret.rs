//! Regret of one decision: the run repeated under the same draws, with this decision forced to each candidate in turn.
//!
//! Reported are the request's own TTFT and the summed change of everybody else's, because a choice that is best for
//! one request may cost the others more. Draws are keyed by request and link, so nothing else changes.

use crate::error::SimError;
use gorgo_metrics::RunResult;
use gorgo_types::{Nanos, ReplicaId, RequestId};

/// What would have happened, had the request gone to one replica.
#[derive(Clone, Debug, PartialEq)]
pub struct Alternative {
    /// The replica.
    pub replica: ReplicaId,
    /// The request's own TTFT; `None` where it never got a first token.
    pub ttft: Option<Nanos>,
    /// Sum over all other requests of (TTFT here − TTFT as decided), in milliseconds; requests without a first token
    /// in either run are left out and counted in `others_unpaired`.
    pub others_change_ms: f64,
    /// Others that have a first token in one of the two runs only.
    pub others_unpaired: u64,
}

/// The regret of one decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Regret {
    /// The request.
    pub id: RequestId,
    /// Where it went.
    pub chosen: ReplicaId,
    /// Every candidate, in the fleet's order, the chosen one included.
    pub alternatives: Vec<Alternative>,
}

impl Regret {
    /// TTFT as decided minus the best TTFT of any candidate, in milliseconds; `None` where a TTFT is missing.
    #[must_use]
    pub fn own_ms(&self) -> Option<f64> {
        let own = |a: &Alternative| a.ttft.map(Nanos::as_ms);
        let chosen = self.alternatives.iter().find(|a| a.replica == self.chosen).and_then(own)?;
        let best = self.alternatives.iter().filter_map(own).min_by(f64::total_cmp)?;
        Some(chosen - best)
    }

    /// As [`Regret::own_ms`], but with the change of everybody else's TTFT added to each candidate's.
    #[must_use]
    pub fn total_ms(&self) -> Option<f64> {
        let total = |a: &Alternative| a.ttft.map(|ttft| ttft.as_ms() + a.others_change_ms);
        let chosen = self.alternatives.iter().find(|a| a.replica == self.chosen).and_then(total)?;
        let best = self.alternatives.iter().filter_map(total).min_by(f64::total_cmp)?;
        Some(chosen - best)
    }
}

/// Computes the regret of the decision on request `id`. `rerun` repeats the run, with this request forced to the given
/// replica, or as decided for `None`; it must keep records.
///
/// # Errors
/// When a run fails, keeps no records, or the request is not in them.
pub fn regret(
    id: RequestId,
    replicas: usize,
    mut rerun: impl FnMut(Option<(RequestId, ReplicaId)>) -> Result<RunResult, SimError>,
) -> Result<Regret, SimError> {
    let base = rerun(None)?;
    let base_ttft = first_tokens(&base)?;
    let chosen = base
        .records
        .iter()
        .flatten()
        .find(|record| record.id == id)
        .and_then(|record| record.replica)
        .ok_or_else(|| SimError::Forced(format!("request {id} was never sent to a replica")))?;
    let alternatives = (0..replicas)
        .map(|index| {
            let replica = ReplicaId(index as u32);
            let forced = rerun(Some((id, replica)))?;
            Ok(alternative(id, replica, &base_ttft, &first_tokens(&forced)?))
        })
        .collect::<Result<_, SimError>>()?;
    Ok(Regret { id, chosen, alternatives })
}

/// TTFT by request, in order of identity.
type Ttfts = std::collections::BTreeMap<RequestId, Option<Nanos>>;

fn first_tokens(run: &RunResult) -> Result<Ttfts, SimError> {
    let records = run
        .records
        .as_ref()
        .ok_or_else(|| SimError::Forced("regret needs records: measure.records is never".into()))?;
    Ok(records.iter().map(|record| (record.id, record.ttft())).collect())
}

fn alternative(id: RequestId, replica: ReplicaId, base: &Ttfts, forced: &Ttfts) -> Alternative {
    let mut change_ms = 0.0;
    let mut unpaired = 0;
    for (other, &before) in base.iter().filter(|(other, _)| **other != id) {
        match (before, forced.get(other).copied().flatten()) {
            (Some(before), Some(after)) => change_ms += after.as_ms() - before.as_ms(),
            (None, None) => {}
            _ => unpaired += 1,
        }
    }
    Alternative {
        replica,
        ttft: forced.get(&id).copied().flatten(),
        others_change_ms: change_ms,
        others_unpaired: unpaired,
    }
}
