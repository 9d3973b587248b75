//! Tests of the crate's public face, with numbers worked out by hand.

mod advising;
mod collecting;
mod comparing;
mod costing;
mod records;

use gorgo_metrics::{Collector, FleetNames, MeasureSpec, RequestRecord, Status, TtftParts};
use gorgo_types::{Nanos, OriginId, RegionId, ReplicaId, RequestId};

/// A completed request: scheduled and sent at `scheduled_ms`, first token and end so many milliseconds later.
fn completed(session: u64, scheduled_ms: u64, ttft_ms: u64, e2e_ms: u64) -> RequestRecord {
    let scheduled = Nanos::from_millis(scheduled_ms);
    let prefill = ttft_ms / 2;
    RequestRecord {
        id: RequestId { session, turn: 0 },
        origin: OriginId(0),
        router_region: Some(RegionId(0)),
        replica: Some(ReplicaId(0)),
        region: Some(RegionId(0)),
        status: Status::Completed,
        score: 0.0,
        input_tokens: 100,
        output_tokens: 11,
        predicted_cached_tokens: 0,
        cached_tokens: 0,
        scheduled,
        slip: Nanos::ZERO,
        sent: scheduled,
        first_token: Some(scheduled + Nanos::from_millis(ttft_ms)),
        finished: Some(scheduled + Nanos::from_millis(e2e_ms)),
        parts: TtftParts {
            prefill: Nanos::from_millis(prefill),
            network_back: Nanos::from_millis(ttft_ms - prefill),
            ..TtftParts::default()
        },
        retractions: 0,
        attempts: 1,
    }
}

/// A request that never saw a token and ended at `finished_ms` (none: still in flight).
fn lost(
    session: u64,
    scheduled_ms: u64,
    finished_ms: Option<u64>,
    status: Status,
) -> RequestRecord {
    RequestRecord {
        status,
        replica: None,
        region: None,
        first_token: None,
        finished: finished_ms.map(Nanos::from_millis),
        parts: TtftParts::default(),
        ..completed(session, scheduled_ms, 0, 0)
    }
}

fn names() -> FleetNames {
    FleetNames {
        scenario: "test".to_owned(),
        policy: "random".to_owned(),
        seed: 7,
        regions: vec!["east".to_owned(), "west".to_owned()],
        replicas: vec![("e0".to_owned(), RegionId(0)), ("w0".to_owned(), RegionId(1))],
        origins: vec!["US".to_owned()],
    }
}

fn collector(spec: MeasureSpec) -> Collector {
    Collector::new(spec, &names())
}
