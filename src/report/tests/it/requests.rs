//! `requests.csv` both ways.

use crate::{completed, many, names, rejected, run};
use gorgo_metrics::{FleetNames, RequestRecord, Status, TtftParts};
use gorgo_report::{
    ReportError, Requests, TIMELINE_COLUMNS, read_requests, write_requests, write_timeline,
};
use gorgo_types::{Nanos, OriginId, RegionId, ReplicaId, RequestId};
use proptest::prelude::*;

const HEADER: &str = "session,turn,origin,router_region,region,replica,score,input_tokens,output_tokens,\
predicted_cached_tokens,cached_tokens,scheduled_ms,sent_ms,first_token_ms,finished_ms,client_queue_ms,\
client_to_router_ms,routing_ms,router_queue_ms,forward_ms,failed_attempts_ms,connect_ms,network_out_ms,\
replica_overhead_ms,replica_queue_ms,prefill_ms,network_back_ms,ttft_ms,ttft_from_send_ms,e2e_ms,tpot_ms,status";

fn text(names: &FleetNames, records: &[RequestRecord]) -> String {
    let mut out = Vec::new();
    write_requests(&mut out, names, records).unwrap();
    String::from_utf8(out).unwrap()
}

/// What the file should look like, written by hand from the definitions.
#[test]
fn the_file_by_hand() {
    let written = text(&names("gorgo"), &[completed(3, 1_000, 25, 125), rejected(4, 2_000)]);
    let zeros = "0.000000,".repeat(9);
    let wanted = format!(
        "{HEADER}\n\
         3,1,\"Paris, FR\",us-east,\"eu, west\",\"e\"\"0\",12.5,100,11,32,48,1000.000000,1005.000000,1025.000000,\
         1125.000000,5.000000,{zeros}20.000000,0.000000,25.000000,20.000000,125.000000,10.000000,completed\n\
         4,1,\"Paris, FR\",us-east,,,,100,11,32,48,2000.000000,2000.000000,,2001.000000,0.000000,{zeros}0.000000,\
         0.000000,,,,,rejected\n"
    );
    assert_eq!(written, wanted);
}

#[test]
fn names_come_back_in_order_of_appearance() {
    let written = text(&names("gorgo"), &[completed(3, 1_000, 25, 125)]);
    let read = read_requests(written.as_bytes(), "requests.csv").unwrap();
    assert_eq!(read.names.origins, ["Paris, FR"]);
    assert_eq!(read.names.replicas, [("e\"0".to_owned(), RegionId(1))]);
    let wanted = RequestRecord {
        origin: OriginId(0),
        router_region: Some(RegionId(0)),
        region: Some(RegionId(1)),
        replica: Some(ReplicaId(0)),
        ..completed(3, 1_000, 25, 125)
    };
    assert_eq!(read.records, [wanted]);
}

/// Each thing wrong is refused with file, line, column, value and what was wanted.
#[test]
fn what_is_wrong_is_named() {
    let good = text(&names("gorgo"), &[completed(3, 1_000, 25, 125)]);
    let broken: [(&str, &str, &str); 18] = [
        (",12.5,", ",NaN,", "line 2, column `score`: got `NaN`, wanted a finite number"),
        (",12.5,", ",inf,", "line 2, column `score`: got `inf`"),
        ("\n3,1,", "\n-3,1,", "line 2, column `session`: got `-3`, wanted a whole number"),
        ("\n3,1,", "\n3,4294967296,", "line 2, column `turn`: got `4294967296`"),
        (",100,11,", ",1e2,11,", "column `input_tokens`: got `1e2`"),
        (",1000.000000,", ",-1000.000000,", "column `scheduled_ms`: got `-1000.000000`"),
        (",1000.000000,", ",1000.0000001,", "at most six decimals"),
        (",1000.000000,", ",99999999999999999999.0,", "column `scheduled_ms`"),
        (",1000.000000,", ",,", "column `scheduled_ms`: got ``"),
        ("completed", "done", "column `status`: got `done`, wanted one of completed, failed"),
        (
            ",5.000000,0",
            ",6.000000,0",
            "line 2: got a request that breaks a law, wanted: its TTFT parts add up",
        ),
        (
            ",25.000000,20.0",
            ",26.000000,20.0",
            "column `ttft_ms`: got `26.000000`, wanted 25.000000",
        ),
        (",10.000000,completed", ",,completed", "column `tpot_ms`: got ``, wanted 10.000000"),
        (",completed", "", "line 2: got 31 fields, wanted 32"),
        ("\"eu, west\"", "", "column `region`: got ``, wanted a region where there is a replica"),
        (",us-east,", ",,", "line 2: got a request that breaks a law, wanted: a router sent it to"),
        ("session,turn", "turn,session", "line 1, column `session`: got `turn`"),
        (",status", "", "line 1, column `status`: got ``"),
    ];
    for (from, to, wanted) in broken {
        let text = good.replacen(from, to, 1);
        assert_ne!(text, good, "`{from}` is not in the file");
        let error = read_requests(text.as_bytes(), "x/requests.csv").expect_err(wanted).to_string();
        assert!(error.starts_with("x/requests.csv: line"), "{error}");
        assert!(error.contains(wanted), "wanted `{wanted}` in: {error}");
    }
    let empty = read_requests(&b""[..], "requests.csv").unwrap_err();
    assert!(matches!(empty, ReportError::Row { line: 1, .. }), "{empty}");
    let moved = format!("{good}{}", good.lines().nth(1).unwrap().replace("\"eu, west\"", "asia"));
    let error = read_requests(moved.as_bytes(), "r").unwrap_err().to_string();
    assert!(error.contains("line 3, column `region`: got `asia`, wanted `eu, west`"), "{error}");
}

#[test]
fn a_header_alone_is_a_run_without_requests() {
    assert_eq!(read_requests(format!("{HEADER}\n").as_bytes(), "r").unwrap(), Requests::default());
}

#[test]
fn the_timeline_by_hand() {
    let records =
        [completed(1, 0, 25, 125), completed(2, 0, 500, 600), completed(3, 0, 1_500, 1_600)];
    let mut out = Vec::new();
    write_timeline(&mut out, &run("gorgo", &records, 2)).unwrap();
    let wanted = format!(
        "{}\n\
         0.000000,us-east,0,1,0,0,,\n\
         0.000000,\"eu, west\",1,1,0,0,,\n\
         1000.000000,us-east,1,1,1,0,,\n\
         1000.000000,\"eu, west\",2,1,1,2,25.000000,500.000000\n",
        TIMELINE_COLUMNS.join(",")
    );
    assert_eq!(String::from_utf8(out).unwrap(), wanted);
}

#[test]
fn a_long_file_is_written_whole() {
    let records = many(5_000);
    let written = text(&names("gorgo"), &records);
    assert_eq!(written.lines().count(), 5_001);
    assert_eq!(read_requests(written.as_bytes(), "r").unwrap().records.len(), 5_000);
}

prop_compose! {
    fn any_record()(
        id in (any::<u64>(), any::<u32>()),
        place in prop::option::of(0..2_u32),
        router in prop::option::of(0..2_u32),
        origin in 0..2_u32,
        score in prop::num::f64::NORMAL | prop::num::f64::ZERO | prop::num::f64::SUBNORMAL,
        tokens in (any::<u32>(), any::<u32>(), any::<u32>(), any::<u32>()),
        scheduled in 0..1_u64 << 60,
        parts in prop::array::uniform12(prop_oneof![Just(0), 0..1_u64 << 40]),
        rest in 0..1_u64 << 50,
        status in prop::sample::select(Status::ALL.to_vec()),
        (first_token, slips) in any::<(bool, bool)>(),
    ) -> RequestRecord {
        let completed = status == Status::Completed;
        let place = if completed { place.or(Some(0)) } else { place };
        let has_first = completed || first_token;
        let parts = TtftParts::from_values(parts.map(Nanos));
        let sent = Nanos(scheduled) + parts.client_queue;
        let first_token = has_first.then(|| Nanos(scheduled) + parts.total());
        let end = first_token.unwrap_or(sent) + Nanos(rest);
        RequestRecord {
            id: RequestId { session: id.0, turn: id.1 },
            origin: OriginId(origin),
            router_region: place.or(router).map(RegionId),
            replica: place.map(ReplicaId),
            region: place.map(RegionId),
            status,
            score: if place.is_some() { score } else { 0.0 },
            input_tokens: tokens.0,
            output_tokens: tokens.1,
            predicted_cached_tokens: tokens.2 % tokens.0.saturating_add(1).max(1),
            cached_tokens: tokens.3 % tokens.0.saturating_add(1).max(1),
            scheduled: Nanos(scheduled),
            slip: if slips { Nanos(parts.client_queue.0 / 3) } else { Nanos::ZERO },
            sent,
            first_token,
            finished: (status != Status::InFlight).then_some(end),
            parts: if has_first { parts } else { TtftParts { client_queue: parts.client_queue, ..TtftParts::default() } },
            retractions: 0,
            attempts: 0,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Written, read and written again, the bytes are the same; all but the numbering of names comes back.
    #[test]
    fn round_trip(records in prop::collection::vec(any_record(), 0..20)) {
        for record in &records {
            record.check().unwrap();
        }
        let written = text(&names("gorgo"), &records);
        let read = read_requests(written.as_bytes(), "r").unwrap();
        prop_assert_eq!(text(&read.names, &read.records), written);
        for (a, b) in records.iter().zip(&read.records) {
            let unnamed = |record: &RequestRecord| RequestRecord {
                origin: OriginId(0),
                router_region: Some(RegionId(0)),
                region: None,
                replica: None,
                ..*record
            };
            prop_assert_eq!(unnamed(a), unnamed(b));
        }
    }

    /// Whatever the bytes, reading ends in a value or an error.
    #[test]
    fn garbage_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..400), at in 0..1_000_usize, byte in any::<u8>()) {
        let mut text = text(&names("gorgo"), &[completed(3, 1_000, 25, 125)]).into_bytes();
        let at = at % text.len();
        text[at] = byte;
        let _ = read_requests(text.as_slice(), "r");
        let with_header = [HEADER.as_bytes(), b"\n", &bytes].concat();
        let _ = read_requests(with_header.as_slice(), "r");
        let _ = read_requests(bytes.as_slice(), "r");
    }
}
