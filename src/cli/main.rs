//! The binary `gorgo`: one file per command. This one names the commands and turns their ends into exit codes.

mod calibrate;
mod compare;
mod decisions;
mod definitions;
mod demo;
mod emulate;
mod exit;
mod explain;
mod live;
mod load_sweep;
mod network;
mod profile;
mod profile_import;
mod progress;
mod proxy;
mod replay;
mod reproduce;
mod run;
mod seeds;
mod simulate;
mod sweep;
mod text;
mod threads;
mod trace;
mod trace_import;
mod trace_write;
mod tune;

use clap::{Parser, Subcommand};
use exit::Failure;

/// Simulate, replay and compare routing policies for large language models served across regions.
#[derive(Debug, Parser)]
#[command(name = "gorgo", version, after_help = exit::CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Simulate every policy of a scenario on the same requests; without a scenario, the built-in one.
    Run(run::RunArgs),
    /// Run a recorded trace through a scenario's fleet and policies.
    Replay(replay::ReplayArgs),
    /// Look at traces, convert and generate them.
    #[command(subcommand)]
    Trace(trace::TraceCommand),
    /// Run a scenario under many settings, policies and seeds: stopped, resumed, split and joined as you like.
    #[command(subcommand)]
    Sweep(sweep::SweepCommand),
    /// Find the setting that makes a number small, or the most that a fleet bears.
    Tune(tune::TuneArgs),
    /// Run a paper's experiment: its figures beside ours, with the spread over seeds.
    Reproduce(reproduce::ReproduceArgs),
    /// Set two runs side by side, paired by request, or many by seed; rules that fail a change (`--fail-if`).
    Compare(compare::CompareArgs),
    /// Why one request went where it went, and what the other replicas would have meant.
    Explain(explain::ExplainArgs),
    /// Check recorded routing decisions against a policy.
    #[command(subcommand)]
    Decisions(decisions::DecisionsCommand),
    /// A cost profile from measured requests: live runs, or any with requests.csv.
    Calibrate(calibrate::CalibrateArgs),
    /// How long GPUs take: list, show, plot and import cost profiles.
    #[command(subcommand)]
    Profile(profile::ProfileCommand),
    /// How far regions and clients are from each other, and how that is known.
    #[command(subcommand)]
    Network(network::NetworkCommand),
    /// Serve: a reverse proxy in front of a fleet, with these policies (feature `live`).
    Proxy(proxy::ProxyArgs),
    /// Serve a scenario's fleet over HTTP on this machine, at the times of the model (needs `--features live`).
    Emulate(emulate::EmulateArgs),
    /// Send a scenario's requests to real URLs, with a simulation's records (needs `--features live`).
    Live(live::LiveArgs),
    /// The same requests simulated and over real HTTP, side by side: three emulated regions behind the proxy.
    Demo(demo::DemoArgs),
    /// What every metric means (the same text as `gorgo help metrics`).
    #[command(long_about = definitions::METRICS)]
    Metrics,
}

fn main() -> std::process::ExitCode {
    let result = match Cli::parse().command {
        Command::Run(args) => run::run(&args),
        Command::Replay(args) => replay::replay(&args),
        Command::Trace(command) => trace::trace(&command),
        Command::Sweep(command) => sweep::sweep(&command),
        Command::Tune(args) => tune::tune(&args),
        Command::Reproduce(args) => reproduce::reproduce(&args),
        Command::Compare(args) => compare::compare(&args),
        Command::Explain(args) => explain::explain(&args),
        Command::Decisions(command) => decisions::decisions(&command),
        Command::Calibrate(args) => calibrate::calibrate(&args),
        Command::Profile(command) => profile::profile(&command),
        Command::Network(command) => network::network(&command),
        Command::Proxy(args) => proxy::proxy(&args),
        Command::Emulate(args) => emulate::emulate(&args),
        Command::Live(args) => live::live(&args),
        Command::Demo(args) => demo::demo(&args),
        Command::Metrics => definitions::print(),
    };
    result.unwrap_or_else(Failure::report).into()
}
