//! What an experiment came to: rows of paper against ours with their spread over seeds, whether the policies stand in the
//! paper's order, and the errors summed up. It computes; `json.rs`, `words.rs` and `page.rs` write it down.

use crate::error::PapersError;
use crate::experiment::{Group, Study, Window};
use crate::metric::Metric;
use crate::plan::{Part, Plan, UnitOutcome};
use crate::published::{Figure, Relation};
use gorgo_stats::{band, median, median_interval, sorted};
use serde::Serialize;
use std::collections::BTreeSet;

/// Where a case's arrivals came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Arrivals {
    /// From a file of recorded ones.
    Recorded,
    /// Made up, anew under every seed.
    Generated,
}

/// A figure over seeds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The median of the seeds.
    pub median: Option<f64>,
    /// The 95 % interval of that median: percentile bootstrap over seeds.
    pub ci95: [Option<f64>; 2],
    /// Where the middle 8 of 10 seeds lie.
    pub band: [Option<f64>; 2],
}

/// One figure: the paper's and ours.
#[derive(Clone, Debug)]
pub struct Row {
    /// The window.
    pub window: &'static str,
    /// The policy, by the paper's name where it has one.
    pub policy: String,
    /// Our label for it; empty for an extreme over policies.
    pub label: String,
    /// The metric.
    pub metric: &'static Metric,
    /// What the paper says, and how; none: nothing.
    pub paper: Option<(Relation, f64)>,
    /// Where it says so.
    pub source: String,
    /// What we get.
    pub ours: Spread,
}

/// Whether the policies stand in the paper's order.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OrderVerdict {
    /// The window.
    pub window: &'static str,
    /// The metric.
    pub metric: &'static str,
    /// The paper's policies from the smallest value up; equal ones may swap.
    pub order: Vec<String>,
    /// Seeds in which all of ours stand so.
    pub right: usize,
    /// Seeds in which the paper's smallest is the smallest of ours.
    pub first_right: usize,
    /// Seeds in all.
    pub seeds: usize,
}

/// The errors of several rows. Bounds do not count.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GroupVerdict {
    /// Which rows.
    pub title: String,
    /// How many.
    pub rows: usize,
    /// Mean absolute error of the medians, %; none without rows.
    pub mean_abs_error_pct: Option<f64>,
    /// Median absolute error of the medians, %.
    pub median_abs_error_pct: Option<f64>,
    /// Rows whose published figure lies in the band of 8 of 10 seeds.
    pub inside_band: usize,
}

/// A window's table.
#[derive(Clone, Debug)]
pub struct WindowOutcome {
    /// The window.
    pub window: Window,
    /// Where its arrivals came from.
    pub arrivals: Arrivals,
    /// Least and most measured requests of a run.
    pub measured: [u64; 2],
    /// Figures that the paper gives.
    pub rows: Vec<Row>,
    /// The same metrics where it gives none.
    pub further: Vec<Row>,
    /// The orders of its policies.
    pub orders: Vec<OrderVerdict>,
    /// What a reader must know, with how many runs say so; the numbers in it are those of one of them.
    pub warnings: Vec<(String, usize)>,
}

/// One figure of a study.
#[derive(Clone, Debug)]
pub struct StudyRow {
    /// The arm, by index.
    pub arm: usize,
    /// The policy's label.
    pub policy: String,
    /// The metric.
    pub metric: &'static Metric,
    /// What we get.
    pub ours: Spread,
    /// By seed, for pairing.
    pub values: Vec<Option<f64>>,
}

/// A study's table.
#[derive(Clone, Debug)]
pub struct StudyOutcome {
    /// The study.
    pub study: Study,
    /// Seeds of each arm.
    pub seeds: u64,
    /// Its policies, in the order in which they first ran.
    pub policies: Vec<String>,
    /// Its figures: by arm, policy, metric.
    pub rows: Vec<StudyRow>,
}

/// What an experiment came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its name.
    pub name: &'static str,
    /// Seeds of the windows.
    pub seeds: u64,
    /// Its windows, those that were run.
    pub windows: Vec<WindowOutcome>,
    /// The errors of its groups of rows.
    pub groups: Vec<GroupVerdict>,
    /// Its studies, those that were run.
    pub studies: Vec<StudyOutcome>,
}

impl Row {
    /// Ours against the paper's, %; none where the paper gives no value, a bound, or 0.
    #[must_use]
    pub fn error_pct(&self) -> Option<f64> {
        let (relation, paper) = self.paper?;
        let is_number = relation.is_value() && paper > 0.0;
        Some(100.0 * (self.ours.median? / paper - 1.0)).filter(|_| is_number)
    }

    /// Whether the paper's value lies in the band of 8 of 10 seeds; for a bound, whether our median keeps it.
    #[must_use]
    pub fn agrees(&self) -> Option<bool> {
        let (relation, paper) = self.paper?;
        Some(match relation {
            Relation::Equal | Relation::About => {
                let [low, high] = self.ours.band;
                low.is_some_and(|low| low <= paper) && high.is_none_or(|high| paper <= high)
            }
            Relation::Above => self.ours.median.is_none_or(|ours| ours > paper),
            Relation::Below => self.ours.median.is_some_and(|ours| ours < paper),
        })
    }
}

impl Outcome {
    /// Where the arrivals of the windows came from: `recorded`, `generated`, or `mixed`.
    #[must_use]
    pub fn arrivals(&self) -> &'static str {
        let is = |arrivals| self.windows.iter().any(|window| window.arrivals == arrivals);
        match (is(Arrivals::Recorded), is(Arrivals::Generated)) {
            (true, true) => "mixed",
            (true, false) => "recorded",
            (false, _) => "generated",
        }
    }
}

fn spread(values: &[Option<f64>]) -> Spread {
    Spread { median: median(values), ci95: median_interval(values), band: band(values) }
}

/// The runs of a part, in the order of seeds.
struct Runs<'a>(Vec<&'a UnitOutcome>);

impl<'a> Runs<'a> {
    fn of(units: &'a [UnitOutcome], part: Part) -> Self {
        let mut runs: Vec<&UnitOutcome> = units.iter().filter(|u| u.unit.part == part).collect();
        runs.sort_by_key(|unit| unit.unit.seed);
        Self(runs)
    }

    fn labels(&self) -> Vec<String> {
        let first = self.0.first();
        first.map_or_else(Vec::new, |unit| {
            unit.policies.iter().map(|policy| policy.policy.clone()).collect()
        })
    }

    /// A policy's values of a metric, by seed; none where that policy did not run.
    fn values(&self, plan: &Plan<'_>, label: &str, metric: &str) -> Option<Vec<Option<f64>>> {
        let at = plan.metrics.iter().position(|known| known.name == metric)?;
        let of_unit = |unit: &&UnitOutcome| {
            unit.policies.iter().find(|policy| policy.policy == label).map(|p| p.values[at])
        };
        self.0.iter().map(of_unit).collect()
    }
}

pub(crate) fn gather(plan: &Plan<'_>, units: Vec<UnitOutcome>) -> Result<Outcome, PapersError> {
    let mut windows = Vec::new();
    for (index, window) in plan.experiment.windows.iter().enumerate() {
        let runs = Runs::of(&units, Part::Window(index));
        if !runs.0.is_empty() {
            windows.push(gather_window(plan, window, &runs)?);
        }
    }
    let mut studies = Vec::new();
    for (index, study) in plan.experiment.studies.iter().enumerate() {
        let arm = |arm| Runs::of(&units, Part::Arm(index, arm));
        let arms: Vec<Runs<'_>> = (0..study.arms.len()).map(arm).collect();
        if arms.iter().any(|runs| !runs.0.is_empty()) {
            studies.push(gather_study(plan, study, &arms));
        }
    }
    let groups = plan.experiment.groups.iter().map(|group| judge(group, &windows));
    let groups = groups.filter(|verdict| verdict.rows > 0);
    let groups = groups.collect();
    let name = plan.experiment.name;
    Ok(Outcome { name, seeds: plan.seeds, windows, groups, studies })
}

fn gather_window(
    plan: &Plan<'_>,
    window: &Window,
    runs: &Runs<'_>,
) -> Result<WindowOutcome, PapersError> {
    let figures: Vec<&Figure> = plan.published.of_window(window.name).collect();
    let labels = runs.labels();
    for (paper, ours) in &window.pairs {
        if !labels.iter().any(|label| label == ours) {
            return Err(PapersError::Experiment {
                experiment: plan.experiment.name.to_owned(),
                problem: format!(
                    "{}: `{ours}` should stand for the paper's `{paper}`, and did not run",
                    window.name
                ),
            });
        }
    }
    let mut rows = Vec::new();
    for figure in &figures {
        if let Some(row) = row_of(plan, window, runs, figure) {
            rows.push(row);
        }
    }
    let mut metrics: Vec<&'static Metric> = Vec::new();
    for metric in &plan.metrics {
        let is_named = figures.iter().any(|figure| figure.metric == metric.name)
            || window.orders.contains(&metric.name);
        if is_named {
            metrics.push(metric);
        }
    }
    let mut further = Vec::new();
    for label in &labels {
        let paper = window.pairs.iter().find(|(_, ours)| ours == label);
        // Ours may be called as the paper's is that another of ours stands for.
        let is_taken = window.pairs.iter().any(|(paper, _)| paper == label);
        let policy = match paper {
            Some((paper, _)) => (*paper).to_owned(),
            None if is_taken => format!("{label} (not compared)"),
            None => label.clone(),
        };
        for metric in &metrics {
            let known = |row: &Row| row.label == *label && row.metric.name == metric.name;
            if let Some(values) = runs.values(plan, label, metric.name)
                && !rows.iter().any(known)
            {
                further.push(Row {
                    window: window.name,
                    policy: policy.clone(),
                    label: label.clone(),
                    metric,
                    paper: None,
                    source: String::new(),
                    ours: spread(&values),
                });
            }
        }
    }
    let orders =
        window.orders.iter().filter_map(|metric| order(plan, window, runs, metric)).collect();
    let all = || runs.0.iter().flat_map(|unit| &unit.policies);
    let measured = [
        all().map(|policy| policy.measured).min().unwrap_or(0),
        all().map(|policy| policy.measured).max().unwrap_or(0),
    ];
    let is_recorded = runs.0.iter().all(|unit| unit.arrivals == Arrivals::Recorded);
    Ok(WindowOutcome {
        window: window.clone(),
        arrivals: if is_recorded { Arrivals::Recorded } else { Arrivals::Generated },
        measured,
        rows,
        further,
        orders,
        warnings: warnings(runs),
    })
}

/// The row of a published figure; none where no policy stands for the paper's.
fn row_of(plan: &Plan<'_>, window: &Window, runs: &Runs<'_>, figure: &Figure) -> Option<Row> {
    let metric = plan.metrics.iter().find(|metric| metric.name == figure.metric)?;
    let (label, values) = match figure.policy.split_once(' ') {
        Some((end @ ("least" | "most"), _)) => {
            (String::new(), extremes(plan, window, runs, metric.name, end == "least"))
        }
        _ => {
            let (_, ours) = window.pairs.iter().find(|(paper, _)| *paper == figure.policy)?;
            ((*ours).to_owned(), runs.values(plan, ours, metric.name)?)
        }
    };
    Some(Row {
        window: window.name,
        policy: figure.policy.clone(),
        label,
        metric,
        paper: Some((figure.relation, figure.value)),
        source: figure.source.clone(),
        ours: spread(&values),
    })
}

/// Seed by seed, the smallest or largest value over the paper's policies.
fn extremes(
    plan: &Plan<'_>,
    window: &Window,
    runs: &Runs<'_>,
    metric: &str,
    is_least: bool,
) -> Vec<Option<f64>> {
    let all = window.pairs.iter().filter_map(|(_, ours)| runs.values(plan, ours, metric));
    let all: Vec<Vec<Option<f64>>> = all.collect();
    let of_seed = |seed: usize| {
        let values = sorted(&all.iter().map(|values| values[seed]).collect::<Vec<_>>());
        let value = if is_least { values.first() } else { values.last() };
        value.copied().filter(|value| value.is_finite())
    };
    (0..runs.0.len()).map(of_seed).collect()
}

/// Seed by seed, whether our policies stand in the paper's order; none where it gives fewer than two.
fn order(
    plan: &Plan<'_>,
    window: &Window,
    runs: &Runs<'_>,
    metric: &'static str,
) -> Option<OrderVerdict> {
    let figures = plan.published.of_window(window.name);
    let mut known: Vec<(f64, String, Vec<Option<f64>>)> = figures
        .filter(|figure| figure.metric == metric && figure.relation.is_value())
        .filter_map(|figure| {
            let (paper, ours) = window.pairs.iter().find(|(paper, _)| *paper == figure.policy)?;
            Some((figure.value, (*paper).to_owned(), runs.values(plan, ours, metric)?))
        })
        .collect();
    if known.len() < 2 {
        return None;
    }
    known.sort_by(|a, b| a.0.total_cmp(&b.0));
    let seeds = runs.0.len();
    let value =
        |of: &(f64, String, Vec<Option<f64>>), seed: usize| of.2[seed].unwrap_or(f64::INFINITY);
    let stands = |seed: usize, of: &[(f64, String, Vec<Option<f64>>)]| {
        of.iter().enumerate().all(|(index, low)| {
            let above = known[index + 1..].iter().filter(|high| high.0 > low.0);
            above.into_iter().all(|high| value(low, seed) < value(high, seed))
        })
    };
    let right = (0..seeds).filter(|&seed| stands(seed, &known)).count();
    let first_right = (0..seeds).filter(|&seed| stands(seed, &known[..1])).count();
    let order = known.iter().map(|(_, policy, _)| policy.clone()).collect();
    Some(OrderVerdict { window: window.name, metric, order, right, first_right, seeds })
}

fn judge(group: &Group, windows: &[WindowOutcome]) -> GroupVerdict {
    let named = |list: &[&str], name: &str| list.is_empty() || list.contains(&name);
    let rows: Vec<&Row> = windows
        .iter()
        .flat_map(|window| &window.rows)
        .filter(|row| named(&group.windows, row.window))
        .filter(|row| named(&group.policies, &row.label))
        .filter(|row| named(&group.metrics, row.metric.name))
        .filter(|row| row.paper.is_some_and(|(relation, _)| relation.is_value()))
        .collect();
    // A row without a number of ours is no smaller an error than any other.
    let errors: Vec<Option<f64>> = rows.iter().map(|row| row.error_pct().map(f64::abs)).collect();
    let known: Option<Vec<f64>> = errors.iter().copied().collect();
    let mean = known.filter(|errors| !errors.is_empty());
    GroupVerdict {
        title: group.title.to_owned(),
        rows: rows.len(),
        mean_abs_error_pct: mean.map(|all| all.iter().sum::<f64>() / all.len() as f64),
        median_abs_error_pct: median(&errors),
        inside_band: rows.iter().filter(|row| row.agrees() == Some(true)).count(),
    }
}

fn gather_study(plan: &Plan<'_>, study: &Study, arms: &[Runs<'_>]) -> StudyOutcome {
    let mut policies: Vec<String> = Vec::new();
    for label in arms.iter().flat_map(Runs::labels) {
        if !policies.contains(&label) {
            policies.push(label);
        }
    }
    let mut rows = Vec::new();
    for (arm, runs) in arms.iter().enumerate() {
        for policy in &policies {
            let metrics = study.metrics.iter().chain(&study.drawn).collect::<BTreeSet<_>>();
            for metric in plan.metrics.iter().filter(|metric| metrics.contains(&metric.name)) {
                if let Some(values) = runs.values(plan, policy, metric.name) {
                    let (policy, ours) = (policy.clone(), spread(&values));
                    rows.push(StudyRow { arm, policy, metric, ours, values });
                }
            }
        }
    }
    let seeds = plan.seeds.min(study.seeds);
    StudyOutcome { study: study.clone(), seeds, policies, rows }
}

/// Every warning once, with how many runs have it. Those that differ only in their numbers are one; the first stands for
/// all.
fn warnings(runs: &Runs<'_>) -> Vec<(String, usize)> {
    let mut all: Vec<(String, usize)> = Vec::new();
    let shape = |text: &str| -> String { text.chars().filter(|c| !c.is_ascii_digit()).collect() };
    for warning in runs.0.iter().flat_map(|u| &u.policies).flat_map(|policy| &policy.warnings) {
        match all.iter_mut().find(|(text, _)| shape(text) == shape(warning)) {
            Some((_, count)) => *count += 1,
            None => all.push((warning.clone(), 1)),
        }
    }
    all
}
