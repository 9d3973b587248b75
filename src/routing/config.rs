//! What a router is told once: how it averages, when it learns and releases, how much it remembers and queues.
//!
//! The deployed GORGO routers differ exactly in these parameters, so none of them is built in. Read [`crate::router`]
//! next.

use crate::error::RoutingError;
use crate::health::HealthConfig;
use crate::reach::Reach;
use gorgo_types::Nanos;
use serde::{Deserialize, Serialize};

/// When a dispatched prompt enters the prefix index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LearnAt {
    /// As soon as the request is sent.
    Dispatch,
    /// When good response headers arrive, as in GORGO's proxies: two close requests of one session can both miss.
    #[default]
    Headers,
    /// When the first token arrives: the prompt's KV is certainly there.
    FirstToken,
    /// When the response ends.
    Finished,
    /// Never by itself: the engines say what they hold ([`crate::Router::kv_stored`]).
    KvEvent,
}

/// When a request stops counting as load (`in_flight_requests`, `queued_tokens`, the capacity gate). A request that
/// ends earlier, by failure or cancellation, is released then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReleaseAt {
    /// When response headers arrive, good or bad, as in GORGO v1's centralized proxy.
    Headers,
    /// When the first token arrives: GORGO v2 with `load_release_at_ttft`.
    FirstToken,
    /// When the response ends: GORGO v2's default.
    #[default]
    Finished,
}

/// How much the prefix index remembers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IndexBound {
    /// Everything, for ever: GORGO's trie.
    #[default]
    Unbounded,
    /// Everything, and only whole prompts are remembered: where two prompts part, what they share is nobody's. The tree of
    /// GORGO v1's balancers, whose split nodes lose their tags.
    EndTagged,
    /// Of each replica its most recently used blocks, deepest ones given up first.
    Lru {
        /// How many tokens of each replica, at least one block. The replica's KV pool is the natural choice.
        capacity_tokens_per_replica: u64,
    },
}

/// A router's parameters. The defaults are those of GORGO v2's proxy, which has no capacity gate and no queue.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RouterConfig {
    /// Weight of the newest probe in the RTT average, above 0 and at most 1.
    pub rtt_ewma_alpha: f64,
    /// When a prompt enters the prefix index.
    pub learn_at: LearnAt,
    /// When a request stops counting as load.
    pub release_at: ReleaseAt,
    /// How much the prefix index remembers.
    pub index: IndexBound,
    /// Capacity gate: a replica with so many requests of this router in flight may not be chosen. At least 1.
    pub max_in_flight_per_replica: Option<u32>,
    /// How many requests may wait in the router's own queue; 0: none, what would wait is rejected.
    pub max_queue: u32,
    /// How long a request may wait in the queue, in nanoseconds; none: for ever.
    pub queue_timeout: Option<Nanos>,
    /// Whether prompt and output enter the index when a request has finished, where the caller knows their blocks.
    pub learn_output: bool,
    /// Which replicas it may choose.
    pub reach: Reach,
    /// One request of the queue at a time: the next one is offered when the response of the one before has ended. GORGO
    /// v1's balancers serve their queues so.
    pub serial_queue: bool,
    /// The queue is looked at only at multiples of this; none: whenever something has changed. GORGO v1: 20 ms.
    pub queue_interval: Option<Nanos>,
    /// When a replica is found unfit to be chosen; none: whenever the caller says so ([`crate::Router::set_health`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthConfig>,
    /// Tokens per block of all chains, at least 1. A chain of another block size hits nothing and is not learned.
    pub block_tokens: u32,
}

impl Default for RouterConfig {
    fn default() -> Self {
        Self {
            rtt_ewma_alpha: 0.3,
            learn_at: LearnAt::Headers,
            release_at: ReleaseAt::Finished,
            index: IndexBound::Unbounded,
            max_in_flight_per_replica: None,
            max_queue: 0,
            queue_timeout: None,
            learn_output: false,
            reach: Reach::All,
            serial_queue: false,
            queue_interval: None,
            health: None,
            block_tokens: 16,
        }
    }
}

impl RouterConfig {
    /// Checks every parameter.
    ///
    /// # Errors
    /// The first parameter that is out of range, with its value and what was wanted.
    pub fn validate(&self) -> Result<(), RoutingError> {
        let refuse = |parameter, value: String, wanted| {
            Err(RoutingError::Parameter { parameter, value, wanted })
        };
        let alpha = self.rtt_ewma_alpha;
        if !(alpha > 0.0 && alpha <= 1.0) {
            return refuse("rtt_ewma_alpha", alpha.to_string(), "above 0 and at most 1");
        }
        if self.block_tokens == 0 {
            return refuse("block_tokens", "0".to_owned(), "at least 1");
        }
        if self.queue_interval == Some(Nanos::ZERO) {
            return refuse("queue_interval", "0".to_owned(), "above 0");
        }
        if let Reach::Region(reach) = self.reach
            && let Some(room) = reach.local_first
            && !(room.kv_share_below > 0.0 && room.kv_share_below <= 1.0)
        {
            let share = room.kv_share_below.to_string();
            return refuse("kv_share_below", share, "above 0 and at most 1");
        }
        if self.max_in_flight_per_replica == Some(0) {
            return refuse("max_in_flight_per_replica", "0".to_owned(), "at least 1");
        }
        if let Some(health) = &self.health {
            health.validate()?;
        }
        if let IndexBound::Lru { capacity_tokens_per_replica: capacity } = self.index
            && capacity < u64::from(self.block_tokens)
        {
            return refuse(
                "capacity_tokens_per_replica",
                capacity.to_string(),
                "at least one block",
            );
        }
        if self.learn_at == LearnAt::KvEvent && self.index != IndexBound::Unbounded {
            let wanted = "unbounded where learn_at is kv-event, as the engines say what they hold";
            return refuse("index", format!("{:?}", self.index), wanted);
        }
        Ok(())
    }
}
