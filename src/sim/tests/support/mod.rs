//! Small worlds made by hand, without scenario files.

#![expect(dead_code, reason = "each test binary uses its own part of this module")]

use gorgo_metrics::{FleetNames, MeasureSpec, Records, RequestRecord, RunResult};
use gorgo_model::network::Connect;
use gorgo_model::{
    CostProfile, EngineLimits, Jitter, NamedLink, Network, RegionPlace, ReplicaConfig,
};
use gorgo_routing::{Policy, RouterConfig, registry};
use gorgo_scenario::{FailureSpec, Outage};
use gorgo_sim::{RouterSetup, RunOptions, Setup, StationSetup};
use gorgo_types::{
    BlockChain, LatLon, Nanos, Origin, OriginId, RegionId, Request, RequestId, Tokens,
};
use gorgo_workload::{Due, Source, WorkloadError};
use std::collections::VecDeque;
use std::sync::Arc;

/// Nanoseconds.
pub const MS: u64 = 1_000_000;

/// 0.1 ms of prefill per token, 1 ms per decode step.
pub fn profile() -> CostProfile {
    CostProfile::constant(Nanos::ZERO, 100_000, Nanos(MS), 0, 0)
}

/// The only request of a session; no other session shares its blocks.
pub fn request(session: u64, tokens: u64, output: u64) -> Request {
    let content = (0..tokens.div_ceil(16)).map(|block| session * 10_000 + block);
    Request {
        id: RequestId { session, turn: 0 },
        user: None,
        has_session: false,
        prompt: BlockChain::from_raw_ids(content, Tokens(tokens), 16).unwrap(),
        output_tokens: Tokens(output),
        max_tokens: Tokens(output),
        sequence: None,
        origin: OriginId(0),
    }
}

/// The record of a session's only request.
pub fn record(run: &RunResult, session: u64) -> RequestRecord {
    let id = RequestId { session, turn: 0 };
    *run.records.iter().flatten().find(|record| record.id == id).expect("the request is recorded")
}

/// A fleet with one region per replica, and a router in the first region.
pub struct Bench {
    pub profile: CostProfile,
    pub kv_pool_tokens: u64,
    pub limits: EngineLimits,
    pub prefix_cache: bool,
    pub overhead: Nanos,
    /// Round trip between the router and each replica, ms; one replica each.
    pub rtts_ms: Vec<f64>,
    pub policy: &'static str,
    pub router: RouterConfig,
    pub jitter: Jitter,
    pub connect: Option<Connect>,
    pub outages: Vec<Outage>,
    pub failures: FailureSpec,
    /// P95 over median of every link.
    pub p95_ratio: f64,
}

impl Bench {
    /// Replicas `rtts_ms` away from the router, with a constant-cost profile.
    pub fn new(profile: CostProfile, rtts_ms: &[f64]) -> Self {
        Self {
            profile,
            kv_pool_tokens: 1 << 20,
            limits: EngineLimits::default(),
            prefix_cache: true,
            overhead: Nanos::ZERO,
            rtts_ms: rtts_ms.to_vec(),
            policy: "gorgo",
            router: RouterConfig::default(),
            jitter: Jitter::NONE,
            connect: None,
            outages: Vec::new(),
            failures: FailureSpec::default(),
            p95_ratio: 1.0,
        }
    }

    /// Servers of one request at a time, a nanosecond away; several are fed from the router's queue.
    pub fn queueing(servers: u32, ns_per_token: u64) -> Self {
        let profile = CostProfile::constant(Nanos::ZERO, ns_per_token as u32, Nanos(1), 0, 0);
        let mut bench = Self::new(profile, &vec![1e-6; servers as usize]);
        bench.kv_pool_tokens = 1 << 40;
        bench.prefix_cache = false;
        bench.limits.max_running_requests = 1;
        bench.limits.chunked_prefill_tokens = u32::MAX;
        bench.limits.max_prefill_tokens = u32::MAX;
        bench.policy = "round-robin";
        if servers > 1 {
            bench.router.max_in_flight_per_replica = Some(1);
            bench.router.max_queue = u32::MAX;
        }
        bench
    }

    pub fn network(&self) -> Network {
        let name = |i: usize| format!("r{i}");
        let position = LatLon { lat: 0.0, lon: 0.0 };
        let count = self.rtts_ms.len();
        let regions =
            (0..count).map(|i| RegionPlace { name: name(i), position }).collect::<Vec<_>>();
        let mut links = Vec::new();
        for from in 0..count {
            for to in from..count {
                // Only the router's row (its region is the first) matters; replica 0 is `rtts_ms[0]` away from it.
                let rtt_p50_ms = if from == 0 { self.rtts_ms[to] } else { 1.0 };
                links.push(NamedLink {
                    from: name(from),
                    to: name(to),
                    rtt_p50_ms,
                    rtt_p95_ms: rtt_p50_ms * self.p95_ratio,
                    p95_measured: false,
                });
            }
        }
        Network::new(regions, &links, self.jitter).unwrap()
    }

    pub fn policy(&self) -> Box<dyn Policy> {
        registry::build(self.policy, serde_json::json!({})).unwrap()
    }

    pub fn setup<'a>(&self, source: Box<dyn Source>, records: Records) -> Setup<'a> {
        let count = self.rtts_ms.len();
        let profile = Arc::new(self.profile.clone());
        let stations: Vec<StationSetup> = (0..count)
            .map(|i| StationSetup {
                name: format!("r{i}"),
                region: RegionId(i as u32),
                zone: None,
                weight: 1,
                overhead: self.overhead,
                config: ReplicaConfig {
                    profile: Arc::clone(&profile),
                    kv_pool_tokens: self.kv_pool_tokens,
                    limits: self.limits.clone(),
                    prefix_cache: self.prefix_cache,
                },
            })
            .collect();
        Setup {
            seed: 7,
            names: FleetNames {
                scenario: "test".into(),
                policy: self.policy.into(),
                seed: 7,
                regions: (0..count).map(|i| format!("r{i}")).collect(),
                replicas: stations.iter().map(|s| (s.name.clone(), s.region)).collect(),
                origins: Vec::new(),
            },
            replicas: stations,
            zones: Vec::new(),
            network: self.network(),
            routers: vec![RouterSetup {
                region: RegionId(0),
                config: RouterConfig { block_tokens: source.block_tokens(), ..self.router },
                policy: self.policy(),
            }],
            geo_proxy: None,
            outages: self.outages.clone(),
            failures: self.failures,
            connect: self.connect,
            decision_time: Nanos::ZERO,
            serial_decisions: false,
            relay_time_per_token: Nanos::ZERO,
            tuner: None,
            probe_interval: None,
            scrape_interval: None,
            source,
            client: Default::default(),
            measure: MeasureSpec { records, ..MeasureSpec::default() },
            options: RunOptions::default(),
        }
    }
}

/// Requests at given times, all from inside region `r0`.
pub struct Listed {
    requests: VecDeque<(Nanos, Request)>,
    origins: [Origin; 1],
    block_tokens: u32,
}

impl Listed {
    pub fn new(requests: Vec<(Nanos, Request)>) -> Self {
        let block_tokens = requests.first().map_or(16, |(_, r)| r.prompt.block_tokens());
        let origin = Origin { region: Some("r0".into()), ..Origin::default() };
        Self { requests: requests.into(), origins: [origin], block_tokens }
    }
}

impl Source for Listed {
    fn next_due(&mut self) -> Result<Due, WorkloadError> {
        Ok(self.requests.front().map_or(Due::End, |(at, _)| Due::At(*at)))
    }
    fn take(&mut self) -> Result<(Nanos, Request), WorkloadError> {
        let (at, mut request) = self.requests.pop_front().expect("a request is due");
        request.origin = OriginId(0);
        Ok((at, request))
    }
    fn origins(&self) -> &[Origin] {
        &self.origins
    }
    fn size_hint(&self) -> Option<u64> {
        Some(self.requests.len() as u64)
    }
    fn block_tokens(&self) -> u32 {
        self.block_tokens
    }
}
