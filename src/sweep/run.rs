//! One run of a sweep, and the requests that runs share.

use crate::error::SweepError;
use crate::plan::Plan;
use gorgo_metrics::{FleetNames, RequestRecord, RunResult, Summary};
use gorgo_scenario::{Requests, Resolved, WorkloadSpec};
use gorgo_sim::{PolicyRun, RunOptions, run_policy};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Counts by value, ns; those of several runs add up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Histograms {
    /// TTFT of the measured completed requests: (most of a bucket, how many).
    pub ttft_ns: Vec<(u64, u64)>,
    /// Their E2E.
    pub e2e_ns: Vec<(u64, u64)>,
    /// Single gaps between tokens.
    pub itl_ns: Vec<(u64, u64)>,
}

impl Histograms {
    fn of(run: &RunResult) -> Self {
        Self {
            ttft_ns: run.ttft.filled().collect(),
            e2e_ns: run.e2e.filled().collect(),
            itl_ns: run.itl.filled().collect(),
        }
    }

    /// Adds the counts of another run: the buckets of all runs have the same bounds, so what comes out are the counts
    /// of both runs' requests together.
    pub fn merge(&mut self, other: &Self) {
        let series = [
            (&mut self.ttft_ns, &other.ttft_ns),
            (&mut self.e2e_ns, &other.e2e_ns),
            (&mut self.itl_ns, &other.itl_ns),
        ];
        for (own, other) in series {
            let mut sums: BTreeMap<u64, u64> = own.iter().copied().collect();
            for &(value, count) in other {
                let sum = sums.entry(value).or_default();
                *sum = sum.saturating_add(count);
            }
            *own = sums.into_iter().collect();
        }
    }
}

/// What a run leaves behind.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its numbers.
    pub summary: Summary,
    /// Its histograms.
    pub histograms: Histograms,
    /// Names for the ids in `records`.
    pub names: FleetNames,
    /// Its requests; none for a run too large to hold them.
    pub records: Option<Vec<RequestRecord>>,
}

/// Requests that several runs have in common, read or planned once. It keeps those of the last few workloads.
#[derive(Debug, Default)]
pub struct Pool {
    kept: Mutex<BTreeMap<String, Kept>>,
    limit: usize,
}

/// The requests of a workload, once the first who asked for them has read them.
#[derive(Debug, Default)]
struct Kept {
    /// Rises with every use.
    used: u64,
    requests: Arc<Mutex<Option<Requests>>>,
}

impl Pool {
    /// A pool that keeps so many workloads at most, 1 or more.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { kept: Mutex::default(), limit: limit.max(1) }
    }

    pub(crate) fn requests(&self, scenario: &Resolved) -> Result<Requests, SweepError> {
        let key = key_of(scenario);
        let slot = {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            let newest = kept.values().map(|kept| kept.used).max().unwrap_or(0) + 1;
            let slot = kept.entry(key).or_default();
            slot.used = newest;
            let slot = Arc::clone(&slot.requests);
            while kept.len() > self.limit {
                let oldest = kept.iter().min_by_key(|(_, kept)| kept.used);
                let Some(oldest) = oldest.map(|(key, _)| key.clone()) else { break };
                kept.remove(&oldest);
            }
            slot
        };
        // Whoever comes second waits here until the first has read them.
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(requests) = &*slot {
            return Ok(requests.clone());
        }
        let requests = scenario.requests()?;
        *slot = Some(requests.clone());
        Ok(requests)
    }
}

/// What requests depend on: the workload and its load, and the seed that they are drawn by.
fn key_of(scenario: &Resolved) -> String {
    let drawn = !matches!(
        (&scenario.demand.workload, &scenario.demand.load),
        (
            WorkloadSpec::Trace { .. } | WorkloadSpec::ArrivalsCsv { .. },
            gorgo_scenario::LoadSpec::Own
        )
    );
    let seed = if drawn { scenario.seed } else { 0 };
    format!("{seed} {:?}", scenario.demand)
}

impl Plan {
    /// Runs a cell's scenario.
    ///
    /// # Errors
    /// When its requests cannot be had, or the run fails.
    pub fn run(
        &self,
        index: usize,
        scenario: &Resolved,
        pool: &Pool,
    ) -> Result<Outcome, SweepError> {
        let requests = pool.requests(scenario)?;
        let source = requests.source()?;
        let options = RunOptions::default();
        let run =
            run_policy(PolicyRun { scenario, policy: 0, source, options }).map_err(|error| {
                let setting = self.words(self.cell(index).setting);
                SweepError::Run { cell: index, setting, source: Box::new(error) }
            })?;
        let histograms = Histograms::of(&run);
        let RunResult { summary, names, records, .. } = run;
        Ok(Outcome { summary, histograms, names, records })
    }
}
