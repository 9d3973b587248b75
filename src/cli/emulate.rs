//! `gorgo emulate`: a scenario's fleet as HTTP servers on this machine. The work is `gorgo_emulator`'s.

use crate::exit::{Exit, Failure};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;

/// Arguments of `gorgo emulate`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A control port, which the list of addresses names, breaks and mends replicas:
  curl -d '{\"replica\":\"eastus-0\",\"fault\":\"crash\",\"seconds\":5}' http://127.0.0.1:PORT/emulator/fault
Faults: crash, hang, error (status, share), slow (factor), none. GET /emulator/status tells how late the machine is,
POST /emulator/start begins the scenario's events. src/emulator/README.md has the endpoints."
)]
pub struct EmulateArgs {
    /// The scenario file; without it the built-in one, `scenarios/01_three_regions.toml`.
    scenario: Option<PathBuf>,
    /// Change a value of the scenario: a dotted path that exists there, and a TOML value (repeatable).
    #[arg(long = "set", value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// Serve only this replica of the fleet (repeatable).
    #[arg(long, value_name = "NAME")]
    replica: Vec<String>,
    /// A replica that is an engine of its own, NAME=http://ADDRESS:PORT (repeatable): it is not emulated, but reached over
    /// the scenario's links.
    #[arg(long, value_name = "NAME=URL", value_parser = engine)]
    engine: Vec<(String, SocketAddr)>,
    /// The first port: replicas in the fleet's order, then the relays, then those of KV events, then the control
    /// port [default: free ports].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    port_base: Option<u16>,
    /// The address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    host: IpAddr,
    /// How bytes between the router's region and the replicas are delayed.
    #[arg(long, value_enum, default_value_t = LinksArg::Wan)]
    links: LinksArg,
    /// The network of 2^16 addresses of `--links tun`; nobody else's on this machine.
    #[arg(long, value_name = "ADDRESS", default_value = "198.18.0.0")]
    tun_network: std::net::Ipv4Addr,
    /// Print where the replicas are for a program to read, instead of a list: as the file that `gorgo proxy --config` reads,
    /// or as JSON on one line.
    #[arg(long, value_name = "FORM", value_enum, num_args = 0..=1, default_missing_value = "toml")]
    print_inventory: Option<InventoryForm>,
    /// Whose names /metrics has.
    #[arg(long, value_enum, default_value_t = MetricsArg::Sglang)]
    engine_metrics: MetricsArg,
    /// What the model is called.
    #[arg(long, value_name = "NAME", default_value = "emulated")]
    model: String,
    /// Tokens in one event of a stream.
    #[arg(long, value_name = "N", default_value = "1")]
    tokens_per_chunk: NonZeroU32,
    /// Tokens per block of the caches [default: the workload's].
    #[arg(long, value_name = "N")]
    block_tokens: Option<NonZeroU32>,
    /// Publish what the caches hold, over ZMQ as vLLM does: `tcp` for a port each, or `ipc:DIR` for Unix sockets NAME.kv in
    /// DIR [default: nowhere].
    #[arg(long, value_name = "WHERE", value_parser = kv_events)]
    kv_events: Option<KvEventsArg>,
    /// When the scenario's events begin to count.
    #[arg(long, value_enum, default_value_t = EventsArg::FirstRequest)]
    events: EventsArg,
    /// Whether the threads that keep time ask for real-time priority.
    #[arg(long, value_enum, default_value_t = PriorityArg::Auto)]
    priority: PriorityArg,
    /// A file with the token that callers of the control port must show [default: they must be on this machine].
    #[arg(long, value_name = "FILE")]
    control_token_file: Option<PathBuf>,
    /// End after so many seconds [default: on SIGINT or SIGTERM].
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    seconds: Option<u32>,
}

/// Where KV events are published.
#[derive(Clone, Debug)]
#[cfg_attr(not(feature = "live"), expect(dead_code, reason = "told by either build"))]
enum KvEventsArg {
    Tcp,
    Ipc(PathBuf),
}

fn engine(text: &str) -> Result<(String, SocketAddr), String> {
    let wanted = || "wanted NAME=http://ADDRESS:PORT, the address in numbers".to_owned();
    let (name, url) = text.split_once('=').ok_or_else(wanted)?;
    let address = url.strip_prefix("http://").unwrap_or(url).trim_end_matches('/');
    let address = address.parse().map_err(|_| wanted())?;
    if name.is_empty() { Err(wanted()) } else { Ok((name.to_owned(), address)) }
}

fn kv_events(text: &str) -> Result<KvEventsArg, String> {
    match text.strip_prefix("ipc:") {
        Some(folder) if !folder.is_empty() => Ok(KvEventsArg::Ipc(folder.into())),
        None if text == "tcp" => Ok(KvEventsArg::Tcp),
        _ => Err("wanted tcp or ipc:DIR".to_owned()),
    }
}

/// How the inventory is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum InventoryForm {
    /// A proxy's configuration.
    Toml,
    /// One line of JSON.
    Json,
}

/// How bytes are delayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum LinksArg {
    /// By the scenario's round trips, and one more for a new connection.
    Wan,
    /// By the scenario's round trips; a new connection costs what [network.connect] says.
    Scenario,
    /// By the scenario's round trips, packet by packet through a TUN device: TCP's own handshake, slow start and
    /// acknowledgements travel. Linux, with the right to make one.
    Tun,
    /// Not at all.
    None,
}

/// Whose metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum MetricsArg {
    /// SGLang's.
    Sglang,
    /// vLLM's.
    Vllm,
}

/// Before whom the threads that keep time go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum PriorityArg {
    /// Before all others where the system allows it (root, CAP_SYS_NICE, or ulimit -r above 0): they sleep most of the time.
    Auto,
    /// They wait like all others.
    Normal,
}

/// When events begin to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum EventsArg {
    /// With the first request that reaches a replica.
    FirstRequest,
    /// With the emulator.
    Start,
    /// When the control port is told.
    OnCall,
}

#[cfg(not(feature = "live"))]
pub fn emulate(_: &EmulateArgs) -> Result<Exit, Failure> {
    Err(Failure::lacks_live("emulate"))
}

/// Runs the command.
#[cfg(feature = "live")]
pub fn emulate(args: &EmulateArgs) -> Result<Exit, Failure> {
    use gorgo_scenario::Resolved;
    let scenario = match &args.scenario {
        Some(path) => Resolved::from_file(path, &args.set),
        None => Resolved::built_in(&args.set),
    };
    let scenario = scenario.map_err(Failure::input)?;
    let options = args.options()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(Failure::failed)?.block_on(args.serve(&scenario, options))
}

#[cfg(feature = "live")]
impl EmulateArgs {
    fn options(&self) -> Result<gorgo_emulator::Options, Failure> {
        use gorgo_emulator::{EngineMetrics, Links, Options, Priority, SetUp, TimeZero};
        let read = |path: &PathBuf| {
            let text = std::fs::read_to_string(path)
                .map_err(|error| Failure::input(format!("{}: {error}", path.display())))?;
            match text.trim() {
                "" => {
                    Err(Failure::input(format!("{}: got nothing, wanted a token", path.display())))
                }
                token => Ok(token.to_owned()),
            }
        };
        Ok(Options {
            host: self.host,
            port_base: self.port_base,
            only: self.replica.clone(),
            engines: self.engine.clone(),
            links: match self.links {
                LinksArg::Wan => Links::Relay(SetUp::Wan),
                LinksArg::Scenario => Links::Relay(SetUp::Scenario),
                LinksArg::Tun => Links::Tun(self.tun_network),
                LinksArg::None => Links::None,
            },
            model: self.model.clone(),
            engine_metrics: match self.engine_metrics {
                MetricsArg::Sglang => EngineMetrics::Sglang,
                MetricsArg::Vllm => EngineMetrics::Vllm,
            },
            tokens_per_chunk: self.tokens_per_chunk,
            block_tokens: self.block_tokens,
            kv_events: self.kv_events.as_ref().map(|form| match form {
                KvEventsArg::Tcp => gorgo_emulator::KvEvents::Tcp,
                KvEventsArg::Ipc(folder) => gorgo_emulator::KvEvents::Ipc(folder.clone()),
            }),
            time_zero: match self.events {
                EventsArg::FirstRequest => TimeZero::FirstRequest,
                EventsArg::Start => TimeZero::Start,
                EventsArg::OnCall => TimeZero::OnCall,
            },
            priority: match self.priority {
                PriorityArg::Auto => Priority::Auto,
                PriorityArg::Normal => Priority::Normal,
            },
            control_token: self.control_token_file.as_ref().map(read).transpose()?,
            record: false,
        })
    }

    async fn serve(
        &self,
        scenario: &gorgo_scenario::Resolved,
        options: gorgo_emulator::Options,
    ) -> Result<Exit, Failure> {
        let running = gorgo_emulator::start(scenario, options).await.map_err(Failure::input)?;
        match self.print_inventory {
            Some(InventoryForm::Toml) => print!("{}", running.inventory().to_toml()),
            Some(InventoryForm::Json) => {
                println!(
                    "{}",
                    serde_json::to_string(&running.inventory()).map_err(Failure::failed)?
                );
            }
            None => print_addresses(&running),
        }
        self.wait().await?;
        let report = running.shutdown().await;
        eprintln!("tokens: {}\nlinks: {}", report.tokens.in_words(), report.links.in_words());
        eprintln!("{}", report.timing.in_words());
        Ok(Exit::Ok)
    }

    /// Until the time is over or somebody says so.
    async fn wait(&self) -> Result<(), Failure> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminated = signal(SignalKind::terminate()).map_err(Failure::failed)?;
        let over = async {
            match self.seconds {
                Some(s) => tokio::time::sleep(std::time::Duration::from_secs(s.into())).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = over => Ok(()),
            _ = terminated.recv() => Ok(()),
            interrupted = tokio::signal::ctrl_c() => interrupted.map_err(Failure::failed),
        }
    }
}

/// One line for each way to each replica.
#[cfg(feature = "live")]
fn print_addresses(running: &gorgo_emulator::Running) {
    let name = running.replicas().iter().map(|r| r.name.len()).max().unwrap_or(0);
    let region = running.replicas().iter().map(|r| r.region.len()).max().unwrap_or(0);
    for replica in running.replicas() {
        print!("{:name$}  {:region$}  http://{}", replica.name, replica.region, replica.direct);
        for link in &replica.links {
            print!("  from {}: http://{}", link.from, link.address);
        }
        if let Some(endpoint) = &replica.kv_events {
            print!("  KV events: {endpoint}");
        }
        println!();
    }
    println!("control: http://{}", running.control());
}
