//! The books of one run: what has ended, in which order, and at the end the run's result.
//!
//! Replicas and regions are known by name only when answers tell; their ids follow the scenario's fleet, and names that it
//! does not have come after.

use crate::LiveError;
use crate::flight::{Ended, Went};
use gorgo_metrics::{
    Collector, Distribution, FleetNames, LiveSummary, MeasureSpec, OriginLeg, RequestRecord,
    RunResult, Status, TimelineSample,
};
use gorgo_types::{Nanos, RegionId, ReplicaId};
use std::collections::BTreeMap;

/// What a replica is called that nobody has named.
const UNTOLD: &str = "untold";
/// Different reasons of failures that are kept apart.
const MOST_REASONS: usize = 40;
/// Samples of a timeline: a longer run takes longer steps.
const MOST_SAMPLES: u64 = 100_000;

/// The books of one run.
pub(crate) struct Book {
    pub names: FleetNames,
    pub spec: MeasureSpec,
    /// Which replica is behind each of the client's own targets.
    targets: Vec<ReplicaId>,
    /// Whose region a proxy's requests count for.
    router: RegionId,
    lag_limit: Nanos,
    records: Vec<RequestRecord>,
    /// How often each gap came, of three significant digits: when it ended, since the window's start may come late.
    gaps: BTreeMap<u64, u32>,
    lags: Vec<Option<Nanos>>,
    warm_up: Option<Nanos>,
    failures: BTreeMap<String, u64>,
    completed: u64,
    without_usage: u64,
    with_timing: u64,
    with_decision: u64,
    without_replica: u64,
    malformed_headers: u64,
    pieces: u64,
    streamed_tokens: u64,
    asked_tokens: [u64; 2],
    retries: u64,
    never_sent: u64,
    warnings: Vec<String>,
    pub legs: Vec<OriginLeg>,
    pub origins: Vec<String>,
}

impl Book {
    pub fn new(
        names: FleetNames,
        spec: MeasureSpec,
        targets: Vec<ReplicaId>,
        router: RegionId,
        lag_limit: Nanos,
    ) -> Self {
        Self {
            names,
            spec,
            targets,
            router,
            lag_limit,
            records: Vec::new(),
            gaps: BTreeMap::new(),
            lags: Vec::new(),
            warm_up: None,
            failures: BTreeMap::new(),
            completed: 0,
            without_usage: 0,
            with_timing: 0,
            with_decision: 0,
            without_replica: 0,
            malformed_headers: 0,
            pieces: 0,
            streamed_tokens: 0,
            asked_tokens: [0; 2],
            retries: 0,
            never_sent: 0,
            warnings: Vec::new(),
            legs: Vec::new(),
            origins: Vec::new(),
        }
    }

    /// The warm-up ends, as far as it is a number of requests.
    pub const fn measure_from(&mut self, at: Nanos) {
        self.warm_up = Some(at);
    }

    pub fn warn(&mut self, warning: String) {
        self.warnings.push(warning);
    }

    /// A request has ended.
    pub fn ended(&mut self, ended: Ended, asked: [u64; 2]) {
        let Ended { mut record, went, .. } = ended;
        self.place(&mut record, &went);
        let window = self.warm_up.unwrap_or(self.spec.window().from);
        for (at, gap) in ended.gaps {
            let inside = at >= window && self.spec.stop.is_none_or(|stop| at < stop);
            if inside {
                let count = self.gaps.entry(rounded(gap.0)).or_default();
                *count = count.saturating_add(1);
            }
        }
        self.lags.push(Some(ended.lag));
        self.retries += u64::from(record.attempts.saturating_sub(1));
        self.malformed_headers += u64::from(ended.malformed_headers);
        if record.status == Status::Completed {
            self.completed += 1;
            self.without_usage += u64::from(!ended.has_usage);
            self.with_timing += u64::from(ended.has_timing);
            self.pieces += ended.pieces;
            self.streamed_tokens += u64::from(record.output_tokens);
            if ended.has_usage {
                self.asked_tokens[0] += asked[0];
                self.asked_tokens[1] += u64::from(record.input_tokens);
            }
        }
        if let Some(reason) = ended.reason {
            let known = self.failures.contains_key(&reason);
            let room = known || self.failures.len() < MOST_REASONS;
            let reason = if room { reason } else { "other reasons".to_owned() };
            *self.failures.entry(reason).or_default() += 1;
        }
        self.records.push(record);
    }

    /// A request whose end nobody waited for, or that was never sent.
    pub fn in_flight(&mut self, record: RequestRecord) {
        self.records.push(record);
    }

    pub const fn never_sent(&mut self) {
        self.never_sent += 1;
    }

    /// Gives a record its replica and regions.
    fn place(&mut self, record: &mut RequestRecord, went: &Went) {
        let known = went.target.map(|target| self.targets[target.index()]);
        let told = known.or_else(|| went.replica.as_deref().map(|name| self.replica(name, went)));
        self.with_decision += u64::from(went.replica.is_some());
        let replica = match told {
            None if record.status != Status::Completed => return,
            None => {
                self.without_replica += 1;
                self.replica(UNTOLD, went)
            }
            Some(replica) => replica,
        };
        record.replica = Some(replica);
        record.region = Some(self.names.replicas[replica.index()].1);
        record.router_region = Some(self.router);
    }

    fn replica(&mut self, name: &str, went: &Went) -> ReplicaId {
        let names = &mut self.names;
        if let Some(at) = names.replicas.iter().position(|(known, _)| known == name) {
            return ReplicaId(at as u32);
        }
        let region = match went.region.as_deref() {
            None => self.router,
            Some(region) => match names.regions.iter().position(|known| known == region) {
                Some(at) => RegionId(at as u32),
                None => {
                    names.regions.push(region.to_owned());
                    RegionId(names.regions.len() as u32 - 1)
                }
            },
        };
        names.replicas.push((name.to_owned(), region));
        ReplicaId(names.replicas.len() as u32 - 1)
    }

    /// Ends the run.
    ///
    /// # Errors
    /// When a law is broken.
    pub fn result(
        mut self,
        end: Nanos,
        injected: u64,
        connections: u64,
    ) -> Result<RunResult, LiveError> {
        let invalid = |error: gorgo_metrics::Invalid| LiveError::Invalid(error.to_string());
        let live = self.live(connections);
        let timeline = self.timeline(end);
        if !timeline.is_empty() {
            self.warnings.push(
                "timeline: running are requests whose first token has come, queued those that wait for it: \
                 what the client sees, not the replicas"
                    .to_owned(),
            );
        }
        self.explain(&live);
        let mut collector = Collector::new(self.spec, &self.names);
        collector.expect(self.records.len() as u64);
        if let Some(at) = self.warm_up {
            collector.measure_from(at);
        } else if self.spec.warm_up_requests.is_some() {
            collector.measure_from(end);
        }
        for record in &self.records {
            collector.push(record).map_err(invalid)?;
        }
        for (&gap, &count) in &self.gaps {
            collector.gaps(gap as f64, 0.0, 1, count);
        }
        (0..self.never_sent).for_each(|_| collector.never_sent());
        timeline.into_iter().for_each(|sample| collector.sample(sample));
        self.warnings.into_iter().for_each(|warning| collector.warn(warning));
        collector.live(live);
        collector.set_origins(self.origins);
        collector.set_legs(self.legs);
        collector.finish(end, injected).map_err(invalid)
    }

    fn live(&self, connections: u64) -> LiveSummary {
        let send_lag_ms = Distribution::of(&self.lags);
        let limit = self.lag_limit.as_ms();
        LiveSummary {
            send_lag_ms,
            send_lag_limit_ms: limit,
            is_valid: send_lag_ms.p99.is_none_or(|p99| p99 <= limit),
            connections,
            retries: self.retries,
            answers_without_usage: self.without_usage,
            answers_with_timing: self.with_timing,
            pieces: self.pieces,
            failures: self.failures.clone(),
            rounds: Vec::new(),
        }
    }

    /// What a reader must know of where the numbers come from.
    fn explain(&mut self, live: &LiveSummary) {
        let mut say = |text: String| self.warnings.push(text);
        if !live.is_valid {
            let p99 = live.send_lag_ms.p99.unwrap_or(f64::INFINITY);
            say(format!(
                "NOT VALID: requests were sent {p99:.1} ms late at the 99th percentile, allowed are {:.1} ms: the \
                 machine of the client is too slow for this load, or busy with other work",
                live.send_lag_limit_ms
            ));
        }
        let completed = self.completed;
        if completed == 0 {
            return;
        }
        if live.answers_without_usage > 0 {
            say(format!(
                "{} of {completed} answers came without usage: their token counts are the workload's",
                live.answers_without_usage
            ));
        }
        let [asked, counted] = self.asked_tokens;
        if asked != counted {
            say(format!(
                "the engines count {:.3} prompt tokens for each of the workload's: input_tokens are the engines'",
                counted as f64 / asked.max(1) as f64
            ));
        }
        if live.pieces < self.streamed_tokens {
            say(format!(
                "{} tokens came in {} pieces: gaps (itl_ms) are between pieces, tokens are counted by usage",
                self.streamed_tokens, live.pieces
            ));
        }
        let untimed = completed - live.answers_with_timing;
        if untimed > 0 {
            say(format!(
                "{untimed} of {completed} answers came without the replica's own times: the part prefill of their TTFT \
                 is everything behind the client, network and queues included"
            ));
        }
        if live.answers_with_timing > 0 {
            say("the part network_back of the TTFT is the network both ways, and what nobody told"
                .to_owned());
        }
        if self.without_replica > 0 {
            say(format!(
                "{} answers came without the replica's name (a proxy gives it in its decision headers, where they are \
                 on): they stand under `{UNTOLD}`",
                self.without_replica
            ));
        }
        if self.malformed_headers > 0 {
            say(format!("{} decision headers could not be read", self.malformed_headers));
        }
        let failures: Vec<String> =
            live.failures.iter().map(|(reason, n)| format!("{n} {reason}")).collect();
        if !failures.is_empty() {
            say(format!("requests that came to nothing: {}", failures.join("; ")));
        }
    }

    /// In-flight requests of every region over time, as the client sees them.
    fn timeline(&self, end: Nanos) -> Vec<TimelineSample> {
        let Some(step) = self.spec.timeline_step.filter(|step| step.0 > 0) else {
            return Vec::new();
        };
        let step = step.0.max(end.0 / MOST_SAMPLES);
        let regions = self.names.regions.len();
        // By step: what changes in each region, of those in flight and of those with a first token.
        let mut changes = vec![[0_i64; 2]; regions * (end.0 / step + 2) as usize];
        for record in &self.records {
            let Some(region) = record.region else { continue };
            let mut change = |at: Nanos, which: usize, by: i64| {
                let sample = at.0.div_ceil(step).min(end.0 / step + 1) as usize;
                changes[sample * regions + region.index()][which] += by;
            };
            change(record.sent, 0, 1);
            if let Some(first) = record.first_token {
                change(first, 1, 1);
            }
            if let Some(finished) = record.finished {
                change(finished, 0, -1);
                if record.first_token.is_some() {
                    change(finished, 1, -1);
                }
            }
        }
        let mut now = vec![[0_i64; 2]; regions];
        let mut samples = Vec::new();
        for sample in 0..=end.0 / step {
            for (region, now) in now.iter_mut().enumerate() {
                let change = changes[sample as usize * regions + region];
                *now = [now[0] + change[0], now[1] + change[1]];
                let [in_flight, running] = now.map(|n| u32::try_from(n).unwrap_or(0));
                samples.push(TimelineSample {
                    at: Nanos(sample * step),
                    region: RegionId(region as u32),
                    in_flight,
                    running,
                    queued: in_flight.saturating_sub(running),
                });
            }
        }
        samples
    }
}

/// The nearest number of three significant digits.
const fn rounded(ns: u64) -> u64 {
    let mut unit = 1;
    while ns / unit >= 1_000 {
        unit *= 10;
    }
    (ns + unit / 2) / unit * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_keep_three_digits() {
        for (ns, wanted) in [
            (0, 0),
            (999, 999),
            (1_004, 1_000),
            (1_005, 1_010),
            (123_456, 123_000),
            (99_999, 100_000),
        ] {
            assert_eq!(rounded(ns), wanted);
        }
    }
}
