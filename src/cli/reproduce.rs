//! `gorgo reproduce`: a paper's experiment in the simulator, its figures beside ours.

mod reviewers;

use crate::exit::{Exit, Failure};
use crate::progress::Progress;
use crate::simulate::{print, terminal_style};
use gorgo_papers::{About, Options, PapersError, Plan, UnitOutcome, experiments};
use rayon::prelude::*;
use std::path::PathBuf;
use std::time::Instant;

/// Arguments of `gorgo reproduce`.
#[derive(Debug, clap::Args)]
pub struct ReproduceArgs {
    /// Whose experiment.
    #[arg(value_parser = names())]
    paper: String,
    /// How many seeds, from 1 on [default: the experiment's].
    #[arg(long, value_name = "N")]
    seeds: Option<u64>,
    /// Run only this window, study or question (repeatable).
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Write the page, its plots and CSV files there; a page that gorgo did not write is never replaced.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The folder of recorded data; what it lacks is generated, and the result says so.
    #[arg(long, value_name = "DIR", default_value = "../shared/data")]
    data: PathBuf,
    /// Threads; seeds run side by side [default: one per core].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// What to print.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// No progress and no notes.
    #[arg(long, short)]
    quiet: bool,
}

/// Whose experiments there are.
fn names() -> clap::builder::PossibleValuesParser {
    experiments::NAMES.into_iter().chain([experiments::reviewers::NAME]).into()
}

/// What goes to stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Tables for people.
    Table,
    /// `{"rows":[{"window","policy","metric","paper","ours","ours_ci95","error_pct",...}, ...], ...}`.
    Json,
}

/// Runs the experiment and reports.
pub fn reproduce(args: &ReproduceArgs) -> Result<Exit, Failure> {
    if args.paper == experiments::reviewers::NAME {
        return reviewers::reproduce(args);
    }
    let experiment = experiments::by_name(&args.paper)
        .ok_or_else(|| Failure::input(format!("no experiment is called `{}`", args.paper)))?;
    let options = Options { seeds: args.seeds, only: args.only.clone(), data: args.data.clone() };
    let plan = Plan::new(&experiment, &options).map_err(failure)?;
    let pool = crate::threads::threads(args.threads)?;
    let (clock, cpu) = (Instant::now(), cpu_seconds());
    let progress = Progress::new(None, args.quiet);
    let tell = |ended: u64| progress.add(ended);
    let units: Result<Vec<UnitOutcome>, PapersError> =
        pool.install(|| plan.units().par_iter().map(|unit| plan.run(*unit, &tell)).collect());
    progress.finish();
    let outcome = plan.finish(units.map_err(failure)?).map_err(failure)?;
    let seconds = clock.elapsed().as_secs_f64();
    match args.format {
        Format::Json => print(&gorgo_papers::to_json(&outcome))?,
        Format::Table => print(&gorgo_papers::to_text(&outcome, terminal_style()))?,
    }
    if let Some(folder) = &args.out {
        let threads = pool.current_num_threads();
        let cpu_seconds = cpu_seconds().zip(cpu).map(|(after, before)| after - before);
        let about = About { command: command(args), seconds, cpu_seconds, threads };
        gorgo_papers::write_page(folder, &experiment, &outcome, &about).map_err(failure)?;
    }
    if !args.quiet {
        let runs = plan.units().len();
        eprintln!("{runs} units of work in {seconds:.1} s");
        if let Some(folder) = &args.out {
            eprintln!("wrote {}", folder.join("README.md").display());
        }
    }
    Ok(Exit::Ok)
}

/// Processor time of this process so far, all threads, where the system tells (Linux, whose ticks are 10 ms).
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is a name that may hold spaces; user and system time are the 12th and 13th after it.
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    Some(ticks.collect::<Result<Vec<_>, _>>().ok()?.iter().sum::<f64>() / 100.0)
}

/// The command as a reader would type it, without where its files go.
fn command(args: &ReproduceArgs) -> String {
    let mut text = format!("gorgo reproduce {}", args.paper);
    if let Some(seeds) = args.seeds {
        text += &format!(" --seeds {seeds}");
    }
    for name in &args.only {
        text += &format!(" --only {name}");
    }
    text
}

fn failure(error: PapersError) -> Failure {
    match error {
        PapersError::Run { source, scenario, policy, seed } => {
            Failure::from(*source).within(&format!("{scenario}, policy `{policy}`, seed {seed}"))
        }
        PapersError::Input(_) | PapersError::Option { .. } | PapersError::Workload(_) => {
            Failure::input(error)
        }
        _ => Failure::failed(error),
    }
}
