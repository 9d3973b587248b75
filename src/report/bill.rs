//! The bill of several runs: a small table below the main one. Every number is `gorgo-metrics`'s; here amounts of the
//! measured window become amounts an hour.

use crate::grid::{Grid, Style};
use crate::table::{least_rows, names};
use gorgo_metrics::{Cost, RunResult, Summary};

/// One column of amounts.
struct Column {
    /// Two lines of header: what, and its unit.
    header: [&'static str; 2],
    /// Whether the least is marked.
    marked: bool,
    /// Whether the amount is of the window, and shown by the hour.
    hourly: bool,
    value: fn(&Cost) -> Option<f64>,
}

const COLUMNS: [Column; 7] = [
    Column { header: ["GPUs", "USD/h"], marked: false, hourly: true, value: |cost| cost.gpu },
    Column {
        header: ["cross-region", "GB/h"],
        marked: false,
        hourly: true,
        value: |cost| Some(cost.cross_region_gb),
    },
    Column {
        header: ["cross-region", "USD/h"],
        marked: true,
        hourly: true,
        value: |cost| cost.egress_cross_region,
    },
    Column {
        header: ["to clients", "USD/h"],
        marked: false,
        hourly: true,
        value: |cost| cost.egress_internet,
    },
    Column { header: ["total", "USD/h"], marked: true, hourly: true, value: |cost| cost.total },
    Column {
        header: ["M tokens", "USD"],
        marked: true,
        hourly: false,
        value: |cost| cost.per_million_tokens,
    },
    Column {
        header: ["M output", "USD"],
        marked: true,
        hourly: false,
        value: |cost| cost.per_million_output_tokens,
    },
];

/// What the runs cost, a row each; empty where none has a bill.
#[must_use]
pub fn bill(runs: &[RunResult], style: Style) -> String {
    let billed: Vec<(&Summary, &Cost)> = (runs.iter())
        .filter_map(|run| Some((&run.summary, run.summary.cost_usd.as_ref()?)))
        .collect();
    if billed.is_empty() {
        return String::new();
    }
    let unpriced = unpriced(&billed);
    if billed.iter().all(|(_, cost)| cost.gpu.is_none() && cost.egress.is_none()) {
        return format!("cost: not known; {unpriced}");
    }
    let summaries: Vec<&Summary> = billed.iter().map(|(summary, _)| *summary).collect();
    let names = names(&summaries);
    let cells: Vec<Vec<String>> = COLUMNS
        .iter()
        .map(|column| billed.iter().map(|(run, cost)| cell(column, run, cost)).collect())
        .collect();
    let least: Vec<Vec<bool>> = COLUMNS
        .iter()
        .zip(&cells)
        .map(|(column, cells)| {
            let value = |&(run, cost): &(&Summary, &Cost)| shown(column, run, cost);
            let values: Vec<Option<f64>> = billed.iter().map(value).collect();
            if column.marked { least_rows(&values, cells) } else { vec![false; cells.len()] }
        })
        .collect();
    let mut grid = Grid::new(style);
    grid.header(std::iter::once(["policy", ""]).chain(COLUMNS.iter().map(|c| c.header)));
    for row in 0..billed.len() {
        let amounts =
            cells.iter().zip(&least).map(|(cells, least)| (cells[row].clone(), least[row]));
        grid.row(std::iter::once((names[row].clone(), false)).chain(amounts));
    }
    let about = "cost of the measured window; M tokens: a million of prompt and output; prices and their sources: \
                 --dry-run";
    format!("{}{about}\n{unpriced}", grid.finish())
}

/// What has no price in any run, in a line; empty where everything has one.
fn unpriced(billed: &[(&Summary, &Cost)]) -> String {
    let mut all: Vec<&str> = Vec::new();
    for what in billed.iter().flat_map(|(_, cost)| &cost.unpriced) {
        if !all.contains(&what.as_str()) {
            all.push(what);
        }
    }
    match all.as_slice() {
        [] => String::new(),
        [first, second, third, rest @ ..] if !rest.is_empty() => {
            format!("no price of {first}, {second}, {third} and {} more ([cost])\n", rest.len())
        }
        few => format!("no price of {} ([cost])\n", few.join(", ")),
    }
}

/// The number that a cell shows.
fn shown(column: &Column, run: &Summary, cost: &Cost) -> Option<f64> {
    let value = (column.value)(cost)?;
    if !column.hourly {
        return Some(value);
    }
    let hours = (run.window.to_s - run.window.from_s) / 3600.0;
    (hours > 0.0).then(|| value / hours)
}

fn cell(column: &Column, run: &Summary, cost: &Cost) -> String {
    shown(column, run, cost).map_or_else(|| "-".to_owned(), amount)
}

/// An amount with about three digits.
fn amount(value: f64) -> String {
    let decimals = match value.abs() {
        size if size < 0.009_95 => 5,
        size if size < 0.099_5 => 4,
        size if size < 0.995 => 3,
        size if size < 99.95 => 2,
        _ => 0,
    };
    format!("{value:.decimals$}")
}
