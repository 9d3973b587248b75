//! `gorgo trace`: look at traces.

use crate::exit::{Exit, Failure};
use crate::simulate::print;
use gorgo_workload::info::LengthStats;
use gorgo_workload::{
    ArrivalsCsv, ArrivalsOptions, Source, TraceInfo, TraceOptions, TraceSource, WorkloadError,
};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// What can be done with a trace.
#[derive(Debug, clap::Subcommand)]
pub enum TraceCommand {
    /// Requests, span, lengths, burstiness, prefix reuse and origins of a trace.
    Info(InfoArgs),
}

/// Arguments of `gorgo trace info`.
#[derive(Debug, clap::Args)]
pub struct InfoArgs {
    /// The trace: gorgo or Mooncake JSON Lines, or an arrivals CSV; plain, gzip or zstd.
    trace: PathBuf,
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
pub fn trace(command: &TraceCommand) -> Result<Exit, Failure> {
    let TraceCommand::Info(args) = command;
    let mut source = open(&args.trace).map_err(Failure::input)?;
    let info = TraceInfo::of(&mut *source).map_err(Failure::input)?;
    match args.format {
        Format::Json => {
            let text = serde_json::to_string_pretty(&info).map_err(Failure::failed)?;
            print(&(text + "\n"))?;
        }
        Format::Table => {
            print(&describe(&info))?;
            for warning in &info.warnings {
                eprintln!("note: {warning}");
            }
        }
    }
    Ok(Exit::Ok)
}

/// A trace by its name: tables of arrivals end in .csv (or .csv.gz, .csv.zst), all else is JSON Lines.
fn open(path: &Path) -> Result<Box<dyn Source>, WorkloadError> {
    let name = path.to_string_lossy().to_ascii_lowercase();
    if [".csv", ".csv.gz", ".csv.zst"].iter().any(|end| name.ends_with(end)) {
        return Ok(Box::new(ArrivalsCsv::open(path, ArrivalsOptions::default())?));
    }
    Ok(Box::new(TraceSource::open(path, TraceOptions::default())?))
}

fn describe(info: &TraceInfo) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<34} {value}");
    };
    let optional = |value: Option<f64>| value.map_or_else(|| "-".into(), |v| format!("{v:.2}"));
    let lengths = |stats: &LengthStats| {
        format!("{:.0} / {} / {} / {}", stats.mean, stats.p50, stats.p99, stats.max)
    };
    line("requests", info.requests.to_string());
    line("span", format!("{:.1} s", info.span_s));
    line(
        "rate mean, busiest minute",
        format!("{} / {:.2} requests/s", optional(info.mean_rate_rps), info.peak_rate_60s_rps),
    );
    line("inter-arrival CV", optional(info.interarrival_cv));
    line("input tokens mean/p50/p99/max", lengths(&info.input_tokens));
    line("output tokens mean/p50/p99/max", lengths(&info.output_tokens));
    line("block size", format!("{} tokens", info.block_tokens));
    line("distinct blocks", info.distinct_blocks.to_string());
    line("prefix tokens seen before", percent(info.prefix_token_hit_rate_infinite));
    line("reuse hidden in outputs, at most", percent(info.hidden_output_reuse_rate_max));
    line("sessions, users", format!("{}, {}", info.sessions, info.users));
    line("distinct origins", info.distinct_origins.to_string());
    for origin in &info.origins {
        let share = origin.requests as f64 / info.requests.max(1) as f64;
        line(&format!("  {}", origin.origin), percent(share));
    }
    text
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}
