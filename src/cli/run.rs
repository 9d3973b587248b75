//! `gorgo run`: simulate a scenario, once or (`seeds.rs`) under several seeds.

use crate::exit::{Exit, Failure};
use crate::seeds::run_seeds;
use crate::simulate::{SimulateArgs, simulate};
use gorgo_scenario::Resolved;
use std::path::PathBuf;

/// Arguments of `gorgo run`.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// The scenario file; without it the built-in one, `scenarios/01_three_regions.toml`.
    scenario: Option<PathBuf>,
    /// Run it under so many seeds, from --seed on, and tell how sure the numbers are; the folder is a sweep's, for
    /// `gorgo compare`.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000),
        conflicts_with_all = ["no_files", "decisions", "dry_run", "check", "format"])]
    seeds: Option<u32>,
    #[command(flatten)]
    simulate: SimulateArgs,
}

/// Runs the command.
pub fn run(args: &RunArgs) -> Result<Exit, Failure> {
    if let Some(count) = args.seeds {
        return run_seeds(args.scenario.as_deref(), &args.simulate, count);
    }
    let assignments = args.simulate.assignments();
    let scenario = match &args.scenario {
        Some(path) => Resolved::from_file(path, &assignments),
        None => Resolved::built_in(&assignments),
    };
    simulate(scenario.map_err(Failure::input)?, &args.simulate)
}
