//! Distributions that the generators share: lengths, think times, origins. Read `chat` next, which uses them all.

use crate::WorkloadError;
use crate::error::{in_range, whole_in_range};
use gorgo_random::{DrawRng, Key, Purpose};
use gorgo_types::{LatLon, Nanos, Origin, OriginId, RequestId};
use rand_distr::{Distribution, LogNormal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A lognormal number of tokens, given by mean and standard deviation, then cut to `min..=max`.
///
/// Cutting moves the mean: a heavy tail above `max` is lost.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LengthSpec {
    /// Mean in tokens, before cutting.
    pub mean: f64,
    /// Standard deviation in tokens, before cutting; 0: always the mean.
    pub sd: f64,
    /// Fewest tokens, at least 1.
    #[serde(default = "one")]
    pub min: u32,
    /// Most tokens.
    pub max: u32,
}

const fn one() -> u32 {
    1
}

/// A checked [`LengthSpec`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Length {
    distribution: LogNormal<f64>,
    min: u32,
    max: u32,
}

impl Length {
    pub(crate) fn new(field: &'static str, spec: LengthSpec) -> Result<Self, WorkloadError> {
        in_range(field, spec.mean, 1.0, 1e7, "mean in tokens")?;
        in_range(field, spec.sd, 0.0, 1e9, "standard deviation in tokens")?;
        whole_in_range(field, u64::from(spec.max), 1, 10_000_000, "most tokens")?;
        whole_in_range(
            field,
            u64::from(spec.min),
            1,
            u64::from(spec.max),
            "fewest tokens, at most `max`",
        )?;
        let distribution = lognormal(field, spec.mean, spec.sd)?;
        Ok(Self { distribution, min: spec.min, max: spec.max })
    }

    pub(crate) fn sample(&self, rng: &mut DrawRng) -> u32 {
        let tokens = self.distribution.sample(rng).round();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a float that is too large or no number saturates, and is cut just after"
        )]
        let tokens = tokens as u32;
        tokens.clamp(self.min, self.max)
    }
}

/// The lognormal distribution of a mean and a standard deviation.
fn lognormal(field: &'static str, mean: f64, sd: f64) -> Result<LogNormal<f64>, WorkloadError> {
    LogNormal::from_mean_cv(mean, if mean > 0.0 { sd / mean } else { 0.0 }).map_err(|error| {
        WorkloadError::Parameter {
            field,
            got: format!("mean {mean}, standard deviation {sd}"),
            wanted: format!("a lognormal distribution: {error}"),
        }
    })
}

/// Time between an answer and the same client's next request: lognormal, by mean and standard deviation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ThinkSpec {
    /// Mean in seconds; 0: no think time.
    pub mean_s: f64,
    /// Standard deviation in seconds; 0: always the mean.
    pub sd_s: f64,
}

/// A checked [`ThinkSpec`] with its key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ThinkTime {
    distribution: Option<LogNormal<f64>>,
    key: Key,
}

impl ThinkTime {
    pub(crate) fn new(spec: ThinkSpec, key: Key) -> Result<Self, WorkloadError> {
        in_range("think.mean_s", spec.mean_s, 0.0, 1e9, "seconds")?;
        in_range("think.sd_s", spec.sd_s, 0.0, 1e9, "seconds")?;
        let distribution = match spec.mean_s {
            0.0 => None,
            mean => Some(lognormal("think.sd_s", mean, spec.sd_s)?),
        };
        Ok(Self { distribution, key: key.with(Purpose::ThinkTime) })
    }

    /// How long the client thinks after the request `id` has ended.
    pub(crate) fn after(&self, id: RequestId) -> Nanos {
        let Some(distribution) = &self.distribution else {
            return Nanos::ZERO;
        };
        let mut rng = self.key.word(id.session).word(u64::from(id.turn)).draw().rng();
        Nanos::from_s(distribution.sample(&mut rng)).unwrap_or(Nanos::MAX)
    }
}

/// A share of the clients sits at one origin.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OriginShare {
    /// Weight of this origin; weights need not sum to 1.
    pub share: f64,
    /// Country name.
    pub country: Option<String>,
    /// State or province name.
    pub state: Option<String>,
    /// One of the cities of `data/network/cities.csv`; whoever reads the scenario turns it into `lat` and `lon`.
    pub city: Option<String>,
    /// Degrees north; needs `lon`.
    pub lat: Option<f64>,
    /// Degrees east; needs `lat`.
    pub lon: Option<f64>,
    /// A region of the network, by name.
    pub region: Option<String>,
    /// The zone whose replicas alone may serve its requests: a `residency` of the fleet.
    pub residency: Option<String>,
}

impl OriginShare {
    /// The origin itself.
    #[must_use]
    pub fn origin(&self) -> Origin {
        let position = self.lat.zip(self.lon).map(|(lat, lon)| LatLon { lat, lon });
        Origin {
            country: self.country.clone(),
            state: self.state.clone(),
            position,
            region: self.region.clone(),
            residency: self.residency.clone(),
        }
    }
}

/// Checked shares of origins, ready to be drawn from.
#[derive(Clone, Debug)]
pub(crate) struct Origins {
    /// Index 0 is the unknown origin.
    list: Vec<Origin>,
    /// Running sums of the shares, one per origin from index 1 on.
    sums: Vec<f64>,
}

impl Origins {
    pub(crate) fn new(shares: &[OriginShare]) -> Result<Self, WorkloadError> {
        let (mut list, mut sums, mut sum) = (vec![Origin::default()], Vec::new(), 0.0);
        for share in shares {
            in_range("origins.share", share.share, 1e-9, 1e9, "weight")?;
            if let Some(city) = share.city.as_ref().filter(|_| share.lat.is_none()) {
                return Err(WorkloadError::Parameter {
                    field: "origins.city",
                    got: format!("{city:?} without its position"),
                    wanted: "lat and lon".to_owned(),
                });
            }
            if share.lat.is_some() != share.lon.is_some() {
                return Err(WorkloadError::Parameter {
                    field: "origins.lat",
                    got: "one of lat and lon".to_owned(),
                    wanted: "both or none".to_owned(),
                });
            }
            in_range("origins.lat", share.lat.unwrap_or(0.0), -90.0, 90.0, "degrees north")?;
            in_range("origins.lon", share.lon.unwrap_or(0.0), -180.0, 180.0, "degrees east")?;
            sum += share.share;
            sums.push(sum);
            list.push(share.origin());
        }
        Ok(Self { list, sums })
    }

    pub(crate) fn list(&self) -> &[Origin] {
        &self.list
    }

    /// The origin of the share with this index.
    pub(crate) fn at(&self, index: usize) -> OriginId {
        let known = index + 1 < self.list.len();
        OriginId(if known { u32::try_from(index + 1).unwrap_or(0) } else { 0 })
    }

    /// The origin of a client.
    pub(crate) fn pick(&self, key: Key) -> OriginId {
        let Some(&sum) = self.sums.last() else {
            return OriginId(0);
        };
        let at = key.draw().unit() * sum;
        let index = self.sums.partition_point(|&upto| upto <= at).min(self.sums.len() - 1);
        OriginId(u32::try_from(index + 1).unwrap_or(0))
    }
}
