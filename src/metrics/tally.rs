//! Sums over requests: one definition of every number of the summary.
//!
//! It knows nothing of how records are kept; percentiles are `distribution.rs`'s.

use crate::distribution::Series;
use crate::record::Times;
use crate::summary::{MeasuredWindow, PartsMs, SCHEMA, Slo};
use crate::{
    CacheRates, ClientHeld, Distribution, FleetNames, Invalid, Load, MeasureSpec, PercentilesFrom,
    RequestCounts, RequestRecord, ServedTable, Status, Summary, Window,
};
use gorgo_types::Nanos;
use std::hint::cold_path;

/// Sums over the requests of a run.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    spec: MeasureSpec,
    pub window: Window,
    warm_up: u64,
    cool_down: u64,
    counts: RequestCounts,
    measured: RequestCounts,
    good: u64,
    pub ttft: Series,
    /// None as long as every measured request was sent when it was scheduled: then it is `ttft`.
    ttft_from_send: Option<Series>,
    pub e2e: Series,
    pub tpot: Series,
    parts_ns: [u128; 12],
    input_tokens: u64,
    cached_tokens: u64,
    predicted_tokens: u64,
    cached_requests: u64,
    predicted_requests: u64,
    pub served: ServedTable,
    in_flight_ns: u128,
    open_sent: Vec<Nanos>,
    last_finished: Nanos,
    pub held: Option<Held>,
}

/// What the client held back.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub queue: Series,
    pub slip: Series,
    waited: u64,
}

impl Tally {
    pub fn new(spec: &MeasureSpec, names: &FleetNames) -> Self {
        Self {
            spec: *spec,
            window: spec.window(),
            warm_up: 0,
            cool_down: 0,
            counts: RequestCounts::default(),
            measured: RequestCounts::default(),
            good: 0,
            ttft: Series::new(),
            ttft_from_send: None,
            e2e: Series::new(),
            tpot: Series::new(),
            parts_ns: [0; 12],
            input_tokens: 0,
            cached_tokens: 0,
            predicted_tokens: 0,
            cached_requests: 0,
            predicted_requests: 0,
            served: ServedTable::new(names.regions.len(), names.replicas.len()),
            in_flight_ns: 0,
            open_sent: Vec::new(),
            last_finished: Nanos::ZERO,
            held: spec.client_holds_back.then(|| Held {
                queue: Series::new(),
                slip: Series::new(),
                waited: 0,
            }),
        }
    }

    /// Takes in one request, whose times these are.
    pub fn add(&mut self, record: &RequestRecord, times: &Times) {
        self.counts.add(record.status);
        self.add_presence(record);
        if !self.window.contains(record.scheduled) {
            let early = record.scheduled < self.window.from;
            self.warm_up += u64::from(early);
            self.cool_down += u64::from(!early);
            return;
        }
        self.measured.add(record.status);
        if record.sent != record.scheduled && self.ttft_from_send.is_none() {
            cold_path();
            self.ttft_from_send = Some(self.ttft.clone());
        }
        if let Some(ttft_from_send) = &mut self.ttft_from_send {
            cold_path();
            ttft_from_send.add(record.completed_ttft_from_send());
        }
        self.ttft.add(times.ttft);
        self.e2e.add(times.e2e);
        if times.tpot.is_some() {
            self.tpot.add(times.tpot);
        }
        if let Some(held) = &mut self.held {
            cold_path();
            held.queue.add(Some(record.sent.saturating_sub(record.scheduled)));
            held.slip.add(Some(record.slip));
            held.waited += u64::from(record.sent > record.scheduled);
        }
        if let (Some(router), Some(replica)) = (record.router_region, record.replica) {
            let served = self.served.at(router, replica);
            served.requests += 1;
            served.sent_prompt_tokens += u64::from(record.input_tokens);
            if record.status == Status::Completed {
                served.prompt_tokens += u64::from(record.input_tokens);
                served.output_tokens += u64::from(record.output_tokens);
            }
        }
        if record.status == Status::Completed {
            self.add_completed(record, times);
        }
    }

    fn add_completed(&mut self, record: &RequestRecord, times: &Times) {
        self.good += u64::from(self.spec.are_good(times));
        for (sum, part) in self.parts_ns.iter_mut().zip(record.parts.values()) {
            *sum += u128::from(part.0);
        }
        self.input_tokens += u64::from(record.input_tokens);
        self.cached_tokens += u64::from(record.cached_tokens);
        self.predicted_tokens += u64::from(record.predicted_cached_tokens);
        self.cached_requests += u64::from(record.cached_tokens > 0);
        self.predicted_requests += u64::from(record.predicted_cached_tokens > 0);
    }

    /// TTFT from the actual send.
    pub fn ttft_from_send(&self) -> &Series {
        self.ttft_from_send.as_ref().unwrap_or(&self.ttft)
    }

    /// Adds the time that a request was in flight inside the window, measured or not.
    fn add_presence(&mut self, record: &RequestRecord) {
        let Some(finished) = record.finished else {
            cold_path();
            self.open_sent.push(record.sent);
            return;
        };
        self.last_finished = self.last_finished.max(finished);
        let until = self.window.to.map_or(finished, |to| to.min(finished));
        self.in_flight_ns += overlap_ns(record.sent, until, self.window.from);
    }

    /// The counts, if no request was lost or counted twice.
    pub fn conserved(&self, end: Nanos, injected: u64) -> Result<RequestCounts, Invalid> {
        let counts = RequestCounts { injected, ..self.counts };
        let accounted = counts.accounted();
        if accounted != injected {
            let by_status =
                Status::ALL.map(|status| format!("{} {}", counts.of(status), status.name()));
            return Err(Invalid::Conservation {
                injected,
                accounted,
                ledger: by_status.join(", "),
            });
        }
        if self.last_finished > end {
            return Err(Invalid::AfterEnd { finished: self.last_finished, end });
        }
        Ok(counts)
    }

    /// The summary, with the histograms' percentiles. Gaps and replicas are for the caller to fill in.
    pub fn summary(
        &self,
        spec: &MeasureSpec,
        names: &FleetNames,
        end: Nanos,
        requests: RequestCounts,
    ) -> Summary {
        let measured = self.measured.accounted();
        let completed = self.measured.completed;
        let to = self.window.to.map_or(end, |to| to.min(end)).max(self.window.from);
        let length_s = (to - self.window.from).as_s();
        let ms = |slo: Option<Nanos>| slo.map(Nanos::as_ms);
        Summary {
            schema: SCHEMA,
            scenario: names.scenario.clone(),
            policy: names.policy.clone(),
            seed: names.seed,
            duration_s: end.as_s(),
            window: MeasuredWindow {
                from_s: self.window.from.as_s(),
                to_s: to.as_s(),
                stop_s: self.window.to.map(Nanos::as_s),
                measured,
                measured_completed: completed,
                warm_up: self.warm_up,
                cool_down: self.cool_down,
            },
            slo_ms: Slo { ttft: ms(spec.slo_ttft), tpot: ms(spec.slo_tpot), e2e: ms(spec.slo_e2e) },
            requests,
            percentiles_from: PercentilesFrom::Histogram,
            ttft_ms: self.ttft.distribution(),
            ttft_from_send_ms: self.ttft_from_send().distribution(),
            e2e_ms: self.e2e.distribution(),
            tpot_ms: self.tpot.distribution(),
            itl_ms: Distribution::default(),
            ttft_parts_ms: (completed > 0).then(|| PartsMs::from_sums_ns(self.parts_ns, completed)),
            cache: CacheRates {
                real_token_hit_rate: ratio(self.cached_tokens, self.input_tokens),
                real_request_hit_rate: ratio(self.cached_requests, completed),
                predicted_token_hit_rate: ratio(self.predicted_tokens, self.input_tokens),
                predicted_request_hit_rate: ratio(self.predicted_requests, completed),
            },
            load: self.load(to, length_s),
            goodput_rps: per_second(self.good, length_s),
            good_fraction: ratio(self.good, measured),
            cost_usd: None,
            client: self.held.as_ref().map(|held| ClientHeld {
                queue_ms: held.queue.distribution(),
                slip_ms: held.slip.distribution(),
                waited_fraction: ratio(held.waited, measured),
                never_sent: 0,
            }),
            replicas: Vec::new(),
            warnings: self.warnings(measured),
            tuner: None,
            live: None,
        }
    }

    fn load(&self, to: Nanos, length_s: f64) -> Load {
        let open: u128 =
            self.open_sent.iter().map(|&sent| overlap_ns(sent, to, self.window.from)).sum();
        #[expect(clippy::cast_precision_loss, reason = "a mean for display")]
        let request_seconds = (self.in_flight_ns + open) as f64 / 1e9;
        let requests = self.served.requests();
        let busiest = requests.iter().max().copied().unwrap_or(0);
        Load {
            mean_in_flight: (length_s > 0.0).then(|| request_seconds / length_s),
            busiest_replica_share: ratio(busiest, requests.iter().sum()),
        }
    }

    fn warnings(&self, measured: u64) -> Vec<String> {
        let mut warnings = Vec::new();
        if measured == 0 {
            warnings.push(format!(
                "no request was scheduled in the measured window, so no number describes one: \
                 {} ran; shorten the warm-up or lengthen the load",
                self.counts.accounted()
            ));
        }
        let unfinished = measured - self.measured.completed;
        if unfinished > 0 {
            let by_status: Vec<String> = Status::ALL[1..]
                .iter()
                .filter(|&&status| self.measured.of(status) > 0)
                .map(|&status| format!("{} {}", self.measured.of(status), status.name()))
                .collect();
            warnings.push(format!(
                "{unfinished} of {measured} measured requests did not complete ({}): they count as \
                 infinitely slow, so a TTFT or E2E mean, maximum or percentile that falls on one is null",
                by_status.join(", ")
            ));
        }
        warnings
    }
}

impl MeasureSpec {
    /// Whether a request completed and met every objective.
    #[must_use]
    pub fn is_good(&self, record: &RequestRecord) -> bool {
        record.status == Status::Completed && self.are_good(&record.times())
    }

    /// Whether the times of a completed request meet every objective.
    fn are_good(&self, times: &Times) -> bool {
        let within = |value: Option<Nanos>, slo: Option<Nanos>| match (value, slo) {
            (Some(value), Some(slo)) => value <= slo,
            _ => true,
        };
        within(times.ttft, self.slo_ttft)
            && within(times.tpot, self.slo_tpot)
            && within(times.e2e, self.slo_e2e)
    }
}

impl RequestRecord {
    /// The TTFT of a completed request: the others count as +infinity.
    #[must_use]
    pub fn completed_ttft(&self) -> Option<Nanos> {
        self.ttft().filter(|_| self.status == Status::Completed)
    }

    /// The TTFT from the actual send of a completed request: the others count as +infinity.
    #[must_use]
    pub fn completed_ttft_from_send(&self) -> Option<Nanos> {
        self.ttft_from_send().filter(|_| self.status == Status::Completed)
    }
}

/// Nanoseconds of [from, to) that lie at or after `start`.
fn overlap_ns(from: Nanos, to: Nanos, start: Nanos) -> u128 {
    u128::from(to.saturating_sub(from.max(start)).0)
}

#[expect(clippy::cast_precision_loss, reason = "a share for display")]
fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[expect(clippy::cast_precision_loss, reason = "a rate for display")]
fn per_second(count: u64, seconds: f64) -> Option<f64> {
    (seconds > 0.0).then(|| count as f64 / seconds)
}
