//! `timeline.csv`: the regions' replicas over time, one row a sample.
//!
//! The last three columns are of the first tokens since the region's previous sample; they are empty for a run that
//! kept no records.

use crate::bytes::{csv_field, push_integer, push_ms, push_some_ms};
use gorgo_metrics::{RunResult, rolling};
use std::io::Write;

/// The columns, in order.
pub const TIMELINE_COLUMNS: [&str; 8] = [
    "at_ms",
    "region",
    "in_flight",
    "running",
    "queued",
    "first_tokens",
    "ttft_p50_ms",
    "ttft_p99_ms",
];

/// Writes the header and a row for each sample.
///
/// # Errors
/// When the writer fails.
pub fn write_timeline(out: &mut impl Write, run: &RunResult) -> std::io::Result<()> {
    let regions: Vec<_> = run.names.regions.iter().map(|name| csv_field(name)).collect();
    let rolled = run.records.as_ref().map(|records| rolling(&run.timeline, records));
    let mut buffer = TIMELINE_COLUMNS.join(",").into_bytes();
    buffer.push(b'\n');
    for (index, sample) in run.timeline.iter().enumerate() {
        push_ms(&mut buffer, sample.at);
        buffer.push(b',');
        buffer.extend_from_slice(regions.get(sample.region.index()).map_or(&[], Vec::as_slice));
        for count in [sample.in_flight, sample.running, sample.queued] {
            buffer.push(b',');
            push_integer(&mut buffer, u64::from(count));
        }
        if let Some(rolled) = rolled.as_ref().map(|rolled| rolled[index]) {
            buffer.push(b',');
            push_integer(&mut buffer, rolled.first_tokens);
            buffer.push(b',');
            push_some_ms(&mut buffer, rolled.ttft_p50);
            buffer.push(b',');
            push_some_ms(&mut buffer, rolled.ttft_p99);
        } else {
            buffer.extend_from_slice(b",,,");
        }
        buffer.push(b'\n');
    }
    out.write_all(&buffer)
}
