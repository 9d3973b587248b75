//! How often the 95 % interval of the change of medians by fresh seeds holds the truth, on independent values of many
//! shapes, and how often it errs to either side.
//!
//! `cargo run --release -p gorgo-stats --example medians [REPETITIONS]` prints the table of `results/statistics`. A gate
//! asks one end of the interval alone, so each end has to err in 2.5 of 100 cases. The sides have equal or unlike numbers
//! of values, shapes and spreads. The method was chosen by such values, before it met those of simulated runs (`gate.rs`).

use gorgo_random::{Key, Purpose};
use gorgo_stats::unpaired_ratio;
use std::f64::consts::{LN_2, TAU};

/// A family of positive values with a median that is known.
#[derive(Clone, Copy)]
enum Family {
    /// Of this standard deviation of the logarithm.
    Lognormal(f64),
    /// Of this standard deviation and mean 1; a value below 0.05 is that.
    Normal(f64),
    Exponential,
    /// Of shape 3.
    Gamma,
    /// Not below 1, and 0.3 exponential above.
    Shifted,
    /// Near 1, but one in ten is up to ten times as large.
    Outliers,
}

impl Family {
    fn draw(self, mut unit: impl FnMut() -> f64) -> f64 {
        let mut normal = || (-2.0 * unit().ln()).sqrt() * (TAU * unit()).cos();
        match self {
            Self::Lognormal(spread) => (spread * normal()).exp(),
            Self::Normal(spread) => (1.0 + spread * normal()).max(0.05),
            Self::Exponential => -unit().ln(),
            Self::Gamma => -(unit() * unit() * unit()).ln(),
            Self::Shifted => 1.0 - 0.3 * unit().ln(),
            Self::Outliers => {
                let near = (1.0 + 0.1 * normal()).max(0.01);
                if unit() < 0.1 { near + 9.0 * unit() } else { near }
            }
        }
    }

    /// The median; of [`Family::Outliers`] in units of its own, so that it is to be held against itself alone.
    fn median(self) -> f64 {
        match self {
            Self::Lognormal(_) | Self::Normal(_) | Self::Outliers => 1.0,
            Self::Exponential => LN_2,
            // Where 1 - exp(-x) (1 + x + x x / 2) is a half.
            Self::Gamma => 2.674_060_314,
            Self::Shifted => 1.0 + 0.3 * LN_2,
        }
    }
}

const PAIRS: [(&str, Family, Family); 9] = [
    ("lognormal, spread 0.05", Family::Lognormal(0.05), Family::Lognormal(0.05)),
    ("lognormal, spread 1", Family::Lognormal(1.0), Family::Lognormal(1.0)),
    ("gamma of shape 3", Family::Gamma, Family::Gamma),
    ("exponential", Family::Exponential, Family::Exponential),
    ("1 + exponential", Family::Shifted, Family::Shifted),
    ("one in ten is far out", Family::Outliers, Family::Outliers),
    ("lognormal, 0.1 against 0.6", Family::Lognormal(0.1), Family::Lognormal(0.6)),
    ("normal against exponential", Family::Normal(0.2), Family::Exponential),
    ("gamma against 1 + exponential", Family::Gamma, Family::Shifted),
];
const RUNS: [(u64, u64); 11] = [
    (6, 6),
    (7, 7),
    (8, 8),
    (10, 10),
    (20, 20),
    (40, 40),
    (60, 60),
    (120, 120),
    (6, 20),
    (20, 120),
    (120, 10),
];

fn values(family: Family, n: u64, key: Key) -> Vec<f64> {
    let value = |run: u64| {
        let mut draw = key.word(run).draw();
        family.draw(|| {
            draw = draw.next();
            draw.unit()
        })
    };
    (0..n).map(value).collect()
}

/// The share of intervals that lie above the truth, and of those that lie below.
fn missed(pair: [Family; 2], runs: [u64; 2], repetitions: u64, key: Key) -> [f64; 2] {
    let truth = pair[1].median() / pair[0].median() - 1.0;
    let mut missed = [0_u64; 2];
    for repetition in 0..repetitions {
        let key = key.word(repetition);
        let side = |side: usize| values(pair[side], runs[side], key.word(side as u64));
        let interval = unpaired_ratio(&side(0), &side(1)).map(|change| change.interval(0.95));
        let [low, high] = interval.unwrap_or([f64::NAN; 2]);
        // What is no interval holds nothing.
        missed[0] += u64::from(low.is_nan() || low > truth);
        missed[1] += u64::from(high.is_nan() || high < truth);
    }
    missed.map(|missed| missed as f64 / repetitions as f64)
}

fn main() {
    let repetitions =
        std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(20_000_u64);
    let heads = RUNS.map(|(base, new)| format!("{base}, {new}")).join(" | ");
    println!("| values | {heads} |\n|---|{}", "--:|".repeat(RUNS.len()));
    let mut held = [f64::INFINITY, 0.0];
    let mut worst = 0.0_f64;
    for (kind, (name, base, new)) in (0_u64..).zip(PAIRS) {
        let cells = RUNS.map(|(first, second)| {
            let key = Key::new(kind).with(Purpose::Bootstrap).word(first * 1_000 + second);
            let missed = missed([base, new], [first, second], repetitions, key);
            let share = 1.0 - missed[0] - missed[1];
            held = [held[0].min(share), held[1].max(share)];
            worst = worst.max(missed[0]).max(missed[1]);
            let [above, below] = missed.map(|missed| 100.0 * missed);
            format!("{:.1} ({above:.1}, {below:.1})", 100.0 * share)
        });
        println!("| {name} | {} |", cells.join(" | "));
    }
    let [low, high] = held.map(|share| 100.0 * share);
    println!(
        "\nHeld: {low:.1} to {high:.1} %; at most {:.1} % err to one side; {repetitions} repetitions.",
        100.0 * worst
    );
}
