//! An emulator from its start to its end.

use crate::clock::Clock;
use crate::control::{Control, serve_control};
use crate::error::EmulatorError;
use crate::fault::{Fault, Health};
use crate::host::{Served, host, listen};
use crate::inventory::{Inventory, InventoryReplica};
use crate::kv_events::publish;
use crate::lateness::Lateness;
use crate::line::Line;
use crate::options::{KvEvents, Links, Options, TimeZero};
use crate::relay::{Relay, relay};
use crate::station::Station;
use crate::timer::TimerHandle;
use crate::timing::{Keeper, Timing, keepers};
use crate::tun::{Device, Ways};
use crate::wire::Wires;
use gorgo_model::Network;
use gorgo_random::{Key, Purpose};
use gorgo_scenario::{LoadSpec, Outage, ReplicaSpec, Resolved};
use gorgo_types::{Nanos, RegionId};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use zeromq::{PubSocket, Socket};

/// Where a replica is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaAddress {
    /// Its name in the fleet.
    pub name: String,
    /// Its region.
    pub region: String,
    /// Its own port, without delay.
    pub direct: SocketAddr,
    /// How much it is meant to bear against the others, from 1.
    pub weight: u32,
    /// The links to it.
    pub links: Vec<LinkAddress>,
    /// Where its KV events are published, as ZMQ names it; none: nowhere.
    pub kv_events: Option<String>,
}

/// A link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkAddress {
    /// The region that it starts in.
    pub from: String,
    /// Where it is reached.
    pub address: SocketAddr,
}

impl ReplicaAddress {
    /// Where it is reached from a region: over the link, or directly where there is none.
    #[must_use]
    pub fn from_region(&self, region: &str) -> SocketAddr {
        let link = self.links.iter().find(|link| link.from == region);
        link.map_or(self.direct, |link| link.address)
    }
}

/// How an emulator did.
#[derive(Clone, Debug)]
pub struct Report {
    /// How late the kernel had taken tokens that were due.
    pub tokens: Arc<Lateness>,
    /// How late the kernel had taken what had arrived over a link; what a replica or a relay was late with before counts.
    pub links: Arc<Lateness>,
    /// The threads that keep time.
    pub timing: Timing,
}

/// An emulator that runs. Dropped, it ends too, but without waiting.
pub struct Running {
    replicas: Vec<ReplicaAddress>,
    router_region: String,
    block_tokens: u32,
    control: SocketAddr,
    state: Arc<Control>,
    report: Report,
    tasks: JoinSet<()>,
    keepers: Vec<Keeper>,
}

/// Ports one after the other, or whatever is free.
struct Ports {
    options: Options,
    next: Option<u16>,
}

impl Ports {
    fn next(&mut self) -> Result<SocketAddr, EmulatorError> {
        let Some(port) = self.next else { return Ok(SocketAddr::new(self.options.host, 0)) };
        self.next = port.checked_add(1);
        if self.next.is_none() {
            return Err(EmulatorError::Option {
                option: "port_base",
                got: self.options.port_base.unwrap_or(0).to_string(),
                wanted: "room for all ports below 65535".to_owned(),
            });
        }
        Ok(SocketAddr::new(self.options.host, port))
    }
}

/// Serves a scenario's fleet on the caller's runtime, until [`Running::shutdown`].
///
/// # Errors
/// When an option names what is not there, a port is taken, or the scenario's files cannot be read.
pub async fn start(scenario: &Resolved, options: Options) -> Result<Running, EmulatorError> {
    let block_tokens = block_tokens(scenario, &options)?;
    let chosen = chosen(scenario, &options)?;
    let network = Arc::new(scenario.network_with_series()?);
    let clock = Clock::start();
    let (keepers, timing) = keepers(&clock, options.priority, chosen.len())
        .map_err(|source| EmulatorError::System { what: "the threads that keep time", source })?;
    // A replica and its relays have one thread; packets, if any, the last.
    let keeper = |index: usize| &keepers[index % keepers.len()];
    let (first, last) = (keeper(0), keeper(keepers.len() - 1));
    let device = last.within(|| device(&options))?;
    let report = Report { tokens: Arc::default(), links: Arc::default(), timing };
    let zero_set = Arc::new(Notify::new());
    let mut ports = Ports { next: options.port_base, options: options.clone() };
    let mut tasks = JoinSet::new();
    let mut replicas = Vec::new();
    let mut all = Vec::new();
    let mut wires = Vec::new();
    for (place, (_, replica)) in chosen.iter().enumerate() {
        let keeper = keeper(place);
        let engine = options.engines.iter().find(|(name, _)| *name == replica.name);
        let direct = match engine {
            Some((_, address)) => {
                wires.push(None);
                *address
            }
            None => {
                let served =
                    served(replica, &options, block_tokens, &clock, keeper, &report, &zero_set)?;
                wires.push(Some(served.wires.clone()));
                let mut at = ports.next()?;
                if let Some(device) = &device {
                    at.set_ip(device.here());
                }
                let what = format!("replica `{}`", replica.name);
                let (listener, direct) = keeper.within(|| listen(&what, at))?;
                tasks.spawn_on(host(Arc::clone(&served), listener, direct), keeper.runtime());
                all.push(served);
                direct
            }
        };
        let region = scenario.regions[replica.region.index()].name.clone();
        replicas.push(ReplicaAddress {
            name: replica.name.clone(),
            region,
            direct,
            weight: replica.weight,
            links: Vec::new(),
            kv_events: None,
        });
    }
    let links = Lines { scenario, network: &network, clock: &clock };
    if let Some(device) = device {
        let ways = links.over(&device, &chosen, &mut replicas)?;
        let lateness = Arc::clone(&report.links);
        let ways = Ways::new(device, ways, clock.clone(), last.timer(), lateness);
        tasks.spawn_on(ways.carry(), last.runtime());
    }
    if let Links::Relay(set_up) = options.links {
        for (place, ((index, replica), address)) in chosen.iter().zip(&mut replicas).enumerate() {
            let keeper = keeper(place);
            for from in scenario.router.all_regions() {
                let name = scenario.regions[from.index()].name.clone();
                let (what, at) =
                    (format!("the link from `{name}` to `{}`", replica.name), ports.next()?);
                let (listener, at) = keeper.within(|| listen(&what, at))?;
                let relayed = Relay {
                    line: links.line(*index, replica, from),
                    set_up,
                    target: address.direct,
                    timer: keeper.timer(),
                    wires: wires[place].clone(),
                    lateness: Arc::clone(&report.links),
                };
                tasks.spawn_on(relay(Arc::new(relayed), listener), keeper.runtime());
                address.links.push(LinkAddress { from: name, address: at });
            }
        }
    }
    if let Some(form) = &options.kv_events {
        for served in &all {
            let name = served.station.name();
            let Some(address) = replicas.iter_mut().find(|replica| replica.name == name) else {
                continue;
            };
            let (socket, endpoint) = kv_socket(form, &address.name, &mut ports).await?;
            let (to, events) = mpsc::unbounded_channel();
            served.station.publish(block_tokens, to);
            tasks.spawn(publish(socket, events));
            address.kv_events = Some(endpoint);
        }
    }
    let outages = outages(scenario, &chosen, &all)?;
    let state = Arc::new(Control {
        served: all,
        replicas: replicas.clone(),
        clock: clock.clone(),
        zero_set: Arc::clone(&zero_set),
        report: report.clone(),
        token: options.control_token.clone(),
    });
    let runtime = first.runtime();
    tasks.spawn_on(play_outages(outages, Arc::clone(&state), first.timer()), runtime);
    let at = ports.next()?;
    let (listener, control) = first.within(|| listen("the control port", at))?;
    tasks.spawn_on(serve_control(Arc::clone(&state), listener), runtime);
    if options.time_zero == TimeZero::Start {
        state.start_events();
    }
    let router_region = scenario.regions[scenario.router.region.index()].name.clone();
    Ok(Running { replicas, router_region, block_tokens, control, state, report, tasks, keepers })
}

/// A socket for a replica's KV events, and where it is.
async fn kv_socket(
    form: &KvEvents,
    name: &str,
    ports: &mut Ports,
) -> Result<(PubSocket, String), EmulatorError> {
    let wanted = match form {
        KvEvents::Tcp => format!("tcp://{}", ports.next()?),
        KvEvents::Ipc(folder) => format!("ipc://{}", folder.join(format!("{name}.kv")).display()),
    };
    let mut socket = PubSocket::new();
    let bound = socket.bind(&wanted).await.map_err(|problem| EmulatorError::KvEvents {
        endpoint: wanted.clone(),
        problem: problem.to_string(),
    })?;
    Ok((socket, bound.to_string()))
}

/// The replicas that are asked for, with their number in the fleet.
fn chosen<'a>(
    scenario: &'a Resolved,
    options: &Options,
) -> Result<Vec<(usize, &'a ReplicaSpec)>, EmulatorError> {
    let known = || scenario.replicas.iter().map(|replica| replica.name.as_str());
    for name in &options.only {
        if !known().any(|known| known == name) {
            return Err(EmulatorError::Option {
                option: "replica",
                got: format!("`{name}`"),
                wanted: format!("one of {}", known().collect::<Vec<_>>().join(", ")),
            });
        }
    }
    let mut named: Vec<&String> = Vec::new();
    for (name, address) in &options.engines {
        let is_there = known().any(|known| known == name)
            && (options.only.is_empty() || options.only.contains(name));
        if !is_there || named.contains(&name) {
            return Err(EmulatorError::Option {
                option: "engine",
                got: format!("`{name}` at {address}"),
                wanted: "one address for a replica that is served".to_owned(),
            });
        }
        named.push(name);
    }
    let wanted =
        |replica: &&ReplicaSpec| options.only.is_empty() || options.only.contains(&replica.name);
    let all = scenario.replicas.iter().enumerate();
    Ok(all.filter(|(_, replica)| wanted(replica)).collect())
}

fn block_tokens(scenario: &Resolved, options: &Options) -> Result<u32, EmulatorError> {
    if let Some(tokens) = options.block_tokens {
        return Ok(tokens.get());
    }
    let problem =
        |error: &dyn std::fmt::Display| EmulatorError::Workload { problem: error.to_string() };
    let requests = scenario.requests().map_err(|error| problem(&error))?;
    // When requests come does not matter, and a sweep of loads has no source of its own.
    let source = requests.under(LoadSpec::Own).source().map_err(|error| problem(&error))?;
    Ok(source.block_tokens())
}

fn served(
    replica: &ReplicaSpec,
    options: &Options,
    block_tokens: u32,
    clock: &Clock,
    keeper: &Keeper,
    report: &Report,
    zero_set: &Arc<Notify>,
) -> Result<Arc<Served>, EmulatorError> {
    let (name, config) = (&replica.name, replica.config.clone());
    let station =
        Station::new(name, config, replica.overhead, clock.clone(), keeper.timer(), options.record)
            .map_err(|source| EmulatorError::Replica { name: name.clone(), source })?;
    Ok(Arc::new(Served {
        station,
        health: Arc::new(Health::default()),
        lateness: Arc::clone(&report.tokens),
        wires: Wires::default(),
        elsewhere: Handle::current(),
        model: options.model.clone(),
        engine_metrics: options.engine_metrics,
        block_tokens,
        tokens_per_chunk: options.tokens_per_chunk.get(),
        time_zero: options.time_zero,
        zero_set: Arc::clone(zero_set),
        started: crate::body::unix_seconds(),
        requests: AtomicU64::new(0),
        faults: AtomicU64::new(0),
        up: watch::Sender::new(true),
    }))
}

/// The device, where links are one's.
fn device(options: &Options) -> Result<Option<Device>, EmulatorError> {
    let Links::Tun(network) = options.links else { return Ok(None) };
    if !options.host.is_loopback() {
        return Err(EmulatorError::Option {
            option: "host",
            got: format!("{} with links over a device", options.host),
            wanted: "none: replicas listen on the device's own address".to_owned(),
        });
    }
    Device::open(network).map(Some)
}

/// What all links have in common.
struct Lines<'a> {
    scenario: &'a Resolved,
    network: &'a Arc<Network>,
    clock: &'a Clock,
}

impl Lines<'_> {
    /// The links over a device, each at its address, which the replicas are told.
    fn over(
        &self,
        device: &Device,
        chosen: &[(usize, &ReplicaSpec)],
        replicas: &mut [ReplicaAddress],
    ) -> Result<Vec<(SocketAddr, Line)>, EmulatorError> {
        let mut ways = Vec::new();
        for (&(index, replica), told) in chosen.iter().zip(replicas) {
            for from in self.scenario.router.all_regions() {
                let address = SocketAddr::new(device.far(ways.len())?, told.direct.port());
                ways.push((address, self.line(index, replica, from)));
                let from = self.scenario.regions[from.index()].name.clone();
                told.links.push(LinkAddress { from, address });
            }
        }
        Ok(ways)
    }

    fn line(&self, index: usize, replica: &ReplicaSpec, from: RegionId) -> Line {
        let key = Key::new(self.scenario.seed)
            .with(Purpose::EmulatedRtt)
            .word(u64::from(from.0))
            .word(index as u64);
        Line {
            from,
            to: replica.region,
            network: Arc::clone(self.network),
            connect: self.scenario.connect,
            key,
            clock: self.clock.clone(),
        }
    }
}

/// Beginnings and ends of outages by time: when, which of the replicas that are served, whether it is down then.
fn outages(
    scenario: &Resolved,
    chosen: &[(usize, &ReplicaSpec)],
    served: &[Arc<Served>],
) -> Result<Vec<(Nanos, usize, bool)>, EmulatorError> {
    let mut turns = Vec::new();
    for &Outage { replica, from, to } in &scenario.outages {
        let Some((_, down)) = chosen.iter().find(|(number, _)| *number == replica.index()) else {
            continue;
        };
        let Some(index) = served.iter().position(|served| served.station.name() == down.name)
        else {
            return Err(EmulatorError::Option {
                option: "engine",
                got: format!("`{}`, which has an outage in the scenario", down.name),
                wanted: "one that has none: only emulated replicas can crash at a time".to_owned(),
            });
        };
        turns.push((from, index, true));
        turns.push((to, index, false));
    }
    // At one time ends come before beginnings.
    turns.sort_unstable();
    Ok(turns)
}

/// Has replicas crash and come back at their times. Outages of one replica may overlap: the last end counts.
async fn play_outages(turns: Vec<(Nanos, usize, bool)>, control: Arc<Control>, timer: TimerHandle) {
    if turns.is_empty() {
        return;
    }
    let set = control.zero_set.notified();
    tokio::pin!(set);
    // Listening comes before looking, so that nothing is missed in between.
    set.as_mut().enable();
    if control.clock.zero().is_none() {
        set.await;
    }
    let zero = control.clock.zero().unwrap_or(Nanos::ZERO);
    let mut down = vec![0_u32; control.served.len()];
    for (at, index, begins) in turns {
        timer.sleep_until(zero.saturating_add(at)).await;
        let before = down[index];
        down[index] = if begins { before + 1 } else { before.saturating_sub(1) };
        match (before, down[index]) {
            (0, 1) => control.served[index].set_fault(Fault::Crash),
            (1, 0) => control.served[index].set_fault(Fault::None),
            _ => {}
        }
    }
}

impl Running {
    /// The replicas, in the fleet's order.
    #[must_use]
    pub fn replicas(&self) -> &[ReplicaAddress] {
        &self.replicas
    }

    /// The control port.
    #[must_use]
    pub const fn control(&self) -> SocketAddr {
        self.control
    }

    /// The fleet as the scenario's router sees it; of several routers, the first.
    #[must_use]
    pub fn inventory(&self) -> Inventory {
        self.inventory_from(&self.router_region)
    }

    /// The fleet as a router in a region sees it.
    #[must_use]
    pub fn inventory_from(&self, region: &str) -> Inventory {
        let replica = |replica: &ReplicaAddress| InventoryReplica {
            name: replica.name.clone(),
            region: replica.region.clone(),
            weight: replica.weight,
            kv_events: replica.kv_events.clone(),
            url: format!("http://{}", replica.from_region(region)),
        };
        let replicas = self.replicas.iter().map(replica).collect();
        Inventory { region: region.to_owned(), block_tokens: self.block_tokens, replicas }
    }

    /// The scenario's events count from now on, unless they do already.
    pub fn start_events(&self) {
        self.state.start_events();
    }

    /// Breaks a replica, or mends it with [`Fault::None`]; with `lasts` it is mended after that time.
    ///
    /// # Errors
    /// When there is no such replica, or a number of the fault is out of range.
    pub fn set_fault(
        &self,
        replica: &str,
        fault: Fault,
        lasts: Option<Duration>,
    ) -> Result<(), EmulatorError> {
        self.state.set_fault(replica, fault, lasts).map_err(|problem| EmulatorError::Option {
            option: "fault",
            got: format!("{fault:?} of `{replica}`"),
            wanted: problem,
        })
    }

    /// The replica's engine, for what it was told where [`Options::record`] asked for that.
    #[must_use]
    pub fn station(&self, replica: &str) -> Option<&Arc<Station>> {
        let served = self.state.served.iter().find(|served| served.station.name() == replica);
        served.map(|served| &served.station)
    }

    /// How late things have been so far.
    #[must_use]
    pub fn report(&self) -> Report {
        self.report.clone()
    }

    /// Ends everything: when it returns, no task runs and no port is open.
    pub async fn shutdown(self) -> Report {
        let Self { mut tasks, keepers, report, .. } = self;
        tasks.shutdown().await;
        drop(keepers);
        report
    }
}
