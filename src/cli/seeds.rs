//! `gorgo run --seeds N`: a scenario under several seeds, and how sure its numbers are then.
//!
//! It is a sweep without axes, so what it leaves is a sweep's folder (`gorgo-sweep`), beside it `baseline.json`: the
//! same in one small file, to be committed and compared with. Records of single requests are not kept.

use crate::compare::baseline;
use crate::exit::{Exit, Failure};
use crate::progress::Progress;
use crate::simulate::{SimulateArgs, file_name, print, terminal_style};
use crate::threads;
use gorgo_metrics::{Numbers, Summary};
use gorgo_report::{Grid, in_two_lines};
use gorgo_stats::{FEWEST_OF_MEDIAN, level};
use gorgo_sweep::{CellNumbers, Plan, Pool, RunId, Search, Seeds, Store, SweepFile};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

const BASELINE: &str = "baseline.json";

/// What is shown of each policy.
const SHOWN: [&str; 5] =
    ["ttft_ms.p50", "ttft_ms.p95", "ttft_ms.p99", "e2e_ms.p99", "good_fraction"];

type Kept = (Summary, Vec<(u64, u64)>);

/// Runs a scenario under `count` seeds from `--seed` (or 1) on.
pub fn run_seeds(
    scenario: Option<&Path>,
    args: &SimulateArgs,
    count: u32,
) -> Result<Exit, Failure> {
    let plan = plan(scenario, args, count)?;
    let default =
        || Path::new("results/local").join(format!("{}-seeds", file_name(&plan.file.name)));
    let folder = args.out.clone().unwrap_or_else(default);
    if args.overwrite || args.out.is_none() {
        clear(&folder)?;
    }
    let store = Store::open(&folder, &plan, false)?;
    let pool = threads::threads(args.threads)?;
    let clock = Instant::now();
    let cells = plan.cells();
    let ids = threads::ids_of(&plan, &pool)?;
    let progress = Progress::of("runs", Some(cells as u64), args.quiet);
    let shared = Pool::new(2 * pool.current_num_threads());
    threads::keep_runs(&plan, &store, (&pool, &shared), &Plan::runs(&ids), &progress)?;
    progress.finish();
    let runs: Vec<Kept> = ids.iter().map(|id| kept(&store, *id)).collect::<Result<_, _>>()?;
    write(&store, &plan, &ids, &runs)?;
    print(&table(&plan, &runs))?;
    if !args.quiet {
        let seconds = clock.elapsed().as_secs_f64();
        eprintln!(
            "{cells} runs in {seconds:.1} s; wrote {} (and {BASELINE} in it)",
            folder.display()
        );
    }
    Ok(Exit::Ok)
}

/// What a run left in the folder.
fn kept(store: &Store, id: RunId) -> Result<Kept, Failure> {
    let summary = store.summary(id)?;
    let summary = summary.ok_or_else(|| Failure::failed(format!("the run {id} was removed")))?;
    Ok((summary, store.histograms(&id.to_string())?.ttft_ns))
}

/// The sweep without axes.
fn plan(scenario: Option<&Path>, args: &SimulateArgs, count: u32) -> Result<Plan, Failure> {
    let resolved = match scenario {
        Some(path) => gorgo_scenario::Resolved::from_file(path, &args.assignments()),
        None => gorgo_scenario::Resolved::built_in(&args.assignments()),
    };
    let resolved = resolved.map_err(Failure::input)?;
    let first = args.seed.unwrap_or(resolved.seed);
    let seeds = Seeds { first, count: u64::from(count) };
    if i64::try_from(first.saturating_add(seeds.count)).is_err() {
        return Err(Failure::input(format!(
            "--seed: got {first}, wanted seeds up to {}",
            i64::MAX
        )));
    }
    let file = SweepFile {
        name: resolved.name,
        description: resolved.description,
        scenario: scenario.map(Path::to_owned),
        trace: None,
        sets: args.set.clone(),
        policies: args.policy.clone(),
        seeds,
        objective: ("ttft_ms.p99".to_owned(), true),
        search: Search::Grid,
        axes: Vec::new(),
    };
    Plan::new(file).map_err(Failure::from)
}

/// Removes what an earlier run of this command left in a folder, finished or not, and nothing else.
fn clear(folder: &Path) -> Result<(), Failure> {
    if !folder.join("sweep.json").is_file() {
        return Ok(());
    }
    let remove = |path: PathBuf, removed: std::io::Result<()>| match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::failed(format!("{}: {error}", path.display())))
        }
        _ => Ok(()),
    };
    let runs = folder.join("runs");
    let removed = std::fs::remove_dir_all(&runs);
    remove(runs, removed)?;
    for name in ["cells.csv", BASELINE, "sweep.json"] {
        let path = folder.join(name);
        let removed = std::fs::remove_file(&path);
        remove(path, removed)?;
    }
    Ok(())
}

fn write(store: &Store, plan: &Plan, ids: &[RunId], runs: &[Kept]) -> Result<(), Failure> {
    let cells: Vec<CellNumbers> =
        ids.iter().zip(runs).map(|(id, (summary, _))| CellNumbers::new(*id, summary)).collect();
    let csv = gorgo_sweep::cells_csv(plan, &cells)?;
    store.write_cells(&csv)?;
    let path = store.path_of().join(BASELINE);
    std::fs::write(&path, baseline(&plan.file.name, runs)?)
        .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))
}

/// A policy a row: the median over seeds of each run's number, and how far its 95 % interval goes down and up from it.
fn table(plan: &Plan, runs: &[Kept]) -> String {
    let seeds = plan.file.seeds.count as usize;
    let mut grid = Grid::new(terminal_style());
    grid.header([["policy", ""]].into_iter().chain(SHOWN.map(in_two_lines)));
    for (policy, runs) in plan.policies.iter().zip(runs.chunks(seeds)) {
        let numbers: Vec<Numbers> = runs.iter().map(|(summary, _)| Numbers::of(summary)).collect();
        let mut row = vec![(policy.clone(), false)];
        row.extend(SHOWN.map(|metric| (median(&numbers, metric), false)));
        grid.row(row);
    }
    let mut text = grid.finish();
    let _ = if seeds < FEWEST_OF_MEDIAN {
        writeln!(
            text,
            "medians over {seeds} seeds of each run's number; a 95 % interval takes {FEWEST_OF_MEDIAN} or more"
        )
    } else {
        writeln!(
            text,
            "medians over {seeds} seeds of each run's number, with the ends of their 95 % interval (order statistics of runs)"
        )
    };
    text
}

/// The median and the way to both ends of its interval; a dash where a run does not have the metric.
fn median(runs: &[Numbers], metric: &str) -> String {
    let values: Option<Vec<f64>> = runs.iter().map(|run| run.get(metric)).collect();
    let Some(values) = values else { return "-".to_owned() };
    let digits = |value: f64| if value.abs() < 10.0 { 4 } else { 1 };
    let Some(estimate) = level(&values) else {
        let one = |value: &f64| format!("{value:.0$}", digits(*value));
        return values.first().map_or_else(|| "-".to_owned(), one);
    };
    let (value, [low, high]) = (estimate.value(), estimate.interval(0.95));
    let digits = digits(value);
    if !(low.is_finite() && high.is_finite()) {
        return format!("{value:.digits$}");
    }
    format!("{value:.digits$} -{:.digits$} +{:.digits$}", value - low, high - value)
}
