//! From a resolved scenario to the setup of one policy's run.

use crate::error::SimError;
use crate::setup::{RouterSetup, RunOptions, Setup, StationSetup};
use crate::world::World;
use gorgo_metrics::{
    ErrorLimit, FleetNames, MeasureSpec, Prices, Records, ReplicaPrice, RunResult,
};
use gorgo_routing::{IndexBound, Reach, RegionReach, RouterConfig};
use gorgo_scenario::{self as from, PolicySpec, Resolved, RouterSpec};
use gorgo_types::{RegionId, ZoneId};
use gorgo_workload::Source;

/// Which policy of a scenario to run, and on which requests.
pub struct PolicyRun<'a> {
    /// The scenario.
    pub scenario: &'a Resolved,
    /// Index of the policy in the scenario's list.
    pub policy: usize,
    /// The requests.
    pub source: Box<dyn Source>,
    /// How the run is watched and bent.
    pub options: RunOptions<'a>,
}

/// Runs one policy of a scenario.
///
/// # Errors
/// As [`World::new`] and [`World::run`].
pub fn run_policy(run: PolicyRun<'_>) -> Result<RunResult, SimError> {
    let prices = prices(run.scenario);
    let mut result = World::new(setup_of(run)?)?.run()?;
    result.charge(&prices);
    Ok(result)
}

/// The setup of one policy's run.
///
/// # Errors
/// When the policy refuses its parameters.
pub fn setup_of(run: PolicyRun<'_>) -> Result<Setup<'_>, SimError> {
    let PolicyRun { scenario, policy, source, options } = run;
    let spec = &scenario.router.policies[policy];
    let router = scenario.router.of(spec);
    let names = FleetNames {
        scenario: scenario.name.clone(),
        policy: spec.label.clone(),
        seed: scenario.seed,
        regions: scenario.regions.iter().map(|region| region.name.clone()).collect(),
        replicas: scenario.replicas.iter().map(|r| (r.name.clone(), r.region)).collect(),
        origins: Vec::new(),
    };
    let zones = scenario.zones();
    let zone = |name: &str| zones.iter().position(|zone| zone == name).and_then(ZoneId::from_index);
    let replicas = scenario
        .replicas
        .iter()
        .map(|replica| StationSetup {
            name: replica.name.clone(),
            region: replica.region,
            zone: replica.residency.as_deref().and_then(&zone),
            weight: replica.weight,
            overhead: replica.overhead,
            config: replica.config.clone(),
        })
        .collect();
    Ok(Setup {
        seed: scenario.seed,
        names,
        replicas,
        zones,
        routers: routers(router, spec, source.block_tokens())?,
        geo_proxy: router.per_region.as_ref().and_then(|per_region| per_region.geo_proxy),
        decision_time: router.decision_time,
        serial_decisions: router.serial_decisions,
        relay_time_per_token: router.relay_time_per_token,
        probe_interval: Some(router.probe_interval),
        scrape_interval: Some(router.scrape_interval),
        network: scenario.network_with_series()?,
        outages: scenario.outages.clone(),
        failures: scenario.router.failures,
        connect: scenario.connect,
        tuner: spec.tuner.clone(),
        source,
        client: scenario.client,
        measure: measure_spec(scenario),
        options,
    })
}

/// One router, or one of each region.
fn routers(
    router: &RouterSpec,
    policy: &PolicySpec,
    block_tokens: u32,
) -> Result<Vec<RouterSetup>, SimError> {
    let regions = match &router.per_region {
        Some(per_region) => per_region.regions.clone(),
        None => vec![router.region],
    };
    let setup = |region| {
        let config = router_config(router, region, block_tokens);
        Ok(RouterSetup { region, config, policy: policy.build()? })
    };
    regions.into_iter().map(setup).collect()
}

fn router_config(router: &RouterSpec, region: RegionId, block_tokens: u32) -> RouterConfig {
    let regional = router.per_region.as_ref().filter(|per_region| !per_region.reaches_all);
    let reach = regional.map_or(Reach::All, |per_region| {
        Reach::Region(RegionReach {
            region,
            max_hops: per_region.max_hops,
            local_first: per_region.local_first,
            may_wait: per_region.may_wait,
        })
    });
    RouterConfig {
        rtt_ewma_alpha: router.rtt_ewma_alpha,
        learn_at: router.learn_at,
        release_at: router.release_at,
        index: match router.index {
            from::IndexSpec::Unbounded => IndexBound::Unbounded,
            from::IndexSpec::EndTagged => IndexBound::EndTagged,
            from::IndexSpec::Lru { capacity_tokens_per_replica } => {
                IndexBound::Lru { capacity_tokens_per_replica }
            }
        },
        max_in_flight_per_replica: router.max_in_flight_per_replica,
        max_queue: router.max_queue,
        queue_timeout: router.queue_timeout,
        learn_output: router.learn_output,
        reach,
        serial_queue: router.serial_queue,
        queue_interval: router.queue_interval,
        health: None,
        block_tokens,
    }
}

fn measure_spec(scenario: &Resolved) -> MeasureSpec {
    let measure = &scenario.measure;
    MeasureSpec {
        warm_up: measure.warm_up,
        warm_up_requests: measure.warm_up_requests,
        stop: measure.stop,
        stop_after_requests: measure.stop_after_requests,
        max_errors: measure.max_error_share.map(|share| {
            // As many as make the share, in doubt more.
            let errors = (share * f64::from(measure.error_window)).ceil().max(1.0) as u32;
            ErrorLimit { errors, window: measure.error_window }
        }),
        drain: measure.drain,
        slo_ttft: measure.slo_ttft,
        slo_tpot: measure.slo_tpot,
        slo_e2e: measure.slo_e2e,
        records: match measure.records {
            from::Records::Auto => Records::Auto,
            from::Records::Always => Records::Always,
            from::Records::Never => Records::Never,
        },
        timeline_step: measure.timeline_step,
        client_holds_back: !scenario.client.is_unlimited(),
    }
}

fn prices(scenario: &Resolved) -> Prices {
    let cost = &scenario.cost;
    let replica = |share: &from::GpuShare| ReplicaPrice {
        gpu: share.gpu.clone(),
        gpus: share.gpus,
        usd_per_gpu_hour: cost.gpu_usd_per_hour.get(&share.gpu).copied(),
    };
    Prices {
        replicas: cost.replicas.iter().map(replica).collect(),
        count_idle: cost.count_idle,
        egress_usd_per_gb: cost.egress_usd_per_gb.clone(),
        internet_usd_per_gb: cost.internet_usd_per_gb.clone(),
        bytes_per_prompt_token: cost.bytes_per_prompt_token,
        bytes_per_output_token: cost.bytes_per_output_token,
    }
}
