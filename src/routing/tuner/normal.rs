//! A standard normal number from a keyed draw.
//!
//! Box and Muller's transform (1958), over `libm`, so that every platform gives the same bits. Read
//! [`super::evolution`] next.

use gorgo_random::{Draw, Key, Purpose};

/// The mutations of one step: a standard normal number for each of `weights` weights, keyed by (seed, step, weight).
pub(super) fn mutation(seed: u64, step: u64, weights: usize) -> Vec<f64> {
    let key = Key::new(seed).with(Purpose::Tuner).word(step);
    (0..weights as u64).map(|weight| standard_normal(key.word(weight).draw())).collect()
}

fn standard_normal(draw: Draw) -> f64 {
    let radius = libm::sqrt(-2.0 * libm::log(draw.unit()));
    radius * libm::cos(std::f64::consts::TAU * draw.next().unit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_variance_and_tails_are_those_of_the_normal_distribution() {
        let z: Vec<f64> = (0..50_000).flat_map(|step| mutation(3, step, 2)).collect();
        let n = z.len() as f64;
        let mean = z.iter().sum::<f64>() / n;
        let variance = z.iter().map(|z| z * z).sum::<f64>() / n;
        let beyond_two = z.iter().filter(|z| z.abs() > 2.0).count() as f64 / n;
        assert!(mean.abs() < 0.01 && (variance - 1.0).abs() < 0.015, "{mean} {variance}");
        assert!((beyond_two - 0.0455).abs() < 0.003, "{beyond_two}");
    }

    #[test]
    fn seed_step_and_weight_each_change_the_draw() {
        let [a, b] = mutation(1, 1, 2)[..] else { panic!("two weights") };
        assert_ne!(a, b);
        assert_ne!(a, mutation(2, 1, 1)[0]);
        assert_ne!(a, mutation(1, 2, 1)[0]);
        assert_eq!(a, mutation(1, 1, 1)[0], "more weights change no other weight's draw");
    }
}
