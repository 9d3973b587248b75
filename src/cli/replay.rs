//! `gorgo replay`: a recorded trace through a scenario's fleet and policies.

use crate::exit::{Exit, Failure};
use crate::simulate::{SimulateArgs, simulate};
use gorgo_scenario::{ReplayTrace, Resolved};
use std::path::PathBuf;

/// Arguments of `gorgo replay`.
#[derive(Debug, clap::Args)]
pub struct ReplayArgs {
    /// The trace, of any kind that `gorgo trace info` knows; plain, gzip or zstd.
    trace: PathBuf,
    /// The scenario whose fleet, network, router and policies serve it [default: the built-in one].
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
    /// Replay this many times faster.
    #[arg(long, value_name = "X")]
    speedup: Option<f64>,
    /// Replay only the requests recorded in A..B of the trace's time, for example 10min..40min.
    #[arg(long, value_name = "A..B")]
    window: Option<String>,
    #[command(flatten)]
    simulate: SimulateArgs,
}

/// Runs the command.
pub fn replay(args: &ReplayArgs) -> Result<Exit, Failure> {
    let trace = ReplayTrace {
        path: args.trace.clone(),
        speedup: args.speedup,
        window: args.window.clone(),
    };
    let assignments = args.simulate.assignments();
    let scenario = Resolved::for_replay(args.scenario.as_deref(), &trace, &assignments);
    simulate(scenario.map_err(Failure::input)?, &args.simulate)
}
