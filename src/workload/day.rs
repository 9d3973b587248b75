//! The time of day: a rate that follows the local clocks of those who ask, and that drifts.
//!
//! Each origin's rate is its share × the hourly curve at its local hour (solar time: UTC + longitude / 15) × a drift
//! that all origins share. An arrival process with a constant mean rate is stretched by the sum of them: a Poisson
//! process becomes, exactly, independent Poisson processes of the origins with those rates. The drift is lognormal with
//! mean 1, correlated over `drift_s`, and begins at 1: so a run of some minutes has the rate that was asked for, and a
//! run of days has the spread. An origin without a position has no local hour: its rate follows the drift alone.
//!
//! Rates are constant within a minute. Nothing here knows of sessions: `chat` asks for times and origins.

use crate::WorkloadError;
use crate::error::in_range;
use gorgo_random::{Draw, Key, Purpose};
use gorgo_types::Nanos;
use rand_distr::{Distribution, StandardNormal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Rates are constant for so long.
const CELL_S: f64 = 60.0;
/// No arrival is planned later: 30 years.
const LAST_S: f64 = 1e9;

/// How the rate of arrivals follows the time of day, and drifts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DaySpec {
    /// The time of day at time zero: seconds after midnight UTC.
    pub start_s: f64,
    /// Rate in each of the 24 hours of local time, from midnight on; divided by their mean. Between the middles of two
    /// hours it is linear.
    pub hourly: Vec<f64>,
    /// Standard deviation of the drift over its mean of 1, once a run is much longer than `drift_s`; 0: none.
    pub drift_cv: f64,
    /// The time over which the logarithm of the drift keeps 1/e of its correlation, in seconds.
    pub drift_s: f64,
}

impl DaySpec {
    /// Checks the parameters.
    ///
    /// # Errors
    /// When there are not 24 rates, they are negative or all zero, or another number is out of range.
    pub fn validate(&self) -> Result<(), WorkloadError> {
        in_range("day.start_s", self.start_s, 0.0, 86_400.0, "seconds after midnight UTC")?;
        in_range("day.drift_cv", self.drift_cv, 0.0, 10.0, "standard deviation / mean")?;
        in_range("day.drift_s", self.drift_s, 1.0, 1e9, "seconds")?;
        let wanted = |got: String| WorkloadError::Parameter {
            field: "day.hourly",
            got,
            wanted: "24 rates from 0 to 1000000, not all of them 0".to_owned(),
        };
        if self.hourly.len() != 24 {
            return Err(wanted(format!("{} rates", self.hourly.len())));
        }
        for &rate in &self.hourly {
            if !(0.0..=1e6).contains(&rate) {
                return Err(wanted(rate.to_string()));
            }
        }
        if self.hourly.iter().sum::<f64>() < 1e-6 {
            return Err(wanted("24 times 0".to_owned()));
        }
        Ok(())
    }

    /// The curve at a local hour (from 0 to below 24), in units of its mean.
    fn at(&self, hour: f64) -> f64 {
        let mean = self.hourly.iter().sum::<f64>() / 24.0;
        let middle = (hour + 23.5).rem_euclid(24.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an hour of the day, from 0 to 23"
        )]
        let before = middle as usize % 24;
        let after = (before + 1) % 24;
        let share = middle - middle.floor();
        (self.hourly[before] * (1.0 - share) + self.hourly[after] * share) / mean
    }
}

/// The running state of a [`DaySpec`]: times must be asked for in order.
#[derive(Clone, Debug)]
pub(crate) struct Day {
    spec: DaySpec,
    key: Key,
    /// Share and local time before UTC of each origin, in hours; none: it has no local time.
    origins: Vec<(f64, Option<f64>)>,
    cell: u64,
    /// Seconds of the constant process that have passed when the cell begins.
    passed_s: f64,
    /// Logarithm of the drift, before it is centred, and its variance.
    drift: (f64, f64),
    /// Running sums of the origins' rates in this cell, without the drift.
    sums: Vec<f64>,
}

impl Day {
    /// `origins` are shares (their scale does not matter) and longitudes in degrees.
    pub(crate) fn new(spec: DaySpec, key: Key, origins: &[(f64, Option<f64>)]) -> Self {
        let sum: f64 = origins.iter().map(|origin| origin.0).sum();
        let origins =
            origins.iter().map(|&(share, lon)| (share / sum, lon.map(|lon| lon / 15.0))).collect();
        let key = key.with(Purpose::RateDrift);
        let mut day = Self {
            spec,
            key,
            origins,
            cell: 0,
            passed_s: 0.0,
            drift: (0.0, 0.0),
            sums: Vec::new(),
        };
        day.weigh();
        day
    }

    /// Fills in the rates of this cell.
    fn weigh(&mut self) {
        #[expect(clippy::cast_precision_loss, reason = "cells stay far below 2^53")]
        let utc_h = (self.spec.start_s + (self.cell as f64 + 0.5) * CELL_S) / 3600.0;
        self.sums.clear();
        let mut sum = 0.0;
        for &(share, ahead_h) in &self.origins {
            sum += share
                * ahead_h.map_or(1.0, |ahead_h| self.spec.at((utc_h + ahead_h).rem_euclid(24.0)));
            self.sums.push(sum);
        }
    }

    /// The rate of this cell over the mean rate.
    fn rate(&self) -> f64 {
        let drift = libm::exp(self.drift.0 - self.drift.1 / 2.0);
        self.sums.last().copied().unwrap_or(1.0) * drift
    }

    fn next_cell(&mut self) {
        self.passed_s += CELL_S * self.rate();
        self.cell += 1;
        if self.spec.drift_cv > 0.0 {
            let variance = libm::log1p(self.spec.drift_cv * self.spec.drift_cv);
            let keep = libm::exp(-CELL_S / self.spec.drift_s);
            let fresh = variance * (1.0 - keep * keep);
            let unit: f64 = StandardNormal.sample(&mut self.key.word(self.cell).draw().rng());
            self.drift.0 = self.drift.0 * keep + unit * libm::sqrt(fresh);
            self.drift.1 = self.drift.1 * keep * keep + fresh;
        }
        self.weigh();
    }

    /// When the arrival comes that a constant rate would have brought at `constant`, which is no earlier than the one
    /// asked for before. From then on, [`Day::pick`] is about that time.
    pub(crate) fn stretch(&mut self, constant: Nanos) -> Nanos {
        let wanted_s = constant.as_s();
        if wanted_s > LAST_S {
            return Nanos::MAX;
        }
        loop {
            #[expect(clippy::cast_precision_loss, reason = "cells stay far below 2^53")]
            let begin_s = self.cell as f64 * CELL_S;
            if begin_s > LAST_S {
                return Nanos::MAX;
            }
            let rate = self.rate();
            let left_s = wanted_s - self.passed_s;
            if left_s < CELL_S * rate {
                let into_s = if left_s > 0.0 { left_s / rate } else { 0.0 };
                return Nanos::from_s(begin_s + into_s).unwrap_or(Nanos::MAX);
            }
            self.next_cell();
        }
    }

    /// The index of the origin that the arrival last asked for comes from.
    pub(crate) fn pick(&self, draw: Draw) -> usize {
        let Some(&sum) = self.sums.last() else { return 0 };
        let at = draw.unit() * sum;
        self.sums.partition_point(|&upto| upto <= at).min(self.sums.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(drift_cv: f64) -> DaySpec {
        let hourly = (0..24).map(|hour| if hour < 12 { 0.5 } else { 3.5 }).collect();
        DaySpec { start_s: 0.0, hourly, drift_cv, drift_s: 3600.0 }
    }

    #[test]
    fn the_curve_is_continuous_and_keeps_its_mean() {
        let spec = spec(0.0);
        let n = 24_000;
        let at = |i: u32| spec.at(f64::from(i % n) / 1000.0);
        let mean = (0..n).map(at).sum::<f64>() / f64::from(n);
        assert!((mean - 1.0).abs() < 1e-6, "mean {mean}");
        assert!((0..n).all(|i| (at(i) - at(i + 1)).abs() < 0.002), "a jump");
        assert!((spec.at(6.5) - 0.25).abs() < 1e-12 && (spec.at(18.5) - 1.75).abs() < 1e-12);
    }

    #[test]
    fn every_origin_follows_its_own_clock() {
        // Greenwich at UTC, the date line twelve hours from it, and one origin without a place.
        let origins = [(1.0, Some(0.0)), (1.0, Some(180.0)), (2.0, None)];
        let mut day = Day::new(spec(0.0), Key::new(1), &origins);
        let (mut counts, n) = ([[0_u32; 24]; 3], 400_000_u32);
        // One a second of the constant process for some days: evenly spaced, so that only the picks are random.
        for i in 0..n {
            let at = day.stretch(Nanos::from_secs(u64::from(i)));
            let origin = day.pick(Key::new(2).word(u64::from(i)).draw());
            counts[origin][(at.as_s() / 3600.0) as usize % 24] += 1;
        }
        let all: u32 = counts.iter().flatten().sum();
        assert_eq!(all, n);
        let ratio = |a: u32, b: u32| f64::from(a) / f64::from(b);
        assert!((ratio(counts[0][18], counts[0][6]) - 7.0).abs() < 0.7, "{counts:?}");
        assert!((ratio(counts[1][6], counts[1][18]) - 7.0).abs() < 0.7, "{counts:?}");
        assert!((ratio(counts[2][6], counts[2][18]) - 1.0).abs() < 0.1, "{counts:?}");
    }

    #[test]
    fn the_drift_begins_at_one_and_has_the_asked_for_spread() {
        let mut day = Day::new(spec(0.4), Key::new(3), &[(1.0, None)]);
        assert_eq!(day.stretch(Nanos::from_secs(30)), Nanos::from_secs(30));
        let rates: Vec<f64> = (0..600_000)
            .map(|_| {
                day.next_cell();
                day.rate()
            })
            .collect();
        let n = rates.len() as f64;
        let mean = rates.iter().sum::<f64>() / n;
        let var = rates.iter().map(|rate| (rate - mean).powi(2)).sum::<f64>() / n;
        // 10,000 correlation times: the mean is known to 0.4 × √(2 / 10,000) = 0.6 %.
        assert!((mean - 1.0).abs() < 0.02, "mean {mean}");
        assert!((var.sqrt() / mean - 0.4).abs() < 0.02, "cv {}", var.sqrt() / mean);
    }

    #[test]
    fn times_never_go_backwards_and_end() {
        let mut day = Day::new(spec(2.0), Key::new(4), &[(1.0, Some(77.0)), (0.1, None)]);
        let mut last = Nanos::ZERO;
        for i in 0..50_000_u64 {
            let at = day.stretch(Nanos(i * 1_700_000_000));
            assert!(at >= last, "{at:?} after {last:?}");
            last = at;
        }
        assert_eq!(day.stretch(Nanos::MAX), Nanos::MAX);
    }
}
