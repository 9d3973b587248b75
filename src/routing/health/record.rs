//! What is remembered of one replica, and what follows for it alone.
//!
//! Two things can make it unfit, each by itself: checks that stay without an answer, and a circuit that is open. Read
//! [`super`] next.

use super::config::{CircuitConfig, HealthConfig};
use gorgo_types::Nanos;

/// Probes or scrapes of a replica.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Checks {
    pub failed_in_a_row: u32,
    good_in_a_row: u32,
    pub down: bool,
}

impl Checks {
    /// Hears of one; `limit` failures in a row mean down, and 0 never. True: it is up again.
    pub fn hear(&mut self, ok: bool, limit: u32, healthy_after: u32) -> bool {
        if ok {
            self.failed_in_a_row = 0;
            self.good_in_a_row = self.good_in_a_row.saturating_add(1);
            let back = self.down && self.good_in_a_row >= healthy_after;
            self.down &= !back;
            return back;
        }
        self.good_in_a_row = 0;
        self.failed_in_a_row = self.failed_in_a_row.saturating_add(1);
        self.down |= limit > 0 && self.failed_in_a_row >= limit;
        false
    }
}

/// Whether requests pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Circuit {
    /// They do.
    #[default]
    Closed,
    /// They do not.
    Open {
        /// Until then.
        until: Nanos,
    },
    /// A few do, to see how they fare.
    HalfOpen {
        /// Trials that have not been answered yet.
        under_way: u32,
        /// Trials that have been.
        passed: u32,
    },
}

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Record {
    pub probes: Checks,
    pub scrapes: Checks,
    pub circuit: Circuit,
    pub failed_in_a_row: u32,
    /// How often the circuit has opened in a row.
    pub openings: u32,
    /// Which time of trials this is: what an earlier one left under way does not count.
    round: u32,
    /// How long it was open the last time, and when it closed.
    open_for: Nanos,
    closed_at: Nanos,
    /// Since when it has been unfit.
    pub unfit_since: Option<Nanos>,
    /// Requests that ended since the outliers were looked for last, and how many of them failed.
    pub ended: u32,
    pub failed: u32,
}

impl Record {
    pub fn is_unfit(&self, config: &HealthConfig) -> bool {
        let shut = match self.circuit {
            Circuit::Closed => false,
            Circuit::Open { .. } => true,
            Circuit::HalfOpen { under_way, .. } => under_way >= config.circuit.trials,
        };
        shut || self.probes.down || self.scrapes.down
    }

    /// A circuit that opens soon after it has closed stays open longer than the last time.
    pub fn open(&mut self, now: Nanos, config: &CircuitConfig) {
        let again = self.openings > 0 && now.saturating_sub(self.closed_at) < self.open_for;
        self.openings = if again { self.openings.saturating_add(1) } else { 1 };
        let longer = config.open_for.0.saturating_mul(u64::from(self.openings));
        self.open_for = Nanos(longer.min(config.open_at_most.0));
        self.failed_in_a_row = 0;
        self.closed_at = now.saturating_add(self.open_for);
        self.circuit = Circuit::Open { until: self.closed_at };
    }

    pub const fn half_open(&mut self) {
        self.round = self.round.wrapping_add(1);
        self.circuit = Circuit::HalfOpen { under_way: 0, passed: 0 };
    }

    /// A request is sent; where it is a trial, the round that it belongs to.
    pub const fn sent(&mut self) -> Option<u32> {
        let Circuit::HalfOpen { under_way, .. } = &mut self.circuit else { return None };
        *under_way += 1;
        Some(self.round)
    }

    /// The trials under way and passed, if this round is still on.
    const fn trials(&mut self, round: u32) -> Option<(&mut u32, &mut u32)> {
        match &mut self.circuit {
            Circuit::HalfOpen { under_way, passed } if self.round == round => {
                Some((under_way, passed))
            }
            _ => None,
        }
    }

    /// A trial was answered.
    pub fn passed_trial(&mut self, round: u32, now: Nanos, config: &CircuitConfig) {
        let Some((under_way, passed)) = self.trials(round) else { return };
        *under_way -= 1;
        *passed += 1;
        if *passed >= config.passes {
            self.circuit = Circuit::Closed;
            self.failed_in_a_row = 0;
            self.closed_at = now;
        }
    }

    /// A trial's client gave up before there was an answer: it says nothing.
    pub fn dropped_trial(&mut self, round: u32) {
        if let Some((under_way, _)) = self.trials(round) {
            *under_way -= 1;
        }
    }

    /// A trial failed.
    pub fn failed_trial(&mut self, round: u32, now: Nanos, config: &CircuitConfig) {
        if self.trials(round).is_some() {
            // Half-open is still the same bad time, however long the trial took.
            self.closed_at = now;
            self.open(now, config);
        }
    }

    pub const fn count(&mut self, failed: bool) {
        self.ended = self.ended.saturating_add(1);
        self.failed = self.failed.saturating_add(failed as u32);
    }
}
