//! The table of several runs that a command prints, and the small table writer behind it.

use gorgo_metrics::{Distribution, RunResult, Summary};
use std::fmt::Write;

/// Where a table is going: it decides how the best value of a column is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// A terminal that shows bold letters.
    Terminal,
    /// A file, a pipe, or a terminal under `NO_COLOR`: the best value gets a star.
    Plain,
}

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
    let mut grid = Grid::new(style);
    grid.header(std::iter::once(["policy", ""]).chain(COLUMNS.iter().map(|c| c.header)));
    let marked: Vec<Vec<bool>> =
        COLUMNS.iter().map(|column| best_rows(column, &summaries)).collect();
    for (row, run) in summaries.iter().enumerate() {
        let numbers = COLUMNS.iter().zip(&marked).map(|(column, marked)| {
            let text = match (column.value)(run) {
                Cell::Number(value) => (column.text)(value),
                Cell::Infinite => "inf".to_owned(),
                Cell::Nothing => "-".to_owned(),
            };
            (text, marked[row])
        });
        grid.row(std::iter::once((run.policy.clone(), false)).chain(numbers));
    }
    let mut text = grid.finish();
    text.push_str(&footnotes(&summaries, style, marked.iter().flatten().any(|&marked| marked)));
    text
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

fn footnotes(runs: &[&Summary], style: Style, marked: bool) -> String {
    let Some(first) = runs.first() else { return String::new() };
    let mut text = String::new();
    let window = first.window;
    let measured = window.measured;
    let same = runs.iter().all(|run| run.window == window && run.requests == first.requests);
    if same {
        let _ = writeln!(
            text,
            "measured: {measured} of {} requests, scheduled in [{} s, {} s)",
            first.requests.injected,
            seconds(window.from_s),
            seconds(window.to_s),
        );
    } else {
        let counts: Vec<String> = runs
            .iter()
            .map(|run| {
                format!("{} {}/{}", run.policy, run.window.measured_completed, run.window.measured)
            })
            .collect();
        let _ = writeln!(text, "completed/measured: {}", counts.join(", "));
    }
    let slo = first.slo_ms;
    let limits: Vec<String> = [("TTFT", slo.ttft), ("TPOT", slo.tpot), ("E2E", slo.e2e)]
        .into_iter()
        .filter_map(|(name, limit)| {
            limit.map(|limit| format!("{name} <= {} ms", milliseconds(limit)))
        })
        .collect();
    let limits = if limits.is_empty() { "completed".to_owned() } else { limits.join(", ") };
    let _ = write!(text, "good: {limits}");
    let infinite = |d: Distribution| d.p50.is_none() || d.p99.is_none();
    if runs
        .iter()
        .any(|run| run.window.measured > 0 && (infinite(run.ttft_ms) || infinite(run.e2e_ms)))
    {
        text.push_str("; inf: that percentile falls on a request that did not complete");
    }
    if marked && style == Style::Plain {
        text.push_str("; *: best of the column");
    }
    text.push('\n');
    text
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

/// Seconds without needless decimals.
fn seconds(s: f64) -> String {
    let text = format!("{s:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Rows of cells, the first column to the left, the others to the right.
pub(crate) struct Grid {
    style: Style,
    headers: Vec<[String; 2]>,
    rows: Vec<Vec<(String, bool)>>,
}

impl Grid {
    pub fn new(style: Style) -> Self {
        Self { style, headers: Vec::new(), rows: Vec::new() }
    }

    /// Sets the header: two lines a column.
    pub fn header<'a>(&mut self, headers: impl IntoIterator<Item = [&'a str; 2]>) {
        self.headers = headers.into_iter().map(|lines| lines.map(str::to_owned)).collect();
    }

    /// Adds a row of texts, each with whether it is the best of its column.
    pub fn row(&mut self, cells: impl IntoIterator<Item = (String, bool)>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The text, a newline after each row.
    pub fn finish(self) -> String {
        let star_room = |column: usize| {
            usize::from(self.style == Style::Plain && self.rows.iter().any(|row| row[column].1))
        };
        let widths: Vec<usize> = (0..self.headers.len())
            .map(|column| {
                let header = self.headers[column].iter().map(|line| line.chars().count()).max();
                let cells = self.rows.iter().map(|row| row[column].0.chars().count()).max();
                header.max(cells.map(|width| width + star_room(column))).unwrap_or(0)
            })
            .collect();
        let mut out = String::new();
        for line in 0..2 {
            let cells = self.headers.iter().enumerate().map(|(column, header)| {
                let pad = widths[column]
                    - header[line].chars().count()
                    - star_room(column).min(widths[column] - header[line].chars().count());
                (
                    header[line].clone(),
                    pad,
                    star_room(column).min(widths[column] - header[line].chars().count()),
                )
            });
            push_line(&mut out, cells);
        }
        let total = widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1);
        out.push_str(&"-".repeat(total));
        out.push('\n');
        for row in &self.rows {
            let cells = row.iter().enumerate().map(|(column, (text, best))| {
                let room = star_room(column);
                let pad = widths[column] - text.chars().count() - room;
                match (self.style, best) {
                    (Style::Terminal, true) => (format!("\x1b[1m{text}\x1b[0m"), pad, 0),
                    (Style::Plain, true) => (format!("{text}*"), pad, 0),
                    (_, false) => (text.clone(), pad, room),
                }
            });
            push_line(&mut out, cells);
        }
        out
    }
}

/// Writes cells of (text, spaces before, spaces after); in the first column all spaces come after.
fn push_line(out: &mut String, cells: impl Iterator<Item = (String, usize, usize)>) {
    let start = out.len();
    for (column, (text, before, after)) in cells.enumerate() {
        let (before, after) = if column == 0 { (0, before + after) } else { (before + 2, after) };
        let _ = write!(out, "{:before$}{text}{:after$}", "", "");
    }
    out.truncate(start + out[start..].trim_end().len());
    out.push('\n');
}
