//! Several rounds of one policy as one result.

use crate::LiveError;
use gorgo_metrics::{Distribution, RoundNumbers, RunResult, Status};

/// What several rounds came to together: percentiles over the requests of all rounds, rates and loads as their means.
///
/// # Errors
/// When there is no round.
pub(crate) fn pooled(rounds: &[RunResult]) -> Result<RunResult, LiveError> {
    let [first, rest @ ..] = rounds else {
        return Err(LiveError::Invalid("a policy without a round".to_owned()));
    };
    let mut all = first.clone();
    if rest.is_empty() {
        return Ok(all);
    }
    let summaries: Vec<_> = rounds.iter().map(|round| &round.summary).collect();
    let mean = |value: &dyn Fn(&gorgo_metrics::Summary) -> Option<f64>| {
        let values: Option<Vec<f64>> = summaries.iter().map(|summary| value(summary)).collect();
        values.map(|values| values.iter().sum::<f64>() / values.len() as f64)
    };
    let summary = &mut all.summary;
    let records = || rounds.iter().filter_map(|round| Some((round, round.records.as_ref()?)));
    let measured = || {
        records().flat_map(|(round, records)| {
            records.iter().filter(|record| round.window.contains(record.scheduled))
        })
    };
    if records().count() == rounds.len() {
        let of = |time: fn(&gorgo_metrics::RequestRecord) -> Option<gorgo_types::Nanos>| {
            Distribution::of(&measured().map(time).collect::<Vec<_>>())
        };
        let completed = |record: &gorgo_metrics::RequestRecord| record.status == Status::Completed;
        summary.ttft_ms = of(|record| record.completed_ttft());
        summary.ttft_from_send_ms = of(|record| record.completed_ttft_from_send());
        summary.e2e_ms = of(|record| record.e2e());
        let tpot: Vec<_> = measured().filter_map(|record| record.tpot()).map(Some).collect();
        summary.tpot_ms = Distribution::of(&tpot);
        let parts =
            measured().filter(|record| completed(record)).fold([0_u128; 12], |sums, record| {
                let values = record.parts.values();
                std::array::from_fn(|part| sums[part] + u128::from(values[part].0))
            });
        let count = measured().filter(|record| completed(record)).count() as u64;
        summary.ttft_parts_ms =
            (count > 0).then(|| gorgo_metrics::PartsMs::from_sums_ns(parts, count));
    }
    for other in rest {
        let other_summary = &other.summary;
        for status in Status::ALL {
            (0..other_summary.requests.of(status)).for_each(|_| summary.requests.add(status));
        }
        summary.requests.injected += other_summary.requests.injected;
        summary.window.measured += other_summary.window.measured;
        summary.window.measured_completed += other_summary.window.measured_completed;
        summary.window.warm_up += other_summary.window.warm_up;
        summary.window.cool_down += other_summary.window.cool_down;
        for warning in &other_summary.warnings {
            if !summary.warnings.contains(warning) {
                summary.warnings.push(warning.clone());
            }
        }
        all.ttft.merge(&other.ttft);
        all.e2e.merge(&other.e2e);
        all.itl.merge(&other.itl);
    }
    summary.cache = gorgo_metrics::CacheRates {
        real_token_hit_rate: mean(&|s| s.cache.real_token_hit_rate),
        real_request_hit_rate: mean(&|s| s.cache.real_request_hit_rate),
        predicted_token_hit_rate: mean(&|s| s.cache.predicted_token_hit_rate),
        predicted_request_hit_rate: mean(&|s| s.cache.predicted_request_hit_rate),
    };
    summary.load.mean_in_flight = mean(&|s| s.load.mean_in_flight);
    summary.load.busiest_replica_share = mean(&|s| s.load.busiest_replica_share);
    summary.goodput_rps = mean(&|s| s.goodput_rps);
    summary.good_fraction = mean(&|s| s.good_fraction);
    summary.duration_s = mean(&|s| Some(s.duration_s)).unwrap_or(summary.duration_s);
    summary.itl_ms = histogram(&all.itl.histogram());
    summary.cost_usd = None;
    pool_live(summary, rounds);
    summary.warnings.insert(
        0,
        format!(
            "{} rounds together: percentiles are over the requests of all, rates, loads and hit rates are means of the \
             rounds; each round by itself is under live.rounds",
            rounds.len()
        ),
    );
    all.records = None;
    all.timeline.clear();
    Ok(all)
}

/// The percentiles of a histogram of nanoseconds, ms.
fn histogram(histogram: &gorgo_metrics::Histogram<u64>) -> Distribution {
    if histogram.is_empty() {
        return Distribution::default();
    }
    let at = |percent: f64| Some(histogram.value_at_quantile(percent / 100.0) as f64 / 1e6);
    Distribution {
        mean: Some(histogram.mean() / 1e6),
        p50: at(50.0),
        p90: at(90.0),
        p95: at(95.0),
        p99: at(99.0),
        max: Some(histogram.max() as f64 / 1e6),
    }
}

fn pool_live(summary: &mut gorgo_metrics::Summary, rounds: &[RunResult]) {
    let Some(live) = &mut summary.live else { return };
    for other in rounds.iter().skip(1).filter_map(|round| round.summary.live.as_ref()) {
        live.is_valid &= other.is_valid;
        live.connections = live.connections.max(other.connections);
        live.retries += other.retries;
        live.answers_without_usage += other.answers_without_usage;
        live.answers_with_timing += other.answers_with_timing;
        live.pieces += other.pieces;
        // The worst round's: a mean would hide it.
        if other.send_lag_ms.p99 > live.send_lag_ms.p99 {
            live.send_lag_ms = other.send_lag_ms;
        }
        for (reason, n) in &other.failures {
            *live.failures.entry(reason.clone()).or_default() += n;
        }
    }
    live.rounds =
        (1..).zip(rounds).map(|(round, result)| RoundNumbers::of(round, &result.summary)).collect();
}
