//! A script run on the fast engine.
//!
//! It drives [`SglangReplica`] as the simulator does (what happens at a time is told before the boundaries at that time are
//! processed; a wake is answered when it is due) and collects the same [`Outcome`] as the slow engine. Keys are used
//! again as soon as a request is over.

use crate::script::{Action, Index, Outcome, Script};
use gorgo_model::{Femtos, ReplicaEvent, ReplicaOutput, RequestKey, SglangReplica};
use gorgo_types::Nanos;
use std::collections::BTreeMap;

struct Driver {
    replica: SglangReplica,
    out: ReplicaOutput,
    /// By key: which request has it.
    keys: Vec<Option<Index>>,
    outcome: Outcome,
    gaps: BTreeMap<Femtos, u64>,
}

/// Runs a script to its end on the fast engine.
///
/// # Errors
/// Where the engine breaks one of its own laws.
pub fn run_fast(script: &Script) -> Result<Outcome, String> {
    let replica = SglangReplica::new(script.config.clone()).map_err(|e| e.to_string())?;
    run_replica(replica, script, true)
}

/// Runs a script on a given fresh replica. `checked`: it verifies its own laws after each action.
///
/// # Errors
/// As [`run_fast`].
pub fn run_replica(
    mut replica: SglangReplica,
    script: &Script,
    checked: bool,
) -> Result<Outcome, String> {
    replica.record_token_runs(true);
    let mut driver = Driver {
        replica,
        out: ReplicaOutput::default(),
        keys: Vec::new(),
        outcome: Outcome::default(),
        gaps: BTreeMap::new(),
    };
    for (at, action) in &script.actions {
        // A crash has to see to the boundaries at its time itself.
        let inclusive = action.waits_for_boundaries() && !matches!(action, Action::Crash);
        driver.wakes(*at, inclusive)?;
        driver.act(*at, action);
        if checked {
            let law = driver.replica.check();
            law.map_err(|what| format!("after {action:?} at {at:?}: {what}"))?;
        }
    }
    driver.wakes(Nanos::MAX, true)?;
    if checked {
        driver.replica.check()?;
    }
    Ok(driver.finish())
}

/// More wakes than any case needs: an engine that wakes forever is wrong.
const MOST_WAKES: u32 = 1_000_000;

impl Driver {
    /// Answers the wakes before `until`, or also those at it.
    fn wakes(&mut self, until: Nanos, inclusive: bool) -> Result<(), String> {
        for _ in 0..MOST_WAKES {
            let due = self
                .replica
                .next_wake()
                .filter(|&wake| wake < until || (inclusive && wake == until));
            let Some(wake) = due else { return Ok(()) };
            self.replica.advance(wake, &mut self.out);
            self.collect();
        }
        Err(format!("it wakes forever: still at {:?}", self.replica.next_wake()))
    }

    fn act(&mut self, now: Nanos, action: &Action) {
        match action {
            Action::Arrive(request) => {
                let index = self.outcome.tokens.len();
                self.outcome.tokens.push(Vec::new());
                let key = self.free_key();
                match self.replica.arrive(now, key, request.clone()) {
                    Ok(()) => self.keys[key.0 as usize] = Some(index),
                    Err(_) => self.outcome.refused.push(index),
                }
            }
            Action::Cancel(index) => {
                let key = self.keys.iter().position(|&other| other == Some(*index));
                let alive = key.is_some_and(|key| self.replica.cancel(now, RequestKey(key as u32)));
                self.outcome.cancels.push(alive);
            }
            Action::Crash => {
                let lost = self.replica.fail(now);
                // What happened before the crash is still about the old owners of the keys.
                self.replica.advance(now, &mut self.out);
                self.collect();
                let mut lost: Vec<Index> = lost.iter().filter_map(|&key| self.index(key)).collect();
                lost.sort_unstable();
                self.outcome.lost.push(lost);
                self.keys.fill(None);
            }
            Action::Poke => {
                self.replica.advance(now, &mut self.out);
                self.collect();
            }
            Action::Observe => {
                let observation = self.replica.observe(now);
                self.outcome.observations.push((now, observation));
            }
        }
    }

    fn free_key(&mut self) -> RequestKey {
        let free = self.keys.iter().position(Option::is_none).unwrap_or_else(|| {
            self.keys.push(None);
            self.keys.len() - 1
        });
        RequestKey(free as u32)
    }

    fn index(&self, key: RequestKey) -> Option<Index> {
        self.keys.get(key.0 as usize).copied().flatten()
    }

    /// Takes over what `advance` reported.
    fn collect(&mut self) {
        for run in self.out.runs.iter().flatten() {
            let Some(index) = self.index(run.key) else { continue };
            let mut at = run.first_at;
            let mut gap = run.first;
            for _ in 0..run.steps {
                self.outcome.tokens[index].push(at);
                at += gap;
                gap += run.increment;
            }
        }
        for run in &self.out.gaps {
            let mut gap = run.first;
            for _ in 0..run.steps {
                *self.gaps.entry(gap).or_insert(0) += u64::from(run.sequences);
                gap += run.increment;
            }
        }
        for event in &self.out.events {
            let Some(index) = self.index(event.key()) else { continue };
            self.outcome.events.push(with_index(*event, index));
            if matches!(event, ReplicaEvent::Finished { .. } | ReplicaEvent::Cancelled { .. }) {
                self.keys[event.key().0 as usize] = None;
            }
        }
        self.out.clear();
    }

    fn finish(mut self) -> Outcome {
        self.outcome.never_served = self.keys.iter().copied().flatten().collect();
        self.outcome.never_served.sort_unstable();
        self.outcome.gaps = self.gaps.into_iter().collect();
        self.outcome.totals = self.replica.totals();
        self.outcome
    }
}

/// The event with the request's index for its key.
fn with_index(event: ReplicaEvent, index: Index) -> ReplicaEvent {
    let key = RequestKey(u32::try_from(index).expect("a script has few requests"));
    match event {
        ReplicaEvent::FirstToken { at, ready, admitted, cached_tokens, .. } => {
            ReplicaEvent::FirstToken { key, at, ready, admitted, cached_tokens }
        }
        ReplicaEvent::Finished { at, .. } => ReplicaEvent::Finished { key, at },
        ReplicaEvent::Cancelled { at, .. } => ReplicaEvent::Cancelled { key, at },
        ReplicaEvent::Retracted { at, .. } => ReplicaEvent::Retracted { key, at },
    }
}
