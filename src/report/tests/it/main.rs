//! Tests of the crate's public face.

mod output;
mod plots;
mod requests;
mod tables;

use gorgo_metrics::{
    Collector, FleetNames, MeasureSpec, RequestRecord, RunResult, Status, TimelineSample, TtftParts,
};
use gorgo_types::{Nanos, OriginId, RegionId, ReplicaId, RequestId};

fn names(policy: &str) -> FleetNames {
    FleetNames {
        scenario: "test".to_owned(),
        policy: policy.to_owned(),
        seed: 7,
        regions: vec!["us-east".to_owned(), "eu, west".to_owned()],
        replicas: vec![("u0".to_owned(), RegionId(0)), ("e\"0".to_owned(), RegionId(1))],
        origins: vec![String::new(), "Paris, FR".to_owned()],
    }
}

/// A completed request, sent 5 ms after its scheduled time.
fn completed(session: u64, scheduled_ms: u64, ttft_ms: u64, e2e_ms: u64) -> RequestRecord {
    let at = |ms| Nanos::from_millis(scheduled_ms + ms);
    RequestRecord {
        id: RequestId { session, turn: 1 },
        origin: OriginId(1),
        router_region: Some(RegionId(0)),
        replica: Some(ReplicaId(1)),
        region: Some(RegionId(1)),
        status: Status::Completed,
        score: 12.5,
        input_tokens: 100,
        output_tokens: 11,
        predicted_cached_tokens: 32,
        cached_tokens: 48,
        scheduled: at(0),
        slip: Nanos::ZERO,
        sent: at(5),
        first_token: Some(at(ttft_ms)),
        finished: Some(at(e2e_ms)),
        parts: TtftParts {
            client_queue: Nanos::from_millis(5),
            prefill: Nanos::from_millis(ttft_ms - 5),
            ..TtftParts::default()
        },
        retractions: 0,
        attempts: 0,
    }
}

fn rejected(session: u64, scheduled_ms: u64) -> RequestRecord {
    RequestRecord {
        status: Status::Rejected,
        replica: None,
        region: None,
        score: 0.0,
        first_token: None,
        slip: Nanos::ZERO,
        sent: Nanos::from_millis(scheduled_ms),
        finished: Some(Nanos::from_millis(scheduled_ms + 1)),
        parts: TtftParts::default(),
        ..completed(session, scheduled_ms, 6, 7)
    }
}

/// A run of given requests with a sample of each region every second.
fn run(policy: &str, records: &[RequestRecord], samples: u64) -> RunResult {
    let mut collector = Collector::new(MeasureSpec::default(), &names(policy));
    for record in records {
        collector.push(record).unwrap();
    }
    for second in 0..samples {
        for region in 0..2 {
            collector.sample(TimelineSample {
                at: Nanos::from_secs(second),
                region: RegionId(region),
                in_flight: (second % 7) as u32 + region,
                running: 1,
                queued: (second % 3) as u32,
            });
        }
    }
    collector.finish(Nanos::from_secs(1_000), records.len() as u64).unwrap()
}

/// `count` completed requests with TTFTs from 10 ms to some seconds.
fn many(count: u64) -> Vec<RequestRecord> {
    (0..count).map(|i| completed(i, i * 10, 10 + (i * 7_919) % 4_000, 5_000)).collect()
}
