//! What a sweep tells: a row for each cell, and for each setting and policy the middle of its seeds.

use crate::error::SweepError;
use crate::plan::{Plan, RunId};
use gorgo_metrics::{Numbers, Summary};
use gorgo_stats::{middle, sorted};
use std::collections::BTreeMap;

/// The numbers of a summary that settings are compared by: the columns of `cells.csv`, in its order.
pub static METRICS: [&str; 19] = [
    "requests.completed",
    "ttft_ms.mean",
    "ttft_ms.p50",
    "ttft_ms.p90",
    "ttft_ms.p95",
    "ttft_ms.p99",
    "e2e_ms.p50",
    "e2e_ms.p95",
    "e2e_ms.p99",
    "tpot_ms.p50",
    "itl_ms.p50",
    "itl_ms.p99",
    "goodput_rps",
    "good_fraction",
    "cache.real_token_hit_rate",
    "load.mean_in_flight",
    "load.busiest_replica_share",
    "cost_usd.total",
    "cost_usd.per_million_tokens",
];

/// What a table says of a cell.
#[derive(Clone, Debug, PartialEq)]
pub struct CellNumbers {
    /// The name of its run.
    pub run: String,
    /// The run's numbers, in the order of [`METRICS`]; none where it does not have one.
    pub numbers: Vec<Option<f64>>,
    /// Measured requests of the run, completed or not.
    pub measured: u64,
}

impl CellNumbers {
    /// The numbers of a run.
    #[must_use]
    pub fn new(run: RunId, summary: &Summary) -> Self {
        let numbers = Numbers::of(summary);
        let numbers = METRICS.iter().map(|path| numbers.get(path)).collect();
        Self { run: run.to_string(), numbers, measured: summary.window.measured }
    }
}

/// `cells.csv`: cell, setting, the axes, policy, seed, run, then [`METRICS`]; what a run does not have is empty.
///
/// # Errors
/// When the writer fails, which memory does not.
pub fn cells_csv(plan: &Plan, cells: &[CellNumbers]) -> Result<String, SweepError> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    let mut head = vec!["cell".to_owned(), "setting".to_owned()];
    head.extend(plan.file.axes.iter().map(|axis| axis.path.clone()));
    head.extend(["policy".to_owned(), "seed".to_owned(), "run".to_owned()]);
    head.extend(METRICS.iter().map(|&metric| metric.to_owned()));
    let failed = |error: csv::Error| SweepError::Io {
        path: "cells.csv".into(),
        source: std::io::Error::other(error),
    };
    csv.write_record(&head).map_err(failed)?;
    for (index, CellNumbers { run, numbers, .. }) in cells.iter().enumerate() {
        let cell = plan.cell(index);
        let mut row = vec![index.to_string(), cell.setting.to_string()];
        let bare = |value: &String| value.trim_matches('"').to_owned();
        row.extend(plan.settings[cell.setting].iter().map(bare));
        row.extend([plan.policies[cell.policy].clone(), cell.seed.to_string(), run.clone()]);
        let number = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
        row.extend(numbers.iter().copied().map(number));
        csv.write_record(&row).map_err(failed)?;
    }
    csv.flush().map_err(|source| SweepError::Io { path: "cells.csv".into(), source })?;
    let bytes = csv.into_inner().unwrap_or_default();
    Ok(String::from_utf8(bytes).unwrap_or_default())
}

/// A policy over its seeds under a setting, or under several that change nothing for it.
#[derive(Clone, Debug, PartialEq)]
pub struct SettingRow {
    /// Which settings: those that come to the same runs.
    pub settings: Vec<usize>,
    /// Which policy.
    pub policy: usize,
    /// Median over the seeds of each of [`METRICS`]; none where half of the seeds or more do not have it.
    pub median: Vec<Option<f64>>,
    /// The least and the most of the objective over the seeds; an end is none where a seed does not have it.
    pub spread: [Option<f64>; 2],
}

/// The settings, the best by the objective first; those without it last. Settings that come to the same runs of a
/// policy are one row.
#[must_use]
pub fn settings(plan: &Plan, cells: &[CellNumbers]) -> Vec<SettingRow> {
    let seeds = plan.file.seeds.count as usize;
    let (name, less) = &plan.file.objective;
    let objective = METRICS.iter().position(|metric| metric == name).unwrap_or(0);
    let rows: Vec<SettingRow> = cells
        .chunks(seeds)
        .enumerate()
        .map(|(row, cells)| {
            let values = |metric: usize| {
                sorted(&cells.iter().map(|cell| cell.numbers[metric]).collect::<Vec<_>>())
            };
            let own = values(objective);
            let end = |value: Option<&f64>| value.copied().filter(|value| value.is_finite());
            SettingRow {
                settings: vec![row / plan.policies.len()],
                policy: row % plan.policies.len(),
                median: (0..METRICS.len()).map(|metric| middle(&values(metric))).collect(),
                spread: [end(own.first()), end(own.last())],
            }
        })
        .collect();
    let mut places: BTreeMap<Vec<&str>, usize> = BTreeMap::new();
    let mut different: Vec<SettingRow> = Vec::new();
    for (row, cells) in rows.into_iter().zip(cells.chunks(seeds)) {
        let runs = cells.iter().map(|cell| cell.run.as_str()).collect();
        let place = *places.entry(runs).or_insert(different.len());
        match different.get_mut(place) {
            Some(same) => same.settings.extend(row.settings),
            None => different.push(row),
        }
    }
    let mut rows = different;
    let rank = |row: &SettingRow| match row.median[objective] {
        Some(value) if *less => value,
        Some(value) => -value,
        None => f64::INFINITY,
    };
    rows.sort_by(|a, b| rank(a).total_cmp(&rank(b)));
    rows
}

impl SettingRow {
    /// The value of an axis, where it is the same in all of the row's settings: else it changes nothing.
    #[must_use]
    pub fn value<'a>(&self, plan: &'a Plan, axis: usize) -> Option<&'a str> {
        let mut values = self.settings.iter().map(|setting| plan.settings[*setting][axis].as_str());
        let first = values.next()?;
        values.all(|value| value == first).then_some(first)
    }
}
