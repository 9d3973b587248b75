//! The files of a live run: those of a simulation, and where there are several rounds, those of each round in a folder of
//! its own below.

use super::LiveArgs;
use crate::exit::Failure;
use crate::simulate::file_name;
use gorgo_live::{LiveOutcome, Options};
use gorgo_metrics::RunResult;
use gorgo_report::OutputDir;
use gorgo_scenario::Resolved;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What a round's folder is called, before its number.
const ROUND: &str = "round-";

/// Opens the directory, and takes away what an earlier run left of rounds.
pub fn open(scenario: &Resolved, args: &LiveArgs) -> Result<Option<OutputDir>, Failure> {
    if args.no_files {
        return Ok(None);
    }
    let default = || Path::new("results/local").join(format!("{}-live", file_name(&scenario.name)));
    let path = args.out.clone().unwrap_or_else(default);
    let overwrite = args.overwrite || args.out.is_none();
    let out = OutputDir::open(&path, overwrite).map_err(Failure::input)?;
    for old in rounds(&path) {
        OutputDir::open(&old, overwrite).map_err(Failure::input)?;
        // One that holds something of somebody else's stays.
        std::fs::remove_dir(&old).ok();
    }
    Ok(Some(out))
}

/// The folders of rounds below a directory.
fn rounds(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let is_round = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let number = name.strip_prefix(ROUND).filter(|number| !number.is_empty());
        number.is_some_and(|number| number.bytes().all(|b| b.is_ascii_digit())) && path.is_dir()
    };
    entries.map(|entry| entry.path()).filter(is_round).collect()
}

/// Writes everything.
pub fn write(
    scenario: &Resolved,
    outcome: &LiveOutcome,
    options: &Options,
    out: &OutputDir,
) -> Result<(), Failure> {
    out.write_scenario(&scenario.to_toml_in(out.path())).map_err(Failure::failed)?;
    let pooled = outcome.pooled();
    write_runs(out, &pooled)?;
    let most = outcome.policies.iter().map(|policy| policy.rounds.len()).max().unwrap_or(0);
    for round in (0..most).filter(|_| options.rounds > 1) {
        let path = out.path().join(format!("{ROUND}{}", round + 1));
        let folder = OutputDir::open(&path, false).map_err(Failure::failed)?;
        let runs = outcome.policies.iter().filter_map(|policy| policy.rounds.get(round));
        let runs: Vec<RunResult> = runs.cloned().collect();
        folder.write_scenario(&scenario.to_toml_in(&path)).map_err(Failure::failed)?;
        write_runs(&folder, &runs)?;
        folder.write_about(&about(options, outcome)).map_err(Failure::failed)?;
    }
    out.write_about(&about(options, outcome)).map_err(Failure::failed)
}

fn write_runs(out: &OutputDir, runs: &[RunResult]) -> Result<(), Failure> {
    runs.iter().try_for_each(|run| out.write_run(run)).map_err(Failure::failed)?;
    out.write_combined(runs).map_err(Failure::failed)
}

fn about(options: &Options, outcome: &LiveOutcome) -> serde_json::Value {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    json!({
        "schema": 1,
        "version": env!("CARGO_PKG_VERSION"),
        "command": command(),
        "finished_unix_s": now.as_secs(),
        "live": {
            "urls": options.targets.iter().map(|target| target.to_string()).collect::<Vec<_>>(),
            "rounds": options.rounds,
            "emulated": options.emulated,
            "interrupted": outcome.interrupted,
        },
        "os": std::env::consts::OS,
        "arch": std::env::consts::ARCH,
    })
}

/// The command line without the values of headers, which may be secrets.
fn command() -> Vec<String> {
    let mut hide = false;
    let plain = |text: String| {
        let hidden = std::mem::replace(&mut hide, text == "--header");
        match text.strip_prefix("--header=").unwrap_or(&text).split_once(':') {
            Some((name, _)) if hidden || text.starts_with("--header=") => {
                let option = if hidden { "" } else { "--header=" };
                format!("{option}{name}:...")
            }
            _ => text,
        }
    };
    std::env::args().map(plain).collect()
}
