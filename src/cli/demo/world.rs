//! The parts of the demo: simulated in one go; or replicas, relays, proxy and client on loopback, from start to end.

use crate::exit::Failure;
use gorgo_emulator::{Inventory, Links, SetUp};
use gorgo_live::{CancellationToken, ClientLegs, Options, Progress, Target};
use gorgo_metrics::RunResult;
use gorgo_proxy::Config;
use gorgo_routing::RouterConfig;
use gorgo_scenario::Resolved;
use gorgo_sim::{PolicyRun, RunOptions, run_policy, setup_of};
use std::io::IsTerminal;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A simulated run, and how long it took.
pub(super) struct Simulated {
    pub result: RunResult,
    pub wall_ms: f64,
}

/// A run over sockets.
pub(super) struct Measured {
    pub result: RunResult,
    /// Whether requests were sent in time.
    pub is_valid: bool,
    /// Whether it was ended from the keyboard.
    pub interrupted: bool,
    /// How late the emulated tokens were, ms: median and 99th percentile.
    pub token_lateness_ms: [f64; 2],
}

fn policy_run<'a>(scenario: &'a Resolved) -> Result<PolicyRun<'a>, Failure> {
    let requests = scenario.requests().map_err(Failure::input)?;
    let source = requests.source().map_err(Failure::input)?;
    Ok(PolicyRun { scenario, policy: 0, source, options: RunOptions::default() })
}

pub(super) fn simulate(scenario: &Resolved) -> Result<Simulated, Failure> {
    let clock = Instant::now();
    let result = run_policy(policy_run(scenario)?)?;
    Ok(Simulated { result, wall_ms: clock.elapsed().as_secs_f64() * 1e3 })
}

/// Starts everything, sends the requests, and ends everything, however it went.
pub(super) async fn measure(scenario: &Resolved, quiet: bool) -> Result<Measured, Failure> {
    // New connections cost what the simulated ones do.
    let links = Links::Relay(SetUp::Scenario);
    let options = gorgo_emulator::Options { links, ..gorgo_emulator::Options::default() };
    let emulator = gorgo_emulator::start(scenario, options).await.map_err(Failure::failed)?;
    let outcome = behind_proxy(scenario, &emulator.inventory(), quiet).await;
    let report = emulator.shutdown().await;
    let mut measured = outcome?;
    let quantile = |share| report.tokens.quantile(share).map_or(0.0, gorgo_types::Nanos::as_ms);
    measured.token_lateness_ms = [0.5, 0.99].map(quantile);
    Ok(measured)
}

async fn behind_proxy(
    scenario: &Resolved,
    fleet: &Inventory,
    quiet: bool,
) -> Result<Measured, Failure> {
    let proxy =
        gorgo_proxy::start(proxy_config(scenario, fleet)?).await.map_err(Failure::failed)?;
    let target = Target::parse(&format!("http://{}", proxy.address())).map_err(Failure::failed);
    let outcome = match target {
        Ok(target) => send(scenario, target, quiet).await,
        Err(failure) => Err(failure),
    };
    proxy.shutdown().await;
    outcome
}

/// The proxy that the scenario's router is: the same policy, parameters and probes.
fn proxy_config(scenario: &Resolved, fleet: &Inventory) -> Result<Config, Failure> {
    let policy = &scenario.router.policies[0];
    let router = scenario.router.of(policy);
    let setup = setup_of(policy_run(scenario)?)?;
    let config: RouterConfig = setup.routers[0].config;
    let mut text = "listen = \"127.0.0.1:0\"\n[log]\ndecision_headers = true\n".to_owned();
    for replica in &fleet.replicas {
        text.push_str(&format!(
            "[[replica]]\nname = {:?}\nregion = {:?}\nurl = {:?}\n",
            replica.name, replica.region, replica.url
        ));
    }
    let mut proxy = Config::parse("demo", &text).map_err(Failure::failed)?;
    proxy.router = config;
    proxy.seed = scenario.seed;
    proxy.policy.name.clone_from(&policy.name);
    let parameters = serde_json::to_value(&policy.parameters).map_err(Failure::failed)?;
    proxy.policy.parameters = parameters.as_object().cloned().unwrap_or_default();
    proxy.tuner.clone_from(&policy.tuner);
    proxy.probe.interval = Some(Duration::from_nanos(router.probe_interval.0));
    proxy.scrape.interval = Some(Duration::from_nanos(router.scrape_interval.0));
    Ok(proxy)
}

async fn send(scenario: &Resolved, target: Target, quiet: bool) -> Result<Measured, Failure> {
    let stop = CancellationToken::new();
    let mut options = Options::new(vec![target]);
    options.emulated = true;
    options.client_legs = ClientLegs::Emulated;
    options.stop = stop.clone();
    if !quiet && std::io::stderr().is_terminal() {
        options.progress = Some(Arc::new(show));
    }
    let watch = tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            stop.cancel();
        }
    });
    let outcome = gorgo_live::run(scenario, &options).await;
    watch.abort();
    let outcome = outcome.map_err(Failure::failed)?;
    let (is_valid, interrupted) = (outcome.is_valid(), outcome.interrupted);
    let policy = outcome.policies.into_iter().next();
    let policy = policy.ok_or_else(|| Failure::failed("the run was ended before it began"))?;
    Ok(Measured { result: policy.pooled, is_valid, interrupted, token_lateness_ms: [0.0; 2] })
}

fn show(progress: &Progress) {
    let ms = |value: Option<f64>| value.map_or("-".to_owned(), |ms| format!("{ms:.0}"));
    eprint!(
        "\r{:>5.1} s  {} sent, {} in flight, {} failed, TTFT P50 {} ms, P99 {} ms    ",
        progress.elapsed_s,
        progress.sent,
        progress.in_flight,
        progress.errors,
        ms(progress.ttft_ms_p50),
        ms(progress.ttft_ms_p99)
    );
}
