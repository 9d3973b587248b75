//! `[network]`: the regions and the times between them.

use super::{ConnectTable, SeriesTable};
use gorgo_config::{Bandwidth, Bytes, Located, NonNegative, Positive, PositiveDuration, Share};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Cow;
use std::fmt;

/// The regions and the times between them.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NetworkTable {
    /// The regions, in the order of tables and pictures: a built-in one by name (`"azure:eastus"`), or one of the
    /// scenario's own with its position. Default: those that the fleet and the router name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regions: Option<Located<Vec<Located<RegionTable>>>>,
    /// Round-trip times between regions, instead of the built-in ones. A pair that is given in one direction only is
    /// taken to be the same in the other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Located<LinkTable>>,
    /// What becomes of a pair of regions between which nothing is measured and no link is given. Default: an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fill_missing: Option<Located<FillMissing>>,
    /// Round-trip time inside a region, instead of the built-in ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_region_rtt: Option<Located<PositiveDuration>>,
    /// How much of the published spread (ln of P95 over median) is simulated. 0: every round trip takes its median.
    /// Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread_share: Option<Located<Share>>,
    /// How much of the spread is slow drift of the path, as a share of its variance; the rest is drawn for every request.
    /// Median and P95 over long times stay the published ones. Default: 0, since no publisher gives the split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift_share: Option<Located<Share>>,
    /// How slow the drift is: after twice this time a path has forgotten what it was. Default: 6h, an assumption.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift_period: Option<PositiveDuration>,
    /// What no round trip goes below, as a share of its median, below 1. Default: 0.8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor_share: Option<Located<Share>>,
    /// What the last byte of a request waits for behind its first, on every link that gives none itself; each message
    /// has it to itself. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<Bandwidth>,
    /// Bytes of a request for each token of its prompt. Default: 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_token: Option<NonNegative>,
    /// Bytes of a request besides: headers and JSON. Default: 1 KiB, an assumption.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_request: Option<Bytes>,
    /// Opening connections. Default: they are always open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect: Option<Located<ConnectTable>>,
    /// Recorded round trips over time, instead of a link's distribution.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub series: Vec<Located<SeriesTable>>,
    /// The way between clients and regions, for clients that are known by their place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clients: Option<Located<ClientsTable>>,
}

/// Where the times of pairs come from between which nothing is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FillMissing {
    /// From nowhere: such a pair is an error.
    Error,
    /// From the great-circle distance, by the fit over Azure's pairs: 20.2 ms and 0.0147 ms for each km. The result
    /// says how many pairs were filled.
    Distance,
}

/// Round trips of clients that are known by their place. Defaults are `gorgo_model::ClientModel`'s, which names their
/// sources.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientsTable {
    /// Where the times come from. Default: cities; distance, where a fit of one's own is given (`base_rtt`, `ms_per_km`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<ClientsBy>,
    /// How near a city must be to stand for a client or a region, km. Default: 250.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub city_within_km: Option<NonNegative>,
    /// Round-trip time at no distance. Default: 20.2 ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_rtt: Option<PositiveDuration>,
    /// Milliseconds more for each kilometre of great circle. Default: 0.0147.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ms_per_km: Option<NonNegative>,
    /// P95 over median. Default: 1.2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p95_over_p50: Option<Positive>,
    /// What clients send at. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<Bandwidth>,
    /// Where a client is of whom nothing is known, degrees north. Default: 39.8283, the middle of the United States.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown_lat: Option<f64>,
    /// The same, degrees east. Default: -98.5795.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown_lon: Option<f64>,
}

/// Where the times of clients come from that are known by their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ClientsBy {
    /// From the great-circle distance.
    Distance,
    /// From the round trip that was measured between the city nearest to the client and the one nearest to the router,
    /// where both are near enough; from the distance otherwise.
    Cities,
}

/// A region, built in or the scenario's own.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RegionTable {
    /// Its name; built-in ones have their provider before a colon.
    pub name: Located<String>,
    /// Degrees north, for a region of the scenario's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lat: Option<Located<f64>>,
    /// Degrees east, for a region of the scenario's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lon: Option<Located<f64>>,
}

/// [`RegionTable`] in its long form. A twin, because the short form needs a hand-written reader.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
struct RegionLong {
    /// Its name.
    name: Located<String>,
    /// Degrees north, -90 to 90.
    #[serde(default)]
    lat: Option<Located<f64>>,
    /// Degrees east, -180 to 180.
    #[serde(default)]
    lon: Option<Located<f64>>,
}

/// The round-trip time of a pair of regions.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkTable {
    /// The region that starts the round trip.
    pub from: Located<String>,
    /// The region that answers; it may be the same one.
    pub to: Located<String>,
    /// Median round-trip time.
    pub rtt_p50: PositiveDuration,
    /// 95th percentile. Default: 1.06 times the median, as over Azure's pairs of regions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtt_p95: Option<PositiveDuration>,
    /// What it carries. Default: the network's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<Bandwidth>,
    /// The time was not measured: `fill_missing` made it from the distance. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub filled: bool,
}

struct RegionVisitor;

impl<'de> Visitor<'de> for RegionVisitor {
    type Value = RegionTable;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a region's name, or a table with name, lat and lon")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<RegionTable, E> {
        Ok(RegionTable { name: name.to_owned().into(), lat: None, lon: None })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RegionTable, A::Error> {
        let RegionLong { name, lat, lon } =
            RegionLong::deserialize(MapAccessDeserializer::new(map))?;
        Ok(RegionTable { name, lat, lon })
    }
}

impl<'de> Deserialize<'de> for RegionTable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RegionVisitor)
    }
}

impl JsonSchema for RegionTable {
    fn schema_name() -> Cow<'static, str> {
        "RegionTable".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let long = generator.subschema_for::<RegionLong>();
        json_schema!({
            "description": "A region: the name of a built-in one, or one of the scenario's own.",
            "anyOf": [{ "type": "string" }, long]
        })
    }
}
