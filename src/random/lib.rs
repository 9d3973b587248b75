//! Keyed draws.
//!
//! A draw is a function of (seed, purpose, what it is for), never "the next number" of a shared stream. So under one
//! seed two policies see the same arrivals, prompts, think times and network draws although they send requests to
//! different places, and forcing one decision elsewhere changes no other request's draws.
//!
//! ```
//! use gorgo_random::{Key, Purpose};
//! let key = Key::new(7).with(Purpose::NetworkRtt);
//! let here = key.word(12).word(0).draw();
//! assert_eq!(here.bits(), Key::new(7).with(Purpose::NetworkRtt).word(12).word(0).draw().bits());
//! assert_ne!(here.bits(), key.word(12).word(1).draw().bits());
//! ```
//!
//! [`Draw::rng`] is a generator for `rand_distr`, where a distribution needs more than one word.

use rand::TryRng;
use std::convert::Infallible;

/// What a draw is for. The discriminants are part of the format: a new purpose takes a new number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Purpose {
    /// Ties and samples of a routing decision: keyed by request and attempt.
    Decision = 1,
    /// The round trip of a request over a link: keyed by request and link.
    NetworkRtt = 2,
    /// The round trip of a probe or scrape: keyed by link and ordinal.
    ProbeRtt = 3,
    /// Gaps between arrivals: keyed by the arrival's ordinal.
    Arrival = 4,
    /// What a session is (user, origin, turns): keyed by session.
    Session = 5,
    /// What a turn holds (lengths, content): keyed by session and turn.
    Turn = 6,
    /// Time between an answer and the next turn: keyed by session and turn.
    ThinkTime = 7,
    /// Which system prompt or shared prefix: keyed by session.
    SharedPrefix = 9,
    /// What a tuner tries next, and in which order: keyed by its step.
    Tuner = 20,
    /// The slow drift of a path: keyed by path and knot.
    NetworkDrift = 30,
    /// The slow drift of a rate of arrivals: keyed by the minute.
    RateDrift = 40,
    /// Who asks what in the ART-Chat workload: keyed by what is drawn.
    ArtChat = 41,
    /// Clients and gaps of the ServeGen workload: keyed by client and ordinal.
    Servegen = 42,
    /// Settings of a sweep that are drawn: keyed by setting and axis.
    SweepSetting = 50,
    /// What an offline search proposes: keyed by step and place, and where it starts again.
    TuneSearch = 51,
    /// The round trip of an exchange over an emulated link: keyed by link, connection and exchange.
    EmulatedRtt = 52,
    /// Resamples of a statistic: keyed by resample and slot.
    Bootstrap = 60,
}

/// A key under construction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(u64);

/// The end of a key: 64 well-mixed bits, and a generator seeded by them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw(u64);

/// A small generator (`SplitMix64`) for distributions that need more than one word.
#[derive(Clone, Copy, Debug)]
pub struct DrawRng(u64);

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finaliser of `MurmurHash3` with Stafford's constants (variant 13): every input bit reaches every output bit.
#[inline]
const fn mix(mut x: u64) -> u64 {
    x ^= x >> 30;
    x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^= x >> 27;
    x = x.wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

impl Key {
    /// The root key of a run.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(mix(seed ^ GOLDEN))
    }

    /// Narrows the key to a purpose.
    #[must_use]
    #[inline]
    pub const fn with(self, purpose: Purpose) -> Self {
        self.word(purpose as u64)
    }

    /// Narrows the key by a word: an identity, a link, an ordinal. Order matters.
    #[must_use]
    #[inline]
    pub const fn word(self, word: u64) -> Self {
        Self(mix(self.0.rotate_left(17) ^ mix(word.wrapping_add(GOLDEN))))
    }

    /// The draw of this key.
    #[must_use]
    #[inline]
    pub const fn draw(self) -> Draw {
        Draw(mix(self.0.wrapping_add(GOLDEN)))
    }
}

impl Draw {
    /// A draw with given bits: for replaying a log.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// All 64 bits.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// A float in the open interval (0, 1): safe for logarithms and quantile functions.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit an f64 exactly")]
    #[inline]
    pub fn unit(self) -> f64 {
        ((self.0 >> 11) as f64 + 0.5) * (1.0 / (1u64 << 53) as f64)
    }

    /// A whole number in `0..n`, by multiplication: its bias is below n / 2^64. Zero for `n` = 0.
    #[must_use]
    #[inline]
    pub const fn below(self, n: u64) -> u64 {
        ((self.0 as u128 * n as u128) >> 64) as u64
    }

    /// A generator for this draw alone.
    #[must_use]
    pub const fn rng(self) -> DrawRng {
        DrawRng(self.0)
    }

    /// A second, independent draw of the same key.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(mix(self.0.wrapping_add(GOLDEN)))
    }
}

impl TryRng for DrawRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.try_next_u64()? >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0 = self.0.wrapping_add(GOLDEN);
        Ok(mix(self.0))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(8) {
            let word = self.try_next_u64()?.to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;

    #[test]
    fn units_fill_the_open_interval_evenly() {
        let key = Key::new(1).with(Purpose::Arrival);
        let n = 100_000;
        let units: Vec<f64> = (0..n).map(|i| key.word(i).draw().unit()).collect();
        let mean = units.iter().sum::<f64>() / n as f64;
        assert!((mean - 0.5).abs() < 0.005, "mean {mean}");
        assert!(units.iter().all(|&u| u > 0.0 && u < 1.0));
        let mut cells = [0u32; 100];
        units.iter().for_each(|&u| cells[(u * 100.0) as usize] += 1);
        let chi2: f64 = cells.iter().map(|&c| (f64::from(c) - 1000.0).powi(2) / 1000.0).sum();
        assert!(chi2 < 150.0, "chi-square {chi2} on 99 degrees of freedom");
    }

    #[test]
    fn keys_differ_by_every_part_and_by_order() {
        let key = Key::new(3);
        let all = [
            key.word(1).word(2).draw(),
            key.word(2).word(1).draw(),
            key.word(1).draw(),
            key.word(2).draw(),
            Key::new(4).word(1).draw(),
            key.with(Purpose::Turn).word(2).draw(),
        ];
        for (i, a) in all.iter().enumerate() {
            assert!(all[i + 1..].iter().all(|b| a != b), "draw {i} repeats");
        }
    }

    #[test]
    fn below_stays_below_and_reaches_all() {
        let mut seen = [false; 7];
        for i in 0..1_000 {
            seen[Key::new(9).word(i).draw().below(7) as usize] = true;
        }
        assert_eq!(seen, [true; 7]);
        assert_eq!(Draw::from_bits(u64::MAX).below(0), 0);
    }

    #[test]
    fn the_generator_is_a_rand_generator() {
        let mut rng = Key::new(5).draw().rng();
        let (a, b) = (rng.next_u64(), rng.next_u64());
        assert_ne!(a, b);
    }
}
