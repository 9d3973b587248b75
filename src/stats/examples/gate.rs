//! How often a gate of `gorgo compare` alarms, with a true change at its bound and with a larger one, and how often its
//! intervals hold the truth, on runs of a scenario.
//!
//! `cargo run --release -p gorgo-stats --example gate [FILE]` prints the tables of `results/statistics`. FILE (default:
//! the committed one) has a row a seed: the metric of one simulated run as the scenario stands, and of changed ones. The
//! rows are what trials draw from, with replacement, so that draws are independent and what is true of a change is known
//! exactly: by common seeds the median over all rows of its share, by fresh ones the ratio of the medians. A gate at 5 % is
//! asked, and one whose bound is the true change itself.

use gorgo_random::{Key, Purpose};
use gorgo_stats::{Estimate, level, median, median_interval, paired_ratio, unpaired_ratio};

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

/// A sample of seeds: rows of a side under common seeds, and rows of the other side under fresh ones.
fn pick(n: usize, seeds: usize, trial: u64) -> [Vec<usize>; 2] {
    let key = Key::new(trial).with(Purpose::Bootstrap).word(seeds as u64);
    [0, 1].map(|side| {
        let row = |seed: usize| key.word(side).word(seed as u64).draw().below(n as u64) as usize;
        (0..seeds).map(row).collect()
    })
}

fn of(values: &[f64], rows: &[usize]) -> Vec<f64> {
    rows.iter().map(|row| values[*row]).collect()
}

/// What a trial says of a change: by common seeds, by fresh ones.
fn estimates(base: &[f64], new: &[f64], seeds: usize, trial: u64) -> [Option<Estimate>; 2] {
    let [first, second] = pick(base.len(), seeds, trial);
    let before = of(base, &first);
    [paired_ratio(&before, &of(new, &first)), unpaired_ratio(&before, &of(new, &second))]
}

/// What is true of a change: the median over all rows of each row's, and the ratio of medians.
fn truths(base: &[f64], new: &[f64]) -> [f64; 2] {
    let changes = base.iter().zip(new).map(|(base, new)| Some(new / base - 1.0));
    let middle = median(&changes.collect::<Vec<_>>()).unwrap_or(f64::NAN);
    let of = |values: &[f64]| {
        median(&values.iter().copied().map(Some).collect::<Vec<_>>()).unwrap_or(f64::NAN)
    };
    [middle, of(new) / of(base) - 1.0]
}

/// Alarms of a gate at these bounds in trials with so many seeds a side: by common seeds, by fresh ones.
fn alarms(base: &[f64], new: &[f64], seeds: usize, bounds: [f64; 2]) -> [u64; 2] {
    let mut alarms = [0, 0];
    for trial in 0..TRIALS {
        let estimates = estimates(base, new, seeds, trial);
        for ((alarms, estimate), bound) in alarms.iter_mut().zip(estimates).zip(bounds) {
            *alarms += u64::from(estimate.is_some_and(|e| e.p_above(bound) <= ALPHA));
        }
    }
    alarms
}

/// How often an interval of so many seeds holds the truth: the median of `new`, the same by bootstrap, its change
/// against `base` by common seeds and by fresh ones.
fn coverage(base: &[f64], new: &[f64], seeds: usize) -> [f64; 4] {
    let some = |values: &[f64]| values.iter().copied().map(Some).collect::<Vec<_>>();
    let middle = median(&some(new)).unwrap_or(f64::NAN);
    let [by_seed, of_medians] = truths(base, new);
    let mut held = [0_u64; 4];
    for trial in 0..TRIALS {
        let own = of(new, &pick(new.len(), seeds, trial)[0]);
        let ends = |estimate: Option<Estimate>| Some(estimate?.interval(0.95));
        let [common, fresh] = estimates(base, new, seeds, trial);
        let [low, high] = median_interval(&some(&own));
        let intervals = [
            (ends(level(&own)), middle),
            (low.zip(high).map(|(low, high)| [low, high]), middle),
            (ends(common), by_seed),
            (ends(fresh), of_medians),
        ];
        for (held, (interval, truth)) in held.iter_mut().zip(intervals) {
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
        "| change | seeds a side | true by seed | alarms at 5 % | at the truth | true of medians | fresh seeds: alarms at 5 % | at the truth |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|");
    let base = &columns[1];
    for (name, new) in head.iter().zip(&columns).skip(2) {
        let truths = truths(base, new);
        for seeds in [10, 20, 40, 60, 120] {
            let [common, fresh] = alarms(base, new, seeds, [BOUND; 2]);
            let [common_there, fresh_there] = alarms(base, new, seeds, truths);
            let share = |alarms: u64| format!("{:.1} %", 100.0 * alarms as f64 / TRIALS as f64);
            let [by_seed, of_medians] = truths.map(|truth| format!("{:+.2} %", 100.0 * truth));
            println!(
                "| {name} | {seeds} | {by_seed} | {} | {} | {of_medians} | {} | {} |",
                share(common),
                share(common_there),
                share(fresh),
                share(fresh_there)
            );
        }
    }
    println!(
        "\n| runs | seeds a side | median | the same by bootstrap | change, common seeds | change, fresh seeds |"
    );
    println!("|---|--:|--:|--:|--:|--:|");
    for (name, new) in head.iter().zip(&columns).skip(2) {
        for seeds in [6, 10, 20, 40, 60] {
            let shares =
                coverage(base, new, seeds).map(|share| format!("{share:.1} %")).join(" | ");
            println!("| {name} | {seeds} | {shares} |");
        }
    }
    Ok(())
}
