//! How trials are run: on all threads, each different scenario once, the numbers in the order in which they were asked for.

use super::log::{Log, Row};
use super::unknown;
use crate::exit::Failure;
use crate::progress::Progress;
use gorgo_metrics::Numbers;
use gorgo_scenario::Resolved;
use gorgo_sweep::{Bench, METRICS, Pool, RunId};
use gorgo_tune::{Trial, World};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Most workloads that are kept to be met again.
const MOST_KEPT: u64 = 16;

/// A bench with threads.
pub(crate) struct Runner<'a> {
    bench: &'a Bench,
    metrics: Vec<String>,
    threads: rayon::ThreadPool,
    policy: String,
    /// Assignments of the phase, before those of a setting.
    sets: Vec<String>,
    pool: Pool,
    /// The numbers of every scenario that was run.
    known: BTreeMap<RunId, Row>,
    /// Where they are kept.
    log: Option<Log>,
    progress: Option<(Progress, u64)>,
    /// How many different runs were asked for.
    pub runs: u64,
    /// How many of them an earlier search had left in the log.
    pub from_log: u64,
}

impl<'a> Runner<'a> {
    pub fn new(
        bench: &'a Bench,
        metrics: Vec<&str>,
        threads: Option<u16>,
    ) -> Result<Self, Failure> {
        let threads = crate::threads::threads(threads)?;
        Ok(Self {
            bench,
            metrics: metrics.into_iter().map(str::to_owned).collect(),
            threads,
            policy: String::new(),
            sets: Vec::new(),
            pool: Pool::new(1),
            known: BTreeMap::new(),
            log: None,
            progress: None,
            runs: 0,
            from_log: 0,
        })
    }

    /// From here on trials are run under this policy and these assignments, over about so many seeds.
    pub fn phase(&mut self, policy: &str, sets: [&[String]; 2], seeds: u64) {
        policy.clone_into(&mut self.policy);
        self.sets = sets.concat();
        let threads = self.threads.current_num_threads() as u64;
        self.pool = Pool::new((seeds.min(MOST_KEPT) + threads) as usize);
    }

    /// Keeps every run in a folder, and with `resume` does not make again what it holds.
    pub fn keep_in(&mut self, folder: &Path, resume: bool) -> Result<(), Failure> {
        self.log = Some(Log::open(folder, &self.metrics, resume)?);
        Ok(())
    }

    /// Ends the log.
    pub fn close(&mut self) -> Result<(), Failure> {
        self.log.take().map_or(Ok(()), |log| log.finish(&self.known))
    }

    /// Shows how many candidates have been proposed, or values tried.
    pub fn show(&mut self, progress: Progress) {
        self.progress = Some((progress, 0));
    }

    /// Ends that.
    pub fn finish(&mut self) {
        if let Some((progress, _)) = self.progress.take() {
            progress.finish();
        }
    }

    /// The scenario of a setting in this phase.
    pub fn scenario(&self, setting: &[String], seed: u64) -> Result<Resolved, Failure> {
        let sets: Vec<String> = self.sets.iter().chain(setting).cloned().collect();
        self.bench.resolve(Some(&self.policy), &sets, seed).map_err(Failure::from)
    }

    /// What the log had of a run when it was opened.
    fn kept(&self, id: RunId) -> Option<&Row> {
        self.log.as_ref().and_then(|log| log.kept(id))
    }

    /// Runs one setting under seeds.
    pub fn rows(&mut self, setting: &[String], seeds: &[u64]) -> Result<Vec<Row>, Failure> {
        let trials: Vec<Trial<'_>> = seeds.iter().map(|&seed| Trial { setting, seed }).collect();
        self.run(&trials)
    }

    /// Runs the scenario as it stands and makes sure that it has the metrics, and that both ends of the axes make sense.
    pub fn knows(&mut self, seeds: &[u64]) -> Result<(), Failure> {
        let dimensions = self.bench.spans().len();
        for end in [0.0, 1.0] {
            self.scenario(&self.bench.setting(&vec![end; dimensions]), seeds[0])?;
        }
        self.has_metrics(&[], seeds[0])
    }

    /// Runs a setting once and makes sure that its summary has the metrics.
    pub fn has_metrics(&mut self, setting: &[String], seed: u64) -> Result<(), Failure> {
        let rows = self.rows(setting, &[seed])?;
        for (metric, value) in self.metrics.iter().zip(&rows[0]) {
            // A percentile may be missing because too few requests ended; a name that no summary has is a mistake.
            if value.is_none() && !METRICS.contains(&metric.as_str()) {
                return Err(unknown(metric));
            }
        }
        Ok(())
    }
}

impl World for Runner<'_> {
    type Error = Failure;

    fn setting(&self, point: &[f64]) -> Vec<String> {
        self.bench.setting(point)
    }

    fn run(&mut self, trials: &[Trial<'_>]) -> Result<Vec<Row>, Failure> {
        let this = &*self;
        let scenarios: Vec<(RunId, Resolved)> = self.threads.install(|| {
            trials
                .par_iter()
                .map(|trial| {
                    let scenario = this.scenario(trial.setting, trial.seed)?;
                    Ok((Bench::run_id(&scenario), scenario))
                })
                .collect::<Result<_, Failure>>()
        })?;
        let mut taken = BTreeSet::new();
        let new: Vec<usize> = (0..trials.len())
            .filter(|&index| {
                let id = scenarios[index].0;
                !self.known.contains_key(&id) && taken.insert(id)
            })
            .collect();
        let rows: Vec<(RunId, Row)> = self.threads.install(|| {
            new.par_iter()
                .map(|&index| {
                    let (id, scenario) = &scenarios[index];
                    if let Some(row) = this.kept(*id) {
                        return Ok((*id, row.clone()));
                    }
                    let summary = Bench::run(scenario, trials[index].setting, &this.pool)?;
                    let numbers = Numbers::of(&summary);
                    let row: Row = this.metrics.iter().map(|path| numbers.get(path)).collect();
                    if let Some(log) = &this.log {
                        log.keep(*id, &row)?;
                    }
                    Ok((*id, row))
                })
                .collect::<Result<_, Failure>>()
        })?;
        self.runs += rows.len() as u64;
        self.from_log += rows.iter().filter(|(id, _)| self.kept(*id).is_some()).count() as u64;
        self.known.extend(rows);
        Ok(scenarios.iter().map(|(id, _)| self.known[id].clone()).collect())
    }

    fn progress(&mut self, proposed: u64) {
        if let Some((progress, told)) = &mut self.progress {
            progress.add(proposed - std::mem::replace(told, proposed));
        }
    }
}
