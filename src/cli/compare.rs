//! `gorgo compare`: two sides, run by run or seed by seed, and rules that fail when they are surely broken.
//!
//! A simulation and a live run of the same scenario are held against each other policy by policy (`compare/parity.rs`).
//! Two single runs are paired by request (`gorgo-metrics`); sides of several seeds are compared over seeds: read
//! `compare/rule.rs`, `sides.rs`, `judge.rs` and `show.rs` in this order.

mod judge;
mod parity;
mod rule;
mod show;
mod sides;

pub use sides::baseline;

use crate::exit::{Exit, Failure};
use crate::simulate::{print, terminal_style};
use rule::Rule;
use sides::SideRuns;
use std::path::{Path, PathBuf};

/// Arguments of `gorgo compare`.
#[derive(Debug, clap::Args)]
#[command(after_help = "In CI, against a committed baseline (20 to 40 seeds are good):
  gorgo run SCENARIO --policy gorgo --seeds 40 --out base && cp base/baseline.json results/ci/baseline.json
  gorgo run SCENARIO --policy gorgo --seeds 40 --out new
  gorgo compare results/ci/baseline.json new --fail-if 'ttft_ms.p99 > +5%' --fail-if 'good_fraction < -0.5pt'
Exit code 1: a rule is broken, and the whole 95 % interval is past its bound (or the rule cannot be judged).
A bound with a sign is a change (+5%, -0.5pt, +20ms), without one a level of NEW (800ms).")]
pub struct CompareArgs {
    /// What to compare against: a policy's or run's directory, one that holds runs of several seeds, a sweep, or a
    /// baseline file.
    base: PathBuf,
    /// What to compare: the same.
    new: PathBuf,
    /// Fail where this is surely so: a metric, > or <, and a bound (repeatable).
    #[arg(long, value_name = "RULE", value_parser = Rule::parse)]
    fail_if: Vec<Rule>,
    /// What to print.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Tell how many seeds would know a change to within plus or minus so many percent.
    #[arg(long, value_name = "PERCENT", default_value_t = 1.0, value_parser = precision)]
    precision: f64,
    /// No notes.
    #[arg(long, short)]
    quiet: bool,
}

fn precision(text: &str) -> Result<f64, String> {
    let wanted = || format!("got {text:?}, wanted percent above 0 and below 100, such as 1");
    let value: f64 = text.trim_end_matches('%').trim().parse().map_err(|_| wanted())?;
    if value > 0.0 && value < 100.0 { Ok(value) } else { Err(wanted()) }
}

/// What goes to stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A table for people.
    Table,
    /// The same for a pull request.
    Markdown,
    /// The same as JSON.
    Json,
    /// A test case a rule, for CI servers.
    Junit,
}

/// Runs the command.
pub fn compare(args: &CompareArgs) -> Result<Exit, Failure> {
    let (base, new) = (SideRuns::read(&args.base), SideRuns::read(&args.new));
    if args.fail_if.is_empty()
        && matches!(args.format, Format::Table | Format::Json)
        && let Some(text) = parity::parity(&args.base, &args.new, args.format, args.quiet)?
    {
        print(&text)?;
        return Ok(Exit::Ok);
    }
    if args.fail_if.is_empty()
        && matches!(args.format, Format::Table | Format::Json)
        && !is_many(&args.base, &base)
        && !is_many(&args.new, &new)
    {
        print(&requests(args)?)?;
        return Ok(Exit::Ok);
    }
    let (base, new) = (base?, new?);
    let judgement = judge::judge(&base, &new, &args.fail_if)?;
    let precision = args.precision / 100.0;
    print(&match args.format {
        Format::Table => show::table(&judgement, precision),
        Format::Markdown => show::markdown(&judgement, precision),
        Format::Json => show::to_json(&judgement, precision),
        Format::Junit => show::junit(&judgement),
    })?;
    if !args.quiet && args.format != Format::Markdown {
        judgement.warnings.iter().for_each(|warning| eprintln!("note: {warning}"));
    }
    Ok(if judgement.passes() { Exit::Ok } else { Exit::Failed })
}

/// Whether a side is more than one run. What cannot be read at all is blamed by the reader of single runs.
fn is_many(path: &Path, side: &Result<SideRuns, Failure>) -> bool {
    let several = |side: &SideRuns| side.groups.values().any(|group| group.runs.len() > 1);
    path.is_file() || path.join("sweep.json").is_file() || side.as_ref().is_ok_and(several)
}

/// Two single runs, request by request.
fn requests(args: &CompareArgs) -> Result<String, Failure> {
    let base = gorgo_report::load_run(&args.base).map_err(Failure::input)?;
    let new = gorgo_report::load_run(&args.new).map_err(Failure::input)?;
    let comparison = gorgo_metrics::compare(&base.side(), &new.side()).map_err(Failure::input)?;
    Ok(match args.format {
        Format::Json => gorgo_report::comparison_json(&comparison),
        _ => gorgo_report::comparison_table(&comparison, terminal_style()),
    })
}
