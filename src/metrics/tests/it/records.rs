//! The laws of one record.

use crate::completed;
use gorgo_metrics::{RequestRecord, Status, TtftParts};
use gorgo_types::{Nanos, RegionId, ReplicaId};

#[test]
fn metrics_of_one_request_by_hand() {
    let mut record = completed(1, 1_000, 200, 1_200);
    record.sent = Nanos::from_millis(1_050);
    record.parts.client_queue = Nanos::from_millis(50);
    record.parts.prefill = Nanos::from_millis(50);
    record.check().unwrap();
    assert_eq!(record.ttft(), Some(Nanos::from_millis(200)));
    assert_eq!(record.ttft_from_send(), Some(Nanos::from_millis(150)));
    assert_eq!(record.e2e(), Some(Nanos::from_millis(1_200)));
    // 1,000 ms over the 10 gaps of 11 tokens.
    assert_eq!(record.tpot(), Some(Nanos::from_millis(100)));
}

#[test]
fn one_token_has_no_tpot() {
    assert_eq!(RequestRecord { output_tokens: 1, ..completed(1, 0, 10, 10) }.tpot(), None);
}

#[test]
fn tpot_rounds_to_the_nearest_nanosecond() {
    let mut record = RequestRecord { output_tokens: 4, ..completed(1, 0, 10, 10) };
    record.finished = Some(Nanos(10_000_005));
    assert_eq!(record.tpot(), Some(Nanos(2)), "5 ns over 3 gaps");
}

#[test]
fn parts_keep_their_names_and_order() {
    let values: [Nanos; 12] = std::array::from_fn(|i| Nanos(1 << i));
    let parts = TtftParts::from_values(values);
    assert_eq!(parts.values(), values);
    assert_eq!(parts.total(), Nanos(4_095));
    assert_eq!((parts.client_queue, parts.network_back), (Nanos(1), Nanos(2_048)));
    assert_eq!((TtftParts::names()[9], parts.replica_queue), ("replica_queue", Nanos(512)));
}

#[test]
fn statuses_have_names() {
    for status in Status::ALL {
        assert_eq!(Status::from_name(status.name()), Some(status));
        assert_eq!(serde_json::to_string(&status).unwrap(), format!("\"{}\"", status.name()));
    }
    assert_eq!(Status::from_name("done"), None);
}

/// Each broken law is found, and named.
#[test]
fn contradictions_are_refused() {
    let good = completed(1, 1_000, 200, 1_200);
    good.check().unwrap();
    let broken: [(&str, RequestRecord); 12] = [
        ("sent no earlier", RequestRecord { sent: Nanos::ZERO, ..good }),
        ("first token comes after", RequestRecord { first_token: Some(Nanos(1)), ..good }),
        ("parts add up", RequestRecord { first_token: Some(Nanos(1_200_000_001)), ..good }),
        ("client_queue", RequestRecord { sent: Nanos(1_000_000_001), ..good }),
        ("finishing time", RequestRecord { finished: None, ..good }),
        ("finishing time", RequestRecord { status: Status::InFlight, ..good }),
        ("finishes after", RequestRecord { finished: Some(Nanos(1_100_000_000)), ..good }),
        ("completed request has", RequestRecord { first_token: None, ..good }),
        ("completed request has", RequestRecord { replica: None, region: None, ..good }),
        ("replica and a region", RequestRecord { region: None, ..good }),
        ("cached", RequestRecord { cached_tokens: 101, ..good }),
        ("finite", RequestRecord { score: f64::NAN, ..good }),
    ];
    for (law, record) in broken {
        let error = record.check().expect_err(law).to_string();
        assert!(error.contains(law), "wanted the law `{law}` in: {error}");
        assert!(error.contains("request 1.0"), "{error}");
    }
    let placed = RequestRecord {
        replica: Some(ReplicaId(1)),
        region: Some(RegionId(1)),
        ..completed(1, 0, 0, 0)
    };
    placed.check().unwrap();
}
