//! One scenario to be tried under settings that are not known beforehand: what a search runs its candidates on.
//!
//! A point of the unit cube becomes a setting, a setting with a seed a scenario, a scenario a run; the axes are those of
//! sweeps, and so are the names of runs. Deliberately not here: which settings are tried, and what is kept on disk.

use crate::Domain;
use crate::error::SweepError;
use crate::file::Axis;
use crate::plan::{Base, RunId, groups, id_of};
use crate::run::Pool;
use gorgo_metrics::Summary;
use gorgo_scenario::{LoadSpec, Resolved};
use gorgo_sim::{PolicyRun, RunOptions, run_policy};
use std::path::Path;

/// Steps of a range: points that are nearer to each other are the same setting.
pub const STEPS: u32 = 1_000;

/// A scenario and its axes.
#[derive(Debug)]
pub struct Bench {
    base: Base,
    axes: Vec<Axis>,
    groups: Vec<Vec<usize>>,
}

impl Bench {
    /// Reads a scenario (none: the built-in one), and a trace in the place of its workload.
    ///
    /// # Errors
    /// When the scenario cannot be read, or a path is there twice.
    pub fn new(
        scenario: Option<&Path>,
        trace: Option<&Path>,
        axes: Vec<Axis>,
    ) -> Result<Self, SweepError> {
        for (index, axis) in axes.iter().enumerate() {
            if axes[..index].iter().any(|other| other.path == axis.path) {
                return Err(SweepError::Option {
                    what: "--over".to_owned(),
                    got: format!("{} twice", axis.path),
                    wanted: "each path once".to_owned(),
                });
            }
        }
        let groups = groups(&axes);
        Ok(Self { base: Base::read(scenario, trace)?, axes, groups })
    }

    /// The axes.
    #[must_use]
    pub fn axes(&self) -> &[Axis] {
        &self.axes
    }

    /// For each dimension of the cube (axes that go together are one) its width: in natural logarithms where it is
    /// logarithmic, else 2.
    #[must_use]
    pub fn spans(&self) -> Vec<f64> {
        let span = |group: &Vec<usize>| match self.axes[group[0]].domain {
            Domain::Range { from, to, log: true, .. } => (to / from).ln(),
            _ => 2.0,
        };
        self.groups.iter().map(span).collect()
    }

    /// The assignments of a point, one for each axis.
    #[must_use]
    pub fn setting(&self, point: &[f64]) -> Vec<String> {
        let steps = f64::from(STEPS);
        let mut setting = vec![String::new(); self.axes.len()];
        for (group, &x) in self.groups.iter().zip(point) {
            let near = (x.clamp(0.0, 1.0) * steps).round() / steps;
            for &axis in group {
                let Axis { path, domain, .. } = &self.axes[axis];
                setting[axis] = format!("{path}={}", domain.at(near));
            }
        }
        setting
    }

    /// The scenario under assignments and a seed, with one of its policies alone where that is named by its label.
    ///
    /// # Errors
    /// When the assignments make no sense in it, it has no such policy, or its load is a sweep itself.
    pub fn resolve(
        &self,
        policy: Option<&str>,
        setting: &[String],
        seed: u64,
    ) -> Result<Resolved, SweepError> {
        let mut sets = setting.to_vec();
        sets.push(format!("seed={seed}"));
        let mut scenario = self.base.resolve(&sets)?;
        if let Some(policy) = policy {
            let all = std::mem::take(&mut scenario.router.policies);
            let labels: Vec<String> = all.iter().map(|policy| policy.label.clone()).collect();
            scenario.router.policies = all.into_iter().filter(|p| p.label == policy).collect();
            if scenario.router.policies.is_empty() {
                return Err(SweepError::Option {
                    what: "--policy".to_owned(),
                    got: format!("{policy:?}"),
                    wanted: format!("one of the scenario's: {}", labels.join(", ")),
                });
            }
        }
        if matches!(scenario.demand.load, LoadSpec::Sweep(_)) {
            return Err(SweepError::Option {
                what: scenario.name.clone(),
                got: "a load that is a sweep itself".to_owned(),
                wanted: "one load: its rate may vary".to_owned(),
            });
        }
        Ok(scenario)
    }

    /// The name of a scenario's run: equal scenarios have equal ones.
    #[must_use]
    pub fn run_id(scenario: &Resolved) -> RunId {
        id_of(scenario)
    }

    /// Runs a scenario's first policy.
    ///
    /// # Errors
    /// When its requests cannot be had, or the run fails; `setting` says in whose name.
    pub fn run(
        scenario: &Resolved,
        setting: &[String],
        pool: &Pool,
    ) -> Result<Summary, SweepError> {
        let requests = pool.requests(scenario)?;
        let source = requests.source()?;
        let options = RunOptions::default();
        let run =
            run_policy(PolicyRun { scenario, policy: 0, source, options }).map_err(|error| {
                let words = setting.join(", ");
                SweepError::Trial { seed: scenario.seed, setting: words, source: Box::new(error) }
            })?;
        Ok(run.summary)
    }
}
