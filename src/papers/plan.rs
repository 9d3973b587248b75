//! From an experiment to units of work, and back from what they gave to an outcome.
//!
//! A unit is one case under one seed: its requests are generated (or read) once, run through by each of its policies,
//! and given up. Units are independent, so a caller runs them on threads of its own; memory is that of the units under
//! way. What a run leaves behind are its metrics.

use crate::error::PapersError;
use crate::experiment::{Case, Experiment};
use crate::metric::{self, Metric};
use crate::outcome::{Arrivals, Outcome, gather};
use crate::published::Published;
use gorgo_scenario::{Parsed, Resolved};
use gorgo_sim::{PolicyRun, RunOptions, run_policy};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// What is asked of an experiment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// How many seeds, from 1 on; none: as many as the experiment says.
    pub seeds: Option<u64>,
    /// Names of windows and studies to run; empty: all.
    pub only: Vec<String>,
    /// The folder of recorded data.
    pub data: PathBuf,
}

/// An experiment cut into units.
#[derive(Debug)]
pub struct Plan<'a> {
    pub(crate) experiment: &'a Experiment,
    pub(crate) published: Published,
    pub(crate) seeds: u64,
    pub(crate) metrics: Vec<&'static Metric>,
    units: Vec<Unit>,
    data: PathBuf,
}

/// Which case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// A window, by index.
    Window(usize),
    /// A study and its arm, by index.
    Arm(usize, usize),
}

/// One case under one seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit {
    pub(crate) part: Part,
    pub(crate) seed: u64,
}

/// What a unit gave.
#[derive(Clone, Debug)]
pub struct UnitOutcome {
    pub(crate) unit: Unit,
    pub(crate) arrivals: Arrivals,
    /// By policy, in the order of the case's list.
    pub policies: Vec<PolicyOutcome>,
}

/// What one policy's run gave.
#[derive(Clone, Debug)]
pub struct PolicyOutcome {
    /// Its label.
    pub policy: String,
    /// Its metrics, in the order of the plan's.
    pub(crate) values: Vec<Option<f64>>,
    /// Requests that were due in the measured window.
    pub(crate) measured: u64,
    /// What a reader must know before trusting a number.
    pub(crate) warnings: Vec<String>,
}

impl<'a> Plan<'a> {
    /// Cuts an experiment into units, the windows' before the studies'.
    ///
    /// # Errors
    /// When published figures are malformed, an option names nothing, or the experiment names a metric or a published
    /// window that does not exist.
    pub fn new(experiment: &'a Experiment, options: &Options) -> Result<Self, PapersError> {
        let published = Published::read(experiment.published.name, experiment.published.toml)?;
        let seeds = options.seeds.unwrap_or(experiment.seeds);
        if !(1..=100_000).contains(&seeds) {
            let (got, wanted) = (seeds.to_string(), "1 to 100000".to_owned());
            return Err(PapersError::Option { option: "--seeds", got, wanted });
        }
        check_only(experiment, &options.only)?;
        let mut plan = Self {
            experiment,
            published,
            seeds,
            metrics: Vec::new(),
            units: Vec::new(),
            data: options.data.clone(),
        };
        plan.metrics = plan.all_metrics()?;
        let is_asked =
            |name: &str| options.only.is_empty() || options.only.iter().any(|o| o == name);
        for (index, window) in experiment.windows.iter().enumerate() {
            if is_asked(window.name) {
                plan.units.extend((1..=seeds).map(|seed| Unit { part: Part::Window(index), seed }));
            }
        }
        for (study_index, study) in experiment.studies.iter().enumerate() {
            if is_asked(study.id) {
                for arm in 0..study.arms.len() {
                    let part = Part::Arm(study_index, arm);
                    plan.units.extend((1..=seeds.min(study.seeds)).map(|seed| Unit { part, seed }));
                }
            }
        }
        Ok(plan)
    }

    /// The units, in any order and on any thread to be [run](Self::run).
    #[must_use]
    pub fn units(&self) -> &[Unit] {
        &self.units
    }

    /// Runs one unit; `tell` hears how many more requests have ended.
    ///
    /// # Errors
    /// When the scenario is wrong, its requests cannot be had, or a run fails.
    pub fn run(&self, unit: Unit, tell: &dyn Fn(u64)) -> Result<UnitOutcome, PapersError> {
        let case = self.case(unit.part);
        let (mut scenario, arrivals) = self.resolve(case, unit.seed)?;
        keep(&mut scenario, case, self.experiment)?;
        let requests = scenario.requests()?;
        let mut policies = Vec::new();
        for (policy, spec) in scenario.router.policies.iter().enumerate() {
            let told = AtomicU64::new(0);
            let progress =
                |ended: u64| tell(ended.saturating_sub(told.swap(ended, Ordering::Relaxed)));
            let options = RunOptions { progress: Some(&progress), ..RunOptions::default() };
            let source = requests.source()?;
            let run = PolicyRun { scenario: &scenario, policy, source, options };
            let result = run_policy(run).map_err(|source| PapersError::Run {
                scenario: case.scenario.name.to_owned(),
                policy: spec.label.clone(),
                seed: unit.seed,
                source: Box::new(source),
            })?;
            policies.push(PolicyOutcome {
                policy: spec.label.clone(),
                values: self.metrics.iter().map(|metric| metric.of(&result)).collect(),
                measured: result.summary.window.measured,
                warnings: result.summary.warnings,
            });
        }
        Ok(UnitOutcome { unit, arrivals, policies })
    }

    /// What all units gave, in any order, put together.
    ///
    /// # Errors
    /// When a pair of a window names a policy that did not run.
    pub fn finish(&self, units: Vec<UnitOutcome>) -> Result<Outcome, PapersError> {
        gather(self, units)
    }

    pub(crate) fn case(&self, part: Part) -> &'a Case {
        match part {
            Part::Window(window) => &self.experiment.windows[window].case,
            Part::Arm(study, arm) => &self.experiment.studies[study].arms[arm].case,
        }
    }

    /// The scenario of a case under a seed, and where its arrivals come from.
    fn resolve(&self, case: &Case, seed: u64) -> Result<(Resolved, Arrivals), PapersError> {
        let mut sets = case.sets.clone();
        let mut arrivals = Arrivals::Generated;
        if let Some(file) = case.recorded {
            let path = self.data.join(file);
            if path.is_file() {
                arrivals = Arrivals::Recorded;
                let path = toml_string(&path);
                sets.push(format!("workload.art_chat.arrivals={path}"));
            }
        }
        sets.push(format!("seed={seed}"));
        let mut parsed = Parsed::new(case.scenario.name, case.scenario.toml, &sets)?;
        if arrivals == Arrivals::Generated {
            parsed.draw_arrivals();
        }
        Ok((parsed.resolve(Path::new(""))?, arrivals))
    }

    /// Every metric that a table or a study of the experiment needs, each once.
    fn all_metrics(&self) -> Result<Vec<&'static Metric>, PapersError> {
        let wrong = |problem: String| PapersError::Experiment {
            experiment: self.experiment.name.to_owned(),
            problem,
        };
        let mut names: Vec<&str> = Vec::new();
        for window in &self.experiment.windows {
            if self.published.of_window(window.name).next().is_none() {
                let file = self.experiment.published.name;
                return Err(wrong(format!("{file} has no window {:?}", window.name)));
            }
            names
                .extend(self.published.of_window(window.name).map(|figure| figure.metric.as_str()));
            names.extend(&window.orders);
        }
        for study in &self.experiment.studies {
            names.extend(study.metrics.iter().chain(&study.drawn));
        }
        let mut metrics: Vec<&'static Metric> = Vec::new();
        for name in names {
            let metric = metric::by_name(name)
                .ok_or_else(|| wrong(format!("got the metric {name:?}, wanted one of METRICS")))?;
            if !metrics.iter().any(|known| known.name == metric.name) {
                metrics.push(metric);
            }
        }
        Ok(metrics)
    }
}

/// A path as a TOML string.
fn toml_string(path: &Path) -> String {
    // What JSON escapes, TOML escapes alike.
    serde_json::to_string(&path.to_string_lossy()).unwrap_or_default()
}

fn check_only(experiment: &Experiment, only: &[String]) -> Result<(), PapersError> {
    let windows = experiment.windows.iter().map(|window| window.name);
    let names: Vec<&str> = windows.chain(experiment.studies.iter().map(|study| study.id)).collect();
    match only.iter().find(|name| !names.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(PapersError::Option {
            option: "--only",
            got: format!("`{name}`"),
            wanted: format!("one of {}", names.join(", ")),
        }),
    }
}

/// Keeps the case's policies, in its order.
fn keep(scenario: &mut Resolved, case: &Case, experiment: &Experiment) -> Result<(), PapersError> {
    if case.policies.is_empty() {
        return Ok(());
    }
    let listed = std::mem::take(&mut scenario.router.policies);
    for label in &case.policies {
        let found = listed.iter().find(|policy| policy.label == *label);
        let found = found.ok_or_else(|| PapersError::Experiment {
            experiment: experiment.name.to_owned(),
            problem: format!("{} has no policy `{label}`", case.scenario.name),
        })?;
        scenario.router.policies.push(found.clone());
    }
    Ok(())
}
