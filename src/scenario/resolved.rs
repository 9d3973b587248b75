//! The resolved scenario: owned, plain data that the simulator consumes. Every default is filled in, every name is an
//! id, every number has been checked. What has not been read yet is the workload's own file: `workload.rs` does that.
//! How it comes about: `resolve.rs`.

use crate::parsed::{LiveTable, ScenarioTable};
use crate::workload::DemandSpec;
use crate::{ScenarioError, SeriesSpec};
use gorgo_model::network::Connect;
use gorgo_model::{Network, RegionPlace, ReplicaConfig};
use gorgo_routing::tuner::TunerConfig;
use gorgo_routing::{LearnAt, Policy, ReleaseAt, Room, registry};
use gorgo_types::{Nanos, RegionId, ReplicaId};
use gorgo_workload::ClientSpec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// A scenario ready to run.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// Its name, for tables and files.
    pub name: String,
    /// What it shows, in words; may be empty.
    pub description: String,
    /// The seed of all draws.
    pub seed: u64,
    /// The regions, by [`RegionId`].
    pub regions: Vec<RegionPlace>,
    /// The times between regions, and between clients and regions.
    pub network: Network,
    /// When replicas are down.
    pub outages: Vec<Outage>,
    /// What opening a connection costs; none: connections are always open.
    pub connect: Option<Connect>,
    /// Recorded round trips, not read yet: [`Resolved::network_with_series`].
    pub series: Vec<SeriesSpec>,
    /// The replicas, by `ReplicaId`; at least one.
    pub replicas: Vec<ReplicaSpec>,
    /// The workload and when its requests are sent.
    pub demand: DemandSpec,
    /// What the load generator can hold.
    pub client: ClientSpec,
    /// The router.
    pub router: RouterSpec,
    /// What is measured.
    pub measure: MeasureParams,
    /// What things cost.
    pub cost: CostParams,
    /// How `gorgo live` sends the requests; none: its options alone say.
    pub live: Option<LiveTable>,
    /// Where a relative path of the workload starts.
    pub(crate) base: PathBuf,
    /// The same as a file would say it, as far as it cannot be told from the fields above.
    pub(crate) explicit: ScenarioTable,
}

/// One replica.
#[derive(Clone, Debug)]
pub struct ReplicaSpec {
    /// Its name, unique in the fleet.
    pub name: String,
    /// The region it stands in.
    pub region: RegionId,
    /// The zone whose requests it may serve beside those that are bound to none, by name.
    pub residency: Option<String>,
    /// How much it is meant to bear against the others, from 1 to [`gorgo_routing::MAX_WEIGHT`].
    pub weight: u32,
    /// How it is set up.
    pub config: ReplicaConfig,
    /// Time from a request's arrival until the engine's scheduler sees it.
    pub overhead: Nanos,
}

/// The router and the policies to compare.
#[derive(Clone, Debug, PartialEq)]
pub struct RouterSpec {
    /// Where it stands; of several, the first.
    pub region: RegionId,
    /// The routers of several regions; none: one router for all.
    pub per_region: Option<PerRegionSpec>,
    /// The policies, each of which is run on the same draws; at least one, labels unique.
    pub policies: Vec<PolicySpec>,
    /// Other routers by name, without policies and variants of their own.
    pub variants: BTreeMap<String, RouterSpec>,
    /// Spacing of RTT probes to each replica.
    pub probe_interval: Nanos,
    /// Spacing of metric scrapes of each replica.
    pub scrape_interval: Nanos,
    /// Weight of the newest probe in the RTT average, above 0 and at most 1.
    pub rtt_ewma_alpha: f64,
    /// The prefix index.
    pub index: IndexSpec,
    /// When a prompt enters the index.
    pub learn_at: LearnAt,
    /// When a request stops counting as load.
    pub release_at: ReleaseAt,
    /// Time that one decision takes.
    pub decision_time: Nanos,
    /// Whether decisions are made one after the other.
    pub serial_decisions: bool,
    /// What passing on a token takes of the time in which decisions are made.
    pub relay_time_per_token: Nanos,
    /// Requests that may be in flight to one replica; none: no limit.
    pub max_in_flight_per_replica: Option<u32>,
    /// Requests that may wait in the router for a replica below its limit; [`u32::MAX`]: no limit.
    pub max_queue: u32,
    /// How long a request may wait in the router; none: for ever.
    pub queue_timeout: Option<Nanos>,
    /// Whether the queue is served one request at a time.
    pub serial_queue: bool,
    /// How often the queue is looked at; none: whenever something has changed.
    pub queue_interval: Option<Nanos>,
    /// Whether prompt and output enter the index when a request has finished, where their blocks are known.
    pub learn_output: bool,
    /// What happens when an attempt fails.
    pub failures: FailureSpec,
}

/// A time during which a replica is down: what it held is lost, and afterwards it is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    /// Which one.
    pub replica: ReplicaId,
    /// From when.
    pub from: Nanos,
    /// Up to when.
    pub to: Nanos,
}

/// What the router does when an attempt fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailureSpec {
    /// How often a request is tried in all, as long as its client has seen no token; at least 1.
    pub attempts: u16,
    /// How long an attempt waits for its request to get through to the replica.
    pub connect_timeout: Nanos,
    /// So many failed scrapes in a row, and a replica is not chosen until one succeeds; 0: never.
    pub unhealthy_after: u32,
    /// How long a probe waits for its answer over a cut link.
    pub probe_timeout: Nanos,
}

impl Default for FailureSpec {
    /// One attempt (GORGO's proxies try no second replica), 30 s and three scrapes (GORGO v1's router), 2 s (GORGO
    /// v2's probes).
    fn default() -> Self {
        Self {
            attempts: 1,
            connect_timeout: Nanos::from_secs(30),
            unhealthy_after: 3,
            probe_timeout: Nanos::from_secs(2),
        }
    }
}

/// A router in each of several regions.
#[derive(Clone, Debug, PartialEq)]
pub struct PerRegionSpec {
    /// The regions, each once; at least one.
    pub regions: Vec<RegionId>,
    /// Each sends to every replica itself.
    pub reaches_all: bool,
    /// How often a request may be passed on: 0 or 1.
    pub max_hops: u32,
    /// When a region serves a request whatever the policy says; none: never.
    pub local_first: Option<Room>,
    /// Whether the policy may choose to wait for a region without room.
    pub may_wait: bool,
    /// The region of the machine that all requests come by way of; none: clients send to the routers themselves.
    pub geo_proxy: Option<RegionId>,
}

/// One policy with its parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicySpec {
    /// Its name in the registry of `gorgo_routing`.
    pub name: String,
    /// What it is called in results; unique in the scenario. The name, where none was given.
    pub label: String,
    /// The variant of the router that it runs in, by name; none: the router itself.
    pub router: Option<String>,
    /// Its parameters, checked against the policy.
    pub parameters: toml::Table,
    /// What tunes its weights; none: they stay.
    pub tuner: Option<TunerConfig>,
}

/// How much the prefix index remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexSpec {
    /// Everything.
    Unbounded,
    /// Everything, by the tree of GORGO v1's balancers.
    EndTagged,
    /// The most recently used tokens of each replica.
    Lru {
        /// How many tokens per replica.
        capacity_tokens_per_replica: u64,
    },
}

impl RouterSpec {
    /// The router that a policy runs in.
    #[must_use]
    pub fn of(&self, policy: &PolicySpec) -> &Self {
        policy.router.as_ref().and_then(|name| self.variants.get(name)).unwrap_or(self)
    }

    /// Where routers stand, this one's and its variants'.
    #[must_use]
    pub fn all_regions(&self) -> BTreeSet<RegionId> {
        let regions = |router: &Self| match &router.per_region {
            Some(per_region) => per_region.regions.clone(),
            None => vec![router.region],
        };
        std::iter::once(self).chain(self.variants.values()).flat_map(regions).collect()
    }
}

impl PolicySpec {
    /// A fresh policy.
    ///
    /// # Errors
    /// Only for a spec that was changed after it was resolved: its parameters have been read once already.
    pub fn build(&self) -> Result<Box<dyn Policy>, ScenarioError> {
        registry::build(&self.name, self.parameters.clone()).map_err(|error| {
            ScenarioError::Policy { label: self.label.clone(), problem: error.to_string() }
        })
    }
}

/// What is measured, in the words of `gorgo_metrics::MeasureSpec`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MeasureParams {
    /// Requests scheduled before this are not measured.
    pub warm_up: Nanos,
    /// Instead: so many requests are not measured.
    pub warm_up_requests: Option<u64>,
    /// Nothing more is sent after so many requests.
    pub stop_after_requests: Option<u64>,
    /// The run ends when this share of the requests that ended last failed; none: never.
    pub max_error_share: Option<f64>,
    /// How many requests that ended last that looks at.
    pub error_window: u32,
    /// Requests scheduled at or after this are not measured; none: all to the end.
    pub stop: Option<Nanos>,
    /// How long the run may go on after the last measured request was scheduled; none: until all have ended.
    pub drain: Option<Nanos>,
    /// Longest TTFT of a good request.
    pub slo_ttft: Option<Nanos>,
    /// Longest TPOT of a good request.
    pub slo_tpot: Option<Nanos>,
    /// Longest E2E of a good request.
    pub slo_e2e: Option<Nanos>,
    /// Whether the record of every request is kept.
    pub records: Records,
    /// Spacing of timeline samples; none: no timeline.
    pub timeline_step: Option<Nanos>,
}

/// What things cost, in the words of `gorgo_metrics::Prices`.
#[derive(Clone, Debug, PartialEq)]
pub struct CostParams {
    /// Whether a replica costs something while it has nothing to do.
    pub count_idle: bool,
    /// Bytes that travel for a token of a prompt.
    pub bytes_per_prompt_token: f64,
    /// Bytes that travel for a token of an answer.
    pub bytes_per_output_token: f64,
    /// USD for one GPU and an hour, by its name; one that is not there has no price.
    pub gpu_usd_per_hour: BTreeMap<String, f64>,
    /// The GPUs of each replica, by `ReplicaId`.
    pub replicas: Vec<GpuShare>,
    /// USD a GB from one region to another one; a pair that is not there has no price.
    pub egress_usd_per_gb: BTreeMap<(RegionId, RegionId), f64>,
    /// USD a GB from a region to clients; one that is not there has no price.
    pub internet_usd_per_gb: BTreeMap<RegionId, f64>,
}

/// The GPUs of a replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpuShare {
    /// What they are called.
    pub gpu: String,
    /// How many.
    pub gpus: u32,
}

/// Whether the record of every request is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Records {
    /// As long as they fit.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never: histograms instead.
    Never,
}
