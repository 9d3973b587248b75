//! `gorgo calibrate`: a cost profile from the requests of runs. The fit is `gorgo-predict`'s (`calibrate.rs`); here are
//! the runs it reads, and the profile as a table for a scenario.

use crate::exit::{Exit, Failure};
use crate::simulate::print;
use gorgo_metrics::Status;
use gorgo_model::{CostProfile, ProfileSpec};
use gorgo_predict::calibrate::{Calibration, Measured, Phase, calibrate as fit};
use gorgo_report::LoadedRun;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// How far below a folder runs are looked for: a run, its rounds, their policies.
const DEPTH: u32 = 2;

/// Arguments of `gorgo calibrate`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Prefill is fitted to requests that had their replica to themselves, so one of the runs should be at
low load, with prompts of many lengths, cached and not; decode needs different numbers of sequences, so another one
should be at a higher load. Errors are those at every fourth request, which the fit does not see.
The profile goes into a scenario as it is; the replicas name it: `profile = \"NAME\"`."
)]
pub struct CalibrateArgs {
    /// Directories of runs (repeatable): a policy's, a run's, or one with several.
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// The profile's name.
    #[arg(long, default_value = "calibrated")]
    name: String,
    /// Write the profile there, instead of printing it.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write over a file that is there.
    #[arg(long)]
    overwrite: bool,
    /// Time outside of the GPU per request, ms, where the replicas do not tell: it is taken out of prefill's constant.
    #[arg(long, value_name = "MS")]
    overhead_ms: Option<f64>,
    /// Bytes of KV per token.
    #[arg(long, value_name = "N", default_value_t = 131_072, value_parser = clap::value_parser!(u64).range(1..=1 << 30))]
    kv_bytes_per_token: u64,
    /// Tokens of KV that fit.
    #[arg(long, value_name = "N", default_value_t = 1 << 20, value_parser = clap::value_parser!(u64).range(1..=1 << 40))]
    kv_pool_tokens: u64,
}

/// Runs the command.
pub fn calibrate(args: &CalibrateArgs) -> Result<Exit, Failure> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if args.name.is_empty() || !args.name.chars().all(plain) {
        let wanted = "letters, digits, dots, dashes and underscores";
        return Err(Failure::input(format!("--name: got {:?}, wanted {wanted}", args.name)));
    }
    if let Some(ms) = args.overhead_ms.filter(|ms| !(0.0..=1e6).contains(ms)) {
        return Err(Failure::input(format!("--overhead-ms: got {ms}, wanted 0 to 1000000 ms")));
    }
    if let Some(path) = args.out.as_ref().filter(|path| path.exists() && !args.overwrite) {
        let problem = "is there already, wanted a new file, or --overwrite";
        return Err(Failure::input(format!("{}: {problem}", path.display())));
    }
    let mut runs = Vec::new();
    for path in &args.runs {
        let before = runs.len();
        collect(path, DEPTH, &mut runs)?;
        if runs.len() == before {
            let problem = "holds no run with requests.csv";
            return Err(Failure::input(format!("{}: {problem}", path.display())));
        }
    }
    let requests = measured(&runs);
    let found = fit(&requests).map_err(Failure::input)?;
    let (spec, constant_left) = spec(args, &found);
    CostProfile::try_from(spec.clone())
        .map_err(|error| Failure::failed(format!("the fit is no profile: {error}")))?;
    let text = as_toml(&spec, &found, runs.len());
    match &args.out {
        None => print(&text)?,
        Some(path) => std::fs::write(path, text)
            .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?,
    }
    tell(args, &found, requests.len(), constant_left);
    Ok(Exit::Ok)
}

/// The runs at a path, by name.
fn collect(path: &Path, depth: u32, runs: &mut Vec<LoadedRun>) -> Result<(), Failure> {
    if path.join("summary.json").is_file() {
        // What several rounds have in common has no requests of its own.
        if path.join("requests.csv").is_file() {
            runs.push(gorgo_report::load_run(path).map_err(Failure::input)?);
        }
        return Ok(());
    }
    let io = |error| Failure::input(format!("{}: {error}", path.display()));
    let mut below: Vec<PathBuf> = std::fs::read_dir(path)
        .map_err(io)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .map_err(io)?;
    below.sort();
    if depth > 0 {
        for path in below.iter().filter(|path| path.is_dir()) {
            collect(path, depth - 1, runs)?;
        }
    }
    Ok(())
}

fn measured(runs: &[LoadedRun]) -> Vec<Measured> {
    let mut requests = Vec::new();
    for (number, run) in (0_u32..).zip(runs) {
        // A simulation's replicas tell all; a live run's summary says how many answers did.
        let told = run.summary.live.as_ref().is_none_or(|live| live.answers_with_timing > 0);
        for record in &run.records {
            let (Status::Completed, Some(replica), Some(first_token), Some(finished)) =
                (record.status, record.replica, record.first_token, record.finished)
            else {
                continue;
            };
            let back = record.parts.network_back;
            requests.push(Measured {
                // Replicas of different runs are different ones: they met different moments.
                replica: number << 16 | (replica.0 & 0xffff),
                sent: record.sent,
                first_token: first_token.saturating_sub(if told {
                    back
                } else {
                    Default::default()
                }),
                finished: finished.saturating_sub(if told { back } else { Default::default() }),
                prompt_tokens: record.input_tokens,
                cached_tokens: record.cached_tokens,
                output_tokens: record.output_tokens,
                overhead: told.then_some(record.parts.replica_overhead),
                prefill: record.parts.prefill,
            });
        }
    }
    requests
}

/// The profile, and what is left of prefill's constant where an overhead was taken out of it.
fn spec(args: &CalibrateArgs, found: &Calibration) -> (ProfileSpec, bool) {
    let prefill = &found.prefill;
    let asked = args.overhead_ms.filter(|_| found.overhead_ms.is_none()).unwrap_or(0.0);
    let overhead_ms = found.overhead_ms.unwrap_or(asked);
    let mut spec = ProfileSpec {
        name: args.name.clone(),
        prefill_base_ms: (prefill.base_ms - asked).max(0.0),
        prefill_ms_per_token: prefill.per_unit_ms,
        prefill_ms_per_token_squared: prefill.per_context_ms,
        overhead_ms,
        kv_bytes_per_token: args.kv_bytes_per_token,
        kv_pool_tokens: args.kv_pool_tokens,
        ..ProfileSpec::default()
    };
    if let Some(decode) = &found.decode {
        spec.decode_base_ms = Some(decode.base_ms);
        spec.decode_ms_per_sequence = decode.per_unit_ms;
        spec.decode_ms_per_context_token = decode.per_context_ms;
    }
    (spec, prefill.base_ms >= asked)
}

/// The profile as a table of a scenario, with its errors beside it.
fn as_toml(spec: &ProfileSpec, found: &Calibration, runs: usize) -> String {
    let mut text = format!(
        "# Fitted to the requests of {runs} run(s). Errors are |fit / measured - 1| at requests that were held back.\n"
    );
    let mut note = |what: &str, phase: &Phase| {
        let _ = writeln!(
            text,
            "# {what}: median {:.2} %, mean {:.2} %, P95 {:.2} % at {} of {}; features up to {:.0} and {:.0}",
            phase.error_median * 100.0,
            phase.error_mean * 100.0,
            phase.error_p95 * 100.0,
            phase.held_back,
            phase.held_back + phase.fitted,
            phase.largest[0],
            phase.largest[1]
        );
    };
    note("prefill (new tokens; their product with the context)", &found.prefill);
    if let Some(decode) = &found.decode {
        note("decode (sequences; context tokens)", decode);
    }
    let _ = write!(
        text,
        "[[profiles]]\nname = {:?}\nprefill_base_ms = {:?}\nprefill_ms_per_token = {:?}\n\
         prefill_ms_per_token_squared = {:?}\n",
        spec.name,
        spec.prefill_base_ms,
        spec.prefill_ms_per_token,
        spec.prefill_ms_per_token_squared
    );
    if let Some(base) = spec.decode_base_ms {
        let _ = write!(
            text,
            "decode_base_ms = {base:?}\ndecode_ms_per_sequence = {:?}\ndecode_ms_per_context_token = {:?}\n",
            spec.decode_ms_per_sequence, spec.decode_ms_per_context_token
        );
    }
    let _ = write!(
        text,
        "overhead_ms = {:?}\nkv_bytes_per_token = {}\nkv_pool_tokens = {}\n",
        spec.overhead_ms, spec.kv_bytes_per_token, spec.kv_pool_tokens
    );
    text
}

fn tell(args: &CalibrateArgs, found: &Calibration, requests: usize, constant_left: bool) {
    let percent = |share: f64| share * 100.0;
    let phase = |what: &str, phase: &Phase| {
        eprintln!(
            "{what}: {} samples fitted, {} held back: error median {:.2} %, mean {:.2} %, P95 {:.2} %",
            phase.fitted,
            phase.held_back,
            percent(phase.error_median),
            percent(phase.error_mean),
            percent(phase.error_p95)
        );
    };
    eprintln!("{requests} completed requests");
    phase("prefill", &found.prefill);
    match &found.decode {
        Some(decode) => phase("decode", decode),
        None => eprintln!(
            "decode: too few answers of 8 tokens or more: nothing is said of it, and a step costs nothing"
        ),
    }
    if found.overhead_ms.is_none() {
        eprintln!(
            "note: no replica told its own times: the network and all work outside of the GPU are in prefill's constant{}",
            if args.overhead_ms.is_some() {
                ", but for --overhead-ms"
            } else {
                " (--overhead-ms takes a part out)"
            }
        );
    }
    if !constant_left {
        eprintln!("note: --overhead-ms is more than prefill's constant, which is 0 now");
    }
}
