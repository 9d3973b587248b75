//! How often the 95 % intervals of P50 and P99 hold the truth, on dependent data whose truth is known.
//!
//! `cargo run --release -p gorgo-stats --example coverage [REPETITIONS]` prints the table of `results/statistics`. Two
//! kinds of data: lognormal values whose logarithm is an autoregression of order 1 (its marginal percentiles are known
//! in closed form), and waits of an M/M/1 queue (P(W > t) = rho exp(-(1 - rho) t) at service rate 1). Each as one run
//! cut into stretches, where the truth is the percentile in endless time; and as several runs, one percentile a run,
//! where the truth is what a run of this length shows in the mean.

use gorgo_random::{Key, Purpose};
use gorgo_stats::{Estimate, level, percentile, percentile_of_run};

/// A kind of data.
#[derive(Clone, Copy)]
enum Data {
    /// exp(x), x an autoregression of this correlation, of mean 0 and variance 1.
    Lognormal(f64),
    /// Waits in a queue of this utilisation, service rate 1.
    Waits(f64),
}

/// Quantiles of the standard normal distribution: P50, P99.
const NORMAL: [(f64, f64); 2] = [(50.0, 0.0), (99.0, 2.326_347_874)];

impl Data {
    fn name(self) -> String {
        match self {
            Self::Lognormal(phi) => format!("lognormal AR(1), correlation {phi}"),
            Self::Waits(rho) => format!("M/M/1 waits, utilisation {rho}"),
        }
    }

    /// The true percentile.
    fn truth(self, percent: f64) -> f64 {
        match self {
            Self::Lognormal(_) => {
                let normal = NORMAL.iter().find(|(p, _)| (p - percent).abs() < 1e-9);
                normal.map_or(f64::NAN, |(_, z)| z.exp())
            }
            Self::Waits(rho) => (rho / (1.0 - percent / 100.0)).ln().max(0.0) / (1.0 - rho),
        }
    }

    /// A run of `n` values in steady state from its first.
    fn run(self, n: usize, key: Key) -> Vec<f64> {
        let mut draw = key.draw();
        let mut unit = || {
            draw = draw.next();
            draw.unit()
        };
        match self {
            Self::Lognormal(phi) => {
                let mut x = normal(&mut unit);
                let step = (1.0 - phi * phi).sqrt();
                (0..n)
                    .map(|_| {
                        let value = x.exp();
                        x = phi * x + step * normal(&mut unit);
                        value
                    })
                    .collect()
            }
            Self::Waits(rho) => {
                // The first wait is a draw of the steady state; Lindley's recursion leads on from it.
                let first = unit();
                let mut wait = if first > rho { 0.0 } else { -unit().ln() / (1.0 - rho) };
                (0..n)
                    .map(|_| {
                        let value = wait;
                        let (service, gap) = (-unit().ln(), -unit().ln() / rho);
                        wait = (wait + service - gap).max(0.0);
                        value
                    })
                    .collect()
            }
        }
    }
}

/// A standard normal draw: Box and Muller.
fn normal(unit: &mut impl FnMut() -> f64) -> f64 {
    let (radius, angle) = ((-2.0 * unit().ln()).sqrt(), std::f64::consts::TAU * unit());
    radius * angle.cos()
}

/// The share of intervals that hold the truth, their mean half width as a share of it, and how many were made.
fn tell(truth: f64, repetitions: u64, estimate: impl Fn(u64) -> Option<Estimate>) -> String {
    let (mut held, mut made, mut width) = (0_u64, 0_u64, 0.0);
    for repetition in 0..repetitions {
        let Some(estimate) = estimate(repetition) else { continue };
        let [low, high] = estimate.interval(0.95);
        made += 1;
        held += u64::from((low..=high).contains(&truth));
        width += (high - low) / 2.0 / truth;
    }
    // Of a handful of intervals no share can be told.
    if made * 10 < repetitions {
        return format!("- | - | {made} of {repetitions}");
    }
    let share = 100.0 * held as f64 / made as f64;
    format!("{share:.1} % | ±{:.1} % | {made} of {repetitions}", 100.0 * width / made as f64)
}

/// Requests of each of several runs.
const LENGTH: usize = 5_000;

fn main() {
    let repetitions =
        std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(1_000_u64);
    println!("| data | percentile | from | holds the truth | half width | intervals made |");
    println!("|---|---|---|--:|--:|--:|");
    let data = [Data::Lognormal(0.5), Data::Lognormal(0.95), Data::Waits(0.7), Data::Waits(0.9)];
    for (kind, data) in (0_u64..).zip(data) {
        let key = |repetition: u64, run: u64| {
            Key::new(repetition).with(Purpose::Bootstrap).word(1_000 + kind).word(run)
        };
        let name = data.name();
        // What a run of this length shows in the mean, from runs that no interval below uses.
        let runs = 10 * repetitions;
        let mut sums = [0.0; 2];
        for run in 0..runs {
            let values = data.run(LENGTH, key(u64::MAX, run));
            for (sum, percent) in sums.iter_mut().zip([50.0, 99.0]) {
                *sum += percentile(&values, percent).unwrap_or(f64::NAN);
            }
        }
        for (percent, sum) in [50.0, 99.0].into_iter().zip(sums) {
            let steady = data.truth(percent);
            for n in [5_000, 20_000, 100_000] {
                let told = tell(steady, repetitions, |repetition| {
                    percentile_of_run(&data.run(n, key(repetition, 0)), percent)
                });
                println!("| {name} | P{percent} | 1 run of {n} | {told} |");
            }
            let mean = sum / runs as f64;
            for runs in [5, 20, 60] {
                let told = tell(mean, repetitions, |repetition| {
                    let values: Option<Vec<f64>> = (1..=runs)
                        .map(|run| percentile(&data.run(LENGTH, key(repetition, run)), percent))
                        .collect();
                    level(&values?)
                });
                println!("| {name} | P{percent} | {runs} runs of {LENGTH} | {told} |");
            }
            let off = 100.0 * (mean / steady - 1.0);
            println!(
                "| {name} | P{percent} | mean over runs of {LENGTH}, against endless time | {off:+.1} % | | {runs} runs |"
            );
        }
    }
}
