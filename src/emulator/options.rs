//! What can be set beside the scenario.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;

/// How the fleet is served.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where ports are opened; loopback by default.
    pub host: IpAddr,
    /// The first port: replicas in the fleet's order, then the relays, then those of KV events, then the
    /// control port. None: free ports.
    pub port_base: Option<u16>,
    /// Only these replicas, by name; empty: all.
    pub only: Vec<String>,
    /// Replicas that are served elsewhere, by name, and where: only the links to them are made here.
    pub engines: Vec<(String, SocketAddr)>,
    /// Whether and how bytes are delayed.
    pub links: Links,
    /// What the model is called in answers.
    pub model: String,
    /// Whose names `/metrics` has.
    pub engine_metrics: EngineMetrics,
    /// Tokens in one event of a stream.
    pub tokens_per_chunk: NonZeroU32,
    /// Tokens per block; none: the scenario's workload's.
    pub block_tokens: Option<NonZeroU32>,
    /// Where what the caches hold is published; none: nowhere.
    pub kv_events: Option<KvEvents>,
    /// When the scenario's events begin to count.
    pub time_zero: TimeZero,
    /// Whether the threads that keep time ask to go before all others.
    pub priority: Priority,
    /// What a caller of the control port must show as a bearer token; none: it must come from this machine.
    pub control_token: Option<String>,
    /// Keeps every arrival and cancel as the engines saw them, for [`crate::station::Recorded`]. It grows with each
    /// request.
    pub record: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port_base: None,
            only: Vec::new(),
            engines: Vec::new(),
            links: Links::Relay(SetUp::Wan),
            model: "emulated".to_owned(),
            engine_metrics: EngineMetrics::Sglang,
            tokens_per_chunk: NonZeroU32::MIN,
            block_tokens: None,
            kv_events: None,
            time_zero: TimeZero::FirstRequest,
            priority: Priority::Auto,
            control_token: None,
            record: false,
        }
    }
}

/// Whether and how bytes are delayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// Not at all: replicas are reached directly alone.
    None,
    /// By relays from the routers' regions.
    Relay(SetUp),
    /// By a TUN device on this network of 2^16 addresses, whose packets are delayed: replicas listen on its first address
    /// instead of [`Options::host`].
    Tun(Ipv4Addr),
}

/// What a new connection over a relay costs before its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetUp {
    /// A round trip, as TCP takes.
    Wan,
    /// What the scenario's `[network.connect]` says, TLS's round trips too; nothing where it says nothing, for then the
    /// simulator takes connections to be open.
    Scenario,
}

/// Where KV events are published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KvEvents {
    /// On a TCP port for each replica.
    Tcp,
    /// On a Unix socket for each replica in this folder, `NAME.kv`.
    Ipc(PathBuf),
}

/// Whose names the metrics have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineMetrics {
    /// SGLang's.
    Sglang,
    /// vLLM's.
    Vllm,
}

/// Before whom the threads that keep time go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// Before everything that has no real-time priority, where the system allows it; [`crate::Report`] says whether it did.
    Auto,
    /// They wait like all others.
    Normal,
}

/// When the scenario's events begin to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeZero {
    /// With the first request that reaches a replica.
    FirstRequest,
    /// With the emulator.
    Start,
    /// When [`crate::Running::start_events`] or the control port says so.
    OnCall,
}
