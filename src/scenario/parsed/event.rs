//! `[[event]]`: what goes wrong, and when.

use gorgo_config::{Duration, Located, Positive, PositiveDuration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Something that happens from one time to another: exactly one kind.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventTable {
    /// When it begins.
    pub from: Located<Duration>,
    /// When it is over. Only a change of round trips may go without: it stays for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Located<PositiveDuration>>,
    /// Round trips of links change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtt: Option<Located<RttTable>>,
    /// Links are cut: what is sent is lost, and sent again by TCP until it passes or its sender gives up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<Located<PartitionTable>>,
    /// Replicas crash: what they hold is lost, new requests are refused, and at the end they come back empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outage: Option<Located<OutageTable>>,
}

/// Other round trips, on one link or on all between a region and the others.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RttTable {
    /// Two regions; both directions change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<Located<[String; 2]>>,
    /// A region, instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Located<String>>,
    /// So many times as long, 0.001 to 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub factor: Option<Located<Positive>>,
    /// A new median, instead; jitter and drift keep their proportion to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtt: Option<Located<PositiveDuration>>,
}

/// One link, or all between a region and the others.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PartitionTable {
    /// Two regions; both directions are cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<Located<[String; 2]>>,
    /// A region, instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Located<String>>,
}

/// One replica, or all of a region.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OutageTable {
    /// A replica by its name, such as `eu-0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replica: Option<Located<String>>,
    /// A region, instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Located<String>>,
}

/// `[router.failures]`: what the router does when an attempt fails.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FailuresTable {
    /// How often a request is tried in all, as long as its client has seen no token. Default: 1, as GORGO's proxies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<Located<u16>>,
    /// How long an attempt waits for its request to get through to the replica. Default: 30s, as GORGO v1's router.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_timeout: Option<PositiveDuration>,
    /// So many failed scrapes in a row, and a replica is no longer chosen, until one succeeds; 0: it always may be.
    /// Default: 3, as GORGO v1's router.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unhealthy_after: Option<u32>,
    /// How long a probe or scrape waits for its answer over a cut link. Default: 2s, as GORGO v2's router.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe_timeout: Option<PositiveDuration>,
}
