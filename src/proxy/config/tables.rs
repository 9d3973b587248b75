//! The form of the proxy's TOML file: what may stand in it, nothing checked beyond each value's own kind.
//!
//! Keys that scenarios have too mean the same and are spelt the same. Defaults stand in `resolve.rs`, and for readers
//! in the crate's README.md.

use gorgo_config::{Bytes, Count, Located, PositiveDuration, Share};
use gorgo_routing::tuner::{Objective, OneFifthParameters, PairedParameters};
use gorgo_routing::{LearnAt, ReleaseAt};
use serde::de::{Error, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::fmt;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) listen: Option<Located<String>>,
    pub(super) region: Option<Located<String>>,
    pub(super) seed: Option<u64>,
    pub(super) models: Option<Vec<Located<String>>>,
    pub(super) policy: Option<Located<PolicyTable>>,
    pub(super) tuner: Option<Located<TunerTable>>,
    #[serde(default)]
    pub(super) text: TextTable,
    #[serde(default)]
    pub(super) router: RouterTable,
    #[serde(default)]
    pub(super) health: Located<HealthTable>,
    #[serde(default)]
    pub(super) probe: ProbeTable,
    #[serde(default)]
    pub(super) scrape: ProbeTable,
    #[serde(default)]
    pub(super) limits: LimitsTable,
    #[serde(default)]
    pub(super) timeouts: TimeoutsTable,
    pub(super) tls: Option<TlsTable>,
    pub(super) upstream_tls: Option<UpstreamTlsTable>,
    pub(super) admin: Option<Located<AdminTable>>,
    #[serde(default)]
    pub(super) log: LogTable,
    #[serde(default)]
    pub(super) replica: Vec<Located<ReplicaTable>>,
    #[serde(default)]
    pub(super) peer: Vec<Located<PeerTable>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TextTable {
    pub(super) tokenizer: Option<Located<String>>,
    pub(super) template_tokens: Option<Located<u32>>,
    pub(super) block_tokens: Option<Located<Count>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RouterTable {
    pub(super) rtt_ewma_alpha: Option<Located<Share>>,
    pub(super) index: Option<Located<IndexTable>>,
    pub(super) learn_at: Option<Located<LearnAt>>,
    pub(super) release_at: Option<ReleaseAt>,
    pub(super) learn_from_usage: Option<Located<bool>>,
    pub(super) max_in_flight_per_replica: Option<Located<Count>>,
    pub(super) queue_limit: Option<u32>,
    pub(super) queue_timeout: Option<PositiveDuration>,
    pub(super) serial_queue: Option<bool>,
    pub(super) queue_interval: Option<PositiveDuration>,
    pub(super) attempts: Option<Located<Count>>,
    pub(super) per_region: Option<Located<PerRegionTable>>,
}

/// As scenarios have it, for the one router that this proxy is.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PerRegionTable {
    pub(super) max_hops: Option<Located<u32>>,
    pub(super) local_first: Option<LocalFirstTable>,
    pub(super) may_wait: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LocalFirstTable {
    pub(super) running_requests_below: Option<Located<Count>>,
    pub(super) kv_share_below: Option<Located<Share>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HealthTable {
    pub(super) off: Option<bool>,
    pub(super) unhealthy_after_probes: Option<u32>,
    pub(super) unhealthy_after_scrapes: Option<u32>,
    pub(super) healthy_after: Option<u32>,
    pub(super) open_after_failures: Option<u32>,
    pub(super) keep_last: Option<bool>,
    #[serde(default)]
    pub(super) circuit: CircuitTable,
    pub(super) outliers: Option<OutlierTable>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CircuitTable {
    pub(super) open_for: Option<PositiveDuration>,
    pub(super) open_at_most: Option<PositiveDuration>,
    pub(super) trials: Option<u32>,
    pub(super) passes: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OutlierTable {
    pub(super) interval: Option<PositiveDuration>,
    pub(super) failed_share: Option<f64>,
    pub(super) min_requests: Option<u32>,
    pub(super) min_replicas: Option<u32>,
    pub(super) max_ejected_share: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IndexTable {
    pub(super) unbounded: Option<Nothing>,
    pub(super) end_tagged: Option<Nothing>,
    pub(super) lru: Option<LruTable>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LruTable {
    pub(super) capacity_tokens_per_replica: Count,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProbeTable {
    pub(super) path: Option<Located<String>>,
    pub(super) interval: Option<PositiveDuration>,
    pub(super) off: Option<bool>,
    pub(super) timeout: Option<PositiveDuration>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitsTable {
    pub(super) connections: Option<Located<Count>>,
    pub(super) headers: Option<Located<Count>>,
    pub(super) header_size: Option<Located<Bytes>>,
    pub(super) body_size: Option<Located<Bytes>>,
    pub(super) idle_per_replica: Option<Located<Count>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TimeoutsTable {
    pub(super) head: Option<PositiveDuration>,
    pub(super) body: Option<PositiveDuration>,
    pub(super) write: Option<PositiveDuration>,
    pub(super) connect: Option<PositiveDuration>,
    pub(super) response: Option<PositiveDuration>,
    pub(super) pause: Option<PositiveDuration>,
    pub(super) idle: Option<PositiveDuration>,
    pub(super) age: Option<PositiveDuration>,
    pub(super) drain: Option<PositiveDuration>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TlsTable {
    pub(super) certificate: String,
    pub(super) key: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UpstreamTlsTable {
    pub(super) ca: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AdminTable {
    pub(super) listen: Option<Located<String>>,
    pub(super) token: Option<Located<String>>,
    pub(super) token_file: Option<Located<String>>,
    pub(super) token_env: Option<Located<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LogTable {
    pub(super) decisions: Option<String>,
    pub(super) tuner: Option<String>,
    pub(super) decisions_kept: Option<Located<u32>>,
    pub(super) decision_headers: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReplicaTable {
    pub(super) name: Located<String>,
    pub(super) region: Option<Located<String>>,
    pub(super) url: Located<String>,
    pub(super) residency: Option<Located<String>>,
    pub(super) api_key_env: Option<Located<String>>,
    pub(super) kv_events: Option<Located<String>>,
    pub(super) weight: Option<Located<Count>>,
}

/// The proxy of another region.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PeerTable {
    pub(super) region: Located<String>,
    pub(super) url: Located<String>,
    pub(super) api_key_env: Option<Located<String>>,
}

/// A tuner, as scenarios have it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TunerTable {
    pub(super) weights: BTreeMap<String, [f64; 2]>,
    pub(super) objective: Option<Objective>,
    pub(super) one_fifth: Option<OneFifthParameters>,
    pub(super) paired: Option<PairedParameters>,
}

/// A policy's name; its parameters are read by the policy itself.
#[derive(Debug)]
pub(super) struct PolicyTable {
    pub(super) name: Located<String>,
    pub(super) is_table: bool,
}

impl<'de> Deserialize<'de> for PolicyTable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameOrTable;
        impl<'de> Visitor<'de> for NameOrTable {
            type Value = PolicyTable;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a policy's name, or a table with its name and parameters")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<PolicyTable, E> {
                Ok(PolicyTable { name: name.to_owned().into(), is_table: false })
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<PolicyTable, A::Error> {
                let mut name = None;
                while let Some(key) = map.next_key::<String>()? {
                    if key == "name" {
                        name = Some(map.next_value()?);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                let name = name.ok_or_else(|| A::Error::missing_field("name"))?;
                Ok(PolicyTable { name, is_table: true })
            }
        }
        deserializer.deserialize_any(NameOrTable)
    }
}
