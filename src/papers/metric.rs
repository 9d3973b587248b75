//! The metrics that papers report, read off a run: of the measured requests that completed, with nearest-rank
//! percentiles (rank ceil(q n), which is also what `sorted[int(n q)]` of GORGO's scripts gives unless n q is whole).
//!
//! Definitions of the simulator's own metrics are `gorgo_metrics`'; here are only the figures of papers' tables, whose
//! clocks start elsewhere: GORGO v2's at the send, not when a request was due.

use gorgo_metrics::{RequestRecord, RunResult, Status, nearest_rank};

/// A metric by name.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name, with the unit in it where it has one: as in `data/papers`.
    pub name: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// In words, for headers of tables and plots.
    pub title: &'static str,
    read: fn(&RunResult) -> Option<f64>,
}

impl Metric {
    /// The value of a run; none where it has none.
    #[must_use]
    pub fn of(&self, run: &RunResult) -> Option<f64> {
        (self.read)(run).filter(|value| value.is_finite())
    }
}

/// The metric of that name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| metric.name == name)
}

const fn metric(
    name: &'static str,
    unit: &'static str,
    title: &'static str,
    read: fn(&RunResult) -> Option<f64>,
) -> Metric {
    Metric { name, unit, title, read }
}

/// All metrics that an experiment can name.
pub static METRICS: [Metric; 32] = [
    // From the client's send.
    metric("ttft_ms_mean", "ms", "TTFT mean", |run| mean(run, ttft_ms)),
    metric("ttft_ms_p50", "ms", "TTFT P50", |run| percentile(run, 50, ttft_ms)),
    metric("ttft_ms_p90", "ms", "TTFT P90", |run| percentile(run, 90, ttft_ms)),
    metric("ttft_ms_p95", "ms", "TTFT P95", |run| percentile(run, 95, ttft_ms)),
    metric("ttft_ms_p99", "ms", "TTFT P99", |run| percentile(run, 99, ttft_ms)),
    metric("ttft_ms_max", "ms", "TTFT largest", |run| percentile(run, 100, ttft_ms)),
    metric("e2e_s_mean", "s", "E2E mean", |run| mean(run, e2e_s)),
    metric("e2e_s_p50", "s", "E2E P50", |run| percentile(run, 50, e2e_s)),
    metric("e2e_s_p95", "s", "E2E P95", |run| percentile(run, 95, e2e_s)),
    metric("e2e_s_p99", "s", "E2E P99", |run| percentile(run, 99, e2e_s)),
    // From when the request was due, the client's own queue included.
    metric("due_ttft_ms_p50", "ms", "TTFT P50 from due time", |run| {
        percentile(run, 50, due_ttft_ms)
    }),
    metric("due_ttft_ms_p95", "ms", "TTFT P95 from due time", |run| {
        percentile(run, 95, due_ttft_ms)
    }),
    metric("due_ttft_ms_p99", "ms", "TTFT P99 from due time", |run| {
        percentile(run, 99, due_ttft_ms)
    }),
    metric("client_queue_ms_p95", "ms", "wait in the client P95", |run| {
        percentile(run, 95, |record| Some((record.sent - record.scheduled).as_ms()))
    }),
    // A request's mean gap between tokens: of these the median, mean, deviation and extremes over requests.
    metric("itl_ms_p50", "ms", "ITL P50 of request means", |run| percentile(run, 50, itl_ms)),
    metric("itl_ms_p95", "ms", "ITL P95 of request means", |run| percentile(run, 95, itl_ms)),
    metric("itl_ms_mean", "ms", "ITL mean of request means", |run| mean(run, itl_ms)),
    metric("itl_ms_sd", "ms", "ITL deviation of request means", |run| deviation(run, itl_ms)),
    metric("itl_ms_min", "ms", "ITL least of request means", |run| {
        sorted(run, itl_ms).first().copied()
    }),
    metric("itl_ms_max", "ms", "ITL largest of request means", |run| percentile(run, 100, itl_ms)),
    metric("in_flight_mean", "requests", "mean in flight", in_flight),
    metric("completed", "requests", "completed requests", |run| Some(measured(run).count() as f64)),
    metric("completed_pct", "%", "completed of those due", |run| {
        share(run.summary.window.measured_completed, run.summary.window.measured)
    }),
    metric("requests_per_s", "req/s", "completed requests per second", |run| {
        per_second(run, measured(run).count() as f64)
    }),
    metric("output_tokens_per_s", "tokens/s", "output tokens per second", |run| {
        per_second(run, measured(run).map(|record| f64::from(record.output_tokens)).sum())
    }),
    metric("goodput_rps", "req/s", "goodput", |run| run.summary.goodput_rps),
    metric("good_pct", "%", "good requests", |run| percent(run.summary.good_fraction)),
    metric("token_hit_rate_pct", "%", "prompt tokens found cached", |run| {
        percent(run.summary.cache.real_token_hit_rate)
    }),
    metric("request_hit_rate_pct", "%", "requests with cached tokens", |run| {
        percent(run.summary.cache.real_request_hit_rate)
    }),
    metric("predicted_hit_rate_pct", "%", "prompt tokens expected cached", |run| {
        percent(run.summary.cache.predicted_token_hit_rate)
    }),
    metric("busiest_share_pct", "%", "share of the busiest replica", |run| {
        percent(run.summary.load.busiest_replica_share)
    }),
    metric("local_share_pct", "%", "requests served in the region they came to", local_share),
];

/// The measured requests that completed.
fn measured(run: &RunResult) -> impl Iterator<Item = &RequestRecord> {
    let records = run.records.as_deref().unwrap_or_default();
    records.iter().filter(|record| {
        record.status == Status::Completed
            && record.scheduled >= run.window.from
            && run.window.to.is_none_or(|to| record.scheduled < to)
    })
}

fn ttft_ms(record: &RequestRecord) -> Option<f64> {
    record.ttft_from_send().map(|time| time.as_ms())
}

fn due_ttft_ms(record: &RequestRecord) -> Option<f64> {
    record.ttft().map(|time| time.as_ms())
}

fn e2e_s(record: &RequestRecord) -> Option<f64> {
    record.finished.map(|end| end.saturating_sub(record.sent).as_s())
}

fn itl_ms(record: &RequestRecord) -> Option<f64> {
    record.tpot().map(|time| time.as_ms())
}

/// All values of the measured requests in order.
fn sorted(run: &RunResult, of: fn(&RequestRecord) -> Option<f64>) -> Vec<f64> {
    let mut values: Vec<f64> = measured(run).filter_map(of).collect();
    values.sort_unstable_by(f64::total_cmp);
    values
}

fn percentile(run: &RunResult, percent: u64, of: fn(&RequestRecord) -> Option<f64>) -> Option<f64> {
    let sorted = sorted(run, of);
    let rank = usize::try_from(nearest_rank(percent, sorted.len() as u64)).ok()?;
    sorted.get(rank - 1).copied()
}

fn mean(run: &RunResult, of: fn(&RequestRecord) -> Option<f64>) -> Option<f64> {
    let values = sorted(run, of);
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The sample's standard deviation.
fn deviation(run: &RunResult, of: fn(&RequestRecord) -> Option<f64>) -> Option<f64> {
    let values = sorted(run, of);
    if values.len() < 2 {
        return None;
    }
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some((squares / (values.len() - 1) as f64).sqrt())
}

/// The sum of E2E from send over the time in which requests were due, as the mean in flight of GORGO v2's runs was
/// worked out from their files.
fn in_flight(run: &RunResult) -> Option<f64> {
    let last_s = measured(run).map(|record| record.scheduled.as_s()).fold(0.0, f64::max);
    let span_s = last_s - run.window.from.as_s();
    let busy_s: f64 = measured(run).filter_map(e2e_s).sum();
    (span_s > 0.0).then(|| busy_s / span_s)
}

/// Of a request that came to a router elsewhere, the way back to it takes time: no way, no forwarding.
fn local_share(run: &RunResult) -> Option<f64> {
    let (mut all, mut local) = (0, 0);
    for record in measured(run) {
        all += 1;
        local += u64::from(record.parts.forward.0 == 0);
    }
    share(local, all)
}

fn per_second(run: &RunResult, amount: f64) -> Option<f64> {
    let window = &run.summary.window;
    let length_s = window.to_s - window.from_s;
    (length_s > 0.0).then(|| amount / length_s)
}

fn percent(share: Option<f64>) -> Option<f64> {
    share.map(|share| 100.0 * share)
}

fn share(part: u64, all: u64) -> Option<f64> {
    (all > 0).then(|| 100.0 * part as f64 / all as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique() {
        let names: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), METRICS.len());
    }
}
