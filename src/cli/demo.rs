//! `gorgo demo`: the same requests simulated, and over real HTTP through the proxy to emulated replicas, side by side.
//!
//! Everything runs in this process on free loopback ports, and nothing of it is left at the end. `demo/world.rs` starts and
//! ends the parts, `demo/table.rs` tells what came of it.

#[cfg(feature = "live")]
mod table;
#[cfg(feature = "live")]
mod world;

use crate::exit::{Exit, Failure};
use std::path::PathBuf;

/// The scenario that runs where none is given.
#[cfg(feature = "live")]
const BUILT_IN: &str = include_str!("../../scenarios/06_demo.toml");

/// Arguments of `gorgo demo`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Three emulated GPUs in three regions, relays with the round trips between them, the proxy, a load client:
each a part of its own (`gorgo emulate`, `proxy`, `live`), here in one process."
)]
pub struct DemoArgs {
    /// The scenario file; without it the built-in one, `scenarios/06_demo.toml`.
    scenario: Option<PathBuf>,
    /// How long requests are sent, for each policy.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(2..=3600))]
    seconds: u64,
    /// Run only this policy of the scenario (repeatable) [default: the last one].
    #[arg(long, value_name = "NAME")]
    policy: Vec<String>,
    /// Change a value of the scenario: a dotted path that exists there, and a TOML value (repeatable).
    #[arg(long = "set", value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// What to print.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// No progress and no notes.
    #[arg(long, short)]
    quiet: bool,
}

/// What goes to stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A table for people.
    Table,
    /// Both summaries of each policy, and how far they are apart.
    Json,
}

#[cfg(not(feature = "live"))]
pub fn demo(_: &DemoArgs) -> Result<Exit, Failure> {
    Err(Failure::lacks_live("demo"))
}

/// Runs the command.
#[cfg(feature = "live")]
pub fn demo(args: &DemoArgs) -> Result<Exit, Failure> {
    let scenario = args.scenario()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(Failure::failed)?;
    let mut shown = Vec::new();
    for policy in args.policies(&scenario)? {
        let one = only(&scenario, policy);
        let simulated = world::simulate(&one)?;
        if !args.quiet {
            eprintln!(
                "{}: {} requests in {} s over loopback, simulated in {:.0} ms",
                one.router.policies[0].label,
                simulated.result.summary.requests.injected,
                args.seconds,
                simulated.wall_ms
            );
        }
        let measured = runtime.block_on(world::measure(&one, args.quiet))?;
        let interrupted = measured.interrupted;
        shown.push(table::Shown { simulated: simulated.result, measured });
        if interrupted {
            return Ok(Exit::Interrupted);
        }
    }
    let text = match args.format {
        Format::Table => table::table(&shown),
        Format::Json => table::json(&shown, args.seconds),
    };
    crate::simulate::print(&text)?;
    let valid = shown.iter().all(|shown| shown.measured.is_valid);
    Ok(if valid { Exit::Ok } else { Exit::Invalid })
}

#[cfg(feature = "live")]
impl DemoArgs {
    fn scenario(&self) -> Result<gorgo_scenario::Resolved, Failure> {
        use gorgo_scenario::{Parsed, Resolved};
        let mut sets = vec![format!("measure.stop={}s", self.seconds)];
        if self.scenario.is_none() {
            // More than are sent in that time.
            sets.push(format!("workload.wildchat.requests={}", 60 * self.seconds));
        }
        // What is asked for has the last word.
        sets.extend_from_slice(&self.set);
        match &self.scenario {
            Some(path) => Resolved::from_file(path, &sets).map_err(Failure::input),
            None => Parsed::new("06_demo.toml", BUILT_IN, &sets)
                .and_then(|parsed| parsed.resolve(std::path::Path::new("")))
                .map_err(Failure::input),
        }
    }

    /// Indices of the policies to run.
    fn policies(&self, scenario: &gorgo_scenario::Resolved) -> Result<Vec<usize>, Failure> {
        let all = &scenario.router.policies;
        if self.policy.is_empty() {
            return Ok(vec![all.len() - 1]);
        }
        let place = |name: &String| {
            all.iter().position(|policy| policy.label == *name).ok_or_else(|| {
                let known: Vec<&str> = all.iter().map(|policy| policy.label.as_str()).collect();
                let known = known.join(", ");
                Failure::input(format!("--policy: got `{name}`, wanted one of {known}"))
            })
        };
        self.policy.iter().map(place).collect()
    }
}

/// The scenario with one policy.
#[cfg(feature = "live")]
fn only(scenario: &gorgo_scenario::Resolved, policy: usize) -> gorgo_scenario::Resolved {
    let mut one = scenario.clone();
    one.router.policies = vec![one.router.policies.swap_remove(policy)];
    one
}
