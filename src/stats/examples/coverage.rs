//! How often 95 % intervals hold the truth, on dependent data whose truth is known.
//!
//! `cargo run --release -p gorgo-stats --example coverage [REPETITIONS]` prints the table of `results/statistics`. A run
//! is a series of values that depend on each other: lognormal ones whose logarithm is an autoregression of order 1, and
//! waits in an M/M/1 queue (Lindley's recursion). A sample is one percentile of each of several runs. Asked are the
//! median over runs, and the change when the logarithms spread by 5 % more (lognormal) or services take 5 % longer (waits),
//! under common draws (the median of the runs' changes) and under fresh ones (the ratio of medians), and the difference of
//! the means. The truth is what ten times as many other runs show; below it stands how far the mean over runs of this
//! length is from the percentile of endless time, which is known.

use gorgo_random::{Key, Purpose};
use gorgo_stats::{
    Estimate, level, median, median_interval, paired_difference, paired_ratio, unpaired_difference,
    unpaired_ratio,
};

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

    /// A run in steady state from its first value, as it is (`slow` = 1) or spread, or served, by so much more.
    fn run(self, slow: f64, key: Key) -> Vec<f64> {
        let mut draw = key.draw();
        let mut unit = || {
            draw = draw.next();
            draw.unit()
        };
        match self {
            Self::Lognormal(phi) => {
                let mut x = normal(&mut unit);
                let step = (1.0 - phi * phi).sqrt();
                let mut next = || {
                    let value = (slow * x).exp();
                    x = phi * x + step * normal(&mut unit);
                    value
                };
                (0..LENGTH).map(|_| next()).collect()
            }
            Self::Waits(rho) => {
                // The first wait is a draw of the steady state.
                let (first, rate) = (unit(), rho);
                let busy = rate * slow;
                let mut wait = if first > busy { 0.0 } else { -unit().ln() * slow / (1.0 - busy) };
                let mut next = || {
                    let value = wait;
                    let (service, gap) = (-unit().ln() * slow, -unit().ln() / rate);
                    wait = (wait + service - gap).max(0.0);
                    value
                };
                (0..LENGTH).map(|_| next()).collect()
            }
        }
    }
}

/// The percentile of values by nearest rank.
fn percentile(values: &mut [f64], percent: f64) -> f64 {
    let rank = (percent / 100.0 * values.len() as f64).ceil() as usize;
    *values.select_nth_unstable_by(rank.saturating_sub(1), f64::total_cmp).1
}

/// A standard normal draw: Box and Muller.
fn normal(unit: &mut impl FnMut() -> f64) -> f64 {
    let (radius, angle) = ((-2.0 * unit().ln()).sqrt(), std::f64::consts::TAU * unit());
    radius * angle.cos()
}

/// Values of each of several runs.
const LENGTH: usize = 5_000;
const PERCENT: [f64; 2] = [50.0, 99.0];
/// By how much a changed run spreads or takes more.
const SLOW: f64 = 1.05;

/// P50 and P99 of some runs: as they are, changed under the same draws, and changed under others.
fn sample(data: Data, kind: u64, repetition: u64, runs: u64) -> [[Vec<f64>; 3]; 2] {
    let mut sample: [[Vec<f64>; 3]; 2] = Default::default();
    for run in 0..runs {
        let key = |fresh: u64| {
            let key = Key::new(repetition).with(Purpose::Bootstrap).word(1_000 + kind);
            key.word(2 * run + fresh)
        };
        let sides = [data.run(1.0, key(0)), data.run(SLOW, key(0)), data.run(SLOW, key(1))];
        for (side, mut values) in sides.into_iter().enumerate() {
            for (own, percent) in sample.iter_mut().zip(PERCENT) {
                own[side].push(percentile(&mut values, percent));
            }
        }
    }
    sample
}

/// How many intervals hold the truth, of how many.
#[derive(Clone, Copy, Default)]
struct Held(u64, u64);

impl Held {
    fn tell(&mut self, interval: Option<[f64; 2]>, truth: f64) {
        self.1 += 1;
        self.0 += u64::from(interval.is_some_and(|[low, high]| (low..=high).contains(&truth)));
    }

    fn words(self) -> String {
        format!("{:.1} %", 100.0 * self.0 as f64 / self.1 as f64)
    }
}

fn main() {
    let repetitions =
        std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(1_000_u64);
    println!(
        "| data | percentile | runs | median | the same by bootstrap | change, common seeds | change, fresh seeds | difference, common | difference, fresh |"
    );
    println!("|---|---|--:|--:|--:|--:|--:|--:|--:|");
    let data = [Data::Lognormal(0.5), Data::Lognormal(0.95), Data::Waits(0.7), Data::Waits(0.9)];
    for (kind, data) in (0_u64..).zip(data) {
        // From runs that no interval below uses.
        let others = sample(data, kind, u64::MAX, 10 * repetitions);
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let some = |values: &[f64]| values.iter().copied().map(Some).collect::<Vec<_>>();
        let middle = |values: &[f64]| median(&some(values)).unwrap_or(f64::NAN);
        // Of each percentile: the median, the median change, the change of the median, the differences of means.
        let truths = others.each_ref().map(|[base, common, fresh]| {
            let changes: Vec<f64> = base.iter().zip(common).map(|(a, b)| b / a - 1.0).collect();
            let difference = |new: &[f64]| mean(new) - mean(base);
            let of_medians = middle(fresh) / middle(base) - 1.0;
            [middle(base), middle(&changes), of_medians, difference(common), difference(fresh)]
        });
        for runs in [6, 10, 20] {
            let mut held = [[Held::default(); 6]; 2];
            for repetition in 0..repetitions {
                let sample = sample(data, kind, repetition * 100 + runs, runs);
                for ((held, [base, common, fresh]), truth) in
                    held.iter_mut().zip(&sample).zip(truths)
                {
                    let ends = |estimate: Option<Estimate>| Some(estimate?.interval(0.95));
                    held[0].tell(ends(level(base)), truth[0]);
                    let [low, high] = median_interval(&some(base));
                    held[1].tell(low.zip(high).map(|(low, high)| [low, high]), truth[0]);
                    held[2].tell(ends(paired_ratio(base, common)), truth[1]);
                    held[3].tell(ends(unpaired_ratio(base, fresh)), truth[2]);
                    held[4].tell(ends(paired_difference(base, common)), truth[3]);
                    held[5].tell(ends(unpaired_difference(base, fresh)), truth[4]);
                }
            }
            for (percent, held) in PERCENT.into_iter().zip(held) {
                let shares = held.map(Held::words).join(" | ");
                println!("| {} | P{percent} | {runs} | {shares} |", data.name());
            }
        }
        for (percent, other) in PERCENT.into_iter().zip(&others) {
            let off = 100.0 * (mean(&other[0]) / data.truth(percent) - 1.0);
            println!(
                "| {} | P{percent} | a run of {LENGTH} against endless time | {off:+.1} % | | | | | |",
                data.name()
            );
        }
    }
}
