//! The round trip to each replica, as the router's probes show it.
//!
//! A probe that must open a connection takes several round trips, so probes are a mixture; its low end is the path
//! itself. Time to answer is in it, which is small beside a path between continents. Nothing measured of a request is
//! used here.

use crate::{PredictError, RecordedLog};
use gorgo_types::Nanos;

/// The router's average is `a·probe + (1 − a)·average`; the GORGO proxy's a.
const EWMA_ALPHA: f64 = 0.3;
/// The quantile of the probes that is taken for the path: low enough for the fast mode of the mixture wherever a tenth
/// of the probes found an open connection.
const QUANTILE: f64 = 0.1;

/// The round trip to each replica: the lower tenth of all probes that its column of averages stands for.
///
/// # Errors
/// [`PredictError::TooFew`] where a replica was never probed after its first average.
pub fn round_trips(log: &RecordedLog) -> Result<Vec<Nanos>, PredictError> {
    (0..log.replicas()).map(|replica| round_trip(log, replica)).collect()
}

fn round_trip(log: &RecordedLog, replica: usize) -> Result<Nanos, PredictError> {
    let mut probes: Vec<f64> = Vec::new();
    let mut average: Option<f64> = None;
    for row in log.rows() {
        let Some(now) = row.case.candidates[replica].rtt_ewma_ms else { continue };
        match average {
            None => probes.push(now),
            #[expect(clippy::float_cmp, reason = "the same average is written the same way")]
            Some(before) if before == now => {}
            Some(before) => probes.push((now - (1.0 - EWMA_ALPHA) * before) / EWMA_ALPHA),
        }
        average = Some(now);
    }
    // Rounding of the averages may leave a probe below zero, which none was.
    probes.retain(|probe| *probe > 0.0 && probe.is_finite());
    probes.sort_by(f64::total_cmp);
    let place = (probes.len() as f64 * QUANTILE) as usize;
    let lowest = probes.get(place).and_then(|ms| Nanos::from_ms(*ms).ok());
    lowest.ok_or_else(|| PredictError::TooFew {
        got: format!("no RTT average of replica r{replica}"),
        wanted: "at least one probe of every replica in the log",
    })
}
