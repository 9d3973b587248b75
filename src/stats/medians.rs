//! By how much one median is larger than another of other runs, with an interval that leans on nothing but independence.
//!
//! Each side has its interval by order statistics (`order.rs`). Zou and Donner (2008, *Construction of confidence limits
//! about effect measures: a general approach*) make that of a difference of them: it is as far off as the root of the sum
//! of both squares, each side by that end which drives it there. With both sides at the level that is asked for this is too
//! wide (of 6 to 20 runs a side 97 to 98 % instead of 95). A sum that is z standard errors off has neither part z of its own
//! off, but each z times its share of the spread: with equal spreads 1.39, not 1.96. What a side's interval is at z is no
//! guide to what it is there, as the tails of few runs are longer than the normal distribution's. So each side is asked at
//! its own share of z, and what it says is stretched by as much. With all the spread on one side it is that side's interval.
//!
//! How often it holds the truth is in `results/statistics`. It says nothing of means; those are in `estimate.rs`.

use crate::order::Ordered;

/// The level of the intervals that tell the sides' shares of the spread; of fewer than six runs the largest they have.
const SHARES_AT: f64 = 0.95;
/// No share is taken as less: it adds a part in 800 to the interval, and one can divide by it.
const LEAST_SHARE: f64 = 0.05;

/// Two medians of independent samples of positive values, and by how much of itself the second is larger.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Medians {
    base: Ordered,
    new: Ordered,
    /// Shares of both in the spread of the change; the squares sum to one.
    shares: [f64; 2],
}

impl Medians {
    /// Of two or more values a side. None where a value is not positive and finite.
    pub(crate) fn new(base: &[f64], new: &[f64]) -> Option<Self> {
        let of_side = |values: &[f64]| {
            let is_usable = values.iter().all(|value| value.is_finite() && *value > 0.0);
            Ordered::new(values).filter(|_| is_usable)
        };
        let mut medians = Self { base: of_side(base)?, new: of_side(new)?, shares: [1.0, 1.0] };
        let z = normal_quantile(SHARES_AT.min(medians.most()));
        // First from the intervals at the level itself, then from those at the shares that these give.
        for _ in 0..2 {
            let sides = [(&medians.base, medians.shares[0]), (&medians.new, medians.shares[1])];
            let spreads = sides.map(|(runs, share)| ways(runs, z, share).iter().sum::<f64>());
            let whole = libm::hypot(spreads[0], spreads[1]).max(f64::MIN_POSITIVE);
            medians.shares = spreads.map(|spread| (spread / whole).max(LEAST_SHARE));
        }
        Some(medians)
    }

    /// The ratio of the medians - 1.
    pub(crate) fn value(&self) -> f64 {
        self.new.median() / self.base.median() - 1.0
    }

    /// The interval that holds the true one with probability `level`; endless where a side has too few runs for it.
    pub(crate) fn interval(&self, level: f64) -> [f64; 2] {
        if level > self.most() {
            return [f64::NEG_INFINITY, f64::INFINITY];
        }
        let z = normal_quantile(level);
        let [base_down, base_up] = ways(&self.base, z, self.shares[0]);
        let [new_down, new_up] = ways(&self.new, z, self.shares[1]);
        let change = libm::log(self.new.median()) - libm::log(self.base.median());
        let ends = [-libm::hypot(new_down, base_up), libm::hypot(new_up, base_down)];
        ends.map(|end| libm::expm1(change + end))
    }

    /// The largest probability that an interval may be asked for.
    pub(crate) fn most(&self) -> f64 {
        self.base.most().min(self.new.most())
    }

    /// Runs of the smaller side.
    pub(crate) const fn count(&self) -> usize {
        let (base, new) = (self.base.count(), self.new.count());
        if base < new { base } else { new }
    }
}

/// How far below and above its median a side may lie, in logarithms: the way to the ends of its interval at a share of
/// `z`, stretched by as much.
fn ways(runs: &Ordered, z: f64, share: f64) -> [f64; 2] {
    let level = libm::erf(z * share * std::f64::consts::FRAC_1_SQRT_2).min(runs.most());
    let [low, high] = runs.interval(level).map(libm::log);
    let middle = libm::log(runs.median());
    [(middle - low) / share, (high - middle) / share]
}

/// The z with which a normal variable lies within ±z with probability `level`, in [0, 1).
fn normal_quantile(level: f64) -> f64 {
    let (mut low, mut high) = (0.0, 40.0);
    for _ in 0..100 {
        let middle = f64::midpoint(low, high);
        let outside = libm::erfc(middle * std::f64::consts::FRAC_1_SQRT_2);
        if outside > 1.0 - level { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gorgo_random::{Key, Purpose};

    fn close(got: f64, wanted: f64, by: f64) {
        assert!((got - wanted).abs() <= by, "{got}, wanted {wanted}");
    }

    #[test]
    fn z_is_that_of_printed_tables() {
        for (level, z) in [(0.0, 0.0), (0.5, 0.674_490), (0.95, 1.959_964), (0.99, 2.575_829)] {
            close(normal_quantile(level), z, 1e-6);
        }
        close(normal_quantile(1.0 - 2e-16), 8.2, 0.1);
    }

    #[test]
    fn with_all_the_spread_on_one_side_it_is_that_sides_interval() {
        let runs: Vec<f64> = (101..=120).map(f64::from).collect();
        let [low, high] = Ordered::new(&runs).expect("values").interval(0.95);
        let medians = Medians::new(&[100.0; 20], &runs).expect("values");
        let [got_low, got_high] = medians.interval(0.95);
        close(got_low, low / 100.0 - 1.0, 1e-9);
        close(got_high, high / 100.0 - 1.0, 1e-9);
        assert_eq!(Medians::new(&[2.0; 9], &[2.0; 7]).expect("values").interval(0.95), [0.0, 0.0]);
    }

    #[test]
    fn it_is_narrower_than_with_both_sides_at_the_level_itself() {
        let tailed = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 9.0, 13.0, 40.0];
        let medians = Medians::new(&tailed, &tailed).expect("values");
        let [down, up] = ways(&medians.new, normal_quantile(0.95), 1.0);
        let [low, high] = medians.interval(0.95).map(f64::ln_1p);
        close(low, -high, 1e-9);
        assert!(high < 0.95 * libm::hypot(down, up), "{high} {down} {up}");
    }

    #[test]
    fn a_larger_level_is_never_a_narrower_interval_and_the_sides_may_change_places() {
        let base = [3.0, 5.0, 5.0, 5.5, 6.0, 7.5, 11.0];
        let new = [2.0, 2.0, 4.0, 8.0, 9.0, 9.0, 10.0, 12.0, 80.0];
        let there = Medians::new(&base, &new).expect("values");
        let back = Medians::new(&new, &base).expect("values");
        let mut last = [there.value(); 2];
        for step in 0..=98 {
            let level = f64::from(step) / 100.0;
            let [low, high] = there.interval(level);
            assert!(low <= last[0] + 1e-12 && high >= last[1] - 1e-12, "{level}: {low} {high}");
            let [back_low, back_high] = back.interval(level);
            close((1.0 + low) * (1.0 + back_high), 1.0, 1e-9);
            close((1.0 + high) * (1.0 + back_low), 1.0, 1e-9);
            last = [low, high];
        }
        let [low, high] = there.interval(there.most());
        assert!(low.is_finite() && high.is_finite());
    }

    #[test]
    fn few_runs_say_nothing_and_what_is_no_positive_number_is_no_run() {
        let six = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let endless = [f64::NEG_INFINITY, f64::INFINITY];
        let few = Medians::new(&six[..5], &six).expect("values");
        assert_eq!((few.interval(0.95), few.count()), (endless, 5));
        let [low, high] = few.interval(0.93);
        assert!(low.is_finite() && high.is_finite());
        let enough = Medians::new(&six, &six).expect("values").interval(0.95);
        assert!(enough[0].is_finite() && enough[1].is_finite());
        for odd in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(Medians::new(&six, &[1.0, 2.0, odd]), None);
            assert_eq!(Medians::new(&[odd, 1.0, 2.0], &six), None);
        }
        assert_eq!(Medians::new(&six[..1], &six), None);
        // The largest and the smallest numbers there are: no interval, and no NaN.
        let (large, small) = ([f64::MAX; 6], [f64::MIN_POSITIVE; 6]);
        let [low, high] = Medians::new(&small, &large).expect("values").interval(0.95);
        assert_eq!([low, high], [f64::INFINITY; 2]);
        let [low, high] = Medians::new(&large, &small).expect("values").interval(0.95);
        assert_eq!([low, high], [-1.0; 2]);
    }

    /// Exponential values, sides of unlike number and spread among them: 95 % intervals hold the truth in 93 to 97 of 100,
    /// and err to either side in fewer than four.
    #[test]
    fn intervals_hold_the_ratio_as_often_as_they_say() {
        let trials = 2_000_u64;
        for (base, new, power) in [(6, 6, 1.0), (10, 10, 1.0), (20, 20, 1.0), (20, 8, 3.0)] {
            let mut missed = [0_u64; 2];
            for trial in 0..trials {
                let key = Key::new(trial).with(Purpose::Bootstrap).word(base * 1_000 + new);
                let side = |side: u64, n: u64, power: f64| -> Vec<f64> {
                    let unit = |run: u64| key.word(side).word(run).draw().unit();
                    let scaled = |run| -libm::log(unit(run)) / std::f64::consts::LN_2;
                    (0..n).map(|run| libm::pow(scaled(run), power)).collect()
                };
                let sides = (side(0, base, 1.0), side(1, new, power));
                let [low, high] = Medians::new(&sides.0, &sides.1).expect("values").interval(0.95);
                missed[0] += u64::from(low > 0.0);
                missed[1] += u64::from(high < 0.0);
            }
            let most = trials * 4 / 100;
            let sum = missed[0] + missed[1];
            assert!(missed.iter().all(|missed| *missed < most), "{base} {new}: {missed:?}");
            assert!(
                (trials * 3 / 100..trials * 7 / 100).contains(&sum),
                "{base} {new}: {missed:?}"
            );
        }
    }
}
