//! Which replicas are fit to be chosen, by what checks and traffic say of them.
//!
//! Three rules, each with its own parameters ([`HealthConfig`]) and each off unless asked for. *Checks*: probes or
//! scrapes that stay without an answer make a replica unhealthy, and good ones healthy again. *Circuit*: requests that
//! fail in a row open a replica's circuit; after a time a few trials are let through, and close it or open it again for
//! longer. *Outliers*: a replica that fails far more often than it should is shut out as if its circuit had opened, but
//! only so many at once. A request that its client cancelled, and an answer with a bad status that came to its end,
//! count for nothing: whoever tells the router decides what is the replica's failure ([`crate::Router::failed`]).
//!
//! What a replica has shown is kept here, by id; whether it may be chosen is the fleet's to know. Nothing happens by
//! itself: circuits half-open when the router is next polled or asked after `Health::deadline`.

pub mod config;
mod record;

pub use config::{CircuitConfig, HealthConfig, OutlierConfig};
pub use record::Circuit;

use crate::fleet::Fleet;
use gorgo_types::{Nanos, ReplicaId, ZoneId};
use record::Record;
use std::collections::BTreeMap;

/// Whom a check or a request concerns, and how it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    Probe,
    Scrape,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Good,
    Failed,
    /// It says nothing of the replica.
    Neither,
}

/// What is known of one replica's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaHealth {
    /// Neither down nor shut out. An unfit replica may still be chosen where [`HealthConfig::keep_last`] spares it.
    pub fit: bool,
    /// Too many probes or scrapes in a row went without an answer.
    pub down: bool,
    /// Whether requests pass.
    pub circuit: Circuit,
    /// How often the circuit has opened in a row; each time it stays open longer.
    pub openings: u32,
    /// Requests in a row that failed.
    pub failed_requests: u32,
    /// Probes in a row without an answer.
    pub failed_probes: u32,
    /// Scrapes in a row without an answer.
    pub failed_scrapes: u32,
}

/// What has happened since the beginning, over all replicas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HealthTotals {
    /// Replicas that went down by checks.
    pub went_down: u64,
    /// Circuits opened by failures in a row, or by a trial.
    pub opened: u64,
    /// Outliers shut out.
    pub ejected: u64,
}

/// A dispatched request.
#[derive(Clone, Copy, Debug)]
struct Sent {
    replica: ReplicaId,
    life: u32,
    /// The round of trials that it belongs to, until it is answered.
    trial: Option<u32>,
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Health {
    config: HealthConfig,
    /// By replica id.
    records: Vec<Record>,
    /// By the slot of the request's ticket.
    sent: Vec<Option<Sent>>,
    /// When outliers are looked for; none while nothing has ended since the last time.
    sweep_at: Option<Nanos>,
    /// The earliest time at which anything changes by itself.
    deadline: Option<Nanos>,
    totals: HealthTotals,
}

impl Health {
    pub(crate) fn new(config: HealthConfig) -> Self {
        Self {
            config,
            records: Vec::new(),
            sent: Vec::new(),
            sweep_at: None,
            deadline: None,
            totals: HealthTotals::default(),
        }
    }

    pub(crate) const fn totals(&self) -> HealthTotals {
        self.totals
    }

    pub(crate) fn of(&self, replica: ReplicaId) -> ReplicaHealth {
        let record = self.records.get(replica.index()).copied().unwrap_or_default();
        ReplicaHealth {
            fit: !record.is_unfit(&self.config),
            down: record.probes.down || record.scrapes.down,
            circuit: record.circuit,
            openings: record.openings,
            failed_requests: record.failed_in_a_row,
            failed_probes: record.probes.failed_in_a_row,
            failed_scrapes: record.scrapes.failed_in_a_row,
        }
    }

    fn record(&mut self, replica: ReplicaId) -> &mut Record {
        if self.records.len() <= replica.index() {
            self.records.resize(replica.index() + 1, Record::default());
        }
        &mut self.records[replica.index()]
    }

    /// A replica joins anew, of which nothing is known, or leaves.
    pub(crate) fn forget(&mut self, now: Nanos, replica: ReplicaId, fleet: &mut Fleet) {
        *self.record(replica) = Record::default();
        self.judge(now, replica, fleet);
    }

    // ------------------------------------------------------------------------------------------------- news

    pub(crate) fn checked(
        &mut self,
        now: Nanos,
        replica: ReplicaId,
        check: Check,
        ok: bool,
        fleet: &mut Fleet,
    ) {
        if fleet.life(replica).is_none() {
            return;
        }
        let HealthConfig { unhealthy_after_probes, unhealthy_after_scrapes, .. } = self.config;
        let healthy_after = self.config.healthy_after;
        let record = self.record(replica);
        let (checks, limit) = match check {
            Check::Probe => (&mut record.probes, unhealthy_after_probes),
            Check::Scrape => (&mut record.scrapes, unhealthy_after_scrapes),
        };
        let was_down = checks.down;
        let is_back = checks.hear(ok, limit, healthy_after);
        let went_down = checks.down && !was_down;
        if is_back && matches!(record.circuit, Circuit::Open { .. }) {
            // Whoever answers checks again is worth a trial at once, as Envoy has it.
            record.half_open();
        }
        self.totals.went_down += u64::from(went_down);
        self.judge(now, replica, fleet);
    }

    pub(crate) fn dispatched(
        &mut self,
        now: Nanos,
        slot: usize,
        replica: ReplicaId,
        fleet: &mut Fleet,
    ) {
        let Some(life) = fleet.life(replica) else { return };
        let trial = self.record(replica).sent();
        if self.sent.len() <= slot {
            self.sent.resize(slot + 1, None);
        }
        self.sent[slot] = Some(Sent { replica, life, trial });
        if trial.is_some() {
            self.judge(now, replica, fleet);
        }
    }

    /// The first token of a request is there: a trial has passed.
    pub(crate) fn answered(&mut self, now: Nanos, slot: usize, fleet: &mut Fleet) {
        let Some(Some(sent)) = self.sent.get_mut(slot) else { return };
        let &mut Sent { replica, life, .. } = sent;
        if let Some(round) = sent.trial.take()
            && fleet.life(replica) == Some(life)
        {
            let circuit = self.config.circuit;
            self.record(replica).passed_trial(round, now, &circuit);
            self.judge(now, replica, fleet);
        }
    }

    pub(crate) fn ended(&mut self, now: Nanos, slot: usize, end: End, fleet: &mut Fleet) {
        let Some(sent) = self.sent.get_mut(slot).and_then(Option::take) else { return };
        let Sent { replica, life, trial } = sent;
        if fleet.life(replica) != Some(life) {
            return;
        }
        let HealthConfig { circuit, open_after_failures: limit, .. } = self.config;
        let record = self.record(replica);
        let was_open = matches!(record.circuit, Circuit::Open { .. });
        let is_closed = record.circuit == Circuit::Closed;
        match (end, trial) {
            (End::Good, Some(round)) => record.passed_trial(round, now, &circuit),
            (End::Neither, Some(round)) => record.dropped_trial(round),
            (End::Failed, Some(round)) => record.failed_trial(round, now, &circuit),
            (End::Good, None) if is_closed => record.failed_in_a_row = 0,
            (End::Failed, None) if is_closed => {
                record.failed_in_a_row = record.failed_in_a_row.saturating_add(1);
                if limit > 0 && record.failed_in_a_row >= limit {
                    record.open(now, &circuit);
                }
            }
            // What was sent before the circuit opened says nothing new.
            (_, None) => {}
        }
        let opened = !was_open && matches!(record.circuit, Circuit::Open { .. });
        if end != End::Neither {
            record.count(end == End::Failed);
            if let Some(outliers) = self.config.outliers
                && self.sweep_at.is_none()
            {
                self.sweep_at = Some(now.saturating_add(outliers.interval));
                self.plan();
            }
        }
        self.totals.opened += u64::from(opened);
        self.judge(now, replica, fleet);
    }

    // ------------------------------------------------------------------------------------------------- time

    /// When [`Health::advance`] must be called next.
    pub(crate) const fn deadline(&self) -> Option<Nanos> {
        self.deadline
    }

    #[inline]
    pub(crate) fn is_due(&self, now: Nanos) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// Half-opens circuits whose time is over, and looks for outliers when it is time.
    pub(crate) fn advance(&mut self, now: Nanos, fleet: &mut Fleet) {
        for id in 0..self.records.len() {
            let record = &mut self.records[id];
            if let Circuit::Open { until } = record.circuit
                && until <= now
            {
                record.half_open();
                self.judge(now, ReplicaId(id as u32), fleet);
            }
        }
        if self.sweep_at.is_some_and(|at| at <= now) {
            self.sweep_at = None;
            self.sweep(now, fleet);
        }
        self.plan();
    }

    /// Shuts the outliers out, the worst first.
    fn sweep(&mut self, now: Nanos, fleet: &mut Fleet) {
        let Some(config) = self.config.outliers else { return };
        let ids = fleet.signals().iter().map(|signals| signals.replica);
        let known: Vec<ReplicaId> =
            ids.filter(|replica| replica.index() < self.records.len()).collect();
        let mut judged: Vec<(f64, ReplicaId)> = Vec::new();
        let mut shut_out = 0;
        for &replica in &known {
            let record = &mut self.records[replica.index()];
            shut_out += usize::from(matches!(record.circuit, Circuit::Open { .. }));
            if record.ended >= config.min_requests {
                judged.push((f64::from(record.failed) / f64::from(record.ended), replica));
            }
            (record.ended, record.failed) = (0, 0);
        }
        if judged.len() < config.min_replicas as usize {
            return;
        }
        judged.sort_by(|(a, i), (b, j)| b.total_cmp(a).then(i.cmp(j)));
        #[expect(clippy::cast_precision_loss, reason = "a fleet has at most 4096 replicas")]
        let share = config.max_ejected_share * fleet.signals().len() as f64;
        // At least one, whatever the share: so does Envoy.
        let most = (share as usize).max(1);
        for (share, replica) in judged {
            if share < config.failed_share || shut_out >= most {
                return;
            }
            let record = &mut self.records[replica.index()];
            if record.circuit == Circuit::Closed {
                record.open(now, &self.config.circuit);
                shut_out += 1;
                self.totals.ejected += 1;
                self.judge(now, replica, fleet);
            }
        }
    }

    fn plan(&mut self) {
        let open = self.records.iter().filter_map(|record| match record.circuit {
            Circuit::Open { until } => Some(until),
            Circuit::Closed | Circuit::HalfOpen { .. } => None,
        });
        self.deadline = open.chain(self.sweep_at).min();
    }

    // ------------------------------------------------------------------------------------------------- verdicts

    /// Tells the fleet whether a replica is fit, where that has changed.
    fn judge(&mut self, now: Nanos, replica: ReplicaId, fleet: &mut Fleet) {
        let record = &mut self.records[replica.index()];
        let unfit = record.is_unfit(&self.config);
        if unfit != record.unfit_since.is_some() {
            record.unfit_since = unfit.then_some(now);
            self.plan();
            self.tell(fleet);
        } else if matches!(record.circuit, Circuit::Open { .. }) {
            self.plan();
        }
    }

    /// Tells the fleet who is fit, and who goes on although nobody is: of every zone, and of the whole fleet, the one that
    /// was fit last. To be called when a replica's zone or its place in the fleet has changed, too.
    pub(crate) fn tell(&self, fleet: &mut Fleet) {
        let unfit_since = |replica: ReplicaId| {
            self.records.get(replica.index()).and_then(|record| record.unfit_since)
        };
        let mut zones: BTreeMap<Option<ZoneId>, Last> = BTreeMap::new();
        let mut whole = Last::default();
        if self.config.keep_last {
            for (signals, in_service) in fleet.in_service() {
                if in_service {
                    let since = unfit_since(signals.replica);
                    zones.entry(signals.zone).or_default().see(signals.replica, since);
                    whole.see(signals.replica, since);
                }
            }
        }
        fleet.set_fitness(|signals| {
            let last_of_zone =
                zones.get(&signals.zone).is_some_and(|last| last.spares(signals.replica));
            (unfit_since(signals.replica).is_none(), whole.spares(signals.replica), last_of_zone)
        });
    }
}

/// The replica that goes on if nobody is fit.
#[derive(Clone, Copy, Debug, Default)]
struct Last {
    any_fit: bool,
    latest: Option<(Nanos, ReplicaId)>,
}

impl Last {
    fn see(&mut self, replica: ReplicaId, unfit_since: Option<Nanos>) {
        match unfit_since {
            None => self.any_fit = true,
            // Of several at one time the first.
            Some(since) if self.latest.is_none_or(|(latest, _)| since > latest) => {
                self.latest = Some((since, replica));
            }
            Some(_) => {}
        }
    }

    fn spares(&self, replica: ReplicaId) -> bool {
        !self.any_fit && self.latest.is_some_and(|(_, latest)| latest == replica)
    }
}
