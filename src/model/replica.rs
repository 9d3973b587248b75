//! A simulated SGLang engine.

mod interface;

pub use interface::{
    EngineRequest, GapRun, Observation, ReplicaEvent, ReplicaOutput, ReplicaTotals, RequestKey,
    TokenRun,
};

use crate::{ModelError, ReplicaConfig};
use gorgo_types::Nanos;

/// One engine: a passive state machine.
#[derive(Debug)]
pub struct Replica {
    config: ReplicaConfig,
    totals: ReplicaTotals,
}

impl Replica {
    /// An idle replica with an empty cache, at time zero.
    ///
    /// # Errors
    /// [`ModelError::Invalid`] where the configuration makes no sense.
    pub fn new(config: ReplicaConfig) -> Result<Self, ModelError> {
        config.validate()?;
        Ok(Self { config, totals: ReplicaTotals::default() })
    }

    /// A request arrives.
    ///
    /// # Errors
    /// Where it could never be served, contradicts itself, comes out of order or its key is in use.
    pub fn arrive(
        &mut self,
        now: Nanos,
        key: RequestKey,
        request: EngineRequest,
    ) -> Result<(), ModelError> {
        let _ = (now, key, request);
        Ok(())
    }

    /// Asks for a cancel: at once for a request that waits, at the next boundary for one that runs.
    /// False where no such request is alive.
    pub fn cancel(&mut self, now: Nanos, key: RequestKey) -> bool {
        let _ = (now, key);
        false
    }

    /// A crash: everything alive is lost, the cache too. Returns what was lost, in order of keys.
    pub fn fail(&mut self, now: Nanos) -> Vec<RequestKey> {
        let _ = now;
        Vec::new()
    }

    /// When `advance` must be called next. Changes with every arrive, cancel, fail and advance.
    #[must_use]
    pub const fn next_wake(&self) -> Option<Nanos> {
        None
    }

    /// Processes every boundary up to and including `now`.
    pub fn advance(&mut self, now: Nanos, out: &mut ReplicaOutput) {
        let _ = (now, out);
    }

    /// What a scrape at `now` would see; exact in the middle of a run of steps too. Changes nothing.
    #[must_use]
    pub fn observe(&self, now: Nanos) -> Observation {
        let _ = now;
        Observation { kv_pool_tokens: self.config.kv_pool_tokens, ..Observation::default() }
    }

    /// Counts since the start, up to the last boundary.
    #[must_use]
    pub const fn totals(&self) -> ReplicaTotals {
        self.totals
    }

    /// Verifies everything that must hold, at a cost.
    ///
    /// # Errors
    /// What does not hold.
    pub fn check(&self) -> Result<(), String> {
        Ok(())
    }
}
