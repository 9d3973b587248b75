//! Regret of one decision: the run repeated under the same draws, with this decision forced to each candidate in turn.
//!
//! Reported are the request's own TTFT and the summed change of everybody else's, because a choice that is best for
//! one request may cost the others more. Draws are keyed by request and link, so nothing else changes.

use crate::error::SimError;
use gorgo_metrics::RunResult;
use gorgo_types::{Nanos, ReplicaId, RequestId};
use std::collections::BTreeMap;

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

/// When each request of a run got its first token: all that regret needs of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstTokens(BTreeMap<RequestId, Option<Nanos>>);

impl FirstTokens {
    /// Of a run that kept its records.
    ///
    /// # Errors
    /// [`SimError::Forced`] for a run without records.
    pub fn of(run: &RunResult) -> Result<Self, SimError> {
        let wanted = || SimError::Forced("regret needs records: measure.records is never".into());
        let records = run.records.as_ref().ok_or_else(wanted)?;
        Ok(Self(records.iter().map(|record| (record.id, record.ttft())).collect()))
    }
}

/// Computes the regret of the decision that sent request `id` to `chosen`: `base` is the run as decided, and
/// `forced` are the runs with this decision forced to each replica, in the fleet's order.
#[must_use]
pub fn regret(
    id: RequestId,
    chosen: ReplicaId,
    base: &FirstTokens,
    forced: &[FirstTokens],
) -> Regret {
    let replicas = (0..).map(ReplicaId);
    let alternatives =
        replicas.zip(forced).map(|(replica, run)| alternative(id, replica, base, run)).collect();
    Regret { id, chosen, alternatives }
}

fn alternative(
    id: RequestId,
    replica: ReplicaId,
    base: &FirstTokens,
    forced: &FirstTokens,
) -> Alternative {
    let after = |id: &RequestId| forced.0.get(id).copied().flatten();
    let mut change_ms = 0.0;
    let mut unpaired = 0;
    for (other, &before) in base.0.iter().filter(|(other, _)| **other != id) {
        match (before, after(other)) {
            (Some(before), Some(after)) => change_ms += after.as_ms() - before.as_ms(),
            (None, None) => {}
            _ => unpaired += 1,
        }
    }
    let ttft = after(&id);
    Alternative { replica, ttft, others_change_ms: change_ms, others_unpaired: unpaired }
}
