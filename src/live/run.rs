//! A live run from a scenario and options to its outcome: every policy, in interleaved rounds, and what rounds have in
//! common.

use crate::balance::Balancer;
use crate::book::Book;
use crate::clock::{Clock, nanos};
use crate::connection::{Endpoint, tls};
use crate::engine::{Engine, Inbox};
use crate::flight::Field;
use crate::options::{ClientLegs, Options, Target};
use crate::pool::pooled;
use crate::prepare::Writer;
use crate::way::Ways;
use crate::{LiveError, probe};
use gorgo_metrics::RunResult;
use gorgo_random::Key;
use gorgo_routing::Router;
use gorgo_scenario::{Requests, Resolved};
use gorgo_sim::{PolicyRun, RunOptions, StationSetup, Stops, setup_of};
use gorgo_types::{Nanos, RegionId, ReplicaId};
use gorgo_workload::Client;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// What a live run came to.
#[derive(Debug)]
pub struct LiveOutcome {
    /// The policies, in the scenario's order. One that an interruption came before is not there.
    pub policies: Vec<PolicyOutcome>,
    /// Whether it was ended early: the last round of each policy may be incomplete or missing.
    pub interrupted: bool,
}

/// What one policy came to.
#[derive(Debug)]
pub struct PolicyOutcome {
    /// Its label.
    pub label: String,
    /// Its rounds, in their order.
    pub rounds: Vec<RunResult>,
    /// Numbers over all rounds. Of a single round that round itself; of several without records, since a request is in
    /// each of them.
    pub pooled: RunResult,
}

impl LiveOutcome {
    /// The pooled results of the policies.
    #[must_use]
    pub fn pooled(&self) -> Vec<RunResult> {
        self.policies.iter().map(|policy| policy.pooled.clone()).collect()
    }

    /// Whether every run kept its times.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        let is_valid = |run: &RunResult| run.summary.live.as_ref().is_none_or(|l| l.is_valid);
        self.policies.iter().flat_map(|policy| &policy.rounds).all(is_valid)
    }
}

/// Runs every policy of a scenario against real URLs, as often as `options.rounds` says: a round of each, then the next.
///
/// On the caller's runtime, which must have a timer and I/O. Dropping it ends the run. Requests, probes and connections
/// are gone when it returns.
///
/// # Errors
/// [`LiveError`]: options that cannot be, a target that nobody listens at, a workload that is malformed, an admin API
/// that refuses.
pub async fn run(scenario: &Resolved, options: &Options) -> Result<LiveOutcome, LiveError> {
    options.check()?;
    // Whoever drops this future wants the run to end.
    let stop = options.stop.child_token();
    let _guard = stop.clone().drop_guard();
    let options = Options { stop, ..options.clone() };
    // What is wrong with names is told before anybody is asked.
    let fleet: Vec<_> = scenario.replicas.iter().map(|r| (r.name.clone(), r.region)).collect();
    places(&options.targets, &fleet)?;
    let requests = scenario.requests()?;
    let endpoints = endpoints(&options)?;
    reach(&endpoints, &options).await?;
    let mut rounds: Vec<Vec<RunResult>> = vec![Vec::new(); scenario.router.policies.len()];
    let mut interrupted = false;
    'all: for round in 1..=options.rounds {
        for (policy, results) in rounds.iter_mut().enumerate() {
            if let Some(admin) = &options.admin {
                let spec = &scenario.router.policies[policy];
                crate::admin::before_run(admin, &options, &endpoints, spec).await?;
            }
            let started = One { scenario, requests: &requests, policy, round, options: &options };
            let (result, stopped) = started.run(&endpoints).await?;
            results.push(result);
            interrupted = stopped;
            if stopped {
                break 'all;
            }
        }
    }
    let labels = scenario.router.policies.iter().map(|policy| policy.label.clone());
    let policies = labels.zip(rounds).filter(|(_, rounds)| !rounds.is_empty());
    let policies = policies.map(|(label, rounds)| {
        let pooled = pooled(&rounds)?;
        Ok(PolicyOutcome { label, rounds, pooled })
    });
    Ok(LiveOutcome { policies: policies.collect::<Result<_, LiveError>>()?, interrupted })
}

/// The targets, ready to be connected to.
fn endpoints(options: &Options) -> Result<Vec<Arc<Endpoint>>, LiveError> {
    let secure = |target: &Target| target.url.scheme_str() == Some("https");
    let any = options.targets.iter().any(secure);
    let tls = if any { Some(tls(options.ca.as_deref())?) } else { None };
    let endpoint = |target: &Target| Endpoint::new(&target.url, tls.as_ref()).map(Arc::new);
    options.targets.iter().map(endpoint).collect()
}

/// Opens a connection to every target, so that a wrong URL is told before anything is sent; the first request finds it
/// open.
async fn reach(endpoints: &[Arc<Endpoint>], options: &Options) -> Result<(), LiveError> {
    for endpoint in endpoints {
        let opened = tokio::time::timeout(options.patience.connect, endpoint.open()).await;
        let problem = match opened {
            Ok(Ok(connection)) => {
                endpoint.give_back(connection);
                continue;
            }
            Ok(Err(problem)) => problem,
            Err(_) => format!("no connection within {:?}", options.patience.connect),
        };
        return Err(LiveError::Unreachable { url: endpoint.name.clone(), problem });
    }
    Ok(())
}

/// One run of one policy.
struct One<'a> {
    scenario: &'a Resolved,
    requests: &'a Requests,
    policy: usize,
    round: u32,
    options: &'a Options,
}

/// What stays of a run's setup: without what only a simulator needs, it can go to another thread.
struct Plan {
    book: Book,
    client: Client,
    ways: Option<Ways>,
    router: Option<Router>,
    stops: Stops,
    probe_every: Option<Nanos>,
    scrape_every: Option<Nanos>,
    key: Key,
    zones: Vec<String>,
    label: String,
}

impl One<'_> {
    async fn run(&self, endpoints: &[Arc<Endpoint>]) -> Result<(RunResult, bool), LiveError> {
        let plan = self.plan()?;
        let options = self.options;
        let clock = Clock::starting_in(options.lead);
        let balancer = plan.router.map(|router| Balancer::new(router, clock, plan.key));
        let field = Arc::new(Field {
            clock,
            options: options.clone(),
            endpoints: endpoints.to_vec(),
            balancer,
        });
        let probes = probe::start(&field, plan.probe_every, plan.scrape_every).await;
        let inbox = Arc::new(Inbox::default());
        let engine = Engine {
            client: plan.client,
            writer: Writer::new(options),
            ways: plan.ways,
            book: plan.book,
            field,
            handle: Handle::current(),
            inbox: Arc::clone(&inbox),
            stops: plan.stops,
            zones: plan.zones,
            policy: plan.label,
            round: self.round,
            state: Default::default(),
        };
        let (tell, told) = oneshot::channel();
        std::thread::Builder::new()
            .name("gorgo-live".to_owned())
            .spawn(move || drop(tell.send(engine.run())))
            .map_err(|error| LiveError::System(format!("a thread for the client: {error}")))?;
        let outcome = told.await;
        probes.stop();
        outcome.map_err(|_| LiveError::System("the client's thread broke off".to_owned()))?
    }

    fn plan(&self) -> Result<Plan, LiveError> {
        let source = self.requests.source()?;
        let run = PolicyRun {
            scenario: self.scenario,
            policy: self.policy,
            source,
            options: RunOptions::default(),
        };
        let setup = setup_of(run)?;
        let places = places(&self.options.targets, &setup.names.replicas)?;
        let key = Key::new(setup.seed);
        let routers: Vec<RegionId> = setup.routers.iter().map(|router| router.region).collect();
        let mut client = Client::new(setup.source, &setup.client)?;
        if let Some(requests) = setup.measure.stop_after_requests {
            client.stop_after(requests);
        }
        let book = Book::new(
            setup.names.clone(),
            setup.measure,
            places.clone().unwrap_or_default(),
            routers[0],
            nanos(self.options.lag_limit),
        );
        let (probe_every, scrape_every) = (setup.probe_interval, setup.scrape_interval);
        let stops = Stops::new(&setup.measure);
        let ways = match self.options.client_legs {
            ClientLegs::Real => None,
            ClientLegs::Emulated => Some(Ways {
                network: setup.network.with_key(key),
                key,
                routers,
                geo_proxy: setup.geo_proxy,
                connect: setup.connect,
                known: Vec::new(),
            }),
        };
        let router =
            places.map(|places| router(setup.routers, &setup.replicas, &places, &setup.tuner));
        Ok(Plan {
            book,
            client,
            ways,
            router: router.transpose()?,
            stops,
            probe_every,
            scrape_every,
            key,
            zones: setup.zones,
            label: setup.names.policy,
        })
    }
}

/// Which replica of the scenario answers at each target; none: there is one target, and it may be a proxy.
fn places(
    targets: &[Target],
    fleet: &[(String, RegionId)],
) -> Result<Option<Vec<ReplicaId>>, LiveError> {
    if let [Target { replica: None, .. }] = targets {
        return Ok(None);
    }
    let known = || {
        let names: Vec<&str> = fleet.iter().map(|(name, _)| name.as_str()).collect();
        names.join(", ")
    };
    let refuse =
        |got: String, wanted: String| Err(LiveError::Option { option: "url", got, wanted });
    let mut places = Vec::with_capacity(targets.len());
    for (at, target) in targets.iter().enumerate() {
        let place = match &target.replica {
            Some(replica) => fleet.iter().position(|(name, _)| name == replica),
            // Unnamed ones are the fleet in its order, if they are as many.
            None => (targets.len() == fleet.len()).then_some(at),
        };
        let Some(place) = place else {
            let wanted = format!("REPLICA=URL, with a replica of the scenario ({})", known());
            return refuse(
                format!("`{}`", target.replica.clone().unwrap_or_else(|| target.url.to_string())),
                wanted,
            );
        };
        let place = ReplicaId(place as u32);
        if places.contains(&place) {
            let name = &fleet[place.index()].0;
            return refuse(format!("two URLs for `{name}`"), "one for each replica".to_owned());
        }
        places.push(place);
    }
    Ok(Some(places))
}

/// The router inside the client: its replicas are the targets, in their order.
fn router(
    routers: Vec<gorgo_sim::RouterSetup>,
    replicas: &[StationSetup],
    places: &[ReplicaId],
    tuner: &Option<gorgo_routing::tuner::TunerConfig>,
) -> Result<Router, LiveError> {
    let refuse = |got: &str, wanted: &str| LiveError::Option {
        option: "url",
        got: got.to_owned(),
        wanted: wanted.to_owned(),
    };
    if tuner.is_some() {
        return Err(refuse("many URLs and a policy with a tuner", "a proxy: it tunes online"));
    }
    let [setup] = <[_; 1]>::try_from(routers).map_err(|_| {
        refuse("many URLs and a router in each region", "one URL of a proxy, or one router")
    })?;
    let at = |place: &ReplicaId| &replicas[place.index()];
    let own = || (0..).map(ReplicaId).zip(places.iter().map(at));
    let fleet: Vec<_> = own().map(|(id, replica)| (id, replica.region)).collect();
    let wrong = |error: gorgo_routing::RoutingError| LiveError::Scenario(error.into());
    let mut router = Router::new(setup.config, setup.policy, &fleet).map_err(wrong)?;
    for (id, replica) in own() {
        router.set_zone(Nanos::ZERO, id, replica.zone).map_err(wrong)?;
        router.set_replica_weight(Nanos::ZERO, id, replica.weight).map_err(wrong)?;
    }
    Ok(router)
}
