//! How often a gate of `gorgo compare` alarms, with a true change at its bound and with a larger one.
//!
//! `cargo run --release -p gorgo-stats --example gate [FILE]` prints the table of `results/statistics`. FILE (default:
//! the committed one) has a row a seed: the metric of one simulated run as the scenario stands, and of two changed
//! ones. A trial draws seeds from it without replacement and judges as the command does. What is true of a change is
//! the ratio of the means over all rows that are drawn from.

use gorgo_random::{Key, Purpose};
use gorgo_stats::{level, paired_ratio, unpaired_ratio};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../results/statistics/pool_p99.csv");
const TRIALS: u64 = 1_000;
/// One end of a 95 % interval.
const ALPHA: f64 = 0.025;
const BOUND: f64 = 0.05;

/// The rows of the file: seed, base and the changed ones; the head names them.
fn read(path: &str) -> Result<(Vec<String>, Vec<Vec<f64>>), String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    let mut lines = text.lines();
    let head: Vec<String> =
        lines.next().unwrap_or_default().split(',').map(str::to_owned).collect();
    let mut columns = vec![Vec::new(); head.len()];
    for (line, row) in (2..).zip(lines) {
        let values: Vec<&str> = row.split(',').collect();
        if values.len() != head.len() {
            return Err(format!("{path}:{line}: wanted {} values", head.len()));
        }
        for (column, value) in columns.iter_mut().zip(values) {
            let number = value.parse().ok().filter(|number: &f64| number.is_finite());
            column.push(number.ok_or_else(|| format!("{path}:{line}: {value:?} is no number"))?);
        }
    }
    Ok((head, columns))
}

/// `count` of `0..n`, none twice.
fn pick(n: usize, count: usize, key: Key) -> Vec<usize> {
    let mut all: Vec<usize> = (0..n).collect();
    for slot in 0..count {
        let other = slot + key.word(slot as u64).draw().below((n - slot) as u64) as usize;
        all.swap(slot, other);
    }
    all.truncate(count);
    all
}

/// Alarms in trials with so many seeds a side.
fn alarms(base: &[f64], new: &[f64], seeds: usize, paired: bool) -> u64 {
    let of = |values: &[f64], rows: &[usize]| -> Vec<f64> {
        rows.iter().map(|row| values[*row]).collect()
    };
    (0..TRIALS)
        .filter(|trial| {
            let key = Key::new(*trial).with(Purpose::Bootstrap).word(seeds as u64);
            let estimate = if paired {
                let rows = pick(base.len(), seeds, key);
                paired_ratio(&of(base, &rows), &of(new, &rows))
            } else {
                let rows = pick(base.len(), 2 * seeds, key);
                let (first, second) = rows.split_at(seeds);
                unpaired_ratio(&of(base, first), &of(new, second))
            };
            estimate.is_some_and(|estimate| estimate.p_above(BOUND) <= ALPHA)
        })
        .count() as u64
}

/// How often an interval of so many seeds holds the truth: of the mean of `new`, and of its change against `base` by
/// common and by fresh seeds.
fn coverage(base: &[f64], new: &[f64], seeds: usize) -> [f64; 3] {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (truth, change) = (mean(new), mean(new) / mean(base) - 1.0);
    let mut held = [0_u64; 3];
    for trial in 0..TRIALS {
        let key = Key::new(trial).with(Purpose::Bootstrap).word(7).word(seeds as u64);
        let rows = pick(base.len(), 2 * seeds, key);
        let of = |values: &[f64], rows: &[usize]| -> Vec<f64> {
            rows.iter().map(|row| values[*row]).collect()
        };
        let (first, second) = rows.split_at(seeds);
        let estimates = [
            (level(&of(new, first)), truth),
            (paired_ratio(&of(base, first), &of(new, first)), change),
            (unpaired_ratio(&of(base, first), &of(new, second)), change),
        ];
        for (held, (estimate, truth)) in held.iter_mut().zip(estimates) {
            let interval = estimate.map(|estimate| estimate.interval(0.95));
            *held += u64::from(interval.is_some_and(|[low, high]| (low..=high).contains(&truth)));
        }
    }
    held.map(|held| 100.0 * held as f64 / TRIALS as f64)
}

/// The smallest count that a binomial variable of `TRIALS` trials and share `ALPHA` exceeds in at most 1 % of cases.
fn most_alarms() -> u64 {
    let (n, p) = (TRIALS as f64, ALPHA);
    let (mut term, mut sum, mut k) = ((n * (1.0 - p).ln()).exp(), 0.0, 0.0);
    loop {
        sum += term;
        if sum >= 0.99 {
            return k as u64;
        }
        term *= (n - k) / (k + 1.0) * p / (1.0 - p);
        k += 1.0;
    }
}

fn main() -> Result<(), String> {
    let path = std::env::args().nth(1).unwrap_or_else(|| FILE.to_owned());
    let (head, columns) = read(&path)?;
    let rows = columns[0].len();
    println!(
        "{rows} seeds; {TRIALS} trials a row; a true size of 2.5 % gives at most {} alarms in 99 of 100 cases\n",
        most_alarms()
    );
    println!(
        "| change | true change (all seeds) | seeds a side | common seeds: alarms | fresh seeds: alarms |"
    );
    println!("|---|---|--:|--:|--:|");
    let base = &columns[1];
    for (name, new) in head.iter().zip(&columns).skip(2) {
        let truth = paired_ratio(base, new).ok_or("no ratio: a column has too few numbers")?;
        let half = (truth.interval(0.95)[1] - truth.value()) * 100.0;
        for seeds in [10, 20, 40, 60, 120] {
            let [common, fresh] = [true, false].map(|paired| alarms(base, new, seeds, paired));
            let share = |alarms: u64| format!("{:.1} %", 100.0 * alarms as f64 / TRIALS as f64);
            println!(
                "| {name} | {:+.2} % (as an estimate ±{half:.2}) | {seeds} | {} | {} |",
                100.0 * truth.value(),
                share(common),
                share(fresh)
            );
        }
    }
    println!("\n| runs | seeds a side | mean | change, common seeds | change, fresh seeds |");
    println!("|---|--:|--:|--:|--:|");
    for (name, new) in head.iter().zip(&columns).skip(2) {
        for seeds in [5, 10, 20, 40, 60] {
            let [mean, common, fresh] = coverage(base, new, seeds);
            println!("| {name} | {seeds} | {mean:.1} % | {common:.1} % | {fresh:.1} % |");
        }
    }
    Ok(())
}
