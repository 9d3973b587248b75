//! Time inside a replica: whole femtoseconds, and the one rounding to whole nanoseconds.
//!
//! Cost coefficients are far below a nanosecond (0.042 ns per token of context on an H100), so a replica adds them
//! up in this unit. It has no clock and no arithmetic that rounds but [`Femtos::to_nanos`].
//! Read `profile.rs` next.

use gorgo_types::{Nanos, TimeError};
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Mul, Sub};

/// A point in simulated time or a span of it, in whole femtoseconds (10⁻¹⁵ s).
///
/// Sums that overflow (10¹⁶ years) and differences below zero panic in every build.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Femtos(pub u128);

/// Femtoseconds in a nanosecond.
pub const FEMTOS_PER_NANO: u128 = 1_000_000;

/// Femtoseconds in a millisecond.
const FEMTOS_PER_MS: f64 = 1e12;

/// The longest time that is read from milliseconds: 10⁹ s, some 30 years.
const LONGEST_MS: f64 = 1e12;

impl Femtos {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// Whole nanoseconds, exactly.
    #[must_use]
    pub const fn from_nanos(nanos: Nanos) -> Self {
        Self(nanos.0 as u128 * FEMTOS_PER_NANO)
    }

    /// Up to the next whole nanosecond: what a replica reports is never before it happened.
    ///
    /// # Panics
    /// When the time is later than [`Nanos::MAX`], some 584 years.
    #[must_use]
    pub fn to_nanos(self) -> Nanos {
        let nanos = self.0.div_ceil(FEMTOS_PER_NANO);
        Nanos(u64::try_from(nanos).expect("simulated time overflowed"))
    }

    /// Milliseconds that may have a fraction, rounded to the nearest femtosecond.
    ///
    /// # Errors
    /// When `ms` is negative, not a number, or more than 10¹² ms.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range is checked just before"
    )]
    pub fn from_ms(ms: f64) -> Result<Self, TimeError> {
        let refuse = |wanted| Err(TimeError { value: ms, wanted });
        if ms.is_nan() {
            return refuse("a number");
        }
        if ms < 0.0 {
            return refuse("zero or more");
        }
        if ms > LONGEST_MS {
            return refuse("at most 1e12 ms");
        }
        Ok(Self((ms * FEMTOS_PER_MS).round() as u128))
    }

    /// In milliseconds, for display and statistics.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "for display and statistics")]
    pub fn as_ms(self) -> f64 {
        self.0 as f64 / FEMTOS_PER_MS
    }

    /// `self - other`, or zero where `other` is later.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Add for Femtos {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.checked_add(other.0).expect("simulated time overflowed"))
    }
}

impl AddAssign for Femtos {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Femtos {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.checked_sub(other.0).expect("a span of time came out negative"))
    }
}

impl Mul<u64> for Femtos {
    type Output = Self;
    fn mul(self, times: u64) -> Self {
        Self(self.0.checked_mul(u128::from(times)).expect("simulated time overflowed"))
    }
}

impl Sum for Femtos {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for Femtos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.9}ms", self.as_ms())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_rounding_is_up() {
        assert_eq!(Femtos(0).to_nanos(), Nanos(0));
        assert_eq!(Femtos(1).to_nanos(), Nanos(1));
        assert_eq!(Femtos(1_000_000).to_nanos(), Nanos(1));
        assert_eq!(Femtos(1_000_001).to_nanos(), Nanos(2));
        assert_eq!(Femtos::from_nanos(Nanos::MAX).to_nanos(), Nanos::MAX);
    }

    #[test]
    fn milliseconds_become_the_nearest_femtosecond() {
        assert_eq!(Femtos::from_ms(8.6743e-7), Ok(Femtos(867_430)));
        assert_eq!(Femtos::from_ms(4.2116e-5), Ok(Femtos(42_116_000)));
        assert_eq!(Femtos::from_ms(6.446), Ok(Femtos(6_446_000_000_000)));
        for bad in [-1e-9, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1.1e12] {
            assert!(Femtos::from_ms(bad).is_err(), "{bad} passed");
        }
    }

    #[test]
    #[should_panic(expected = "simulated time overflowed")]
    fn a_time_past_the_last_nanosecond_is_a_bug() {
        let _ = (Femtos::from_nanos(Nanos::MAX) + Femtos(1)).to_nanos();
    }
}
