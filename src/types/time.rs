//! Time as whole nanoseconds.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub};

/// A point in simulated time (since time zero) or a span of it, in whole nanoseconds.
///
/// Sums that overflow (584 years) and differences that fall below zero panic in every build.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Nanos(pub u64);

/// Why a number is no time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TimeError {
    /// The number, in the unit that was read.
    pub value: f64,
    /// What was wanted instead.
    pub wanted: &'static str,
}

impl fmt::Display for TimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "got {}, wanted {}", self.value, self.wanted)
    }
}

impl std::error::Error for TimeError {}

/// About 146 years: far more than a simulation lasts, and sums of two stay within `u64`.
const LONGEST_NS: f64 = 4.6e18;

impl Nanos {
    /// Time zero; no time at all.
    pub const ZERO: Self = Self(0);
    /// Later than every event.
    pub const MAX: Self = Self(u64::MAX);

    /// Whole milliseconds.
    #[must_use]
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms * 1_000_000)
    }

    /// Whole seconds.
    #[must_use]
    pub const fn from_secs(s: u64) -> Self {
        Self(s * 1_000_000_000)
    }

    /// Milliseconds that may have a fraction, rounded to the nearest nanosecond.
    ///
    /// # Errors
    /// When `ms` is negative, not a number, infinite or longer than about 146 years.
    pub fn from_ms(ms: f64) -> Result<Self, TimeError> {
        Self::from_scaled(ms, 1e6)
    }

    /// Seconds that may have a fraction, rounded to the nearest nanosecond.
    ///
    /// # Errors
    /// As for [`Nanos::from_ms`].
    pub fn from_s(s: f64) -> Result<Self, TimeError> {
        Self::from_scaled(s, 1e9)
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range is checked just before"
    )]
    fn from_scaled(value: f64, scale: f64) -> Result<Self, TimeError> {
        let refuse = |wanted| Err(TimeError { value, wanted });
        if value.is_nan() {
            return refuse("a number");
        }
        if value < 0.0 {
            return refuse("zero or more");
        }
        let ns = (value * scale).round();
        if ns > LONGEST_NS {
            return refuse("less than 146 years");
        }
        Ok(Self(ns as u64))
    }

    /// In milliseconds.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "for display and statistics")]
    pub fn as_ms(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// In seconds.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "for display and statistics")]
    pub fn as_s(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// `self - other`, or zero where `other` is later.
    #[must_use]
    #[inline]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// The sum, or [`Nanos::MAX`] where it does not fit.
    #[must_use]
    #[inline]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Add for Nanos {
    type Output = Self;
    #[inline]
    fn add(self, other: Self) -> Self {
        Self(self.0.checked_add(other.0).expect("simulated time overflowed"))
    }
}

impl AddAssign for Nanos {
    #[inline]
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Nanos {
    type Output = Self;
    #[inline]
    fn sub(self, other: Self) -> Self {
        Self(self.0.checked_sub(other.0).expect("a span of time came out negative"))
    }
}

impl Sum for Nanos {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0..1_000 => write!(f, "{}ns", self.0),
            1_000..1_000_000 => write!(f, "{:.3}us", self.as_ms() * 1e3),
            1_000_000..1_000_000_000 => write!(f, "{:.3}ms", self.as_ms()),
            _ => write!(f, "{:.3}s", self.as_s()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_round_to_the_nearest_nanosecond() {
        assert_eq!(Nanos::from_ms(0.000_000_6), Ok(Nanos(1)));
        assert_eq!(Nanos::from_ms(75.5), Ok(Nanos(75_500_000)));
        assert_eq!(Nanos::from_s(1.25), Ok(Nanos(1_250_000_000)));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for value in [-1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300] {
            assert!(Nanos::from_ms(value).is_err(), "{value} passed");
        }
    }
}
