//! `gorgo trace`: look at traces. Writing them is in `trace_write.rs`.

use crate::exit::{Exit, Failure};
use crate::progress::{Progress, Watched};
use crate::simulate::print;
use crate::trace_import::{ImportCommand, import};
use crate::trace_write::{ConvertArgs, SynthArgs, convert, synth};
use gorgo_report::plot;
use gorgo_workload::info::LengthStats;
use gorgo_workload::{TraceCurves, TraceInfo, TraceOptions};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// What can be done with a trace.
#[derive(Debug, clap::Subcommand)]
pub enum TraceCommand {
    /// Requests, span, lengths, burstiness, prefix reuse and origins of a trace.
    Info(InfoArgs),
    /// Write a trace of any kind in gorgo's own format.
    Convert(ConvertArgs),
    /// Write the requests of a scenario's workload as a trace.
    Synth(SynthArgs),
    /// Write conversations of a published data set as a trace.
    #[command(subcommand)]
    Import(ImportCommand),
}

/// Arguments of `gorgo trace info`.
#[derive(Debug, clap::Args)]
pub struct InfoArgs {
    /// The trace, known by what stands in it: gorgo, Mooncake, ART-Chat or GuideLLM JSON Lines, or an arrivals, Azure or
    /// BurstGPT CSV; plain, gzip or zstd.
    trace: PathBuf,
    /// What to print.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Write pictures into this folder: rate.svg, lengths.svg and reuse.svg. It must not be there yet.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
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
    match command {
        TraceCommand::Info(args) => info(args),
        TraceCommand::Convert(args) => convert(args),
        TraceCommand::Synth(args) => synth(args),
        TraceCommand::Import(command) => import(command),
    }
}

fn info(args: &InfoArgs) -> Result<Exit, Failure> {
    let source =
        gorgo_workload::open(&args.trace, TraceOptions::default()).map_err(Failure::input)?;
    let mut source = Watched::new(source, Progress::new(None, false));
    let info = match &args.out {
        None => TraceInfo::of(&mut source).map_err(Failure::input)?,
        Some(folder) => {
            std::fs::create_dir(folder).map_err(|error| {
                Failure::input(format!("{}: cannot be made: {error}", folder.display()))
            })?;
            let (info, curves) = TraceCurves::of(&mut source).map_err(Failure::input)?;
            draw(&args.trace, folder, &info, &curves)?;
            info
        }
    };
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

/// Writes the pictures.
fn draw(
    trace: &Path,
    folder: &Path,
    info: &TraceInfo,
    curves: &TraceCurves,
) -> Result<(), Failure> {
    let name = trace.file_name().unwrap_or(trace.as_os_str()).to_string_lossy();
    let subtitle = format!("{name}, {} requests over {:.0} s", info.requests, info.span_s);
    let pairs = |counts: &BTreeMap<u64, u64>| -> Vec<_> {
        counts.iter().map(|(&tokens, &requests)| (tokens, requests)).collect()
    };
    let within = curves.within_user.map(|share| ("within a user".to_owned(), share));
    let finite = curves.caches.iter().map(|cache| {
        let millions = cache.capacity_tokens as f64 / f64::from(1 << 20);
        (format!("one cache of {millions} Mi tokens"), cache.token_hit_rate)
    });
    let all = ("one cache without end".to_owned(), info.prefix_token_hit_rate_infinite);
    let shares: Vec<_> = within.into_iter().chain(finite).chain([all]).collect();
    let (input, output) = (pairs(&curves.input_tokens), pairs(&curves.output_tokens));
    let pictures = [
        ("rate.svg", plot::trace_rate(&subtitle, curves.window_s, &curves.rate_rps)),
        ("lengths.svg", plot::trace_lengths(&subtitle, &input, &output)),
        ("reuse.svg", plot::trace_reuse(&subtitle, &shares)),
    ];
    for (name, svg) in pictures {
        let file = folder.join(name);
        std::fs::write(&file, svg)
            .map_err(|error| Failure::failed(format!("{}: {error}", file.display())))?;
    }
    Ok(())
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
    line("variance/mean of 10 s, 60 s counts", {
        format!("{} / {}", optional(info.fano_10s), optional(info.fano_60s))
    });
    line("input tokens mean/p50/p99/max", lengths(&info.input_tokens));
    line("output tokens mean/p50/p99/max", lengths(&info.output_tokens));
    line("block size", format!("{} tokens", info.block_tokens));
    if let Some(tokens) = &info.tokens {
        line("tokens of text counted as", tokens.clone());
    }
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
