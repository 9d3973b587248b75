//! Either engine behind one interface, as a fleet may have both.

use crate::{
    CacheChange, EngineRequest, ModelError, Observation, ReplicaConfig, ReplicaOutput,
    ReplicaTotals, RequestKey, SglangReplica, VllmReplica,
};
use gorgo_types::Nanos;

/// A replica's engine. Every call is that of [`crate::Replica`], whose documentation holds for both.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "replicas are few, and the usual one is not behind a pointer"
)]
pub enum Engine {
    /// SGLang's scheduler and radix cache.
    Sglang(SglangReplica),
    /// vLLM V1's scheduler and block cache.
    Vllm(Box<VllmReplica>),
}

macro_rules! either {
    ($engine:expr, $replica:ident => $call:expr) => {
        match $engine {
            Self::Sglang($replica) => $call,
            Self::Vllm($replica) => $call,
        }
    };
}

impl Engine {
    /// The engine that the limits ask for.
    ///
    /// # Errors
    /// As [`crate::Replica::new`].
    pub fn new(config: ReplicaConfig) -> Result<Self, ModelError> {
        Ok(match config.limits.vllm {
            None => Self::Sglang(SglangReplica::new(config)?),
            Some(_) => Self::Vllm(Box::new(VllmReplica::new(config)?)),
        })
    }

    /// See [`crate::Replica::config`].
    #[must_use]
    pub const fn config(&self) -> &ReplicaConfig {
        either!(self, replica => replica.config())
    }

    /// See [`crate::Replica::record_token_runs`].
    pub fn record_token_runs(&mut self, record: bool) {
        either!(self, replica => replica.record_token_runs(record));
    }

    /// See [`crate::Replica::step_by_step`].
    pub fn step_by_step(&mut self, each: bool) {
        either!(self, replica => replica.step_by_step(each));
    }

    /// See [`SglangReplica::record_cache_changes`].
    pub fn record_cache_changes(&mut self) {
        either!(self, replica => replica.record_cache_changes());
    }

    /// See [`SglangReplica::take_cache_changes`].
    pub fn take_cache_changes(&mut self) -> Vec<CacheChange> {
        either!(self, replica => replica.take_cache_changes())
    }

    /// See [`crate::Replica::arrive`].
    ///
    /// # Errors
    /// As there.
    #[inline]
    pub fn arrive(
        &mut self,
        now: Nanos,
        key: RequestKey,
        request: EngineRequest,
    ) -> Result<(), ModelError> {
        either!(self, replica => replica.arrive(now, key, request))
    }

    /// See [`crate::Replica::next_wake`].
    #[must_use]
    #[inline]
    pub fn next_wake(&self) -> Option<Nanos> {
        either!(self, replica => replica.next_wake())
    }

    /// See [`crate::Replica::advance`].
    ///
    /// # Panics
    /// As there.
    #[inline]
    pub fn advance(&mut self, now: Nanos, out: &mut ReplicaOutput) {
        either!(self, replica => replica.advance(now, out));
    }

    /// See [`crate::Replica::observe`].
    #[must_use]
    pub fn observe(&self, now: Nanos) -> Observation {
        either!(self, replica => replica.observe(now))
    }

    /// See [`crate::Replica::decode_step`].
    #[must_use]
    pub fn decode_step(&self, now: Nanos) -> Option<(u32, Nanos)> {
        either!(self, replica => replica.decode_step(now))
    }

    /// See [`crate::Replica::totals`].
    #[must_use]
    pub const fn totals(&self) -> ReplicaTotals {
        either!(self, replica => replica.totals())
    }

    /// See [`crate::Replica::cancel`].
    ///
    /// # Panics
    /// As there.
    pub fn cancel(&mut self, now: Nanos, key: RequestKey) -> bool {
        either!(self, replica => replica.cancel(now, key))
    }

    /// See [`crate::Replica::fail`].
    ///
    /// # Panics
    /// As there.
    pub fn fail(&mut self, now: Nanos) -> Vec<RequestKey> {
        either!(self, replica => replica.fail(now))
    }

    /// See [`crate::Replica::check`].
    ///
    /// # Errors
    /// As there.
    pub fn check(&self) -> Result<(), String> {
        either!(self, replica => replica.check())
    }
}
