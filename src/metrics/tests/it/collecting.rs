//! Runs of a few requests whose numbers are worked out by hand.

use crate::{collector, completed, lost};
use gorgo_metrics::{
    Invalid, MeasureSpec, PercentilesFrom, Records, ReplicaSummary, RequestRecord, RunResult,
    Status, Summary, TimelineSample, rolling,
};
use gorgo_types::{Nanos, RegionId, ReplicaId};

fn run(spec: MeasureSpec, records: &[RequestRecord], end_ms: u64) -> RunResult {
    let mut collector = collector(spec);
    for record in records {
        collector.push(record).unwrap();
    }
    collector.finish(Nanos::from_millis(end_ms), records.len() as u64).unwrap()
}

/// Ten requests: TTFT 100, 200, ... 1,000 ms, one a second, each lasting two seconds.
fn ten() -> Vec<RequestRecord> {
    (1..=10).map(|i| completed(i, i * 1_000, i * 100, 2_000)).collect()
}

#[test]
fn percentiles_and_means_of_ten() {
    let summary = run(MeasureSpec::default(), &ten(), 12_000).summary;
    let ttft = summary.ttft_ms;
    assert_eq!(ttft.mean, Some(550.0));
    assert_eq!(
        [ttft.p50, ttft.p90, ttft.p95, ttft.p99, ttft.max],
        [Some(500.0), Some(900.0), Some(1_000.0), Some(1_000.0), Some(1_000.0)]
    );
    assert_eq!(summary.e2e_ms.p99, Some(2_000.0));
    assert_eq!(summary.percentiles_from, PercentilesFrom::Records);
    let parts = summary.ttft_parts_ms.unwrap();
    assert_eq!((parts.prefill, parts.network_back, parts.routing), (275.0, 275.0, 0.0));
    // 10 requests of 2 s each in 12 s.
    assert_eq!(summary.load.mean_in_flight, Some(20.0 / 12.0));
    assert!(matches!(&*summary.warnings, [few] if few.starts_with("10 requests were measured")));
}

#[test]
fn the_window_cuts_requests_and_time() {
    let spec = MeasureSpec {
        warm_up: Nanos::from_millis(3_000),
        stop: Some(Nanos::from_millis(8_000)),
        ..MeasureSpec::default()
    };
    let summary = run(spec, &ten(), 12_000).summary;
    // Scheduled at 3, 4, 5, 6, 7 s.
    assert_eq!(summary.window.measured, 5);
    assert_eq!((summary.ttft_ms.p50, summary.ttft_ms.max), (Some(500.0), Some(700.0)));
    assert_eq!(summary.requests.injected, 10);
    assert_eq!(summary.goodput_rps, Some(1.0));
    // In [3, 8) s: the request of 2 s gives 1 s, those of 3 to 6 s give 2, the one of 7 s gives 1.
    assert_eq!(summary.load.mean_in_flight, Some(10.0 / 5.0));
}

#[test]
fn requests_still_in_flight_count_into_the_load_up_to_the_end() {
    let records = [completed(1, 0, 100, 2_000), lost(2, 1_000, None, Status::InFlight)];
    let summary = run(MeasureSpec::default(), &records, 4_000).summary;
    assert_eq!(summary.load.mean_in_flight, Some(5.0 / 4.0));
    assert_eq!(summary.requests.in_flight, 1);
}

#[test]
fn goodput_asks_for_every_objective() {
    let mut records = ten();
    records[0].output_tokens = 2; // TPOT 1,900 ms
    records.push(lost(11, 11_000, Some(11_500), Status::Failed));
    let spec = MeasureSpec {
        slo_ttft: Some(Nanos::from_millis(600)),
        slo_tpot: Some(Nanos::from_millis(500)),
        ..MeasureSpec::default()
    };
    let summary = run(spec, &records, 20_000).summary;
    // TTFT leaves requests 1 to 6; request 1 misses its TPOT. All 11 are in the denominator, the window is 20 s.
    assert_eq!(summary.goodput_rps, Some(5.0 / 20.0));
    assert_eq!(summary.good_fraction, Some(5.0 / 11.0));
    assert_eq!(summary.slo_ms.ttft, Some(600.0));
}

#[test]
fn a_request_that_never_ends_is_infinitely_slow() {
    let mut records = ten();
    records[0] = lost(1, 1_000, Some(1_500), Status::TimedOut);
    let RunResult { summary, .. } = run(MeasureSpec::default(), &records, 12_000);
    // 200, ..., 1,000 and one infinity: rank 5 is 600, rank 9 is 1,000, rank 10 never came.
    let ttft = summary.ttft_ms;
    assert_eq!([ttft.p50, ttft.p90, ttft.p95, ttft.p99], [Some(600.0), Some(1_000.0), None, None]);
    assert_eq!((ttft.mean, ttft.max, summary.e2e_ms.p99), (None, None, None));
    assert_eq!(summary.warnings.len(), 2);
    assert!(summary.warnings[0].contains("1 of 10"), "{}", summary.warnings[0]);
    assert!(summary.warnings[0].contains("1 timed_out"), "{}", summary.warnings[0]);
    let json = serde_json::to_value(&summary).unwrap();
    assert!(json["ttft_ms"]["p99"].is_null());
}

#[test]
fn a_first_token_does_not_make_an_unfinished_request_fast() {
    let record =
        RequestRecord { status: Status::InFlight, finished: None, ..completed(1, 0, 100, 100) };
    let summary = run(MeasureSpec::default(), &[record], 1_000).summary;
    assert_eq!(summary.ttft_ms.p50, None);
}

#[test]
fn cache_rates_are_of_tokens_and_of_requests() {
    let mut records = ten();
    records.truncate(4);
    records[0].cached_tokens = 50;
    records[1].cached_tokens = 30;
    records[2].predicted_cached_tokens = 100;
    records[3].status = Status::Failed;
    records[3].cached_tokens = 100;
    let cache = run(MeasureSpec::default(), &records, 12_000).summary.cache;
    assert_eq!(cache.real_token_hit_rate, Some(80.0 / 300.0));
    assert_eq!(cache.real_request_hit_rate, Some(2.0 / 3.0));
    assert_eq!(cache.predicted_token_hit_rate, Some(100.0 / 300.0));
    assert_eq!(cache.predicted_request_hit_rate, Some(1.0 / 3.0));
}

#[test]
fn the_busiest_replica_is_found_among_those_that_served() {
    let mut records = ten();
    for record in &mut records[..3] {
        record.replica = Some(ReplicaId(1));
        record.region = Some(RegionId(1));
    }
    records.push(lost(11, 11_000, Some(11_000), Status::Rejected));
    let summary = run(MeasureSpec::default(), &records, 12_000).summary;
    assert_eq!(summary.load.busiest_replica_share, Some(0.7));
}

#[test]
fn a_lost_request_makes_the_run_invalid() {
    let mut collector = collector(MeasureSpec::default());
    collector.push(&completed(1, 0, 1, 2)).unwrap();
    collector.push(&lost(2, 0, Some(1), Status::Rejected)).unwrap();
    let error = collector.finish(Nanos::from_secs(1), 3).unwrap_err();
    assert!(matches!(error, Invalid::Conservation { injected: 3, accounted: 2, .. }), "{error}");
    assert!(error.to_string().contains("1 completed, 0 failed, 1 rejected"), "{error}");
}

#[test]
fn a_run_cannot_end_before_its_requests() {
    let mut collector = collector(MeasureSpec::default());
    collector.push(&completed(1, 0, 1, 2_000)).unwrap();
    assert!(matches!(collector.finish(Nanos::from_secs(1), 1), Err(Invalid::AfterEnd { .. })));
}

#[test]
fn a_replica_beyond_the_fleet_is_refused() {
    let mut collector = collector(MeasureSpec::default());
    let record = RequestRecord { replica: Some(ReplicaId(2)), ..completed(1, 0, 1, 2) };
    let error = collector.push(&record).unwrap_err();
    assert!(matches!(error, Invalid::UnknownReplica { replica: 2, replicas: 2, .. }), "{error}");
}

/// Whatever does not need percentiles is equal to the last bit with and without records.
#[test]
fn histograms_agree_with_records() {
    let mut records: Vec<_> =
        (0..2_000).map(|i| completed(i, i * 10, 20 + (i * 7_919) % 5_000, 6_000)).collect();
    records.push(lost(5_000, 3, None, Status::InFlight));
    records.push(lost(5_001, 4, Some(9), Status::Cancelled));
    let spec = |records| MeasureSpec {
        warm_up: Nanos::from_millis(500),
        stop: Some(Nanos::from_millis(15_000)),
        records,
        ..MeasureSpec::default()
    };
    let exact = run(spec(Records::Auto), &records, 30_000);
    let rough = run(spec(Records::Never), &records, 30_000);
    assert!(exact.records.is_some() && rough.records.is_none());
    assert_eq!(rough.summary.percentiles_from, PercentilesFrom::Histogram);
    for (a, b) in [
        (exact.summary.ttft_ms.p50, rough.summary.ttft_ms.p50),
        (exact.summary.ttft_ms.p99, rough.summary.ttft_ms.p99),
        (exact.summary.e2e_ms.p90, rough.summary.e2e_ms.p90),
        (exact.summary.tpot_ms.p95, rough.summary.tpot_ms.p95),
    ] {
        let (a, b) = (a.unwrap(), b.unwrap());
        assert!((a / b - 1.0).abs() < 1e-3, "{a} and {b}");
    }
    let without_percentiles = |summary: &Summary| Summary {
        percentiles_from: PercentilesFrom::Records,
        ttft_ms: Default::default(),
        ttft_from_send_ms: Default::default(),
        e2e_ms: Default::default(),
        tpot_ms: Default::default(),
        ..summary.clone()
    };
    assert_eq!(without_percentiles(&exact.summary), without_percentiles(&rough.summary));
    assert!(exact.ttft == rough.ttft, "the histograms differ");
}

#[test]
fn gaps_come_in_runs() {
    let mut collector = collector(MeasureSpec::default());
    collector.gaps(10e6, 1e6, 3, 2); // 10, 11, 12 ms, twice each
    collector.gaps(40e6, 0.0, 4, 1);
    let itl = collector.finish(Nanos::ZERO, 0).unwrap().summary.itl_ms;
    assert_eq!(itl.mean, Some((66.0 + 160.0) / 10.0));
    assert_eq!(itl.max, Some(40.0));
    // Rank 5 of 10, 10, 11, 11, 12, ...
    let p50 = itl.p50.unwrap();
    assert!((p50 / 12.0 - 1.0).abs() < 1e-3, "{p50}");
}

#[test]
fn an_empty_run_has_no_numbers_and_says_so() {
    let summary = run(MeasureSpec::default(), &[], 0).summary;
    assert_eq!(
        (summary.ttft_ms.p50, summary.goodput_rps, summary.good_fraction),
        (None, None, None)
    );
    assert_eq!(summary.ttft_parts_ms, None);
    assert_eq!(summary.load.mean_in_flight, None);
    assert!(summary.warnings[0].contains("no request was scheduled"));
}

#[test]
fn the_summary_has_the_promised_keys_and_reads_back() {
    let mut collector = collector(MeasureSpec::default());
    collector.push(&completed(1, 0, 1, 2)).unwrap();
    collector.warn("one");
    collector.warn("one");
    collector.replica(ReplicaSummary {
        id: "e0".to_owned(),
        region: "east".to_owned(),
        requests: 1,
        busy_fraction: 0.5,
        kv_used_mean: 0.25,
        evicted_tokens: 0,
        retracted: 0,
    });
    let summary = collector.finish(Nanos::from_secs(1), 1).unwrap().summary;
    assert!(summary.warnings[1].starts_with("1 requests were measured"));
    assert_eq!((&*summary.warnings[0], summary.warnings.len()), ("one", 2));
    let json = serde_json::to_value(&summary).unwrap();
    for pointer in [
        "/scenario",
        "/policy",
        "/seed",
        "/duration_s",
        "/requests/injected",
        "/requests/completed",
        "/requests/failed",
        "/requests/rejected",
        "/requests/cancelled",
        "/requests/timed_out",
        "/requests/in_flight",
        "/ttft_ms/mean",
        "/ttft_ms/p50",
        "/ttft_ms/p90",
        "/ttft_ms/p95",
        "/ttft_ms/p99",
        "/ttft_ms/max",
        "/ttft_from_send_ms/p99",
        "/e2e_ms/p50",
        "/tpot_ms/p50",
        "/itl_ms/p50",
        "/ttft_parts_ms/client_queue",
        "/ttft_parts_ms/network_back",
        "/cache/real_token_hit_rate",
        "/cache/real_request_hit_rate",
        "/cache/predicted_token_hit_rate",
        "/load/mean_in_flight",
        "/load/busiest_replica_share",
        "/goodput_rps",
        "/good_fraction",
        "/replicas/0/id",
        "/replicas/0/region",
        "/replicas/0/requests",
        "/replicas/0/busy_fraction",
        "/replicas/0/kv_used_mean",
        "/replicas/0/evicted_tokens",
        "/replicas/0/retracted",
        "/warnings/0",
    ] {
        assert!(json.pointer(pointer).is_some(), "{pointer} is missing");
    }
    let parts: Vec<String> = json["ttft_parts_ms"].as_object().unwrap().keys().cloned().collect();
    let mut names = gorgo_metrics::TtftParts::names().to_vec();
    names.sort_unstable();
    let mut sorted = parts;
    sorted.sort_unstable();
    assert_eq!(sorted, names);
    assert_eq!(serde_json::from_value::<Summary>(json).unwrap(), summary);
}

#[test]
fn the_rolling_ttft_covers_the_time_since_the_last_sample() {
    let sample = |at_ms, region| TimelineSample {
        at: Nanos::from_millis(at_ms),
        region: RegionId(region),
        in_flight: 0,
        running: 0,
        queued: 0,
    };
    // First tokens at 1.1, 2.2, 3.3, ... s.
    let rolled = rolling(&[sample(2_200, 0), sample(2_200, 1), sample(5_000, 0)], &ten());
    assert_eq!(rolled[0].first_tokens, 2);
    assert_eq!(rolled[0].ttft_p50, Some(Nanos::from_millis(100)));
    assert_eq!(rolled[0].ttft_p99, Some(Nanos::from_millis(200)));
    assert_eq!((rolled[1].first_tokens, rolled[1].ttft_p50), (0, None));
    assert_eq!((rolled[2].first_tokens, rolled[2].ttft_p99), (2, Some(Nanos::from_millis(400))));
}
