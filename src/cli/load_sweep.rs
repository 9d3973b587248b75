//! A scenario whose load is a sweep: several runs of each policy, the later ones at rates that the first two measured.
//!
//! Each run is a row of the table and a directory of its own, `POLICY@sync`, `POLICY@max` and `POLICY@RATE`. All policies
//! get the same rates, so that they meet the same arrivals.

use crate::exit::Failure;
use gorgo_metrics::RunResult;
use gorgo_scenario::{LoadSpec, Requests, Resolved, SweepSpec};
use rayon::prelude::*;

/// Runs the sweep; `run` runs one policy of a scenario. The results stand in the order of policies, then of runs.
pub fn run_sweep(
    scenario: &Resolved,
    requests: &Requests,
    sweep: &SweepSpec,
    run: impl Fn(&Resolved, &Requests, usize) -> Result<RunResult, Failure> + Sync,
) -> Result<Vec<RunResult>, Failure> {
    let step = |word: &str, load: LoadSpec| -> Result<Vec<RunResult>, Failure> {
        let mut named = scenario.clone();
        let requests = requests.under(load);
        for policy in &mut named.router.policies {
            policy.label = format!("{}@{word}", policy.label);
        }
        (0..named.router.policies.len())
            .into_par_iter()
            .map(|policy| run(&named, &requests, policy))
            .collect()
    };
    let mut steps = vec![step("sync", SweepSpec::synchronous())?, step("max", sweep.throughput())?];
    let rates = |step: &[RunResult]| step.iter().map(completed_rps).collect::<Vec<f64>>();
    let slowest = rates(&steps[0]).into_iter().fold(f64::INFINITY, f64::min);
    let fastest = rates(&steps[1]).into_iter().fold(0.0, f64::max);
    let mut words: Vec<String> = Vec::new();
    for rate_rps in sweep.rates_rps(slowest, fastest) {
        // As many decimals as tell the rates apart. Where one request at a time is as fast as many, there is but one.
        let word = (2..=9).map(|decimals| format!("{rate_rps:.decimals$}"));
        let Some(word) = word.into_iter().find(|word| !words.contains(word)) else { break };
        steps.push(step(&word, sweep.at(rate_rps))?);
        words.push(word);
    }
    let mut by_policy: Vec<Vec<RunResult>> = Vec::new();
    for step in steps {
        by_policy.resize_with(step.len(), Vec::new);
        by_policy.iter_mut().zip(step).for_each(|(runs, run)| runs.push(run));
    }
    Ok(by_policy.into_iter().flatten().collect())
}

/// Completed requests per second of the measured window.
fn completed_rps(run: &RunResult) -> f64 {
    let window = &run.summary.window;
    let length_s = window.to_s - window.from_s;
    if length_s > 0.0 { window.measured_completed as f64 / length_s } else { 0.0 }
}
