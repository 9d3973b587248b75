//! How often a gate of `gorgo compare` alarms, with a true change at its bound and with a larger one, and how often its
//! intervals hold the truth, on runs of a scenario.
//!
//! `cargo run --release -p gorgo-stats --example gate [FILE [TRIALS]]` prints the tables of `results/statistics`. FILE
//! (default: the committed one) has a row a seed: the metric of one simulated run as the scenario stands, and of changed
//! ones. The rows are what trials draw from, with replacement, so that draws are independent and what is true of a change
//! is known exactly: by common seeds the median over all rows of its share, by fresh ones the ratio of the medians, and of
//! differences that of the means. A gate at 5 % is asked, and one whose bound is the true change itself.

use gorgo_random::{Key, Purpose};
use gorgo_stats::{
    Estimate, level, mean, median, median_interval, paired_difference, paired_ratio,
    unpaired_difference, unpaired_ratio,
};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../results/statistics/pool_p99.csv");
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

/// What a trial says of a change, by common seeds and by fresh ones: the change in %, and the difference.
fn estimates(base: &[f64], new: &[f64], seeds: usize, trial: u64) -> [Option<Estimate>; 4] {
    let [first, second] = pick(base.len(), seeds, trial);
    let before = of(base, &first);
    let [common, fresh] = [of(new, &first), of(new, &second)];
    [
        paired_ratio(&before, &common),
        unpaired_ratio(&before, &fresh),
        paired_difference(&before, &common),
        unpaired_difference(&before, &fresh),
    ]
}

fn middle(values: impl Iterator<Item = f64>) -> f64 {
    median(&values.map(Some).collect::<Vec<_>>()).unwrap_or(f64::NAN)
}

/// What is true of each of [`estimates`]: the median over all rows of each row's change, the ratio of medians, and the
/// difference of means twice.
fn truths(base: &[f64], new: &[f64]) -> [f64; 4] {
    let by_seed = middle(base.iter().zip(new).map(|(base, new)| new / base - 1.0));
    let of = |values: &[f64]| middle(values.iter().copied());
    let difference = mean(new).zip(mean(base)).map_or(f64::NAN, |(new, base)| new - base);
    [by_seed, of(new) / of(base) - 1.0, difference, difference]
}

/// The share of trials, with so many seeds a side, in which a gate at these bounds alarms: by common seeds, by fresh ones.
fn alarms(base: &[f64], new: &[f64], seeds: usize, bounds: [f64; 2], trials: u64) -> [f64; 2] {
    let mut alarms = [0_u64, 0];
    for trial in 0..trials {
        let estimates = estimates(base, new, seeds, trial);
        for ((alarms, estimate), bound) in alarms.iter_mut().zip(estimates).zip(bounds) {
            *alarms += u64::from(estimate.is_some_and(|e| e.p_above(bound) <= ALPHA));
        }
    }
    alarms.map(|alarms| alarms as f64 / trials as f64)
}

/// How often an interval of so many seeds holds the truth: the median of `new`, the same by bootstrap, and what
/// [`estimates`] says of its change against `base`.
fn coverage(base: &[f64], new: &[f64], seeds: usize, trials: u64) -> [f64; 6] {
    let some = |values: &[f64]| values.iter().copied().map(Some).collect::<Vec<_>>();
    let true_median = middle(new.iter().copied());
    let truths = truths(base, new);
    let mut held = [0_u64; 6];
    for trial in 0..trials {
        let own = of(new, &pick(new.len(), seeds, trial)[0]);
        let [low, high] = median_interval(&some(&own));
        let mut intervals = vec![
            (level(&own).map(|estimate| estimate.interval(0.95)), true_median),
            (low.zip(high).map(|(low, high)| [low, high]), true_median),
        ];
        for (estimate, truth) in estimates(base, new, seeds, trial).into_iter().zip(truths) {
            intervals.push((estimate.map(|estimate| estimate.interval(0.95)), truth));
        }
        for (held, (interval, truth)) in held.iter_mut().zip(intervals) {
            *held += u64::from(interval.is_some_and(|[low, high]| (low..=high).contains(&truth)));
        }
    }
    held.map(|held| held as f64 / trials as f64)
}

/// The smallest count that a binomial variable of so many trials and share `ALPHA` exceeds in at most 1 % of cases.
fn most_alarms(trials: u64) -> u64 {
    let (n, p) = (trials as f64, ALPHA);
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

/// The seeds a side that the middle trial with so many says a gate at `bound` needs: by common seeds, by fresh ones.
fn wanted(base: &[f64], new: &[f64], seeds: usize, bound: f64, trials: u64) -> [usize; 2] {
    let mut told = [Vec::new(), Vec::new()];
    for trial in 0..trials {
        for (told, estimate) in told.iter_mut().zip(estimates(base, new, seeds, trial)) {
            let seeds = estimate.and_then(|estimate| estimate.samples_to_tell_from(bound));
            told.push(seeds.unwrap_or(usize::MAX));
        }
    }
    told.map(|mut told| *told.select_nth_unstable(trials as usize / 2).1)
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

fn show_gate(name: &str, base: &[f64], new: &[f64], trials: u64) {
    let [by_seed, of_medians, ..] = truths(base, new);
    let [seed_words, medians_words] =
        [by_seed, of_medians].map(|truth| format!("{:+.2} %", 100.0 * truth));
    for seeds in [10, 20, 40, 60, 120] {
        let at_bound = alarms(base, new, seeds, [BOUND; 2], trials).map(percent);
        let at_truth = alarms(base, new, seeds, [by_seed, of_medians], trials).map(percent);
        println!(
            "| {name} | {seeds} | {seed_words} | {} | {} | {medians_words} | {} | {} |",
            at_bound[0], at_truth[0], at_bound[1], at_truth[1]
        );
    }
}

/// How good the advice on seeds is. At the bound there is nothing to find.
fn show_advice(name: &str, base: &[f64], new: &[f64], trials: u64) {
    if truths(base, new)[0] < 1.2 * BOUND {
        return;
    }
    for seeds in [10, 20, 40] {
        let [common, fresh] = wanted(base, new, seeds, BOUND, trials);
        let found = |seeds: usize, side: usize| {
            if seeds > base.len() {
                return "-".to_owned();
            }
            percent(alarms(base, new, seeds, [BOUND; 2], trials)[side])
        };
        let shares = [found(common, 0), found(fresh, 1)];
        println!("| {name} | {seeds} | {common} | {} | {fresh} | {} |", shares[0], shares[1]);
    }
}

fn main() -> Result<(), String> {
    let path = std::env::args().nth(1).unwrap_or_else(|| FILE.to_owned());
    let asked = std::env::args().nth(2).unwrap_or_else(|| "1000".to_owned());
    let trials = asked.parse().ok().filter(|trials| (1..=100_000).contains(trials));
    let trials = trials.ok_or_else(|| format!("TRIALS {asked:?}: wanted 1 to 100000"))?;
    let (head, columns) = read(&path)?;
    println!(
        "{} seeds; {trials} trials a row; a true size of 2.5 % gives at most {} alarms in 99 of 100 cases\n",
        columns[0].len(),
        most_alarms(trials)
    );
    let base = &columns[1];
    let changes = || head.iter().zip(&columns).skip(2);
    println!(
        "| change | seeds a side | true by seed | alarms at 5 % | at the truth | true of medians | fresh seeds: alarms at 5 % | at the truth |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|");
    changes().for_each(|(name, new)| show_gate(name, base, new, trials));
    println!(
        "\n| runs | seeds a side | median | the same by bootstrap | change, common seeds | change, fresh seeds | difference, common | difference, fresh |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|");
    for (name, new) in changes() {
        for seeds in [6, 10, 20, 40, 60] {
            let shares = coverage(base, new, seeds, trials).map(percent).join(" | ");
            println!("| {name} | {seeds} | {shares} |");
        }
    }
    println!(
        "\n| change | seeds a side | common seeds: wanted | found with as many | fresh seeds: wanted | found with as many |"
    );
    println!("|---|--:|--:|--:|--:|--:|");
    changes().for_each(|(name, new)| show_advice(name, base, new, trials));
    Ok(())
}
