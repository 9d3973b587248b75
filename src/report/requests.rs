//! `requests.csv`: one row a request, in the order in which requests ended.
//!
//! A client that may come late to its requests adds `slip_ms`. Times are milliseconds with six decimals, so that a
//! nanosecond is kept exactly. What does not exist is empty. Read `requests_reader.rs` for the way back.

use crate::bytes::{csv_field, push_integer, push_ms, push_some_ms};
use gorgo_metrics::{FleetNames, RequestRecord};
use gorgo_types::Nanos;
use std::io::Write;

/// The columns, in order.
pub const REQUEST_COLUMNS: [&str; 32] = [
    "session",
    "turn",
    "origin",
    "router_region",
    "region",
    "replica",
    "score",
    "input_tokens",
    "output_tokens",
    "predicted_cached_tokens",
    "cached_tokens",
    "scheduled_ms",
    "sent_ms",
    "first_token_ms",
    "finished_ms",
    "client_queue_ms",
    "client_to_router_ms",
    "routing_ms",
    "router_queue_ms",
    "forward_ms",
    "failed_attempts_ms",
    "connect_ms",
    "network_out_ms",
    "replica_overhead_ms",
    "replica_queue_ms",
    "prefill_ms",
    "network_back_ms",
    "ttft_ms",
    "ttft_from_send_ms",
    "e2e_ms",
    "tpot_ms",
    "status",
];

/// A last column, where the client came late to any request: the time from scheduled until it did.
pub const SLIP_COLUMN: &str = "slip_ms";

/// Bytes after which the buffer goes to the file.
const BUFFER_BYTES: usize = 1 << 18;

/// Writes the header and a row for each record.
///
/// `score` is empty where no replica was chosen; TTFT and its parts stand wherever there was a first token, E2E and
/// TPOT for completed requests alone. A record whose ids have no name gets an empty name.
///
/// # Errors
/// When the writer fails.
pub fn write_requests(
    out: &mut impl Write,
    names: &FleetNames,
    records: &[RequestRecord],
) -> std::io::Result<()> {
    let fields = NameFields::new(names);
    let mut buffer = Vec::with_capacity(BUFFER_BYTES + 4_096);
    buffer.extend_from_slice(REQUEST_COLUMNS.join(",").as_bytes());
    let slips = records.iter().any(|record| record.slip > Nanos::ZERO);
    if slips {
        buffer.push(b',');
        buffer.extend_from_slice(SLIP_COLUMN.as_bytes());
    }
    buffer.push(b'\n');
    for record in records {
        push_row(&mut buffer, &fields, record);
        if slips {
            buffer.push(b',');
            push_ms(&mut buffer, record.slip);
        }
        buffer.push(b'\n');
        if buffer.len() >= BUFFER_BYTES {
            out.write_all(&buffer)?;
            buffer.clear();
        }
    }
    out.write_all(&buffer)
}

/// Names as CSV fields, ready to copy.
struct NameFields {
    origins: Vec<Vec<u8>>,
    regions: Vec<Vec<u8>>,
    replicas: Vec<Vec<u8>>,
}

impl NameFields {
    fn new(names: &FleetNames) -> Self {
        let fields = |names: &[String]| names.iter().map(|name| csv_field(name)).collect();
        Self {
            origins: fields(&names.origins),
            regions: fields(&names.regions),
            replicas: names.replicas.iter().map(|(name, _)| csv_field(name)).collect(),
        }
    }
}

fn push_row(out: &mut Vec<u8>, names: &NameFields, record: &RequestRecord) {
    let push_name = |out: &mut Vec<u8>, fields: &[Vec<u8>], index: Option<usize>| {
        out.extend_from_slice(index.and_then(|index| fields.get(index)).map_or(&[], Vec::as_slice));
        out.push(b',');
    };
    push_integer(out, record.id.session);
    out.push(b',');
    push_integer(out, u64::from(record.id.turn));
    out.push(b',');
    push_name(out, &names.origins, Some(record.origin.index()));
    push_name(out, &names.regions, record.router_region.map(|region| region.index()));
    push_name(out, &names.regions, record.region.map(|region| region.index()));
    push_name(out, &names.replicas, record.replica.map(|replica| replica.index()));
    if record.replica.is_some() {
        push_score(out, record.score);
    }
    for tokens in [
        record.input_tokens,
        record.output_tokens,
        record.predicted_cached_tokens,
        record.cached_tokens,
    ] {
        out.push(b',');
        push_integer(out, u64::from(tokens));
    }
    for time in [Some(record.scheduled), Some(record.sent), record.first_token, record.finished] {
        out.push(b',');
        push_some_ms(out, time);
    }
    for part in record.parts.values() {
        out.push(b',');
        push_ms(out, part);
    }
    for time in [record.ttft(), record.ttft_from_send(), record.e2e(), record.tpot()] {
        out.push(b',');
        push_some_ms(out, time);
    }
    out.push(b',');
    out.extend_from_slice(record.status.name().as_bytes());
}

/// The shortest decimal that reads back as the same float.
fn push_score(out: &mut Vec<u8>, score: f64) {
    if score == 0.0 && score.is_sign_positive() {
        out.push(b'0');
    } else {
        write!(out, "{score}").expect("writing to memory does not fail");
    }
}
