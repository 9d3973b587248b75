//! Gaps between a client's requests: gamma or Weibull, by mean and coefficient of variation.

use crate::WorkloadError;
use gorgo_random::{Draw, DrawRng};
use rand_distr::{Distribution, Gamma, Weibull};

/// The distribution of a client's gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapKind {
    /// Gamma.
    Gamma,
    /// Weibull.
    Weibull,
}

/// Gaps with a mean of `1 / rate`.
pub(super) struct Gaps {
    mean_s: f64,
    shape: Shape,
}

/// Distributions with mean 1, and what the rest of a gap is drawn from that is under way at a time chosen at random: a
/// gap drawn in proportion to its length, of which an even share is left.
enum Shape {
    Gamma { gap: Gamma<f64>, long: Gamma<f64> },
    Weibull { gap: Weibull<f64>, scale: f64, power: f64, long: Gamma<f64> },
}

impl Gaps {
    pub(super) fn new(kind: GapKind, cv: f64, rate_rps: f64) -> Result<Self, WorkloadError> {
        let refuse = |error: String| WorkloadError::Parameter {
            field: "cv",
            got: cv.to_string(),
            wanted: format!("a distribution of gaps: {error}"),
        };
        let gamma = |shape: f64, scale: f64| {
            Gamma::new(shape, scale).map_err(|error| refuse(error.to_string()))
        };
        let shape = match kind {
            GapKind::Gamma => {
                let shape = 1.0 / (cv * cv);
                Shape::Gamma {
                    gap: gamma(shape, 1.0 / shape)?,
                    long: gamma(shape + 1.0, 1.0 / shape)?,
                }
            }
            GapKind::Weibull => {
                let power = weibull_power(cv);
                let scale = libm::exp(-libm::lgamma(1.0 + 1.0 / power));
                let gap = Weibull::new(scale, power).map_err(|error| refuse(error.to_string()))?;
                Shape::Weibull { gap, scale, power, long: gamma(1.0 + 1.0 / power, 1.0)? }
            }
        };
        Ok(Self { mean_s: 1.0 / rate_rps, shape })
    }

    /// A gap, in seconds at a constant rate.
    pub(super) fn sample(&self, rng: &mut DrawRng) -> f64 {
        self.mean_s
            * match &self.shape {
                Shape::Gamma { gap, .. } => gap.sample(rng),
                Shape::Weibull { gap, .. } => gap.sample(rng),
            }
    }

    /// What is left, at the start, of the gap that is under way.
    pub(super) fn rest(&self, rng: &mut DrawRng) -> f64 {
        use rand::Rng;
        let left = Draw::from_bits(rng.next_u64()).unit();
        let long = match &self.shape {
            Shape::Gamma { long, .. } => long.sample(rng),
            Shape::Weibull { scale, power, long, .. } => {
                scale * libm::pow(long.sample(rng), 1.0 / power)
            }
        };
        self.mean_s * left * long
    }
}

/// The power k of a Weibull distribution with this CV: `Γ(1 + 2/k) / Γ(1 + 1/k)² = 1 + CV²`.
fn weibull_power(cv: f64) -> f64 {
    let wanted = libm::log1p(cv * cv);
    let (mut low, mut high) = (0.05, 100.0);
    for _ in 0..100 {
        let power: f64 = f64::midpoint(low, high);
        let got = libm::lgamma(1.0 + 2.0 / power) - 2.0 * libm::lgamma(1.0 + 1.0 / power);
        if got > wanted {
            low = power;
        } else {
            high = power;
        }
    }
    f64::midpoint(low, high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gorgo_random::Key;

    #[test]
    fn gaps_have_the_mean_and_the_cv() {
        for (kind, cv) in [
            (GapKind::Gamma, 0.5),
            (GapKind::Gamma, 1.0),
            (GapKind::Gamma, 3.0),
            (GapKind::Weibull, 0.5),
            (GapKind::Weibull, 1.0),
            (GapKind::Weibull, 3.0),
        ] {
            let gaps = Gaps::new(kind, cv, 0.5).expect("valid");
            let n = 400_000_u64;
            let (mut sum, mut squares, mut fourth) = (0.0, 0.0, 0.0);
            for i in 0..n {
                let gap = gaps.sample(&mut Key::new(7).word(i).draw().rng()) / 2.0;
                sum += gap;
                squares += (gap - 1.0).powi(2);
                fourth += (gap - 1.0).powi(4);
            }
            let n = n as f64;
            let (mean, variance, fourth) = (sum / n, squares / n, fourth / n);
            let error = cv / n.sqrt();
            assert!((mean - 1.0).abs() < 4.0 * error, "{kind:?} {cv}: mean {mean}");
            let error = ((fourth - variance * variance) / n).sqrt();
            assert!((variance - cv * cv).abs() < 4.0 * error, "{kind:?} {cv}: variance {variance}");
        }
    }

    #[test]
    fn the_rest_of_a_gap_has_the_mean_of_a_stationary_process() {
        // E[rest] = E[gap²] / (2 E[gap]) = (1 + CV²) / 2 gaps.
        for (kind, cv) in [(GapKind::Gamma, 2.0), (GapKind::Weibull, 2.0), (GapKind::Weibull, 0.7)]
        {
            let gaps = Gaps::new(kind, cv, 1.0).expect("valid");
            let n = 400_000_u64;
            let rests: Vec<f64> =
                (0..n).map(|i| gaps.rest(&mut Key::new(8).word(i).draw().rng())).collect();
            let n = n as f64;
            let mean = rests.iter().sum::<f64>() / n;
            let squares = rests.iter().map(|rest| (rest - mean).powi(2)).sum::<f64>() / n;
            let wanted = f64::midpoint(1.0, cv * cv);
            let error = (squares / n).sqrt();
            assert!((mean - wanted).abs() < 4.0 * error, "{kind:?} {cv}: {mean}, not {wanted}");
        }
    }
}
