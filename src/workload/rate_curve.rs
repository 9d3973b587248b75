//! Rates that change over time, and the exact arrival process of each: a change of time.
//!
//! With a cumulative rate L(t), the arrivals wanted by t, and gaps of mean 1 whose sums are S, the arrivals are at
//! L^-1(S). For exponential gaps that is the Poisson process of that rate, exactly and without a bound to thin by; and
//! since a gap belongs to its ordinal, two curves under one seed meet the same gaps. This file knows L and its inverse;
//! the gaps are `arrival`'s.

use crate::WorkloadError;
use crate::error::in_range;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::f64::consts::TAU;

/// How the rate of arrivals changes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum RateCurve {
    /// Along a line, then constant.
    Ramp {
        /// Arrivals per second at time zero; may be 0.
        from_rps: f64,
        /// Arrivals per second at the end of the ramp and from then on.
        to_rps: f64,
        /// Length of the ramp in seconds.
        over_s: f64,
    },
    /// A cosine around a mean.
    Diurnal {
        /// Arrivals per second, in the mean over a period.
        rate_rps: f64,
        /// Height of the peak above the mean, as a share of it, 0 to 1; the trough is as far below.
        amplitude: f64,
        /// Length of a period in seconds.
        period_s: f64,
        /// When the first peak is, in seconds from time zero, at most a period.
        peak_s: f64,
    },
    /// A day of 24 hours, each with a rate of its own, over and over.
    Hourly {
        /// Arrivals per second, in the mean over a day.
        rate_rps: f64,
        /// Weight of each hour, from midnight on; only their ratios count.
        hourly: [f64; 24],
        /// The time of day at time zero, in seconds from midnight.
        start_s: f64,
    },
    /// A constant rate, multiplied during a spike.
    Spike {
        /// Arrivals per second outside the spike.
        rate_rps: f64,
        /// What the rate is multiplied by during it.
        factor: f64,
        /// When it begins, in seconds.
        from_s: f64,
        /// When it ends, in seconds.
        to_s: f64,
        /// How long after its beginning the next one begins, in seconds; none: there is one.
        every_s: Option<f64>,
    },
}

const HOUR_S: f64 = 3_600.0;
const DAY_S: f64 = 24.0 * HOUR_S;

impl RateCurve {
    /// Checks the parameters.
    ///
    /// # Errors
    /// When one is no number, out of range, or contradicts another.
    pub fn validate(&self) -> Result<(), WorkloadError> {
        let rate = |field, rps| in_range(field, rps, 1e-6, 1e9, "requests per second");
        let span = |field, s| in_range(field, s, 1e-3, 1e9, "seconds");
        match *self {
            Self::Ramp { from_rps, to_rps, over_s } => {
                in_range("from_rps", from_rps, 0.0, 1e9, "requests per second")?;
                rate("to_rps", to_rps)?;
                span("over_s", over_s)
            }
            Self::Diurnal { rate_rps, amplitude, period_s, peak_s } => {
                rate("rate_rps", rate_rps)?;
                in_range("amplitude", amplitude, 0.0, 1.0, "share of the mean rate")?;
                span("period_s", period_s)?;
                in_range("peak_s", peak_s, 0.0, period_s, "seconds, at most a period")
            }
            Self::Hourly { rate_rps, hourly, start_s } => {
                rate("rate_rps", rate_rps)?;
                for weight in hourly {
                    in_range("hourly", weight, 0.0, 1e9, "weight of an hour")?;
                }
                in_range("hourly", hourly.iter().sum(), 1e-9, 1e12, "sum of the weights")?;
                in_range("start_s", start_s, 0.0, DAY_S, "seconds, at most a day")
            }
            Self::Spike { rate_rps, factor, from_s, to_s, every_s } => {
                rate("rate_rps", rate_rps)?;
                in_range("factor", factor, 0.0, 1e6, "rate in the spike / rate outside")?;
                in_range("from_s", from_s, 0.0, 1e9, "seconds")?;
                in_range("to_s", to_s, from_s + 1e-3, 1e9, "seconds, after the beginning")?;
                let Some(every_s) = every_s else { return Ok(()) };
                let least = to_s - from_s + 1e-3;
                in_range("every_s", every_s, least, 1e9, "seconds, longer than a spike")
            }
        }
    }

    /// The rate, in arrivals per second: the mean over a period, outside a spike, or after a ramp.
    #[must_use]
    pub const fn rate_rps(&self) -> f64 {
        match *self {
            Self::Ramp { to_rps: rate_rps, .. }
            | Self::Diurnal { rate_rps, .. }
            | Self::Hourly { rate_rps, .. }
            | Self::Spike { rate_rps, .. } => rate_rps,
        }
    }
}

/// A cumulative rate and its inverse.
#[derive(Clone, Debug)]
pub struct Cumulative(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Ramp { from_rps: f64, to_rps: f64, over_s: f64 },
    Cosine { rate_rps: f64, amplitude: f64, period_s: f64, peak_s: f64 },
    Steps(Steps),
}

/// Constant rates: one piece at the beginning, then a cycle of pieces for ever. A piece is (seconds, arrivals per
/// second).
#[derive(Clone, Debug)]
struct Steps {
    lead: (f64, f64),
    cycle: Vec<(f64, f64)>,
}

impl Cumulative {
    /// The cumulative rate of a curve.
    ///
    /// # Errors
    /// As [`RateCurve::validate`].
    pub fn new(curve: &RateCurve) -> Result<Self, WorkloadError> {
        curve.validate()?;
        Ok(Self(match *curve {
            RateCurve::Ramp { from_rps, to_rps, over_s } => Kind::Ramp { from_rps, to_rps, over_s },
            RateCurve::Diurnal { rate_rps, amplitude, period_s, peak_s } => {
                Kind::Cosine { rate_rps, amplitude, period_s, peak_s }
            }
            RateCurve::Hourly { rate_rps, hourly, start_s } => {
                let unit = rate_rps * 24.0 / hourly.iter().sum::<f64>();
                let (hour, into_s) = ((start_s / HOUR_S).floor(), start_s % HOUR_S);
                let rate = |later: usize| unit * hourly[(hour as usize + later) % 24];
                // The cycle begins at the next full hour.
                let cycle = (1..=24).map(|later| (HOUR_S, rate(later))).collect();
                Kind::Steps(Steps { lead: (HOUR_S - into_s, rate(0)), cycle })
            }
            RateCurve::Spike { rate_rps, factor, from_s, to_s, every_s } => {
                let length_s = to_s - from_s;
                let after_s = every_s.map_or(f64::INFINITY, |every_s| every_s - length_s);
                let cycle = vec![(length_s, rate_rps * factor), (after_s, rate_rps)];
                Kind::Steps(Steps { lead: (from_s, rate_rps), cycle })
            }
        }))
    }

    /// Arrivals wanted by time `t_s`, in seconds.
    #[must_use]
    pub fn arrivals_by(&self, t_s: f64) -> f64 {
        match &self.0 {
            Kind::Ramp { from_rps, to_rps, over_s } => {
                let ramp_s = t_s.min(*over_s);
                let slope = (to_rps - from_rps) / over_s;
                (from_rps + 0.5 * slope * ramp_s) * ramp_s + to_rps * (t_s - ramp_s)
            }
            Kind::Cosine { rate_rps, amplitude, period_s, peak_s } => {
                let sine = |s: f64| libm::sin(TAU * (s / period_s));
                let swing_s = amplitude * period_s / TAU * (sine(t_s - peak_s) + sine(*peak_s));
                rate_rps * (t_s + swing_s)
            }
            Kind::Steps(steps) => steps.arrivals_by(t_s),
        }
    }

    /// When so many arrivals are wanted, in seconds: the inverse of [`Cumulative::arrivals_by`].
    #[must_use]
    pub fn time_of(&self, arrivals: f64) -> f64 {
        if arrivals <= 0.0 {
            return 0.0;
        }
        match &self.0 {
            Kind::Ramp { from_rps, to_rps, over_s } => {
                let whole = 0.5 * (from_rps + to_rps) * over_s;
                if arrivals >= whole {
                    return over_s + (arrivals - whole) / to_rps;
                }
                let slope = (to_rps - from_rps) / over_s;
                let root = (from_rps * from_rps + 2.0 * slope * arrivals).max(0.0).sqrt();
                // The form of the quadratic's root in which nothing cancels, up or down.
                2.0 * arrivals / (from_rps + root)
            }
            Kind::Cosine { rate_rps, period_s, .. } => {
                let per_period = rate_rps * period_s;
                let periods = (arrivals / per_period).floor();
                periods * period_s + self.by_halving(arrivals - periods * per_period, *period_s)
            }
            Kind::Steps(steps) => steps.time_of(arrivals),
        }
    }

    /// The inverse in the first `span_s`, where the rate is nowhere below 0. A sine has no closed inverse, and steeper
    /// methods than halving run off where the rate is nearly 0.
    fn by_halving(&self, arrivals: f64, span_s: f64) -> f64 {
        let (mut low, mut high) = (0.0, span_s);
        // 60 halvings of the longest period leave less than a nanosecond.
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            if self.arrivals_by(middle) < arrivals {
                low = middle;
            } else {
                high = middle;
            }
        }
        high
    }
}

impl Steps {
    fn arrivals_by(&self, t_s: f64) -> f64 {
        let (lead_s, lead_rps) = self.lead;
        if t_s <= lead_s {
            return lead_rps * t_s;
        }
        let cycle_s: f64 = self.cycle.iter().map(|(length_s, _)| length_s).sum();
        let cycles = ((t_s - lead_s) / cycle_s).floor();
        let mut arrivals = lead_rps * lead_s;
        if cycles > 0.0 {
            arrivals += cycles * self.per_cycle();
        }
        let mut left_s = t_s - lead_s - if cycles > 0.0 { cycles * cycle_s } else { 0.0 };
        for (length_s, rps) in &self.cycle {
            let here_s = left_s.clamp(0.0, *length_s);
            arrivals += rps * here_s;
            left_s -= here_s;
        }
        arrivals
    }

    fn time_of(&self, arrivals: f64) -> f64 {
        let (lead_s, lead_rps) = self.lead;
        if arrivals <= lead_rps * lead_s {
            return arrivals / lead_rps;
        }
        let mut left = arrivals - lead_rps * lead_s;
        let mut at_s = lead_s;
        let cycles = (left / self.per_cycle()).floor();
        if cycles > 0.0 {
            left -= cycles * self.per_cycle();
            at_s += cycles * self.cycle.iter().map(|(length_s, _)| length_s).sum::<f64>();
        }
        for (length_s, rps) in &self.cycle {
            if *rps > 0.0 && left <= rps * length_s {
                return at_s + left.max(0.0) / rps;
            }
            left -= rps * length_s;
            at_s += length_s;
        }
        at_s
    }

    /// Arrivals of one cycle; infinite where it never ends.
    fn per_cycle(&self) -> f64 {
        self.cycle.iter().map(|(length_s, rps)| length_s * rps).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_curve() -> impl Strategy<Value = RateCurve> {
        let rate = 0.01..1e4_f64;
        let weights = prop::array::uniform24(prop_oneof![Just(0.0), 0.1..10.0_f64]);
        prop_oneof![
            (0.0..100.0_f64, rate.clone(), 1.0..1e5_f64).prop_map(|(from_rps, to_rps, over_s)| {
                RateCurve::Ramp { from_rps, to_rps, over_s }
            }),
            (rate.clone(), 0.0..=1.0_f64, 10.0..1e5_f64, 0.0..=1.0_f64).prop_map(
                |(rate_rps, amplitude, period_s, peak)| {
                    RateCurve::Diurnal { rate_rps, amplitude, period_s, peak_s: peak * period_s }
                }
            ),
            (rate.clone(), weights, 0.0..DAY_S).prop_map(|(rate_rps, mut hourly, start_s)| {
                hourly[3] += 0.1;
                RateCurve::Hourly { rate_rps, hourly, start_s }
            }),
            (rate, 0.0..20.0_f64, 0.0..1e3_f64, 1.0..1e3_f64, prop::option::of(1.0..1e3_f64))
                .prop_map(|(rate_rps, factor, from_s, length_s, pause_s)| RateCurve::Spike {
                    rate_rps,
                    factor,
                    from_s,
                    to_s: from_s + length_s,
                    every_s: pause_s.map(|pause_s| length_s + pause_s),
                }),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn time_and_arrivals_are_inverse(curve in any_curve(), t_s in 0.0..1e6_f64) {
            let cumulative = Cumulative::new(&curve).unwrap();
            let arrivals = cumulative.arrivals_by(t_s);
            let again = cumulative.arrivals_by(cumulative.time_of(arrivals));
            prop_assert!((again - arrivals).abs() <= 1e-9 * arrivals.max(1.0), "{again}, not {arrivals}");
            // A little earlier, so that rounding does not lead across a pause.
            let earlier = cumulative.time_of(arrivals * (1.0 - 1e-9) - 1e-9);
            prop_assert!(earlier <= t_s * (1.0 + 1e-9) + 1e-6);
            prop_assert!(cumulative.arrivals_by(t_s + 1.0) >= arrivals * (1.0 - 1e-12));
        }
    }

    #[test]
    fn curves_by_hand() {
        let by = |curve, times: &[f64]| -> Vec<f64> {
            let cumulative = Cumulative::new(&curve).unwrap();
            times.iter().map(|t_s| (cumulative.arrivals_by(*t_s) * 1e6).round() / 1e6).collect()
        };
        let ramp = RateCurve::Ramp { from_rps: 0.0, to_rps: 10.0, over_s: 10.0 };
        assert_eq!(by(ramp, &[0.0, 5.0, 10.0, 12.0]), [0.0, 12.5, 50.0, 70.0]);
        let day = RateCurve::Diurnal { rate_rps: 2.0, amplitude: 1.0, period_s: 8.0, peak_s: 2.0 };
        // A quarter of the period on either side of the peak has 2 (1 + 2 / pi) of its mean.
        let peak = 16.0 * (0.5 + 1.0 / std::f64::consts::PI);
        assert_eq!(by(day, &[4.0, 8.0, 800.0]), [(peak * 1e6).round() / 1e6, 16.0, 1_600.0]);
        let mut hourly = [0.0; 24];
        (hourly[0], hourly[23]) = (1.0, 3.0);
        let start_s = 23.5 * HOUR_S;
        let day = RateCurve::Hourly { rate_rps: 4.0 / DAY_S, hourly, start_s };
        // Half of the last hour, all of the first, nothing until the next day's last hour.
        assert_eq!(by(day, &[1_800.0, 5_400.0, 80_000.0, DAY_S]), [1.5, 2.5, 2.5, 4.0]);
        let every_s = Some(10.0);
        let spike =
            RateCurve::Spike { rate_rps: 1.0, factor: 5.0, from_s: 3.0, to_s: 5.0, every_s };
        assert_eq!(
            by(spike, &[3.0, 4.0, 5.0, 13.0, 15.0, 103.0]),
            [3.0, 8.0, 13.0, 21.0, 31.0, 183.0]
        );
        let once =
            RateCurve::Spike { rate_rps: 1.0, factor: 0.0, from_s: 3.0, to_s: 5.0, every_s: None };
        assert_eq!(by(once, &[3.0, 5.0, 100.0]), [3.0, 3.0, 98.0]);
        let pause = Cumulative::new(&once).unwrap();
        assert_eq!((pause.time_of(3.0), pause.time_of(4.0)), (3.0, 6.0));
    }
}
