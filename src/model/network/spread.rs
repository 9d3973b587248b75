//! How round trips scatter around their median.
//!
//! A shifted lognormal: a floor that no packet beats, and on top of it an excess whose logarithm is normal,
//! `rtt = floor + excess · exp(σ z)`. Its median is `floor + excess` and its P95 `floor + excess · exp(1.645 σ)`, so
//! the two measured numbers fix it once the floor is chosen. No publisher gives the shape between them: it is a
//! choice. Of the variance of z a share may be slow drift of the path (`drift.rs`); the rest is drawn for each request.
//! Only `libm` is called, so that every platform draws the same float.

use super::{Link, check_link, invalid};
use crate::ModelError;
use gorgo_random::Draw;
use gorgo_types::Nanos;
use serde::{Deserialize, Serialize};

/// How a link's measured spread becomes jitter of single requests and drift of the path.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Jitter {
    /// How much of ln(P95/P50) is simulated at all, 0 to 1; at 0 every round trip is the median. The default is 1.
    pub spread_share: f64,
    /// How much of the variance of the logarithm of the excess over the floor is slow drift of the path, 0 to 1; the
    /// rest is drawn anew for each request. Over long times median and P95 are the measured ones whatever it is. The
    /// default is 0: no publisher gives the split. The one series at hand, GORGO's probes of Apr 5 (61 over 31 minutes
    /// on each of three paths), shows jitter and no drift: those within 15 % of the floor have P95/P50 = 1.09 to 1.11
    /// within this half-hour, and correlations from one to the next of 0.07, 0.32 and -0.18 (21, 24 and 33 of them).
    pub drift_share: f64,
    /// Spacing of the drift's knots: it is independent of itself after twice this time. The default, 6 hours, is an
    /// assumption: four values a day.
    pub drift_period: Nanos,
    /// What no draw goes below, as a share of the median, at least 0 and below 1. The default, 0.8, is an
    /// assumption: no minimum is published. Light in fibre along the great circle alone takes 0.6 of the median
    /// (the median over Azure's pairs above 2,000 km; 0.84 at most), and fibre does not follow the great circle.
    pub floor_fraction: f64,
}

impl Default for Jitter {
    fn default() -> Self {
        Self {
            spread_share: 1.0,
            drift_share: 0.0,
            drift_period: Nanos::from_secs(6 * 3600),
            floor_fraction: 0.8,
        }
    }
}

impl Jitter {
    /// No spread at all: every round trip is the median.
    pub const NONE: Self = Self {
        spread_share: 0.0,
        drift_share: 0.0,
        drift_period: Nanos::from_secs(6 * 3600),
        floor_fraction: 0.8,
    };

    /// # Errors
    /// [`ModelError::Invalid`] for a share outside 0..=1, a floor outside 0..1 or a period of 0.
    pub fn validate(&self) -> Result<(), ModelError> {
        for (field, share) in
            [("spread_share", self.spread_share), ("drift_share", self.drift_share)]
        {
            if !(0.0..=1.0).contains(&share) {
                return Err(invalid(field, share, "0 to 1"));
            }
        }
        if self.drift_period == Nanos::ZERO {
            return Err(invalid("drift_period", "0", "above 0"));
        }
        if !(0.0..1.0).contains(&self.floor_fraction) {
            return Err(invalid("floor_fraction", self.floor_fraction, "at least 0 and below 1"));
        }
        Ok(())
    }
}

/// No draw is above so many medians: the far tail of a wide link would otherwise reach hours.
const LARGEST_OVER_MEDIAN: f64 = 100.0;

/// The 95th percentile of the standard normal distribution.
const Z95: f64 = 1.644_853_626_951_472_2;

/// A link's distribution, ready to draw from. All in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    floor_ns: f64,
    excess_ns: f64,
    sigma: f64,
}

impl Spread {
    /// The distribution of a checked link under a checked jitter.
    pub(super) fn new(link: &Link, jitter: Jitter) -> Self {
        debug_assert_eq!(check_link("link", link), Ok(()));
        let median_ns = link.rtt_p50_ms * 1e6;
        let ratio = libm::exp(jitter.spread_share * libm::log(link.rtt_p95_ms / link.rtt_p50_ms));
        let floor = jitter.floor_fraction;
        let sigma = libm::log((ratio - floor) / (1.0 - floor)) / Z95;
        Self {
            floor_ns: median_ns * floor,
            excess_ns: median_ns * (1.0 - floor),
            sigma: sigma.max(0.0),
        }
    }

    pub(super) fn median(&self) -> Nanos {
        whole(self.floor_ns + self.excess_ns)
    }

    pub(super) fn draw(&self, quantiles: &Quantiles, draw: Draw) -> Nanos {
        if self.sigma == 0.0 {
            return self.median();
        }
        self.at(quantiles.normal(draw.unit()), quantiles)
    }

    /// Whether every round trip takes the median.
    pub(super) fn is_still(&self) -> bool {
        self.sigma == 0.0
    }

    /// The round trip at a standard normal deviate.
    pub(super) fn at(&self, z: f64, quantiles: &Quantiles) -> Nanos {
        let excess = self.excess_ns * quantiles.exp(self.sigma * z);
        let longest = (self.floor_ns + self.excess_ns) * LARGEST_OVER_MEDIAN;
        whole((self.floor_ns + excess).min(longest))
    }
}

/// To the nearest nanosecond, at least one: nothing travels in no time.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 0 and 100 minutes, by the checks on links"
)]
fn whole(ns: f64) -> Nanos {
    Nanos(((ns + 0.5) as u64).max(1))
}

/// Cells of the table over (0, 1).
const CELLS: usize = 1_024;
/// Cells at each end where the quantile bends too much for a line: a 64th.
const END_CELLS: usize = CELLS / 64;

/// Parts of a doubling that the exponential is tabulated at.
const DOUBLING: usize = 128;

/// Tables for what every draw needs.
///
/// The standard normal quantile is a table of straight pieces for all but the outermost 64ths, where it is exact: off by
/// less than 0.0002 and half as dear as the exact one. The exponential is good to the last bit but one.
#[derive(Clone, Debug)]
pub(super) struct Quantiles {
    normal: Box<[f64]>,
    /// 2^(i / 128).
    powers: Box<[f64; DOUBLING]>,
}

impl Quantiles {
    pub(super) fn new() -> Self {
        let at = |cell: usize| normal_quantile(cell as f64 / CELLS as f64);
        let power = |part: usize| libm::exp2(part as f64 / DOUBLING as f64);
        Self {
            normal: (END_CELLS..=CELLS - END_CELLS).map(at).collect(),
            powers: Box::new(std::array::from_fn(power)),
        }
    }

    /// The exponential of an exponent between -700 and 700, cut to them: the nearest 128th of a doubling from the table,
    /// the rest by its series. Only additions and multiplications, so that every platform finds the same float.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number of parts below 2^18, negative ones in two's complement"
    )]
    fn exp(&self, exponent: f64) -> f64 {
        const PARTS_PER_E: f64 = DOUBLING as f64 * std::f64::consts::LOG2_E;
        // ln 2 / 128 in two: the first has zeros where the number of parts has its bits, so that their product is exact.
        const PART_HIGH: f64 =
            f64::from_bits(std::f64::consts::LN_2.to_bits() & !0xffff_ffff) / DOUBLING as f64;
        const PART_LOW: f64 = 4.749_325_039_031_672_6e-7 / DOUBLING as f64;
        // Adding it leaves no room for a fraction.
        const WHOLE: f64 = 6_755_399_441_055_744.0;
        let exponent = exponent.clamp(-700.0, 700.0);
        let parts = exponent * PARTS_PER_E + WHOLE - WHOLE;
        let rest = (exponent - parts * PART_HIGH) - parts * PART_LOW;
        let parts = parts as i64;
        let power = self.powers[parts.rem_euclid(DOUBLING as i64) as usize];
        let doublings = (parts.div_euclid(DOUBLING as i64) << 52) as u64;
        let power = f64::from_bits(power.to_bits().wrapping_add(doublings));
        let series =
            rest + rest * rest * (0.5 + rest * (1.0 / 6.0 + rest * (1.0 / 24.0 + rest / 120.0)));
        power + power * series
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a position inside the table"
    )]
    pub(super) fn normal(&self, p: f64) -> f64 {
        let position = p * CELLS as f64 - END_CELLS as f64;
        if !(0.0..(CELLS - 2 * END_CELLS) as f64).contains(&position) {
            return normal_quantile(p);
        }
        let cell = position as usize;
        let (low, high) = (self.normal[cell], self.normal[cell + 1]);
        low + (high - low) * (position - cell as f64)
    }
}

/// The standard normal quantile for `p` in (0, 1): Wichura's PPND16 (Applied Statistics 37, 1988, algorithm
/// AS 241), relative error about 1e-16.
fn normal_quantile(p: f64) -> f64 {
    let q = p - 0.5;
    if q.abs() <= 0.425 {
        let r = 0.180_625 - q * q;
        return q * rational(r, &CENTRE);
    }
    let tail = if q < 0.0 { p } else { 1.0 - p };
    let r = libm::sqrt(-libm::log(tail));
    let z = if r <= 5.0 { rational(r - 1.6, &TAIL) } else { rational(r - 5.0, &FAR_TAIL) };
    if q < 0.0 { -z } else { z }
}

/// Numerator and denominator, lowest power first.
type Rational = ([f64; 8], [f64; 8]);

fn rational(r: f64, (above, below): &Rational) -> f64 {
    let horner = |c: &[f64; 8]| c.iter().rev().fold(0.0, |sum, &c| sum * r + c);
    horner(above) / horner(below)
}

#[expect(clippy::excessive_precision, reason = "as published")]
const CENTRE: Rational = (
    [
        3.387_132_872_796_366_608,
        1.331_416_678_917_843_774_5e2,
        1.971_590_950_306_551_442_7e3,
        1.373_169_376_550_946_112_5e4,
        4.592_195_393_154_987_145_7e4,
        6.726_577_092_700_870_085_3e4,
        3.343_057_558_358_812_810_5e4,
        2.509_080_928_730_122_672_7e3,
    ],
    [
        1.0,
        4.231_333_070_160_091_125_2e1,
        6.871_870_074_920_579_083e2,
        5.394_196_021_424_751_107_7e3,
        2.121_379_430_158_659_586_7e4,
        3.930_789_580_009_271_061e4,
        2.872_908_573_572_194_267_4e4,
        5.226_495_278_852_854_561e3,
    ],
);

#[expect(clippy::excessive_precision, reason = "as published")]
const TAIL: Rational = (
    [
        1.423_437_110_749_683_577_34,
        4.630_337_846_156_545_295_9,
        5.769_497_221_460_691_405_5,
        3.647_848_324_763_204_605_04,
        1.270_458_252_452_368_382_58,
        2.417_807_251_774_506_117_7e-1,
        2.272_384_498_926_918_458_33e-2,
        7.745_450_142_783_414_076_4e-4,
    ],
    [
        1.0,
        2.053_191_626_637_758_821_87,
        1.676_384_830_183_803_849_4,
        6.897_673_349_851_000_045_5e-1,
        1.481_039_764_274_800_745_9e-1,
        1.519_866_656_361_645_719_66e-2,
        5.475_938_084_995_344_946e-4,
        1.050_750_071_644_416_843_24e-9,
    ],
);

#[expect(clippy::excessive_precision, reason = "as published")]
const FAR_TAIL: Rational = (
    [
        6.657_904_643_501_103_777_2,
        5.463_784_911_164_114_369_9,
        1.784_826_539_917_291_335_8,
        2.965_605_718_285_048_912_3e-1,
        2.653_218_952_657_612_309_3e-2,
        1.242_660_947_388_078_438_6e-3,
        2.711_555_568_743_487_578_15e-5,
        2.010_334_399_292_288_132_65e-7,
    ],
    [
        1.0,
        5.998_322_065_558_879_376_9e-1,
        1.369_298_809_227_358_053_1e-1,
        1.487_536_129_085_061_485_25e-2,
        7.868_691_311_456_132_591e-4,
        1.846_318_317_510_054_681_8e-5,
        1.421_511_758_316_445_888_7e-7,
        2.044_263_103_389_939_785_64e-15,
    ],
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quantile_inverts_the_error_function() {
        let ps = [1e-16, 1e-10, 1e-5, 0.001, 0.05, 0.07, 0.3, 0.5, 0.8, 0.93, 0.95, 0.999, 0.99999];
        for p in ps {
            let z = normal_quantile(p);
            let back = 0.5 * libm::erfc(-z / core::f64::consts::SQRT_2);
            assert!((back / p - 1.0).abs() < 1e-13, "p {p}: z {z} is the quantile of {back}");
        }
        assert!((normal_quantile(0.95) - Z95).abs() < 1e-14);
    }

    #[test]
    fn the_exponential_is_the_librarys_but_for_the_last_bit() {
        let tables = Quantiles::new();
        for step in -1_400_000..=1_400_000 {
            let x = f64::from(step) / 2_000.0;
            let (got, wanted) = (tables.exp(x), libm::exp(x));
            assert!(
                (got - wanted).abs() <= 2.0 * f64::EPSILON * wanted,
                "exp({x}): {got}, {wanted}"
            );
        }
        assert_eq!(tables.exp(0.0), 1.0);
        assert_eq!(tables.exp(f64::INFINITY), tables.exp(700.0));
    }

    #[test]
    fn the_table_is_the_quantile() {
        let table = Quantiles::new();
        let mut before = f64::NEG_INFINITY;
        for i in 1..100_000 {
            let p = f64::from(i) / 100_000.0;
            let z = table.normal(p);
            assert!((z - normal_quantile(p)).abs() < 2e-4, "p {p}: {z}");
            assert!(z >= before, "p {p}: falls to {z}");
            before = z;
        }
    }
}
