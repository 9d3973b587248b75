//! `[router]`: where it stands, what it knows and when, and the policies to compare.

use super::{FailuresTable, TunerTable};
use gorgo_config::{Count, Duration, Located, PositiveDuration, Share};
use gorgo_routing::{LearnAt, ReleaseAt};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// The router and the policies to compare.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RouterTable {
    /// The region it stands in. Every request passes through it. Either this or `per_region`; default: the
    /// fleet's first region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Located<String>>,
    /// Instead of one router for all: one in each of several regions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_region: Option<Located<PerRegionTable>>,
    /// The policies, at least one; each is run on the same draws. Default: round-robin, random, least-request, least-load,
    /// session-affinity, prefix-cache, prefix-tree and gorgo, each as it is published. Not in a variant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policies: Option<Located<Vec<Located<PolicyTable>>>>,
    /// Other routers by name, for policies that ask for one (`router = "NAME"`): each is this table but for the keys that
    /// it gives itself.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variants: BTreeMap<String, Located<RouterTable>>,
    /// Spacing of RTT probes to each replica. Default: 1s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe_interval: Option<PositiveDuration>,
    /// Spacing of metric scrapes of each replica. Default: 1s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scrape_interval: Option<PositiveDuration>,
    /// Weight of the newest probe in the RTT average, above 0 and at most 1. Default: 0.3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtt_ewma_alpha: Option<Located<Share>>,
    /// How much the prefix index remembers. Default: unbounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<Located<IndexTable>>,
    /// When a prompt enters the prefix index. Default: headers.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "simulated")]
    #[schemars(with = "Option<LearnAtName>")]
    pub learn_at: Option<LearnAt>,
    /// When a request stops counting as load. Default: finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<ReleaseAtName>")]
    pub release_at: Option<ReleaseAt>,
    /// Time that one decision takes. Default: 0s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision_time: Option<Duration>,
    /// Decide on one request after the other, as a program of one thread does: one that comes while others are decided on
    /// waits its turn. Default: false, decisions do not wait for each other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial_decisions: Option<bool>,
    /// What passing on one token of a response takes of the thread that decides: while replicas decode R tokens a second for
    /// this router, a decision takes `decision_time` / (1 - R x this), at most 20 times `decision_time`. Default: 0s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay_time_per_token: Option<Duration>,
    /// Requests that may be in flight to one replica. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_in_flight_per_replica: Option<Located<Count>>,
    /// Requests that may wait in the router for a replica below its limit; 0: they are rejected at once. Default: no
    /// limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_limit: Option<Located<u32>>,
    /// How long a request may wait in the router before it is rejected. Default: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_timeout: Option<PositiveDuration>,
    /// Serve the queue one request at a time, each until its response has ended. Default: false. GORGO v1's balancers: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial_queue: Option<bool>,
    /// Look at the queue only so often. Default: whenever something has changed. GORGO v1: 20ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_interval: Option<PositiveDuration>,
    /// Whether prompt and output enter the prefix index when a request has finished, where the workload knows their
    /// blocks. Default: false, as in GORGO's proxies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learn_output: Option<bool>,
    /// What happens when an attempt fails; nothing does without an `[[event]]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failures: Option<Located<FailuresTable>>,
}

impl RouterTable {
    /// The regions that it and its variants name.
    pub(crate) fn regions(&self) -> impl Iterator<Item = &Located<String>> {
        let tables = || [self].into_iter().chain(self.variants.values().map(|v| &v.value));
        let alone = tables().filter_map(|table| table.region.as_ref());
        let several = tables().filter_map(|table| table.per_region.as_ref());
        let named = several.flat_map(|table| {
            let regions = table.value.regions.iter().flat_map(|regions| &regions.value);
            regions.chain(&table.value.geo_proxy)
        });
        alone.chain(named)
    }
}

/// A router in each of several regions. A client's requests go to the router with the shortest way to it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PerRegionTable {
    /// The regions. Default: those with replicas, in the order of the fleet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regions: Option<Located<Vec<Located<String>>>>,
    /// Each sends to every replica itself, and knows of what the others send only what it reads off the replicas' metrics.
    /// Default: false, it serves its own region and reaches the others through their routers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reaches_all: Option<bool>,
    /// How often a request may be passed on to another region's router: 0 or 1. Default: 1, as in GORGO v1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_hops: Option<Located<u32>>,
    /// Serve a request in its own region as long as a replica there has room, whatever the policy says. Default: the
    /// policy decides on every request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_first: Option<Located<LocalFirstTable>>,
    /// Without room in the region: may the policy choose to wait for it? Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub may_wait: Option<bool>,
    /// All requests come by way of a machine in this region, which knows where their users are and sends each to the
    /// router nearest to its user. Default: clients send to that router themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub geo_proxy: Option<Located<String>>,
}

/// When a region's replica has room, by its last scrape.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LocalFirstTable {
    /// It runs fewer requests than this. Default: 5, as in GORGO v1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_requests_below: Option<Located<Count>>,
    /// Its KV pool is used to a smaller share than this. Default: 0.95, as in GORGO v1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kv_share_below: Option<Located<Share>>,
}

/// Simulated replicas publish no KV events, so an index that listens to them alone would stay empty.
fn simulated<'de, D: Deserializer<'de>>(from: D) -> Result<Option<LearnAt>, D::Error> {
    match LearnAt::deserialize(from)? {
        LearnAt::KvEvent => Err(D::Error::custom(
            "got `kv-event`, wanted `dispatch`, `headers`, `first-token` or `finished`: simulated replicas publish no \
             KV events",
        )),
        learn_at => Ok(Some(learn_at)),
    }
}

/// The names of `gorgo_routing::LearnAt` that can be simulated, for the schema.
#[derive(JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
#[expect(dead_code, reason = "only its schema is used")]
enum LearnAtName {
    Dispatch,
    Headers,
    FirstToken,
    Finished,
}

/// The names of `gorgo_routing::ReleaseAt`, for the schema.
#[derive(JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
#[expect(dead_code, reason = "only its schema is used")]
enum ReleaseAtName {
    Headers,
    FirstToken,
    Finished,
}

/// How much the prefix index remembers: one of its kinds.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IndexTable {
    /// Everything: memory grows with the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unbounded: Option<UnboundedTable>,
    /// Everything, by the tree of GORGO v1's balancers: what two prompts share is forgotten where they part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_tagged: Option<Located<UnboundedTable>>,
    /// The most recently used prompts of each replica.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lru: Option<Located<LruTable>>,
}

/// An index without a bound has no parameters.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnboundedTable {}

/// A bounded index.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LruTable {
    /// Tokens that it remembers of each replica.
    pub capacity_tokens_per_replica: Count,
}

/// A policy by name, with its label and parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyTable {
    /// Its name in the registry.
    pub name: Located<String>,
    /// What it is called in results. Default: its name.
    pub label: Option<Located<String>>,
    /// The variant of the router that it runs in. Default: the router itself.
    pub router: Option<Located<String>>,
    /// What tunes its weights while it routes. Default: nothing.
    pub tuner: Option<Located<TunerTable>>,
    /// Its parameters, untyped: the policy itself reads them.
    pub parameters: toml::Table,
}

struct PolicyVisitor;

impl<'de> Visitor<'de> for PolicyVisitor {
    type Value = PolicyTable;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a policy's name, or a table with name, label, router, tuner and the policy's parameters",
        )
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<PolicyTable, E> {
        let parameters = toml::Table::new();
        let name = name.to_owned().into();
        Ok(PolicyTable { name, label: None, router: None, tuner: None, parameters })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<PolicyTable, A::Error> {
        let (mut name, mut label, mut router, mut tuner) = (None, None, None, None);
        let mut parameters = toml::Table::new();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "name" => name = Some(map.next_value()?),
                "label" => label = Some(map.next_value()?),
                "router" => router = Some(map.next_value()?),
                "tuner" => tuner = Some(map.next_value()?),
                _ => drop(parameters.insert(key, map.next_value()?)),
            }
        }
        let name = name.ok_or_else(|| A::Error::missing_field("name"))?;
        Ok(PolicyTable { name, label, router, tuner, parameters })
    }
}

impl<'de> Deserialize<'de> for PolicyTable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PolicyVisitor)
    }
}

impl Serialize for PolicyTable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let named = [
            ("name", Some(&self.name)),
            ("label", self.label.as_ref()),
            ("router", self.router.as_ref()),
        ];
        let named = named.into_iter().filter_map(|(key, text)| Some((key, text?.value.as_str())));
        let named = named.map(|(key, text)| (key, toml::Value::from(text)));
        let rest = self.parameters.iter().map(|(key, value)| (key.as_str(), value.clone()));
        let tuner = self.tuner.as_ref().map(toml::Value::try_from);
        let tuner = tuner.transpose().map_err(serde::ser::Error::custom)?;
        // Last, because a table of TOML ends at the next one.
        let tuner = tuner.map(|tuner| ("tuner", tuner));
        serializer.collect_map(named.chain(rest).chain(tuner))
    }
}

impl JsonSchema for PolicyTable {
    fn schema_name() -> Cow<'static, str> {
        "PolicyTable".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let tuner = generator.subschema_for::<TunerTable>();
        json_schema!({
            "description": "A policy: its name, or a table with its name, a label, its variant of the router, a tuner and its parameters.",
            "anyOf": [
                { "type": "string" },
                {
                    "type": "object",
                    "properties": {
                        "name": { "type": "string" },
                        "label": { "type": "string" },
                        "router": { "type": "string" },
                        "tuner": tuner
                    },
                    "required": ["name"]
                }
            ]
        })
    }
}
