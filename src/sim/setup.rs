//! What a run is made of before it starts, and the totals of its replicas after it has ended.

use crate::error::SimError;
use crate::site::Ingress;
use crate::world::{Station, World};
use gorgo_metrics::{FleetNames, MeasureSpec, OriginLeg, ReplicaSummary, TunerSummary};
use gorgo_model::network::Connect;
use gorgo_model::{Engine, Femtos, Network, ReplicaConfig};
use gorgo_routing::tuner::{TuneStep, TunerConfig};
use gorgo_routing::{Policy, Router, RouterConfig, RoutingRequest, Target};
use gorgo_scenario::{FailureSpec, Outage};
use gorgo_types::{Nanos, Origin, RegionId, ReplicaId, RequestId, ZoneId};
use gorgo_workload::info::origin_name;
use gorgo_workload::{ClientSpec, Source};

/// Sees every decision: time, request, draw, the router (with its signals and the decision), and where the request
/// goes in fact, which differs from the decision where one was forced.
pub type Observer<'a> = dyn FnMut(Nanos, &RoutingRequest<'_>, u64, &Router, Target) + 'a;

/// Sees every step of the tuner of the policy's weights.
pub type TuneObserver<'a> = dyn FnMut(&TuneStep) + 'a;

/// A replica and its place.
#[derive(Clone, Debug)]
pub struct StationSetup {
    /// Its name.
    pub name: String,
    /// Its region.
    pub region: RegionId,
    /// The zone whose requests it may serve beside those without one: an index into [`Setup::zones`].
    pub zone: Option<ZoneId>,
    /// How much it is meant to bear against the others, from 1 to [`gorgo_routing::MAX_WEIGHT`].
    pub weight: u32,
    /// Time of a request between its arrival and the scheduler: HTTP, tokenizer, IPC.
    pub overhead: Nanos,
    /// The engine.
    pub config: ReplicaConfig,
}

/// A router and its place.
#[derive(Debug)]
pub struct RouterSetup {
    /// Its region.
    pub region: RegionId,
    /// Its configuration.
    pub config: RouterConfig,
    /// Its policy.
    pub policy: Box<dyn Policy>,
}

/// How a run is watched and bent.
#[derive(Default)]
pub struct RunOptions<'a> {
    /// Sends this request to this replica, whatever the policy says: the building block of regret.
    pub forced: Option<(RequestId, ReplicaId)>,
    /// Sees every decision.
    pub observer: Option<&'a mut Observer<'a>>,
    /// Sees every step of the tuner.
    pub tuning: Option<&'a mut TuneObserver<'a>>,
    /// Hears now and then how many requests have ended.
    pub progress: Option<&'a dyn Fn(u64)>,
    /// Verifies every replica's books after each of its wakes, at a cost.
    pub check: bool,
}

/// Everything a run needs.
pub struct Setup<'a> {
    /// Seed of every draw.
    pub seed: u64,
    /// Names for the result.
    pub names: FleetNames,
    /// The replicas, in the fleet's order.
    pub replicas: Vec<StationSetup>,
    /// The names of the fleet's zones; without any, what zones requests are bound to is not asked.
    pub zones: Vec<String>,
    /// Links between regions.
    pub network: Network,
    /// The routers, at least one.
    pub routers: Vec<RouterSetup>,
    /// Where all requests pass a machine that sends each to the router nearest to its client; none: clients send to
    /// that router themselves.
    pub geo_proxy: Option<RegionId>,
    /// When replicas are down.
    pub outages: Vec<Outage>,
    /// What happens when an attempt fails.
    pub failures: FailureSpec,
    /// What opening a connection costs; `None`: connections are always open.
    pub connect: Option<Connect>,
    /// What tunes the weights of each router's policy; none: they stay.
    pub tuner: Option<TunerConfig>,
    /// Time the router takes to decide on a request.
    pub decision_time: Nanos,
    /// Whether it takes that time for one request after the other.
    pub serial_decisions: bool,
    /// What passing on a token takes of the same time.
    pub relay_time_per_token: Nanos,
    /// Time between rounds of RTT probes; `None` leaves the router with what the first round told it.
    pub probe_interval: Option<Nanos>,
    /// Time between rounds of metric scrapes; `None` likewise.
    pub scrape_interval: Option<Nanos>,
    /// The requests.
    pub source: Box<dyn Source>,
    /// What the client that sends them can hold.
    pub client: ClientSpec,
    /// What is measured.
    pub measure: MeasureSpec,
    /// How the run is watched and bent.
    pub options: RunOptions<'a>,
}

impl Setup<'_> {
    pub(crate) fn stations(&self) -> Result<Vec<Station>, SimError> {
        let replicas = &self.replicas;
        replicas
            .iter()
            .map(|replica| {
                let engine = Engine::new(replica.config.clone()).map_err(|source| {
                    SimError::Replica { name: replica.name.clone(), source: Box::new(source) }
                })?;
                Ok(Station {
                    name: replica.name.clone(),
                    region: replica.region,
                    overhead: replica.overhead,
                    engine,
                    wake: 0,
                    wake_at: None,
                    down: 0,
                    in_flight: 0,
                    requests: 0,
                })
            })
            .collect()
    }
}

/// As a float of nanoseconds, for averages.
pub(crate) fn as_ns(time: Femtos) -> f64 {
    // Nearly all are short, and 64 bits convert in one instruction. 128 bits take a call, which the compiler would
    // make every time if it saw it here.
    u64::try_from(time.0).map_or_else(|_| long_as_float(time), |fs| fs as f64) / 1e6
}

#[cold]
#[inline(never)]
fn long_as_float(time: Femtos) -> f64 {
    time.0 as f64
}

/// A share in words that many runs have in common.
fn roughly(part: u64, all: u64) -> &'static str {
    match 100 * part / all.max(1) {
        0 => "under 1 %",
        1..10 => "1 to 10 %",
        10..50 => "10 to 50 %",
        _ => "over half",
    }
}

impl World<'_> {
    /// What the reader ought to know of times that no measurement covers.
    pub(crate) fn extrapolation_warning(&self) -> Option<String> {
        let totals = self.stations.iter().map(|station| station.engine.totals());
        let [mut prefill, mut prefills, mut decode, mut decodes] = [0_u64; 4];
        for totals in totals {
            prefill += totals.extrapolated_prefill_batches;
            prefills += totals.prefill_batches;
            decode += totals.extrapolated_decode_steps;
            decodes += totals.decode_steps;
        }
        let parts = [(prefill, prefills, "prefill batches"), (decode, decodes, "decode steps")];
        let said: Vec<String> = parts
            .iter()
            .filter(|(part, ..)| *part > 0)
            .map(|(part, all, what)| format!("{} of the {what}", roughly(*part, *all)))
            .collect();
        (!said.is_empty()).then(|| {
            format!(
                "{} lie beyond what their GPU profile was measured on: their times are extrapolated",
                said.join(" and ")
            )
        })
    }

    /// What the reader ought to know of requests that are bound to zones, where the fleet has none.
    pub(crate) fn residency_warning(&self) -> Option<String> {
        let origins = self.client.source().origins();
        let bound = self.zones.is_empty() && origins.iter().any(|o| o.residency.is_some());
        bound.then(|| {
            "requests are bound to zones (residency), but no replica of the fleet stands in one: they went anywhere"
                .to_owned()
        })
    }

    /// What the tuner came to, where there was one; of several routers the first one's.
    pub(crate) fn tuner_summary(&self) -> Option<TunerSummary> {
        let tuner = self.sites.first()?.router.tuner()?;
        let by_name =
            |values: &[f64]| tuner.names().iter().cloned().zip(values.iter().copied()).collect();
        let (steps, accepted) = tuner.steps();
        Some(TunerSummary {
            strategy: tuner.strategy().to_owned(),
            steps,
            accepted,
            start: by_name(tuner.start()),
            weights: by_name(tuner.best()),
        })
    }

    /// The ways of the origins that have sent something, in their order.
    pub(crate) fn origin_legs(&self) -> Vec<OriginLeg> {
        let origins = self.client.source().origins().iter().zip(&self.ingresses);
        let leg = |(origin, way): (&Origin, &Ingress)| OriginLeg {
            origin: origin_name(origin),
            rtt_p50_ms: way.leg.median.as_ms(),
            how: self.network.leg_in_words(origin, self.sites[way.site as usize].region, &way.leg),
        };
        origins.map(leg).collect()
    }

    /// A replica's totals at the end, its books checked.
    pub(crate) fn station_summary(
        &self,
        index: usize,
        end: Nanos,
    ) -> Result<ReplicaSummary, SimError> {
        let station = &self.stations[index];
        station
            .engine
            .check()
            .map_err(|broken| SimError::Invalid(format!("replica `{}`: {broken}", station.name)))?;
        let totals = station.engine.totals();
        let span_ns = end.0.max(1) as f64;
        let pool_tokens = station.engine.observe(end).kv_pool_tokens.max(1) as f64;
        Ok(ReplicaSummary {
            id: station.name.clone(),
            region: self.network.regions()[station.region.index()].name.clone(),
            requests: station.requests,
            busy_fraction: as_ns(totals.busy()) / span_ns,
            kv_used_mean: as_ns(Femtos(totals.kv_token_time)) / span_ns / pool_tokens,
            evicted_tokens: totals.evicted_tokens(),
            retracted: totals.retracted,
        })
    }
}
