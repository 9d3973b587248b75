//! `gorgo trace convert` and `gorgo trace synth`: requests written in gorgo's trace format as they are read or drawn, in
//! memory that does not grow with their number.

use crate::exit::{Exit, Failure};
use crate::progress::{Progress, Watched};
use crate::simulate::print;
use gorgo_scenario::{Resolved, WorkloadSpec};
use gorgo_types::Origin;
use gorgo_workload::{Due, Output, Source, TraceOptions, TraceWriter, TurnTiming, WorkloadError};
use std::io;
use std::path::{Path, PathBuf};

/// Arguments of `gorgo trace convert`.
#[derive(Debug, clap::Args)]
pub struct ConvertArgs {
    /// The trace to read, of any kind that `gorgo trace info` knows.
    input: PathBuf,
    /// The trace to write; gzip where the name ends in .gz, zstd in .zst. A file that is there is never written over.
    output: PathBuf,
    /// Write at most so many requests.
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Show no progress.
    #[arg(long)]
    quiet: bool,
}

/// Arguments of `gorgo trace synth`.
#[derive(Debug, clap::Args)]
pub struct SynthArgs {
    /// The trace to write; gzip where the name ends in .gz, zstd in .zst. A file that is there is never written over.
    output: PathBuf,
    /// The scenario whose workload is written [default: the built-in one]. Turns that wait for the turn before come at
    /// the times that `assumed_service` plans.
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
    /// Change a value of the scenario, such as workload.wildchat.requests=1000; may be given several times.
    #[arg(long = "set", value_name = "PATH=VALUE")]
    sets: Vec<String>,
    /// Show no progress.
    #[arg(long)]
    quiet: bool,
}

/// Runs `gorgo trace convert`.
pub fn convert(args: &ConvertArgs) -> Result<Exit, Failure> {
    let options = TraceOptions { limit: args.limit, ..TraceOptions::default() };
    let source = gorgo_workload::open(&args.input, options).map_err(Failure::input)?;
    write(source, &args.output, args.quiet)
}

/// Runs `gorgo trace synth`.
pub fn synth(args: &SynthArgs) -> Result<Exit, Failure> {
    let mut scenario = match &args.scenario {
        Some(path) => Resolved::from_file(path, &args.sets),
        None => Resolved::built_in(&args.sets),
    }
    .map_err(Failure::input)?;
    // No run answers, so that the times at which answers end are those planned.
    if let WorkloadSpec::Chat(spec) = &mut scenario.demand.workload {
        spec.turn_timing = TurnTiming::Recorded;
    }
    let requests = scenario.requests().map_err(Failure::input)?;
    write(requests.source().map_err(Failure::input)?, &args.output, args.quiet)
}

/// Why a trace was not written.
enum Fault {
    Read(WorkloadError),
    Write(io::Error),
}

fn write(source: Box<dyn Source>, path: &Path, quiet: bool) -> Result<Exit, Failure> {
    if source.needs_completions() {
        let error = WorkloadError::NeedsCompletions { what: "a trace to be written" };
        return Err(Failure::input(error));
    }
    let output = Output::create(path).map_err(|error| {
        Failure::input(format!("{}: cannot be written: {error}", path.display()))
    })?;
    let progress = Progress::new(source.size_hint(), quiet);
    let mut source = Watched::new(source, progress);
    let count = write_to(&mut source, output).map_err(|fault| {
        // Half a trace would pass for a whole one.
        let removed = std::fs::remove_file(path);
        let rest = if removed.is_ok() { "" } else { " (an unfinished file is left)" };
        match fault {
            Fault::Read(error) => Failure::input(format!("{error}{rest}")),
            Fault::Write(error) => Failure::failed(format!("{}: {error}{rest}", path.display())),
        }
    })?;
    for warning in source.warnings() {
        eprintln!("note: {warning}");
    }
    print(&format!("{count} requests written to {}\n", path.display()))?;
    Ok(Exit::Ok)
}

fn write_to(source: &mut dyn Source, out: Output) -> Result<u64, Fault> {
    let mut writer =
        TraceWriter::new(out, source.block_tokens(), source.token_rule()).map_err(Fault::Write)?;
    let (mut count, unknown) = (0, Origin::default());
    while let Due::At(_) = source.next_due().map_err(Fault::Read)? {
        let (at, request) = source.take().map_err(Fault::Read)?;
        let origin = source.origins().get(request.origin.index()).unwrap_or(&unknown);
        writer.write(at, &request, origin).map_err(Fault::Write)?;
        count += 1;
    }
    writer.finish().and_then(Output::finish).map_err(Fault::Write)?;
    Ok(count)
}
