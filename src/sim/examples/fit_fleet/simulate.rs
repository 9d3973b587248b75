//! Runs of the scenario under candidate profiles: the same requests, draws and routes for every candidate and seed.

use crate::measured::Samples;
use crate::parameters::Fleet;
use gorgo_model::ReplicaConfig;
use gorgo_scenario::{Parsed, Resolved};
use gorgo_sim::{PolicyRun, RunOptions, run_policy};
use gorgo_workload::Recorded;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// The scenario under several seeds.
pub struct Stage {
    seeds: Vec<(Resolved, Recorded)>,
    threads: usize,
}

impl Stage {
    pub fn new(file: &Path, sets: &[String], seeds: u64, threads: usize) -> Result<Self, String> {
        let seeds = (1..=seeds).map(|seed| {
            let mut sets = sets.to_vec();
            sets.push(format!("seed={seed}"));
            let parsed = Parsed::from_file(file, &sets).map_err(|error| error.to_string())?;
            let base = file.parent().unwrap_or(Path::new(""));
            let resolved = parsed.resolve(base).map_err(|error| error.to_string())?;
            let requests = resolved.requests().and_then(|requests| {
                let mut source = requests.source()?;
                Recorded::read(&mut *source)
            });
            let requests = requests.map_err(|error| error.to_string())?;
            Ok((resolved, requests))
        });
        Ok(Self { seeds: seeds.collect::<Result<_, String>>()?, threads })
    }

    /// One run: the policy of that label, with a fleet's parameters.
    fn run(&self, seed: usize, label: &str, fleet: &Fleet) -> Result<Samples, String> {
        let (scenario, requests) = &self.seeds[seed];
        let mut scenario = scenario.clone();
        let profile = &fleet.profile;
        scenario.router.decision_time = fleet.decision_time;
        scenario.router.relay_time_per_token = fleet.relay_time_per_token;
        for replica in &mut scenario.replicas {
            replica.overhead = profile.overhead;
            replica.config = ReplicaConfig {
                profile: Arc::clone(profile),
                kv_pool_tokens: profile.kv_pool_tokens,
                limits: profile.limits.clone(),
                ..replica.config.clone()
            };
        }
        let policies = &scenario.router.policies;
        let policy = policies.iter().position(|policy| policy.label == label);
        let policy = policy.ok_or_else(|| format!("the scenario has no policy {label:?}"))?;
        let source = Box::new(requests.replay());
        let options = RunOptions::default();
        let run = PolicyRun { scenario: &scenario, policy, source, options };
        let result = run_policy(run).map_err(|error| error.to_string())?;
        let records = result.records.ok_or("the scenario keeps no records")?;
        Samples::of_run(&records)
    }

    /// The runs of every (fleet, policy, seed), in that order, on all threads.
    pub fn runs(
        &self,
        fleets: &[Fleet],
        labels: &[&str],
    ) -> Result<Vec<Vec<Vec<Samples>>>, String> {
        let (policies, seeds) = (labels.len(), self.seeds.len());
        let jobs = fleets.len() * policies * seeds;
        let next = AtomicUsize::new(0);
        let done: Mutex<Vec<Option<Result<Samples, String>>>> = Mutex::new(vec![None; jobs]);
        std::thread::scope(|scope| {
            for _ in 0..self.threads.min(jobs) {
                scope.spawn(|| {
                    loop {
                        let job = next.fetch_add(1, Ordering::Relaxed);
                        if job >= jobs {
                            return;
                        }
                        let fleet = &fleets[job / (policies * seeds)];
                        let run = self.run(job % seeds, labels[job / seeds % policies], fleet);
                        done.lock().expect("no thread panics")[job] = Some(run);
                    }
                });
            }
        });
        let done = done.into_inner().expect("no thread panics");
        let flat: Result<Vec<Samples>, String> =
            done.into_iter().map(|run| run.expect("every job was done")).collect();
        let flat = flat?;
        let by_seed = |runs: &[Samples]| runs.chunks(seeds).map(<[Samples]>::to_vec).collect();
        Ok(flat.chunks(policies * seeds).map(by_seed).collect())
    }
}
