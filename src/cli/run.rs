//! `gorgo run`: simulate a scenario.

use crate::exit::{Exit, Failure};
use crate::simulate::{SimulateArgs, simulate};
use gorgo_scenario::Resolved;
use std::path::PathBuf;

/// Arguments of `gorgo run`.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// The scenario file; without it the built-in one, `scenarios/01_three_regions.toml`.
    scenario: Option<PathBuf>,
    #[command(flatten)]
    simulate: SimulateArgs,
}

/// Runs the command.
pub fn run(args: &RunArgs) -> Result<Exit, Failure> {
    let assignments = args.simulate.assignments();
    let scenario = match &args.scenario {
        Some(path) => Resolved::from_file(path, &assignments),
        None => Resolved::built_in(&assignments),
    };
    simulate(scenario.map_err(Failure::input)?, &args.simulate)
}
