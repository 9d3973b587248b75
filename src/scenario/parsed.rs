//! A scenario as its file says it: typed, nothing filled in, nothing looked up. Parsing touches nothing outside the
//! file.
//!
//! A kind (of workload, of load, of index) is a table named after it, `[load.gamma]`, so that an error keeps its
//! place; of several such tables exactly one may be there. Fields left out are `None`: their defaults are chosen in
//! `resolve.rs`, and written out in full by [`crate::Resolved::to_toml`].

mod client;
mod cost;
mod event;
mod fleet;
mod generators;
mod link;
mod live;
mod load;
mod measure;
mod network;
mod router;
mod tuner;
mod workload;

pub use client::ClientTable;
pub use cost::{CostTable, EgressPriceTable, EgressTable, GpuPriceTable, ReceiverTable};
pub use event::{EventTable, FailuresTable, OutageTable, PartitionTable, RttTable};
pub use fleet::{FleetTable, ReplicaTable, VllmTable};
pub use generators::{ArtChatTable, ArtWindow, BurstsTable, ServegenService, ServegenTable};
pub use link::{ConnectTable, SeriesTable};
pub use live::{LiveApi, LiveLegs, LiveLengths, LiveTable};
pub use load::{
    ConcurrentTable, DiurnalTable, GammaTable, LoadTable, RampTable, RateTable, RecordedTable,
    SpikeTable, SweepTable, SynchronousTable, ThroughputTable,
};
pub use measure::MeasureTable;
pub use network::{ClientsBy, ClientsTable, FillMissing, LinkTable, NetworkTable, RegionTable};
pub use router::{
    IndexTable, LocalFirstTable, LruTable, PerRegionTable, PolicyTable, RouterTable, UnboundedTable,
};
pub use tuner::TunerTable;
pub use workload::{
    ArrivalsCsvTable, ChatTable, CountrySample, DayTable, HourlyCurve, PrefixGroupsTable,
    ServiceTable, ThinkTable, TraceTable, WildchatTable, WorkloadTable,
};

use gorgo_config::Located;
use gorgo_model::ProfileSpec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A scenario: which fleet, behind which network and router, serves which workload under which policies.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "gorgo scenario")]
pub struct ScenarioTable {
    /// What it is called in tables and files.
    pub name: Located<String>,
    /// What it shows, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The seed of all draws. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<Located<u64>>,
    /// The replicas.
    pub fleet: FleetTable,
    /// The regions and the times between them.
    #[serde(default)]
    pub network: NetworkTable,
    /// What is asked of the fleet: exactly one kind. May be left out where `gorgo replay` gives a trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<Located<WorkloadTable>>,
    /// When it is asked: at most one kind.
    #[serde(default)]
    pub load: Located<LoadTable>,
    /// The load generator.
    #[serde(default)]
    pub client: ClientTable,
    /// The router and the policies to compare.
    #[serde(default)]
    pub router: RouterTable,
    /// What goes wrong, and when.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub event: Vec<Located<EventTable>>,
    /// What is measured.
    #[serde(default)]
    pub measure: MeasureTable,
    /// What things cost.
    #[serde(default)]
    pub cost: CostTable,
    /// Real URLs, and how they are spoken to: for `gorgo live`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<Located<LiveTable>>,
    /// Cost profiles of the scenario's own, beside the built-in ones of `data/gpus`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<std::collections::BTreeMap<String, serde_json::Value>>")]
    pub profiles: Vec<Located<ProfileSpec>>,
}

/// Takes a key away that is not kept.
fn keep_if<T>(kept: bool, key: &mut Option<T>) {
    if !kept {
        *key = None;
    }
}
