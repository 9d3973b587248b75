//! Standard normal numbers of a search's step: Box and Muller's transform (1958) of keyed draws, over `libm`, so that every
//! platform gives the same bits.

use gorgo_random::{Key, Purpose};

/// A standard normal number for each of `count` places, keyed by (seed, step, place).
pub(crate) fn normals(seed: u64, step: u64, count: usize) -> Vec<f64> {
    let key = Key::new(seed).with(Purpose::TuneSearch).word(step);
    let normal = |place: u64| {
        let draw = key.word(place).draw();
        let radius = libm::sqrt(-2.0 * libm::log(draw.unit()));
        radius * libm::cos(std::f64::consts::TAU * draw.next().unit())
    };
    (0..count as u64).map(normal).collect()
}

/// Numbers from 0 to 1, keyed by (seed, restart, place).
pub(crate) fn uniforms(seed: u64, restart: u64, count: usize) -> Vec<f64> {
    // Steps count up from 0, restarts down from the largest word: their keys never meet.
    let key = Key::new(seed).with(Purpose::TuneSearch).word(u64::MAX - restart);
    (0..count as u64).map(|place| key.word(place).draw().unit()).collect()
}
