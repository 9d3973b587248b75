//! Takes in what a run reports and makes its [`RunResult`].
//!
//! With records kept, taking one in is a check and a copy; all sums wait for [`Collector::finish`]. Without, each
//! record goes into sums and histograms at once and is dropped. Both ways end in the same [`Tally`], so a number
//! has one definition. Read `tally.rs` next.

use crate::advice;
use crate::buckets::Buckets;
use crate::columns::Columns;
use crate::distribution::{Gaps, Series, exact_percentiles};
use crate::spec::AUTO_RECORDS_LIMIT;
use crate::tally::Tally;
use crate::{
    FleetNames, Invalid, LiveSummary, MeasureSpec, PercentilesFrom, Records, ReplicaSummary,
    RequestRecord, ServedTable, Summary, TimelineSample, TunerSummary, Window,
};
use gorgo_types::Nanos;
use std::hint::cold_path;

/// Collects one run.
#[derive(Debug)]
pub struct Collector {
    spec: MeasureSpec,
    names: FleetNames,
    /// As long as they are not too many, with what the end of the run asks of them.
    records: Option<(Vec<RequestRecord>, Columns)>,
    records_limit: usize,
    tally: Tally,
    gaps: Gaps,
    timeline: Vec<TimelineSample>,
    replicas: Vec<ReplicaSummary>,
    legs: Vec<OriginLeg>,
    warnings: Vec<String>,
    tuner: Option<TunerSummary>,
    live: Option<LiveSummary>,
    never_sent: u64,
}

/// What one run of one policy came to.
#[derive(Clone, Debug)]
pub struct RunResult {
    /// Names for the ids in `records` and `timeline`.
    pub names: FleetNames,
    /// The numbers.
    pub summary: Summary,
    /// The window of scheduled time that was measured.
    pub window: Window,
    /// Every request in the order in which they ended; none for a run too large to keep them.
    pub records: Option<Vec<RequestRecord>>,
    /// What each replica did for the measured requests of each router's region.
    pub served: ServedTable,
    /// TTFT of the measured completed requests, ns.
    pub ttft: Buckets,
    /// E2E of the measured completed requests, ns.
    pub e2e: Buckets,
    /// Single gaps between tokens, ns.
    pub itl: Buckets,
    /// Samples in the order in which they were taken.
    pub timeline: Vec<TimelineSample>,
    /// How far each origin in `names` is, and how that is known.
    pub legs: Vec<OriginLeg>,
}

/// The way of an origin's requests to their router.
#[derive(Clone, Debug, PartialEq)]
pub struct OriginLeg {
    /// The origin in words.
    pub origin: String,
    /// Median round trip, ms.
    pub rtt_p50_ms: f64,
    /// How it was had: from a matrix, measured between cities, by a fit over the distance.
    pub how: String,
}

impl Collector {
    /// An empty collector.
    #[must_use]
    pub fn new(spec: MeasureSpec, names: &FleetNames) -> Self {
        let records_limit = match spec.records {
            Records::Auto => AUTO_RECORDS_LIMIT,
            Records::Always => usize::MAX,
            Records::Never => 0,
        };
        Self {
            spec,
            names: names.clone(),
            records: (records_limit > 0).then(Default::default),
            records_limit,
            tally: Tally::new(&spec, names),
            gaps: Gaps::new(),
            timeline: Vec::new(),
            replicas: Vec::new(),
            legs: Vec::new(),
            warnings: Vec::new(),
            tuner: None,
            live: None,
            never_sent: 0,
        }
    }

    /// Makes room for so many records, where records are kept: a driver that knows how many requests come saves the
    /// copies that growing would take.
    pub fn expect(&mut self, requests: u64) {
        if let Some((records, columns)) = &mut self.records {
            let room = usize::try_from(requests).unwrap_or(usize::MAX).min(self.records_limit);
            let room = room.min(AUTO_RECORDS_LIMIT);
            records.reserve(room);
            columns.reserve(room, self.spec.client_holds_back);
        }
    }

    /// Takes in one request's fate. Each request comes once.
    ///
    /// # Errors
    /// When the record breaks a law of [`RequestRecord::check`] or names a replica beyond the fleet.
    pub fn push(&mut self, record: &RequestRecord) -> Result<(), Invalid> {
        record.check()?;
        let replicas = self.names.replicas.len();
        let regions = self.names.regions.len();
        if let Some(region) = record.router_region.filter(|region| region.index() >= regions) {
            cold_path();
            return Err(Invalid::UnknownRegion { id: record.id, region: region.index(), regions });
        }
        if let Some(replica) = record.replica.filter(|replica| replica.index() >= replicas) {
            cold_path();
            return Err(Invalid::UnknownReplica {
                id: record.id,
                replica: replica.index(),
                replicas,
            });
        }
        // Now, while the record is at hand. A window that is not known yet begins after all that has ended.
        let times = record.times();
        self.tally.add(record, &times);
        match &mut self.records {
            Some((records, columns)) if records.len() < self.records_limit => {
                columns.add(record, &times, self.tally.window, self.spec.client_holds_back);
                records.push(*record);
            }
            // Too many: histograms have them all.
            records => {
                cold_path();
                *records = None;
            }
        }
        Ok(())
    }

    /// The warm-up ends: measured are the requests scheduled from here on. For a warm-up of so many requests, whose end
    /// is known when they have been sent.
    pub const fn measure_from(&mut self, at: Nanos) {
        self.tally.window.from = at;
    }

    /// Counts a request that was due and that its client still held when the run ended. Its record is pushed as well.
    pub const fn never_sent(&mut self) {
        self.never_sent += 1;
    }

    /// Whether what happens at this moment belongs to the measured window: gaps outside of it should not be told.
    #[must_use]
    pub fn in_window(&self, at: Nanos) -> bool {
        self.tally.window.contains(at)
    }

    /// Takes in a run of inter-token gaps: `first_ns + k * increment_ns` for k in `0..steps`, each held by
    /// `sequences` sequences.
    #[inline]
    pub fn gaps(&mut self, first_ns: f64, increment_ns: f64, steps: u64, sequences: u32) {
        self.gaps.add(first_ns, increment_ns, steps, sequences);
    }

    /// Takes in a sample of one region.
    pub fn sample(&mut self, sample: TimelineSample) {
        self.timeline.push(sample);
    }

    /// Takes in what a replica did; the summary lists replicas in this order.
    pub fn replica(&mut self, replica: ReplicaSummary) {
        self.replicas.push(replica);
    }

    /// Adds a warning to the summary, unless it stands there already.
    pub fn warn(&mut self, warning: impl Into<String>) {
        let warning = warning.into();
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// Says what the tuner of the policy's weights came to.
    pub fn tuner(&mut self, tuner: TunerSummary) {
        self.tuner = Some(tuner);
    }

    /// Says what a run against real URLs came to beside.
    pub fn live(&mut self, live: LiveSummary) {
        self.live = Some(live);
    }

    /// The ways of the origins, in the order of their names.
    pub fn set_legs(&mut self, legs: Vec<OriginLeg>) {
        self.legs = legs;
    }

    /// Sets the names of origins, which a streaming source may know only at the end.
    pub fn set_origins(&mut self, origins: Vec<String>) {
        self.names.origins = origins;
    }

    /// Ends the run. `injected` is how many requests the driver of the run sent into it, by its own count: every
    /// one of them must have been pushed, those still under way as [`crate::Status::InFlight`].
    ///
    /// # Errors
    /// When requests were lost or counted twice, or one ended after `end`.
    pub fn finish(self, end: Nanos, injected: u64) -> Result<RunResult, Invalid> {
        let counts = self.tally.conserved(end, injected)?;
        let (records, mut columns) = self.records.unzip();
        let from =
            if records.is_some() { PercentilesFrom::Records } else { PercentilesFrom::Histogram };
        let mut summary = self.tally.summary(&self.spec, &self.names, end, counts);
        summary.percentiles_from = from;
        summary.itl_ms = self.gaps.distribution();
        summary.replicas = self.replicas;
        summary.tuner = self.tuner;
        summary.live = self.live;
        if let Some(client) = &mut summary.client {
            client.never_sent = self.never_sent;
        }
        if let Some(columns) = &mut columns {
            self.tally.sharpen(&mut summary, columns);
        }
        let mut about_numbers = std::mem::take(&mut summary.warnings);
        about_numbers.extend(advice::of(&summary, columns, self.tally.window, end));
        summary.warnings = self.warnings;
        summary.warnings.extend(about_numbers);
        Ok(RunResult {
            names: self.names,
            summary,
            window: self.tally.window,
            records,
            served: self.tally.served,
            ttft: self.tally.ttft.buckets,
            e2e: self.tally.e2e.buckets,
            itl: self.gaps.buckets,
            timeline: self.timeline,
            legs: self.legs,
        })
    }
}

impl Tally {
    /// Replaces the histograms' percentiles by exact ones.
    fn sharpen(&self, summary: &mut Summary, columns: &mut Columns) {
        let exact = |series: &Series, values: &mut [u64]| {
            series.with_percentiles(exact_percentiles(values, series.infinite()))
        };
        if let (Some(held), Some(client)) = (&self.held, &mut summary.client) {
            client.queue_ms = exact(&held.queue, &mut columns.queue);
            client.slip_ms = exact(&held.slip, &mut columns.slip);
        }
        let mut values: Vec<u64> = columns.ttft().collect();
        summary.ttft_ms = exact(&self.ttft, &mut values);
        summary.ttft_from_send_ms = match &mut columns.ttft_from_send {
            Some(values) => exact(self.ttft_from_send(), values),
            None => summary.ttft_ms,
        };
        values.clear();
        values.extend(columns.e2e());
        summary.e2e_ms = exact(&self.e2e, &mut values);
        values.clear();
        values.extend(columns.tpot());
        summary.tpot_ms = exact(&self.tpot, &mut values);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Status, TtftParts};
    use gorgo_types::{OriginId, RequestId};

    #[test]
    fn past_the_limit_records_fold_into_histograms_and_none_is_lost() {
        let mut collector = Collector::new(MeasureSpec::default(), &FleetNames::default());
        collector.records_limit = 3;
        for session in 0..5 {
            let record = RequestRecord {
                id: RequestId { session, turn: 0 },
                origin: OriginId(0),
                router_region: None,
                replica: None,
                region: None,
                status: Status::Rejected,
                score: 0.0,
                input_tokens: 1,
                output_tokens: 1,
                predicted_cached_tokens: 0,
                cached_tokens: 0,
                scheduled: Nanos(session),
                slip: Nanos::ZERO,
                sent: Nanos(session),
                first_token: None,
                finished: Some(Nanos(session)),
                parts: TtftParts::default(),
                retractions: 0,
                attempts: 0,
            };
            collector.push(&record).unwrap();
            assert_eq!(collector.records.is_some(), session < 3);
        }
        let result = collector.finish(Nanos(9), 5).unwrap();
        assert!(result.records.is_none());
        assert_eq!(result.summary.requests.rejected, 5);
        assert_eq!(result.summary.percentiles_from, PercentilesFrom::Histogram);
    }
}
