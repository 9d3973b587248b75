//! The table of several runs that a command prints. How cells are lined up: `grid.rs`.

use crate::grid::{Grid, Style};
use gorgo_metrics::{Distribution, RunResult, Summary};
use std::fmt::Write;

/// Which end of a column is best.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Best {
    Lowest,
    Highest,
    /// Nothing to mark.
    Neither,
}

/// One column of numbers.
struct Column {
    /// Two lines of header: what, and its unit.
    header: [&'static str; 2],
    best: Best,
    value: fn(&Summary) -> Cell,
    text: fn(f64) -> String,
}

/// What stands in a cell.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Cell {
    Number(f64),
    /// The percentile falls on a request that never completed.
    Infinite,
    /// There is nothing to describe.
    Nothing,
}

/// Longest name of a policy in the table, in characters.
const LONGEST_NAME: usize = 18;

/// After the TTFT, where the client held any request back: what a load generator that starts its clock when it sends
/// does not see.
const HIDDEN: Column = Column {
    header: ["hidden P99", "ms"],
    best: Best::Lowest,
    value: |run| {
        let held = run.client.filter(|_| run.window.measured > 0);
        held.map_or(Cell::Nothing, |held| percentile(run, held.queue_ms, |d| d.p99))
    },
    text: milliseconds,
};

/// The columns after the policy's name: 100 characters with names of up to 16.
const COLUMNS: [Column; 9] = [
    Column {
        header: ["TTFT P50", "ms"],
        best: Best::Lowest,
        value: |run| percentile(run, run.ttft_ms, |d| d.p50),
        text: milliseconds,
    },
    Column {
        header: ["TTFT P99", "ms"],
        best: Best::Lowest,
        value: |run| percentile(run, run.ttft_ms, |d| d.p99),
        text: milliseconds,
    },
    Column {
        header: ["E2E P50", "ms"],
        best: Best::Lowest,
        value: |run| percentile(run, run.e2e_ms, |d| d.p50),
        text: milliseconds,
    },
    Column {
        header: ["E2E P99", "ms"],
        best: Best::Lowest,
        value: |run| percentile(run, run.e2e_ms, |d| d.p99),
        text: milliseconds,
    },
    Column {
        header: ["hit real", "% tok"],
        best: Best::Highest,
        value: |run| number(run.cache.real_token_hit_rate),
        text: percent,
    },
    Column {
        header: ["pred", "% tok"],
        best: Best::Neither,
        value: |run| number(run.cache.predicted_token_hit_rate),
        text: percent,
    },
    Column {
        header: ["busiest", "% req"],
        best: Best::Neither,
        value: |run| number(run.load.busiest_replica_share),
        text: percent,
    },
    Column {
        header: ["goodput", "req/s"],
        best: Best::Highest,
        value: |run| number(run.goodput_rps),
        text: rate,
    },
    Column {
        header: ["good", "%"],
        best: Best::Highest,
        value: |run| number(run.good_fraction),
        text: percent,
    },
];

/// The runs of one command, a row each, and below the table what its words mean.
#[must_use]
pub fn table(runs: &[RunResult], style: Style) -> String {
    let summaries: Vec<&Summary> = runs.iter().map(|run| &run.summary).collect();
    let names = names(&summaries);
    let held = |run: &&Summary| run.client.is_some_and(|held| held.waited_fraction > Some(0.0));
    let hidden = summaries.iter().any(held).then_some(&HIDDEN);
    let columns: Vec<&Column> = COLUMNS[..2].iter().chain(hidden).chain(&COLUMNS[2..]).collect();
    let mut grid = Grid::new(style);
    grid.header(std::iter::once(["policy", ""]).chain(columns.iter().map(|c| c.header)));
    let marked: Vec<Vec<bool>> =
        columns.iter().map(|column| best_rows(column, &summaries)).collect();
    for (row, run) in summaries.iter().enumerate() {
        let numbers = columns.iter().zip(&marked).map(|(column, marked)| {
            let text = match (column.value)(run) {
                Cell::Number(value) => (column.text)(value),
                Cell::Infinite => "inf".to_owned(),
                Cell::Nothing => "-".to_owned(),
            };
            (text, marked[row])
        });
        grid.row(std::iter::once((names[row].clone(), false)).chain(numbers));
    }
    let mut text = grid.finish();
    text.push_str(&footnotes(&summaries, style, marked.iter().flatten().any(|&marked| marked)));
    text
}

/// The policies' names, cut to [`LONGEST_NAME`] where they can still be told apart.
pub(crate) fn names(runs: &[&Summary]) -> Vec<String> {
    let whole = runs.iter().map(|run| run.policy.clone()).collect();
    let cut: Vec<String> = runs
        .iter()
        .map(|run| match run.policy.char_indices().nth(LONGEST_NAME) {
            Some(_) => {
                format!("{}...", &run.policy.chars().take(LONGEST_NAME - 3).collect::<String>())
            }
            None => run.policy.clone(),
        })
        .collect();
    let mut sorted = cut.clone();
    sorted.sort_unstable();
    sorted.dedup();
    if sorted.len() == cut.len() { cut } else { whole }
}

/// Which rows hold the best value of a column: none where all are equal, or there is only one.
fn best_rows(column: &Column, runs: &[&Summary]) -> Vec<bool> {
    let cells: Vec<Cell> = runs.iter().map(|run| (column.value)(run)).collect();
    let numbers = || {
        cells.iter().filter_map(|cell| match cell {
            Cell::Number(value) => Some(*value),
            _ => None,
        })
    };
    let best = match column.best {
        Best::Lowest => numbers().reduce(f64::min),
        Best::Highest => numbers().reduce(f64::max),
        Best::Neither => None,
    };
    // Two values that print alike are both marked: a reader could not tell them apart.
    let is_best = |cell: &Cell| match (cell, best) {
        (Cell::Number(value), Some(best)) => (column.text)(*value) == (column.text)(best),
        _ => false,
    };
    let marked: Vec<bool> = cells.iter().map(is_best).collect();
    if marked.iter().all(|&best| best) { vec![false; runs.len()] } else { marked }
}

/// Which rows of a column hold the least value, or what prints like it: none where all do, or there is only one row.
pub(crate) fn least_rows(values: &[Option<f64>], cells: &[String]) -> Vec<bool> {
    let rows = || values.iter().zip(cells).filter_map(|(value, cell)| Some(((*value)?, cell)));
    let least = rows().min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, cell)| cell);
    let marked: Vec<bool> = cells.iter().map(|cell| Some(cell) == least).collect();
    if marked.iter().all(|&least| least) { vec![false; cells.len()] } else { marked }
}

fn footnotes(runs: &[&Summary], style: Style, marked: bool) -> String {
    let Some(first) = runs.first() else { return String::new() };
    let mut text = measured(runs);
    let lost: Vec<String> = runs
        .iter()
        .map(|run| (run, run.window.measured.saturating_sub(run.window.measured_completed)))
        .filter(|&(_, lost)| lost > 0)
        .map(|(run, lost)| format!("{} {lost} of {}", run.policy, run.window.measured))
        .collect();
    if !lost.is_empty() {
        let _ = writeln!(text, "measured but not completed: {}", lost.join(", "));
    }
    let slo = first.slo_ms;
    let limits: Vec<String> = [("TTFT", slo.ttft), ("TPOT", slo.tpot), ("E2E", slo.e2e)]
        .into_iter()
        .filter_map(|(name, limit)| limit.map(|limit| format!("{name} <= {} ms", short(limit))))
        .collect();
    let limits = if limits.is_empty() { "completed".to_owned() } else { limits.join(", ") };
    let _ = write!(text, "good: {limits}");
    let infinite = |d: Distribution| d.p50.is_none() || d.p99.is_none();
    let any = |run: &&&Summary| {
        run.window.measured > 0 && (infinite(run.ttft_ms) || infinite(run.e2e_ms))
    };
    if runs.iter().any(|run| any(&run)) {
        text.push_str("; inf: that percentile falls on a request that did not complete");
    }
    if runs.iter().any(|run| run.client.is_some_and(|held| held.waited_fraction > Some(0.0))) {
        text.push_str("; hidden: wait in the client before the send, part of TTFT and E2E");
    }
    if marked && style == Style::Plain {
        text.push_str("; *: best of the column");
    }
    text.push('\n');
    text
}

/// One line of how many requests the numbers are of.
fn measured(runs: &[&Summary]) -> String {
    let range = |counts: Vec<u64>| match (counts.iter().min(), counts.iter().max()) {
        (Some(least), Some(most)) if least != most => format!("{least} to {most}"),
        (Some(least), _) => least.to_string(),
        (None, _) => "0".to_owned(),
    };
    let measured = range(runs.iter().map(|run| run.window.measured).collect());
    let injected = range(runs.iter().map(|run| run.requests.injected).collect());
    let window = runs[0].window;
    let scheduled = match window.stop_s {
        Some(stop) => {
            format!(", those scheduled from {} s to {} s", short(window.from_s), short(stop))
        }
        None if window.from_s > 0.0 => {
            format!(", those scheduled from {} s on", short(window.from_s))
        }
        None => String::new(),
    };
    let early = range(runs.iter().map(|run| run.window.warm_up).collect());
    let late = range(runs.iter().map(|run| run.window.cool_down).collect());
    let phases = match (&*early, &*late) {
        ("0", "0") => String::new(),
        _ => format!(" (warm-up {early}, after the stop {late})"),
    };
    format!("measured: {measured} of {injected} requests{scheduled}{phases}\n")
}

fn percentile(run: &Summary, of: Distribution, pick: fn(Distribution) -> Option<f64>) -> Cell {
    match pick(of) {
        Some(value) => Cell::Number(value),
        None if run.window.measured > 0 => Cell::Infinite,
        None => Cell::Nothing,
    }
}

fn number(value: Option<f64>) -> Cell {
    value.map_or(Cell::Nothing, Cell::Number)
}

/// Milliseconds with about four digits.
pub(crate) fn milliseconds(ms: f64) -> String {
    let decimals = match ms.abs() {
        size if size < 9.995 => 2,
        size if size < 999.95 => 1,
        _ => 0,
    };
    format!("{ms:.decimals$}")
}

fn percent(share: f64) -> String {
    format!("{:.1}", share * 100.0)
}

fn rate(per_second: f64) -> String {
    let decimals = if per_second < 99.995 { 2 } else { 1 };
    format!("{per_second:.decimals$}")
}

/// A given number without needless decimals.
fn short(number: f64) -> String {
    let text = format!("{number:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
