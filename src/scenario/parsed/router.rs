//! `[router]`: where it stands, what it knows and when, and the policies to compare.

use super::FailuresTable;
use gorgo_config::{Count, Duration, Located, PositiveDuration, Share};
use gorgo_routing::{LearnAt, ReleaseAt};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;

/// The router and the policies to compare.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RouterTable {
    /// The region it stands in. Every request passes through it.
    pub region: Located<String>,
    /// The policies; each is run on the same draws.
    pub policies: Located<Vec<Located<PolicyTable>>>,
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<LearnAtName>")]
    pub learn_at: Option<LearnAt>,
    /// When a request stops counting as load. Default: finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<ReleaseAtName>")]
    pub release_at: Option<ReleaseAt>,
    /// Time that one decision takes. Default: 0s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision_time: Option<Duration>,
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
    /// Whether prompt and output enter the prefix index when a request has finished, where the workload knows their
    /// blocks. Default: false, as in GORGO's proxies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learn_output: Option<bool>,
    /// What happens when an attempt fails; nothing does without an `[[event]]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failures: Option<Located<FailuresTable>>,
}

/// The names of `gorgo_routing::LearnAt`, for the schema.
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
    /// Its parameters, untyped: the policy itself reads them.
    pub parameters: toml::Table,
}

struct PolicyVisitor;

impl<'de> Visitor<'de> for PolicyVisitor {
    type Value = PolicyTable;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a policy's name, or a table with name, label and the policy's parameters")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<PolicyTable, E> {
        let parameters = toml::Table::new();
        Ok(PolicyTable { name: name.to_owned().into(), label: None, parameters })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<PolicyTable, A::Error> {
        let (mut name, mut label, mut parameters) = (None, None, toml::Table::new());
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "name" => name = Some(map.next_value()?),
                "label" => label = Some(map.next_value()?),
                _ => drop(parameters.insert(key, map.next_value()?)),
            }
        }
        let name = name.ok_or_else(|| A::Error::missing_field("name"))?;
        Ok(PolicyTable { name, label, parameters })
    }
}

impl<'de> Deserialize<'de> for PolicyTable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PolicyVisitor)
    }
}

impl Serialize for PolicyTable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let named = [("name", Some(&self.name)), ("label", self.label.as_ref())];
        let named = named.into_iter().filter_map(|(key, text)| Some((key, text?.value.as_str())));
        let named = named.map(|(key, text)| (key, toml::Value::from(text)));
        let rest = self.parameters.iter().map(|(key, value)| (key.as_str(), value.clone()));
        serializer.collect_map(named.chain(rest))
    }
}

impl JsonSchema for PolicyTable {
    fn schema_name() -> Cow<'static, str> {
        "PolicyTable".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A policy: its name, or a table with its name, a label and its parameters.",
            "anyOf": [
                { "type": "string" },
                {
                    "type": "object",
                    "properties": { "name": { "type": "string" }, "label": { "type": "string" } },
                    "required": ["name"]
                }
            ]
        })
    }
}
