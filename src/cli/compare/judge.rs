//! Two sides held against each other and against rules. It computes; `show.rs` writes it down.
//!
//! Runs of the same seed are compared pair by pair: the requests are the same ones, so most of what differs between
//! seeds cancels. Where the sides have no seed in common they are compared as two independent samples.

use super::rule::{Bound, Rule, is_share};
use super::sides::{Group, SideRuns};
use crate::exit::Failure;
use gorgo_metrics::Numbers;
use gorgo_stats::{
    Estimate, FEWEST_OF_MEDIAN, holm, level, mean, paired_difference, paired_ratio, paired_shift,
    unpaired_difference, unpaired_ratio, unpaired_shift,
};

/// The probability with which a family of rules that all hold may fail by chance: one end of a 95 % interval.
pub const ALPHA: f64 = 0.025;
/// With fewer seeds little can be shown: the ends of an interval are then the least and the most of them.
const FEW_SEEDS: usize = 10;
/// With fewer requests beyond a percentile in a run, it is little more than the largest value.
const FEW_BEYOND: f64 = 10.0;

/// Metrics that are shown whether or not a rule names them.
pub const SHOWN: [&str; 9] = [
    "ttft_ms.p50",
    "ttft_ms.p95",
    "ttft_ms.p99",
    "e2e_ms.p50",
    "e2e_ms.p99",
    "itl_ms.p99",
    "good_fraction",
    "cache.real_token_hit_rate",
    "cost_usd.per_million_tokens",
];

/// A metric of both sides and its change. Of a share the mean over seeds, of which rare ones are to count; of anything
/// else the median, which a few seeds far out do not move.
#[derive(Clone, Debug)]
pub struct Change {
    /// Its path.
    pub metric: String,
    /// BASE: the mean of a share, else the median over its seeds.
    pub base: Option<f64>,
    /// NEW, likewise.
    pub new: Option<f64>,
    /// The means of both.
    pub means: Option<[f64; 2]>,
    /// NEW itself: the median over its seeds.
    pub level: Option<Estimate>,
    /// NEW - BASE: of a share the mean, else the median over seeds where runs are paired, else of the medians.
    pub difference: Option<Estimate>,
    /// NEW / BASE - 1: the median over seeds where runs are paired, else of the medians.
    pub ratio: Option<Estimate>,
    /// Runs that do not have the metric: of BASE, of NEW.
    pub missing: [usize; 2],
}

/// A group of one side against its like of the other.
#[derive(Clone, Debug)]
pub struct Cell {
    /// What is compared.
    pub label: String,
    /// Runs of BASE and of NEW.
    pub runs: [usize; 2],
    /// Whether runs are compared seed by seed.
    pub paired: bool,
    /// The metrics.
    pub changes: Vec<Change>,
}

/// How a rule came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The whole interval is past the bound.
    Fails,
    /// The whole interval is on the good side.
    Holds,
    /// The interval has the bound inside: nothing is shown, so nothing fails.
    Open,
    /// There is no interval: the rule cannot be judged.
    Unknown,
}

/// A rule held against a cell.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The rule.
    pub rule: Rule,
    /// The cell's label.
    pub label: String,
    /// The metric's numbers.
    pub change: Change,
    /// What the rule is about: the change or the level.
    pub estimate: Option<Estimate>,
    /// The p-value of being past the bound, after Holm's correction over all verdicts.
    pub p: f64,
    /// How it came out.
    pub outcome: Outcome,
}

/// Everything.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// The cells.
    pub cells: Vec<Cell>,
    /// The rules against each cell.
    pub verdicts: Vec<Verdict>,
    /// What a reader must know.
    pub warnings: Vec<String>,
}

impl Judgement {
    /// Whether no rule fails, and each could be judged.
    pub fn passes(&self) -> bool {
        let bad = |verdict: &Verdict| matches!(verdict.outcome, Outcome::Fails | Outcome::Unknown);
        !self.verdicts.iter().any(bad)
    }
}

/// Compares two sides.
pub fn judge(base: &SideRuns, new: &SideRuns, rules: &[Rule]) -> Result<Judgement, Failure> {
    let mut warnings = Vec::new();
    let pairs = pairs(base, new, &mut warnings)?;
    let mut metrics: Vec<&str> = SHOWN.to_vec();
    metrics.extend(rules.iter().map(|rule| rule.metric.as_str()));
    let mut cells = Vec::new();
    for (label, base, new) in pairs {
        cells.push(cell(label, base, new, &metrics, &mut warnings)?);
    }
    let mut verdicts = Vec::new();
    for rule in rules {
        let known = |cell: &Cell| {
            let change = cell.changes.iter().find(|change| change.metric == rule.metric);
            change.is_some_and(|change| change.base.is_some() || change.new.is_some())
        };
        if !cells.iter().any(known) {
            return Err(Failure::input(format!(
                "--fail-if '{rule}': no run has a number {}: wanted one of summary.json, such as {}",
                rule.metric,
                SHOWN.join(", ")
            )));
        }
        verdicts.extend(cells.iter().map(|cell| verdict(rule, cell)));
    }
    settle(&mut verdicts);
    warnings.extend(verdicts.iter().filter_map(hidden_by_the_median));
    for verdict in &verdicts {
        let Some(estimate) = &verdict.estimate else { continue };
        if !estimate.interval(0.95)[0].is_finite() && estimate.samples() < FEWEST_OF_MEDIAN {
            warnings.push(format!(
                "'{}': the median of {} seeds has no 95 % interval, so nothing can be shown: wanted {FEWEST_OF_MEDIAN} or more",
                verdict.rule,
                estimate.samples()
            ));
        }
    }
    Ok(Judgement { cells, verdicts, warnings })
}

/// A rule that does not fail, although the means differ by more than its bound: a minority of the seeds changes far more
/// than the others, which a median does not show.
fn hidden_by_the_median(verdict: &Verdict) -> Option<String> {
    let [base, new] = verdict.change.means?;
    let (bound, means, by) = match verdict.rule.bound {
        Bound::Relative(bound) => {
            (bound, new / base - 1.0, format!("{:+.1} %", 100.0 * (new / base - 1.0)))
        }
        Bound::Absolute(bound) if !is_share(&verdict.rule.metric) => {
            (bound, new - base, format!("{:+.4}", new - base))
        }
        Bound::Absolute(_) | Bound::Level(_) => return None,
    };
    let median = verdict.estimate.as_ref()?.value();
    let is_past = |change: f64| if verdict.rule.above { change > bound } else { change < bound };
    let is_hidden = is_past(means) && !is_past(median) && verdict.outcome != Outcome::Fails;
    is_hidden.then(|| {
        format!(
            "'{}' ({}): the means differ by {by}, past the bound: a minority of the seeds changes far more than the median",
            verdict.rule, verdict.label
        )
    })
}

/// What belongs together: groups of the same label, or the only group of each side.
fn pairs<'a>(
    base: &'a SideRuns,
    new: &'a SideRuns,
    warnings: &mut Vec<String>,
) -> Result<Vec<(String, &'a Group, &'a Group)>, Failure> {
    if let ([first], [second]) = (
        base.groups.values().collect::<Vec<_>>().as_slice(),
        new.groups.values().collect::<Vec<_>>().as_slice(),
    ) {
        let label = if first.label == second.label {
            first.label.clone()
        } else {
            format!("{} to {}", first.label, second.label)
        };
        return Ok(vec![(label, first, second)]);
    }
    let both: Vec<_> = base
        .groups
        .iter()
        .filter_map(|(label, base)| Some((label.clone(), base, new.groups.get(label)?)))
        .collect();
    for (side, other) in [(base, new), (new, base)] {
        let alone: Vec<&str> = side
            .groups
            .keys()
            .filter(|label| !other.groups.contains_key(*label))
            .map(String::as_str)
            .collect();
        if !alone.is_empty() {
            let path = side.path.display();
            warnings.push(format!("only in {path}, not compared: {}", alone.join("; ")));
        }
    }
    if both.is_empty() {
        let labels = |side: &SideRuns| side.groups.keys().cloned().collect::<Vec<_>>().join("; ");
        return Err(Failure::input(format!(
            "nothing to compare: BASE has {}, NEW has {}: wanted a policy of both, or one on each side",
            labels(base),
            labels(new)
        )));
    }
    Ok(both)
}

fn cell(
    label: String,
    base: &Group,
    new: &Group,
    metrics: &[&str],
    warnings: &mut Vec<String>,
) -> Result<Cell, Failure> {
    let common: Vec<u64> =
        base.runs.keys().filter(|seed| new.runs.contains_key(seed)).copied().collect();
    let paired = !common.is_empty();
    let of = |group: &Group| -> Vec<Numbers> {
        let own = group.runs.iter();
        own.filter(|(seed, _)| !paired || common.contains(seed))
            .map(|(_, run)| run.clone())
            .collect()
    };
    let (first, second) = (of(base), of(new));
    let left_out = base.runs.len() + new.runs.len() - first.len() - second.len();
    if left_out > 0 {
        warnings.push(format!(
            "{label}: {left_out} runs have a seed that the other side lacks, and are left out"
        ));
    }
    let fewest = first.len().min(second.len());
    if fewest < 2 {
        return Err(Failure::input(format!(
            "{label}: {fewest} seeds in common: wanted 2 or more, 20 are good: gorgo run SCENARIO --seeds 20"
        )));
    }
    if fewest < FEW_SEEDS {
        warnings.push(format!(
            "{label}: {fewest} seeds are few: with fewer than {FEW_SEEDS} only large changes show"
        ));
    }
    if !paired {
        warnings.push(format!(
            "{label}: no seed in common, so runs are not paired: the same seeds on both sides need fewer of them"
        ));
    }
    let mut changes: Vec<Change> = Vec::new();
    for metric in metrics {
        if changes.iter().all(|change| change.metric != *metric) {
            changes.push(change(metric, &first, &second, paired));
        }
    }
    let runs = [first.len(), second.len()];
    let beyond = first.iter().chain(&second).filter_map(|run| run.get("window.measured_completed"));
    let fewest_measured = beyond.fold(f64::INFINITY, f64::min);
    if fewest_measured * 0.01 < FEW_BEYOND {
        warnings.push(format!(
            "{label}: a run measures only {fewest_measured} requests: fewer than {FEW_BEYOND} are beyond its P99"
        ));
    }
    Ok(Cell { label, runs, paired, changes })
}

fn change(metric: &str, base: &[Numbers], new: &[Numbers], paired: bool) -> Change {
    let values =
        |runs: &[Numbers]| -> Vec<Option<f64>> { runs.iter().map(|run| run.get(metric)).collect() };
    let (base, new) = (values(base), values(new));
    let missing = [&base, &new].map(|side| side.iter().filter(|value| value.is_none()).count());
    let there = |side: Vec<Option<f64>>| side.into_iter().collect::<Option<Vec<f64>>>();
    let (base, new) = (there(base), there(new));
    let sides = [&base, &new].map(Option::as_ref);
    let [base_mean, new_mean] = sides.map(|side| mean(side?));
    let levels = sides.map(|side| level(side?));
    let share = is_share(metric);
    let (difference, ratio) = match sides {
        [Some(base), Some(new)] if paired => {
            let difference = if share { paired_difference } else { paired_shift };
            (difference(base, new), paired_ratio(base, new))
        }
        [Some(base), Some(new)] => {
            let difference = if share { unpaired_difference } else { unpaired_shift };
            (difference(base, new), unpaired_ratio(base, new))
        }
        _ => (None, None),
    };
    let [base_median, new_median] =
        levels.each_ref().map(|level| level.as_ref().map(Estimate::value));
    let (base, new) = if share { (base_mean, new_mean) } else { (base_median, new_median) };
    let [_, level] = levels;
    let means = base_mean.zip(new_mean).map(Into::into);
    let metric = metric.to_owned();
    Change { metric, base, new, means, level, difference, ratio, missing }
}

fn verdict(rule: &Rule, cell: &Cell) -> Verdict {
    let change = cell.changes.iter().find(|change| change.metric == rule.metric);
    // Every rule's metric is among the cell's.
    let change = change.cloned().unwrap_or_else(|| change_of_none(&rule.metric));
    let (estimate, bound) = match rule.bound {
        Bound::Relative(bound) => (change.ratio.clone(), bound),
        Bound::Absolute(bound) => (change.difference.clone(), bound),
        Bound::Level(bound) => (change.level.clone(), bound),
    };
    let past = |above: bool| match &estimate {
        None => 1.0,
        Some(estimate) if above => estimate.p_above(bound),
        Some(estimate) => estimate.p_below(bound),
    };
    let outcome = match &estimate {
        None => Outcome::Unknown,
        Some(_) if past(!rule.above) <= ALPHA => Outcome::Holds,
        Some(_) => Outcome::Open,
    };
    let (rule, label, p) = (rule.clone(), cell.label.clone(), past(rule.above));
    Verdict { rule, label, change, estimate, p, outcome }
}

fn change_of_none(metric: &str) -> Change {
    let metric = metric.to_owned();
    let (difference, ratio, level) = (None, None, None);
    Change { metric, base: None, new: None, means: None, level, difference, ratio, missing: [0, 0] }
}

/// Corrects the p-values for their number, and lets fail what is then still sure.
fn settle(verdicts: &mut [Verdict]) {
    let p_values: Vec<f64> = verdicts.iter().map(|verdict| verdict.p).collect();
    for (verdict, p) in verdicts.iter_mut().zip(holm(&p_values)) {
        verdict.p = p;
        if p <= ALPHA && verdict.outcome != Outcome::Unknown {
            verdict.outcome = Outcome::Fails;
        }
    }
}
