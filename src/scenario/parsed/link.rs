//! What else `[network]` says of links: opening connections, and recorded series.

use gorgo_config::{Bytes, Located, PositiveDuration};
use gorgo_model::network::{ClientConnections, Interpolation, ProbeConnections, Traffic};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Opening connections. A request that finds no idle connection from the router to its replica opens one first, which
/// is the part `connect` of its TTFT. Without this table connections are always open.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConnectTable {
    /// Round trips of TCP's handshake. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp_round_trips: Option<u32>,
    /// Round trips of the TLS handshake: 1 in TLS 1.3, 2 in TLS 1.2, 0 without TLS. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_round_trips: Option<u32>,
    /// How long an idle connection lives. Default: 5s, uvicorn's, behind which SGLang and vLLM serve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_alive: Option<PositiveDuration>,
    /// Idle connections that are kept to each replica. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool_size: Option<u32>,
    /// Bytes that a new connection may send before the first acknowledgement; the window doubles each round trip (slow
    /// start; Linux: "14600 B"). It is part of `network_out`. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_window: Option<Bytes>,
    /// Does a connection that has been idle start slow again? Linux does so after a retransmission time-out, which is
    /// shorter than an answer takes: then every request pays, not only those on new connections. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow_start_after_idle: Option<bool>,
    /// How the router's probes travel: over a connection that is always `open`, over one of the `pooled` ones that
    /// requests use, or over a `new` one each. Default: open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<ProbesName>")]
    pub probes: Option<ProbeConnections>,
    /// How clients reach the router: over a connection that is always `open`, or over a `new` one for each request.
    /// Default: open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<ClientsName>")]
    pub clients: Option<ClientConnections>,
}

/// Recorded round trips over time, instead of the link's distribution: a file or a built-in series.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SeriesTable {
    /// A CSV file with the columns `time_s,from,to,rtt_ms`, in order of time for each link; further columns are passed
    /// over. A relative path starts at the scenario file's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<Located<String>>,
    /// A built-in series instead: `gorgo-v2-probes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub built_in: Option<Located<String>>,
    /// What takes these round trips: `requests`, `rtt-probes`, `scrapes`. Default: all three, the path itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<TrafficName>>")]
    pub applies_to: Option<Located<Vec<Traffic>>>,
    /// What it says between two rows: the earlier one (`step`), the `nearest`, or a line (`linear`). Default: step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<InterpolationName>")]
    pub interpolation: Option<Interpolation>,
}

/// The names of `gorgo_model::network::ProbeConnections`, for the schema.
#[derive(JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
#[expect(dead_code, reason = "only its schema is used")]
enum ProbesName {
    Open,
    Pooled,
    New,
}

/// The names of `gorgo_model::network::ClientConnections`, for the schema.
#[derive(JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
#[expect(dead_code, reason = "only its schema is used")]
enum ClientsName {
    Open,
    New,
}

/// The names of `gorgo_model::network::Traffic`, for the schema.
#[derive(JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
#[expect(dead_code, reason = "only its schema is used")]
enum TrafficName {
    Requests,
    RttProbes,
    Scrapes,
}

/// The names of `gorgo_model::network::Interpolation`, for the schema.
#[derive(JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
#[expect(dead_code, reason = "only its schema is used")]
enum InterpolationName {
    Step,
    Nearest,
    Linear,
}
