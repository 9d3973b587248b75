//! `gorgo compare`: two runs side by side, paired by request.

use crate::exit::{Exit, Failure};
use crate::simulate::{print, terminal_style};
use std::path::PathBuf;

/// Arguments of `gorgo compare`.
#[derive(Debug, clap::Args)]
pub struct CompareArgs {
    /// The run to compare against: a policy's directory, or a run's directory with one policy.
    base: PathBuf,
    /// The run to compare.
    new: PathBuf,
    /// What to print.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// What goes to stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A table for people.
    Table,
    /// The same as JSON.
    Json,
}

/// Runs the command.
pub fn compare(args: &CompareArgs) -> Result<Exit, Failure> {
    let base = gorgo_report::load_run(&args.base).map_err(Failure::input)?;
    let new = gorgo_report::load_run(&args.new).map_err(Failure::input)?;
    let comparison = gorgo_metrics::compare(&base.side(), &new.side()).map_err(Failure::input)?;
    let text = match args.format {
        Format::Table => gorgo_report::comparison_table(&comparison, terminal_style()),
        Format::Json => gorgo_report::comparison_json(&comparison),
    };
    print(&text)?;
    Ok(Exit::Ok)
}
