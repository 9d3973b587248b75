//! Runs a question: one job is a point of a panel under one seed, with all its policies on the same requests.
//!
//! Jobs are independent and their rows do not depend on the order in which they are run; who calls decides on how many
//! threads that is. Read `table.rs` next for what becomes of the rows.

use super::measure::Values;
use super::question::{How, Measured, Question, Task};
use crate::error::PapersError;
use gorgo_metrics::RunResult;
use gorgo_scenario::{Parsed, PolicySpec, Requests, Resolved, WorkloadSpec};
use gorgo_sim::{PolicyRun, RunOptions, run_policy};
use std::path::Path;

/// What was measured of one policy at one point under one seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The panel's number.
    pub panel: usize,
    /// The point's number.
    pub point: usize,
    /// The seed.
    pub seed: u64,
    /// The policy's label.
    pub policy: String,
    /// The numbers.
    pub values: Values,
}

/// A panel under one seed, at all its points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    /// The panel's number.
    pub panel: usize,
    /// The seed.
    pub seed: u64,
}

/// All jobs of a question, for seeds from 1 on.
#[must_use]
pub fn jobs(question: &Question, seeds: u64) -> Vec<Job> {
    let panels = question.panels.iter().enumerate();
    panels
        .flat_map(|(panel, shape)| {
            let seeds = if shape.one_seed { 1 } else { seeds };
            (1..=seeds).map(move |seed| Job { panel, seed })
        })
        .collect()
}

/// Runs a job.
///
/// # Errors
/// When the scenario is wrong or a run fails.
pub fn run(question: &Question, job: Job) -> Result<Vec<Row>, PapersError> {
    let Job { panel, seed } = job;
    let shape = &question.panels[panel];
    let mut rows = Vec::new();
    let mut kept = Kept::default();
    for (point, step) in shape.points.iter().enumerate() {
        let task = Task { panel: shape, point: step, seed };
        let found = match shape.how {
            How::Simulate => task.simulate(&mut kept)?,
            How::Own(own) => own(&task)?,
        };
        let row = |(policy, values)| Row { panel, point, seed, policy, values };
        rows.extend(found.into_iter().map(row));
    }
    Ok(rows)
}

/// Runs one policy; an error says which it was.
pub(super) fn run_one(run: PolicyRun<'_>) -> Result<RunResult, PapersError> {
    let (scenario, policy, seed) = (
        run.scenario.name.clone(),
        run.scenario.router.policies[run.policy].label.clone(),
        run.scenario.seed,
    );
    run_policy(run).map_err(|source| PapersError::Run {
        scenario,
        policy,
        seed,
        source: Box::new(source),
    })
}

/// What one point leaves to the next ones of its job.
#[derive(Default)]
struct Kept {
    /// The last point's requests: some workloads take longer to plan than to simulate.
    requests: Option<(WorkloadSpec, Requests)>,
    /// What was run, as a scenario of one policy, and what came of it. A point that changes nothing for a policy is
    /// not run again: the same scenario gives the same numbers.
    runs: Vec<(String, Values)>,
}

/// The scenario as it is for one of its policies.
fn alone(scenario: &Resolved, policy: usize) -> String {
    let mut alone = scenario.clone();
    let kept = alone.router.policies.swap_remove(policy);
    alone.router.policies = vec![kept];
    alone.to_toml()
}

impl Task<'_> {
    /// The scenario at this point, with the panel's policies only.
    ///
    /// # Errors
    /// When it does not hold together.
    pub fn scenario(&self) -> Result<Resolved, PapersError> {
        let file = self.panel.scenario.file;
        let seed = format!("seed={}", self.seed);
        let sets: Vec<&str> = self.point.sets.iter().map(String::as_str).chain([&*seed]).collect();
        let parsed = Parsed::new(file, self.panel.scenario.text, &sets)?;
        let mut scenario = parsed.resolve(Path::new(""))?;
        if !self.panel.policies.is_empty() {
            let all = std::mem::take(&mut scenario.router.policies);
            scenario.router.policies = self.keep(&all)?;
        }
        Ok(scenario)
    }

    fn keep(&self, all: &[PolicySpec]) -> Result<Vec<PolicySpec>, PapersError> {
        let find = |label: &&str| {
            all.iter().find(|policy| policy.label == **label).cloned().ok_or_else(|| {
                let experiment = self.panel.scenario.file.to_owned();
                PapersError::Experiment {
                    experiment,
                    problem: format!("got the policy `{label}`, wanted one of the scenario's"),
                }
            })
        };
        self.panel.policies.iter().map(find).collect()
    }

    fn simulate(&self, kept: &mut Kept) -> Result<Measured, PapersError> {
        let scenario = self.scenario()?;
        let demand = &scenario.demand;
        let requests = match kept.requests.take() {
            Some((workload, requests)) if workload == demand.workload => {
                requests.under(demand.load)
            }
            _ => scenario.requests()?,
        };
        kept.requests = Some((demand.workload.clone(), requests.clone()));
        let policies = 0..scenario.router.policies.len();
        policies
            .map(|policy| {
                let label = scenario.router.policies[policy].label.clone();
                let alone = alone(&scenario, policy);
                let same = kept.runs.iter().find(|(known, _)| *known == alone);
                if let Some((_, values)) = same {
                    return Ok((label, values.clone()));
                }
                let source = requests.source()?;
                let options = RunOptions::default();
                let run = run_one(PolicyRun { scenario: &scenario, policy, source, options })?;
                let values = Values::of(&run);
                kept.runs.push((alone, values.clone()));
                Ok((label, values))
            })
            .collect()
    }
}
