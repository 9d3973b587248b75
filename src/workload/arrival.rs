//! Arrival processes: constant, Poisson, gamma, or of a rate that changes (`rate_curve`); and a wrapper that gives them
//! to another source's requests.

use crate::rate_curve::Cumulative;
use crate::{Due, RateCurve, Source, WorkloadError};
use gorgo_random::{Key, Purpose};
use gorgo_types::{Nanos, Origin, Request};
use rand_distr::{Distribution, Exp1, Gamma};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How arrivals follow one another. The first is at time zero.
#[expect(clippy::large_enum_variant, reason = "one is read per run; a table of 24 hours is large")]
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ArrivalSpec {
    /// One every `1 / rate_rps` seconds.
    Constant {
        /// Arrivals per second.
        rate_rps: f64,
    },
    /// Independent exponential gaps: coefficient of variation 1.
    Poisson {
        /// Arrivals per second, in the mean.
        rate_rps: f64,
    },
    /// Independent gamma gaps: bursts where `cv` is above 1.
    Gamma {
        /// Arrivals per second, in the mean.
        rate_rps: f64,
        /// Coefficient of variation of the gaps (standard deviation / mean).
        cv: f64,
    },
    /// A rate that changes: gamma gaps, stretched as the rate falls.
    Varying {
        /// How it changes.
        curve: RateCurve,
        /// Coefficient of variation of the gaps before they are stretched: 1 is a Poisson process, 0 evenly spaced.
        cv: f64,
    },
}

impl ArrivalSpec {
    /// Checks the parameters.
    ///
    /// # Errors
    /// When the rate or the coefficient of variation is not a positive number in range.
    pub fn validate(&self) -> Result<(), WorkloadError> {
        let (rate, cv) = match *self {
            Self::Constant { rate_rps } | Self::Poisson { rate_rps } => (rate_rps, 1.0),
            Self::Gamma { rate_rps, cv } => (rate_rps, cv),
            Self::Varying { curve, cv } => {
                curve.validate()?;
                (curve.rate_rps(), if cv == 0.0 { 1.0 } else { cv })
            }
        };
        crate::error::in_range("rate_rps", rate, 1e-6, 1e9, "requests per second")?;
        crate::error::in_range("cv", cv, 0.01, 100.0, "standard deviation / mean")
    }

    /// Arrivals per second, in the mean; of a rate that changes, [`RateCurve::rate_rps`].
    #[must_use]
    pub const fn rate_rps(&self) -> f64 {
        match *self {
            Self::Constant { rate_rps }
            | Self::Poisson { rate_rps }
            | Self::Gamma { rate_rps, .. } => rate_rps,
            Self::Varying { curve, .. } => curve.rate_rps(),
        }
    }
}

/// The times of an arrival process, one after the other; endless.
#[derive(Clone, Debug)]
pub struct ArrivalTimes {
    key: Key,
    spec: ArrivalSpec,
    gamma: Option<Gamma<f64>>,
    /// Where the rate changes, its cumulative rate, and the sum of the gaps of mean 1 so far.
    varying: Option<(Cumulative, f64)>,
    ordinal: u64,
    next: Nanos,
}

impl ArrivalTimes {
    /// The process `spec`, its gaps keyed by `key` and the arrival's ordinal.
    ///
    /// # Errors
    /// As [`ArrivalSpec::validate`].
    pub fn new(spec: ArrivalSpec, key: Key) -> Result<Self, WorkloadError> {
        spec.validate()?;
        let of_rate = |cv: f64, rate_rps: f64| {
            let shape = 1.0 / (cv * cv);
            Gamma::new(shape, 1.0 / (shape * rate_rps)).map_err(|error| WorkloadError::Parameter {
                field: "cv",
                got: cv.to_string(),
                wanted: format!("a gamma distribution: {error}"),
            })
        };
        let (gamma, varying) = match spec {
            ArrivalSpec::Gamma { cv, rate_rps } => (Some(of_rate(cv, rate_rps)?), None),
            ArrivalSpec::Varying { curve, cv } => {
                let gamma = (cv > 0.0 && cv != 1.0).then(|| of_rate(cv, 1.0)).transpose()?;
                (gamma, Some((Cumulative::new(&curve)?, 0.0)))
            }
            ArrivalSpec::Constant { .. } | ArrivalSpec::Poisson { .. } => (None, None),
        };
        let key = key.with(Purpose::Arrival);
        Ok(Self { key, spec, gamma, varying, ordinal: 0, next: Nanos::ZERO })
    }

    /// The next arrival's time.
    #[must_use]
    pub const fn peek(&self) -> Nanos {
        self.next
    }

    /// The next arrival's ordinal, from 0.
    #[must_use]
    pub const fn ordinal(&self) -> u64 {
        self.ordinal
    }

    /// Goes on to the arrival after.
    pub fn advance(&mut self) {
        self.ordinal += 1;
        let mut rng = self.key.word(self.ordinal).draw().rng();
        if let Some((cumulative, arrivals)) = &mut self.varying {
            *arrivals += match (self.spec, &self.gamma) {
                (ArrivalSpec::Varying { cv: 0.0, .. }, _) => 1.0,
                (_, Some(gamma)) => gamma.sample(&mut rng),
                (_, None) => Exp1.sample(&mut rng),
            };
            let at = Nanos::from_s(cumulative.time_of(*arrivals)).unwrap_or(Nanos::MAX);
            self.next = self.next.max(at);
            return;
        }
        let gap_s = match (self.spec, &self.gamma) {
            (ArrivalSpec::Constant { rate_rps }, _) => {
                #[expect(clippy::cast_precision_loss, reason = "ordinals stay far below 2^53")]
                let at_s = self.ordinal as f64 / rate_rps;
                self.next = Nanos::from_s(at_s).unwrap_or(Nanos::MAX);
                return;
            }
            (_, Some(gamma)) => gamma.sample(&mut rng),
            (spec, None) => {
                let unit: f64 = Exp1.sample(&mut rng);
                unit / spec.rate_rps()
            }
        };
        self.next = self.next.saturating_add(Nanos::from_s(gap_s).unwrap_or(Nanos::MAX));
    }
}

/// Another source's requests, in their order, at the times of an arrival process.
pub struct Retimed<S> {
    inner: S,
    times: ArrivalTimes,
}

impl<S: Source> Retimed<S> {
    /// Gives the requests of `inner` the times of `spec`.
    ///
    /// # Errors
    /// As [`ArrivalSpec::validate`]; and where `inner` waits for completions, since its times are then its own.
    pub fn new(inner: S, spec: ArrivalSpec, key: Key) -> Result<Self, WorkloadError> {
        if inner.needs_completions() {
            return Err(WorkloadError::NeedsCompletions { what: "an arrival process" });
        }
        Ok(Self { inner, times: ArrivalTimes::new(spec, key)? })
    }
}

impl<S: Source> Source for Retimed<S> {
    fn next_due(&mut self) -> Result<Due, WorkloadError> {
        Ok(match self.inner.next_due()? {
            Due::At(_) => Due::At(self.times.peek()),
            other => other,
        })
    }

    fn take(&mut self) -> Result<(Nanos, Request), WorkloadError> {
        let (_, request) = self.inner.take()?;
        let at = self.times.peek();
        self.times.advance();
        Ok((at, request))
    }

    fn origins(&self) -> &[Origin] {
        self.inner.origins()
    }

    fn warnings(&self) -> Vec<String> {
        self.inner.warnings()
    }

    fn size_hint(&self) -> Option<u64> {
        self.inner.size_hint()
    }

    fn block_tokens(&self) -> u32 {
        self.inner.block_tokens()
    }
}
