//! The figures as tables: what each target adds to a request, and ours against theirs.

use super::load::{Acks, Times};
use std::fmt::Write;

/// One measurement.
pub struct Line {
    pub acks: Acks,
    pub concurrency: usize,
    pub round: usize,
    pub name: String,
    pub times: Times,
    pub cpu_s: f64,
}

/// All of them.
#[derive(Default)]
pub struct Page(Vec<Line>);

/// What a target shows at one load, medians over the rounds.
struct Cell {
    name: String,
    added_p50_ms: f64,
    added_p99_ms: f64,
    first_p50_ms: f64,
    per_s: f64,
    cpu_ms: f64,
}

impl Page {
    pub fn add(&mut self, line: Line) {
        self.0.push(line);
    }

    pub fn text(&self) -> String {
        let mut text = String::new();
        let mut loads: Vec<(Acks, usize)> = Vec::new();
        for line in &self.0 {
            if !loads.contains(&(line.acks, line.concurrency)) {
                loads.push((line.acks, line.concurrency));
            }
        }
        text += "| acks | c | target | added p50 ms | added p99 ms | TTFT p50 ms | requests/s | CPU ms/request | requests/s per core |\n|---|---|---|---|---|---|---|---|---|\n";
        for &load in &loads {
            for cell in self.cells(load) {
                let Cell { name, added_p50_ms, added_p99_ms, first_p50_ms, per_s, cpu_ms } = cell;
                let per_core =
                    if cpu_ms > 0.0 { format!("{:.0}", 1e3 / cpu_ms) } else { "-".to_owned() };
                let _ = writeln!(
                    text,
                    "| {} | {} | {name} | {added_p50_ms:.3} | {added_p99_ms:.3} | {first_p50_ms:.3} | {per_s:.0} | {cpu_ms:.3} | {per_core} |",
                    acks(load.0),
                    load.1
                );
            }
        }
        text + &self.ratios(&loads)
    }

    /// Ours over theirs, policy by policy; below 1 is better for times and CPU, above 1 for requests.
    fn ratios(&self, loads: &[(Acks, usize)]) -> String {
        let mut text = String::new();
        for &load in loads {
            let cells = self.cells(load);
            let of = |name: &str| cells.iter().find(|cell| cell.name == name);
            for cell in &cells {
                let Some(policy) = cell.name.strip_prefix("gorgo ") else { continue };
                // GORGO has no counterpart: it is held against the other that looks at prefixes.
                let theirs =
                    if policy == "gorgo" { "cache_aware" } else { &policy.replace('-', "_") };
                let Some(other) = of(&format!("sglang-router {theirs}")) else { continue };
                if text.is_empty() {
                    text += "\n| acks | c | ours / theirs | added p50 | added p99 | requests/s | requests/s per core |\n|---|---|---|---|---|---|---|\n";
                }
                let _ = writeln!(
                    text,
                    "| {} | {} | {policy} / {theirs} | {:.2} | {:.2} | {:.2} | {:.2} |",
                    acks(load.0),
                    load.1,
                    cell.added_p50_ms / other.added_p50_ms,
                    cell.added_p99_ms / other.added_p99_ms,
                    cell.per_s / other.per_s,
                    other.cpu_ms / cell.cpu_ms,
                );
            }
        }
        text
    }

    fn cells(&self, (acks, concurrency): (Acks, usize)) -> Vec<Cell> {
        let here: Vec<&Line> = self
            .0
            .iter()
            .filter(|line| line.acks == acks && line.concurrency == concurrency)
            .collect();
        let mut names: Vec<&str> = here.iter().map(|line| line.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let direct = |round: usize| here.iter().find(|l| l.round == round && l.name == "direct");
        let cell = |name: &str| {
            let median = |figure: &dyn Fn(&Line) -> f64| {
                let mut all: Vec<f64> =
                    here.iter().filter(|line| line.name == name).map(|line| figure(line)).collect();
                all.sort_by(f64::total_cmp);
                all[all.len() / 2]
            };
            let added = |q: f64| {
                median(&|line: &Line| {
                    let base = direct(line.round).map_or(0.0, |base| at(&base.times.whole_ms, q));
                    at(&line.times.whole_ms, q) - base
                })
            };
            Cell {
                name: name.to_owned(),
                added_p50_ms: added(0.5),
                added_p99_ms: added(0.99),
                first_p50_ms: median(&|line| at(&line.times.first_ms, 0.5)),
                per_s: median(&|line| line.times.count() as f64 / line.times.seconds),
                cpu_ms: median(&|line| line.cpu_s * 1e3 / line.times.count().max(1) as f64),
            }
        };
        names.into_iter().map(cell).collect()
    }
}

const fn acks(acks: Acks) -> &'static str {
    match acks {
        Acks::Default => "default",
        Acks::Quick => "quick",
    }
}

/// The nearest-rank percentile of sorted values; NaN where there are none.
fn at(sorted: &[f64], q: f64) -> f64 {
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied().unwrap_or(f64::NAN)
}
