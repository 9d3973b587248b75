//! Recorded round trips of a link over time.
//!
//! A series is what was measured: neither jitter nor drift is laid over it. Before its first and after its last sample it
//! stays what it is there. Reading a file is the caller's.

use super::moving::Moving;
use super::{LONGEST_RTT_MS, Network, invalid};
use crate::ModelError;
use gorgo_types::Nanos;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a series says between its samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Interpolation {
    /// A sample holds until the next one.
    #[default]
    Step,
    /// The sample that is nearest in time; of two, the earlier.
    Nearest,
    /// A straight line from one to the next.
    Linear,
}

/// What travels over a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Traffic {
    /// Requests and their answers.
    Requests,
    /// The router's probes of the round trip.
    RttProbes,
    /// The router's scrapes of metrics.
    Scrapes,
}

impl Traffic {
    /// All of it.
    pub const ALL: [Self; 3] = [Self::Requests, Self::RttProbes, Self::Scrapes];
}

/// One recorded round trip: a row of a series file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// When, in seconds from the start.
    pub time_s: f64,
    /// Region that starts the round trip.
    pub from: String,
    /// Region that answers.
    pub to: String,
    /// The round trip, ms.
    pub rtt_ms: f64,
}

/// The samples of one link.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Series {
    /// (time, round trip in ns), in order of time.
    samples: Vec<(Nanos, Nanos)>,
    interpolation: Interpolation,
}

impl Series {
    /// The round trip at a time.
    pub(super) fn at(&self, now: Nanos) -> Nanos {
        let after = self.samples.partition_point(|(time, _)| *time <= now);
        let Some(&(later, next)) = self.samples.get(after) else {
            return self.samples[after - 1].1;
        };
        let Some(&(earlier, last)) = after.checked_sub(1).map(|before| &self.samples[before])
        else {
            return next;
        };
        let (since, span) = ((now - earlier).0, (later - earlier).0);
        match self.interpolation {
            Interpolation::Step => last,
            Interpolation::Nearest if since <= span - since => last,
            Interpolation::Nearest => next,
            Interpolation::Linear => {
                let part = |rtt: Nanos, weight: u64| u128::from(rtt.0) * u128::from(weight);
                let sum = part(last, span - since) + part(next, since);
                Nanos(u64::try_from(sum / u128::from(span)).unwrap_or(u64::MAX))
            }
        }
    }
}

/// The samples of each link, by the names of its ends.
type ByLink<'a> = BTreeMap<(&'a str, &'a str), Vec<(Nanos, Nanos)>>;

/// The rows by link, checked.
fn by_link(samples: &[Sample]) -> Result<ByLink<'_>, SeriesError> {
    let mut links = ByLink::new();
    for (row, sample) in samples.iter().enumerate() {
        let refuse =
            |field, got: f64, wanted| SeriesError { row, field, got: got.to_string(), wanted };
        let time = Nanos::from_s(sample.time_s)
            .map_err(|error| refuse("time_s", sample.time_s, error.wanted))?;
        if !(sample.rtt_ms > 0.0 && sample.rtt_ms <= LONGEST_RTT_MS) {
            return Err(refuse("rtt_ms", sample.rtt_ms, "above 0 and at most 60000"));
        }
        let rtt = Nanos::from_ms(sample.rtt_ms).map_or(Nanos(1), |rtt| rtt.max(Nanos(1)));
        let link = links.entry((&sample.from, &sample.to)).or_default();
        if link.last().is_some_and(|(before, _)| *before >= time) {
            return Err(refuse("time_s", sample.time_s, "later than the row before of this link"));
        }
        link.push((time, rtt));
    }
    Ok(links)
}

/// A row that is no sample.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("row {row}: {field}: got {got}, wanted {wanted}")]
pub struct SeriesError {
    /// Index of the row, from 0.
    pub row: usize,
    /// The column.
    pub field: &'static str,
    /// What it holds.
    pub got: String,
    /// What it should.
    pub wanted: &'static str,
}

impl Network {
    /// The same network in which this traffic between the regions of the samples takes the recorded round trips, and no
    /// others. A link that is recorded in one direction serves both.
    ///
    /// # Errors
    /// [`SeriesError`] for a time that is not later than the one before of its link, or a round trip that is none.
    /// Regions that the network does not have are passed over: [`Network::region`] tells.
    pub fn with_series(
        mut self,
        samples: &[Sample],
        interpolation: Interpolation,
        traffic: &[Traffic],
    ) -> Result<Self, SeriesError> {
        let links = by_link(samples)?;
        let pairs: Vec<(usize, usize, Arc<Series>)> = links
            .iter()
            .filter_map(|((from, to), samples)| {
                let (from, to) = (self.by_name.get(*from)?, self.by_name.get(*to)?);
                let series = Arc::new(Series { samples: samples.clone(), interpolation });
                Some((self.index(*from, *to), self.index(*to, *from), series))
            })
            .collect();
        let cells = self.links.len();
        let moving = self.moving.get_or_insert_with(|| Box::new(Moving::still()));
        for (_, back, series) in &pairs {
            moving.record(cells, *back, series, traffic);
        }
        for (out, _, series) in &pairs {
            moving.record(cells, *out, series, traffic);
        }
        Ok(self)
    }
}

/// The checks of a series are not of one network: an empty one is refused by itself.
///
/// # Errors
/// [`ModelError::Invalid`] for no sample at all.
pub fn check_samples(samples: &[Sample]) -> Result<(), ModelError> {
    match samples {
        [] => Err(invalid("series", "no rows", "at least one")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(interpolation: Interpolation) -> Series {
        let samples =
            vec![(Nanos(100), Nanos(10)), (Nanos(200), Nanos(30)), (Nanos(400), Nanos(20))];
        Series { samples, interpolation }
    }

    #[test]
    fn between_samples_each_kind_says_its_own() {
        for (interpolation, wanted) in [
            (Interpolation::Step, [10, 10, 10, 10, 30, 30, 20, 20]),
            (Interpolation::Nearest, [10, 10, 10, 30, 30, 20, 20, 20]),
            (Interpolation::Linear, [10, 10, 20, 25, 30, 22, 20, 20]),
        ] {
            let series = series(interpolation);
            let times = [0, 100, 150, 175, 200, 350, 400, u64::MAX];
            assert_eq!(times.map(|at| series.at(Nanos(at)).0), wanted, "{interpolation:?}");
        }
    }

    #[test]
    fn rows_that_are_no_samples_are_refused_with_their_number() {
        let sample = |time_s, rtt_ms| Sample { time_s, from: "a".into(), to: "b".into(), rtt_ms };
        for (time_s, rtt_ms, field) in [
            (1.0, 5.0, "time_s"),
            (0.5, 5.0, "time_s"),
            (-1.0, 5.0, "time_s"),
            (f64::NAN, 5.0, "time_s"),
            (1e300, 5.0, "time_s"),
            (2.0, 0.0, "rtt_ms"),
            (2.0, -5.0, "rtt_ms"),
            (2.0, f64::NAN, "rtt_ms"),
            (2.0, f64::INFINITY, "rtt_ms"),
            (2.0, 60_001.0, "rtt_ms"),
        ] {
            let error = by_link(&[sample(1.0, 5.0), sample(time_s, rtt_ms)]).expect_err("refused");
            assert_eq!((error.row, error.field), (1, field), "{error}");
        }
        assert!(check_samples(&[]).is_err());
    }
}
