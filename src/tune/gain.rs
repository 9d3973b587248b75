//! What a setting is worth against another one, on seeds that neither was chosen by: paired by seed.

use gorgo_stats::{mean, mean_estimate};

/// A difference over pairs of runs, each pair under one seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Gain {
    /// Pairs in which both runs have the number.
    pub pairs: usize,
    /// Pairs in which one does not.
    pub missing: usize,
    /// Mean of the setting that is compared to, over those pairs.
    pub before: f64,
    /// Mean of the other.
    pub after: f64,
    /// Mean of after minus before.
    pub difference: f64,
    /// The 95 % interval of that mean, by Student's t over the pairs; none for fewer than two.
    pub interval: Option<[f64; 2]>,
    /// Pairs in which after is better.
    pub better: usize,
    /// Whether less is better.
    pub less: bool,
}

impl Gain {
    /// Pairs the numbers of the same seeds. None where no pair has both.
    #[must_use]
    pub fn new(before: &[Option<f64>], after: &[Option<f64>], less: bool) -> Option<Self> {
        let all = before.len().min(after.len());
        let pairs: Vec<(f64, f64)> =
            before.iter().zip(after).filter_map(|(a, b)| Some(((*a)?, (*b)?))).collect();
        let differences: Vec<f64> = pairs.iter().map(|(a, b)| b - a).collect();
        let side = |pick: fn(&(f64, f64)) -> f64| mean(&pairs.iter().map(pick).collect::<Vec<_>>());
        Some(Self {
            pairs: pairs.len(),
            missing: all - pairs.len(),
            before: side(|pair| pair.0)?,
            after: side(|pair| pair.1)?,
            difference: mean(&differences)?,
            interval: mean_estimate(&differences).map(|estimate| estimate.interval(0.95)),
            better: differences.iter().filter(|&&d| if less { d < 0.0 } else { d > 0.0 }).count(),
            less,
        })
    }

    /// The difference as a share of `before`, with its interval divided by the same number.
    #[must_use]
    pub fn share(&self) -> (f64, Option<[f64; 2]>) {
        let size = self.before.abs();
        (self.difference / size, self.interval.map(|ends| ends.map(|end| end / size)))
    }

    /// Whether the whole interval lies on the better side, and no run lacks the number.
    #[must_use]
    pub fn is_there(&self) -> bool {
        let beyond = |[low, high]: [f64; 2]| if self.less { high < 0.0 } else { low > 0.0 };
        self.missing == 0 && self.interval.is_some_and(beyond)
    }

    /// Whether the whole interval lies on the worse side.
    #[must_use]
    pub fn is_a_loss(&self) -> bool {
        let beyond = |[low, high]: [f64; 2]| if self.less { low > 0.0 } else { high < 0.0 };
        self.interval.is_some_and(beyond)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(values: &[f64]) -> Vec<Option<f64>> {
        values.iter().copied().map(Some).collect()
    }

    #[test]
    fn pairs_show_what_means_hide() {
        // Seeds differ by hundreds, the settings by about 1.
        let before = some(&[100.0, 500.0, 900.0, 300.0]);
        let after = some(&[99.0, 498.9, 899.1, 299.0]);
        let gain = Gain::new(&before, &after, true).expect("pairs");
        assert!(gain.is_there() && !gain.is_a_loss(), "{gain:?}");
        assert_eq!((gain.pairs, gain.better), (4, 4));
        let loss = Gain::new(&after, &before, true).expect("pairs");
        assert!(loss.is_a_loss() && !loss.is_there());
        let more = Gain::new(&after, &before, false).expect("pairs");
        assert!(more.is_there());
    }

    #[test]
    fn noise_is_no_gain_and_a_missing_number_is_none_either() {
        let gain =
            Gain::new(&some(&[1.0, 2.0, 3.0]), &some(&[2.0, 1.0, 3.1]), true).expect("pairs");
        assert!(!gain.is_there() && !gain.is_a_loss());
        let gain = Gain::new(&some(&[5.0, 5.0, 5.0]), &[Some(1.0), Some(1.1), None], true);
        let gain = gain.expect("pairs");
        assert_eq!((gain.pairs, gain.missing, gain.is_there()), (2, 1, false));
        assert_eq!(Gain::new(&[None], &[Some(1.0)], true), None);
        let one = Gain::new(&some(&[2.0]), &some(&[1.0]), true).expect("a pair");
        assert!(one.interval.is_none() && !one.is_there());
    }
}
