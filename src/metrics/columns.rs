//! What the end of a run asks of every record, gathered while the record is at hand.
//!
//! A record is over 200 bytes, and a run has many: each pass over them at the end would cost some hundredths of the
//! simulation. Percentiles and warnings read these columns instead.

use crate::{RequestRecord, Status, Window};
use gorgo_types::Nanos;

/// When a request was due and when its client knew the outcome.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub scheduled: Nanos,
    pub finished: Option<Nanos>,
}

/// Columns of the records of a run. Those of nanoseconds are of measured requests that have the value, in no order.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    pub ttft: Vec<u64>,
    pub ttft_from_send: Vec<u64>,
    pub e2e: Vec<u64>,
    pub tpot: Vec<u64>,
    /// Scheduled to sent, and the part of it that is slip; empty where the client holds nothing back.
    pub queue: Vec<u64>,
    pub slip: Vec<u64>,
    /// Of measured completed requests, (scheduled, TTFT).
    pub served: Vec<(Nanos, Nanos)>,
    /// Of all requests.
    pub spans: Vec<Span>,
}

impl Columns {
    pub fn reserve(&mut self, records: usize, client_holds_back: bool) {
        for column in [&mut self.ttft, &mut self.ttft_from_send, &mut self.e2e, &mut self.tpot] {
            column.reserve(records);
        }
        if client_holds_back {
            self.queue.reserve(records);
            self.slip.reserve(records);
        }
        self.served.reserve(records);
        self.spans.reserve(records);
    }

    pub fn add(&mut self, record: &RequestRecord, window: Window, client_holds_back: bool) {
        self.spans.push(Span { scheduled: record.scheduled, finished: record.finished });
        if !window.contains(record.scheduled) {
            return;
        }
        if client_holds_back {
            self.queue.push(record.sent.saturating_sub(record.scheduled).0);
            self.slip.push(record.slip.0);
        }
        if record.status != Status::Completed {
            return;
        }
        if let Some(ttft) = record.ttft() {
            self.ttft.push(ttft.0);
            self.served.push((record.scheduled, ttft));
        }
        self.ttft_from_send.extend(record.ttft_from_send().map(|ns| ns.0));
        self.e2e.extend(record.e2e().map(|ns| ns.0));
        self.tpot.extend(record.tpot().map(|ns| ns.0));
    }
}
