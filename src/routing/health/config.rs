//! What makes a replica unfit to be chosen, and when it is tried again.
//!
//! Every number is a parameter; the defaults are those of proxies in use, named at each. Read [`super`] next.

use crate::error::RoutingError;
use gorgo_types::Nanos;
use serde::{Deserialize, Serialize};

/// The parameters of health. A count of 0 switches its rule off.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HealthConfig {
    /// So many probes in a row without an answer make a replica unhealthy. Kubernetes' and smg's `failureThreshold`: 3.
    pub unhealthy_after_probes: u32,
    /// So many metrics scrapes in a row without an answer make a replica unhealthy. 0: an engine may well serve without
    /// its metrics.
    pub unhealthy_after_scrapes: u32,
    /// So many answers in a row make it healthy again, at least 1. smg: 2.
    pub healthy_after: u32,
    /// So many failed requests in a row open its circuit. Envoy's `consecutive_5xx`: 5; smg: 10.
    pub open_after_failures: u32,
    /// How an open circuit is closed again.
    pub circuit: CircuitConfig,
    /// Replicas that fail more often than they should; none: nobody compares.
    pub outliers: Option<OutlierConfig>,
    /// Of a zone, and of the whole fleet, the last replica is never shut out: when all are unfit, the one that was fit
    /// last goes on. To send there may fail; to wait certainly does not help where nobody recovers.
    pub keep_last: bool,
}

/// An open circuit: nothing is sent for a time, then trials are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CircuitConfig {
    /// How long it stays open the first time, in nanoseconds; the n-th time in a row n times as long. Envoy's
    /// `base_ejection_time`: 30 s; smg: 60 s.
    pub open_for: Nanos,
    /// How long at most. Envoy's `max_ejection_time`: 300 s.
    pub open_at_most: Nanos,
    /// How many requests may be under way to a half-open replica that have not been answered, at least 1.
    pub trials: u32,
    /// So many trials answered close the circuit, at least 1; one that fails opens it again. smg: 3.
    pub passes: u32,
}

/// A replica that fails much more often than its fellows is shut out as if its circuit had opened.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OutlierConfig {
    /// How often they are compared, by what has ended since the last time; above 0. Envoy's `interval`: 10 s.
    pub interval: Nanos,
    /// The share of failed requests from which on a replica is an outlier, above 0 and at most 1. Envoy's
    /// `failure_percentage_threshold`: 85 %.
    pub failed_share: f64,
    /// Replicas of which fewer requests have ended are not judged, at least 1. Envoy's
    /// `failure_percentage_request_volume`: 50.
    pub min_requests: u32,
    /// With fewer replicas to judge nobody is an outlier, at least 1. Envoy's `failure_percentage_minimum_hosts`: 5.
    pub min_replicas: u32,
    /// No more than this share of the fleet is shut out by open circuits when an outlier is added, but one may always
    /// be; from 0 to 1. Envoy's `max_ejection_percent`: 10 %.
    pub max_ejected_share: f64,
}

impl Default for HealthConfig {
    fn default() -> Self {
        Self {
            unhealthy_after_probes: 3,
            unhealthy_after_scrapes: 0,
            healthy_after: 2,
            open_after_failures: 5,
            circuit: CircuitConfig::default(),
            outliers: None,
            keep_last: true,
        }
    }
}

impl Default for CircuitConfig {
    fn default() -> Self {
        Self {
            open_for: Nanos::from_millis(30_000),
            open_at_most: Nanos::from_millis(300_000),
            trials: 1,
            passes: 3,
        }
    }
}

impl Default for OutlierConfig {
    fn default() -> Self {
        Self {
            interval: Nanos::from_millis(10_000),
            failed_share: 0.85,
            min_requests: 50,
            min_replicas: 5,
            max_ejected_share: 0.1,
        }
    }
}

impl HealthConfig {
    /// Checks every parameter.
    ///
    /// # Errors
    /// The first parameter that is out of range, with its value and what was wanted.
    pub fn validate(&self) -> Result<(), RoutingError> {
        let check = |good: bool, parameter, value: String, wanted| {
            let refused = RoutingError::Parameter { parameter, value, wanted };
            if good { Ok(()) } else { Err(refused) }
        };
        let at_least_one =
            |parameter, count: u32| check(count > 0, parameter, count.to_string(), "at least 1");
        let CircuitConfig { open_for, open_at_most, trials, passes } = self.circuit;
        at_least_one("healthy_after", self.healthy_after)?;
        at_least_one("trials", trials)?;
        at_least_one("passes", passes)?;
        let ns = |time: Nanos| format!("{} ns", time.0);
        check(open_for > Nanos::ZERO, "open_for", ns(open_for), "above 0")?;
        check(open_at_most >= open_for, "open_at_most", ns(open_at_most), "at least `open_for`")?;
        let Some(outliers) = self.outliers else { return Ok(()) };
        let OutlierConfig { interval, failed_share, max_ejected_share, .. } = outliers;
        check(interval > Nanos::ZERO, "interval", ns(interval), "above 0")?;
        let good = failed_share > 0.0 && failed_share <= 1.0;
        check(good, "failed_share", failed_share.to_string(), "above 0 and at most 1")?;
        let good = (0.0..=1.0).contains(&max_ejected_share);
        check(good, "max_ejected_share", max_ejected_share.to_string(), "from 0 to 1")?;
        at_least_one("min_requests", outliers.min_requests)?;
        at_least_one("min_replicas", outliers.min_replicas)
    }
}
