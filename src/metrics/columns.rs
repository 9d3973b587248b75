//! What the end of a run asks of every record, gathered while the record is at hand.
//!
//! A record is over 200 bytes, and a run has many: each pass over them at the end would cost some hundredths of the
//! simulation. Percentiles and warnings read these rows instead, 32 bytes a record.

use crate::record::Times;
use crate::{RequestRecord, Status, Window};
use gorgo_types::Nanos;

/// What a row does not have.
const NONE: u64 = u64::MAX;

/// One record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub scheduled: Nanos,
    finished_ns: u64,
    /// Of a measured request that completed; so is the next one.
    ttft_ns: u64,
    tpot_ns: u64,
}

fn known(ns: u64) -> Option<u64> {
    (ns != NONE).then_some(ns)
}

impl Row {
    /// When its client knew the outcome.
    pub fn finished(&self) -> Option<Nanos> {
        known(self.finished_ns).map(Nanos)
    }

    /// The TTFT of a measured request that completed.
    pub fn ttft(&self) -> Option<u64> {
        known(self.ttft_ns)
    }

    fn e2e(&self) -> Option<u64> {
        self.ttft().map(|_| self.finished_ns - self.scheduled.0)
    }

    fn tpot(&self) -> Option<u64> {
        known(self.tpot_ns)
    }
}

/// The rows of a run, and columns of what few runs have.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    /// Of all requests, in no order.
    pub rows: Vec<Row>,
    /// None as long as it is the same as the TTFT.
    pub ttft_from_send: Option<Vec<u64>>,
    /// Scheduled to sent, and the part of it that is slip; empty where the client holds nothing back.
    pub queue: Vec<u64>,
    pub slip: Vec<u64>,
}

impl Columns {
    pub fn reserve(&mut self, records: usize, client_holds_back: bool) {
        self.rows.reserve(records);
        if client_holds_back {
            self.queue.reserve(records);
            self.slip.reserve(records);
        }
    }

    pub fn add(
        &mut self,
        record: &RequestRecord,
        times: &Times,
        window: Window,
        client_holds_back: bool,
    ) {
        let measured = window.contains(record.scheduled);
        let counted = measured && record.status == Status::Completed;
        let ttft = times.ttft.filter(|_| counted);
        let tpot = times.tpot.filter(|_| counted);
        let ns = |time: Option<Nanos>| time.map_or(NONE, |time| time.0);
        let row = Row {
            scheduled: record.scheduled,
            finished_ns: ns(record.finished),
            ttft_ns: ns(ttft),
            tpot_ns: ns(tpot),
        };
        if counted && record.sent != record.scheduled && self.ttft_from_send.is_none() {
            self.ttft_from_send = Some(self.ttft().collect());
        }
        self.rows.push(row);
        if measured && client_holds_back {
            self.queue.push(record.sent.saturating_sub(record.scheduled).0);
            self.slip.push(record.slip.0);
        }
        if counted && let Some(ttft_from_send) = &mut self.ttft_from_send {
            ttft_from_send.extend(record.ttft_from_send().map(|ns| ns.0));
        }
    }

    /// Nanoseconds of the measured requests that completed; so are the next two.
    pub fn ttft(&self) -> impl Iterator<Item = u64> {
        self.rows.iter().filter_map(Row::ttft)
    }

    pub fn e2e(&self) -> impl Iterator<Item = u64> {
        self.rows.iter().filter_map(Row::e2e)
    }

    pub fn tpot(&self) -> impl Iterator<Item = u64> {
        self.rows.iter().filter_map(Row::tpot)
    }
}
