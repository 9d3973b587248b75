//! Every cell of a sweep, and which cells are the same run.
//!
//! A cell is one policy under one setting and seed. Its scenario has that policy alone, so a parameter of one policy
//! changes nothing for another: cells that resolve to the same scenario are one run, made once. A run's name is a hash
//! of its resolved scenario, so it does not depend on the sweep that asked for it.

use crate::error::SweepError;
use crate::file::{Axis, Search, SweepFile};
use gorgo_random::{Key, Purpose};
use gorgo_scenario::{
    DEFAULT, DEFAULT_NAME, LoadSpec, Parsed, ReplayTrace, Resolved, ScenarioError,
};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_128;

/// Most cells of a sweep.
const MOST_CELLS: u64 = 10_000_000;

/// The name of a run: 128 bits of its scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub u128);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// One policy under one setting and seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Which setting, from 0.
    pub setting: usize,
    /// Which policy, from 0.
    pub policy: usize,
    /// The seed.
    pub seed: u64,
}

/// A sweep spelt out: settings, then policies, then seeds.
#[derive(Debug)]
pub struct Plan {
    /// The file.
    pub file: SweepFile,
    /// The labels of its policies.
    pub policies: Vec<String>,
    /// The values of the axes in each setting, as TOML.
    pub settings: Vec<Vec<String>>,
    /// Whether every run keeps its requests too.
    pub records: bool,
    base: Base,
}

/// The scenario that all cells start from.
#[derive(Debug)]
pub(crate) struct Base {
    name: String,
    text: String,
    folder: PathBuf,
    trace: Option<ReplayTrace>,
}

impl Plan {
    /// Spells a sweep out. The scenario is read once.
    ///
    /// # Errors
    /// When the scenario cannot be read or resolved under the first setting, a policy is not one of its, or there are
    /// more than ten million cells.
    pub fn new(file: SweepFile) -> Result<Self, SweepError> {
        let base = Base::of(&file)?;
        let settings = settings(&file)?;
        let mut plan = Self { file, policies: Vec::new(), settings, records: false, base };
        let first =
            plan.scenario(0, plan.file.seeds.first).map_err(|error| error.named(&plan, 0))?;
        let labels: Vec<String> =
            first.router.policies.iter().map(|policy| policy.label.clone()).collect();
        for policy in &plan.file.policies {
            if !labels.contains(policy) {
                return Err(SweepError::Option {
                    what: format!("{}: policies", plan.file.name),
                    got: format!("{policy:?}"),
                    wanted: format!("one of the scenario's: {}", labels.join(", ")),
                });
            }
        }
        let all = plan.file.policies.is_empty();
        plan.policies = if all { labels } else { plan.file.policies.clone() };
        let cells = (plan.settings.len() as u64)
            .saturating_mul(plan.policies.len() as u64)
            .saturating_mul(plan.file.seeds.count);
        if cells > MOST_CELLS {
            return Err(SweepError::Option {
                what: plan.file.name.clone(),
                got: format!("{cells} cells"),
                wanted: format!("at most {MOST_CELLS}"),
            });
        }
        Ok(plan)
    }

    /// How many cells there are.
    #[must_use]
    pub fn cells(&self) -> usize {
        self.settings.len() * self.policies.len() * self.file.seeds.count as usize
    }

    /// A cell by its place.
    #[must_use]
    pub fn cell(&self, index: usize) -> Cell {
        let seeds = self.file.seeds.count as usize;
        let (row, seed) = (index / seeds, index % seeds);
        let (setting, policy) = (row / self.policies.len(), row % self.policies.len());
        Cell { setting, policy, seed: self.file.seeds.first + seed as u64 }
    }

    /// The cells of a setting and a policy: one per seed.
    #[must_use]
    pub fn cells_of(&self, setting: usize, policy: usize) -> Range<usize> {
        let seeds = self.file.seeds.count as usize;
        let first = (setting * self.policies.len() + policy) * seeds;
        first..first + seeds
    }

    /// A setting in words: `path=value, ...`.
    #[must_use]
    pub fn words(&self, setting: usize) -> String {
        let pairs = self.file.axes.iter().zip(&self.settings[setting]);
        let pairs: Vec<_> = pairs.map(|(axis, value)| format!("{}={value}", axis.path)).collect();
        if pairs.is_empty() { "as it stands".to_owned() } else { pairs.join(", ") }
    }

    /// The scenario of a cell, with its policy alone.
    ///
    /// # Errors
    /// When its setting makes no sense in it.
    pub fn resolve(&self, index: usize) -> Result<Resolved, SweepError> {
        let cell = self.cell(index);
        let mut scenario =
            self.scenario(cell.setting, cell.seed).map_err(|error| error.named(self, index))?;
        let label = &self.policies[cell.policy];
        scenario.router.policies.retain(|policy| policy.label == *label);
        if scenario.router.policies.is_empty() {
            return Err(SweepError::Option {
                what: format!("cell {index} ({})", self.words(cell.setting)),
                got: format!("a scenario without the policy {label:?}"),
                wanted: "the same policies under every setting".to_owned(),
            });
        }
        if matches!(scenario.demand.load, LoadSpec::Sweep(_)) {
            return Err(SweepError::Option {
                what: format!("cell {index}"),
                got: "a scenario whose load is a sweep itself".to_owned(),
                wanted: "one load: its rate may vary under [[over]]".to_owned(),
            });
        }
        Ok(scenario)
    }

    /// The name of a cell's run.
    ///
    /// # Errors
    /// As [`Plan::resolve`].
    pub fn run_id(&self, index: usize) -> Result<RunId, SweepError> {
        Ok(id_of(&self.resolve(index)?))
    }

    /// The runs of a plan whose cells have these names: each run once, with the first cell that it answers.
    #[must_use]
    pub fn runs(ids: &[RunId]) -> Vec<(RunId, usize)> {
        let mut first = BTreeMap::new();
        for (cell, id) in ids.iter().enumerate() {
            first.entry(*id).or_insert(cell);
        }
        let mut runs: Vec<_> = first.into_iter().collect();
        runs.sort_unstable_by_key(|(_, cell)| *cell);
        runs
    }

    fn scenario(&self, setting: usize, seed: u64) -> Result<Resolved, Refused> {
        let axes = self.file.axes.iter().zip(&self.settings[setting]);
        let mut sets = self.file.sets.clone();
        sets.extend(axes.map(|(axis, value)| format!("{}={value}", axis.path)));
        sets.push(format!("seed={seed}"));
        self.base.resolve(&sets).map_err(|error| Refused(Box::new(error)))
    }
}

/// The name of a scenario's run. Where the scenario stands does not matter, what it says does.
pub(crate) fn id_of(scenario: &Resolved) -> RunId {
    RunId(xxh3_128(scenario.to_toml().as_bytes()))
}

/// A scenario that does not resolve.
struct Refused(Box<ScenarioError>);

impl Refused {
    fn named(self, plan: &Plan, cell: usize) -> SweepError {
        let setting = if plan.policies.is_empty() { 0 } else { plan.cell(cell).setting };
        SweepError::Cell { cell, setting: plan.words(setting), source: self.0 }
    }
}

impl Base {
    fn of(file: &SweepFile) -> Result<Self, SweepError> {
        Self::read(file.scenario.as_deref(), file.trace.as_deref())
    }

    /// Reads a scenario's text (none: the built-in one).
    pub(crate) fn read(scenario: Option<&Path>, trace: Option<&Path>) -> Result<Self, SweepError> {
        let trace =
            trace.map(|path| ReplayTrace { path: path.to_owned(), ..ReplayTrace::default() });
        let Some(path) = scenario else {
            let (name, text) = (DEFAULT_NAME.to_owned(), DEFAULT.to_owned());
            return Ok(Self { name, text, folder: PathBuf::new(), trace });
        };
        let text = std::fs::read_to_string(path)
            .map_err(|source| SweepError::Io { path: path.to_owned(), source })?;
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        Ok(Self { name: path.display().to_string(), text, folder, trace })
    }

    pub(crate) fn resolve(&self, sets: &[String]) -> Result<Resolved, ScenarioError> {
        let mut parsed = Parsed::new(&self.name, &self.text, sets)?;
        match &self.trace {
            Some(trace) => {
                parsed.replay(trace, sets)?;
                Ok(parsed.resolve(Path::new(""))?)
            }
            None => Ok(parsed.resolve(&self.folder)?),
        }
    }
}

/// The settings of a file: values of all axes, as TOML.
fn settings(file: &SweepFile) -> Result<Vec<Vec<String>>, SweepError> {
    match file.search {
        Search::Grid => grid(file),
        Search::Random { settings, seed } => {
            let key = Key::new(seed).with(Purpose::SweepSetting);
            let point =
                |group: usize, setting: u64| key.word(setting).word(group as u64).draw().unit();
            Ok(drawn(file, settings, point))
        }
        Search::LatinHypercube { settings, seed } => {
            let key = Key::new(seed).with(Purpose::SweepSetting);
            let strata: Vec<Vec<u64>> = (0..groups(&file.axes).len())
                .map(|group| shuffled(settings, key.word(group as u64)))
                .collect();
            #[expect(clippy::cast_precision_loss, reason = "at most a million settings")]
            let point = |group: usize, setting: u64| {
                let inside = key.word(group as u64).word(settings + setting).draw().unit();
                (strata[group][setting as usize] as f64 + inside) / settings as f64
            };
            Ok(drawn(file, settings, point))
        }
    }
}

/// The axes that vary together, by index, in the order in which they first appear.
pub(crate) fn groups(axes: &[Axis]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (index, axis) in axes.iter().enumerate() {
        let same = |group: &&mut Vec<usize>| axis.zip.is_some() && axes[group[0]].zip == axis.zip;
        match groups.iter_mut().find(same) {
            Some(group) => group.push(index),
            None => groups.push(vec![index]),
        }
    }
    groups
}

/// Every combination; the last group varies fastest.
fn grid(file: &SweepFile) -> Result<Vec<Vec<String>>, SweepError> {
    let groups = groups(&file.axes);
    let values: Vec<Vec<String>> = file.axes.iter().map(|axis| axis.domain.grid()).collect();
    let sizes: Vec<usize> = groups.iter().map(|group| values[group[0]].len()).collect();
    let all = sizes.iter().try_fold(1_usize, |all, size| all.checked_mul(*size));
    let all = all.filter(|all| *all as u64 <= MOST_CELLS).ok_or_else(|| SweepError::Option {
        what: file.name.clone(),
        got: "a grid of more settings".to_owned(),
        wanted: format!("at most {MOST_CELLS}"),
    })?;
    let setting = |index: usize| {
        let mut setting = vec![String::new(); values.len()];
        let mut rest = index;
        for (group, size) in groups.iter().zip(&sizes).rev() {
            for axis in group {
                setting[*axis].clone_from(&values[*axis][rest % size]);
            }
            rest /= size;
        }
        setting
    };
    Ok((0..all).map(setting).collect())
}

/// Settings at points of the axes' groups.
fn drawn(file: &SweepFile, count: u64, point: impl Fn(usize, u64) -> f64) -> Vec<Vec<String>> {
    let groups = groups(&file.axes);
    let setting = |index: u64| {
        let mut setting = vec![String::new(); file.axes.len()];
        for (place, group) in groups.iter().enumerate() {
            let at = point(place, index);
            for axis in group {
                setting[*axis] = file.axes[*axis].domain.at(at);
            }
        }
        setting
    };
    (0..count).map(setting).collect()
}

/// 0 to below n in chance order.
fn shuffled(n: u64, key: Key) -> Vec<u64> {
    let mut order: Vec<u64> = (0..n).collect();
    for last in (1..n).rev() {
        order.swap(last as usize, key.word(last).draw().below(last + 1) as usize);
    }
    order
}
