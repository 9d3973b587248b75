//! `gorgo sweep`: one scenario under many settings, policies and seeds, on all cores.
//!
//! What a sweep is and what it leaves on disk is `gorgo-sweep`'s; here are progress and the table. Read `threads.rs` for
//! how runs are made, `sweep/expect.rs` for what a dry run tells.

mod expect;

use crate::exit::{Exit, Failure};
use crate::progress::Progress;
use crate::simulate::{print, terminal_style};
use crate::threads;
use gorgo_report::{Grid, Style, in_two_lines, short_number};
use gorgo_sweep::{CellNumbers, Finished, METRICS, Plan, Pool, RunId, Shard, Store, SweepFile};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// `gorgo sweep`.
#[derive(Debug, clap::Subcommand)]
pub enum SweepCommand {
    /// Run every cell: each policy under each setting and seed.
    #[command(after_help = "Stopped at any moment, it goes on where it was:
  gorgo sweep run scenarios/sweeps/weights.toml --out results/local/weights --resume
On several machines, each with a share of the cells, joined afterwards:
  gorgo sweep run SWEEP --shard 1/4 --out shard1        (2/4, 3/4, 4/4 elsewhere)
  gorgo sweep merge SWEEP shard1 shard2 shard3 shard4 --out all")]
    Run(RunArgs),
    /// Join the shards of a sweep into the same files as one run of it.
    Merge(MergeArgs),
}

/// Arguments of `gorgo sweep run`.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// The sweep file.
    sweep: PathBuf,
    /// Where to keep the runs [default: results/local/NAME].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Go on with a sweep that was stopped.
    #[arg(long)]
    resume: bool,
    /// Only the i-th of n shares of the runs.
    #[arg(long, value_name = "i/n", value_parser = Shard::parse)]
    shard: Option<Shard>,
    /// Keep every run's requests.csv too.
    #[arg(long)]
    records: bool,
    /// Print every cell and the expected time, and stop.
    #[arg(long)]
    dry_run: bool,
    /// Threads; cells run side by side [default: one per core].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    #[command(flatten)]
    show: ShowArgs,
}

/// Arguments of `gorgo sweep merge`.
#[derive(Debug, clap::Args)]
pub struct MergeArgs {
    /// The sweep file.
    sweep: PathBuf,
    /// The folders of its shards.
    #[arg(required = true)]
    shards: Vec<PathBuf>,
    /// Where to put all runs.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    show: ShowArgs,
}

/// What is said at the end.
#[derive(Debug, clap::Args)]
struct ShowArgs {
    /// Rows of the table, the best first; 0: all.
    #[arg(long, value_name = "N", default_value_t = 20)]
    rows: usize,
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
    /// A table for people: the settings, the best first.
    Table,
    /// `{"schema":1,"settings":[...]}`.
    Json,
}

/// Runs the command.
pub fn sweep(command: &SweepCommand) -> Result<Exit, Failure> {
    match command {
        SweepCommand::Run(args) => run(args),
        SweepCommand::Merge(args) => merge(args),
    }
}

fn plan(path: &Path) -> Result<Plan, Failure> {
    SweepFile::read(path).and_then(Plan::new).map_err(Failure::from)
}

fn run(args: &RunArgs) -> Result<Exit, Failure> {
    let mut plan = plan(&args.sweep)?;
    plan.records = args.records;
    let pool = threads::threads(args.threads)?;
    let ids = threads::ids_of(&plan, &pool)?;
    let default = || Path::new("results/local").join(&plan.file.name);
    let folder = args.out.clone().unwrap_or_else(default);
    let shard = args.shard.unwrap_or(Shard::ALL);
    let runs = Plan::runs(&ids);
    let mine = || (0..).zip(&runs).filter(|(place, _)| shard.has(*place)).map(|(_, run)| *run);
    let without = |done: &BTreeSet<String>| -> Vec<(RunId, usize)> {
        mine().filter(|(id, _)| !done.contains(&id.to_string())).collect()
    };
    if args.dry_run {
        expect::cells(&plan, &ids)?;
        if !args.show.quiet {
            let is_begun = args.resume && folder.join("sweep.json").is_file();
            let done =
                if is_begun { Store::open(&folder, &plan, true)?.done()? } else { BTreeSet::new() };
            eprintln!(
                "{} cells, {} runs, {} of them in this share",
                plan.cells(),
                runs.len(),
                mine().count()
            );
            expect::time(&plan, &pool, &without(&done))?;
        }
        return Ok(Exit::Ok);
    }
    let store = Store::open(&folder, &plan, args.resume)?;
    let to_do = without(&store.done()?);
    let clock = Instant::now();
    let progress = Progress::of("runs", Some(to_do.len() as u64), args.show.quiet);
    let shared = Pool::new(2 * pool.current_num_threads());
    threads::keep_runs(&plan, &store, (&pool, &shared), &to_do, &progress)?;
    progress.finish();
    if !args.show.quiet {
        let (cells, all, mine) = (plan.cells(), runs.len(), mine().count());
        let seconds = clock.elapsed().as_secs_f64();
        eprintln!(
            "{cells} cells, {all} runs, {mine} of them in this share: {} were there, {} made in {seconds:.1} s",
            mine - to_do.len(),
            to_do.len()
        );
    }
    finish(&plan, &ids, &store, &command(&args.sweep, &plan), &args.show)
}

fn merge(args: &MergeArgs) -> Result<Exit, Failure> {
    let mut plan = plan(&args.sweep)?;
    if let Some(first) = args.shards.first() {
        plan.records = Store::keeps_records(first)?;
    }
    let ids = threads::ids_of(&plan, &threads::threads(None)?)?;
    let store = Store::open(&args.out, &plan, true)?;
    for shard in &args.shards {
        let taken = store.take_over(shard)?;
        if !args.show.quiet {
            eprintln!("{}: {taken} runs", shard.display());
        }
    }
    finish(&plan, &ids, &store, &command(&args.sweep, &plan), &args.show)
}

/// Writes and shows the tables, if every run is there.
fn finish(
    plan: &Plan,
    ids: &[RunId],
    store: &Store,
    command: &str,
    show: &ShowArgs,
) -> Result<Exit, Failure> {
    let mut numbers: BTreeMap<RunId, CellNumbers> = BTreeMap::new();
    let mut missing = 0_u64;
    for (id, _) in Plan::runs(ids) {
        match store.summary(id)? {
            Some(summary) => drop(numbers.insert(id, CellNumbers::new(id, &summary))),
            None => missing += 1,
        }
    }
    let folder = store.path_of().display();
    if missing > 0 {
        if !show.quiet {
            eprintln!("{missing} runs are not in {folder}: no table yet");
        }
        return Ok(Exit::Ok);
    }
    let cells: Vec<CellNumbers> = ids.iter().map(|id| numbers[id].clone()).collect();
    let csv = gorgo_sweep::cells_csv(plan, &cells)?;
    store.write_cells(&csv)?;
    let rows = gorgo_sweep::settings(plan, &cells);
    let standings = gorgo_sweep::standings(plan, &cells, &rows);
    let finished = Finished { plan, cells: &cells, rows: &rows, standings: &standings };
    finished.write_report(store, command)?;
    match show.format {
        Format::Json => print(&to_json(plan, &rows))?,
        Format::Table => print(&to_table(plan, &rows, show.rows, terminal_style()))?,
    }
    if !show.quiet {
        eprintln!("wrote {folder}/cells.csv and {folder}/report.html");
    }
    Ok(Exit::Ok)
}

/// The command that makes a sweep again. Folders, shares and threads are left out: they change nothing in its files.
fn command(sweep: &Path, plan: &Plan) -> String {
    let file =
        sweep.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    format!("gorgo sweep run {file}{}", if plan.records { " --records" } else { "" })
}

fn to_json(plan: &Plan, rows: &[gorgo_sweep::SettingRow]) -> String {
    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            let names = plan.file.axes.iter().map(|axis| axis.path.as_str());
            let values: BTreeMap<_, _> =
                names.enumerate().map(|(axis, name)| (name, row.value(plan, axis))).collect();
            let median: BTreeMap<_, _> = METRICS.iter().zip(&row.median).collect();
            let policy = &plan.policies[row.policy];
            json!({"setting": values, "policy": policy, "median": median, "spread": row.spread})
        })
        .collect();
    let (objective, less) = &plan.file.objective;
    let document = json!({
        "schema": 1,
        "sweep": plan.file.name,
        "objective": objective,
        "less_is_better": less,
        "seeds": plan.file.seeds,
        "settings": rows,
    });
    format!("{document}\n")
}

/// The columns after the objective.
const SHOWN: [&str; 5] =
    ["ttft_ms.p50", "ttft_ms.p99", "e2e_ms.p95", "good_fraction", "cost_usd.per_million_tokens"];

fn to_table(plan: &Plan, rows: &[gorgo_sweep::SettingRow], limit: usize, style: Style) -> String {
    let (objective, less) = &plan.file.objective;
    let shown: Vec<&str> = SHOWN.into_iter().filter(|name| name != objective).collect();
    let place = |name: &str| METRICS.iter().position(|metric| *metric == name);
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), short_number);
    let mut grid = Grid::new(style);
    let axes = plan.file.axes.iter().map(|axis| in_two_lines(&axis.path));
    let values = [in_two_lines(objective), ["seeds'", "least"], ["seeds'", "most"]];
    let others = shown.iter().map(|name| in_two_lines(name));
    grid.header([["policy", ""]].into_iter().chain(axes).chain(values).chain(others));
    let all = if limit == 0 { rows.len() } else { limit.min(rows.len()) };
    let best = rows.first().and_then(|row| place(objective).and_then(|at| row.median[at]));
    for row in &rows[..all] {
        let metric = |name: &str| place(name).and_then(|place| row.median[place]);
        let mut line = vec![(plan.policies[row.policy].clone(), false)];
        let value = |axis| row.value(plan, axis).map_or("any", |value| value.trim_matches('"'));
        line.extend((0..plan.file.axes.len()).map(|axis| (value(axis).to_owned(), false)));
        let own = metric(objective);
        line.push((number(own), own.is_some() && own == best));
        line.extend(row.spread.map(|end| (number(end), false)));
        line.extend(shown.iter().map(|name| (number(metric(name)), false)));
        grid.row(line);
    }
    let mut text = grid.finish();
    let order = if *less { "least" } else { "most" };
    let seeds = plan.file.seeds.count;
    let _ = writeln!(
        text,
        "{all} of {} rows, the {order} {objective} first; medians over {seeds} seeds; any: it changes nothing",
        rows.len()
    );
    text
}
